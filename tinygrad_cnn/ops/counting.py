"""Distinct elements, counts and histograms, and places in sorted sequences: no gradients."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.tensor import Tensor, as_array, check_dim, wrap
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ShapeError, UnsupportedError
from tinygrad_cnn.ops.create import require_tensor

__all__ = ["bincount", "bucketize", "histc", "searchsorted", "unique", "unique_consecutive"]


# --------------------------------------------------------------------------------------------- distinct
@tensor_method
@numpy_names
def unique(
    input: Tensor,
    sorted: bool = True,
    return_inverse: bool = False,
    return_counts: bool = False,
    dim: int | None = None,
) -> Any:
    """The distinct elements in order, or the distinct slices along ``dim``; always sorted.

    If asked, also where each element of ``input`` is among them, and how often each one comes.

    >>> import tinygrad_cnn as tg
    >>> tg.unique(tg.tensor([3, 1, 3]), return_counts=True)
    (tensor([1, 3]), tensor([1, 2]))
    """
    array = require_tensor(input, "unique")
    axis = None if dim is None else check_dim(dim, array.ndim, "unique")
    values, inverse, counts = np.unique(array, axis=axis, return_inverse=True, return_counts=True, equal_nan=False)
    inverse = inverse.reshape(array.shape if axis is None else -1)
    return _wanted(values, (inverse, return_inverse), (counts, return_counts))


@tensor_method
@numpy_names
def unique_consecutive(
    input: Tensor, return_inverse: bool = False, return_counts: bool = False, dim: int | None = None
) -> Any:
    """The elements, or the slices along ``dim``, without those that equal the one before.

    >>> import tinygrad_cnn as tg
    >>> tg.unique_consecutive(tg.tensor([1, 1, 2, 1]))
    tensor([1, 2, 1])
    """
    array = require_tensor(input, "unique_consecutive")
    axis = 0 if dim is None else check_dim(dim, array.ndim, "unique_consecutive")
    rows = array.reshape(-1) if dim is None else np.moveaxis(array, axis, 0)
    starts = np.ones(len(rows), bool)
    starts[1:] = (rows[1:] != rows[:-1]).any(axis=tuple(range(1, rows.ndim)))
    inverse = np.cumsum(starts) - 1
    counts = np.diff(np.append(np.flatnonzero(starts), len(rows)))
    inverse = inverse.reshape(array.shape) if dim is None else inverse
    return _wanted(np.moveaxis(rows[starts], 0, axis), (inverse, return_inverse), (counts, return_counts))


def _wanted(values: Array, *others: tuple[Array, bool]) -> Any:
    chosen = (wrap(values), *(wrap(other.astype(np.int64)) for other, wanted in others if wanted))
    return chosen if len(chosen) > 1 else chosen[0]


# ------------------------------------------------------------------------------------------------ counts
@tensor_method
def bincount(input: Tensor, weights: Tensor | None = None, minlength: int = 0) -> Tensor:
    """How often each integer from 0 to the largest comes, or the sum of the weights of its places.

    >>> import tinygrad_cnn as tg
    >>> tg.bincount(tg.tensor([0, 2, 2]))
    tensor([1, 0, 2])
    """
    array = require_tensor(input, "bincount")
    if array.dtype.kind not in "iu":
        raise UnsupportedError(f"bincount: expected integers, got {input.dtype}")
    if array.ndim != 1 or (array.size and array.min() < 0):
        raise ShapeError(f"bincount only supports 1-d non-negative integral inputs, got shape {array.shape}")
    if minlength < 0:
        raise ShapeError(f"bincount: minlength should be >= 0, got {minlength}")
    if weights is None:
        return wrap(np.bincount(array, minlength=minlength).astype(np.int64, copy=False))
    weight = require_tensor(weights, "bincount", "weights")
    if weight.shape != array.shape:
        raise ShapeError(f"bincount: weights should be 1-d and have the same length as input, got shape {weight.shape}")
    total = np.bincount(array, weight, minlength)
    return wrap(total.astype(np.float32 if weight.dtype == np.float32 else np.float64, copy=False))


@tensor_method
def histc(input: Tensor, bins: int = 100, min: float = 0, max: float = 0) -> Tensor:
    """How many elements fall in each of ``bins`` equal intervals from ``min`` to ``max`` (both 0: of the data).

    >>> import tinygrad_cnn as tg
    >>> tg.histc(tg.tensor([0.0, 1.0, 4.0]), bins=2)
    tensor([2., 1.])
    """
    array = require_tensor(input, "histc")
    if array.dtype.kind != "f":
        raise UnsupportedError(f"histc: expected floating numbers, got {input.dtype}; convert with .float()")
    if bins <= 0:
        raise ShapeError(f"histc: bins must be > 0, got {bins}")
    low, high = float(min), float(max)
    if low == high and array.size:
        low, high = float(array.min()), float(array.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise ShapeError(f"histc: range of [{low}, {high}] is not finite")
    if low > high:
        raise ShapeError(f"histc: max must be larger than min, got min {low}, max {high}")
    if low == high:
        low, high = low - 1, high + 1
    counts, _ = np.histogram(array[~np.isnan(array)], bins, (low, high))
    return wrap(counts.astype(array.dtype))


# ------------------------------------------------------------------------------------- sorted sequences
def searchsorted(
    sorted_sequence: Tensor,
    input: Any,
    *,
    out_int32: bool = False,
    right: bool = False,
    side: str | None = None,
    sorter: Tensor | None = None,
) -> Tensor:
    """Where each element would be put into the sorted sequence: before its equals, or, if ``right``, behind them.

    The sequence is 1-d, or has one row for each row of ``input``; ``sorter`` holds the indices that sort it.

    >>> import tinygrad_cnn as tg
    >>> tg.searchsorted(tg.tensor([1.0, 2.0, 3.0]), tg.tensor([0.5, 2.0]))
    tensor([0, 1])
    """
    if side not in (None, "left", "right") or (side == "left" and right):
        raise ShapeError(f"searchsorted: side can only be 'left' or 'right' and agree with right={right}, got {side!r}")
    way = "right" if right or side == "right" else "left"
    sequence, values = require_tensor(sorted_sequence, "searchsorted", "sorted_sequence"), np.asarray(as_array(input))
    if sorter is not None:
        sequence = np.take_along_axis(sequence, require_tensor(sorter, "searchsorted", "sorter"), -1)
    if sequence.ndim == 1:
        found = np.asarray(np.searchsorted(sequence, values, way))  # type: ignore[call-overload]  # way is one of two
    else:
        if sequence.shape[:-1] != values.shape[:-1]:
            raise ShapeError(
                "searchsorted: boundaries tensor should be 1 dimension or the first N-1 dimensions of boundaries "
                f"tensor and input value tensor must match, got {sequence.shape} and {values.shape}"
            )
        found = np.empty(values.shape, np.int64)
        for row in np.ndindex(*values.shape[:-1]):
            found[row] = np.searchsorted(sequence[row], values[row], way)  # type: ignore[call-overload]  # as above
    return wrap(found.astype(np.int32 if out_int32 else np.int64))


def bucketize(input: Any, boundaries: Tensor, *, out_int32: bool = False, right: bool = False) -> Tensor:
    """The index of the interval between sorted boundaries that each element falls in."""
    if require_tensor(boundaries, "bucketize", "boundaries").ndim != 1:
        raise ShapeError(f"bucketize: boundaries tensor must be 1 dimension, got shape {tuple(boundaries.shape)}")
    return searchsorted(boundaries, input, out_int32=out_int32, right=right)
