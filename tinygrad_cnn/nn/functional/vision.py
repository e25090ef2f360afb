"""Padding, resizing, sampling and rearranging images, with PyTorch's signatures."""

from __future__ import annotations

import math
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, DTypeError, ShapeError, UnsupportedError
from tinygrad_cnn.kernels import resize as kernels
from tinygrad_cnn.nn.functional.pool import adaptive_avg_pool1d, adaptive_avg_pool2d
from tinygrad_cnn.ops import resize
from tinygrad_cnn.ops.pad import constant_pad_nd, pad_border

__all__ = [
    "affine_grid", "channel_shuffle", "grid_sample", "interpolate", "pad", "pixel_shuffle", "pixel_unshuffle",
    "upsample", "upsample_bilinear", "upsample_nearest",
]  # fmt: skip

Ints = int | Sequence[int]


def _check_tensor(input: Any, op: str, argument: str = "input") -> None:
    if not isinstance(input, Tensor):
        raise ArgumentTypeError(f"{op}(): argument '{argument}' must be Tensor, not {type(input).__name__}")


# ---------------------------------------------------------------------------------------------- padding
def pad(input: Tensor, pad: Sequence[int], mode: str = "constant", value: float | None = None) -> Tensor:
    """Pad the last dimensions: ``pad`` is (left, right), (left, right, top, bottom), ... from the last one.

    ``mode`` is "constant" (with ``value``, any number of dimensions), "reflect" (without repeating the edge),
    "replicate" or "circular". Negative numbers crop. Raises ShapeError if the input is too small.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.pad(tg.tensor([[1, 2, 3]]), (2, 1), mode="reflect")
    tensor([[3, 2, 1, 2, 3, 2]])
    """
    _check_tensor(input, "pad")
    if not isinstance(pad, list | tuple) or any(isinstance(p, bool) or not hasattr(p, "__index__") for p in pad):
        raise ArgumentTypeError(f"pad(): argument 'pad' must be tuple of ints, got {pad!r}")
    sizes = tuple(int(p) for p in pad)
    if mode == "constant":
        return constant_pad_nd(input, sizes, 0 if value is None else value)
    if mode not in ("reflect", "replicate", "circular"):
        raise UnsupportedError(f"pad: mode expected constant, reflect, replicate or circular, got {mode!r}")
    if len(sizes) % 2:
        raise ShapeError(f"pad: Padding length must be divisible by 2, got {sizes}")
    if value:
        raise ShapeError(f"pad: mode {mode!r} doesn't take a value, got {value}")
    shape, dims = input._array.shape, len(sizes) // 2
    if dims not in (1, 2, 3) or len(shape) not in (dims + 1, dims + 2):
        raise UnsupportedError(
            f"pad: mode {mode!r} pads the last 1, 2 or 3 dimensions of a tensor with one or two more, got {len(sizes)} "
            f"numbers for shape {list(shape)}"
        )
    if input._array.dtype.kind == "b":
        raise UnsupportedError(f"pad: mode {mode!r} is not implemented for torch.bool; convert with .int()")
    return _pad_border(input, sizes, mode)


