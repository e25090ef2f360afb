"""Resizing and sampling kernels on the last two dimensions of an array. Arrays in, arrays out.

Resizing is linear and separable: two small matrices, one for the rows and one for the columns. Nearest neighbours
are gathered instead, which keeps integers and infinities.
"""

from __future__ import annotations

import functools
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.pixels import Pair
from tinygrad_cnn.kernels.pool import avg_pool2d

Array = np.ndarray
_BAND = 64  # rows of a resizing matrix that are multiplied at once: they have few columns that aren't zero


# ------------------------------------------------------------------------------------ resizing matrices
@functools.lru_cache(maxsize=256)
def matrix(kind: str, side: int, out: int, scale: float | None, align_corners: bool, dtype: str) -> Array:
    """The (out, side) matrix that resizes a side: ``kind`` is "linear", "cubic" (both of pixels) or "area".

    ``scale`` is the user's factor, where it isn't to be out / side. Computed in ``dtype``, as PyTorch does.
    """
    result = np.zeros((out, side), dtype)
    if kind == "area":
        for i in range(out):
            begin, end = i * side // out, -(-(i + 1) * side // out)
            result[i, begin:end] = 1 / (end - begin)
        result.flags.writeable = False
        return result
    number = np.dtype(dtype).type
    index = np.arange(out).astype(dtype)
    if align_corners:
        source = index * (number(side - 1) / number(out - 1) if out > 1 else number(0))
    else:
        step = number(1 / scale) if scale else number(side) / number(out)
        source = (index + number(0.5)) * step - number(0.5)
        if kind == "linear":
            source = np.maximum(source, 0)
    left = np.minimum(np.floor(source), side - 1)
    fraction = np.clip(source - left, 0, 1)
    taps = [(0, 1 - fraction), (1, fraction)] if kind == "linear" else list(enumerate(cubic_weights(fraction), -1))
    for offset, weight in taps:
        np.add.at(result, (np.arange(out), np.clip(left.astype(int) + offset, 0, side - 1)), weight)
    result.flags.writeable = False
    return result


@functools.lru_cache(maxsize=256)
def smooth_matrix(kind: str, side: int, out: int, scale: float | None, align_corners: bool, dtype: str) -> Array:
    """As ``matrix`` for "linear" and "cubic", antialiased as PIL does it.

    Where the image shrinks, the filter is as many times wider, and its weights within the image add up to 1.
    """
    if align_corners:
        step = (side - 1) / (out - 1) if out > 1 else 0.0
    else:
        step = 1 / scale if scale else side / out
    width = max(step, 1.0)
    reach = width * (1 if kind == "linear" else 2)
    centre = step * (np.arange(out)[:, None] + 0.5)
    pixel = np.arange(side)
    first = np.maximum(np.trunc(centre - reach + 0.5), 0)
    last = np.minimum(np.trunc(centre + reach + 0.5), side)
    away = np.abs(pixel - centre + 0.5) / width
    if kind == "linear":
        weights = np.maximum(1 - away, 0)
    else:
        near, far = (1.5 * away - 2.5) * away * away + 1, ((-0.5 * away + 2.5) * away - 4) * away + 2  # a = -0.5
        weights = np.where(away < 1, near, np.where(away < 2, far, 0))
    weights[(pixel < first) | (pixel >= last)] = 0
    result: Array = (weights / weights.sum(axis=1, keepdims=True)).astype(dtype)
    result.flags.writeable = False
    return result


def cubic_weights(t: Any) -> list[Any]:
    """The weights of the pixels at -1, 0, 1, 2 for a point at ``t`` in [0, 1] (Keys 1981, with a = -0.75)."""
    a = -0.75

    def near(x: Any) -> Any:  # at most 1 away
        return ((a + 2) * x - (a + 3)) * x * x + 1

    def far(x: Any) -> Any:
        return ((a * x - 5 * a) * x + 8 * a) * x - 4 * a

    return [far(t + 1), near(t), near(1 - t), far(2 - t)]


def resample(x: Array, rows: Array, columns: Array) -> Array:
    """``rows @ x @ columns.T`` on the last two dimensions."""
    rows, columns = rows.astype(x.dtype, copy=False), columns.astype(x.dtype, copy=False)
    if x.ndim == 4 and x.shape[1] > 1 and x.transpose(0, 2, 3, 1).flags.c_contiguous:  # channels-last memory
        n, c, h, w = x.shape
        tall = _multiply(rows, x.transpose(0, 2, 3, 1).reshape(n, h, w * c))
        wide = _multiply(columns, tall.reshape(n * len(rows), w, c))
        return wide.reshape(n, len(rows), len(columns), c).transpose(0, 3, 1, 2)
    tall = _multiply(rows, x)
    return _multiply(columns, tall.swapaxes(-1, -2)).swapaxes(-1, -2)


def _multiply(a: Array, x: Array) -> Array:
    """``a @ x`` for a large matrix ``a`` with a narrow band of elements that aren't zero."""
    if min(a.shape) <= 2 * _BAND:
        return np.asarray(a @ x)
    out = np.empty((*x.shape[:-2], len(a), x.shape[-1]), x.dtype)
    for begin in range(0, len(a), _BAND):
        band = a[begin : begin + _BAND]
        used = np.flatnonzero(band.any(axis=0))
        low, high = (used[0], used[-1] + 1) if used.size else (0, 1)
        np.matmul(band[:, low:high], x[..., low:high, :], out=out[..., begin : begin + _BAND, :])
    return out


