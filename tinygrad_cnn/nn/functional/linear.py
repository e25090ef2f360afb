"""The functional forms of the linear layers."""

from __future__ import annotations

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.ops import matmul as ops

__all__ = ["linear"]


def linear(input: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """``input @ weight.T + bias``: features (..., I), weight (O, I) or (I), bias (O) or none -> (..., O) or (...).

    Raises ShapeError if the input has another number of features than the weight.
    """
    if weight._array.ndim == 1:
        out = ops.matmul(input, weight)
        return out if bias is None else out + bias  # type: ignore[no-any-return]  # a Tensor for Tensors
    return ops.linear(input, weight, bias)  # type: ignore[no-any-return]  # a Tensor for Tensors
