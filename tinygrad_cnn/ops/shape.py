"""Ops that give the same elements another shape, or another order of dimensions. They return views."""

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
from tinygrad_cnn.ops.layout import can_view, is_viewable, make_viewable

__all__ = [
    "adjoint", "broadcast_shapes", "broadcast_tensors", "broadcast_to", "flatten", "moveaxis", "movedim", "permute",
    "ravel", "reshape", "squeeze", "swapaxes", "swapdims", "t", "transpose", "unflatten", "unsqueeze",
]  # fmt: skip


def as_shape(sizes: Any, op: str) -> tuple[int, ...]:
    """The sizes that a caller gave as a tuple, a list, a Size or one integer, as a tuple of ints."""
    if isinstance(sizes, int | np.integer):
        return (int(sizes),)
    try:
        return tuple(operator.index(size) for size in sizes)
    except TypeError:
        raise ArgumentTypeError(f"{op}: expected a shape, a tuple of ints, got {sizes!r}") from None


def sizes_of(arguments: tuple[Any, ...], op: str) -> tuple[int, ...]:
    """The shape of ``x.view(2, 3)`` or ``x.view((2, 3))``."""
    if len(arguments) == 1 and not isinstance(arguments[0], int | np.integer | Tensor):
        return as_shape(arguments[0], op)
    return as_shape(arguments, op)


# ---------------------------------------------------------------------------------------------- reshape
@differentiable(view=True)
def view(input: Array, shape: tuple[int, ...]) -> Array:
    """The same elements, in the same order, in another shape."""
    return input.reshape(shape)


view.gradients(input=lambda g, input_shape: view(g, input_shape))


@view.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    return dict(input=draw.array(shape), shape=draw.choice([(-1,), shape[::-1], (*shape, 1)]))


@view.reference
def _(input: Array, shape: tuple[int, ...]) -> Array:
    sides = infer_size(input.size, shape)
    out = np.empty(sides)
    for index, x in zip(np.ndindex(*sides), input.ravel(), strict=True):
        out[index] = x
    return out


def infer_size(count: int, shape: tuple[int, ...], op: str = "reshape") -> tuple[int, ...]:
    """``shape`` with its -1 filled in, for ``count`` elements; ShapeError if they don't fit."""
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
        input = input.clone()  # type: ignore[attr-defined]  # from ops
    return view(input, shape)


@tensor_method("reshape")
def _reshape(self: Tensor, *shape: Any) -> Tensor:
    """The same elements in another shape: ``reshape(2, 3)`` or ``reshape((2, 3))``."""
    return reshape(self, sizes_of(shape, "reshape"))  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method("view")
def _view(self: Tensor, *shape: Any, dtype: Any = None) -> Tensor:
    """The same memory in another shape, or, given a dtype, with its bits read as that dtype.

    Raises ShapeError if no view of the memory has that shape.
    """
    from tinygrad_cnn.ops.convert import is_dtype, view_as_dtype

    if dtype is not None or (len(shape) == 1 and is_dtype(shape[0])):
        return view_as_dtype(self, shape[0] if dtype is None else dtype)
    sizes = infer_size(self._array.size, sizes_of(shape, "view"), "view")
    if not is_viewable(self, sizes):
        raise ShapeError(
            f"view: view size {list(sizes)} is not compatible with input tensor's size {list(self._array.shape)} and "
            "stride (at least one dimension spans across two contiguous subspaces). Use .reshape(...) instead."
        )
    make_viewable(self, sizes)
    return view(self, sizes)  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method("view_as")
def _view_as(self: Tensor, other: Tensor) -> Tensor:
    """The same memory in the shape of ``other``."""
    return self.view(other._array.shape)  # type: ignore[attr-defined,no-any-return]  # from ops


@tensor_method("reshape_as")
def _reshape_as(self: Tensor, other: Tensor) -> Tensor:
    """The same elements in the shape of ``other``."""
    return reshape(self, other._array.shape)  # type: ignore[no-any-return]  # a Tensor for a Tensor


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
        return reshape(input, (1,))  # type: ignore[no-any-return]  # a Tensor for a Tensor
    if first == last:
        return input
    return reshape(input, (*shape[:first], math.prod(shape[first : last + 1]), *shape[last + 1 :]))  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method
def unflatten(input: Tensor, dim: int, sizes: Sequence[int]) -> Tensor:
    """Split dimension ``dim`` into several, one of which may be -1."""
    shape = input._array.shape
    dim, sides = check_dim(dim, len(shape), "unflatten"), as_shape(sizes, "unflatten")
    if not sides:
        raise GraphError("unflatten: sizes must be non-empty")
    sides = infer_size(shape[dim], sides, "unflatten")
    return reshape(input, (*shape[:dim], *sides, *shape[dim + 1 :]))  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method
