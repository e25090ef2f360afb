"""Arithmetic on elements. Inputs are broadcast and promoted by the registry; formulas needn't mention either."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import Array, Number
from tinygrad_cnn.ops._samples import binary, unary

__all__ = ["add", "exp", "mul"]


@differentiable(
    elementwise="arithmetic", method=("add", "__add__", "__radd__"), inplace=("add_", "__iadd__"), grad_name="AddBackward0"
)
def add(input: Array, other: Array, *, alpha: Number = 1) -> Array:
    """``input + alpha * other``, elementwise with broadcasting.

    >>> import tinygrad_cnn as tg
    >>> tg.add(tg.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    return np.add(input, other if alpha == 1 else alpha * other)


add.gradients(input=lambda g: g, other=lambda g, alpha: g if alpha == 1 else g * alpha)
add.samples(binary())
add.reference(np.vectorize(lambda input, other, alpha=1: input + alpha * other))


@differentiable(elementwise="arithmetic", method=("mul", "multiply", "__mul__", "__rmul__"), inplace=("mul_", "__imul__"))
def mul(input: Array, other: Array) -> Array:
    """``input * other``, elementwise with broadcasting."""
    return np.multiply(input, other)


mul.gradients(input=lambda g, other: g * other, other=lambda g, input: g * input)
mul.samples(binary())
mul.reference(np.vectorize(lambda input, other: input * other))


@differentiable(elementwise="float", method=True, inplace=True)
def exp(input: Array) -> Array:
    """e to the power of each element."""
    return np.exp(input)


exp.gradients(input=lambda g, out: g * out)
exp.samples(unary())
exp.reference(np.vectorize(math.exp))
