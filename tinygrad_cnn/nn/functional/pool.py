"""Pooling, with PyTorch's signatures over the strict ops of ``ops.pool``."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError, UnsupportedError
from tinygrad_cnn.kernels.pixels import Pair
from tinygrad_cnn.kernels.pool import flat_indices, pooled_size
from tinygrad_cnn.kernels.resize import matrix
from tinygrad_cnn.ops import pool as ops, resize
from tinygrad_cnn.ops.resize import max_unpool2d as unpool

__all__ = [
    "adaptive_avg_pool1d", "adaptive_avg_pool2d", "adaptive_max_pool1d", "adaptive_max_pool1d_with_indices",
    "adaptive_max_pool2d", "adaptive_max_pool2d_with_indices", "avg_pool1d", "avg_pool2d", "lp_pool1d", "lp_pool2d",
    "max_pool1d", "max_pool1d_with_indices", "max_pool2d", "max_pool2d_with_indices", "max_unpool1d", "max_unpool2d",
]  # fmt: skip

Ints = int | Sequence[int]


def ints(value: Any, count: int, op: str, argument: str) -> tuple[int, ...]:
    """``count`` integers from one, or from a sequence of one or ``count`` of them."""
    if type(value) is int:
        return (value,) * count
    if type(value) is tuple and [type(v) for v in value] == [int] * count:
        return value
    values = tuple(value) if isinstance(value, list | tuple) else (value,)
    if any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
        raise ArgumentTypeError(f"{op}: {argument} expected an int or a tuple of {count} ints, got {value!r}")
    if len(values) not in (1, count):
        raise ShapeError(f"{op}: {argument} must either be a single int, or a tuple of {count} ints; got {value!r}")
    return tuple(int(v) for v in values) * (count // len(values))


INTEGERS = ("uint8", "int8", "int16", "int32", "int64")


def check_images(
    input: Any, op: str, dims: int = 2, integers: tuple[str, ...] = (), empty_channels: bool = False
) -> None:
    """Raise unless ``input`` is a Tensor of images, or of a batch, that are floating or of one of the ``integers``."""
    if not isinstance(input, Tensor):
        raise ArgumentTypeError(f"{op}(): argument 'input' must be Tensor, not {type(input).__name__}")
    shape = input._array.shape
    if len(shape) not in (dims + 1, dims + 2) or 0 in shape[-dims - (not empty_channels) :]:
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
    return _fitting(op, input._array.shape, kernel, step, pad, gap, ceil_mode)


Settings = tuple[int, ...]


@functools.lru_cache(maxsize=1024)
def _fitting(
    op: str, shape: Settings, kernel: Settings, step: Settings, pad: Settings, gap: Settings, ceil_mode: bool
) -> tuple[Pair, Pair, Pair, Pair]:
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
    dims = len(kernel)
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
    images: Any = input if dims == 2 else input.unsqueeze(-2)
    if not return_indices:
        out = ops.max_pool2d(images, *window, ceil_mode)
        return out if dims == 2 else out.squeeze(-2)
    out, position = ops.max_pool2d.with_residuals(images, *window, ceil_mode)
    indices = wrap(flat_indices(position._array, images.shape[-1], *window))
    return (out, indices) if dims == 2 else (out.squeeze(-2), indices.squeeze(-2))


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
    rows = input.unsqueeze(-2)
    out: Tensor = ops.avg_pool2d(rows, kernel, step, pad, ceil_mode, count_include_pad, None).squeeze(-2)
    return out


def _check_areas(op: str, input: Any, output_size: Any) -> None:
    """PyTorch has an error type of its own for more sides than the input's."""
    if isinstance(input, Tensor) and isinstance(output_size, list | tuple) and input.ndim <= len(output_size):
        raise ArgumentError(
            f"{op}: input dimension should be at least {len(output_size) + 1}, got {list(input._array.shape)} for "
            f"output_size {tuple(output_size)}"
        )


