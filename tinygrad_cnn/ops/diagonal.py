"""Diagonals and triangles of matrices."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import GraphError, ShapeError
from tinygrad_cnn.ops.shape import reshape

__all__ = ["diag", "diag_embed", "diagflat", "diagonal", "trace", "tril", "triu"]


# --------------------------------------------------------------------------------------------- diagonals
def _diagonal_of(array: np.ndarray, offset: int, dim1: int, dim2: int) -> np.ndarray:
    """The diagonal as the last dimension: a view that can be written to, unlike NumPy's own."""
    dim1, dim2 = check_dim(dim1, array.ndim, "diagonal"), check_dim(dim2, array.ndim, "diagonal")
    if dim1 == dim2:
        raise GraphError(f"diagonal dimensions cannot be identical {dim1}, {dim2}")
    planes = np.moveaxis(array, (dim1, dim2), (-2, -1))[..., max(-offset, 0) :, max(offset, 0) :]
    length = min(planes.shape[-2:])
    return np.einsum("...ii->...i", planes[..., :length, :length])


@differentiable(view=True, method=True)
def diagonal(input: Array, offset: int = 0, dim1: int = 0, dim2: int = 1) -> Array:
    """The diagonal of the planes of ``dim1`` and ``dim2``, as the last dimension: a view."""
    return _diagonal_of(input, offset, dim1, dim2)


@differentiable
def put_diagonal(values: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    """Zeros of ``shape`` with ``values`` on a diagonal: the adjoint of diagonal."""
    out = np.zeros(shape, values.dtype)
    _diagonal_of(out, offset, dim1, dim2)[...] = values
    return out


diagonal.gradients(input=lambda g, input_shape, offset, dim1, dim2: put_diagonal(g, input_shape, offset, dim1, dim2))
put_diagonal.gradients(values=lambda g, offset, dim1, dim2: diagonal(g, offset, dim1, dim2))


def _diagonal_sample(draw: Any) -> dict[str, Any]:
    dim1, dim2 = draw.choice([(0, 1), (1, 0), (-1, 0), (1, 2)])
    return dict(input=draw.array(draw.shape(3, 3)), offset=draw.integer(-2, 2), dim1=dim1, dim2=dim2)


def _put_diagonal_sample(draw: Any) -> dict[str, Any]:
    sample = _diagonal_sample(draw)
    array = sample.pop("input")
    return dict(values=diagonal(array, **sample) + 0.0, shape=array.shape, **sample)


def _put_diagonal_reference(values: Array, shape: tuple[int, ...], offset: int, dim1: int, dim2: int) -> Array:
    out = np.zeros(shape)
    planes = np.moveaxis(out, (dim1, dim2), (-2, -1))
    for k in range(values.shape[-1]):
        planes[..., k + max(-offset, 0), k + max(offset, 0)] = values[..., k]
    return out


diagonal.samples(_diagonal_sample)
diagonal.reference(lambda input, offset=0, dim1=0, dim2=1: np.diagonal(input, offset, dim1, dim2))
put_diagonal.samples(_put_diagonal_sample)
put_diagonal.reference(_put_diagonal_reference)


@tensor_method
def diag_embed(input: Tensor, offset: int = 0, dim1: int = -2, dim2: int = -1) -> Tensor:
    """Matrices with the last dimension on their diagonal and zeros elsewhere, in the dimensions ``dim1``, ``dim2``."""
    shape = list(input._array.shape)
    side = shape.pop() + abs(offset)
    first, second = (check_dim(d, len(shape) + 2, "diag_embed") for d in (dim1, dim2))
    if first == second:
        raise GraphError(f"diag_embed: diagonal dimensions cannot be identical {dim1}, {dim2}")
    for dim in sorted((first, second)):
        shape.insert(dim, side)
    return put_diagonal(input, tuple(shape), offset, first, second)


@tensor_method
def diag(input: Tensor, diagonal: int = 0) -> Tensor:
    """A matrix with this vector on its diagonal; or the diagonal of a matrix, as a copy."""
    if input._array.ndim == 1:
        return diag_embed(input, diagonal)
    if input._array.ndim != 2:
        raise ShapeError(f"diag(): Supports 1D or 2D tensors. Got {input._array.ndim}D")
    return input.diagonal(diagonal).clone()


@tensor_method
def diagflat(input: Tensor, offset: int = 0) -> Tensor:
    """A matrix with the elements of the tensor on its diagonal."""
    return diag_embed(reshape(input, (input._array.size,)), offset)


@tensor_method
def trace(input: Tensor) -> Tensor:
    """The sum of the diagonal of a matrix."""
    if input._array.ndim != 2:
        raise ShapeError(f"trace: expected a matrix, but got tensor with dim {input._array.ndim}")
    return diagonal(input).sum()


# --------------------------------------------------------------------------------------------- triangles
def _triangle(name: str, kernel: Any, what: str, keeps: Any) -> Op:
    def forward(input: Array, diagonal: int = 0) -> Array:
        return kernel(input, diagonal)

    forward.__doc__ = f"The elements {what} the diagonal number ``diagonal``, that diagonal included; zeros elsewhere."
    op = differentiable(name=name, method=True, inplace=True)(forward)
    op.__module__ = __name__

    @op.check
    def _(input: Array, diagonal: int) -> None:
        if input.ndim < 2:
            raise ShapeError(f"{name}: input tensor must have at least 2 dimensions, got shape {input.shape}")

    op.refuses(ShapeError, "at least 2 dimensions", input=(3,))

    op.gradients(input=lambda g, diagonal: op(g, diagonal))
    op.samples(lambda draw: dict(input=draw.array(draw.shape(2, 3)), diagonal=draw.integer(-2, 2)))

    @op.reference
    def _(input: Array, diagonal: int = 0) -> Array:
        out = np.zeros(input.shape)
        for index in np.ndindex(*input.shape):
            if keeps(index[-1] - index[-2], diagonal):
                out[index] = input[index]
        return out

    return op


tril = _triangle("tril", np.tril, "below", lambda column, diagonal: column <= diagonal)
triu = _triangle("triu", np.triu, "above", lambda column, diagonal: column >= diagonal)
