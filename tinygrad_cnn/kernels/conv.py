"""Convolutions as matrix products over blocks of columns. Arrays in, arrays out.

Images come and go as (N,C,H,W); what is made here is a view of channels-last memory (N,H,W,C), in which a row of a
window is one run of KW*C values. Filters are (F, C/groups, KH, KW).

``correlate``, ``add_outer_products`` and ``scatter`` work on any slice of the batch, and write to memory that their
caller allocated.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from tinygrad_cnn.kernels import depthwise
from tinygrad_cnn.kernels.columns import Geometry, blocks, by_group, column_blocks, uncover
from tinygrad_cnn.kernels.windows import Pair, output_sizes
from tinygrad_cnn.kernels.workspace import workspace


def _half_in_single(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Compute in float32 what is asked for in float16, for which there are no fast products."""

    def run(first: np.ndarray, *arguments: object) -> np.ndarray:
        if first.dtype != np.float16:
            return function(first, *arguments)
        wide = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in (first, *arguments)]
        return function(*wide).astype(np.float16)

    return run


# ------------------------------------------------------------------------------------- the three products
@_half_in_single
def conv2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Cross-correlate (N,C,H,W) with (F,C/groups,KH,KW) -> (N,F,OH,OW)."""
    (n, _, h, wide), (f, _, kh, kw) = x.shape, w.shape
    size = output_sizes((h, wide), (kh, kw), stride, padding, dilation)
    out = np.empty((n, *size, f), x.dtype)
    correlate(x, filter_matrices(w, groups), bias, Geometry((kh, kw), stride, padding, dilation, size, groups), out)
    return out.transpose(0, 3, 1, 2)


@_half_in_single
def conv2d_input_grad(
    g: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> np.ndarray:
    """The adjoint of conv2d in the images: (N,F,OH,OW) and (F,C/groups,KH,KW) -> (N,C,*size)."""
    (n, _, oh, ow), (_, c, kh, kw) = g.shape, w.shape
    f = len(w) // groups
    out = np.empty((n, *size, c * groups), g.dtype)
    # With stride 1 a pixel's gradient can be read off the upstream: a correlation with the turned filters. That
    # copies f values where scattering adds c, at a fourth of the cost; and depthwise it stays depthwise if f is 1.
    if stride == (1, 1) and (f == 1 or 1 < c >= f / 4):
        turned = w.reshape(groups, f, c, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2).reshape(groups * c, f, kh, kw)
        offset = (dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1])
        geometry = Geometry((kh, kw), stride, offset, dilation, size, groups)
        correlate(g, filter_matrices(turned, groups), bias, geometry, out)
    else:
        geometry = Geometry((kh, kw), stride, padding, dilation, (oh, ow), groups)
        scatter(g, filter_matrices(w, groups), bias, geometry, out)
    return out.transpose(0, 3, 1, 2)


@_half_in_single
def conv2d_weight_grad(
    g: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """The adjoint of conv2d in the filters: (N,F,OH,OW) and (N,C,H,W) -> (F,C/groups,KH,KW)."""
    (_, f, oh, ow), c, (kh, kw) = g.shape, x.shape[1] // groups, kernel
    total = np.zeros((groups, f // groups, kh * kw * c), g.dtype)
    add_outer_products(g, x, Geometry(kernel, stride, padding, dilation, (oh, ow), groups), total)
    return np.ascontiguousarray(total.reshape(f, kh, kw, c).transpose(0, 3, 1, 2))


def pixel_sum(g: np.ndarray) -> np.ndarray:
    """The sum over images and pixels, (N,C,H,W) -> (C,): first over whole rows of W*C values, which is the bulk."""
    n, c, h, w = g.shape
    pixels = g.transpose(0, 2, 3, 1)
    if not pixels.flags.c_contiguous:
        return np.asarray(g.sum((0, 2, 3)))
    return np.asarray(pixels.reshape(n * h, w * c).sum(0).reshape(w, c).sum(0))


def filter_matrices(w: np.ndarray, groups: int) -> np.ndarray:
    """The filters (F,C/groups,KH,KW) as one matrix a group, (groups, KH*KW*C/groups, F/groups)."""
    f, c, kh, kw = w.shape
    return w.transpose(0, 2, 3, 1).reshape(groups, f // groups, kh * kw * c).transpose(0, 2, 1)


def _is_depthwise(filters: np.ndarray, geometry: Geometry) -> bool:
    return geometry.groups > 1 and filters.shape[1] == geometry.kernel[0] * geometry.kernel[1]


def _taps(filters: np.ndarray) -> np.ndarray:
    """Depthwise filter matrices (C, KH*KW, F/C) as (KH*KW, F)."""
    return filters.transpose(1, 0, 2).reshape(filters.shape[1], -1)


# ------------------------------------------------------------------------------------- over a batch's slice
def correlate(x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write the correlation of the images x (N,C,H,W) with filter matrices to ``out`` (N,OH,OW,F)."""
    if _is_depthwise(filters, geometry):
        return depthwise.correlate(x, _taps(filters), bias, geometry, out)
    for images, rows, columns in column_blocks(x, geometry):
        block = out[images, rows]
        np.matmul(columns, filters, out=by_group(block, geometry.groups))
        if bias is not None:
            block += bias
    return None