def _output_size(op: str, input: Tensor, output_size: Any, dims: int) -> tuple[int, ...]:
    """The sides asked for; None stands for the input's own."""
    if output_size is None and dims == 2:
        raise ArgumentTypeError(f"{op}: output_size expected an int or a tuple with ints or None, got None")
    sides = list(output_size) if isinstance(output_size, list | tuple) else [output_size] * dims
    if len(sides) != dims:
        raise ShapeError(f"{op}: output_size must be {dims}, got {output_size!r}")
    if dims == 2:
        sides = [own if side is None else side for side, own in zip(sides, input._array.shape[-2:], strict=True)]
    result = tuple(side for s in sides for side in ints(s, 1, op, "output_size"))
    if min(result) < 0:
        raise ShapeError(f"{op}: elements of output_size must be greater than or equal to 0, got {output_size!r}")
    return result


def adaptive_avg_pool2d(input: Tensor, output_size: Ints | tuple[int | None, int | None]) -> Tensor:
    """The mean of each of ``output_size`` areas that share the image, (N, C, H, W) or (C, H, W) -> (..., OH, OW).

    A None keeps that side. (1, 1) is global average pooling (Lin et al. 2013, section 3.2).

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.adaptive_avg_pool2d(tg.tensor([[[1.0, 5.0], [3.0, 3.0]]]), 1)
    tensor([[[3.]]])
    """
    _check_areas("adaptive_avg_pool2d", input, output_size)
    check_images(input, "adaptive_avg_pool2d", 2, empty_channels=True)
    return _adaptive_avg(input, _output_size("adaptive_avg_pool2d", input, output_size, 2))


def _adaptive_avg(input: Any, out: tuple[int, ...]) -> Tensor:
    height, width = input._array.shape[-2:]
    if out == (1, 1):
        mean: Tensor = input.mean((-2, -1), keepdim=True)
        return mean
    rows, columns = (matrix("area", side, o, None, False, "float64") for side, o in ((height, out[0]), (width, out[1])))
    result: Tensor = resize.adaptive_avg_pool2d(input, rows, columns)
    return result


def adaptive_avg_pool1d(input: Tensor, output_size: Ints) -> Tensor:
    """As ``adaptive_avg_pool2d`` for signals, (N, C, L) or (C, L)."""
    check_images(input, "adaptive_avg_pool1d", 1, empty_channels=True)
    out = _output_size("adaptive_avg_pool1d", input, output_size, 1)
    return _adaptive_avg(input.unsqueeze(-2), (1, *out)).squeeze(-2)


def _adaptive_max(op: str, input: Tensor, output_size: Any, return_indices: bool, dims: int) -> Any:
    if dims == 2:
        _check_areas(op, input, output_size)
    check_images(input, op, dims)
    out = _pair(_output_size(op, input, output_size, dims), 1)
    if dims == 2:
        if return_indices:
            return ops.adaptive_max_pool2d.with_residuals(input, out)
        return ops.adaptive_max_pool2d(input, out)
    best, indices = ops.adaptive_max_pool2d.with_residuals(input.unsqueeze(-2), out)
    return (best.squeeze(-2), indices.squeeze(-2)) if return_indices else best.squeeze(-2)


def adaptive_max_pool2d(
    input: Tensor, output_size: Ints | tuple[int | None, int | None], return_indices: bool = False
) -> Any:
    """The largest element of each of ``output_size`` areas that share the image; see ``adaptive_avg_pool2d``.

    With ``return_indices`` also where it was found, as an index into the flattened H x W plane.
    """
    return _adaptive_max("adaptive_max_pool2d", input, output_size, return_indices, 2)


def adaptive_max_pool1d(input: Tensor, output_size: Ints, return_indices: bool = False) -> Any:
    """As ``adaptive_max_pool2d`` for signals, (N, C, L) or (C, L)."""
    return _adaptive_max("adaptive_max_pool1d", input, output_size, return_indices, 1)


def adaptive_max_pool2d_with_indices(input: Tensor, output_size: Ints, return_indices: bool = True) -> Any:
    """``adaptive_max_pool2d`` with ``return_indices=True``, whatever is given, as in PyTorch."""
    return _adaptive_max("adaptive_max_pool2d", input, output_size, True, 2)


