"""Pooling kernels on the last two dimensions of an array. Arrays in, arrays out.

They loop over the positions inside a window, never over the windows: one position of all windows is a strided view
of the input. Results keep the input's memory order, so images in channels-last memory stay so.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray
Pair = tuple[int, int]
_CHUNK = 1 << 19  # bytes of input that are pooled at once: with the scratch, they stay in the second-level cache


def pooled_side(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit along a side. ``ceil_mode`` adds one that sticks out, unless it began in the padding."""
    extent = dilation * (kernel - 1) + 1
    slack = size + 2 * padding - extent
    count = (-(-slack // stride) if ceil_mode else slack // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


def pooled_size(
    size: Sequence[int], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Pair:
    """``pooled_side`` of the last two dimensions of an array of shape ``size``."""
    height, width = (
        pooled_side(*settings, ceil_mode) for settings in zip(size[-2:], kernel, stride, padding, dilation, strict=True)
    )
    return height, width


def _positions(x: Array, out: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Iterator[Array]:
    """For each position in a window, row by row: the view of ``x`` that holds this position of every window."""
    rows, columns = ((count - 1) * step + 1 for count, step in zip(out, stride, strict=True))
    for i in range(0, kernel[0] * dilation[0], dilation[0]):
        for j in range(0, kernel[1] * dilation[1], dilation[1]):
            yield x[..., i : i + rows : stride[0], j : j + columns : stride[1]]


def _canvas(size: Sequence[int], out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> list[int]:
    """The sides that the padded input needs at least: the windows may stick out, or leave pixels over."""
    return [
        max((count - 1) * step + gap * (k - 1) + 1, p + side)
        for side, count, k, step, p, gap in zip(size[-2:], out, kernel, stride, padding, dilation, strict=True)
    ]


def _padded(x: Array, canvas: Sequence[int], padding: Pair, value: float) -> Array:
    """``x`` on a larger canvas filled with ``value``; ``x`` itself where nothing needs to be added."""
    height, width = x.shape[-2:]
    if canvas[0] == height and canvas[1] == width:
        return x
    result = np.full_like(x, value, shape=(*x.shape[:-2], *canvas))
    result[..., padding[0] : padding[0] + height, padding[1] : padding[1] + width] = x
    return result


def _chunks(x: Array) -> Iterator[slice]:
    """Parts of the first dimension that are small enough for the cache, scratch included."""
    if x.ndim < 3:
        yield slice(None)
        return
    step = max(1, _CHUNK // max(x[:1].nbytes, 1))
    for begin in range(0, len(x), step):
        yield slice(begin, begin + step)


# ------------------------------------------------------------------------------------------ max pooling
def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, locate: bool
) -> tuple[Array, Array | None]:
    """The largest element of each window and, if ``locate``, its position in the window (0 is top left)."""
    out = pooled_size(x.shape, kernel, stride, padding, dilation, ceil_mode)
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min
    canvas = _canvas(x.shape, out, kernel, stride, padding, dilation)
    best = np.empty_like(x, shape=(*x.shape[:-2], *out))
    position = np.zeros_like(best, dtype=np.min_scalar_type(kernel[0] * kernel[1] - 1)) if locate else None
    for part in _chunks(x):
        padded = _padded(x[part], canvas, padding, lowest)
        if position is None:
            _largest(padded, kernel, stride, dilation, best[part])
        else:
            _locate(_positions(padded, out, kernel, stride, dilation), best[part], position[part])
    if position is not None:
        unsettled = ~np.isfinite(best) if x.dtype.kind == "f" else best == lowest
        if unsettled.any():
            _settle(position, np.nonzero(unsettled), x, kernel, stride, padding, dilation)
    return best, position


def _locate(views: Iterator[Array], best: Array, position: Array) -> None:
    """Fill ``best`` with the largest of the views and ``position`` with the number of the first that has it."""
    best[...] = next(views)
    larger = np.empty_like(best, dtype=bool)
    number = np.empty_like(position)
    for k, view in enumerate(views, 1):
        np.greater(view, best, out=larger)
        np.maximum(best, view, out=best)
        np.multiply(larger.view(np.uint8), position.dtype.type(k), out=number)
        np.maximum(position, number, out=position)  # k only grows


def _largest(x: Array, kernel: Pair, stride: Pair, dilation: Pair, best: Array) -> None:
    """Fill ``best`` with the largest element of each window, without asking where it was."""
    height, width = best.shape[-2:]
    if min(kernel) > 1 and kernel != (2, 2):  # along the rows first, then along the columns of what is left
        rows = np.empty_like(best, shape=(*x.shape[:-1], width))
        _largest(x, (1, kernel[1]), (1, stride[1]), dilation, rows)
        x, kernel, stride = rows, (kernel[0], 1), (stride[0], 1)
    views = _positions(x, (height, width), kernel, stride, dilation)
    first = next(views)
    np.maximum(first, next(views, first), out=best)
    for view in views:
        np.maximum(best, view, out=best)


def _settle(
    position: Array, windows: tuple[Array, ...], x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> None:
    """Find the positions anew where the maximum is NaN (the last one wins, as in PyTorch) or as low as the padding."""
    *outer, top, left = windows
    top, left = top * stride[0] - padding[0], left * stride[1] - padding[1]
    best = np.zeros(top.shape, x.dtype)
    found = np.zeros(top.shape, bool)
    for k in range(kernel[0] * kernel[1]):
        row, column = top + k // kernel[1] * dilation[0], left + k % kernel[1] * dilation[1]
        inside = (row >= 0) & (row < x.shape[-2]) & (column >= 0) & (column < x.shape[-1])
        value = x[(*outer, np.where(inside, row, 0), np.where(inside, column, 0))]
        take = inside & (~found | (value > best) | np.isnan(value))
        best = np.where(take, value, best)
        position[windows] = np.where(take, k, position[windows])
        found |= take


def flat_indices(position: Array, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """Positions in windows as int64 indices into the input's flattened last two dimensions, ``width`` columns wide."""
    steps = np.arange(kernel[0])[:, None] * dilation[0] * width + np.arange(kernel[1]) * dilation[1]
    rows = np.arange(position.shape[-2])[:, None] * stride[0] - padding[0]
    columns = np.arange(position.shape[-1]) * stride[1] - padding[1]
    return np.asarray(steps.ravel()[position] + (rows * width + columns))


def adaptive_max_pool2d(x: Array, out: Pair) -> tuple[Array, Array]:
    """The largest element of each of ``out`` areas that share the input, and its index in the flat image."""
    height, width = x.shape[-2:]
    if height % max(out[0], 1) == 0 and width % max(out[1], 1) == 0 and min(out):  # areas of one size: windows
        kernel = height // out[0], width // out[1]
        best, position = max_pool2d(x, kernel, kernel, (0, 0), (1, 1), False, True)
        assert position is not None
        return best, flat_indices(position, width, kernel, kernel, (0, 0), (1, 1))
    top, bottom = _areas(height, out[0])
    left, right = _areas(width, out[1])
    best = x[..., top[:, None], left]
    index = np.broadcast_to(top[:, None] * width + left, best.shape)
    for i in range(int((bottom - top).max(initial=0))):
        for j in range(int((right - left).max(initial=0))):
            # Smaller areas see their last row and column again: no larger, so the first one stays.
            rows, columns = np.minimum(top + i, bottom - 1)[:, None], np.minimum(left + j, right - 1)
            value = x[..., rows, columns]
            take = (value > best) | (value != value)
            best, index = np.where(take, value, best), np.where(take, rows * width + columns, index)
    return best, index


def _areas(side: int, count: int) -> tuple[Array, Array]:
    """Where each of ``count`` areas of a side begins and ends; they overlap where they don't divide it."""
    index = np.arange(count)
    return index * side // max(count, 1), -(-(index + 1) * side // max(count, 1))


def put_in_windows(
    g: Array, position: Array, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Array:
    """Add each element of ``g`` to zeros of the given size, at its position in its window."""
    out = position.shape[-2:]
    canvas = _canvas(size, out, kernel, stride, padding, dilation)
    disjoint = all(d * (k - 1) < s for k, s, d in zip(kernel, stride, dilation, strict=True))
    covered = kernel == stride and dilation == (1, 1) and canvas == [n * s for n, s in zip(out, stride, strict=True)]
    # The input's memory order is that of its positions.
    result = (np.empty_like if covered else np.zeros_like)(position, dtype=g.dtype, shape=(*g.shape[:-2], *canvas))
    bits = np.dtype(f"i{g.itemsize}")  # masked as bits: multiplying by 0 would make NaN of infinity, and is no faster
    for part in _chunks(result):
        source, where = g[part].view(bits), position[part]
        for k, view in enumerate(_positions(result[part], out, kernel, stride, dilation)):
            mask = np.negative((where == k).view(np.int8)).astype(bits)  # all bits set, or none
            if disjoint:
                np.bitwise_and(source, mask, out=view.view(bits))
            else:
                view += np.bitwise_and(source, mask, out=mask).view(g.dtype)
    return _cropped(result, size, padding)


def take_from_windows(x: Array, position: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The element of ``x`` at the given position of each window: the adjoint of ``put_in_windows``."""
    out = position.shape[-2:]
    padded = _padded(x, _canvas(x.shape, out, kernel, stride, padding, dilation), padding, 0)
    result = np.zeros_like(x, shape=position.shape)
    for k, view in enumerate(_positions(padded, out, kernel, stride, dilation)):
        np.copyto(result, view, where=position == k)
    return result


def _cropped(canvas: Array, size: Pair, padding: Pair) -> Array:
    return canvas[..., padding[0] : padding[0] + size[0], padding[1] : padding[1] + size[1]]


# -------------------------------------------------------------------------------------- average pooling
def divisors(
    size: Sequence[int], out: Pair, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool
) -> Array | int:
    """The number of elements in each window that the mean is taken over; one number if it is the same in all."""
    sides = []
    for side, count, k, step, p in zip(size[-2:], out, kernel, stride, padding, strict=True):
        begin = np.arange(count) * step - p
        end = np.minimum(begin + k, side + p)  # the part beyond the padding never counts
        if not count_include_pad:
            begin, end = np.maximum(begin, 0), np.minimum(end, side)
        sides.append(np.maximum(end - begin, 1))
    if all((s == k).all() for s, k in zip(sides, kernel, strict=True)):
        return kernel[0] * kernel[1]
    return np.asarray(sides[0][:, None] * sides[1])


def avg_pool2d(x: Array, divisor: Array | int, out: Pair, kernel: Pair, stride: Pair, padding: Pair) -> Array:
    """The sum of each window divided by ``divisor``."""
    canvas = _canvas(x.shape, out, kernel, stride, padding, (1, 1))
    result = np.empty_like(x, shape=(*x.shape[:-2], *out))
    for part in _chunks(x):
        _sum_windows(_padded(x[part], canvas, padding, 0), kernel, stride, result[part])
        _divide(result[part], divisor)
    return result


def _sum_windows(x: Array, kernel: Pair, stride: Pair, out: Array) -> None:
    """Fill ``out`` with the sum of each window of ``x``."""
    height, width = out.shape[-2:]
    if min(kernel) > 1 and kernel != (2, 2):  # along the rows first, then along the columns of what is left
        rows = np.empty_like(out, shape=(*x.shape[:-1], width))
        _sum_windows(x, (1, kernel[1]), (1, stride[1]), rows)
        x, kernel, stride = rows, (kernel[0], 1), (stride[0], 1)
    views = _positions(x, (height, width), kernel, stride, (1, 1))
    first, second = next(views), next(views, None)
    if second is None:
        out[...] = first
    else:
        np.add(first, second, out=out)
    for view in views:
        out += view


def _divide(x: Array, divisor: Array | int) -> None:
    """Divide ``x`` in place; integers are rounded towards zero, as in PyTorch."""
    if x.dtype.kind == "f":
        np.divide(x, np.asarray(divisor, x.dtype), out=x)
    else:
        x[...] = np.trunc(x / divisor)


def avg_pool2d_input_grad(
    g: Array, divisor: Array | int, size: Pair, kernel: Pair, stride: Pair, padding: Pair
) -> Array:
    """Give each element of ``g``, divided, to every element of its window: the adjoint of ``avg_pool2d``."""
    out: Any = g.shape[-2:]
    canvas = _canvas(size, out, kernel, stride, padding, (1, 1))
    disjoint = kernel[0] <= stride[0] and kernel[1] <= stride[1]
    covered = kernel == stride and canvas == [n * s for n, s in zip(out, stride, strict=True)]
    result = (np.empty_like if covered else np.zeros_like)(g, shape=(*g.shape[:-2], *canvas))
    for part in _chunks(result):
        share = g[part].copy(order="K")
        _divide(share, divisor)
        for view in _positions(result[part], out, kernel, stride, (1, 1)):
            if disjoint:
                view[...] = share
            else:
                view += share
    return _cropped(result, size, padding)
