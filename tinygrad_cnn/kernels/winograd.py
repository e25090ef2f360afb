"""Winograd's F(4x4, 3x3): 3x3 convolutions with a quarter of the multiplications. Arrays in, arrays out.

A tile of 4x4 results comes from a window of 6x6 pixels. Each channel's window d and filter g are transformed to 36
values, the channels are summed there, and the sums are transformed to 16 results:

    Y = A' [ (B' d B) * (G g G') ] A

A transform of both sides is one product with a Kronecker product, B' d B = kron(B', B') vec(d). So everything here is
a matrix product: windows (36, T*C), times (36, 36); for each of the 36 places (T, C) times (C, F); times (16, 36).

Sources: Lavin and Gray 2015, "Fast Algorithms for Convolutional Neural Networks", section 4; on the points, Barabasz et
al. 2018, "Error analysis and improving the accuracy of Winograd convolution for deep neural networks". In float32 the
error is about 2e-6 of the largest result, three times that of a plain product.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.columns import Geometry, blocks, copy_runs, cover
from tinygrad_cnn.kernels.workspace import workspace

BLOCK_BYTES = 1 << 21  # of transformed windows: long products, and little enough for the cache that cores share

_POINTS = (0.0, 0.625, -0.625, 1.5, -1.5)  # exact in binary; those of the paper, 0, 1, -1, 2, -2, err by twice as much


def _transforms() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """B', G and A' in one dimension (Toom and Cook): polynomials multiplied by values at points and infinity."""
    others = [[q for q in _POINTS if q != p] for p in _POINTS]
    windows = [[*np.poly(roots)[::-1], 0] for roots in others] + [np.poly(_POINTS)[::-1]]
    filters = [np.power(p, range(3)) / np.prod(np.subtract(p, q)) for p, q in zip(_POINTS, others, strict=True)]
    results = [[*np.power(_POINTS, power), power == 3] for power in range(4)]
    return np.array(windows), np.array([*filters, [0, 0, 1]]), np.array(results)


_WINDOWS, _FILTERS, _RESULTS = (np.kron(m, m).astype(np.float32) for m in _transforms())  # (36,36), (36,9), (16,36)


def _tiles(geometry: Geometry) -> Geometry:
    """The 6x6 windows, four pixels apart, whose tiles of 4x4 cover the results."""
    oh, ow = geometry.out
    return Geometry((6, 6), (4, 4), geometry.offset, (1, 1), (-(-oh // 4), -(-ow // 4)), 1)


def _transformed(matrix: np.ndarray, windows: np.ndarray, name: str) -> np.ndarray:
    """Windows (N,TY,TX,C,k,k) times a transform (t, k*k): (t, N*TY*TX, C) in scratch memory."""
    n, ty, tx, c, k, _ = windows.shape
    values = workspace("columns", (k, k, n, ty, tx, c), windows.dtype)
    copy_runs(values, windows.transpose(4, 5, 0, 1, 2, 3))
    out = workspace(name, (len(matrix), n * ty * tx, c), windows.dtype)
    np.matmul(matrix, values.reshape(k * k, -1), out=out.reshape(len(matrix), -1))
    return out


def transform_filters(w: np.ndarray, turned: bool = False) -> np.ndarray:
    """Filters (F,C,3,3) at the 36 places: (36, C, F), or those of the filters turned by 180 degrees: (36, F, C)."""
    f, c = w.shape[:2]
    matrix = _FILTERS[:, ::-1] if turned else _FILTERS
    places = (matrix @ w.reshape(f * c, 9).T).reshape(36, f, c)
    return places if turned else places.transpose(0, 2, 1)


def correlate(x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write the correlation of the images x (N,C,H,W) with transformed filters to ``out`` (N,OH,OW,F)."""
    (_, c, f), tiles = filters.shape, _tiles(geometry)
    pixels = x.transpose(0, 2, 3, 1)
    for images, bands in blocks(len(x), tiles.out[0], tiles.out[1] * 36 * max(c, f) * x.itemsize, BLOCK_BYTES):
        windows = tiles.windows(cover(pixels[images], (1, 2), tiles), (1, 2))
        for rows in bands:
            part = windows[:, rows]
            values = _transformed(_WINDOWS, part, "values")
            sums = np.matmul(values, filters, out=workspace("product", (36, values.shape[1], f), x.dtype))
            results = np.matmul(_RESULTS, sums.reshape(36, -1), out=workspace("columns", (16, sums[0].size), x.dtype))
            if bias is not None:
                results.reshape(-1, f)[...] += bias
            grid = results.reshape(4, 4, *part.shape[:3], f).transpose(2, 3, 0, 4, 1, 5)  # (N, TY, 4, TX, 4, F)
            _lay(grid, out[images, rows.start * 4 : rows.stop * 4])


def _lay(grid: np.ndarray, out: np.ndarray) -> None:
    """Copy tiles (N,TY,4,TX,4,F) to images (N,OH,OW,F), which may end within the last tiles."""
    (_, ty, _, tx, _, f), (n, oh, ow, _) = grid.shape, out.shape
    high, wide = oh // 4, ow // 4  # whole tiles
    for rows, height, top in ((slice(0, high), 4, 0), (slice(high, ty), oh - high * 4, high * 4)):
        for columns, width, left in ((slice(0, wide), 4, 0), (slice(wide, tx), ow - wide * 4, wide * 4)):
            part = grid[:, rows, :height, columns, :width]
            if part.size:
                target = out[:, top : top + part.shape[1] * height, left : left + part.shape[3] * width]
                target.reshape(n, part.shape[1], height, part.shape[3], width, f)[...] = part


def add_outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray) -> None:
    """Add the products of transformed windows and transformed upstream to ``total`` (36, F, C)."""
    tiles = _tiles(geometry)
    upstream = Geometry((4, 4), (4, 4), (0, 0), (1, 1), tiles.out, 1)
    pixels = x.transpose(0, 2, 3, 1)
    widest = max(total.shape[1:])
    step = max(1, BLOCK_BYTES // total[0].nbytes)  # places multiplied at a time, so that no thread holds them all twice
    product = workspace("product", (min(step, 36), *total.shape[1:]), x.dtype)
    for images, bands in blocks(len(x), tiles.out[0], tiles.out[1] * 36 * widest * x.itemsize, BLOCK_BYTES):
        windows = tiles.windows(cover(pixels[images], (1, 2), tiles), (1, 2))
        for rows in bands:
            values = _transformed(_WINDOWS, windows[:, rows], "values")
            results = g[images, rows.start * 4 : rows.stop * 4]
            patches = upstream._replace(out=(rows.stop - rows.start, tiles.out[1]))
            patches_of_g = patches.windows(cover(results, (1, 2), patches), (1, 2))
            sums = _transformed(_RESULTS.T, patches_of_g, "sums")
            for first in range(0, 36, step):
                places = slice(first, min(first + step, 36))
                part = product[: places.stop - first]
                total[places] += np.matmul(sums[places].transpose(0, 2, 1), values[places], out=part)


def filter_gradients(total: np.ndarray) -> np.ndarray:
    """Sums at the 36 places (36, F, C) as gradients of filters (F,C,3,3)."""
    _, f, c = total.shape
    return np.asarray((total.reshape(36, -1).T @ _FILTERS).reshape(f, c, 3, 3))
