"""What can be asked about tensors and dtypes: kinds, promotion, limits."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.tensor import Tensor, as_array
from tinygrad_cnn.backend import DTYPES, as_dtype, dtype, get_default_dtype, promote
from tinygrad_cnn.errors import ArgumentTypeError
from tinygrad_cnn.ops.create import require_tensor

__all__ = [
    "can_cast",
    "finfo",
    "iinfo",
    "is_complex",
    "is_floating_point",
    "is_tensor",
    "numel",
    "promote_types",
    "result_type",
]


def is_tensor(obj: Any) -> bool:
    """Whether ``obj`` is a Tensor."""
    return isinstance(obj, Tensor)


@tensor_method
def is_complex(input: Tensor) -> bool:
    """Whether the elements are complex numbers: never."""
    return False


@tensor_method("is_signed")
def _is_signed(self: Tensor) -> bool:
    """Whether the elements can be negative."""
    return self.dtype.is_signed


@tensor_method("is_same_size")
def _is_same_size(self: Tensor, other: Tensor) -> bool:
    """Whether two tensors have the same shape."""
    return tuple(self.shape) == tuple(other.shape)


for _kind in ("cuda", "sparse", "quantized", "meta", "mps"):
    setattr(Tensor, f"is_{_kind}", property(lambda self: False, doc=f"Whether it is a {_kind} tensor: never."))


def numel(input: Tensor) -> int:
    """The number of elements."""
    return require_tensor(input, "numel").size


def is_floating_point(input: Tensor) -> bool:
    """Whether the elements are floating-point numbers."""
    return require_tensor(input, "is_floating_point").dtype.kind == "f"


def result_type(tensor1: Any, tensor2: Any) -> dtype:
    """The dtype that arithmetic between two tensors or numbers gives.

    >>> import tinygrad_cnn as tg
    >>> tg.result_type(tg.ones(2, dtype=tg.int64), 0.5)
    torch.float32
    """
    return DTYPES[promote([as_array(tensor1), as_array(tensor2)])]


def promote_types(type1: Any, type2: Any) -> dtype:
    """The smallest dtype that arithmetic between tensors of two dtypes gives."""
    return DTYPES[promote([np.empty(0, as_dtype(type1).dtype), np.empty(0, as_dtype(type2).dtype)])]


def can_cast(from_: Any, to: Any) -> bool:
    """Whether a conversion keeps the category, or goes from bool to integer to floating."""
    return as_dtype(from_).category <= as_dtype(to).category


class finfo:
    """The limits of a floating dtype.

    >>> import tinygrad_cnn as tg
    >>> tg.finfo(tg.float32).eps
    1.1920928955078125e-07
    """

    def __init__(self, type: Any = None) -> None:
        found = get_default_dtype() if type is None else as_dtype(type)
        if not found.is_floating_point:
            raise ArgumentTypeError(f"finfo() requires a floating point input type, got {found}; use iinfo")
        limits = np.finfo(found.dtype)
        self.bits, self.dtype = limits.bits, found.name
        self.eps, self.min, self.max = float(limits.eps), float(limits.min), float(limits.max)
        self.tiny = self.smallest_normal = float(limits.tiny)
        self.resolution = float(limits.resolution)

    def __repr__(self) -> str:
        names = ("resolution", "min", "max", "eps", "smallest_normal", "tiny")
        return f"finfo({', '.join(f'{n}={getattr(self, n):g}' for n in names)}, dtype={self.dtype})"


class iinfo:
    """The limits of an integer dtype.

    >>> import tinygrad_cnn as tg
    >>> tg.iinfo(tg.uint8).max
    255
    """

    def __init__(self, type: Any) -> None:
        found = as_dtype(type)
        if found.category != 1:
            raise ArgumentTypeError(f"iinfo() requires an integer input type, got {found}; use finfo")
        limits = np.iinfo(found.dtype)
        self.bits, self.dtype, self.min, self.max = limits.bits, found.name, int(limits.min), int(limits.max)

    def __repr__(self) -> str:
        return f"iinfo(min={self.min:g}, max={self.max:g}, dtype={self.dtype})"
