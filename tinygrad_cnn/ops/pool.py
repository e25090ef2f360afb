"""Pooling over windows of the last two dimensions: strict ops; ``nn.functional.pool`` has PyTorch's signatures.

Max pooling keeps the position of each maximum in its window, in one byte as a rule. {put_in_windows,
take_from_windows} and {avg_pool2d, avg_pool2d_input_grad} are closed families: each is the other's gradient.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels import pool as kernels
from tinygrad_cnn.kernels.pixels import Pair
from tinygrad_cnn.ops._samples import or_integers
from tinygrad_cnn.ops.resize import add_pixels

__all__: list[str] = []


# ------------------------------------------------------------------------------------------ max pooling
@differentiable(name="max_pool2d", residuals=("position",), grad_name="MaxPool2DWithIndicesBackward0")
def max_pool2d(
    input: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    ceil_mode: bool,
    *,
    recording: bool = False,
) -> tuple[Array, Array | None]:
    """The largest element of each window, (..., H, W) -> (..., OH, OW). The first one wins a tie, NaN wins always."""
    return kernels.max_pool2d(input, kernel_size, stride, padding, dilation, ceil_mode, locate=recording)


def _window_samples(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    """The shape of an input, and settings of windows that fit it."""
    rows, columns = draw.window(), draw.window()
    sides = (max(w.size, w.dilation) for w in (rows, columns))  # in less, a window could lie in the padding alone
    shape = (*draw.shape(max_dims=1, max_side=2), draw.integer(1, 2), *sides)
    return shape, dict(
        kernel_size=(rows.kernel, columns.kernel),
        stride=(rows.stride, columns.stride),
        padding=(rows.padding, columns.padding),
        dilation=(rows.dilation, columns.dilation),
    )


@max_pool2d.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    shape, window = _window_samples(draw)
    low, high = draw.choice([(-1.0, 1.0), (-2.0, -1.0)])  # all negative: a padding of zeros would win
    return dict(input=draw.distinct(shape, low, high), **window, ceil_mode=draw.boolean())


def _count(side: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows there are along one dimension, one by one: those that fit, or (ceil) that begin inside."""
    start, reach, count = -padding, dilation * (kernel - 1), 1
    while True:
        left_over = start + reach < side + padding - 1
        start += stride
        if start + reach >= side + padding and not (ceil_mode and left_over and start < side):
            return count
        count += 1


