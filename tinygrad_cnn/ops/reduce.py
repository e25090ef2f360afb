"""Reductions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable, tensor_method
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Array
from tinygrad_cnn.ops.shape import expand, reshape

Dims = int | tuple[int, ...] | None

__all__ = ["sum"]


@differentiable(method=True)
def sum(input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
    """The sum over some dimensions, or over all."""
    return np.add.reduce(input, axis=dim, keepdims=keepdim)


def spread(g: Any, shape: tuple[int, ...], dim: Dims, keepdim: bool) -> Any:
    """Give a reduction's gradient back to every element that was reduced."""
    if not keepdim and dim is not None:
        dims = {d % len(shape) for d in (dim if isinstance(dim, tuple) else (dim,))}
        g = reshape(g, tuple(1 if i in dims else s for i, s in enumerate(shape)))
    return expand(g, shape)


sum.gradients(input=lambda g, input_shape, dim, keepdim: spread(g, input_shape, dim, keepdim))
sum.samples(lambda draw: dict(input=draw.array(draw.shape(min_dims=1)), dim=draw.choice([None, 0, -1]), keepdim=draw.boolean()))
sum.reference(lambda input, dim, keepdim: input.sum(axis=dim, keepdims=keepdim))
