"""Layouts in memory: the same values for an op, at other places. Each is a trap for kernels that compute addresses."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def contiguous(array: np.ndarray) -> np.ndarray:
    """In the order of the indices, without gaps."""
    return np.ascontiguousarray(array).reshape(array.shape)


def transposed(array: np.ndarray) -> np.ndarray:
    """The first index runs fastest."""
    return np.array(array, order="F")


def strided(array: np.ndarray) -> np.ndarray:
    """Every second element of a larger buffer; what lies between is NaN, or the largest integer."""
    buffer = np.empty((*array.shape, 2), array.dtype)
    if array.dtype.kind != "b":
        buffer.fill(np.nan if array.dtype.kind == "f" else np.iinfo(array.dtype).max)
    buffer[..., 0] = array
    return buffer[..., 0]


def reversed_(array: np.ndarray) -> np.ndarray:
    """Backwards: every stride is negative."""
    return np.flip(np.flip(array).copy())


def channels_last(array: np.ndarray) -> np.ndarray:
    """Dimension 1 runs fastest, as the results of convolutions lie in memory."""
    if array.ndim < 3:
        return transposed(array)
    return np.moveaxis(np.ascontiguousarray(np.moveaxis(array, 1, -1)), -1, 1)


def broadcast(array: np.ndarray) -> np.ndarray:
    """The first slice of dimension 0 seen as often as there were slices: its stride is 0, and it is read-only.

    The one layout that changes the values.
    """
    return np.broadcast_to(array[:1].copy(), array.shape) if array.ndim and array.size else array


LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "contiguous": contiguous,
    "strided": strided,
    "transposed": transposed,
    "channels_last": channels_last,
    "reversed": reversed_,
    "broadcast": broadcast,
}
