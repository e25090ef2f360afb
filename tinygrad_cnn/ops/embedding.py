"""Embedding: rows of a table picked by index, and its adjoint, rows added up by index."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import as_array
from tinygrad_cnn.backend import DTYPES, Array
from tinygrad_cnn.errors import DTypeError, IndexRangeError, ShapeError

__all__: list[str] = []


@differentiable(grad_name="EmbeddingBackward0")
def embedding(weight: Array, input: Array, *, padding_idx: int = -1, scale_grad_by_freq: bool = False) -> Array:
    """The rows of ``weight`` (V,E) with the indices ``input`` of any shape (*) -> (*,E).

    Row ``padding_idx`` gets no gradient; ``scale_grad_by_freq`` divides a row's by how often it was picked.
    """
    return np.take(weight, input, axis=0)


@differentiable
def add_rows(input: Array, indices: Array, *, count: int) -> Array:
    """A table (count,E) in which row i is the sum of those rows of ``input`` (*,E) whose index is i."""
    flat, width = indices.reshape(-1), input.shape[-1]
    out = np.zeros((count, width), input.dtype)
    if flat.size:
        order = np.argsort(flat, kind="stable")
        found, starts = np.unique(flat[order], return_index=True)
        out[found] = np.add.reduceat(input.reshape(flat.size, width)[order], starts, axis=0)
    return out


def _counted(g: Any, indices: Any, padding_idx: int, scale_grad_by_freq: bool, count: int) -> Any:
    """The gradient of each picked row, by how much it counts."""
    if padding_idx < 0 and not scale_grad_by_freq:
        return g
    picks = as_array(indices)
    shares = (picks != padding_idx).astype(as_array(g).dtype)
    if scale_grad_by_freq:
        shares /= np.bincount(picks.reshape(-1), minlength=count)[picks]
    return g * shares[..., None]


embedding.gradients(
    weight=lambda g, input, weight_shape, padding_idx, scale_grad_by_freq: add_rows(
        _counted(g, input, padding_idx, scale_grad_by_freq, weight_shape[0]), input, count=weight_shape[0]
    )
)
add_rows.gradients(input=lambda g, indices: embedding(g, indices))


@embedding.check
def _(weight: Array, input: Array, *, padding_idx: int, scale_grad_by_freq: bool) -> None:
    if weight.ndim != 2:
        raise ShapeError(f"embedding: 'weight' must be 2-D (rows, features), got shape {weight.shape}")
    if input.dtype not in (np.int64, np.int32):
        raise DTypeError(
            f"embedding: input expected indices of dtype int64 or int32, got {DTYPES[input.dtype]}; use .long()"
        )
    outside = (input < 0) | (input >= len(weight))
    if outside.any():
        raise IndexRangeError(
            f"embedding: index out of range in self: {input[outside].flat[0]} for a table of {len(weight)} rows"
        )


for _wrong, _weight, _index in (
    ((ShapeError, "'weight' must be 2-D"), (3,), np.zeros(2, int)),
    ((DTypeError, "expected indices of dtype int64 or int32"), (3, 2), (2,)),
    ((IndexRangeError, "index out of range in self: 3 for a table of 3"), (3, 2), np.array([0, 3])),
    ((IndexRangeError, "index out of range in self: -1"), (3, 2), np.array([-1, 0])),
):
    embedding.refuses(*_wrong, weight=_weight, input=_index)


@embedding.samples
def _(draw: Any) -> dict[str, Any]:
    weight = draw.array((draw.integer(2, 4), draw.integer(1, 3)))
    input = draw.integers(draw.shape(max_dims=2), 0, len(weight) - 1)
    return dict(weight=weight, input=input)


@add_rows.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(max_dims=2)
    return dict(input=draw.array((*shape, 2)), indices=draw.integers(shape, 0, 2), count=draw.integer(3, 4))


@embedding.reference
def _(weight: Array, input: Array, *, padding_idx: int = -1, scale_grad_by_freq: bool = False) -> Array:
    out = np.empty((*input.shape, weight.shape[1]))
    for index in np.ndindex(*input.shape):
        out[index] = weight[input[index]]
    return out


@add_rows.reference
def _(input: Array, indices: Array, *, count: int) -> Array:
    out = np.zeros((count, input.shape[-1]))
    for index in np.ndindex(*indices.shape):
        out[indices[index]] += input[index]
    return out