def _pad_border(input: Tensor, sizes: tuple[int, ...], mode: str) -> Tensor:
    added, removed = tuple(max(p, 0) for p in sizes), tuple(min(p, 0) for p in sizes)
    crop_first = mode == "circular" and any(removed)  # what is cropped isn't part of the circle; a mirror shows it
    result: Tensor = constant_pad_nd(input, removed) if crop_first else input
    shape = result._array.shape
    if 0 in shape[-(len(sizes) // 2) - 1 :]:
        raise ShapeError(f"pad: mode {mode!r} expected an input with elements, got {list(shape)}")
    for side, before, after in zip(shape[::-1], added[::2], added[1::2], strict=False):
        most = {"reflect": side - 1, "circular": side}.get(mode, math.inf)
        if max(before, after) > most:
            raise ShapeError(
                f"pad: mode {mode!r} can add at most {most} to a dimension of {side}, got {(before, after)} for "
                f"input {list(shape)}"
            )
    result = pad_border(result, added, mode)
    return constant_pad_nd(result, removed) if any(removed) and not crop_first else result


# --------------------------------------------------------------------------------------------- resizing
_DIMS = {"linear": 1, "bilinear": 2, "bicubic": 2}


def interpolate(
    input: Tensor,
    size: Ints | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
    recompute_scale_factor: bool | None = None,
    antialias: bool = False,
) -> Tensor:
    """Resize signals (N, C, L) or images (N, C, H, W) to ``size``, or by ``scale_factor``.

    ``mode``: "nearest" (rounds down, as OpenCV's), "nearest-exact" (as PIL's), "linear" (signals), "bilinear",
    "bicubic", "area". ``align_corners`` puts the outer pixels' centres on each other, rather than their outer edges.
    ``antialias`` (of "bilinear" and "bicubic") widens the filter where the image shrinks, as PIL does. Volumes aren't
    supported.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.interpolate(tg.tensor([[[1.0, 3.0]]]), scale_factor=2, mode="linear")
    tensor([[[1.0000, 1.5000, 2.5000, 3.0000]]])
    """
    _check_tensor(input, "interpolate")
    nearest = mode in ("nearest", "nearest-exact")
    if (nearest or mode == "area") and align_corners is not None:
        raise ArgumentError(f"interpolate: align_corners belongs to linear, bilinear and bicubic, got mode {mode!r}")
    dims = input._array.ndim - 2
    if antialias and (mode not in ("bilinear", "bicubic") or dims != 2):
        raise ArgumentError("interpolate: antialias is restricted to bilinear and bicubic modes and images")
    out, scales = _target(input, size, scale_factor, recompute_scale_factor)
    if dims not in (1, 2) or not (nearest or mode == "area" or _DIMS.get(mode) == dims):
        raise UnsupportedError(
            "interpolate: expected (N, C, L) with mode linear, or (N, C, H, W) with bilinear or bicubic, or either "
            f"with nearest, nearest-exact or area; got {list(input._array.shape)} with {mode!r}"
        )
    sides = input._array.shape[2:]
    if min(*sides, *out) < 1 or input._array.shape[1] == 0:
        raise ShapeError(f"interpolate: input and output sizes should be greater than 0, got {sides} to {out}")
    if input._array.dtype.kind != "f" and not (nearest and input._array.dtype.name == "uint8"):
        raise UnsupportedError(f"interpolate: mode {mode!r} not implemented for {input.dtype}; convert with .float()")
    if mode == "area":
        return adaptive_avg_pool1d(input, out) if dims == 1 else adaptive_avg_pool2d(input, out)
    if dims == 1:
        row = _resize(input.unsqueeze(-2), (1, *sides), (1, *out), (None, *scales), mode, bool(align_corners))
        return row.squeeze(-2)
    return _resize(input, sides, out, scales, mode, bool(align_corners), antialias)


def _target(input: Tensor, size: Any, scale_factor: Any, recompute: bool | None) -> tuple[tuple[int, ...], Any]:
    """The sides of the result, and the factors to be used instead of their ratios to the input's (or None)."""
    sides = input._array.shape[2:]
    given = size if scale_factor is None else scale_factor
    if size is None and scale_factor is None:
        raise ArgumentError("interpolate: either size or scale_factor should be defined")
    if size is not None and scale_factor is not None:
        raise ArgumentError("interpolate: only one of size or scale_factor should be defined")
    values = list(given) if isinstance(given, list | tuple) else [given] * len(sides)
    if len(values) != len(sides):
        raise ArgumentError(
            f"interpolate: expected {len(sides)} numbers, one a side of the input {list(sides)}, got {given!r}"
        )
    if size is not None:
        if recompute:
            raise ArgumentError("interpolate: recompute_scale_factor is not meaningful with an explicit size")
        if any(isinstance(v, bool) or not hasattr(v, "__index__") for v in values):
            raise ArgumentTypeError(f"interpolate: size expected an int or a tuple of ints, got {size!r}")
        return tuple(int(v) for v in values), [None] * len(sides)
    if any(isinstance(v, bool) or not isinstance(v, int | float) for v in values):
        raise ArgumentTypeError(f"interpolate: scale_factor expected a number or a tuple of them, got {scale_factor!r}")
    out = tuple(math.floor(side * float(v)) for side, v in zip(sides, values, strict=True))
    return out, [None] * len(sides) if recompute else [float(v) for v in values]


def _resize(
    images: Any, sides: Any, out: Any, scales: Any, mode: str, align_corners: bool, antialias: bool = False
) -> Any:
    steps = list(zip(sides, out, scales, strict=True))
    if mode.startswith("nearest"):
        rows, columns = (kernels.nearest_index(*step, mode == "nearest-exact") for step in steps)
        return resize.upsample_nearest2d(images, rows, columns)
    kind, dtype = ("cubic" if mode == "bicubic" else "linear"), images._array.dtype.name
    matrix = kernels.smooth_matrix if antialias else kernels.matrix
    rows, columns = (matrix(kind, *step, align_corners, dtype) for step in steps)
    op = f"upsample_bi{kind}2d{'_aa' if antialias else ''}"
    return getattr(resize, op)(images, rows, columns)


def upsample(
    input: Tensor,
    size: Ints | None = None,
    scale_factor: float | Sequence[float] | None = None,
    mode: str = "nearest",
    align_corners: bool | None = None,
) -> Tensor:
    """``interpolate`` under its old name; warns, as PyTorch does."""
    warnings.warn("`nn.functional.upsample` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3)
    return interpolate(input, size, scale_factor, mode, align_corners)


def upsample_nearest(input: Tensor, size: Ints | None = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` with mode "nearest"; warns, as PyTorch does."""
    warnings.warn(
        "`nn.functional.upsample_nearest` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3
    )
    return interpolate(input, size, scale_factor, mode="nearest")


def upsample_bilinear(input: Tensor, size: Ints | None = None, scale_factor: Any = None) -> Tensor:
    """``interpolate`` with mode "bilinear" and aligned corners; warns, as PyTorch does."""
    warnings.warn(
        "`nn.functional.upsample_bilinear` is deprecated. Use `nn.functional.interpolate` instead.", stacklevel=3
    )
    return interpolate(input, size, scale_factor, mode="bilinear", align_corners=True)


# --------------------------------------------------------------------------------------------- sampling
def _aligned(align_corners: bool | None) -> bool:
    if align_corners is None:
        warnings.warn(
            "Default grid_sample and affine_grid behavior has changed to align_corners=False since 1.3.0. Please "
            "specify align_corners=True if the old behavior is desired.",
            stacklevel=4,
        )
    return bool(align_corners)


def affine_grid(theta: Tensor, size: Sequence[int], align_corners: bool | None = None) -> Tensor:
    """Where each pixel of an image of ``size`` (N, C, H, W) lies under the affine maps ``theta`` (N, 2, 3).

    Returns (N, H, W, 2), x before y, in [-1, 1] over the image, for ``grid_sample`` with the same ``align_corners``
    (Jaderberg et al. 2015, section 3.2).

    >>> import tinygrad_cnn as tg
    >>> same = tg.tensor([[[1.0, 0.0, 0.0], [0.0, 1.0, 0.0]]])
    >>> tg.nn.functional.affine_grid(same, (1, 1, 1, 2), align_corners=False)
    tensor([[[[-0.5000,  0.0000],
              [ 0.5000,  0.0000]]]])
    """
    align_corners = _aligned(align_corners)
    _check_tensor(theta, "affine_grid", "theta")
    if not theta.is_floating_point():
        raise ArgumentError(f"affine_grid: theta expected a floating dtype, got {theta.dtype}")
    sizes = tuple(int(side) for side in size)
    if len(sizes) != 4:
        raise UnsupportedError(f"affine_grid: size expected (N, C, H, W), got {sizes}")
    if theta._array.ndim != 3 or theta._array.shape[1:] != (2, 3):
        raise ArgumentError(f"affine_grid: theta expected shape (N, 2, 3), got {theta._array.shape}")
    if min(sizes) <= 0:
        raise ArgumentError(f"affine_grid: expected non-zero, positive output size, got {sizes}")
    if theta._array.shape[0] != sizes[0]:
        raise ShapeError(f"affine_grid: theta has {theta._array.shape[0]} maps for {sizes[0]} images")
    height, width = sizes[2:]
    x, y = (_places(side, align_corners) for side in (width, height))
    base = np.ones((height, width, 3), theta._array.dtype)
    base[..., 0], base[..., 1] = x, y[:, None]
    points: Any = wrap(base.reshape(1, height * width, 3))
    grid: Tensor = (points @ theta.transpose(1, 2)).reshape(sizes[0], height, width, 2)
    return grid


def _places(side: int, align_corners: bool) -> np.ndarray:
    """The pixels of a side in [-1, 1]."""
    if align_corners:
        return np.linspace(-1, 1, side) if side > 1 else np.zeros(1)
    return (2 * np.arange(side) + 1) / side - 1


def grid_sample(
    input: Tensor,
    grid: Tensor,
    mode: str = "bilinear",
    padding_mode: str = "zeros",
    align_corners: bool | None = None,
) -> Tensor:
    """Sample images (N, C, H, W) at the places ``grid`` (N, OH, OW, 2), x before y in [-1, 1] -> (N, C, OH, OW).

    ``mode``: "bilinear", "nearest" or "bicubic"; ``padding_mode``, for places outside the image: "zeros", "border" or
    "reflection". Differentiable in the images and in the places (Jaderberg et al. 2015, section 3.3).

    >>> import tinygrad_cnn as tg
    >>> image, middle = tg.tensor([[[[1.0, 3.0]]]]), tg.zeros(1, 1, 1, 2)
    >>> tg.nn.functional.grid_sample(image, middle, align_corners=False)
    tensor([[[[2.]]]])
    """
    if mode not in ("bilinear", "nearest", "bicubic"):
        raise ArgumentError(f"grid_sample: mode expected bilinear, nearest or bicubic, got {mode!r}")
    if padding_mode not in ("zeros", "border", "reflection"):
        raise ArgumentError(f"grid_sample: padding_mode expected zeros, border or reflection, got {padding_mode!r}")
    align_corners = _aligned(align_corners)
    _check_tensor(input, "grid_sample")
    _check_tensor(grid, "grid_sample", "grid")
    shape, places = input._array.shape, grid._array.shape
    if len(shape) != 4 or len(places) != 4 or places[3] != 2 or places[0] != shape[0] or 0 in shape[2:]:
        raise ShapeError(f"grid_sample: expected input (N, C, H, W) and grid (N, OH, OW, 2), got {shape} and {places}")
    if input._array.dtype.kind != "f":
        raise UnsupportedError(f"grid_sample: not implemented for {input.dtype}; convert with .float()")
    if input._array.dtype != grid._array.dtype:
        raise DTypeError(f"grid_sample: grid expected the dtype of input, {input.dtype}, got {grid.dtype}")
    height, width = shape[2:]
    # Cubic neighbours are padded one by one; else the place itself is.
    beforehand = "zeros" if mode == "bicubic" else padding_mode
    x = resize.sampling_coordinates(grid[..., 0], width, beforehand, align_corners)
    y = resize.sampling_coordinates(grid[..., 1], height, beforehand, align_corners)
    total: Any = 0
    for row, row_weight in _taps(y, mode):
        row, row_inside = _padded(row, height, padding_mode, align_corners)
        for column, column_weight in _taps(x, mode):
            column, inside = _padded(column, width, padding_mode, align_corners)
            index = (row * width + column)[:, None]
            values = resize.take_pixels(input, wrap(index))
            weight = row_weight * column_weight * wrap((inside & row_inside).astype(input._array.dtype))
            total = total + values * weight.unsqueeze(1)
    return total


def _taps(place: Any, mode: str) -> list[tuple[np.ndarray, Any]]:
    """The pixels around each place along one side, and their weights, which are recorded functions of the place."""
    array = place._array
    if mode == "nearest":
        one = place.masked_fill(wrap(np.ones(array.shape, bool)), 1.0)  # still a function of the grid: gradient 0
        return [(np.rint(array), one)]
    first = np.floor(array)
    fraction = place - wrap(first)
    if mode == "bilinear":
        return [(first, 1 - fraction), (first + 1, fraction)]
    return [(first + k, weight) for k, weight in enumerate(kernels.cubic_weights(fraction), -1)]


def _padded(pixel: np.ndarray, side: int, padding_mode: str, align_corners: bool) -> tuple[np.ndarray, np.ndarray]:
    """Pixel numbers moved into the image as ``padding_mode`` says, and whether they count."""
    inside = (pixel >= 0) & (pixel < side) if padding_mode == "zeros" else np.ones(pixel.shape, bool)
    if padding_mode == "reflection":
        pixel = kernels.reflect(pixel, side, align_corners)[0]
    return kernels.clip(pixel, side).astype(np.int64), inside


# ------------------------------------------------------------------------------------------ rearranging
def _factor(value: Any, op: str, argument: str, input: Any) -> None:
    _check_tensor(input, op)
    if isinstance(value, bool) or not hasattr(value, "__index__"):
        raise ArgumentTypeError(f"{op}(): argument '{argument}' must be int, not {type(value).__name__}")
    if input._array.ndim < 3:
        raise ShapeError(f"{op} expects input to have at least 3 dimensions, got {list(input._array.shape)}")
    if value <= 0:
        raise ShapeError(f"{op} expects a positive {argument}, but got {value}")


def pixel_shuffle(input: Tensor, upscale_factor: int) -> Tensor:
    """Channels become pixels: (..., C r r, H, W) -> (..., C, H r, W r) with r = ``upscale_factor`` (Shi et al. 2016).

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.pixel_shuffle(tg.arange(4).reshape(4, 1, 1), 2)
    tensor([[[0, 1],
             [2, 3]]])
    """
    r = upscale_factor
    _factor(r, "pixel_shuffle", "upscale_factor", input)
    *outer, channels, height, width = input._array.shape
    if channels % (r * r):
        raise ShapeError(f"pixel_shuffle expects channels divisible by the square of {r}, got {channels}")
    parts = input.reshape(*outer, channels // (r * r), r, r, height, width)
    mixed = parts.permute(*range(len(outer) + 1), -2, -4, -1, -3)  # (..., C, H, r, W, r)
    result: Tensor = mixed.reshape(*outer, channels // (r * r), height * r, width * r)
    return result


def pixel_unshuffle(input: Tensor, downscale_factor: int) -> Tensor:
    """Pixels become channels: (..., C, H r, W r) -> (..., C r r, H, W), the inverse of ``pixel_shuffle``."""
    r = downscale_factor
    _factor(r, "pixel_unshuffle", "downscale_factor", input)
    *outer, channels, height, width = input._array.shape
    if height % r or width % r:
        raise ShapeError(f"pixel_unshuffle expects height and width divisible by {r}, got {(height, width)}")
    parts = input.reshape(*outer, channels, height // r, r, width // r, r)
    mixed = parts.permute(*range(len(outer) + 1), -3, -1, -4, -2)  # (..., C, r, r, H, W)
    result: Tensor = mixed.reshape(*outer, channels * r * r, height // r, width // r)
    return result


def channel_shuffle(input: Tensor, groups: int) -> Tensor:
    """Deal the channels of (N, C, ...) out over ``groups`` in turn (Zhang et al. 2018, ShuffleNet, figure 1).

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.channel_shuffle(tg.arange(4).reshape(1, 4, 1), 2).flatten()
    tensor([0, 2, 1, 3])
    """
    _factor(groups, "channel_shuffle", "groups", input)
    batch, channels, *rest = input._array.shape
    if channels % groups:
        raise ShapeError(f"channel_shuffle: channels must be divisible by groups, got {channels} and {groups}")
    parts = input.reshape(batch, groups, channels // groups, *rest)
    result: Tensor = parts.transpose(1, 2).reshape(batch, channels, *rest)
    return result
