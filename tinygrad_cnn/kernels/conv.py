"""Convolutions: which kernel runs, and on which thread. Arrays in, arrays out.

Images come and go as (N,C,H,W); what is made here is a view of channels-last memory (N,H,W,C), in which a row of a
window is one run of KW*C values. Filters are (F, C/groups, KH, KW).

Each kernel works on any slice of the batch and any rows of the results, and writes to memory that its caller
allocated, so that the threads share them out. ``choice`` says which kernel suits a shape.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from functools import partial

import numpy as np

from tinygrad_cnn.kernels import choice, depthwise, reduce, winograd
from tinygrad_cnn.kernels.columns import Geometry, blocks, by_group, column_blocks, copy_runs, cover, uncover
from tinygrad_cnn.kernels.half import in_single
from tinygrad_cnn.kernels.parallel import one_blas_thread, regions, run, shares
from tinygrad_cnn.kernels.product import add_products, matmul, multiply_rows
from tinygrad_cnn.kernels.rows import add_bias
from tinygrad_cnn.kernels.windows import Pair, output_sizes
from tinygrad_cnn.kernels.workspace import workspace

Kernel = Callable[[np.ndarray, np.ndarray, np.ndarray | None, Geometry, np.ndarray], None]

SMALL = 1 << 18  # multiplications up to which neither threads nor wider products pay, and BLAS stays on one thread


# ------------------------------------------------------------------------------------- the three products
@in_single
def conv2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Cross-correlate (N,C,H,W) with (F,C/groups,KH,KW) -> (N,F,OH,OW)."""
    (n, _, h, wide), (f, _, kh, kw) = x.shape, w.shape
    size = output_sizes((h, wide), (kh, kw), stride, padding, dilation)
    out = np.empty((n, *size, f), x.dtype)
    correlate(x, w, bias, Geometry((kh, kw), stride, padding, dilation, size, groups), out)
    return out.transpose(0, 3, 1, 2)


@in_single
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
    geometry = Geometry((kh, kw), stride, padding, dilation, (oh, ow), groups)
    offset = (dilation[0] * (kh - 1) - padding[0], dilation[1] * (kw - 1) - padding[1])
    joined = choice.scattering(geometry, offset, size, n, c, f)
    if choice.interleaving(geometry, c, f):
        interleave(g, w, bias, geometry, out)
    elif joined:
        scatter(g, w, bias, geometry, out, joined)
    else:
        correlate(g, w, bias, Geometry((kh, kw), stride, offset, dilation, size, groups), out, turned=True)
    return out.transpose(0, 3, 1, 2)


