"""Memory layout as PyTorch would show it.

Convolutions leave their results channels-last in memory. That is nobody's business outside the kernels: a tensor
that isn't a view counts as contiguous, and a view counts as the same view of a contiguous tensor.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.kernels.arrange import can_view
from tinygrad_cnn.kernels.elementwise import contiguous


def shown(tensor: Tensor) -> np.ndarray:
    """An array with the shape and strides that ``tensor`` has for its users; its elements mean nothing."""
    if tensor._base is None:
        array = tensor._array
        return array if array.flags.c_contiguous else np.empty(array.shape, array.dtype)
    base = shown(tensor._base)
    return tensor._array if base is tensor._base._array else tensor._view(base)  # type: ignore[misc]  # it has a base


def is_viewable(tensor: Tensor, shape: tuple[int, ...]) -> bool:
    """Whether PyTorch could give ``tensor`` this shape without a copy."""
    return tensor._view is None or can_view(shown(tensor), shape)


def make_viewable(tensor: Tensor, shape: tuple[int, ...]) -> None:
    """Where only the hidden layout stands against a view of this shape, bring the memory into plain order.

    The base gets the new memory, and its other views with it, so that all still share.
    """
    if can_view(tensor._array, shape):
        return
    base = tensor
    while base._base is not None:
        base = base._base
    base._array = contiguous(base._array)
    _renew(base)


def _renew(base: Tensor) -> None:
    """Make the views of ``base`` again, of the memory that it has now."""
    for ref in base._views or ():
        view = ref()
        if view is not None and view._base is base:
            view._array = view._view(base._array)  # type: ignore[misc]  # it has a base
            _renew(view)


@tensor_method("is_contiguous")
def _is_contiguous(self: Tensor, memory_format: Any = None) -> bool:
    """Whether the elements lie in the order of the dimensions, as far as a user can tell."""
    return bool(shown(self).flags.c_contiguous)


@tensor_method("stride")
def _stride(self: Tensor, dim: int | None = None) -> Any:
    """The distance in elements between neighbours along each dimension, or along one."""
    array = shown(self)
    strides = tuple(step // array.itemsize for step in array.strides)
    return strides if dim is None else strides[check_dim(dim, array.ndim, "stride")]


@tensor_method("storage_offset")
def _storage_offset(self: Tensor) -> int:
    """The distance in elements from the start of the memory that this view was taken of."""
    if self._base is None:
        return 0
    array = owner = shown(self)
    while isinstance(owner.base, np.ndarray):
        owner = owner.base
    return (_address(array) - _address(owner)) // array.itemsize


@tensor_method("data_ptr")
def _data_ptr(self: Tensor) -> int:
    """The address of the first element."""
    return _address(self._array)


def _address(array: np.ndarray) -> int:
    return int(array.__array_interface__["data"][0])
