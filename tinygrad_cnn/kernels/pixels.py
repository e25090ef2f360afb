"""Images as pixels under windows: what pooling reads and writes.

One position of all windows is a strided view of the images. Copied to contiguous memory with all channels of a pixel
as one element, it is gone through as fast as NumPy can, whatever the number of channels.
"""

from __future__ import annotations

import functools
import math
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.kernels.elementwise import contiguous, memory_order
from tinygrad_cnn.kernels.workspace import workspace

Array = np.ndarray
Pair = tuple[int, int]


class Windows(NamedTuple):
    """How windows lie on images: ``out`` of them on ``size`` pixels, the first ``padding`` before the first pixel."""

    size: Pair
    out: Pair
    kernel: Pair
    stride: Pair
    padding: Pair
    dilation: Pair

    @property
    def canvas(self) -> Pair:
        """The sides that the padded images need at least: windows may stick out, or leave pixels over."""
        return _canvas_size(*self)

    @property
    def places(self) -> list[Pair]:
        """Where the elements of the first window lie, row by row."""
        (kh, kw), (dh, dw) = self.kernel, self.dilation
        return [(i * dh, j * dw) for i in range(kh) for j in range(kw)]

    @property
    def disjoint(self) -> bool:
        """Whether no pixel is in two windows."""
        return all(d * (k - 1) < s for k, s, d in zip(self.kernel, self.stride, self.dilation, strict=True))

    @property
    def tile(self) -> bool:
        """Whether every pixel is in one window."""
        (oh, ow), (sh, sw) = self.out, self.stride
        return self.kernel == self.stride and self.dilation == (1, 1) and self.canvas == (oh * sh, ow * sw)

    def of_rows(self, rows: slice) -> tuple[slice, Windows]:
        """Which rows of the images some rows of windows lie on, and how they lie there."""
        if rows.stop - rows.start == self.out[0]:
            return slice(0, self.size[0]), self
        top = rows.start * self.stride[0] - self.padding[0]
        bottom = (rows.stop - 1) * self.stride[0] - self.padding[0] + self.dilation[0] * (self.kernel[0] - 1) + 1
        part = slice(max(top, 0), max(min(bottom, self.size[0]), top, 0))
        size, out = (part.stop - part.start, self.size[1]), (rows.stop - rows.start, self.out[1])
        return part, self._replace(size=size, out=out, padding=(part.start - top, self.padding[1]))

    def row_bytes(self, images: Array) -> int:
        """The bytes of an image that belong to a row of windows."""
        return images[:1].nbytes // self.out[0]

    def every(self, axis: int, start: int) -> slice:
        """The rows or columns of all windows' elements, given that of the first window."""
        return slice(start, start + (self.out[axis] - 1) * self.stride[axis] + 1, self.stride[axis])


@functools.lru_cache(maxsize=1024)
def _canvas_size(*windows: Pair) -> Pair:
    height, width = (
        max((count - 1) * step + gap * (k - 1) + 1, pad + side)
        for side, count, k, step, pad, gap in zip(*windows, strict=True)
    )
    return height, width


class Layout(NamedTuple):
    """How arrays (..., H, W) lie in memory: as images (A, H, W*values) whose pixels have neighbouring ``values``."""

    order: list[int]  # of the dimensions
    values: int

    def images(self, x: Array) -> Array:
        """``x`` as images: a view if it lies so."""
        at = self.order.index(x.ndim - 2)
        x = contiguous(x.transpose(self.order))
        return x.reshape(math.prod(x.shape[:at]), x.shape[at], x.shape[at + 1] * self.values)

    def pixels(self, x: Array) -> Array:
        """``x`` as images (A, H, W, values)."""
        images = self.images(x)
        return images.reshape(*images.shape[:2], x.shape[-1], self.values)

    def array(self, images: Array, shape: tuple[int, ...]) -> Array:
        """Images as an array of the given shape."""
        return images.reshape([shape[axis] for axis in self.order]).transpose(np.argsort(self.order))


def layout_of(x: Array) -> Layout:
    """The memory layout of ``x`` (or the plain one, if the rows aren't next to the columns in its)."""
    order = memory_order(x)
    row = x.ndim - 2
    if x.shape[row] == 1:  # the rows of a signal may lie anywhere
        order.remove(row)
        order.insert(order.index(row + 1), row)
    at = order.index(row)
    if order[at + 1 : at + 2] != [row + 1]:
        return Layout(list(range(x.ndim)), 1)
    return Layout(order, math.prod(x.shape[axis] for axis in order[at + 2 :]))


def pixels_of(images: Array, values: int) -> Array:
    """Images (A, H, W*values) as (A, H, W), with all values of a pixel as one element."""
    return images if values == 1 else images.view(np.dtype((np.void, values * images.itemsize)))


def canvas_of(images: Array, values: int, windows: Windows, value: Any) -> Array:
    """The images with a border of ``value`` as wide as the windows need: themselves, if they need none."""
    if windows.canvas == windows.size:
        return images
    (height, width), (top, left) = windows.canvas, windows.padding
    bottom, right = top + windows.size[0], (left + windows.size[1]) * values
    canvas = workspace("canvas", (len(images), height, width * values), images.dtype)
    canvas[:, :top] = canvas[:, bottom:] = value
    canvas[:, :, : left * values] = canvas[:, :, right:] = value
    canvas[:, top:bottom, left * values : right] = images
    return canvas


def columns_of(rows: Array, values: int, windows: Windows, left: int, out: Array | None = None) -> Array:
    """Of the rows of a canvas the pixels in column ``left`` of each window, contiguous: in scratch, or in ``out``."""
    if out is None:
        out = workspace("columns", (*rows.shape[:2], windows.out[1] * values), rows.dtype)
    np.copyto(pixels_of(out, values), pixels_of(rows, values)[:, :, windows.every(1, left)])
    return out
