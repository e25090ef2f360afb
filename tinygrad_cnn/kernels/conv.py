"""Convolutions: which kernel runs, and on which thread. Arrays in, arrays out.

Images come and go as (N,C,H,W); what is made here is a view of channels-last memory (N,H,W,C), in which a row of a
window is one run of KW*C values. Filters are (F, C/groups, KH, KW).

Each kernel works on any slice of the batch and any rows of the results, and writes to memory that its caller
allocated, so that the threads share them out. ``choice`` says which kernel suits a shape.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.kernels import choice, depthwise, winograd
from tinygrad_cnn.kernels.columns import Geometry, blocks, by_group, column_blocks, uncover
from tinygrad_cnn.kernels.parallel import one_blas_thread, regions, run, shares
from tinygrad_cnn.kernels.windows import Pair, output_sizes
from tinygrad_cnn.kernels.workspace import workspace


def _in_single(function: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Compute in float32 what is asked for in float16, for which there are no fast products; BLAS on one thread."""

    def compute(first: np.ndarray, *arguments: Any) -> np.ndarray:
        with one_blas_thread():
            if first.dtype != np.float16:
                return function(first, *arguments)
            wide = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in (first, *arguments)]
            return function(*wide).astype(np.float16)

    return compute


# ------------------------------------------------------------------------------------- the three products
@_in_single
def conv2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Cross-correlate (N,C,H,W) with (F,C/groups,KH,KW) -> (N,F,OH,OW)."""
    (n, _, h, wide), (f, _, kh, kw) = x.shape, w.shape
    size = output_sizes((h, wide), (kh, kw), stride, padding, dilation)
    out = np.empty((n, *size, f), x.dtype)
    correlate(x, w, bias, Geometry((kh, kw), stride, padding, dilation, size, groups), out)
    return out.transpose(0, 3, 1, 2)


@_in_single
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
        offset = (dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1])
        correlate(g, w, bias, Geometry((kh, kw), stride, offset, dilation, size, groups), out, turned=True)
    else:
        geometry = Geometry((kh, kw), stride, padding, dilation, (oh, ow), groups)
        filters = filter_matrices(w, groups)
        kernel = depthwise.scatter if _is_depthwise(geometry, c) else scatter

        def task(images: slice) -> None:
            kernel(g[images], filters, bias, geometry, out[images])

        run(task, shares(n, _cost(geometry, n, c, f)))
    return out.transpose(0, 3, 1, 2)


@_in_single
def conv2d_weight_grad(
    g: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """The adjoint of conv2d in the filters: (N,F,OH,OW) and (N,C,H,W) -> (F,C/groups,KH,KW)."""
    (n, f, oh, ow), c, (kh, kw) = g.shape, x.shape[1] // groups, kernel
    geometry = Geometry(kernel, stride, padding, dilation, (oh, ow), groups)
    way = choice.convolution(geometry, n, c, f // groups, x.dtype)
    shape = (36, f, c) if way == "winograd" else (groups, f // groups, kh * kw * c)
    add = {"winograd": winograd.add_outer_products, "depthwise": depthwise.add_outer_products}.get(
        way, add_outer_products
    )

    def task(region: tuple[slice, slice]) -> np.ndarray:
        images, rows = region
        part = np.zeros(shape, g.dtype)
        add(g[images, :, rows], x[images], geometry.band(rows), part)
        return part

    total, *others = run(task, regions(n, oh, _cost(geometry, n, c, f // groups), step=4))
    for other in others:
        total += other
    if way == "winograd":
        return winograd.filter_gradients(total)
    return np.ascontiguousarray(total.reshape(f, kh, kw, c).transpose(0, 3, 1, 2))


def correlate(
    x: np.ndarray,
    w: np.ndarray,
    bias: np.ndarray | None,
    geometry: Geometry,
    out: np.ndarray,
    turned: bool = False,
) -> None:
    """Write the correlation of the images x (N,C,H,W) with filters to ``out`` (N,OH,OW,F).

    ``turned``: with the filters of the adjoint, turned by 180 degrees and with inputs and outputs exchanged.
    """
    n, groups = len(x), geometry.groups
    c, f = x.shape[1] // groups, out.shape[3] // groups
    way = choice.convolution(geometry, n, c, f, x.dtype)
    kernel: Callable[..., None]
    if way == "winograd":
        kernel, filters = winograd.correlate, winograd.transform_filters(w, turned)
    else:
        if turned:
            w = w.reshape(groups, c, f, *geometry.kernel)[..., ::-1, ::-1].swapaxes(1, 2)
            w = w.reshape(groups * f, c, *geometry.kernel)
        filters = filter_matrices(w, groups)
        kernel = depthwise.correlate if way == "depthwise" else multiply

    def task(region: tuple[slice, slice]) -> None:
        images, rows = region
        kernel(x[images], filters, bias, geometry.band(rows), out[images, rows])

    run(task, regions(n, geometry.out[0], _cost(geometry, n, c, f), step=4))


def _cost(geometry: Geometry, n: int, c: int, f: int) -> float:
    """What ``shares`` compares: the bytes of the columns, and the multiplications at sixteen a byte."""
    (kh, kw), (oh, ow) = geometry.kernel, geometry.out
    columns = n * oh * ow * kh * kw * c * geometry.groups
    return columns * (4 + f / 16)


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


def _is_depthwise(geometry: Geometry, c: int) -> bool:
    return geometry.groups > 1 and c == 1


# ------------------------------------------------------------------------------------- over a part of the batch
def multiply(x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write columns times filter matrices to ``out`` (N,OH,OW,F)."""
    for images, rows, columns in column_blocks(x, geometry):
        block = out[images, rows]
        np.matmul(columns, filters, out=by_group(block, geometry.groups))
        if bias is not None:
            block += bias


def add_outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray) -> None:
    """Add, for each group, upstream transposed times columns to ``total`` (groups, F/groups, KH*KW*C/groups)."""
    g = g.transpose(0, 2, 3, 1)
    product = workspace("product", total.shape, total.dtype)
    for images, rows, columns in column_blocks(x, geometry):
        np.matmul(by_group(g[images, rows], geometry.groups).transpose(0, 2, 1), columns, out=product)
        total += product


def scatter(g: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write to ``out`` (N,H,W,C) what the columns ``g times filters transposed`` add up to, each at its window."""
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
