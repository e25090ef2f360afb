"""Convolutions as matrix products over columns that stay in the cache. Arrays in, arrays out.

Images come and go as (N,C,H,W); what is made here is a view of channels-last memory (N,H,W,C), in which a row of a
window is one run of KW*C values. ``windows.im2col`` is the definition; here the columns of a few images (or, of a
large image, a few rows) are written at a time, so that they are still in the L2 cache when the product reads them.

Every function works on any slice of the batch and writes to an output that its caller allocated.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from tinygrad_cnn.kernels.windows import Pair, output_sizes, reach, sliding_windows
from tinygrad_cnn.kernels.workspace import workspace

COLUMN_BYTES = 3 << 18  # of columns at a time: 768 KB, which stays in L2 beside the filters
SHORT_RUN = 32  # below so many values in a window's row (KW*C), copy in runs of OW values instead


class Geometry(NamedTuple):
    """How windows lie on an image. ``offset`` is the padding before the first row and column; it may be negative."""

    kernel: Pair
    stride: Pair
    offset: Pair
    dilation: Pair
    out: Pair
    groups: int

    @property
    def canvas(self) -> Pair:
        """The size that the windows cover, padding included."""
        return reach(self.out, self.kernel, self.stride, self.dilation)

    def is_pointwise(self, size: Pair) -> bool:
        """Whether the windows are the pixels of an image of this size."""
        return self.kernel == self.stride == (1, 1) and self.offset == (0, 0) and self.out == size

    def has_short_runs(self, channels: int) -> bool:
        """Whether columns are better copied in runs of OW pixels than in runs of KW*C values."""
        return self.kernel[1] * channels < SHORT_RUN and self.out[1] > self.kernel[1] * channels


# ------------------------------------------------------------------------------------- the three products
def conv2d(
    x: np.ndarray, w: np.ndarray, bias: np.ndarray | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """Cross-correlate (N,C,H,W) with (F,C/groups,KH,KW) -> (N,F,OH,OW)."""
    kernel = w.shape[2:]
    size = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    out = np.empty((len(x), *size, len(w)), x.dtype)
    correlate(x, filter_matrices(w, groups), bias, Geometry(kernel, stride, padding, dilation, size, groups), out)
    return out.transpose(0, 3, 1, 2)


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
    kernel, (f, c) = w.shape[2:], w.shape[:2]
    out = np.empty((len(g), *size, c * groups), g.dtype)
    if stride == (1, 1):  # what each pixel gives is read off the upstream: a correlation with the turned filters
        turned = w.reshape(groups, f // groups, c, *kernel)[..., ::-1, ::-1].swapaxes(1, 2)
        turned = turned.reshape(groups * c, f // groups, *kernel)
        offset = tuple(d * (k - 1) - p for d, k, p in zip(dilation, kernel, padding, strict=True))
        geometry = Geometry(kernel, stride, offset, dilation, size, groups)
        correlate(g, filter_matrices(turned, groups), bias, geometry, out)
    else:
        geometry = Geometry(kernel, stride, padding, dilation, g.shape[2:], groups)
        scatter(g, filter_matrices(w, groups), bias, geometry, out)
    return out.transpose(0, 3, 1, 2)


def conv2d_weight_grad(
    g: np.ndarray, x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> np.ndarray:
    """The adjoint of conv2d in the filters: (N,F,OH,OW) and (N,C,H,W) -> (F,C/groups,KH,KW)."""
    f, c = g.shape[1] // groups, x.shape[1] // groups
    total = np.zeros((groups, f, kernel[0] * kernel[1] * c), g.dtype)
    add_outer_products(g, x, Geometry(kernel, stride, padding, dilation, g.shape[2:], groups), total)
    return np.ascontiguousarray(total.reshape(groups * f, *kernel, c).transpose(0, 3, 1, 2))


def filter_matrices(w: np.ndarray, groups: int) -> np.ndarray:
    """The filters (F,C/groups,KH,KW) as one matrix a group, (groups, KH*KW*C/groups, F/groups)."""
    f, c, kh, kw = w.shape
    rows = w.transpose(0, 2, 3, 1).reshape(groups, f // groups, kh * kw * c)
    return rows.transpose(0, 2, 1)


# ------------------------------------------------------------------------------------- over a batch's slice
def correlate(x: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write the correlation of the images x (N,C,H,W) with filter matrices to ``out`` (N,OH,OW,F)."""
    for images, rows, columns in column_blocks(x, geometry):
        block = out[images, rows]
        np.matmul(columns, filters, out=_by_group(block, geometry.groups))
        if bias is not None:
            block += bias