def ravel(input: Tensor) -> Tensor:
    """The elements in one dimension."""
    return reshape(input, (-1,) if input._array.size else (0,))  # type: ignore[no-any-return]  # a Tensor for a Tensor


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
    for i in reversed(range(input.ndim)):
        listed = dim is None or any(d % input.ndim == i for d in np.atleast_1d(dim))
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


# ----------------------------------------------------------------------------------- order of dimensions
@differentiable(view=True)
def permute(input: Array, dims: Sequence[int]) -> Array:
    """The dimensions in the order ``dims``.

    >>> import tinygrad_cnn as tg
    >>> tg.permute(tg.zeros(2, 3, 4), (2, 0, 1)).shape
    torch.Size([4, 2, 3])
    """
    return input.transpose(dims)


@permute.check
def _(input: Array, dims: Sequence[int]) -> None:
    if len(dims) != input.ndim:
        raise ShapeError(f"permute: dims expected one number for each of {input.ndim} dimensions, got {tuple(dims)}")
    if len({check_dim(d, input.ndim, "permute") for d in dims}) != len(dims):
        raise GraphError(f"permute: duplicate dims are not allowed, got {tuple(dims)}")


def _inverse(dims: Sequence[int]) -> tuple[int, ...]:
    order = [d % len(dims) for d in dims]
    return tuple(order.index(i) for i in range(len(order)))


permute.gradients(input=lambda g, dims: permute(g, _inverse(dims)))


@permute.samples
def _(draw: Any) -> dict[str, Any]:
    dims = draw.choice([(0, 1, 2), (2, 0, 1), (-1, 1, 0), (1, -1, -3)])
    return dict(input=draw.array(draw.shape(min_dims=3)), dims=dims)


@permute.reference
def _(input: Array, dims: Sequence[int]) -> Array:
    out = np.empty([input.shape[d] for d in dims])
    for index in np.ndindex(*input.shape):
        out[tuple(index[d] for d in dims)] = input[index]
    return out


@tensor_method("permute")
def _permute(self: Tensor, *dims: Any) -> Tensor:
    """The dimensions in another order: ``permute(0, 2, 3, 1)`` or ``permute((0, 2, 3, 1))``."""
    return permute(self, sizes_of(dims, "permute"))  # type: ignore[no-any-return]  # a Tensor for a Tensor


@differentiable(view=True, method=("transpose", "swapaxes", "swapdims"))
def transpose(input: Array, dim0: int, dim1: int) -> Array:
    """Exchange two dimensions."""
    dim0, dim1 = check_dim(dim0, input.ndim, "transpose"), check_dim(dim1, input.ndim, "transpose")
    return input.swapaxes(dim0, dim1) if input.ndim else input[...]


transpose.gradients(input=lambda g, dim0, dim1: transpose(g, dim0, dim1))


@transpose.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), dim0=draw.dim(len(shape)), dim1=draw.dim(len(shape)))


@transpose.reference
def _(input: Array, dim0: int, dim1: int) -> Array:
    order = list(range(input.ndim))
    if order:
        order[dim0], order[dim1] = order[dim1], order[dim0]
    return np.einsum(input, list(range(input.ndim)), order)


def swapaxes(input: Tensor, axis0: int, axis1: int) -> Tensor:
    """Exchange two dimensions: NumPy's name for ``transpose``."""
    return transpose(input, axis0, axis1)  # type: ignore[no-any-return]  # a Tensor for a Tensor


def swapdims(input: Tensor, dim0: int, dim1: int) -> Tensor:
    """Exchange two dimensions: another name for ``transpose``."""
    return transpose(input, dim0, dim1)  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method
def t(input: Tensor) -> Tensor:
    """The transpose of a matrix; with fewer dimensions, the tensor as it is. ShapeError for more."""
    if input._array.ndim > 2:
        raise ShapeError(f"t() expects a tensor with <= 2 dimensions, but self is {input._array.ndim}D; use .mT")
    return transpose(input, 0, -1)  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method
def adjoint(input: Tensor) -> Tensor:
    """The last two dimensions exchanged (real numbers are their own conjugates)."""
    if input._array.ndim == 1:
        raise ShapeError("adjoint: expected a matrix or a batch of matrices, got 1 dimension")
    return transpose(input, -2, -1) if input._array.ndim else input


