"""Attention, which some convolutional networks use between their stages."""

from __future__ import annotations

import math

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import DTypeError, ShapeError, StateError
from tinygrad_cnn.nn.functional.dropout import dropout
from tinygrad_cnn.ops.create import ones
from tinygrad_cnn.ops.matmul import matmul
from tinygrad_cnn.ops.softmax import softmax

__all__ = ["scaled_dot_product_attention"]


def scaled_dot_product_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attn_mask: Tensor | None = None,
    dropout_p: float = 0.0,
    is_causal: bool = False,
    scale: float | None = None,
    enable_gqa: bool = False,
) -> Tensor:
    """``softmax(query @ key.T * scale) @ value``: (..., L, E), (..., S, E), (..., S, V) -> (..., L, V).

    ``scale`` is by default 1 / sqrt(E). ``attn_mask``, broadcast to (..., L, S), is added to the scores, or, if it is
    boolean, says which to keep; a query that may look at nothing gets zeros. ``is_causal`` keeps those up to the
    diagonal. ``dropout_p`` applies always, so give 0 in evaluation. ``enable_gqa`` repeats the heads of ``key`` and
    ``value`` (their third dimension from the end) to those of ``query``. StateError for a mask with ``is_causal``,
    DTypeError for a mask of integers, ShapeError where the shapes don't fit.

    Source: Vaswani et al. 2017, "Attention Is All You Need", section 3.2.1.

    >>> import tinygrad_cnn as tg
    >>> query, key, value = tg.zeros(1, 2), tg.ones(2, 2), tg.tensor([[1.0], [3.0]])
    >>> tg.nn.functional.scaled_dot_product_attention(query, key, value)
    tensor([[2.]])
    """
    name = "scaled_dot_product_attention"
    shapes = f"query {tuple(query.shape)}, key {tuple(key.shape)}, value {tuple(value.shape)}"
    if min(query.ndim, key.ndim, value.ndim) < 2:
        raise ShapeError(f"{name}: expected at least two dimensions each, got {shapes}")
    if query.shape[-1] != key.shape[-1] or key.shape[-2] != value.shape[-2]:
        raise ShapeError(f"{name}: expected (..., L, E), (..., S, E) and (..., S, V), got {shapes}")
    if is_causal and attn_mask is not None:
        raise StateError(f"{name}: explicit attn_mask should not be set when is_causal=True; give one of them")
    if enable_gqa:
        heads = [tensor.shape[-3] if tensor.ndim > 2 else 0 for tensor in (query, key, value)]
        if 0 in heads or heads[0] % heads[1] or heads[0] % heads[2]:
            raise ShapeError(f"{name}: enable_gqa needs a multiple of the heads of key and value, got {shapes}")
        key = key.repeat_interleave(heads[0] // heads[1], -3)
        value = value.repeat_interleave(heads[0] // heads[2], -3)
    scores = matmul(query * (1 / math.sqrt(max(query.shape[-1], 1)) if scale is None else scale), key.transpose(-2, -1))
    if is_causal:
        attn_mask = ones(scores.shape[-2:], dtype="bool").tril()
    if attn_mask is None:
        return matmul(dropout(softmax(scores, -1), dropout_p), value)
    if attn_mask.dtype.name != "bool" and not attn_mask.is_floating_point():
        raise DTypeError(f"{name}: attn_mask expected a bool or floating tensor, got {attn_mask.dtype}; use .bool()")
    try:
        if attn_mask.dtype.name == "bool":
            scores = scores.masked_fill(~attn_mask, -math.inf)
        else:
            scores = scores + attn_mask
    except ShapeError:
        raise ShapeError(
            f"{name}: attn_mask expected to broadcast to {tuple(scores.shape)}, got {tuple(attn_mask.shape)}"
        ) from None
    blind = (scores.detach() == -math.inf).all(-1, keepdim=True)
    weights = softmax(scores.masked_fill(blind, 0.0), -1).masked_fill(blind, 0.0)
    return matmul(dropout(weights, dropout_p), value)
