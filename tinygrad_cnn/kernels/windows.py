"""Sliding windows: output sizes, im2col, col2im. Arrays in, arrays out.

``im2col`` and ``col2im`` are the definition of what a convolution does; ``kernels.conv`` does the same in pieces
that fit the cache.
"""

from __future__ import annotations

import numpy as np
from numpy.lib.stride_tricks import as_strided

Pair = tuple[int, int]


def output_size(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """How many windows fit along one dimension; the floor rule leaves out the pixels that don't fill a stride.

    >>> output_size(28, kernel=5, stride=1, padding=0, dilation=1), output_size(7, 2, 2, 0, 1)
    (24, 3)
    """
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


def output_sizes(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """``output_size`` in both dimensions."""
    (h, w), (kh, kw), (sh, sw), (ph, pw), (dh, dw) = size, kernel, stride, padding, dilation
    return output_size(h, kh, sh, ph, dh), output_size(w, kw, sw, pw, dw)


def reach(out: Pair, kernel: Pair, stride: Pair, dilation: Pair) -> Pair:
    """The size of the canvas that ``out`` windows cover, from the first pixel of the first to the last of the last."""
    (oh, ow), (kh, kw), (sh, sw), (dh, dw) = out, kernel, stride, dilation
    return (oh - 1) * sh + dh * (kh - 1) + 1, (ow - 1) * sw + dw * (kw - 1) + 1


def sliding_windows(
    canvas: np.ndarray, axes: Pair, out: Pair, kernel: Pair, stride: Pair, dilation: Pair
) -> np.ndarray:
    """Every window of a canvas, as a view: (..., OH, ..., OW, ..., KH, KW) of (..., H, ..., W, ...).

    Windows overlap in memory: write to one kernel position ``[..., i, j]`` at a time.
    """
    shape, strides = list(canvas.shape), list(canvas.strides)
    for axis, o, k, s, d in zip(axes, out, kernel, stride, dilation, strict=True):
        shape.append(k)
        strides.append(strides[axis] * d)
        shape[axis] = o
        strides[axis] *= s
    if canvas.flags.c_contiguous:  # a sixth of as_strided's time, which counts for single images
        return np.ndarray(shape, canvas.dtype, canvas, 0, strides)
    return as_strided(canvas, shape, strides)


def im2col(x: np.ndarray, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> np.ndarray:
    """Write each window of the images (N,C,H,W) as a column: (N, C*KH*KW, OH*OW)."""
    n, c, h, w = x.shape
    (ph, pw), out = padding, output_sizes((h, w), kernel, stride, padding, dilation)
    canvas = np.pad(x, ((0, 0), (0, 0), (ph, ph), (pw, pw)))
    windows = sliding_windows(canvas, (2, 3), out, kernel, stride, dilation)  # (N, C, OH, OW, KH, KW)
    return windows.transpose(0, 1, 4, 5, 2, 3).reshape(n, c * kernel[0] * kernel[1], out[0] * out[1])


def col2im(columns: np.ndarray, size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> np.ndarray:
    """Add each column back to where im2col read it, (N, C*KH*KW, OH*OW) -> (N, C, *size): im2col's adjoint."""
    n, (kh, kw), (ph, pw), (h, w) = len(columns), kernel, padding, size
    oh, ow = output_sizes(size, kernel, stride, padding, dilation)
    c = columns.shape[1] // (kh * kw)
    columns = columns.reshape(n, c, kh, kw, oh, ow)
    canvas = np.zeros((n, c, h + 2 * ph, w + 2 * pw), columns.dtype)
    windows = sliding_windows(canvas, (2, 3), (oh, ow), kernel, stride, dilation)  # (N, C, OH, OW, KH, KW)
    for i in range(kh):  # a loop over the kernel's few positions, each a whole image wide
        for j in range(kw):
            windows[..., i, j] += columns[:, :, i, j]
    return canvas[:, :, ph : ph + h, pw : pw + w]