def add_outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray) -> None:
    """Add, for each group, upstream transposed times columns to ``total`` (groups, F/groups, KH*KW*C/groups)."""
    if geometry.groups > 1 and geometry.groups == x.shape[1]:
        total += depthwise.weight_grad(g, x, geometry).T.reshape(total.shape)
        return
    g = g.transpose(0, 2, 3, 1)
    product = workspace("product", total.shape, total.dtype)
    for images, rows, columns in column_blocks(x, geometry):
        np.matmul(by_group(g[images, rows], geometry.groups).transpose(0, 2, 1), columns, out=product)
        total += product


def scatter(g: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write to ``out`` (N,H,W,C) what the columns ``g times filters transposed`` add up to, each at its window."""
    if _is_depthwise(filters, geometry):
        return depthwise.scatter(g, _taps(filters), bias, geometry, out)
    groups, k, _ = filters.shape
    (kh, kw), (oh, ow), channels = geometry.kernel, geometry.out, out.shape[3]
    c = channels // groups
    channels_first = c <= ow  # then rows of results are longer than pixels
    g = g.transpose(0, 2, 3, 1)
    for images, bands in blocks(len(g), oh, ow * k * groups * g.itemsize):
        n = images.stop - images.start
        if channels_first:
            canvas = workspace("canvas", (n, groups, c, *geometry.canvas), out.dtype)
            windows = geometry.windows(canvas, (3, 4)).transpose(1, 5, 6, 0, 3, 2, 4)  # (G, KH, KW, N, OH, c, OW)
        else:
            canvas = workspace("canvas", (n, *geometry.canvas, groups, c), out.dtype)
            windows = geometry.windows(canvas, (1, 2)).transpose(3, 5, 6, 0, 1, 2, 4)  # (G, KH, KW, N, OH, OW, c)
        canvas[...] = 0
        for rows in bands:
            upstream, height = by_group(g[images, rows], groups), rows.stop - rows.start
            if channels_first:
                columns = workspace("columns", (groups, k, upstream.shape[1]), out.dtype)
                np.matmul(filters, upstream.transpose(0, 2, 1), out=columns)
                columns = columns.reshape(groups, kh, kw, c, n, height, ow).transpose(0, 1, 2, 4, 5, 3, 6)
            else:
                columns = workspace("columns", (groups, upstream.shape[1], k), out.dtype)
                np.matmul(upstream, filters.transpose(0, 2, 1), out=columns)
                columns = columns.reshape(groups, n, height, ow, kh, kw, c).transpose(0, 4, 5, 1, 2, 3, 6)
            for i, j in np.ndindex(kh, kw):  # a kernel position at a time: within one, windows don't overlap
                windows[:, i, j, :, rows] += columns[:, i, j]
        if channels_first:
            canvas = canvas.transpose(0, 3, 4, 1, 2)
        uncover(canvas.reshape(n, *geometry.canvas, channels), geometry.offset, out[images])
        if bias is not None:
            out[images] += bias
    return None
