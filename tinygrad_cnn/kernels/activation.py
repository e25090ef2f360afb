"""Activations on arrays, with as few passes over memory and as few new arrays as possible."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels.elementwise import fill, in_parts
from tinygrad_cnn.kernels.erf import erf
from tinygrad_cnn.kernels.select import select


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``; where exp overflows, 1 / inf = 0 is right."""
    return fill(np.empty_like(x), _sigmoid, x)


def _sigmoid(x: Array, out: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


def silu(x: Array) -> Array:
    """``x * sigmoid(x)``."""
    return fill(np.empty_like(x), _silu, x)


def _silu(x: Array, out: Array) -> None:
    _sigmoid(x, out)
    np.multiply(out, x, out=out)


@in_parts
def elu(x: Array, factor: float, scale: float, input_scale: float) -> Array:
    """``scale * x`` where x > 0, ``factor * (exp(input_scale * x) - 1)`` elsewhere."""
    low = np.minimum(x, 0)
    if x.dtype != np.float32 or input_scale < 0:
        low = np.expm1(low * input_scale)
    else:  # exp(2h) - 1 = 2 tanh(h) / (1 - tanh(h)), exact for small h too; NumPy's expm1 isn't vectorised
        low = np.tanh(low * (input_scale / 2))
        low = low / ((1 - low) * 0.5)
    return select(np.less_equal(x, 0), low * factor, x if scale == 1 else x * scale)


@in_parts
def softplus(x: Array, beta: float, threshold: float) -> Array:
    """``log(1 + exp(beta * x)) / beta``, and x itself where ``beta * x`` > ``threshold``."""
    z = np.multiply(x, beta)
    if not beta:
        return select(np.greater(z, threshold), x, np.full_like(z, np.inf))
    return select(np.greater(z, threshold), x, (np.maximum(z, 0) + log1p_exp(-np.abs(z))) / beta)


def log1p_exp(x: Array) -> Array:
    """``log(1 + exp(x))`` for x <= 0.

    The logarithm of w = 1 + y misses what the sum rounds off y, to first order (y - (w - 1)) / w. That is six
    vectorised passes; NumPy's log1p, which is none, takes five times as long.
    """
    y = np.exp(x)
    w = 1 + y
    lost = (y - (w - 1)) / w
    return np.asarray(np.log(w) + lost)


@in_parts
def gelu(x: Array) -> Array:
    """``x * (1 + erf(x / sqrt(2))) / 2``: x times the normal distribution's cumulative probability."""
    return np.asarray((erf(x * math.sqrt(0.5)) + 1) * (x * 0.5))


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
