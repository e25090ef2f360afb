"""Choosing between values by a mask, bit by bit: five to ten times faster than ``np.where`` on unordered masks.

A mask turned into integers of zeros and ones everywhere (0 and -1) chooses with ``&``; so what is not chosen
leaves no trace, not even an inf or a nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels.elementwise import BITS, fill, in_parts
from tinygrad_cnn.kernels.workspace import workspace


def _spread(mask: Any) -> Array:
    """0 where the mask is False, -1 (all bits set) where it is True, in int8, which widens to any integer."""
    return np.asarray(np.negative(np.asarray(mask, dtype=bool).view(np.int8)))


@in_parts
def keep(x: Array, mask: Any) -> Array:
    """``x`` where ``mask`` holds, 0 elsewhere."""
    x = np.asarray(x)
    bits = np.bitwise_and(x.view(BITS[x.itemsize]), _spread(mask))
    return np.asarray(bits.view(x.dtype))


def keep_nonzero(x: Array, other: Array) -> Array:
    """``x`` where ``other`` is not 0, 0 elsewhere; both have the same shape."""
    return fill(np.empty_like(x), _keep_nonzero, x, other)


def _keep_nonzero(x: Array, other: Array, out: Array) -> None:
    bits, mask = BITS[x.itemsize], workspace("mask", x.shape, np.int8)
    np.not_equal(other, 0, out=mask.view(bool))
    np.negative(mask, out=mask)
    np.bitwise_and(x.view(bits), mask, out=out.view(bits))


@in_parts
def select(mask: Any, x: Any, y: Any) -> Array:
    """``x`` where ``mask`` holds, ``y`` elsewhere; numbers take the dtype of the array beside them."""
    dtype = np.result_type(x, y)
    integer = BITS[dtype.itemsize]
    x, y = np.asarray(x, dtype).view(integer), np.asarray(y, dtype).view(integer)
    bits = np.bitwise_and(np.bitwise_xor(x, y), _spread(mask))
    return np.asarray(np.bitwise_xor(bits, y).view(dtype))


def clip(x: Array, low: float, high: float) -> Array:
    """``x`` brought into [low, high]. NumPy's loop for this is three times as fast as maximum with a number."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or not x.ndim:
        return np.asarray(x.clip(low, high))
    return fill(np.empty_like(x), lambda x, out: x.clip(low, high, out=out), x, at_once=True)
