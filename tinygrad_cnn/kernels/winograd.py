"""Winograd's convolutions: fewer multiplications for kernels of 3 or 5 rows. Arrays in, arrays out.

In F(4x4, 3x3) a tile of 4x4 results comes from a window of 6x6 pixels. Each channel's window d and filter g are
transformed to 36 values, the channels are summed there, and the sums are transformed to 16 results:

    Y = A' [ (B' d B) * (G g G') ] A

A transform of both sides is one product with a Kronecker product, B' d B = kron(B', B') vec(d). So everything here is
a matrix product: windows (36, T*C), times (36, 36); for each of the 36 places (T, C) times (C, F); times (16, 36).

With few channels the transforms cost more than they save. F(4, 3) transforms along the columns of an image alone, six
pixels one below the other, and leaves the filters' width to the products: for each of 6 places (T, KW*C) times
(KW*C, F), whose rows overlap in memory and aren't copied (``_runs``). Half of the multiplications of a plain product
remain. F(2, 5) has the same places for kernels of 5 rows.

Sources: Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4; on the points, Barabasz et
al. 2018, "Error analysis and improving the accuracy of Winograd convolution for deep neural networks". In float32 the
error is about 2e-6 of the largest result, three times that of a plain product.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_cnn.kernels.columns import Geometry, blocks, copy_runs, cover
from tinygrad_cnn.kernels.windows import Pair
from tinygrad_cnn.kernels.workspace import workspace

BLOCK_BYTES = 1 << 21  # of transformed windows: long products, and little enough for the cache that cores share

_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)  # exact in binary; those of the paper, 0, 1, -1, 2, -2, err by twice as much


class Transform(NamedTuple):
    """How many results a window gives, and the matrices that transform windows, filters and results."""

    tile: Pair
    windows: np.ndarray  # (places, pixels of a window)
    filters: np.ndarray  # (places, filter values)
    results: np.ndarray  # (results of a tile, places)

    @property
    def is_square(self) -> bool:
        """Whether both dimensions are transformed; else the filters' width is left to the products."""
        return self.tile[1] > 1

    def fits(self, geometry: Geometry) -> bool:
        """Whether it computes convolutions of this kernel."""
        taps = len(_POINTS) + 2 - self.tile[0]
        settings = (geometry.kernel, geometry.stride, geometry.dilation)
        across = (taps, 1, 1) if self.is_square else (geometry.kernel[1], 1, 1)
        return geometry.groups == 1 and tuple(zip(*settings, strict=True)) == ((taps, 1, 1), across)

    def tiles(self, geometry: Geometry, width: int = 0) -> Geometry:
        """The windows whose tiles cover the results: 6x6 pixels, or the 6 of one column.

        Columns of images of this width come one row after the other, so rows share the padding between them.
        """
        (oh, ow), (th, tw) = geometry.out, self.tile
        if self.is_square:
            return Geometry((6, 6), self.tile, geometry.offset, (1, 1), (-(-oh // th), -(-ow // tw)), 1)
        left, columns = geometry.offset[1], geometry.canvas[1]
        columns -= max(min(left, columns - left - width, geometry.kernel[1] - 1), 0)
        return Geometry((6, 1), self.tile, geometry.offset, (1, 1), (-(-oh // th), columns), 1)

    def sums_shape(self, w: tuple[int, ...]) -> tuple[int, int, int]:
        """The shape of what ``add_outer_products`` adds to, for filters of shape w (F,C,KH,KW)."""
        f, *run = w
        return len(self.windows), f, math.prod(run) // self.filters.shape[1]


def _matrices(tile: int) -> list[np.ndarray]:
    """B', G and A' in one dimension (Toom and Cook): polynomials multiplied by values at points and infinity."""
    taps = len(_POINTS) + 2 - tile
    others = [[q for q in _POINTS if q != p] for p in _POINTS]
    windows = [[*np.poly(roots)[::-1], 0] for roots in others] + [np.poly(_POINTS)[::-1]]
    filters = [np.power(p, range(taps)) / np.prod(np.subtract(p, q)) for p, q in zip(_POINTS, others, strict=True)]
    results = [[*np.power(_POINTS, power), power == tile - 1] for power in range(tile)]
    return [np.array(windows), np.array([*filters, np.arange(taps) == taps - 1]), np.array(results)]


def _square(tile: int) -> Transform:
    return Transform((tile, tile), *(np.kron(m, m).astype(np.float32) for m in _matrices(tile)))


def _tall(tile: int) -> Transform:
    return Transform((tile, 1), *(m.astype(np.float32) for m in _matrices(tile)))


TRANSFORMS = {
    "winograd F(4x4,3x3)": _square(4),  # matrices (36, 36), (36, 9), (16, 36)
    "winograd F(4,3)": _tall(4),  # (6, 6), (6, 3), (4, 6)
    "winograd F(2,5)": _tall(2),  # (6, 6), (6, 5), (2, 6)
}


def _transformed(matrix: np.ndarray, windows: np.ndarray, name: str, spare: int) -> np.ndarray:
    """Windows (N,TY,TX,C,high,wide) times a transform (t, high*wide): (t, N*TY*TX + spare zeros, C), scratch memory."""
    *lying, c, high, wide = windows.shape
    values = workspace("columns", (high, wide, *lying, c), windows.dtype)
    copy_runs(values, windows.transpose(4, 5, 0, 1, 2, 3))
    count = math.prod(lying)
    out = workspace(name, (len(matrix), count + spare, c), windows.dtype)
    out[:, count:] = 0
    np.matmul(matrix, values.reshape(high * wide, -1), out=out[:, :count].reshape(len(matrix), -1))
    return out


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
    taps = matrix.shape[1]
    runs = w.reshape(f, c, taps, -1).transpose(0, 3, 1, 2)  # (F, KW, C, taps)
    kw = runs.shape[1]
    places = ((matrix[:, ::-1] if turned else matrix) @ runs.reshape(-1, taps).T).reshape(-1, f, kw, c)
    if turned:
        return places[:, :, ::-1].transpose(0, 2, 1, 3).reshape(-1, kw * f, c)
    return places.reshape(-1, f, kw * c).transpose(0, 2, 1)


def filter_gradients(transform: Transform, total: np.ndarray, w: tuple[int, ...]) -> np.ndarray:
    """The sums of ``add_outer_products`` as gradients of filters of shape w (F,C,KH,KW)."""
    (f, c, *_), taps = w, transform.filters.shape[1]
    runs = total.reshape(len(total), -1).T @ transform.filters
    return np.ascontiguousarray(runs.reshape(f, -1, c, taps).transpose(0, 2, 3, 1)).reshape(w)


def correlate(
    transform: Transform,
    x: np.ndarray,
    filters: np.ndarray,
    bias: np.ndarray | None,
    geometry: Geometry,
    out: np.ndarray,
) -> None:
    """Write the correlation of the images x (N,C,H,W) with transformed filters to ``out`` (N,OH,OW,F)."""
    (places, k, f), (th, tw), tiles, c = (
        filters.shape,
        transform.tile,
        transform.tiles(geometry, x.shape[3]),
        x.shape[1],
    )
    kw, across, needed = k // c, tiles.out[1], -(-geometry.out[1] // tw)
    pixels = x.transpose(0, 2, 3, 1)
    for images, bands in blocks(len(x), tiles.out[0], across * places * max(c, f) * x.itemsize, BLOCK_BYTES):
        windows = tiles.windows(cover(pixels[images], (1, 2), tiles), (1, 2))
        for rows in bands:
            part = windows[:, rows]
            count = math.prod(part.shape[:3])
            columns = -(-count // kw) * kw
            values = _transformed(transform.windows, part, "values", columns + kw - count)
            sums = workspace("product", (places, columns, f), x.dtype)
            np.matmul(_runs(values, kw), filters[:, None], out=_every(sums, kw))
            results = workspace("columns", (th * tw, count * f), x.dtype)
            np.matmul(transform.results, sums[:, :count].reshape(places, -1), out=results)
            if bias is not None:
                results.reshape(-1, f)[...] += bias
            grid = results.reshape(th, tw, *part.shape[:3], f)[:, :, :, :, :needed].transpose(2, 3, 0, 4, 1, 5)
            _lay(grid, out[images, rows.start * th : rows.stop * th])


def _lay(grid: np.ndarray, out: np.ndarray) -> None:
    """Copy tiles (N,TY,th,TX,tw,F) to images (N,OH,OW,F), which may end within the last tiles."""
    (_, ty, th, tx, tw, f), (n, oh, ow, _) = grid.shape, out.shape
    high, wide = oh // th, ow // tw  # whole tiles
    for rows, height, top in ((slice(0, high), th, 0), (slice(high, ty), oh - high * th, high * th)):
        for columns, width, left in ((slice(0, wide), tw, 0), (slice(wide, tx), ow - wide * tw, wide * tw)):
            part = grid[:, rows, :height, columns, :width]
            if part.size:
                target = out[:, top : top + part.shape[1] * height, left : left + part.shape[3] * width]
                target.reshape(n, part.shape[1], height, part.shape[3], width, f)[...] = part


def add_outer_products(
    transform: Transform, g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray
) -> None:
    """Add the products of transformed windows and transformed upstream to ``total`` (places, F, KW*C)."""
    tile, tiles, c = transform.tile, transform.tiles(geometry, x.shape[3]), x.shape[1]
    pixels = x.transpose(0, 2, 3, 1)
    places, f, k = total.shape
    kw, across = k // c, tiles.out[1]
    step = max(1, BLOCK_BYTES // (kw * total[0].nbytes))  # places multiplied at a time: no thread holds them all twice
    product = workspace("product", (min(step, places), kw, f, k), x.dtype)
    for images, bands in blocks(len(x), tiles.out[0], across * places * max(f, c) * x.itemsize, BLOCK_BYTES):
        windows = tiles.windows(cover(pixels[images], (1, 2), tiles), (1, 2))
        for rows in bands:
            upstream = Geometry(tile, tile, (0, 0), (1, 1), (rows.stop - rows.start, across), 1)
            results = g[images, rows.start * tile[0] : rows.stop * tile[0]]
            patches = upstream.windows(cover(results, (1, 2), upstream, "canvas of results"), (1, 2))
            part = windows[:, rows]
            count = math.prod(part.shape[:3])
            columns = -(-count // kw) * kw
            sums = _transformed(transform.results.T, patches, "sums", columns - count)
            values = _transformed(transform.windows, part, "values", columns + kw - count)
            for first in range(0, places, step):
                some = slice(first, min(first + step, places))
                upstreams, runs = _every(sums[some], kw).swapaxes(2, 3), _runs(values[some], kw)
                np.matmul(upstreams, runs, out=product[: some.stop - first])
                for i in range(kw):
                    total[some] += product[: some.stop - first, i]
