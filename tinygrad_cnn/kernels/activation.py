"""Activations on arrays, with as few passes over memory and as few new arrays as possible."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels.erf import erf

_CHUNK = 1 << 15  # elements whose temporaries stay in the cache


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``; where exp overflows, 1 / inf = 0 is right."""
    out = np.empty_like(x)
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)
    return out


def gelu(x: Array) -> Array:
    """``x * (1 + erf(x / sqrt(2))) / 2``: x times the normal distribution's cumulative probability."""
    out = np.empty_like(x)
    source, target = x.ravel(order="K"), out.ravel(order="K")
    if not np.may_share_memory(target, out) or source.strides != target.strides:
        return np.asarray(x * 0.5 * (1 + erf(x * math.sqrt(0.5))))
    for start in range(0, x.size, _CHUNK):
        part, result = source[start : start + _CHUNK], target[start : start + _CHUNK]
        np.add(erf(part * math.sqrt(0.5)), 1, out=result)
        np.multiply(result, part * 0.5, out=result)
    return out


def _less_maximum(x: Array, axis: int | None) -> Array:
    """``x`` less its maximum along ``axis``, so that exp can't overflow."""
    out = np.empty_like(x)
    np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf), out=out)
    return out


def softmax(x: Array, axis: int) -> Array:
    """exp(x), divided by its sum along ``axis``."""
    along = axis if x.ndim else None
    out = _less_maximum(x, along)
    np.exp(out, out=out)
    np.divide(out, np.add.reduce(out, axis=along, keepdims=True), out=out)
    return out


def log_softmax(x: Array, axis: int) -> Array:
    """The logarithm of softmax, without taking the logarithm of a small number."""
    along = axis if x.ndim else None
    out = _less_maximum(x, along)
    np.subtract(out, np.log(np.add.reduce(np.exp(out), axis=along, keepdims=True)), out=out)
    return out
