"""Winograd's convolutions: fewer multiplications for kernels of 3 or 5 rows. Arrays in, arrays out.

In one dimension, F(4, 3): 4 results of 3 taps need 6 pixels d, which become 6 values, as the taps g do; the values'
products become the results:

    y = A' [ (B' d) * (G g) ]

For images, F(4,3) does that down the columns, with whole rows of pixels in place of numbers, and leaves the filters'
width to the products: for each of the 6 places (T, KW*C) times (KW*C, F), half of a plain product's multiplications.
F(4x4,3x3) does it across the rows as well: 36 places, (T, C) times (C, F), a fourth of the multiplications, but more
to transform. F(2,5) and F(2x2,5x5) have the same places for kernels of 5 rows.

Nothing is copied. Windows of rows are read where they lie, and so are those of columns, by a product of a small matrix
with each (``_to_places``); the results are written where they belong (``_from_places``); neighbouring columns of KW*C
values are a matrix's rows, though they overlap in memory (``_runs``).

Sources: Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4; on the points, Barabasz et
al. 2018, "Error analysis and improving the accuracy of Winograd convolution for deep neural networks". In float32 the
error is about 2e-6 of the largest result, three times that of a plain product.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_cnn.kernels.columns import Geometry, blocks
from tinygrad_cnn.kernels.parallel import run, shares
from tinygrad_cnn.kernels.product import add_products, multiply_rows
from tinygrad_cnn.kernels.rows import add_bias
from tinygrad_cnn.kernels.windows import Pair
from tinygrad_cnn.kernels.workspace import workspace

BLOCK_BYTES = 1 << 22  # of transformed windows: long products, and little enough for the cache that cores share

_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)  # exact in binary; those of the paper, 0, 1, -1, 2, -2, err by twice as much
PLACES = len(_POINTS) + 1  # with infinity


class Transform(NamedTuple):
    """How many results a window gives, and the matrices that transform windows, filters and results."""

    tile: Pair
    windows: np.ndarray  # (6 places, 6 pixels), B', in each dimension
    filters: np.ndarray  # (places, taps), G, of both dimensions if both are transformed
    results: np.ndarray  # (results, 6 places), A', in each dimension

    @property
    def is_square(self) -> bool:
        """Whether both dimensions are transformed; else the filters' width is left to the products."""
        return self.tile[1] > 1

    def fits(self, geometry: Geometry) -> bool:
        """Whether it computes convolutions of this kernel."""
        taps = PLACES + 1 - self.tile[0]
        settings = (geometry.kernel, geometry.stride, geometry.dilation)
        across = (taps, 1, 1) if self.is_square else (geometry.kernel[1], 1, 1)
        return geometry.groups == 1 and tuple(zip(*settings, strict=True)) == ((taps, 1, 1), across)

    def sums_shape(self, w: tuple[int, ...]) -> tuple[int, int, int]:
        """The shape of what ``add_outer_products`` adds to, for filters of shape w (F,C,KH,KW)."""
        f, *run = w
        return len(self.filters), f, math.prod(run) // self.filters.shape[1]


class Tiling(NamedTuple):
    """How a transform's windows lie on images."""

    out: Pair  # how many there are, down and across; or, of single columns, how many of those
    start: Pair  # the row and column of the first, negative in the padding
    seen: slice  # the columns of the images that the results depend on


