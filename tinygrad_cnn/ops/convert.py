"""Copies, and conversions to other dtypes."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.mode import mode, no_grad
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, track_view, wrap
from tinygrad_cnn.backend import (
    Array,
    as_dtype,
    bool_ as bool8,
    dtype,
    float16,
    float32,
    float64,
    int8,
    int16,
    int32,
    int64,
    require_cpu,
    uint8,
)
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, GraphError, ShapeError
from tinygrad_cnn.ops.layout import shown

__all__ = ["channels_last", "clone", "contiguous_format", "memory_format", "preserve_format"]


class memory_format:
    """How PyTorch lays a tensor out in memory. Here that is the library's own affair: it changes nothing."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __reduce__(self) -> str:
        return self.name


contiguous_format = memory_format("contiguous_format")
preserve_format = memory_format("preserve_format")
channels_last = memory_format("channels_last")


# ---------------------------------------------------------------------------------------------- copies
@differentiable
def copy(input: Array, order: str = "K") -> Array:
    """A copy, in the order of the memory ("K") or of the dimensions ("C")."""
    return input.copy(order=order)  # type: ignore[arg-type]  # one of the two


copy.grad_name = "CloneBackward0"
copy.gradients(input=lambda g: g)
copy.samples(lambda draw: dict(input=draw.array(draw.shape()).T, order=draw.choice(["K", "C"])))
copy.reference(lambda input, order="K": input + 0.0)


@tensor_method
def clone(input: Tensor, *, memory_format: Any = None) -> Tensor:
    """A copy with memory of its own; gradients flow back through it."""
    return copy(input, "C" if memory_format is contiguous_format else "K")


@tensor_method("contiguous")
def _contiguous(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself if its elements lie in the order of the dimensions, else a copy in which they do."""
    return self if shown(self).flags.c_contiguous else copy(self, "C")


# --------------------------------------------------------------------------------------------- dtypes
@differentiable(grad_name="ToCopyBackward0")
def convert(input: Array, dtype: Any) -> Array:
    """The elements in another dtype."""
    return input.astype(as_dtype(dtype).dtype)


convert.gradients(input=lambda g: g)
convert.samples(lambda draw: dict(input=draw.array(draw.shape()), dtype="float64"))
convert.reference(lambda input, dtype: input + 0.0)


def is_dtype(value: Any) -> bool:
    """Whether ``value`` names an element type: the library's own, NumPy's or Python's."""
    return isinstance(value, dtype | np.dtype) or (
        isinstance(value, type) and issubclass(value, float | int | np.generic)
    )


def _converted(tensor: Tensor, wanted: np.dtype, copied: bool) -> Tensor:
    if tensor._array.dtype == wanted:
        return tensor.clone() if copied else tensor
    if wanted.kind == "f":
        return convert(tensor, wanted)
    with no_grad():  # integers have no gradient
        return convert(tensor, wanted)


@tensor_method("to")
def _to(
    self: Tensor,
    *args: Any,
    dtype: Any = None,
    device: Any = None,
    other: Tensor | None = None,
    non_blocking: bool = False,
    copy: bool = False,
    memory_format: Any = None,
) -> Tensor:
    """The tensor in another dtype: ``to(dtype)``, ``to("cpu")``, ``to("cpu", dtype)``, ``to(other)``.

    It is the tensor itself where nothing changes, unless ``copy=True``. Any device but the CPU is an error.
    """
    names = ["non_blocking", "copy"]
    if args and (isinstance(args[0], Tensor) or is_dtype(args[0])):
        names.insert(0, "other" if isinstance(args[0], Tensor) else "dtype")
    else:
        names[:0] = ["device", "dtype"]
    if len(args) > len(names):
        raise ArgumentTypeError(f"to() takes at most {len(names)} positional arguments here, got {len(args)}")
    given = dict(zip(names, args, strict=False))
    given_dtype, target = given.get("dtype", dtype), given.get("other", other)
    require_cpu(given.get("device", device))
    if target is not None:
        given_dtype = target._array.dtype
    wanted = self._array.dtype if given_dtype is None else as_dtype(given_dtype).dtype
    return _converted(self, wanted, given.get("copy", copy))


def _converter(name: str, wanted: dtype) -> None:
    def method(self: Tensor, memory_format: Any = None) -> Tensor:
        return _converted(self, wanted.dtype, False)

    method.__name__, method.__doc__ = name, f"The elements as ``{wanted.name}``; the tensor itself if they are."
    tensor_method(method)


for _name, _dtype in (
    ("float", float32), ("double", float64), ("half", float16), ("long", int64), ("int", int32),
    ("short", int16), ("char", int8), ("byte", uint8), ("bool", bool8),
):  # fmt: skip
    _converter(_name, _dtype)


@tensor_method("cpu")
def _cpu(self: Tensor, memory_format: Any = None) -> Tensor:
    """The tensor itself: it is on the CPU."""
    return self


@tensor_method("cuda")
def _cuda(self: Tensor, device: Any = None, non_blocking: bool = False, memory_format: Any = None) -> Tensor:
    """Raises GraphError: there is no GPU here."""
    raise GraphError("cuda: expected no move to a GPU, this library runs on the CPU; choose the device 'cpu'")


_TYPE_NAMES = {
    f"torch.{name}Tensor": wanted
    for name, wanted in (
        ("Float", float32), ("Double", float64), ("Half", float16), ("Long", int64), ("Int", int32),
        ("Short", int16), ("Char", int8), ("Byte", uint8), ("Bool", bool8),
    )
}  # fmt: skip


@tensor_method("type")
def _type(self: Tensor, dtype: Any = None, non_blocking: bool = False) -> Any:
    """The name of the tensor's type, such as "torch.FloatTensor"; given a dtype or such a name, the conversion."""
    if dtype is None:
        return next(name for name, known in _TYPE_NAMES.items() if known.dtype == self._array.dtype)
    if isinstance(dtype, str) and dtype not in _TYPE_NAMES:
        raise ArgumentError(f"type: invalid type {dtype!r}; expected one of {', '.join(_TYPE_NAMES)}")
    return _converted(self, as_dtype(_TYPE_NAMES.get(dtype, dtype)).dtype, False)


@tensor_method("type_as")
def _type_as(self: Tensor, other: Tensor) -> Tensor:
    """The elements in the dtype of ``other``."""
    return _converted(self, other._array.dtype, False)


def view_as_dtype(tensor: Tensor, wanted: Any) -> Tensor:
    """The same memory with its bits read as another dtype; it isn't differentiable."""
    numpy_dtype = as_dtype(wanted).dtype
    try:
        out = wrap(mode.quietly(_reread, tensor._array, numpy_dtype))
    except ValueError as error:
        raise ShapeError(f"view: {tensor.dtype} can't be read as {as_dtype(wanted)}: {error}") from None
    track_view(out, tensor, _reread, (numpy_dtype,))
    return out


def _reread(source: Any, wanted: np.dtype) -> Any:
    return wrap(source._array.view(wanted)) if isinstance(source, Tensor) else source.view(wanted)
