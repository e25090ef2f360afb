"""Activations on arrays, with as few passes over memory and as few new arrays as possible.

NumPy's loop for ``clip`` is three times as fast as those for ``maximum`` and ``minimum`` with a number.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels import elementwise, spare
from tinygrad_cnn.kernels.elementwise import fill, in_parts
from tinygrad_cnn.kernels.erf import erf
from tinygrad_cnn.kernels.normal import normal
from tinygrad_cnn.kernels.parallel import run, shares
from tinygrad_cnn.kernels.select import select, write_kept
from tinygrad_cnn.kernels.workspace import workspace


def sigmoid(x: Array) -> Array:
    """``1 / (1 + exp(-x))``; where exp overflows, 1 / inf = 0 is right."""
    return fill(np.empty_like(x), _sigmoid, x)


def _sigmoid(x: Array, out: Array) -> None:
    np.negative(x, out=out)
    np.exp(out, out=out)
    np.add(out, 1, out=out)
    np.reciprocal(out, out=out)


# ------------------------------------------------------------------------- values, and slopes on the way
def with_slope(function: Callable[..., None], x: Array, recording: bool) -> tuple[Array, Array | None]:
    """``function(x, slope, out)`` on parts: the values, and if wanted the slopes, which share most of the work.

    Backward is one multiplication then, and what is kept for it is as large as x.
    """
    out = np.empty_like(x)
    if not recording:
        return fill(out, lambda x, out: function(x, None, out), x), None
    slope = np.empty_like(x)
    return fill(out, function, x, slope), slope


def times_slope(g: Array, slope: Array) -> Array:
    """The gradient of what ``with_slope`` gave."""
    return fill(spare.like(g), np.multiply, g, slope, at_once=True)


def silu(x: Array, slope: Array | None, out: Array) -> None:
    """``x * s`` with s = sigmoid(x); its slope is ``s + x * s * (1 - s)``."""
    s = np.empty_like(x) if slope is None else slope
    _sigmoid(x, s)
    np.multiply(x, s, out=out)
    if slope is not None:
        np.add(s, (1 - s) * out, out=slope)


def mish(x: Array, slope: Array | None, out: Array) -> None:
    """``x * t`` with t = tanh(softplus(x)); its slope is ``t + x * sigmoid(x) * (1 - t * t)``."""
    t = np.tanh(softplus(x, 1.0, 20.0))
    np.multiply(x, t, out=out)
    if slope is not None:
        _sigmoid(x, slope)
        np.multiply(slope, x, out=slope)
        np.multiply(slope, 1 - t * t, out=slope)
        np.add(slope, t, out=slope)


def gelu(x: Array, slope: Array | None, out: Array) -> None:
    """``x * p`` with p = (1 + erf(x / sqrt(2))) / 2, the normal distribution; the slope is p + x times the density."""
    if x.dtype == np.float32:
        normal(x, slope, out)
    else:
        np.multiply(np.add(erf(x * math.sqrt(0.5)), 1), 0.5, out=out)
        if slope is not None:
            np.multiply(np.exp(x * x * -0.5), 1 / math.sqrt(2 * math.pi), out=slope)
    if slope is not None:
        np.multiply(slope, x, out=slope)
        np.add(slope, out, out=slope)
    np.multiply(x, out, out=out)


def tanh_gelu(x: Array, slope: Array | None, out: Array) -> None:
    """``x * (1 + t) / 2`` with t = tanh(sqrt(2 / pi) * (x + 0.044715 x^3)), which is near ``gelu``."""
    square = np.multiply(x, x)
    t = np.tanh((square * _TANH_CUBE + 1) * x * _TANH_SCALE)
    np.multiply(x, (1 + t) * 0.5, out=out)
    if slope is not None:
        np.multiply((1 - t * t) * (square * (3 * _TANH_CUBE) + 1) * _TANH_SCALE, x, out=slope)
        np.add(slope, 1 + t, out=slope)
        np.multiply(slope, 0.5, out=slope)


_TANH_SCALE, _TANH_CUBE = math.sqrt(2 / math.pi), 0.044715


# ---------------------------------------------------------------------------------------- straight lines


def leaky_relu(x: Array, slope: float) -> Array:
    """x where x > 0, ``slope * x`` elsewhere."""
    if 0 < slope <= 1:
        return fill(
            np.empty_like(x), lambda x, out: np.maximum(x, np.multiply(x, slope, out=out), out=out), x, brief=True
        )
    return select(np.greater(x, 0), x, np.multiply(x, slope))


def leaky_relu_grad(g: Array, x: Array, slope: float) -> Array:
    """``g`` where x > 0, ``slope * g`` elsewhere."""
    if not 0 <= slope <= 1:
        return select(np.greater(x, 0), g, np.multiply(g, slope))

    def work(g: Array, x: Array, out: Array) -> None:
        mask = workspace("mask", x.shape, np.int8)
        np.greater(x, 0, out=mask.view(bool))
        slopes = workspace("slopes", x.shape, x.dtype)
        np.copyto(slopes, mask)
        slopes.clip(slope, 1, out=slopes)  # of ones and zeros
        np.multiply(slopes, g, out=out)

    return fill(spare.like(g), work, g, x)


def hardswish(x: Array) -> Array:
    """``x * min(max(x + 3, 0), 6) / 6``."""
    return fill(np.empty_like(x), _hardswish, x)


def _hardswish(x: Array, out: Array) -> None:
    np.add(x, 3, out=out)
    out.clip(0, 6, out=out)
    np.multiply(out, x, out=out)
    np.divide(out, 6, out=out)


def hardswish_grad(g: Array, x: Array) -> Array:
    """``g`` times the slope: ``min(max(x + 3, 0), 6) / 6``, and within (-3, 3) ``x / 6`` besides."""
    return fill(np.empty_like(g), _hardswish_grad, g, x)


def _hardswish_grad(g: Array, x: Array, out: Array) -> None:
    inside, mask = workspace("inside", x.shape, x.dtype), workspace("within", x.shape, bool)
    np.abs(x, out=out)
    np.less(out, 3, out=mask)
    write_kept(x, mask, inside)
    np.add(x, 3, out=out)
    out.clip(0, 6, out=out)
    np.add(out, inside, out=out)
    np.multiply(out, g, out=out)
    np.divide(out, 6, out=out)


@in_parts
def elu(x: Array, factor: float, scale: float, input_scale: float) -> Array:
    """``scale * x`` where x > 0, ``factor * (exp(input_scale * x) - 1)`` elsewhere."""
    low = x.clip(None, 0)
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
    return select(np.greater(z, threshold), x, (z.clip(0) + log1p_exp(-np.abs(z))) / beta)


def log1p_exp(x: Array) -> Array:
    """``log(1 + exp(x))`` for x <= 0.

    The logarithm of w = 1 + y misses what the sum rounds off y, to first order (y - (w - 1)) / w. That is six
    vectorised passes; NumPy's log1p, which is none, takes five times as long.
    """
    y = np.exp(x)
    w = 1 + y
    lost = (y - (w - 1)) / w
    return np.asarray(np.log(w) + lost)


# --------------------------------------------------------------------------------------------- softmax
def softmax(x: Array, axis: int) -> Array:
    """exp(x), divided by its sum along ``axis``."""
    return _in_slices(_softmax, x, axis)


def log_softmax(x: Array, axis: int) -> Array:
    """The logarithm of softmax, without taking the logarithm of a small number."""
    return _in_slices(_log_softmax, x, axis)


def _softmax(x: Array, axis: int | None, out: Array) -> None:
    _subtract_maximum(x, axis, out)
    np.exp(out, out=out)
    np.divide(out, np.add.reduce(out, axis=axis, keepdims=True), out=out)


def _log_softmax(x: Array, axis: int | None, out: Array) -> None:
    _subtract_maximum(x, axis, out)
    exponentials = np.exp(out, out=workspace("exponentials", out.shape, out.dtype))
    np.subtract(out, np.log(np.add.reduce(exponentials, axis=axis, keepdims=True)), out=out)


def _subtract_maximum(x: Array, axis: int | None, out: Array) -> None:
    """So that exp can't overflow."""
    np.subtract(x, np.maximum.reduce(x, axis=axis, keepdims=True, initial=-np.inf), out=out)


def _in_slices(function: Callable[[Array, int | None, Array], None], x: Array, axis: int) -> Array:
    """``function(x, axis, out)`` on slices that fit the cache, across another dimension, over the threads."""
    out = np.empty_like(x)
    across = x.ndim - 1 if axis in (0, -x.ndim) else 0
    if x.size <= 2 * elementwise.PART or x.ndim < 2:
        function(x, axis if x.ndim else None, out)
        return out

    def work(share: slice) -> None:
        step = max(1, 4 * elementwise.PART * x.shape[across] // x.size)
        for start in range(share.start, share.stop, step):
            part = (*[slice(None)] * across, slice(start, min(start + step, share.stop)))
            function(x[part], axis, out[part])

    run(work, shares(x.shape[across], cost=8 * x.nbytes))
    return out
