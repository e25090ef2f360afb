"""Padding and cropping. ``pad`` counts from the last dimension, as PyTorch's: (left, right, top, bottom, ...)."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import Array, Number
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.kernels import pad as kernels

__all__ = ["constant_pad_nd"]


@differentiable
def constant_pad_nd(input: Array, pad: tuple[int, ...], value: Number = 0) -> Array:
    """Add elements of ``value`` at the ends of the last dimensions; a negative number takes so many away.

    >>> import tinygrad_cnn as tg
    >>> tg.ops.pad.constant_pad_nd(tg.tensor([1, 2, 3]), (1, -1))
    tensor([0, 1, 2])
    """
    return kernels.constant_pad(input, pad, value)


constant_pad_nd.gradients(input=lambda g, pad: constant_pad_nd(g, tuple(-p for p in pad), 0))


@constant_pad_nd.check
def _(input: Array, pad: tuple[int, ...], value: Number = 0) -> None:
    shape, pairs = input.shape, list(zip(pad[::2], pad[1::2], strict=False))
    if len(pad) % 2:
        raise ShapeError(f"constant_pad_nd: Padding length must be divisible by 2, got {tuple(pad)}")
    if len(pairs) > len(shape):
        raise ShapeError(
            "constant_pad_nd: Padding length should be less than or equal to two times the input dimension "
            f"but got padding length {len(pad)} and input of dimension {len(shape)}"
        )
    for side, (before, after) in zip(shape[::-1], pairs, strict=False):
        if side + min(before, 0) + min(after, 0) < 0:
            raise ShapeError(f"constant_pad_nd: can't take {(-before, -after)} elements from {side} of {list(shape)}")


constant_pad_nd.refuses(ShapeError, "Padding length must be divisible by 2", input=(2,), pad=(1,))
constant_pad_nd.refuses(ShapeError, "padding length 4 and input of dimension 1", input=(2,), pad=(0, 0, 1, 1))
constant_pad_nd.refuses(ShapeError, "can't take (2, 1) elements from 2", input=(2,), pad=(-2, -1))


@constant_pad_nd.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1, min_side=2)
    pad = tuple(draw.integer(0, 3) - 1 for _ in range(2 * draw.integer(1, len(shape))))
    return dict(input=draw.array(shape), pad=pad, value=draw.choice([0, -2.5]))


@constant_pad_nd.reference
def _(input: Array, pad: tuple[int, ...], value: Number = 0) -> Array:
    before = [0] * (input.ndim - len(pad) // 2) + list(pad[-2::-2])
    after = [0] * (input.ndim - len(pad) // 2) + list(pad[::-2])
    out = np.full([s + b + a for s, b, a in zip(input.shape, before, after, strict=True)], float(value))
    for index in np.ndindex(*out.shape):
        source = tuple(i - b for i, b in zip(index, before, strict=True))
        if all(0 <= i < side for i, side in zip(source, input.shape, strict=True)):
            out[index] = input[source]
    return out


@differentiable
def pad_border(input: Array, pad: tuple[int, ...], mode: str) -> Array:
    """Pad the last dimensions with the input's own elements: ``mode`` is reflect, replicate or circular."""
    return kernels.pad_border(input, pad, mode)


@differentiable
def fold_border(input: Array, pad: tuple[int, ...], mode: str) -> Array:
    """Take the padding away and add it to the elements that it repeats: the adjoint of ``pad_border``."""
    return kernels.fold_border(input, pad, mode)


pad_border.gradients(input=lambda g, pad, mode: fold_border(g, pad, mode))
fold_border.gradients(input=lambda g, pad, mode: pad_border(g, pad, mode))


@pad_border.check
def _(input: Array, pad: tuple[int, ...], mode: str) -> None:
    for side, before, after in zip(input.shape[::-1], pad[::2], pad[1::2], strict=False):
        if not side and (before or after):
            raise ShapeError(f"pad: a dimension of size 0 has no elements to repeat, got {input.shape} and pad={pad}")


def _border_samples(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1, max_side=3)
    mode = draw.choice(["replicate", "circular", "reflect"])
    dims = draw.integer(1, len(shape))
    most = [4 if mode == "replicate" else side - (mode == "reflect") for side in shape[::-1][:dims]]
    pad = tuple(draw.integer(0, side) for side in most for _ in range(2))
    return dict(input=draw.array(shape), pad=pad, mode=mode)


def _sources(shape: tuple[int, ...], pad: tuple[int, ...], mode: str) -> Any:
    """Each index of the padded array with the index of the element that stands there: a reference's loop."""
    before = [0] * (len(shape) - len(pad) // 2) + list(pad[-2::-2])
    after = [0] * (len(shape) - len(pad) // 2) + list(pad[::-2])

    def source(i: int, side: int) -> int:
        while not 0 <= i < side:
            if mode == "circular":
                i += side if i < 0 else -side
            elif mode == "replicate":
                i = 0 if i < 0 else side - 1
            else:
                i = -i if i < 0 else 2 * (side - 1) - i
        return i

    for index in np.ndindex(*(s + b + a for s, b, a in zip(shape, before, after, strict=True))):
        yield index, tuple(source(i - b, side) for i, b, side in zip(index, before, shape, strict=True))


pad_border.samples(_border_samples)


@pad_border.reference
def _(input: Array, pad: tuple[int, ...], mode: str) -> Array:
    values = {index: input[source] for index, source in _sources(input.shape, pad, mode)}
    out = np.empty([side + 1 for side in max(values)])
    for index, value in values.items():
        out[index] = value
    return out


@fold_border.samples
def _(draw: Any) -> dict[str, Any]:
    settings = _border_samples(draw)
    return {**settings, "input": draw.array(pad_border(**settings).shape)}


@fold_border.reference
def _(input: Array, pad: tuple[int, ...], mode: str) -> Array:
    extra = [0] * (input.ndim - len(pad) // 2) + [a + b for a, b in zip(pad[-2::-2], pad[::-2], strict=True)]
    out = np.zeros([side - e for side, e in zip(input.shape, extra, strict=True)])
    for index, source in _sources(out.shape, pad, mode):
        out[source] += input[index]
    return out
