"""Activation functions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import DTypeError
from tinygrad_cnn.kernels import activation as kernels
from tinygrad_cnn.ops._samples import unary
from tinygrad_cnn.ops.elementwise import keep

__all__ = [
    "relu",
    "sigmoid",
    "tanh",
]


@differentiable(elementwise="arithmetic", method=True, inplace=True)
def relu(input: Array) -> Array:
    """``max(x, 0)``; its slope at 0 is 0.

    >>> import tinygrad_cnn as tg
    >>> tg.relu(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return np.maximum(input, 0)


relu.gradients(input=lambda g, out: keep(g, out != 0))
relu.samples(unary(away_from=(0.0,)))
relu.reference(np.vectorize(lambda x: x if x > 0 else 0.0))


@relu.check
def _(input: Any) -> None:
    if isinstance(input, np.ndarray) and input.dtype.kind == "b":
        raise DTypeError("relu: Boolean inputs not supported for relu; convert with .float()")


@differentiable(elementwise="float", method=True, inplace=True)
def sigmoid(input: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    return kernels.sigmoid(input)


sigmoid.gradients(input=lambda g, out: g * ((1 - out) * out))
sigmoid.samples(unary(-5, 5))
sigmoid.reference(np.vectorize(lambda x: 1 / (1 + math.exp(-x))))


@differentiable(elementwise="float", method=True, inplace=True)
def tanh(input: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(input)


tanh.gradients(input=lambda g, out: g * (1 - out * out))
tanh.samples(unary(-3, 3))
tanh.reference(np.vectorize(math.tanh))
