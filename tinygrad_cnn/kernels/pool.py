"""Pooling kernels on the last two dimensions of an array. Arrays in, arrays out.

They loop over the positions inside a window, never over the windows: the pixels at one position of all windows are
copied to contiguous memory (see ``pixels``), and what is computed is computed there. Batches go through the cache
block by block, over the threads. Results keep the input's memory order.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.elementwise import BITS
from tinygrad_cnn.kernels.parallel import regions, run, shares
from tinygrad_cnn.kernels.pixels import Array, Layout, Pair, Windows, canvas_of, columns_of, layout_of
from tinygrad_cnn.kernels.workspace import workspace

_FEW = 1 << 14  # elements that are pooled sooner than they are laid out for it
_CHUNK = 1 << 22  # bytes of images that are pooled at once: with the scratch, they stay in the cache


def pooled_side(size: int, kernel: int, stride: int, padding: int, dilation: int, ceil_mode: bool) -> int:
    """How many windows fit along a side. ``ceil_mode`` adds one that sticks out, unless it began in the padding."""
    extent = dilation * (kernel - 1) + 1
    slack = size + 2 * padding - extent
    count = (-(-slack // stride) if ceil_mode else slack // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    return count


@functools.lru_cache(maxsize=1024)
def pooled_size(
    size: tuple[int, ...], kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool
) -> Pair:
    """``pooled_side`` of the last two dimensions of an array of shape ``size``."""
    height, width = (
        pooled_side(*settings, ceil_mode) for settings in zip(size[-2:], kernel, stride, padding, dilation, strict=True)
    )
    return height, width


# ----------------------------------------------------------------------------------------- batches in blocks
def _blocks(region: tuple[slice, slice], row_bytes: int) -> Iterator[tuple[slice, slice]]:
    """A region, of some images' rows of windows, in blocks of about _CHUNK bytes."""
    (first, last), (top, bottom) = ((part.start, part.stop) for part in region)
    height = max(1, min(bottom - top, _CHUNK // row_bytes))
    count = max(1, _CHUNK // (row_bytes * height))
    for image in range(first, last, count):
        for row in range(top, bottom, height):
            yield slice(image, min(image + count, last)), slice(row, min(row + height, bottom))


def _fold(ufunc: Any, canvas: Array, values: int, windows: Windows, out: Array) -> None:
    """Fill ``out`` with the sum, or the maximum, of each window: along the columns first, whose runs are longest."""
    first, *others = (canvas[:, windows.every(0, i * windows.dilation[0])] for i in range(windows.kernel[0]))
    rows = workspace("rows", first.shape, first.dtype) if others else first
    for position, other in enumerate(others):
        ufunc(rows if position else first, other, out=rows)
    columns_of(rows, values, windows, 0, out)
    for j in range(1, windows.kernel[1]):
        ufunc(out, columns_of(rows, values, windows, j * windows.dilation[1]), out=out)


def _fits(x: Array, windows: Windows) -> bool:
    """Whether the images are so small, and the windows within them, that neither blocks nor copies pay."""
    return 0 < x.size <= _FEW and windows.canvas == windows.size and 1 < len(windows.places) <= 9


def _fold_at_once(ufunc: Any, x: Array, windows: Windows) -> Array:
    """The sum, or the maximum, of each window."""
    first, second, *others = (x[..., windows.every(0, i), windows.every(1, j)] for i, j in windows.places)
    out: Array = ufunc(first, second)
    for other in others:
        ufunc(out, other, out=out)
    return out


# ------------------------------------------------------------------------------------------ max pooling
def max_pool2d(
    x: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, ceil_mode: bool, locate: bool
) -> tuple[Array, Array | None]:
    """The largest element of each window and, if ``locate``, its position in the window (0 is top left)."""
    out = pooled_size(x.shape, kernel, stride, padding, dilation, ceil_mode)
    windows = Windows((x.shape[-2], x.shape[-1]), out, kernel, stride, padding, dilation)
    if not locate and _fits(x, windows):
        return _fold_at_once(np.maximum, x, windows), None
    layout = layout_of(x)
    images, values, shape = layout.images(x), layout.values, (*x.shape[:-2], *out)
    best = np.empty((len(images), out[0], out[1] * values), x.dtype)
    position = np.empty(best.shape, np.min_scalar_type(kernel[0] * kernel[1] - 1)) if locate else None
    lowest = -np.inf if x.dtype.kind == "f" else np.iinfo(x.dtype).min

    def work(region: tuple[slice, slice]) -> bool:
        settled = True
        for block in _blocks(region, windows.row_bytes(images)):
            part, around = windows.of_rows(block[1])
            canvas = canvas_of(images[block[0], part], values, around, lowest)
            if position is None:
                _fold(np.maximum, canvas, values, around, best[block])
            else:
                _locate(canvas, values, around, best[block], position[block])
                settled &= not _unsettled(best[block], lowest).any()
        return settled

    done = run(work, regions(len(images), out[0], cost=x.nbytes)) if best.size else []
    if position is None:
        return layout.array(best, shape), None
    if not all(done):
        _settle(position, np.nonzero(_unsettled(best, lowest)), images, values, windows)
    return layout.array(best, shape), layout.array(position, shape)


def _locate(canvas: Array, values: int, windows: Windows, best: Array, position: Array) -> None:
    """Fill ``best`` with each window's largest element, ``position`` with the number of the first that is as large."""
    larger = workspace("mask", best.shape, bool)
    number = workspace("number", best.shape, position.dtype)
    position[...] = 0
    for k, (top, left) in enumerate(windows.places):
        rows = canvas[:, windows.every(0, top)]
        if k == 0:
            columns_of(rows, values, windows, left, best)
            continue
        candidate = columns_of(rows, values, windows, left)
        np.greater(candidate, best, out=larger)
        np.maximum(best, candidate, out=best)
        np.multiply(larger.view(np.uint8), position.dtype.type(k), out=number)
        np.maximum(position, number, out=position)  # k only grows


def _unsettled(best: Array, lowest: float) -> Array:
    """Where a maximum doesn't tell its position: where it is NaN, or as low as the padding."""
    return ~np.isfinite(best) if best.dtype.kind == "f" else best == lowest


def _settle(position: Array, found: tuple[Array, ...], images: Array, values: int, windows: Windows) -> None:
    """Find the positions anew where the maximum is NaN (the last one wins, as in PyTorch) or as low as the padding."""
    image, row, column = found
    top, left = row * windows.stride[0] - windows.padding[0], column // values * windows.stride[1] - windows.padding[1]
    best = np.zeros(top.shape, images.dtype)
    any_inside = np.zeros(top.shape, bool)
    for k, (i, j) in enumerate(windows.places):
        y, x = top + i, left + j
        inside = (y >= 0) & (y < windows.size[0]) & (x >= 0) & (x < windows.size[1])
        value = images[image, np.where(inside, y, 0), np.where(inside, x, 0) * values + column % values]
        take = inside & (~any_inside | (value > best) | np.isnan(value))
        best = np.where(take, value, best)
        position[found] = np.where(take, k, position[found])
        any_inside |= take


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
    windows = Windows(size, (g.shape[-2], g.shape[-1]), kernel, stride, padding, dilation)
    layout = layout_of(position)
    where, upstream = layout.pixels(position), layout.pixels(g)
    integer = BITS[g.itemsize]  # masked as bits: multiplying by 0 would make NaN of infinity, and is no faster

    def masked(images: slice, k: int, out: Array | None) -> Array:
        shape = where[images].shape
        mask = workspace("mask", shape, np.int8)
        if out is None:
            out = workspace("values", shape, g.dtype)
        np.equal(where[images], k, out=mask.view(bool))
        np.negative(mask, out=mask)  # all bits set, or none
        np.bitwise_and(upstream[images].view(integer), mask, out=out.view(integer))
        return out

    return _scatter(masked, upstream, layout, windows, g)


def _scatter(
    term: Callable[[slice, int, Array | None], Array], upstream: Array, layout: Layout, windows: Windows, g: Array
) -> Array:
    """The images to whose pixels at place k of each window ``term`` was added, like ``upstream`` (A, OH, OW, values).

    It gives that of some images and k, in ``out`` if there is one: the pixels themselves, where no windows overlap.
    """
    values, (height, width) = layout.values, windows.canvas
    (top, left), size = windows.padding, windows.size
    inside = np.s_[:, top : top + size[0], left : left + size[1]]
    result = np.empty((len(upstream), *size, values), g.dtype)

    def work(share: slice) -> None:
        for images, _ in _blocks((share, slice(0, 1)), windows.out[0] * windows.row_bytes(result)):
            count = images.stop - images.start
            canvas = result[images]
            if windows.canvas != size:
                canvas = workspace("canvas", (count, height, width, values), g.dtype)
            if not windows.tile:
                canvas[...] = 0
            for k, (i, j) in enumerate(windows.places):
                target = canvas[:, windows.every(0, i), windows.every(1, j)]
                if windows.disjoint:
                    term(images, k, target)
                else:
                    target += term(images, k, None)
            if windows.canvas != size:
                result[images] = canvas[inside]

    if result.size:
        run(work, shares(len(result), cost=result.nbytes))
    return layout.array(result, (*g.shape[:-2], *size))


def take_from_windows(x: Array, position: Array, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Array:
    """The element of ``x`` at the given position of each window: the adjoint of ``put_in_windows``."""
    out = position.shape[-2], position.shape[-1]
    windows = Windows((x.shape[-2], x.shape[-1]), out, kernel, stride, padding, dilation)
    layout = layout_of(position)
    where, images, values = layout.images(position), layout.images(x), layout.values
    result = np.empty(where.shape, x.dtype)
    canvas = canvas_of(images, values, windows, 0)
    for k, (top, left) in enumerate(windows.places if result.size else []):
        np.copyto(result, columns_of(canvas[:, windows.every(0, top)], values, windows, left), where=where == k)
    return layout.array(result, position.shape)


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
    windows = Windows((x.shape[-2], x.shape[-1]), out, kernel, stride, padding, (1, 1))
    if _fits(x, windows):
        result = _fold_at_once(np.add, x, windows)
        _divide(result, divisor)
        return result
    layout = layout_of(x)
    images, values = layout.images(x), layout.values
    result = np.empty((len(images), out[0], out[1] * values), x.dtype)

    def work(region: tuple[slice, slice]) -> None:
        for block in _blocks(region, windows.row_bytes(images)):
            part, around = windows.of_rows(block[1])
            _fold(np.add, canvas_of(images[block[0], part], values, around, 0), values, around, result[block])
            _divide(result[block], _spread(divisor, values, block[1]))

    if result.size:
        run(work, regions(len(images), out[0], cost=x.nbytes))
    return layout.array(result, (*x.shape[:-2], *out))


def _spread(divisor: Array | int, values: int, rows: slice) -> Array | int:
    """The divisors of some rows of windows, one for each value of a pixel."""
    return divisor if isinstance(divisor, int) else np.repeat(divisor[rows], values, axis=1)


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
    windows = Windows(size, (g.shape[-2], g.shape[-1]), kernel, stride, padding, (1, 1))
    layout = layout_of(g)
    upstream, pixel = layout.pixels(g), np.dtype((np.void, layout.values * g.itemsize))
    wide = divisor if isinstance(divisor, int) else divisor[:, :, None]

    def divided(images: slice, k: int, out: Array | None) -> Array:
        share = workspace("values", upstream[images].shape, g.dtype)
        if k == 0:
            np.copyto(share, upstream[images])
            _divide(share, wide)
        if out is None:
            return share
        np.copyto(out.view(pixel), share.view(pixel))
        return out

    return _scatter(divided, upstream, layout, windows, g)