def _mT(self: Tensor) -> Tensor:
    """The matrices of a batch transposed: the last two dimensions exchanged."""
    if self._array.ndim < 2:
        raise ShapeError(f"mT: only supported on matrices or batches of matrices, got {self._array.ndim} dimensions")
    return transpose(self, -2, -1)  # type: ignore[no-any-return]  # a Tensor for a Tensor


def _T(self: Tensor) -> Tensor:
    """All dimensions in reverse order."""
    return permute(self, tuple(range(self._array.ndim))[::-1])  # type: ignore[no-any-return]  # a Tensor for a Tensor


for _name, _function in (("T", _T), ("H", _T), ("mT", _mT), ("mH", _mT)):
    setattr(Tensor, _name, property(_function))


@tensor_method
def movedim(input: Tensor, source: int | Sequence[int], destination: int | Sequence[int]) -> Tensor:
    """Move the dimensions ``source`` to the places ``destination``; the others keep their order."""
    ndim = input._array.ndim
    places = [[d] if isinstance(d, int) else list(d) for d in (source, destination)]
    if len(places[0]) != len(places[1]):
        raise ShapeError(f"movedim: Invalid source or destination dims: {source} and {destination} differ in length")
    if not ndim:
        return input.view_as(input)  # type: ignore[attr-defined,no-any-return]  # from ops
    sources, targets = ([check_dim(d, ndim, "movedim") for d in dims] for dims in places)
    if len(set(sources)) < len(sources) or len(set(targets)) < len(targets):
        raise GraphError(f"movedim: repeated dim in source {source} or destination {destination}")
    order = [d for d in range(ndim) if d not in sources]
    for target, origin in sorted(zip(targets, sources, strict=True)):
        order.insert(target, origin)
    return permute(input, tuple(order))  # type: ignore[no-any-return]  # a Tensor for a Tensor


moveaxis = tensor_method(movedim, "moveaxis")


# --------------------------------------------------------------------------------------------- broadcast
@differentiable(view=True)
def expand(input: Array, shape: tuple[int, ...]) -> Array:
    """Repeat along dimensions of size 1, without a copy."""
    return np.broadcast_to(input, shape)


expand.gradients(input=lambda g, input_shape: sum_to(g, input_shape))
expand.samples(lambda draw: dict(input=draw.array((3, 1)), shape=(draw.integer(0, 2), 3, 4)))
expand.reference(lambda input, shape: input + np.zeros(shape))


@differentiable
def sum_to(input: Array, shape: tuple[int, ...]) -> Array:
    """Sum over what broadcasting ``shape`` to the input's shape would repeat: the adjoint of expand."""
    added = input.ndim - len(shape)
    axes = tuple(i for i, side in enumerate(input.shape) if i < added or (shape[i - added] == 1 and side != 1))
    return np.asarray(np.add.reduce(input, axis=axes) if axes else input).reshape(shape)


sum_to.gradients(input=lambda g, input_shape: expand(_with_ones(g, input_shape), input_shape))
sum_to.samples(lambda draw: dict(input=draw.array((2, 3, 4)), shape=draw.choice([(3, 1), (2, 1, 4), (), (2, 3, 4)])))
sum_to.reference(lambda input, shape: np.array([input]).sum(tuple(range(4 - len(shape)))).sum(
    tuple(i for i, side in enumerate(shape) if side == 1), keepdims=True).reshape(shape))  # fmt: skip


def _with_ones(g: Any, shape: tuple[int, ...]) -> Any:
    """``g`` with leading dimensions of size 1, which NumPy adds by itself but for an empty axis."""
    return reshape(g, (1,) * (len(shape) - len(g.shape)) + tuple(g.shape))


@tensor_method("expand")
def _expand(self: Tensor, *sizes: Any, implicit: bool = False) -> Tensor:
    """Repeat dimensions of size 1, without a copy; -1 keeps a size. ShapeError if the sizes don't fit.

    >>> import tinygrad_cnn as tg
    >>> tg.tensor([[1.0], [2.0]]).expand(-1, 3)
    tensor([[1., 1., 1.],
            [2., 2., 2.]])
    """
    return _expanded(self, sizes_of(sizes, "expand"))


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
    return expand(input, shape)  # type: ignore[no-any-return]  # a Tensor for a Tensor


@tensor_method("expand_as")
def _expand_as(self: Tensor, other: Tensor) -> Tensor:
    """Repeat dimensions of size 1 to the shape of ``other``, without a copy."""
    return _expanded(self, other._array.shape)


@tensor_method
def broadcast_to(input: Tensor, size: Sequence[int]) -> Tensor:
    """Repeat dimensions of size 1 to the shape ``size``, without a copy."""
    return _expanded(input, as_shape(size, "broadcast_to"))


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