def add_outer_products(g: np.ndarray, x: np.ndarray, geometry: Geometry, total: np.ndarray) -> None:
    """Add, for each group, upstream transposed times columns to ``total`` (groups, F/groups, KH*KW*C/groups)."""
    g = g.transpose(0, 2, 3, 1)
    product = workspace("product", total.shape, total.dtype)
    for images, rows, columns in column_blocks(x, geometry):
        np.matmul(_by_group(g[images, rows], geometry.groups).transpose(0, 2, 1), columns, out=product)
        total += product


def scatter(g: np.ndarray, filters: np.ndarray, bias: np.ndarray | None, geometry: Geometry, out: np.ndarray) -> None:
    """Write to ``out`` (N,H,W,C) what the columns ``g times filters transposed`` add up to, each at its window."""
    groups, k, _ = filters.shape
    (kh, kw), (oh, ow), channels = geometry.kernel, geometry.out, out.shape[3]
    c = channels // groups
    short = geometry.has_short_runs(c)
    g = g.transpose(0, 2, 3, 1)
    for images, all_rows in _blocks(len(g), oh, ow * k * groups * g.itemsize):
        n = images.stop - images.start
        if short:
            canvas = workspace("canvas", (n, groups, c, *geometry.canvas), out.dtype)
            windows = _windows(canvas, (3, 4), geometry).transpose(1, 5, 6, 2, 0, 3, 4)
        else:
            canvas = workspace("canvas", (n, *geometry.canvas, groups, c), out.dtype)
            windows = _windows(canvas, (1, 2), geometry).transpose(3, 5, 6, 0, 1, 2, 4)
        canvas[...] = 0
        for rows in all_rows:
            upstream = _by_group(g[images, rows], groups)  # (G, M, F)
            m, height = upstream.shape[1], rows.stop - rows.start
            if short:
                columns = workspace("columns", (groups, k, m), out.dtype)
                np.matmul(filters, upstream.transpose(0, 2, 1), out=columns)
                columns = columns.reshape(groups, kh, kw, c, n, height, ow)
                target = windows[:, :, :, :, :, rows]
            else:
                columns = workspace("columns", (groups, m, k), out.dtype)
                np.matmul(upstream, filters.transpose(0, 2, 1), out=columns)
                columns = columns.reshape(groups, n, height, ow, kh, kw, c).transpose(0, 4, 5, 1, 2, 3, 6)
                target = windows[:, :, :, :, rows]
            for i in range(kh):
                for j in range(kw):
                    target[:, i, j] += columns[:, i, j]
        if short:
            canvas = canvas.transpose(0, 3, 4, 1, 2)
        _uncover(canvas.reshape(n, *geometry.canvas, channels), geometry.offset, out[images])
        if bias is not None:
            out[images] += bias


