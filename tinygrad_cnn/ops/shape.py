"""Ops that give the same elements another shape, or repeat them without a copy. They return views."""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import Array, Size
from tinygrad_cnn.errors import ArgumentTypeError, GraphError, ShapeError
from tinygrad_cnn.kernels.arrange import can_view, reshaped
from tinygrad_cnn.kernels.reduce import total
from tinygrad_cnn.ops.layout import is_viewable, make_viewable

__all__ = [
    "broadcast_shapes", "broadcast_tensors", "broadcast_to", "flatten", "ravel", "reshape", "squeeze", "unflatten",
    "unsqueeze",
]  # fmt: skip


def as_shape(sizes: Any, op: str) -> tuple[int, ...]:
    """The sizes that a caller gave as a tuple, a list, a Size or one integer, as a tuple of ints."""
    if isinstance(sizes, int | np.integer):
        return (int(sizes),)
    try:
        return tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise ArgumentTypeError(f"{op}: expected a shape, a tuple of ints, got {sizes!r}") from None


def sizes_of(arguments: tuple[Any, ...], op: str, named: Any = None) -> tuple[int, ...]:
    """The shape of ``x.view(2, 3)`` or ``x.view((2, 3))``, or the one given by name."""
    if named is not None:
        arguments = (named,)
    if not arguments:
        raise ArgumentTypeError(f"{op}() missing 1 required positional argument: the shape or dimensions")
    if len(arguments) == 1 and not isinstance(arguments[0], int | np.integer | Tensor):
        return as_shape(arguments[0], op)
    return as_shape(arguments, op)


# ---------------------------------------------------------------------------------------------- reshape
@differentiable(view=True)
def view(input: Array, shape: tuple[int, ...]) -> Array:
    """The same elements, in the same order, in another shape."""
    return reshaped(input, infer_size(input.size, shape))


view.gradients(input=lambda g, input_shape: view(g, input_shape))


@view.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    return dict(input=draw.array(shape), shape=draw.choice([(-1,), shape[::-1], (*shape, 1)]))


