"""The columns of a batch of images, a block at a time. Arrays in, arrays out.

``windows.im2col`` keeps KH*KW copies of its input alive. Here the columns of a few images (or, of a large image, of a
few rows) are written to the same memory again and again, so that they are still in the cache when a product reads
them, and memory doesn't grow with the kernel.

Columns are copied in one of two orders, whichever has the longer runs of neighbouring values in memory:

    long runs    (images, rows, OW, KH, KW, C)  from channels-last images: a row of a window is KW*C values
    short runs   (KH, KW, C, images, rows, OW)  from channels-first images: a row of results is OW values

The second is the first transposed, which a matrix product doesn't mind.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from numpy.lib.stride_tricks import as_strided

from tinygrad_cnn.kernels.windows import Pair, reach, sliding_windows
from tinygrad_cnn.kernels.workspace import workspace

FEW = 1 << 15  # values that are copied sooner than it takes to find their runs
BLOCK_BYTES = 3 << 20  # of columns: fewer leave the cache less, more amortise the product's own packing of filters


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
        """Whether the windows are pixels of an image of this size, next to each other."""
        inside = all(o <= 0 and n - o <= side for o, n, side in zip(self.offset, self.out, size, strict=True))
        return self.kernel == self.stride == (1, 1) and inside

    def band(self, rows: slice) -> Geometry:
        """The geometry of some rows of the windows alone."""
        if rows.stop - rows.start == self.out[0]:
            return self
        offset = (self.offset[0] - rows.start * self.stride[0], self.offset[1])
        return self._replace(offset=offset, out=(rows.stop - rows.start, self.out[1]))

    def joined(self, count: int) -> Geometry:
        """The geometry in which ``count`` neighbouring windows are one: a divisor of a row's windows."""
        (kh, kw), (sh, sw), (oh, ow) = self.kernel, self.stride, self.out
        return self._replace(kernel=(kh, kw + (count - 1) * sw), stride=(sh, count * sw), out=(oh, ow // count))

    def windows(self, canvas: np.ndarray, axes: Pair) -> np.ndarray:
        """Every window of a canvas, as a view: (..., OH, ..., OW, ..., KH, KW)."""
        return sliding_windows(canvas, axes, self.out, self.kernel, self.stride, self.dilation)


def column_blocks(x: np.ndarray, geometry: Geometry) -> Iterator[tuple[slice, slice, np.ndarray]]:
    """The columns of the images x (N,C,H,W), block by block: which images, which rows of windows, and (groups, M, K).

    M runs over the block's windows, K over (KH, KW, C/groups). A block is good until the next is asked for.
    """
    n, channels = x.shape[:2]
    groups, (kh, kw), (oh, ow) = geometry.groups, geometry.kernel, geometry.out
    c = channels // groups
    k = kh * kw * c
    pixels = x.transpose(0, 2, 3, 1)
    if geometry.is_pointwise(x.shape[2:]):
        (top, left), (height, width) = geometry.offset, geometry.out
        inside = pixels[:, -top : height - top, -left : width - left]
        if inside.flags.c_contiguous:  # they are the columns
            yield slice(0, n), slice(0, oh), by_group(inside, groups)
            return
    for images, bands in blocks(n, oh, ow * k * groups * x.itemsize):
        count = images.stop - images.start
        if 2 * kw * c <= ow:  # the other order's runs are longer by enough to pay for the change of layout
            canvas = cover(x[images], (2, 3), geometry)
            canvas = canvas.reshape(count, groups, c, *geometry.canvas)
            windows = geometry.windows(canvas, (3, 4)).transpose(1, 5, 6, 2, 0, 3, 4)
            for rows in bands:
                part = windows[:, :, :, :, :, rows]
                columns = workspace("columns", part.shape, x.dtype)
                copy_runs(columns, part)
                yield images, rows, columns.reshape(groups, k, count * (rows.stop - rows.start) * ow).transpose(0, 2, 1)
        else:
            canvas = cover(pixels[images], (1, 2), geometry)
            canvas = canvas.reshape(count, *geometry.canvas, groups, c)
            windows = geometry.windows(canvas, (1, 2)).transpose(3, 0, 1, 2, 5, 6, 4)
            for rows in bands:
                part = windows[:, :, rows]
                columns = workspace("columns", part.shape, x.dtype)
                copy_runs(columns, part)
                yield images, rows, columns.reshape(groups, count * (rows.stop - rows.start) * ow, k)


def blocks(n: int, oh: int, row_bytes: int, most: int | None = None) -> Iterator[tuple[slice, list[slice]]]:
    """Cut a batch into blocks of about BLOCK_BYTES: several whole images, or bands of rows of one image."""
    per_block = (BLOCK_BYTES if most is None else most) // max(row_bytes, 1)  # rows
    height = min(max(per_block, 1), oh)
    bands = [slice(r, min(r + height, oh)) for r in range(0, oh, height)]
    count = max(per_block // oh, 1)
    for start in range(0, n, count):
        yield slice(start, min(start + count, n)), bands


def by_group(pixels: np.ndarray, groups: int) -> np.ndarray:
    """(N,H,W,C) -> (groups, N*H*W, C/groups), a view if the memory is channels-last."""
    n, h, w, c = pixels.shape
    return pixels.reshape(n * h * w, groups, c // groups).transpose(1, 0, 2)


def copy_runs(target: np.ndarray, source: np.ndarray) -> None:
    """Copy to a contiguous target. A run of neighbouring values moves as one element, which is up to twice as fast."""
    if source.size < FEW:
        np.copyto(target, source)
        return
    run, axis = source.itemsize, source.ndim
    while axis and (source.strides[axis - 1] == run or source.shape[axis - 1] == 1):
        axis -= 1
        run *= source.shape[axis]
    if run == source.itemsize:
        np.copyto(target, source)
        return
    element, count = np.dtype((np.void, run)), run // source.itemsize
    runs = as_strided(source, (*source.shape[:axis], count), (*source.strides[:axis], source.itemsize))
    np.copyto(target.reshape(runs.shape).view(element), runs.view(element))


# ------------------------------------------------------------------------------------------ canvases
def _overlap(size: int, offset: int, covered: int) -> tuple[slice, slice]:
    """Where an image lies on a canvas along one dimension: the part of the canvas, the part of the image."""
    start = max(offset, 0)
    stop = max(min(offset + size, covered), start)
    return slice(start, stop), slice(start - offset, stop - offset)


def cover(x: np.ndarray, axes: Pair, geometry: Geometry, name: str = "canvas") -> np.ndarray:
    """The canvas that the windows lie on: the images with their padding, without what no window reaches.

    A view if there is nothing to add, else a copy in scratch memory of that name, in the order of x's dimensions.
    """
    inside, part, shape = [slice(None)] * x.ndim, [slice(None)] * x.ndim, list(x.shape)
    for axis, offset, covered in zip(axes, geometry.offset, geometry.canvas, strict=True):
        inside[axis], part[axis] = _overlap(x.shape[axis], offset, covered)
        shape[axis] = covered
    image = x[tuple(part)]
    if list(image.shape) == shape and (image.strides[-1] == image.itemsize or image.shape[-1] == 1):
        return image
    canvas = workspace(name, tuple(shape), x.dtype)
    for axis in axes:
        before, after = slice(0, inside[axis].start), slice(inside[axis].stop, None)
        canvas[(slice(None),) * axis + (before,)] = 0
        canvas[(slice(None),) * axis + (after,)] = 0
    canvas[tuple(inside)] = image
    return canvas


def uncover(canvas: np.ndarray, offset: Pair, image: np.ndarray) -> None:
    """Write the images (N,H,W,C) that lie on a canvas; pixels that no window reached become 0."""
    (top, high), (left, wide) = (
        _overlap(s, o, c) for s, o, c in zip(image.shape[1:3], offset, canvas.shape[1:3], strict=True)
    )
    if (high.stop - high.start, wide.stop - wide.start) != image.shape[1:3]:
        image[...] = 0
    image[:, high, wide] = canvas[:, top, left]