# --------------------------------------------------------------------------------------------- columns
def column_blocks(x: np.ndarray, geometry: Geometry) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The columns of the images, block by block: which images, which rows of windows, and (groups, M, K).

    M runs over the block's windows, K over (KH, KW, C/groups). A block is good until the next is asked for.
    """
    n, channels = x.shape[:2]
    groups, (kh, kw), (oh, ow) = geometry.groups, geometry.kernel, geometry.out
    c = channels // groups
    k = kh * kw * c
    pixels = x.transpose(0, 2, 3, 1)
    if geometry.is_pointwise(x.shape[2:]) and pixels.flags.c_contiguous and n:
        yield slice(0, n), slice(0, oh), _by_group(pixels, groups)
        return
    short = geometry.has_short_runs(c)
    for images, all_rows in _blocks(n, oh, ow * k * groups * x.itemsize):
        count = images.stop - images.start
        if short:
            canvas = _cover(x[images], (2, 3), geometry)
            canvas = canvas.reshape(count, groups, c, *canvas.shape[2:])
            windows = _windows(canvas, (3, 4), geometry).transpose(1, 5, 6, 2, 0, 3, 4)
        else:
            canvas = _cover(pixels[images], (1, 2), geometry)
            canvas = canvas.reshape(*canvas.shape[:3], groups, c)
            windows = _windows(canvas, (1, 2), geometry).transpose(3, 0, 1, 2, 5, 6, 4)
        for rows in all_rows:
            height = rows.stop - rows.start
            m = count * height * ow
            if short:
                columns = workspace("columns", (groups, kh, kw, c, count, height, ow), x.dtype)
                np.copyto(columns, windows[:, :, :, :, :, rows])
                yield images, rows, columns.reshape(groups, k, m).transpose(0, 2, 1)
            else:
                columns = workspace("columns", (groups, count, height, ow, kh, kw, c), x.dtype)
                np.copyto(columns, windows[:, :, rows])
                yield images, rows, columns.reshape(groups, m, k)


def _blocks(n: int, oh: int, row_bytes: int) -> Iterator[tuple[slice, list[slice]]]:
    """Cut a batch so that a block's columns stay in the cache: several images, or bands of rows of one image."""
    per_block = COLUMN_BYTES // max(row_bytes, 1)  # rows
    height = min(max(per_block, 1), oh)
    bands = [slice(r, min(r + height, oh)) for r in range(0, oh, height)]
    count = max(per_block // oh, 1)
    for start in range(0, n, count):
        yield slice(start, min(start + count, n)), bands


def _by_group(pixels: np.ndarray, groups: int) -> np.ndarray:
    """(N,H,W,C) -> (groups, N*H*W, C/groups), a view if the memory is channels-last."""
    n, h, w, c = pixels.shape
    return pixels.reshape(n * h * w, groups, c // groups).transpose(1, 0, 2)


def _windows(canvas: np.ndarray, axes: Pair, geometry: Geometry) -> np.ndarray:
    return sliding_windows(canvas, axes, geometry.out, geometry.kernel, geometry.stride, geometry.dilation)


def _overlap(size: int, offset: int, covered: int) -> tuple[slice, slice]:
    """Where an image lies on a canvas along one dimension: the part of the canvas, the part of the image."""
    start, stop = max(offset, 0), max(min(offset + size, covered), max(offset, 0))
    return slice(start, stop), slice(start - offset, stop - offset)


def _cover(x: np.ndarray, axes: Pair, geometry: Geometry) -> np.ndarray:
    """The canvas that the windows lie on: the image with its padding, without the rows that no window reaches."""
    spans = [_overlap(x.shape[a], o, c) for a, o, c in zip(axes, geometry.offset, geometry.canvas, strict=True)]
    inside, part = [slice(None)] * x.ndim, [slice(None)] * x.ndim
    shape = list(x.shape)
    for axis, (canvas_span, image_span), covered in zip(axes, spans, geometry.canvas, strict=True):
        inside[axis], part[axis], shape[axis] = canvas_span, image_span, covered
    image = x[tuple(part)]
    if list(image.shape) == shape and (image.strides[-1] == image.itemsize or image.shape[-1] == 1):
        return image  # nothing to add and nothing to rearrange
    canvas = workspace("canvas", tuple(shape), x.dtype)
    for axis in axes:  # the borders
        for border in (slice(0, inside[axis].start), slice(inside[axis].stop, None)):
            canvas[(slice(None),) * axis + (border,)] = 0
    canvas[tuple(inside)] = image
    return canvas


def _uncover(canvas: np.ndarray, offset: Pair, image: np.ndarray) -> None:
    """Write the image (N,H,W,C) that lies on a canvas; pixels that no window reached become 0."""
    (top, high), (left, wide) = (
        _overlap(s, o, c) for s, o, c in zip(image.shape[1:3], offset, canvas.shape[1:3], strict=True)
    )
    if (high.stop - high.start, wide.stop - wide.start) != image.shape[1:3]:
        image[...] = 0
    image[:, high, wide] = canvas[:, top, left]
