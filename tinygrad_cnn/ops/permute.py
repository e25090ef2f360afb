"""Ops that give the dimensions another order. They return views."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import GraphError, IndexRangeError, ShapeError
from tinygrad_cnn.ops.shape import sizes_of

__all__ = ["adjoint", "moveaxis", "movedim", "permute", "swapaxes", "swapdims", "t", "transpose"]


@differentiable(view=True)
def permute(input: Array, dims: Sequence[int]) -> Array:
    """The dimensions in the order ``dims``.

    >>> import tinygrad_cnn as tg
    >>> tg.permute(tg.zeros(2, 3, 4), (2, 0, 1)).shape
    torch.Size([4, 2, 3])
    """
    return input.transpose(dims)


@permute.check
def _(input: Array, dims: Sequence[int]) -> None:
    if len(dims) != input.ndim:
        raise ShapeError(f"permute: dims expected one number for each of {input.ndim} dimensions, got {tuple(dims)}")
    if len({check_dim(d, input.ndim, "permute") for d in dims}) != len(dims):
        raise GraphError(f"permute: duplicate dims are not allowed, got {tuple(dims)}")


permute.refuses(ShapeError, "one number for each of 2 dimensions", input=(2, 3), dims=(0,))
permute.refuses(GraphError, "duplicate dims", input=(2, 3), dims=(1, -1))
permute.refuses(IndexRangeError, "Dimension out of range", input=(2, 3), dims=(0, 2))


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    order = [d % len(dims) for d in dims]
    return tuple(order.index(i) for i in range(len(order)))


permute.gradients(input=lambda g, dims: permute(g, _inverse(dims)))


@permute.samples
def _(draw: Any) -> dict[str, Any]:
    dims = draw.choice([(0, 1, 2), (2, 0, 1), (-1, 1, 0), (1, -1, -3)])
    return dict(input=draw.array(draw.shape(min_dims=3)), dims=dims)


@permute.reference
def _(input: Array, dims: Sequence[int]) -> Array:
    out = np.empty([input.shape[d] for d in dims])
    for index in np.ndindex(*input.shape):
        out[tuple(index[d] for d in dims)] = input[index]
    return out


@tensor_method("permute")
def _permute(self: Tensor, *order: Any, dims: Any = None) -> Tensor:
    """The dimensions in another order: ``permute(0, 2, 3, 1)`` or ``permute((0, 2, 3, 1))``."""
    return permute(self, sizes_of(order, "permute", dims))


@differentiable(view=True, method=("transpose", "swapdims"))
def transpose(input: Array, dim0: int, dim1: int) -> Array:
    """Exchange two dimensions."""
    dim0, dim1 = check_dim(dim0, input.ndim, "transpose"), check_dim(dim1, input.ndim, "transpose")
    return input.swapaxes(dim0, dim1) if input.ndim else input[...]


transpose.gradients(input=lambda g, dim0, dim1: transpose(g, dim0, dim1))


@transpose.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), dim0=draw.dim(len(shape)), dim1=draw.dim(len(shape)))


@transpose.reference
def _(input: Array, dim0: int, dim1: int) -> Array:
    order = list(range(input.ndim))
    if order:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return np.asarray(np.einsum(input, list(range(input.ndim)), order))


@tensor_method
def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Exchange two dimensions: NumPy's name for ``transpose``."""
    return transpose(input, axis0, axis1)


def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two dimensions: another name for ``transpose``."""
    return transpose(input, dim0, dim1)


@tensor_method
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; with fewer dimensions, the tensor as it is. ShapeError for more."""
    if input._array.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D; use .mT")
    return transpose(input, 0, -1)


@tensor_method
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged (real numbers are their own conjugates)."""
    if input._array.ndim == 1:
        raise ShapeError("adjoint: expected a matrix or a batch of matrices, got 1 dimension")
    return transpose(input, -2, -1) if input._array.ndim else input


def _mT(self: Tensor) -> Tensor:
    """The matrices of a batch transposed: the last two dimensions exchanged."""
    if self._array.ndim < 2:
        raise ShapeError(f"mT: only supported on matrices or batches of matrices, got {self._array.ndim} dimensions")
    return transpose(self, -2, -1)


def _T(self: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return permute(self, tuple(range(self._array.ndim))[::-1])


for _name, _function in (("T", _T), ("H", _T), ("mT", _mT), ("mH", _mT)):
    setattr(Tensor, _name, property(_function))


@tensor_method
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move the dimensions ``source`` to the places ``destination``; the others keep their order."""
    ndim = input._array.ndim
    places = [[d] if isinstance(d, int) else list(d) for d in (source, destination)]
    if len(places[0]) != len(places[1]):
        raise ShapeError(f"movedim: Invalid source or destination dims: {source} and {destination} differ in length")
    if not ndim:
        return input.view_as(input)
    sources, targets = ([check_dim(d, ndim, "movedim") for d in dims] for dims in places)
    if len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
        raise GraphError(f"movedim: repeated dim in source {source} or destination {destination}")
    order = [d for d in range(ndim) if d not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return permute(input, tuple(order))


moveaxis = tensor_method(movedim, "moveaxis")
