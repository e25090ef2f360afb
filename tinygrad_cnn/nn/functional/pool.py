"""Pooling, with PyTorch's signatures over the strict ops of ``ops.pool``."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, ShapeError, UnsupportedError
from tinygrad_cnn.kernels.pool import Pair, flat_indices, pooled_size
from tinygrad_cnn.ops import pool as ops

__all__ = ["avg_pool1d", "avg_pool2d", "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices"]

Ints = int | Sequence[int]


def ints(value: Any, count: int, op: str, argument: str) -> tuple[int, ...]:
    """``count`` integers from one, or from a sequence of one or ``count`` of them."""
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise ArgumentTypeError(f"{op}: {argument} expected an int or a tuple of {count} ints, got {value!r}")
    if len(values) not in (1, count):
        raise ShapeError(f"{op}: {argument} must either be a single int, or a tuple of {count} ints; got {value!r}")
    return tuple(int(v) for v in values) * (count // len(values))


INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


def check_images(input: Any, op: str, dims: int = 2, integers: tuple[str, ...] = ()) -> None:
    """Raise unless ``input`` is a Tensor of images, or of a batch, that are floating or of one of the ``integers``."""
    if not isinstance(input, Tensor):
        raise ArgumentTypeError(f"{op}(): argument 'input' must be Tensor, not {type(input).__name__}")
    shape = input._array.shape
    if len(shape) not in (dims + 1, dims + 2) or 0 in shape[-dims - 1 :]:
        names = "(C, H, W) or (N, C, H, W)" if dims == 2 else "(C, L) or (N, C, L)"
        raise ShapeError(f"{op}: input expected {names} with only N possibly 0, got {list(shape)}")
    if input._array.dtype.kind != "f" and input._array.dtype.name not in integers:
        raise UnsupportedError(f'{op}: "{op}" not implemented for {input.dtype}; convert with .float()')


def _window(
    op: str, input: Tensor, kernel_size: Any, stride: Any, padding: Any, dilation: Any, ceil_mode: bool, dims: int
) -> tuple[Pair, Pair, Pair, Pair]:
    """The settings as pairs; ShapeError, as in PyTorch, unless at least one window fits the input."""
    kernel = ints(kernel_size, dims, op, "kernel_size")
    step = kernel if stride is None or stride in ((), []) else ints(stride, dims, op, "stride")
    pad, gap = ints(padding, dims, op, "padding"), ints(dilation, dims, op, "dilation")
    for value, name, least in (
        (kernel, "kernel_size", 1),
        (step, "stride", 1),
        (gap, "dilation", 1),
        (pad, "padding", 0),
    ):
        if min(value) < least:
            raise ShapeError(f"{op}: {name} expected {least} or more, got {value}")
    for k, p, d in zip(kernel, pad, gap, strict=True):
        if p > ((k - 1) * d + 1) // 2:
            raise ShapeError(
                f"{op}: pad should be at most half of effective kernel size, but got pad={p}, kernel_size={k} and "
                f"dilation={d}; pad the input with nn.functional.pad instead"
            )
    window = _pair(kernel, 1), _pair(step, 1), _pair(pad, 0), _pair(gap, 1)
    shape = input._array.shape
    out = pooled_size(_pair(shape[-dims:], 1), *window, ceil_mode)
    if min(out) < 1:
        raise ShapeError(
            f"{op}: Given input size: {shape}. Calculated output size: {out[-dims:]}. Output size is too small; "
            f"the window {kernel} must fit the padded input"
        )
    return window


def _pair(values: tuple[int, ...], row: int) -> Pair:
    """Settings for images; those of a signal get ``row`` for its only row."""
    first, second = values if len(values) == 2 else (row, *values)
    return first, second


def _max_pool(
    op: str,
    input: Tensor,
    kernel_size: Any,
    stride: Any,
    padding: Any,
    dilation: Any,
    ceil_mode: bool,
    return_indices: bool,
    dims: int,
) -> Any:
    check_images(input, op, dims, INTEGERS)
    window = _window(op, input, kernel_size, stride, padding, dilation, ceil_mode, dims)
    images: Any = input if dims == 2 else input.unsqueeze(-2)  # type: ignore[attr-defined]  # from ops
    if not return_indices:
        out = ops.max_pool2d(images, *window, ceil_mode)
        return out if dims == 2 else out.squeeze(-2)
    out, position = ops.max_pool2d.with_residuals(images, *window, ceil_mode)
    indices = wrap(flat_indices(position._array, images.shape[-1], *window))
    return (out, indices) if dims == 2 else (out.squeeze(-2), indices.squeeze(-2))  # type: ignore[attr-defined]  # from ops


def max_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """The largest element of each window, (N, C, H, W) or (C, H, W) -> the same with OH, OW.

    With ``return_indices`` also where it was found, as an index into the flattened H x W plane. The first of equal
    maxima wins, NaN wins always, and the padding never. Raises ShapeError if the windows don't fit.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.max_pool2d(tg.tensor([[[1.0, 5.0], [3.0, 2.0]]]), 2)
    tensor([[[5.]]])
    """
    return _max_pool("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 2)


def max_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Any:
    """As ``max_pool2d`` for signals, (N, C, L) or (C, L)."""
    return _max_pool("max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, return_indices, 1)


def max_pool2d_with_indices(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """``max_pool2d`` with ``return_indices=True``, whatever is given, as in PyTorch."""
    found = _max_pool("max_pool2d", input, kernel_size, stride, padding, dilation, ceil_mode, True, 2)
    return found[0], found[1]


def max_pool1d_with_indices(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    dilation: Ints = 1,
    ceil_mode: bool = False,
    return_indices: bool = True,
) -> tuple[Tensor, Tensor]:
    """``max_pool1d`` with ``return_indices=True``, whatever is given, as in PyTorch."""
    found = _max_pool("max_pool1d", input, kernel_size, stride, padding, dilation, ceil_mode, True, 1)
    return found[0], found[1]


def avg_pool2d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window, (N, C, H, W) or (C, H, W) -> the same with OH, OW.

    The padding's zeros count as elements if ``count_include_pad``; ``divisor_override`` replaces the count. Raises
    ShapeError if the windows don't fit.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.avg_pool2d(tg.tensor([[[1.0, 5.0], [3.0, 3.0]]]), 2)
    tensor([[[3.]]])
    """
    check_images(input, "avg_pool2d", 2, ("int64",))
    kernel, step, pad, _ = _window("avg_pool2d", input, kernel_size, stride, padding, 1, ceil_mode, 2)
    if divisor_override is not None:
        if isinstance(divisor_override, bool) or not hasattr(divisor_override, "__index__"):
            raise ArgumentTypeError(f"avg_pool2d: divisor_override expected an int, got {divisor_override!r}")
        if divisor_override == 0:
            raise ShapeError("avg_pool2d: divisor_override must not be zero; use None for the number of elements")
    out: Tensor = ops.avg_pool2d(input, kernel, step, pad, ceil_mode, count_include_pad, divisor_override)
    return out


def avg_pool1d(
    input: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """As ``avg_pool2d`` for signals, (N, C, L) or (C, L)."""
    check_images(input, "avg_pool1d", 1, ("int64",))
    kernel, step, pad, _ = _window("avg_pool1d", input, kernel_size, stride, padding, 1, ceil_mode, 1)
    rows = input.unsqueeze(-2)  # type: ignore[attr-defined]  # from ops
    out: Tensor = ops.avg_pool2d(rows, kernel, step, pad, ceil_mode, count_include_pad, None).squeeze(-2)
    return out
