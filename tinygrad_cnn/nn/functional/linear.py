"""The functional forms of the linear layers."""

from __future__ import annotations

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.ops import matmul as ops
from tinygrad_cnn.ops.einsum import einsum

__all__ = ["bilinear", "linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``: features (..., I), weight (O, I) or (I), bias (O) or none -> (..., O) or (...).

    Raises ShapeError if the input has another number of features than the weight.
    """
    if weight._array.ndim == 1:
        out = ops.matmul(input, weight)
        return out if bias is None else out + bias
    return ops.linear(input, weight, bias)


def bilinear(input1: Tensor, input2: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input1 @ weight[o] @ input2`` for each output: (..., I), (..., J), weight (O, I, J), bias (O) -> (..., O)."""
    if input1.shape[:-1] != input2.shape[:-1] or (input1.shape[-1:] + input2.shape[-1:]) != weight.shape[1:]:
        raise ShapeError(
            f"bilinear: expected inputs of shapes (..., {weight.shape[1]}) and (..., {weight.shape[2]}) that are equal "
            f"but for the last dimension, got {tuple(input1.shape)} and {tuple(input2.shape)}"
        )
    out: Tensor = einsum(
        "ni,oij,nj->no", input1.reshape(-1, weight.shape[1]), weight, input2.reshape(-1, weight.shape[2])
    )
    out = out.reshape(*input1.shape[:-1], weight.shape[0])
    return out if bias is None else out + bias
