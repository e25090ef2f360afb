"""Activations on arrays, with as few passes over memory and as few new arrays as possible."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.backend import Array


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``; where exp overflows, 1 / inf = 0 is right."""
    out = np.negative(x, out=np.empty_like(x))
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    return np.reciprocal(out, out=out)


def _shifted(x: Array, axis: int | None) -> Array:
    """``x`` less its maximum along ``axis``, so that exp can't overflow."""
    peak = np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf)
    return np.subtract(x, peak, out=np.empty_like(x))


def softmax(x: Array, axis: int) -> Array:
    """exp(x), divided by its sum along ``axis``."""
    along = axis if x.ndim else None
    out = _shifted(x, along)
    np.exp(out, out=out)
    return np.divide(out, np.add.reduce(out, axis=along, keepdims=True), out=out)


def log_softmax(x: Array, axis: int) -> Array:
    """The logarithm of softmax, without taking the logarithm of a small number."""
    along = axis if x.ndim else None
    out = _shifted(x, along)
    total = np.add.reduce(np.exp(out), axis=along, keepdims=True)
    return np.subtract(out, np.log(total), out=out)
