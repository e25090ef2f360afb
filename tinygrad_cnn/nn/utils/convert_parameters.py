"""All parameters as one vector, and back."""

from __future__ import annotations

from collections.abc import Iterable

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, ShapeError
from tinygrad_cnn.ops.join import cat

__all__ = ["parameters_to_vector", "vector_to_parameters"]


def parameters_to_vector(parameters: Iterable[Tensor]) -> Tensor:
    """The elements of all parameters, one after the other, as a vector through which gradients flow."""
    return cat([parameter.reshape(-1) for parameter in parameters])


def vector_to_parameters(vec: Tensor, parameters: Iterable[Tensor]) -> None:
    """Make the elements of ``vec`` the values of the parameters, which then share its memory."""
    if not isinstance(vec, Tensor):
        raise ArgumentTypeError(f"expected torch.Tensor, but got: {type(vec).__name__}")
    start = 0
    for parameter in parameters:
        count = parameter.numel()
        part = vec._array[start : start + count]
        if part.size != count:
            raise ShapeError(
                f"vector_to_parameters: vec has {vec.numel()} elements, too few for the parameter of shape "
                f"{tuple(parameter.shape)} that begins at element {start}"
            )
        parameter.data = wrap(part.reshape(parameter.shape))
        start += count
