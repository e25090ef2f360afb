"""Depthwise convolutions: each channel has filters of its own. Arrays in, arrays out.

No matrix product: for each kernel position, the image shifted by it times the filters' values there. ``einsum`` does
all positions in one pass, with an innermost loop over neighbouring values in memory. For stride 1 those are a whole
row's OW*C values, if the filters are repeated along it, which is two to five times as fast as pixel by pixel.

Filters come as one matrix a channel, (C, KH*KW, m); channel c's are the m neighbours c*m ... c*m + m-1 of F.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_cnn.kernels.columns import Geometry, blocks, cover
from tinygrad_cnn.kernels.rows import add_bias

BLOCK_BYTES = 1 << 21  # of results: long enough calls, and little enough to stay in the cache


def _taps(filters: np.ndarray) -> np.ndarray:
    """Filter matrices (C, KH*KW, m) as (KH*KW, F)."""
    return filters.transpose(1, 0, 2).reshape(filters.shape[1], -1)


def correlate(x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write the correlation of the images x (N,C,H,W) to ``out`` (N,OH,OW,F)."""
    (kh, kw), (oh, ow), f = geometry.kernel, geometry.out, out.shape[3]
    repeat = ow if geometry.stride[1] == 1 else 1
    row_of_taps = np.tile(_taps(filters).reshape(kh, kw, f), ow).reshape(kh, kw, ow // repeat, repeat * f)
    for images, bands in blocks(len(x), oh, ow * f * out.itemsize, BLOCK_BYTES):
        windows = _windows(x[images], geometry, f)
        for rows in bands:
            block = out[images, rows]
            runs = block.reshape(*block.shape[:2], ow // repeat, repeat * f)
            np.einsum("nyxrij,ijxr->nyxr", windows[:, rows], row_of_taps, out=runs)
            if bias is not None:
                add_bias(block, bias)


def add_outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray) -> None:
    """Add the sum over all windows of pixel times upstream (N,OH,OW,F) to ``total`` (C, m, KH*KW)."""
    (kh, kw), (oh, ow), f = geometry.kernel, geometry.out, g.shape[3]
    repeat = ow if geometry.stride[1] == 1 else 1
    sums = np.zeros((kh, kw, repeat * f), g.dtype)
    for images, bands in blocks(len(x), oh, ow * f * g.itemsize, BLOCK_BYTES):
        windows = _windows(x[images], geometry, f)
        for rows in bands:
            block = g[images, rows]
            runs = block.reshape(*block.shape[:2], ow // repeat, repeat * f)
            for i, j in np.ndindex(kh, kw):  # einsum over all positions at once takes twice as long here
                sums[i, j] += np.einsum("nyxr,nyxr->r", windows[:, rows, ..., i, j], runs)
    total += sums.reshape(kh * kw, repeat, f).sum(axis=1).T.reshape(total.shape)


def _windows(x: np.ndarray, geometry: Geometry, f: int) -> np.ndarray:
    """The windows of images (N,C,H,W), each channel as often as it has filters: (N, OH, OW, F, KH, KW).

    For stride 1 a row is one run: (N, OH, 1, OW*F, KH, KW).
    """
    canvas = cover(x.transpose(0, 2, 3, 1), (1, 2), geometry)
    if f != x.shape[1]:
        canvas = np.repeat(canvas, f // x.shape[1], axis=3)
    if geometry.stride[1] != 1:
        return geometry.windows(canvas, (1, 2))
    if canvas.strides[2] != f * canvas.itemsize:  # some channels of a larger array
        canvas = np.ascontiguousarray(canvas)
    windows = geometry.windows(canvas, (1, 2))
    n, oh, ow, _, kh, kw = windows.shape
    by_n, by_row, _, by_value, by_i, by_j = windows.strides
    return as_strided(windows, (n, oh, 1, ow * f, kh, kw), (by_n, by_row, 0, by_value, by_i, by_j))