def tiling(transform: Transform, geometry: Geometry, width: int) -> Tiling:
    """The windows that cover the results of a geometry on images of this width.

    Columns of images come one row after the other, so that rows share the padding between them.
    """
    (oh, ow), (th, tw), (top, left), reach = geometry.out, transform.tile, geometry.offset, geometry.canvas[1]
    seen = slice(max(-left, 0), max(min(width, reach - left), -left, 0))
    across = -(-ow // tw)
    if not transform.is_square:
        across = reach - max(min(left, reach - left - width, geometry.kernel[1] - 1), 0)
    return Tiling((-(-oh // th), across), (-top, -max(left, 0)), seen)


def _matrices(tile: int) -> list[np.ndarray]:
    """B', G and A' in one dimension (Toom and Cook): polynomials multiplied by values at points and infinity."""
    taps = PLACES + 1 - tile
    others = [[q for q in _POINTS if q != p] for p in _POINTS]
    windows = [[*np.poly(roots)[::-1], 0] for roots in others] + [np.poly(_POINTS)[::-1]]
    filters = [np.power(p, range(taps)) / np.prod(np.subtract(p, q)) for p, q in zip(_POINTS, others, strict=True)]
    results = [[*np.power(_POINTS, power), power == tile - 1] for power in range(tile)]
    return [np.array(windows), np.array([*filters, np.arange(taps) == taps - 1]), np.array(results)]


def _transform(*tile: int) -> Transform:
    windows, filters, results = _matrices(tile[0])
    filters = np.kron(filters, filters) if tile[1] > 1 else filters
    return Transform((tile[0], tile[1]), *(m.astype(np.float32) for m in (windows, filters, results)))


TRANSFORMS = {
    "winograd F(4x4,3x3)": _transform(4, 4),
    "winograd F(4,3)": _transform(4, 1),
    "winograd F(2,5)": _transform(2, 1),
    "winograd F(2x2,5x5)": _transform(2, 2),
}


# --------------------------------------------------------------------------------- one dimension of many images
def _to_places(matrix: np.ndarray, rows: np.ndarray, start: int, step: int, out: np.ndarray) -> None:
    """Write to ``out`` (*, T, t, L) a matrix (t, k) times each window of k of the rows (*, H, L).

    The first window begins at row ``start``, each other a step later. Rows that the images don't have are zeros.
    """
    (height, length), (row, value), k, count = rows.shape[-2:], rows.strides[-2:], matrix.shape[1], out.shape[-3]
    first = min(max(-(start // step), 0), count)
    last = max(min((height - k - start) // step + 1, count), first)
    if last > first:
        shape, strides = (*rows.shape[:-2], last - first, k, length), (*rows.strides[:-2], step * row, row, value)
        inside = as_strided(rows[..., start + first * step :, :], shape, strides)
        np.matmul(matrix, inside, out=out[..., first:last, :, :])
    for window in (*range(first), *range(last, count)):  # those that stick out
        at = start + window * step
        top, bottom = max(-at, 0), min(height - at, k)
        if top < bottom:
            part = rows[..., at + top : at + bottom, :]
            np.matmul(matrix[:, top:bottom], part, out=out[..., window, :, :])
        else:
            out[..., window, :, :] = 0


def _from_places(matrix: np.ndarray, places: np.ndarray, out: np.ndarray) -> None:
    """Write to ``out`` (*, H, L) a matrix (r, t) times each of the places (*, T, t, L): r rows of H, the last fewer."""
    tile, height, length = len(matrix), out.shape[-2], out.shape[-1]
    whole = height // tile
    if whole:
        rows = out[..., : whole * tile, :].reshape(*out.shape[:-2], whole, tile, length)
        np.matmul(matrix, places[..., :whole, :, :], out=rows)
    if height > whole * tile:
        np.matmul(matrix[: height - whole * tile], places[..., whole, :, :], out=out[..., whole * tile :, :])


# ------------------------------------------------------------------------------------------- whole images
def _transformed(
    transform: Transform, matrix: np.ndarray, pixels: np.ndarray, start: Pair, out: Pair, name: str, spare: int
) -> np.ndarray:
    """Pixels in rows (N,H,W,C) at the places: (places, N*T*X + spare zeros, C), for T x X windows, in scratch memory.

    The first window begins at pixel ``start``. If the width isn't transformed, X are columns, beginning there.
    """
    (n, h, w, c), (down, across) = pixels.shape, out
    count = n * down * across
    values = workspace(name, (len(transform.filters), count + spare, c), pixels.dtype)
    values[:, count:] = 0
    if transform.is_square:
        columns = workspace("transformed columns", (PLACES, n, down, w, c), pixels.dtype)
    else:
        grid, left = values[:, :count].reshape(PLACES, n, down, across, c), -start[1]
        grid[..., :left, :] = grid[..., left + w :, :] = 0
        columns = grid[..., left : left + w, :]
    _to_places(matrix, pixels.reshape(n, h, w * c), start[0], transform.tile[0], _by_row(columns))
    if transform.is_square:
        grid = values[:, :count].reshape(PLACES, PLACES, n, down, across, c)
        _to_places(matrix, columns, start[1], transform.tile[1], grid.transpose(0, 2, 3, 4, 1, 5))
    return values


def _in_rows(pixels: np.ndarray) -> np.ndarray:
    """Pixels (N,H,W,C) whose rows are W*C neighbouring values in memory: themselves, or a copy."""
    n, h, w, c = pixels.shape
    rows = pixels.reshape(n, h, w * c)
    if rows.strides[2] != rows.itemsize:
        rows = np.ascontiguousarray(rows)
    return rows.reshape(n, h, w, c)


def _by_row(columns: np.ndarray) -> np.ndarray:
    """A view of (places, N, T, W, C) as (N, T, places, W*C)."""
    places, n, down, w, c = columns.shape
    return columns.reshape(places, n, down, w * c).transpose(1, 2, 0, 3)


def _results(transform: Transform, sums: np.ndarray, tiles: Pair, out: np.ndarray) -> None:
    """Write to ``out`` (N,OH,OW,F) the results of what the places add up to, (places, N*T*X, F)."""
    (n, oh, ow, f), grid = out.shape, (PLACES, len(out), *tiles, out.shape[3])
    if transform.is_square:
        columns = workspace("transformed columns", (PLACES, n, tiles[0], ow, f), out.dtype)
        _from_places(transform.results, sums.reshape(PLACES, *grid).transpose(0, 2, 3, 4, 1, 5), columns)
    else:
        columns = sums.reshape(grid)[..., :ow, :]
    _from_places(transform.results, _by_row(columns), out.reshape(n, oh, ow * f))


def _runs(values: np.ndarray, kw: int) -> np.ndarray:
    """Every run of kw neighbouring columns in (places, columns, C), without a copy: (places, kw, runs, kw*C).

    Runs overlap, and rows of a matrix must not. But of every kw-th run, the rows of one matrix each, none overlap.
    """
    places, columns, c = values.shape
    place, column, value = values.strides
    return as_strided(values, (places, kw, columns // kw - 1, kw * c), (place, column, kw * column, value))


def _every(sums: np.ndarray, step: int) -> np.ndarray:
    """What belongs to the runs: (places, columns, F) as (places, step, columns/step, F)."""
    places, columns, f = sums.shape
    return sums.reshape(places, columns // step, step, f).swapaxes(1, 2)


def transform_filters(transform: Transform, w: np.ndarray, turned: bool = False) -> np.ndarray:
    """Filters (F,C,KH,KW) at the places: (places, KW*C, F), or turned by 180 degrees (places, KW*F, C).

    KW is 1 where the width is transformed too.
    """
    (f, c), matrix = w.shape[:2], transform.filters
    count, taps = matrix.shape
    lines = np.ascontiguousarray(w.reshape(f, c, taps, -1).swapaxes(2, 3))  # (F, C, KW, taps)
    if turned:
        matrix, lines = np.ascontiguousarray(matrix[:, ::-1]), lines[:, :, ::-1].swapaxes(0, 1)
    columns, rows, kw, _ = lines.shape
    places = np.empty((count, kw, rows, columns), w.dtype)

    def task(some: slice) -> None:
        np.matmul(matrix, lines[:, some].transpose(2, 1, 3, 0), out=places[:, :, some].transpose(1, 2, 0, 3))

    run(task, shares(rows, places.nbytes))
    return places.reshape(count, kw * rows, columns)


def filter_gradients(transform: Transform, total: np.ndarray, w: tuple[int, ...]) -> np.ndarray:
    """The sums of ``add_outer_products`` as gradients of filters of shape w (F,C,KH,KW)."""
    (f, c, *_), (places, taps), out = w, transform.filters.shape, np.empty(w, total.dtype)

    def task(some: slice) -> None:
        runs = total[:, some].reshape(places, -1).T @ transform.filters
        result = out[some].reshape(-1, c, taps, w[3] if taps == w[2] else 1)
        result[...] = runs.reshape(len(result), -1, c, taps).transpose(0, 2, 3, 1)

    run(task, shares(f, total.nbytes))
    return out


def correlate(
    transform: Transform,
    x: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray | None,
    geometry: Geometry,
    out: np.ndarray,
) -> None:
    """Write the correlation of the images x (N,C,H,W) with transformed filters to ``out`` (N,OH,OW,F)."""
    (places, k, f), c, th = filters.shape, x.shape[1], transform.tile[0]
    (down, across), (top, left), seen = tiling(transform, geometry, x.shape[3])
    kw, pixels = k // c, x.transpose(0, 2, 3, 1)[:, :, seen]
    for images, bands in blocks(len(x), down, across * places * max(c, f) * x.itemsize, BLOCK_BYTES):
        lines = _in_rows(pixels[images])
        for rows in bands:
            tiles, start = (rows.stop - rows.start, across), (top + rows.start * th, left)
            count = (images.stop - images.start) * math.prod(tiles)
            columns = -(-count // kw) * kw
            spare = columns + kw - count
            values = _transformed(transform, transform.windows, lines, start, tiles, "values", spare)
            sums = workspace("product", (places, columns, f), x.dtype)
            multiply_rows(_runs(values, kw), filters[:, None], _every(sums, kw))
            block = out[images, rows.start * th : rows.stop * th]
            _results(transform, sums[:, :count], tiles, block)
            if bias is not None:
                add_bias(block, bias)


def add_outer_products(
    transform: Transform, g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray
) -> None:
    """Add the products of transformed windows and transformed upstream to ``total`` (places, F, KW*C)."""
    (places, f, k), c, th = total.shape, x.shape[1], transform.tile[0]
    (down, across), (top, left), seen = tiling(transform, geometry, x.shape[3])
    kw, pixels = k // c, x.transpose(0, 2, 3, 1)[:, :, seen]
    step = max(1, BLOCK_BYTES // (kw * total[0].nbytes))  # places multiplied at a time: no thread holds them all twice
    for images, bands in blocks(len(x), down, across * places * max(f, c) * x.itemsize, BLOCK_BYTES):
        lines, upstream = _in_rows(pixels[images]), _in_rows(g[images])
        for rows in bands:
            tiles, start = (rows.stop - rows.start, across), rows.start * th
            count = (images.stop - images.start) * math.prod(tiles)
            columns = -(-count // kw) * kw
            spare = columns - count
            sums = _transformed(transform, transform.results.T, upstream, (start, 0), tiles, "sums", spare)
            spare, begin = spare + kw, (top + start, left)
            values = _transformed(transform, transform.windows, lines, begin, tiles, "values", spare)
            for first in range(0, places, step):
                some = slice(first, min(first + step, places))
                add_products(_every(sums[some], kw), _runs(values[some], kw), total[some])
