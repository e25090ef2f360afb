"""Reductions over any dimensions, fast in any memory order."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels.parallel import one_blas_thread, run, shares

_WORTHWHILE = 4096  # elements from which rearranging pays
_LONGEST_PRODUCT = 8192  # longer rows are summed by halves, which rounds less
_ALONE = 1 << 16  # elements up to which a product stays in its thread by itself
_BLOCK = 256  # rows that are summed in one go


def reduce(ufunc: Any, x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """``ufunc.reduce`` in the array's own dtype, as an array."""
    over = None if len(axes) == x.ndim else axes  # all: NumPy finds that faster
    return np.asarray(ufunc.reduce(x, axis=over, dtype=x.dtype, keepdims=keepdims))


def total(x: Array, axes: tuple[int, ...], keepdims: bool = False) -> Array:
    """The sum over ``axes``.

    NumPy's own is up to ten times slower where few elements lie side by side, as in the sum over the pixels of
    channels-last images. Products with ones do it at the speed of memory.
    """
    if x.size < _WORTHWHILE or x.dtype.kind != "f" or x.dtype.itemsize == 2 or not axes:
        return reduce(np.add, x, axes, keepdims)
    if axes == (0,) and len(x) <= _BLOCK and x.size <= _ALONE and x.flags.c_contiguous and x[0].size >= len(x):
        return reduce(np.add, x, axes, keepdims)  # few long rows, as of a small batch's gradients
    order = sorted(range(x.ndim), key=lambda axis: -abs(x.strides[axis]))
    ordered = x.transpose(order)
    if not ordered.flags.c_contiguous:
        return reduce(np.add, x, axes, keepdims)
    runs: list[list[Any]] = []  # neighbours in memory that are all kept or all reduced: [reduced?, elements]
    for axis in order:
        reduced = axis in axes
        if runs and runs[-1][0] == reduced:
            runs[-1][1] *= x.shape[axis]
        else:
            runs.append([reduced, x.shape[axis]])
    out = ordered.reshape([count for _, count in runs])
    for place in reversed(range(len(runs))):
        if runs[place][0]:
            out = _sum_one(out, place)
    kept = [axis for axis in order if axis not in axes]
    out = out.reshape([x.shape[axis] for axis in kept]).transpose(np.argsort(kept) if kept else ())
    return out.reshape([1 if axis in axes else side for axis, side in enumerate(x.shape)]) if keepdims else out


def _sum_one(x: Array, place: int) -> Array:
    """The sum over one dimension of a contiguous array."""
    count, before, behind = x.shape[place], x.shape[:place], x.shape[place + 1 :]
    rows = x.reshape(math.prod(before), count, math.prod(behind))
    if x.size <= _ALONE:
        return _sum_middle(rows).reshape((*before, *behind))
    with one_blas_thread():
        if len(rows) > 1:
            out = np.concatenate(run(lambda share: _sum_middle(rows[share]), shares(len(rows), x.nbytes)))
        else:
            out = np.add.reduce(run(lambda share: _sum_middle(rows[:, share]), shares(count, x.nbytes)), axis=0)
    return out.reshape((*before, *behind))


def _sum_middle(rows: Array) -> Array:
    """The sum over the middle one of three dimensions."""
    before, count, behind = rows.shape
    if behind > 1:
        return _sum_rows(rows)
    if before > 1 and count <= _LONGEST_PRODUCT:
        return rows[:, :, 0] @ np.ones((count, 1), rows.dtype)
    return np.add.reduce(rows, axis=1)


def _sum_rows(rows: Array) -> Array:
    """The same by products with ones, block by block: rounding errors grow with their length alone."""
    count = rows.shape[1]
    rest = count % _BLOCK if count > 2 * _BLOCK else count
    out: Array = np.matmul(np.ones((1, rest), rows.dtype), rows[:, count - rest :])[:, 0]
    if rest < count:
        blocks = rows[:, : count - rest].reshape(len(rows), -1, _BLOCK, rows.shape[2])
        out += _sum_rows(np.matmul(np.ones((1, _BLOCK), rows.dtype), blocks)[:, :, 0])
    return out