# ------------------------------------------------------------------------------------ nearest neighbours
def nearest_index(side: int, out: int, scale: float | None, exact: bool) -> Array:
    """For each of ``out`` pixels the nearest of ``side``; ``exact`` measures between their centres."""
    index = np.arange(out)
    if not exact and out in (side, 2 * side):  # PyTorch's shortcut, whatever the scale
        return index * side // out
    step = np.float32(1 / scale) if scale else np.float32(side) / np.float32(out)
    source = (index.astype(np.float32) + np.float32(0.5 if exact else 0)) * step
    return np.asarray(np.minimum(source.astype(np.int64), side - 1))


def _repeats(index: Array, side: int) -> int:
    """How often ``index`` repeats each of ``side`` elements in turn; 0 if it does something else."""
    times = len(index) // side if side else 0
    return times if times * side == len(index) and (index == np.arange(len(index)) // max(times, 1)).all() else 0


def take_nearest(x: Array, rows: Array, columns: Array) -> Array:
    """The elements at ``rows`` and ``columns``."""
    out = np.empty_like(x, shape=(*x.shape[:-2], len(rows), len(columns)))
    tall, wide = _repeats(rows, x.shape[-2]), _repeats(columns, x.shape[-1])
    if not tall or not wide:
        out[...] = x[..., rows[:, None], columns]
        return out
    for i in range(tall):
        for j in range(wide):
            out[..., i::tall, j::wide] = x
    return out


def add_nearest(g: Array, rows: Array, columns: Array, size: Pair) -> Array:
    """Add each element to the one of ``size`` that it was taken from: the adjoint of ``take_nearest``."""
    if not g.size:
        return np.zeros_like(g, shape=(*g.shape[:-2], *size))
    window = _repeats(rows, size[0]), _repeats(columns, size[1])
    if min(window):
        return avg_pool2d(g, 1, size, window, window, (0, 0))
    for axis, index, side in ((-2, rows, size[0]), (-1, columns, size[1])):
        starts = np.flatnonzero(np.diff(index, prepend=-1))  # the indices never fall
        summed = np.add.reduceat(g, starts, axis=axis)
        shape = list(g.shape)
        shape[axis] = side
        g = np.zeros_like(g, shape=shape)
        g[(..., index[starts], slice(None)) if axis == -2 else (..., index[starts])] = summed
    return g


# --------------------------------------------------------------------------------- sampling at any place
def coordinates(x: Array, side: int, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Grid positions in [-1, 1] as pixel coordinates of a side, and the slope of that function.

    "border" clips them to the image and "reflection" mirrors them at its edges; "zeros" leaves them.
    """
    half = (side - 1) / 2 if align_corners else side / 2
    place = (x + 1) * half - (0 if align_corners else 0.5)
    slope = np.full_like(x, half)
    if padding_mode == "zeros":
        return place, slope
    if padding_mode == "reflection":
        place, sign = reflect(place, side, align_corners)
        slope *= sign
    slope[~((place > 0) & (place < side - 1))] = 0
    return clip(place, side), slope


def clip(place: Array, side: int) -> Array:
    """Coordinates within the pixels of a side; NaN becomes 0."""
    return np.asarray(np.minimum(np.fmax(place, 0), side - 1))


def reflect(place: Array, side: int, align_corners: bool) -> tuple[Array, Array]:
    """Coordinates mirrored at the edges of a side (its outer pixels' centres if ``align_corners``), and the slope."""
    low, span = (0.0, side - 1.0) if align_corners else (-0.5, float(side))
    if span == 0:
        return np.zeros_like(place), np.zeros_like(place)
    away = place - low
    flips, rest = np.floor(np.abs(away) / span), np.fmod(np.abs(away), span)
    odd = flips % 2 == 1
    sign = np.where(away < 0, -1, 1) * np.where(odd, -1, 1)
    return np.where(odd, span - rest, rest) + low, sign.astype(place.dtype)


def _flat_pixels(x: Array) -> Array:
    """The last two dimensions as one; a batch may be empty."""
    return x.reshape(*x.shape[:-2], x.shape[-2] * x.shape[-1])


def take_pixels(x: Array, index: Array) -> Array:
    """Elements at flat indices into the last two dimensions; (N, 1, OH, OW) indices serve all channels."""
    planes = _flat_pixels(x)
    flat = _flat_pixels(index)
    return np.take_along_axis(planes, flat, -1).reshape(*x.shape[:-2], *index.shape[-2:])


def add_pixels(g: Array, index: Array, size: Pair) -> Array:
    """Add elements to zeros of ``size`` at flat indices: the adjoint of ``take_pixels``."""
    area = size[0] * size[1]
    planes = int(np.prod(g.shape[:-2]))
    offsets = (np.arange(planes) * area).reshape(*g.shape[:-2], 1, 1)
    total = np.bincount((index + offsets).ravel(), g.ravel(), minlength=planes * area)  # sums in float64
    return total.astype(g.dtype).reshape(*g.shape[:-2], *size)


def put_pixels(x: Array, index: Array, size: Pair) -> Array:
    """Write elements to zeros of ``size`` at flat indices; the last one stays where several meet."""
    out = np.zeros((*x.shape[:-2], size[0] * size[1]), x.dtype)
    np.put_along_axis(out, _flat_pixels(index), _flat_pixels(x), -1)
    return out.reshape(*x.shape[:-2], *size)
