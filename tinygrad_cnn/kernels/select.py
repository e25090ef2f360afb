"""Choosing between values by a mask, bit by bit: five to ten times faster than ``np.where`` on unordered masks.

A mask turned into 0 and -1 (all bits set), in int8, which widens to any integer, chooses with ``&``; so what is not
chosen leaves no trace, not even an inf or a nan.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels import spare
from tinygrad_cnn.kernels.elementwise import BITS, fill
from tinygrad_cnn.kernels.workspace import workspace


def keep(x: Array, mask: Any) -> Array:
    """``x`` where ``mask`` holds, 0 elsewhere."""
    x, mask = np.asarray(x), np.asarray(mask, dtype=bool)
    if x.shape == mask.shape:
        return fill(spare.like(x), write_kept, x, mask, brief=True)
    bits = np.bitwise_and(x.view(BITS[x.itemsize]), np.negative(mask.view(np.int8)))
    return np.asarray(bits.view(x.dtype))


def write_kept(x: Array, mask: Array, out: Array) -> None:
    """``keep`` into ``out``."""
    bits, spread = BITS[x.itemsize], workspace("mask", x.shape, np.int8)
    np.negative(mask.view(np.int8), out=spread)
    np.bitwise_and(x.view(bits), spread, out=out.view(bits))


def keep_nonzero(x: Array, other: Array) -> Array:
    """``x`` where ``other`` is not 0, 0 elsewhere; both have the same shape."""
    return fill(spare.like(x), _keep_nonzero, x, other, brief=True)


def _keep_nonzero(x: Array, other: Array, out: Array) -> None:
    bits, mask = BITS[x.itemsize], workspace("mask", x.shape, np.int8)
    np.not_equal(other, 0, out=mask.view(bool))
    np.negative(mask, out=mask)
    np.bitwise_and(x.view(bits), mask, out=out.view(bits))


def select(mask: Any, x: Any, y: Any) -> Array:
    """``x`` where ``mask`` holds, ``y`` elsewhere; numbers take the dtype of the array beside them."""
    dtype, mask = np.result_type(x, y), np.asarray(mask, dtype=bool)
    integer = BITS[dtype.itemsize]
    x, y = np.asarray(x, dtype).view(integer), np.asarray(y, dtype).view(integer)
    if x.shape == y.shape == mask.shape:
        out = fill(np.empty_like(x), _select, mask, x, y, brief=True)
    elif x.shape == mask.shape and not y.ndim:
        out = fill(np.empty_like(x), lambda mask, x, out: _select(mask, x, y, out), mask, x)
    elif y.shape == mask.shape and not x.ndim:
        out = fill(np.empty_like(y), lambda mask, y, out: _select(mask, x, y, out), mask, y)
    else:
        out = np.empty(np.broadcast_shapes(mask.shape, x.shape, y.shape), integer)
        _select(mask, x, y, out)
    return out.view(dtype)


def _select(mask: Array, x: Array, y: Array, out: Array) -> None:
    """Of integers that stand for the numbers' bits."""
    np.bitwise_xor(x, y, out=out)
    np.bitwise_and(out, np.negative(mask.view(np.int8), out=workspace("mask", mask.shape, np.int8)), out=out)
    np.bitwise_xor(out, y, out=out)


def clip(x: Array, low: float, high: float) -> Array:
    """``x`` brought into [low, high]. NumPy's loop for this is three times as fast as maximum with a number."""
    x = np.asarray(x)
    if x.dtype.kind != "f" or not x.ndim:
        return np.asarray(x.clip(low, high))
    return fill(np.empty_like(x), lambda x, out: x.clip(low, high, out=out), x, at_once=True)
