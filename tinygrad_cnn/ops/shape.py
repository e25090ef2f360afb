"""Ops that rearrange or repeat elements. Most return views."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable, tensor_method
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Array, as_dtype

__all__ = ["clone"]


@differentiable(view=True, grad_name="ViewBackward0")
def reshape(input: Array, shape: tuple[int, ...]) -> Array:
    """The same elements in another shape; one side may be -1."""
    return input.reshape(shape)


reshape.gradients(input=lambda g, input_shape: reshape(g, input_shape))


@reshape.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    return dict(input=draw.array(shape), shape=draw.choice([(-1,), shape[::-1], (*shape, 1)]))


@reshape.reference
def _(input: Array, shape: tuple[int, ...]) -> Array:
    known = int(np.prod([s for s in shape if s != -1]))
    sides = [input.size // known if s == -1 else s for s in shape]
    out = np.empty(sides)
    for index, x in zip(np.ndindex(*sides), input.ravel(), strict=True):
        out[index] = x
    return out


@tensor_method("reshape")
def _reshape(self: Tensor, *shape: Any) -> Tensor:
    return reshape(self, shape[0] if len(shape) == 1 and not isinstance(shape[0], int) else shape)


@differentiable(view=True)
def expand(input: Array, shape: tuple[int, ...]) -> Array:
    """Repeat along dimensions of size 1, without a copy."""
    return np.broadcast_to(input, shape)


expand.gradients(input=lambda g, input_shape: sum_to(g, input_shape))
expand.samples(lambda draw: dict(input=draw.array((3, 1)), shape=(2, 3, 4)))
expand.reference(lambda input, shape: input + np.zeros(shape))


@differentiable
def sum_to(input: Array, shape: tuple[int, ...]) -> Array:
    """Sum over what broadcasting ``shape`` to the input's shape would repeat: the adjoint of expand."""
    from tinygrad_cnn.autograd.graph import sum_to as by_methods

    return np.asarray(by_methods(input, shape))


sum_to.gradients(input=lambda g, input_shape: expand(g, input_shape))
sum_to.samples(lambda draw: dict(input=draw.array((2, 3, 4)), shape=(3, 1)))
sum_to.reference(lambda input, shape: input.sum(0).sum(1, keepdims=True))


@differentiable
def convert(input: Array, dtype: Any) -> Array:
    """The elements in another dtype."""
    return input.astype(as_dtype(dtype).dtype)


convert.gradients(input=lambda g: g)
convert.samples(lambda draw: dict(input=draw.array(draw.shape()), dtype="float64"))
convert.reference(lambda input, dtype: input + 0.0)


@tensor_method("to")
def _to(self: Tensor, dtype: Any) -> Tensor:
    return self if self._array.dtype == as_dtype(dtype).dtype else convert(self, dtype)


@differentiable(method=True)
def clone(input: Array) -> Array:
    """A copy."""
    return input.copy(order="K")


clone.gradients(input=lambda g: g)
clone.samples(lambda draw: dict(input=draw.array(draw.shape())))
clone.reference(lambda input: input + 0.0)


@tensor_method("view_as")
def _view_as(self: Tensor, other: Tensor) -> Tensor:
    return reshape(self, other._array.shape)