def _size(
    shape: tuple[int, ...], kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Pair:
    settings = zip(shape[-2:], kernel_size, stride, padding, dilation, strict=True)
    rows, columns = (_count(*along, ceil_mode) for along in settings)
    return rows, columns


def _windows(shape: tuple[int, ...], out: Pair, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Any:
    """Every window's index in the result, with the indices of its elements in the input: a reference's loop."""
    for index in np.ndindex(*shape[:-2], *out):
        *outer, row, column = index
        rows = [row * stride[0] - padding[0] + i * dilation[0] for i in range(kernel_size[0])]
        columns = [column * stride[1] - padding[1] + j * dilation[1] for j in range(kernel_size[1])]
        inside = [(k, (*outer, r, c)) for k, (r, c) in enumerate((r, c) for r in rows for c in columns)]
        yield index, [(k, (*o, r, c)) for k, (*o, r, c) in inside if 0 <= r < shape[-2] and 0 <= c < shape[-1]]


@max_pool2d.reference
def _(input: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool) -> Array:
    out = _size(input.shape, kernel_size, stride, padding, dilation, ceil_mode)
    result = np.empty((*input.shape[:-2], *out))
    for index, elements in _windows(input.shape, out, kernel_size, stride, padding, dilation):
        result[index] = max((input[e] for _, e in elements), default=-np.inf)
    return result


@differentiable
def put_in_windows(
    input: Array,
    position: Array,
    output_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Array:
    """Add each element to zeros of ``output_size``, at its position in its window: the gradient of max pooling."""
    return kernels.put_in_windows(input, position, output_size, kernel_size, stride, padding, dilation)


@differentiable
def take_from_windows(
    input: Array, position: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """The element at the given position of each window."""
    return kernels.take_from_windows(input, position, kernel_size, stride, padding, dilation)


max_pool2d.gradients(
    input=lambda g, position, input_shape, kernel_size, stride, padding, dilation: put_in_windows(
        g, position, input_shape[-2:], kernel_size, stride, padding, dilation
    )
)
put_in_windows.gradients(
    input=lambda g, position, kernel_size, stride, padding, dilation: take_from_windows(
        g, position, kernel_size, stride, padding, dilation
    )
)
take_from_windows.gradients(
    input=lambda g, position, input_shape, kernel_size, stride, padding, dilation: put_in_windows(
        g, position, input_shape[-2:], kernel_size, stride, padding, dilation
    )
)


def _position_samples(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    shape, window = _window_samples(draw)
    kernel, stride, padding, dilation = window.values()
    x, ceil_mode = draw.distinct(shape), draw.boolean()
    _, position = kernels.max_pool2d(x, kernel, stride, padding, dilation, ceil_mode, locate=True)
    return shape, dict(position=position, **window)


@put_in_windows.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    shape, settings = _position_samples(draw)
    return dict(input=draw.array(settings["position"].shape), output_size=shape[-2:], **settings)


@put_in_windows.reference
def _(
    input: Array,
    position: Array,
    output_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
) -> Array:
    result = np.zeros((*input.shape[:-2], *output_size))
    for index, elements in _windows(result.shape, input.shape[-2:], kernel_size, stride, padding, dilation):
        result[dict(elements)[position[index]]] += input[index]
    return result


@take_from_windows.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    shape, settings = _position_samples(draw)
    return dict(input=draw.array(shape), **settings)


@take_from_windows.reference
def _(input: Array, position: Array, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    result = np.empty(position.shape)
    for index, elements in _windows(input.shape, position.shape[-2:], kernel_size, stride, padding, dilation):
        result[index] = input[dict(elements)[position[index]]]
    return result


@differentiable(residuals=("indices",), grad_name="AdaptiveMaxPool2DBackward0")
def adaptive_max_pool2d(input: Array, output_size: Pair) -> tuple[Array, Array]:
    """The largest element of each of ``output_size`` areas that share the input, (..., H, W) -> (..., OH, OW)."""
    return kernels.adaptive_max_pool2d(input, output_size)


adaptive_max_pool2d.gradients(input=lambda g, indices, input_shape: add_pixels(g, indices, input_shape[-2:]))


@adaptive_max_pool2d.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    shape, out = draw.shape(min_dims=3, max_dims=4, max_side=5), (draw.integer(1, 4), draw.integer(1, 4))
    if draw.boolean():  # areas of one size are found in another way
        shape = (*shape[:-2], *(draw.integer(1, 3) * count for count in out))
    return dict(input=draw.distinct(shape), output_size=out)


@adaptive_max_pool2d.reference
def _(input: Array, output_size: Pair) -> Array:
    out = np.empty((*input.shape[:-2], *output_size))
    for *outer, i, j in np.ndindex(*out.shape):
        (top, bottom), (left, right) = (
            (math.floor(k * side / count), math.ceil((k + 1) * side / count))
            for k, side, count in zip((i, j), input.shape[-2:], output_size, strict=True)
        )
        out[(*outer, i, j)] = max(input[(*outer, r, c)] for r in range(top, bottom) for c in range(left, right))
    return out


# -------------------------------------------------------------------------------------- average pooling
@differentiable(grad_name="AvgPool2DBackward0")
def avg_pool2d(
    input: Array,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """The mean of each window, (..., H, W) -> (..., OH, OW), or its sum divided by ``divisor_override``."""
    out = kernels.pooled_size(input.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    divisor = divisor_override or kernels.divisors(input.shape, out, kernel_size, stride, padding, count_include_pad)
    return kernels.avg_pool2d(input, divisor, out, kernel_size, stride, padding)


@differentiable
def avg_pool2d_input_grad(
    input: Array,
    output_size: Pair,
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Array:
    """Share each element among the elements of its window: the adjoint of ``avg_pool2d``."""
    out: Any = input.shape[-2:]
    divisor = divisor_override or kernels.divisors(output_size, out, kernel_size, stride, padding, count_include_pad)
    return kernels.avg_pool2d_input_grad(input, divisor, output_size, kernel_size, stride, padding)


avg_pool2d.gradients(
    input=lambda g, input_shape, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: (
        avg_pool2d_input_grad(
            g, input_shape[-2:], kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
        )
    )
)
avg_pool2d_input_grad.gradients(
    input=lambda g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override: avg_pool2d(
        g, kernel_size, stride, padding, ceil_mode, count_include_pad, divisor_override
    )
)


def _avg_samples(draw: Any) -> tuple[tuple[int, ...], dict[str, Any]]:
    shape, window = _window_samples(draw)
    rows, columns = ((k - 1) * d + 1 for k, d in zip(window["kernel_size"], window.pop("dilation"), strict=True))
    window["kernel_size"] = rows, columns  # a dilated window's extent, as its kernel
    return shape, dict(
        **window,
        ceil_mode=draw.boolean(),
        count_include_pad=draw.boolean(),
        divisor_override=draw.choice([None, 1, 3]),
    )


@avg_pool2d.samples
def _(draw: Any) -> dict[str, Any]:
    shape, settings = _avg_samples(draw)
    return dict(input=draw.array(shape), **settings)


def _weights(
    shape: tuple[int, ...],
    kernel_size: Pair,
    stride: Pair,
    padding: Pair,
    ceil_mode: bool,
    count_include_pad: bool,
    divisor_override: int | None,
) -> Any:
    """Index in the result, index in the input, and the weight between them: average pooling as a sparse matrix."""
    out = _size(shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    wide = (*shape[:-2], shape[-2] + 2 * padding[0], shape[-1] + 2 * padding[1])  # the input with its padding
    in_wide = {index: len(e) for index, e in _windows(wide, out, kernel_size, stride, (0, 0), (1, 1))}
    for index, elements in _windows(shape, out, kernel_size, stride, padding, (1, 1)):
        count = in_wide[index] if count_include_pad else len(elements)
        for _, element in elements:
            yield index, element, 1 / (divisor_override or count)


@avg_pool2d.reference
def _(input: Array, *settings: Any) -> Array:
    kernel_size, stride, padding, ceil_mode = settings[:4]
    out = _size(input.shape, kernel_size, stride, padding, (1, 1), ceil_mode)
    result = np.zeros((*input.shape[:-2], *out))
    for index, element, weight in _weights(input.shape, *settings):
        result[index] += weight * input[element]
    return result


@avg_pool2d_input_grad.samples
def _(draw: Any) -> dict[str, Any]:
    shape, settings = _avg_samples(draw)
    kernel, stride, padding, ceil_mode = tuple(settings.values())[:4]
    out = _size(shape, kernel, stride, padding, (1, 1), ceil_mode)
    return dict(input=draw.array((*shape[:-2], *out)), output_size=shape[-2:], **settings)


@avg_pool2d_input_grad.reference
def _(input: Array, output_size: Pair, *settings: Any) -> Array:
    result = np.zeros((*input.shape[:-2], *output_size))
    for index, element, weight in _weights(result.shape, *settings):
        result[element] += weight * input[index]
    return result