@in_single
def conv2d_weight_grad(
    g: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """The adjoint of conv2d in the filters: (N,F,OH,OW) and (N,C,H,W) -> (F,C/groups,KH,KW)."""
    geometry = Geometry(kernel, stride, padding, dilation, (g.shape[2], g.shape[3]), groups)
    return outer_products(g.transpose(0, 2, 3, 1), x, geometry)


# ---------------------------------------------------------------------------------------- sharing a batch out
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
    n, groups, (kh, kw), (oh, ow) = len(x), geometry.groups, geometry.kernel, geometry.out
    c, f = x.shape[1] // groups, out.shape[3] // groups
    small = n * oh * ow * kh * kw * c * f * groups <= SMALL
    way = choice.convolution(geometry, n, c, f, x.dtype)
    kernel: Kernel
    if transform := winograd.TRANSFORMS.get(way):
        with one_blas_thread():
            kernel, filters = partial(winograd.correlate, transform), winograd.transform_filters(transform, w, turned)
    elif way == "few windows" and not turned:
        multiply_filters(x, w, bias, geometry, out)
        return
    else:
        if turned:
            w = w.reshape(groups, c, f, kh, kw)[..., ::-1, ::-1].swapaxes(1, 2).reshape(groups * f, c, kh, kw)
        if way == "columns" and not small and (joined := choice.widening(geometry, c, f)) > 1:
            w, geometry, out = widen(w, geometry, joined), geometry.joined(joined), join(out, joined)
            bias = None if bias is None else np.tile(bias, joined)
        kernel, filters = depthwise.correlate if way == "depthwise" else multiply, filter_matrices(w, groups)
    if small:
        kernel(x, filters, bias, geometry, out)
        return

    def task(region: tuple[slice, slice]) -> None:
        images, rows = region
        kernel(x[images], filters, bias, geometry.band(rows), out[images, rows])

    with one_blas_thread():
        run(task, regions(n, oh, _cost(geometry, n, c, f, way), step=4))


def outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry) -> np.ndarray:
    """The sum over all windows of upstream g (N,OH,OW,F) times the images' pixels: gradients of the filters."""
    (n, oh, ow, f), c, (kh, kw) = g.shape, x.shape[1] // geometry.groups, geometry.kernel
    small = n * oh * ow * kh * kw * c * f <= SMALL
    way = choice.convolution(geometry, n, c, f // geometry.groups, x.dtype)
    shape, add = (geometry.groups, f // geometry.groups, kh * kw * c), add_outer_products
    cost = _cost(geometry, n, c, f // geometry.groups, way)
    if transform := winograd.TRANSFORMS.get(way):
        shape, add = transform.sums_shape((f, c, kh, kw)), partial(winograd.add_outer_products, transform)
    elif way == "depthwise":
        add, cost = depthwise.add_outer_products, 3 * g.nbytes  # a call for each position in the kernel
    elif not small and (joined := choice.widening(geometry, c, f)) > 1:
        wide = outer_products(join(np.ascontiguousarray(g), joined), x, geometry.joined(joined))
        return narrow(wide, geometry, joined)

    def task(region: tuple[slice, slice]) -> np.ndarray:
        images, rows = region
        part = np.zeros(shape, g.dtype)
        add(g[images, rows], x[images], geometry.band(rows), part)
        return part

    if small:
        total = task((slice(0, n), slice(0, oh)))
    else:
        with one_blas_thread():
            total, *others = run(task, regions(n, oh, cost, step=4))
        for other in others:
            total += other
    if transform:
        with one_blas_thread():
            return winograd.filter_gradients(transform, total, (f, c, kh, kw))
    return np.ascontiguousarray(total.reshape(f, kh, kw, c).transpose(0, 3, 1, 2))


def scatter(
    g: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray, joined: int
) -> None:
    """Write to ``out`` (N,H,W,C) what the upstream g (N,F,OH,OW) times filters adds up to, each at its window."""
    n, c, f = len(g), w.shape[1], len(w) // geometry.groups
    g = g.transpose(0, 2, 3, 1)
    if joined > 1:
        g = join(np.ascontiguousarray(g), joined)
        w, geometry = widen(w, geometry, joined), geometry.joined(joined)
    filters = filter_matrices(w, geometry.groups)

    def task(images: slice) -> None:
        add_at_windows(g[images], filters, bias, geometry, out[images])

    with one_blas_thread():
        run(task, shares(n, _cost(geometry, n, c, f)))


def interleave(g: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """What ``scatter`` does, by gathering: with stride s, every s-th pixel meets the same every s-th filter values."""
    (sh, sw), (top, left) = geometry.stride, geometry.offset

    def task(images: slice) -> None:
        for i, j in np.ndindex(sh, sw):
            pixels = out[images, i::sh, j::sw]
            row, column = (i + top) // sh, (j + left) // sw
            taps = w[:, :, (i + top) % sh :: sh, (j + left) % sw :: sw]
            if taps.size and pixels.size:
                kernel = taps.shape[2], taps.shape[3]
                offset, size = (kernel[0] - 1 - row, kernel[1] - 1 - column), (pixels.shape[1], pixels.shape[2])
                result = np.empty(pixels.shape, out.dtype)
                correlate(
                    g[images],
                    taps,
                    bias,
                    Geometry(kernel, (1, 1), offset, (1, 1), size, geometry.groups),
                    result,
                    turned=True,
                )
                pixels[...] = result
            else:
                pixels[...] = 0 if bias is None else bias

    run(task, shares(len(g), _cost(geometry, len(g), w.shape[1], len(w) // geometry.groups)))


_SHORT_CALLS = 4  # kernels that make more and shorter calls pay for waking a thread at so many times the cost


def _cost(geometry: Geometry, n: int, c: int, f: int, way: str = "columns") -> float:
    """What ``shares`` compares: the bytes of the columns, and the multiplications at sixteen a byte."""
    (kh, kw), (oh, ow) = geometry.kernel, geometry.out
    cost = n * oh * ow * kh * kw * c * geometry.groups * (4 + f / 16)
    return cost / _SHORT_CALLS if way == "depthwise" or way in winograd.TRANSFORMS else cost


def pixel_sum(g: np.ndarray) -> np.ndarray:
    """The sum over images and pixels, (N,C,H,W) -> (C,): first over whole rows of W*C values, which is the bulk."""
    n, c, h, w = g.shape
    pixels = g.transpose(0, 2, 3, 1)
    if not pixels.flags.c_contiguous:
        return np.asarray(g.sum((0, 2, 3)))
    return np.asarray(reduce.total(pixels.reshape(n * h, w * c), (0,)).reshape(w, c).sum(0))


def filter_matrices(w: np.ndarray, groups: int) -> np.ndarray:
    """The filters (F,C/groups,KH,KW) as one matrix a group, (groups, KH*KW*C/groups, F/groups)."""
    f, c, kh, kw = w.shape
    return w.transpose(0, 2, 3, 1).reshape(groups, f // groups, kh * kw * c).transpose(0, 2, 1)


# ------------------------------------------------------------------------------------- several results in a row
def join(images: np.ndarray, joined: int) -> np.ndarray:
    """Contiguous images (N,H,W,C) with neighbouring pixels in one: (N, H, W/joined, joined*C)."""
    n, h, w, c = images.shape
    return images.reshape(n, h, w // joined, joined * c)


def widen(w: np.ndarray, geometry: Geometry, joined: int) -> np.ndarray:
    """Filters (F,C,KH,KW) repeated at ``joined`` neighbouring windows: (joined*F, C, KH, the width of all)."""
    f, c, kh, kw = w.shape
    wide = np.zeros((joined, f, c, kh, geometry.joined(joined).kernel[1]), w.dtype)
    for copy, left in zip(wide, itertools.count(0, geometry.stride[1]), strict=False):
        copy[..., left : left + kw] = w
    return wide.reshape(joined * f, c, kh, -1)


def narrow(wide: np.ndarray, geometry: Geometry, joined: int) -> np.ndarray:
    """The adjoint of ``widen``: the sum of the filters at all places."""
    copies = wide.reshape(joined, -1, *wide.shape[1:])
    lefts, kw = range(0, joined * geometry.stride[1], geometry.stride[1]), geometry.kernel[1]
    first, *others = (copy[..., left : left + kw] for copy, left in zip(copies, lefts, strict=True))
    total = np.ascontiguousarray(first)
    for other in others:
        total += other
    return total


# ------------------------------------------------------------------------------------- over a part of the batch
def multiply(x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write columns times filter matrices to ``out`` (N,OH,OW,F)."""
    for images, rows, columns in column_blocks(x, geometry):
        block = out[images, rows]
        multiply_rows(columns, filters, by_group(block, geometry.groups))
        if bias is not None:
            add_bias(block, bias)


def multiply_filters(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray
) -> None:
    """What ``multiply`` does, for filters larger than all columns together: they stay as they lie in memory."""
    f = len(w)
    windows = geometry.windows(cover(x, (2, 3), geometry), (2, 3)).transpose(1, 4, 5, 0, 2, 3)
    columns = workspace("columns", windows.shape, x.dtype)
    copy_runs(columns, windows)
    product = matmul(w.reshape(f, w[0].size), columns.reshape(w[0].size, out.size // f)).T
    np.copyto(out.reshape(-1, f), product if bias is None else product + bias)


def add_outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray) -> None:
    """Add, for each group, upstream transposed times columns to ``total`` (groups, F/groups, KH*KW*C/groups)."""
    for images, rows, columns in column_blocks(x, geometry):
        add_products(by_group(g[images, rows], geometry.groups)[:, None], columns[:, None], total)


def add_at_windows(
    g: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray
) -> None:
    """Write to ``out`` (N,H,W,C) what the columns ``g times filters transposed`` add up to, each at its window."""
    groups, k, _ = filters.shape
    (kh, kw), (oh, ow), channels = geometry.kernel, geometry.out, out.shape[3]
    c = channels // groups
    channels_first = c <= ow  # then rows of results are longer than pixels
    # A kernel position at a time: within one, windows don't overlap. Those in a row may not overlap at all.
    apart = ow == 1 or (geometry.stride[1] >= kw and geometry.dilation[1] == 1)
    positions = [(i, slice(None)) for i in range(kh)] if apart else list(np.ndindex(kh, kw))
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
            for i, j in positions:
                windows[:, i, j, ..., rows, :, :] += columns[:, i, j]
        if channels_first:
            canvas = canvas.transpose(0, 3, 4, 1, 2)
        uncover(canvas.reshape(n, *geometry.canvas, channels), geometry.offset, out[images])
        if bias is not None:
            add_bias(out[images], bias)