@view.reference
def _(input: Array, shape: tuple[int, ...]) -> Array:
    known = -math.prod(shape) if -1 in shape else 1
    sides = [input.size // known if side == -1 else side for side in shape]
    out = np.empty(sides)
    for index, x in zip(np.ndindex(*sides), input.ravel(), strict=True):
        out[index] = x
    return out


def infer_size(count: int, shape: tuple[int, ...], op: str = "reshape") -> tuple[int, ...]:
    """``shape`` with its -1 filled in, for ``count`` elements; ShapeError if they don't fit."""
    if math.prod(shape) == count and min(shape, default=0) >= 0:
        return shape
    unknown = [i for i, side in enumerate(shape) if side == -1]
    known = math.prod(side for side in shape if side != -1)
    if len(unknown) > 1:
        raise ShapeError(f"{op}: only one dimension can be inferred, got shape {list(shape)}")
    if any(side < -1 for side in shape):
        raise ShapeError(f"{op}: invalid shape dimension {min(shape)} in shape {list(shape)}")
    if unknown and known == 0 and count == 0:
        raise ShapeError(
            f"{op}: cannot reshape tensor of 0 elements into shape {list(shape)} because the unspecified "
            "dimension size -1 can be any value; write its size"
        )
    if (known == 0 or count % known) if unknown else known != count:
        raise ShapeError(f"{op}: shape '{list(shape)}' is invalid for input of size {count}")
    return tuple(count // known if side == -1 else side for side in shape)


def reshape(input: Any, shape: Any) -> Any:
    """The same elements in another shape, one side of which may be -1: a view where one is possible.

    >>> import tinygrad_cnn as tg
    >>> tg.reshape(tg.arange(6), (2, -1))
    tensor([[0, 1, 2],
            [3, 4, 5]])
    """
    if not isinstance(input, Tensor):
        return input.reshape(shape)
    shape = infer_size(input._array.size, as_shape(shape, "reshape"))
    if is_viewable(input, shape):
        make_viewable(input, shape)
    elif can_view(input._array, shape):  # only thanks to the hidden layout: a copy is expected here
        input = input.clone()
    return view(input, shape)


@tensor_method("reshape")
def _reshape(self: Tensor, *sizes: Any, shape: Any = None) -> Tensor:
    """The same elements in another shape: ``reshape(2, 3)`` or ``reshape((2, 3))``."""
    return reshape(self, sizes_of(sizes, "reshape", shape))


@tensor_method("view")
def _view(self: Tensor, *shape: Any, size: Any = None, dtype: Any = None) -> Tensor:
    """The same memory in another shape, or, given a dtype, with its bits read as that dtype.

    Raises ShapeError if no view of the memory has that shape.
    """
    from tinygrad_cnn.ops.convert import is_dtype, view_as_dtype

    if dtype is not None or (len(shape) == 1 and is_dtype(shape[0])):
        return view_as_dtype(self, shape[0] if dtype is None else dtype)
    sizes = infer_size(self._array.size, sizes_of(shape, "view", size), "view")
    if not is_viewable(self, sizes):
        raise ShapeError(
            f"view: view size {list(sizes)} is not compatible with input tensor's size {list(self._array.shape)} and "
            "stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    make_viewable(self, sizes)
    return view(self, sizes)


@tensor_method("view_as")
def _view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of ``other``."""
    return self.view(other._array.shape)


@tensor_method("reshape_as")
def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of ``other``."""
    return reshape(self, other._array.shape)


@tensor_method
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """Merge the dimensions from ``start_dim`` to ``end_dim``, both included, into one.

    >>> import tinygrad_cnn as tg
    >>> tg.flatten(tg.zeros(2, 3, 4), 1).shape
    torch.Size([2, 12])
    """
    shape = input._array.shape
    first, last = check_dim(start_dim, len(shape), "flatten"), check_dim(end_dim, len(shape), "flatten")
    if first > last:
        raise ShapeError(f"flatten: flatten() has invalid args: start_dim {start_dim} comes after end_dim {end_dim}")
    if not shape:
        return reshape(input, (1,))
    if first == last:
        return input
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))


@tensor_method
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split dimension ``dim`` into several, one of which may be -1."""
    shape = input._array.shape
    dim, sides = check_dim(dim, len(shape), "unflatten"), as_shape(sizes, "unflatten")
    if not sides:
        raise GraphError("unflatten: sizes must be non-empty")
    sides = infer_size(shape[dim], sides, "unflatten")
    return reshape(input, (*shape[:dim], *sides, *shape[dim + 1 :]))


@tensor_method
def ravel(input: Tensor) -> Tensor:
    """The elements in one dimension."""
    return reshape(input, (-1,) if input._array.size else (0,))


# ------------------------------------------------------------------------------------ dimensions of size 1
@differentiable(view=True, method=True, grad_name="SqueezeBackward0")
def squeeze(input: Array, dim: int | tuple[int, ...] | None = None) -> Array:
    """Drop the dimensions of size 1: all, or those among ``dim``."""
    if dim is None:
        dims = set(range(input.ndim))
    else:
        dims = {check_dim(d, input.ndim, "squeeze") for d in (dim if isinstance(dim, tuple | list) else (dim,))}
    return input.reshape([side for i, side in enumerate(input.shape) if side != 1 or i not in dims])


squeeze.gradients(input=lambda g, input_shape: view(g, input_shape))


@squeeze.samples
def _(draw: Any) -> dict[str, Any]:
    shape = tuple(draw.choice([1, 2]) for _ in range(draw.integer(1, 3)))
    return dict(input=draw.array(shape), dim=draw.choice([None, draw.dim(len(shape)), (0, len(shape) - 1)]))


@squeeze.reference
def _(input: Array, dim: int | tuple[int, ...] | None) -> Array:
    ndim = input.ndim
    for i in reversed(range(ndim)):
        listed = dim is None or any(d % ndim == i for d in np.atleast_1d(dim))
        if input.shape[i] == 1 and listed:
            input = np.take(input, 0, axis=i)
    return input


@differentiable(view=True, method=True)
def unsqueeze(input: Array, dim: int) -> Array:
    """Insert a dimension of size 1 before dimension ``dim``."""
    dim = check_dim(dim, input.ndim + 1, "unsqueeze")
    return input.reshape((*input.shape[:dim], 1, *input.shape[dim:]))


unsqueeze.gradients(input=lambda g, input_shape: view(g, input_shape))


@unsqueeze.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), dim=draw.dim(len(shape) + 1))


unsqueeze.reference(lambda input, dim: np.stack([input], axis=dim))


# --------------------------------------------------------------------------------------------- broadcast
@differentiable(view=True)
def expand(input: Array, shape: tuple[int, ...]) -> Array:
    """Repeat along dimensions of size 1, without a copy."""
    out = np.broadcast_to(input, shape)
    if input.flags.writeable:
        out.setflags(write=True)  # as a Tensor it is guarded by check_distinct
    return out


expand.samples(lambda draw: dict(input=draw.array((3, 1)), shape=(draw.integer(0, 2), 3, 4)))
expand.reference(lambda input, shape: input + np.zeros(shape))


@differentiable
def sum_to(input: Array, shape: tuple[int, ...]) -> Array:
    """Sum over what broadcasting ``shape`` to the input's shape would repeat: the adjoint of expand."""
    added = input.ndim - len(shape)
    axes = tuple(i for i, side in enumerate(input.shape) if i < added or (shape[i - added] == 1 and side != 1))
    return (total(input, axes) if axes else input.copy()).reshape(shape)


expand.gradients(input=lambda g, input_shape: sum_to(g, input_shape))
sum_to.gradients(input=lambda g, input_shape: expand(_with_ones(g, input_shape), input_shape))
sum_to.samples(lambda draw: dict(input=draw.array((2, 3, 4)), shape=draw.choice([(3, 1), (2, 1, 4), (), (2, 3, 4)])))
sum_to.reference(lambda input, shape: np.array([input]).sum(tuple(range(4 - len(shape)))).sum(
    tuple(i for i, side in enumerate(shape) if side == 1), keepdims=True).reshape(shape))  # fmt: skip


def _with_ones(g: Any, shape: tuple[int, ...]) -> Any:
    """``g`` with leading dimensions of size 1, which NumPy adds by itself but for an empty axis."""
    return reshape(g, (1,) * (len(shape) - len(g.shape)) + tuple(g.shape))


@tensor_method("expand")
def _expand(self: Tensor, *sizes: Any, size: Any = None, implicit: bool = False) -> Tensor:
    """Repeat dimensions of size 1, without a copy; -1 keeps a size. ShapeError if the sizes don't fit.

    >>> import tinygrad_cnn as tg
    >>> tg.tensor([[1.0], [2.0]]).expand(-1, 3)
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    return _expanded(self, sizes_of(sizes, "expand", size))


def _expanded(input: Tensor, sizes: tuple[int, ...]) -> Tensor:
    own = input._array.shape
    added = len(sizes) - len(own)
    if added < 0:
        raise ShapeError(
            f"expand: the number of sizes provided ({len(sizes)}) must be greater or equal to the number of dimensions "
            f"in the tensor ({len(own)})"
        )
    shape = tuple(own[i - added] if side == -1 and i >= added else side for i, side in enumerate(sizes))
    for i, side in enumerate(shape):
        if side < 0 or (i >= added and own[i - added] not in (1, side)):
            existing = own[i - added] if i >= added else "none"
            raise ShapeError(
                f"expand: The expanded size of the tensor ({side}) must match the existing size ({existing}) at "
                f"non-singleton dimension {i}.  Target sizes: {list(sizes)}.  Tensor sizes: {list(own)}"
            )
    return expand(input, shape)


@tensor_method("expand_as")
def _expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Repeat dimensions of size 1 to the shape of ``other``, without a copy."""
    return _expanded(self, other._array.shape)


def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat dimensions of size 1 to the shape ``size``, without a copy."""
    return _expanded(input, as_shape(size, "broadcast_to"))


@tensor_method("broadcast_to")
def _broadcast_to(self: Tensor, *sizes: Any, size: Any = None) -> Tensor:
    """Repeat dimensions of size 1 to a shape, without a copy."""
    return _expanded(self, sizes_of(sizes, "broadcast_to", size))


def broadcast_shapes(*shapes: Any) -> Size:
    """The shape that tensors of these shapes broadcast to. ShapeError if they don't."""
    sizes = [as_shape(shape, "broadcast_shapes") for shape in shapes]
    try:
        return Size(np.broadcast_shapes(*sizes))
    except ValueError:
        raise ShapeError(f"broadcast_shapes: shapes {sizes} can't be broadcast to a single shape") from None


def broadcast_tensors(*tensors: Any) -> tuple[Tensor, ...]:
    """The tensors, each expanded to the shape that they broadcast to."""
    if len(tensors) == 1 and isinstance(tensors[0], list | tuple):
        tensors = tuple(tensors[0])
    shape = broadcast_shapes(*(x._array.shape for x in tensors))
    return tuple(_expanded(x, shape) for x in tensors)
