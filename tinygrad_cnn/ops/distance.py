"""Distances and similarities between vectors."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.errors import DTypeError, GraphError, ShapeError, check_argument
from tinygrad_cnn.ops.shape import broadcast_tensors

__all__ = ["cdist", "cosine_similarity", "pairwise_distance", "pdist"]


def cosine_similarity(x1: Any, x2: Any, dim: int = 1, eps: float = 1e-8) -> Any:
    """The cosine of the angle between vectors along ``dim``; each length counts at least ``eps``.

    >>> import tinygrad_cnn as tg
    >>> cosine_similarity(tg.tensor([[1.0, 0.0]]), tg.tensor([[1.0, 1.0]]))
    tensor([0.7071])
    """
    if not (x1.is_floating_point() or x2.is_floating_point()):
        raise DTypeError(f"cosine_similarity: expected common dtype to be floating point, got {x1.dtype}, {x2.dtype}")
    x1, x2 = broadcast_tensors(x1, x2)
    return (_unit(x1, dim, eps) * _unit(x2, dim, eps)).sum(dim)


def _unit(x: Any, dim: int, eps: float) -> Any:
    length = x.norm(2, dim, keepdim=True)
    lifted = (length.clamp(min=eps) - length).detach()  # as in PyTorch: at least eps, with the length's own gradient
    return x / (length + lifted)


def pairwise_distance(x1: Any, x2: Any, p: float = 2.0, eps: float = 1e-6, keepdim: bool = False) -> Any:
    """The p-norm of ``x1 - x2 + eps`` along the last dimension.

    >>> import tinygrad_cnn as tg
    >>> pairwise_distance(tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0]]))
    tensor([5.0000])
    """
    return (x1 - x2 + eps).norm(p, -1, keepdim)


def pdist(input: Any, p: float = 2.0) -> Any:
    """The p-norm distances between all pairs of the rows of (N,M): N(N-1)/2 numbers, by row."""
    if input.ndim != 2:
        raise ShapeError(f"pdist only supports 2D tensors, got: {input.ndim}D")
    if p < 0:
        raise GraphError(f"pdist only supports non-negative p values, got {p}")
    first, second = (wrap(index) for index in np.triu_indices(input.shape[0], 1))
    return (input[first] - input[second]).norm(p, -1)


def cdist(x1: Any, x2: Any, p: float = 2.0, compute_mode: str = "use_mm_for_euclid_dist_if_necessary") -> Any:
    """The p-norm distances between the rows of (..., P, M) and those of (..., R, M) -> (..., P, R).

    >>> import tinygrad_cnn as tg
    >>> cdist(tg.tensor([[0.0, 0.0]]), tg.tensor([[3.0, 4.0], [0.0, 1.0]]))
    tensor([[5., 1.]])
    """
    for name, x in (("X1", x1), ("X2", x2)):
        if x.ndim < 2:
            raise ShapeError(f"cdist only supports at least 2D tensors, {name} got: {x.ndim}D")
    if x1.shape[-1] != x2.shape[-1]:
        raise ShapeError(
            f"cdist: X1 and X2 must have the same number of columns. X1: {x1.shape[-1]} X2: {x2.shape[-1]}"
        )
    if p < 0:
        raise GraphError(f"cdist only supports non-negative p values, got {p}")
    modes = ("use_mm_for_euclid_dist_if_necessary", "use_mm_for_euclid_dist", "donot_use_mm_for_euclid_dist")
    check_argument(compute_mode in modes, f"{compute_mode} is not a valid value for compute_mode")
    return (x1.unsqueeze(-2) - x2.unsqueeze(-3)).norm(p, -1)  # never by a product of matrices, which is less exact
