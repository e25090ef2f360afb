"""Tables that are indexed: embedding, one_hot."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, ContradictionError, DTypeError, ShapeError, UnsupportedError
from tinygrad_cnn.ops import embedding as ops
from tinygrad_cnn.ops.inplace import write

__all__ = ["embedding", "one_hot"]


def embedding(
    input: Any,
    weight: Any,
    padding_idx: int | None = None,
    max_norm: float | None = None,
    norm_type: float = 2.0,
    scale_grad_by_freq: bool = False,
    sparse: bool = False,
) -> Any:
    """The rows of the table ``weight`` (V,E) at the indices ``input`` (*) -> (*,E).

    Row ``padding_idx`` gets no gradient. ``max_norm`` first scales down, in place, the picked rows that are longer.
    ``scale_grad_by_freq`` divides a row's gradient by how often it was picked. Raises IndexError for an index out of
    range, UnsupportedError for sparse gradients.

    >>> import tinygrad_cnn as tg
    >>> embedding(tg.tensor([1, 1, 0]), tg.tensor([[1.0, 2.0], [3.0, 4.0]]))
    tensor([[3., 4.],
            [3., 4.],
            [1., 2.]])
    """
    for name, value in (("weight", weight), ("indices", input)):
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(f"embedding(): argument '{name}' must be Tensor, not {type(value).__name__}")
    if sparse:
        raise UnsupportedError("embedding: sparse gradients don't exist here; leave sparse=False")
    if padding_idx is None:
        padding_idx = -1
    else:
        rows = weight.shape[0]
        if not -rows <= padding_idx < max(rows, 1):
            raise ContradictionError(f"embedding: Padding_idx must be within num_embeddings {rows}, got {padding_idx}")
        padding_idx %= rows
    if max_norm is not None:
        _shorten(weight, input, max_norm, norm_type)
    return ops.embedding(weight, input, padding_idx=padding_idx, scale_grad_by_freq=scale_grad_by_freq)


def _shorten(weight: Tensor, input: Tensor, max_norm: float, norm_type: float) -> None:
    """Scale the picked rows of ``weight`` that are longer than ``max_norm`` down to it, in place."""
    with no_grad():
        ops.embedding(weight, input)  # checks the arguments
        rows = np.unique(input._array)
        picked = weight._array[rows]
        norms = np.linalg.norm(picked, norm_type, axis=1, keepdims=True)
        write(weight, rows, np.where(norms > max_norm, picked * (max_norm / (norms + 1e-7)), picked))


def one_hot(tensor: Any, num_classes: int = -1) -> Any:
    """Labels (*) as rows of zeros with a one at the label, (*,C) of int64; C is the largest label + 1 unless given.

    Raises RuntimeError for labels that aren't int64, are negative or not below ``num_classes``.

    >>> import tinygrad_cnn as tg
    >>> one_hot(tg.tensor([0, 2]))
    tensor([[1, 0, 0],
            [0, 0, 1]])
    """
    if not isinstance(tensor, Tensor):
        raise ArgumentTypeError(f"one_hot(): argument 'self' must be Tensor, not {type(tensor).__name__}")
    labels = tensor._array
    if labels.dtype != np.int64:
        raise DTypeError(
            f"one_hot is only applicable to index tensor of type LongTensor, got {tensor.dtype}; convert with .long()"
        )
    if not labels.size:
        if num_classes <= 0:
            raise ShapeError("one_hot: Can not infer total number of classes from empty tensor; pass num_classes")
        return wrap(np.zeros((*labels.shape, num_classes), np.int64))
    if labels.min() < 0:
        raise ShapeError(f"one_hot: Class values must be non-negative, got {labels.min()}")
    if num_classes == -1:
        num_classes = int(labels.max()) + 1
    if labels.max() >= num_classes:
        raise ShapeError(f"one_hot: Class values must be smaller than num_classes {num_classes}, got {labels.max()}")
    return wrap((labels[..., None] == np.arange(num_classes)).astype(np.int64))