def adaptive_max_pool1d_with_indices(input: Tensor, output_size: Ints, return_indices: bool = True) -> Any:
    """``adaptive_max_pool1d`` with ``return_indices=True``, whatever is given, as in PyTorch."""
    return _adaptive_max("adaptive_max_pool1d", input, output_size, True, 1)


def _max_unpool(
    op: str, input: Any, indices: Any, kernel_size: Any, stride: Any, padding: Any, output_size: Any, dims: int
) -> Tensor:
    check_images(input, op, dims)
    kernel = ints(kernel_size, dims, op, "kernel_size")
    step, pad = kernel if stride is None else ints(stride, dims, op, "stride"), ints(padding, dims, op, "padding")
    shape = input._array.shape
    sides = tuple((n - 1) * s + k - 2 * p for n, s, k, p in zip(shape[-dims:], step, kernel, pad, strict=True))
    if output_size is not None:
        wanted = tuple(output_size)[-dims:]
        if len(output_size) not in (dims, dims + 2):
            raise ArgumentError(f"{op}: output_size expected {dims} or {dims + 2} elements, got {tuple(output_size)}")
        for side, own, s in zip(wanted, sides, step, strict=True):
            if not own - s < side < own + s:
                raise ArgumentError(f"{op}: output_size {wanted}: {side} must be between {own - s} and {own + s}")
        sides = tuple(int(side) for side in wanted)
    if not isinstance(indices, Tensor) or indices._array.dtype.name != "int64":
        raise DTypeError(f"{op}: indices expected an int64 Tensor, got {getattr(indices, 'dtype', type(indices))}")
    if indices._array.shape != shape:
        raise ShapeError(f"{op}: indices expected the shape of the input, {shape}, got {indices._array.shape}")
    found = indices._array
    if found.size and not 0 <= found.min() <= found.max() < math.prod(sides):
        raise ShapeError(f"{op}: indices expected 0 to {math.prod(sides) - 1}, got {found.min()} to {found.max()}")
    size = _pair(sides, 1)
    if dims == 1:
        input, indices = input.unsqueeze(-2), indices.unsqueeze(-2)
    out: Tensor = unpool(input, indices, size)
    return out if dims == 2 else out.squeeze(-2)


def max_unpool2d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """Put maxima back where ``max_pool2d(..., return_indices=True)`` found them, among zeros (Zeiler et al. 2014).

    ``output_size`` chooses among the sizes that pooling would have reduced to the input's.
    """
    return _max_unpool("max_unpool2d", input, indices, kernel_size, stride, padding, output_size, 2)


def max_unpool1d(
    input: Tensor,
    indices: Tensor,
    kernel_size: Ints,
    stride: Ints | None = None,
    padding: Ints = 0,
    output_size: Sequence[int] | None = None,
) -> Tensor:
    """As ``max_unpool2d`` for signals, (N, C, L) or (C, L)."""
    return _max_unpool("max_unpool1d", input, indices, kernel_size, stride, padding, output_size, 1)


def _lp_pool(
    input: Any,
    norm_type: float,
    kernel_size: Any,
    stride: Any,
    ceil_mode: bool,
    dims: int,
    max_pool: Any,
    avg_pool: Any,
) -> Tensor:
    result: Tensor
    if norm_type == math.inf:
        result = max_pool(input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    elif norm_type == -math.inf:
        result = -max_pool(-input.abs(), kernel_size, stride, 0, 1, ceil_mode)
    else:
        mean = avg_pool(input.pow(norm_type), kernel_size, stride, 0, ceil_mode)
        count = math.prod(ints(kernel_size, dims, "lp_pool", "kernel_size"))
        result = (mean.sign() * mean.abs().relu() * count).pow(1.0 / norm_type)
    return result


def lp_pool2d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """The p-norm of each window, without absolute values if ``norm_type`` is odd, as in PyTorch."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 2, max_pool2d, avg_pool2d)


def lp_pool1d(
    input: Tensor, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
) -> Tensor:
    """As ``lp_pool2d`` for signals, (N, C, L) or (C, L)."""
    return _lp_pool(input, norm_type, kernel_size, stride, ceil_mode, 1, max_pool1d, avg_pool1d)
