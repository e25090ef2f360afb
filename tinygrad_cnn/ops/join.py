"""Ops that join tensors and take them apart."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import Array, promote
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, GraphError, IndexRangeError, ShapeError
from tinygrad_cnn.kernels.arrange import concatenate as concatenated
from tinygrad_cnn.ops.shape import reshape, unsqueeze

__all__ = [
    "cat", "chunk", "column_stack", "concat", "concatenate", "dsplit", "dstack", "hsplit", "hstack", "row_stack",
    "split", "split_with_sizes", "stack", "tensor_split", "unbind", "vsplit", "vstack",
]  # fmt: skip


# ------------------------------------------------------------------------------------------------- join
@differentiable
def cat(tensors: Sequence[Array], dim: int = 0) -> Array:
    """The tensors one after another along ``dim``. Shapes must agree in every other dimension (ShapeError).

    >>> import tinygrad_cnn as tg
    >>> tg.cat([tg.zeros(1, 2), tg.ones(2, 2)])
    tensor([[0., 0.],
            [1., 1.],
            [1., 1.]])
    """
    if not tensors:
        raise ArgumentError("cat: expected a non-empty list of Tensors")
    dtype = tensors[0].dtype
    if any(x.dtype != dtype for x in tensors):
        dtype = promote(tensors)
    kept = [x for x in tensors if x.shape != (0,)] or tensors  # PyTorch's old habit: empty vectors join anything
    return concatenated(kept, dim, dtype)


@cat.check
def _(tensors: Sequence[Array], dim: int) -> None:
    for position, x in enumerate(tensors):
        if not isinstance(x, np.ndarray):
            raise ArgumentTypeError(f"cat: expected Tensors, got {type(x).__name__} as element {position}")
        if x.ndim == 0:
            raise ShapeError(f"cat: zero-dimensional tensor (at position {position}) cannot be concatenated; use stack")
    kept = [x for x in tensors if x.shape != (0,)] or list(tensors)
    dim = check_dim(dim, kept[0].ndim, "cat")
    first = kept[0].shape
    for x in kept:
        if x.ndim != len(first):
            raise ShapeError(f"cat: Tensors must have same number of dimensions: got {len(first)} and {x.ndim}")
        if any(a != b for i, (a, b) in enumerate(zip(first, x.shape, strict=True)) if i != dim):
            raise ShapeError(f"cat: Sizes of tensors must match except in dimension {dim}: got {first} and {x.shape}")


cat.refuses(ArgumentTypeError, "expected Tensors, got int as element 1", tensors=[(2,), 3])
cat.refuses(ShapeError, "zero-dimensional tensor (at position 1)", tensors=[(2,), ()])
cat.refuses(ShapeError, "same number of dimensions: got 2 and 1", tensors=[(2, 3), (3,)])
cat.refuses(ShapeError, "must match except in dimension 0: got (2, 3) and (2, 4)", tensors=[(2, 3), (2, 4)], dim=-2)
cat.refuses(IndexRangeError, "Dimension out of range", tensors=[(2, 3), (2, 3)], dim=2)


def _split_like(g: Any, shapes: Sequence[tuple[int, ...]], dim: int) -> list[Any]:
    """The parts of the upstream gradient that belong to inputs of these shapes."""
    parts, start, dim = [], 0, dim % len(g.shape)
    for shape in shapes:
        if shape == (0,) and len(g.shape) != 1:
            parts.append(reshape(g[(slice(0, 0),) * len(g.shape)], (0,)))
            continue
        parts.append(g[(slice(None),) * dim + (slice(start, start + shape[dim]),)])
        start += shape[dim]
    return parts


cat.gradients(tensors=lambda g, tensors_shape, dim: _split_like(g, tensors_shape, dim))


@cat.samples
def _(draw: Any) -> dict[str, Any]:
    shape = list(draw.shape(min_dims=1))
    dim = draw.dim(len(shape))
    shapes = [[draw.integer(0, 3) if i == dim % len(shape) else s for i, s in enumerate(shape)] for _ in range(3)]
    return dict(tensors=[draw.array(tuple(s)) for s in shapes], dim=dim)


@cat.reference
def _(tensors: Sequence[Array], dim: int = 0) -> Array:
    rows = [row for x in tensors for row in np.moveaxis(x, dim, 0)]
    if not rows:
        return np.zeros_like(tensors[0])
    return np.moveaxis(np.array(rows), 0, dim)


concat = cat


def concatenate(tensors: Sequence[Tensor], axis: int = 0, *, dim: int | None = None) -> Tensor:
    """The tensors one after another along ``axis``: NumPy's name for ``cat``."""
    return cat(tensors, axis if dim is None else dim)


def stack(tensors: Sequence[Tensor], dim: int = 0) -> Tensor:
    """The tensors, all of one shape, along a new dimension ``dim``."""
    if not isinstance(tensors, tuple | list):
        raise ArgumentTypeError(f"stack(): argument 'tensors' must be a tuple of Tensors, not {type(tensors).__name__}")
    if not tensors:
        raise GraphError("stack expects a non-empty TensorList")
    shape = tensors[0].shape
    for x in tensors:
        if x.shape != shape:
            raise ShapeError(
                f"stack: expects each tensor to be equal size, but got {tuple(shape)} and {tuple(x.shape)}"
            )
    dim = check_dim(dim, len(shape) + 1, "stack")
    return cat([unsqueeze(x, dim) for x in tensors], dim)


def _at_least(ndim: int, x: Tensor) -> Tensor:
    """``x`` with dimensions added as ``atleast_1d``, ``atleast_2d`` and ``atleast_3d`` add them."""
    shape = x._array.shape
    if len(shape) < ndim:
        x = reshape(
            x, {1: (1,), 2: (1, *shape)[-2:] if shape else (1, 1), 3: ((1,) * (2 - len(shape)) + shape + (1,))}[ndim]
        )
    return x


def hstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors side by side: along dimension 1, or 0 for vectors."""
    parts = [_at_least(1, x) for x in tensors]
    return cat(parts, 0 if parts and parts[0]._array.ndim == 1 else 1)


def vstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors on top of each other: along dimension 0; vectors are rows."""
    return cat([_at_least(2, x) for x in tensors], 0)


row_stack = vstack


def dstack(tensors: Sequence[Tensor]) -> Tensor:
    """The tensors one behind another: along dimension 2."""
    return cat([_at_least(3, x) for x in tensors], 2)


def column_stack(tensors: Sequence[Tensor]) -> Any:
    """The tensors side by side; vectors are columns."""
    return cat([x if x._array.ndim > 1 else reshape(x, (x._array.size, 1)) for x in tensors], 1)


# ---------------------------------------------------------------------------------------------- take apart
@differentiable(view=True, outputs="many", method=True)
def unbind(input: Array, dim: int = 0) -> tuple[Array, ...]:
    """The slices along ``dim``, which is dropped."""
    dim = check_dim(dim, input.ndim, "unbind")
    before: tuple[Any, ...] = (slice(None),) * dim
    return tuple([input[(*before, i, ...)] for i in range(input.shape[dim])])


@unbind.check
def _(input: Array, dim: int) -> None:
    if not input.ndim:
        raise IndexRangeError("unbind: Dimension specified as 0 but tensor has no dimensions")


unbind.refuses(IndexRangeError, "tensor has no dimensions", input=())
unbind.refuses(IndexRangeError, "Dimension out of range", input=(2,), dim=1)


unbind.gradients(input=lambda g, input_shape, dim: stack(g, dim))


@unbind.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    return dict(input=draw.array(shape), dim=draw.dim(len(shape)))


unbind.reference(lambda input, dim=0: tuple(np.take(input, i, axis=dim) for i in range(input.shape[dim])))


@differentiable(name="split", view=True, outputs="many", grad_name="SplitBackward0")
def split_at(input: Array, sizes: Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    """Consecutive parts of these sizes along ``dim``."""
    before, parts, start = (slice(None),) * (dim % input.ndim), [], 0
    for size in sizes:
        parts.append(input[(*before, slice(start, start + size))])
        start += size
    return tuple(parts)


split_at.gradients(input=lambda g, input_shape, dim: cat(g, dim))


@split_at.samples
def _(draw: Any) -> dict[str, Any]:
    shape = list(draw.shape(min_dims=1))
    dim, sizes = draw.dim(len(shape)), [draw.integer(0, 3), draw.integer(1, 2), draw.integer(0, 2)]
    shape[dim] = sum(sizes)
    return dict(input=draw.array(tuple(shape)), sizes=sizes, dim=dim)


@split_at.reference
def _(input: Array, sizes: Sequence[int], dim: int = 0) -> tuple[Array, ...]:
    ends = [sum(sizes[: i + 1]) for i in range(len(sizes))]
    return tuple(np.take(input, range(end - size, end), axis=dim) for end, size in zip(ends, sizes, strict=True))


def _length(tensor: Tensor, dim: int, op: str) -> Any:
    if not tensor._array.ndim:
        raise ShapeError(f"{op}: expects at least a 1-dimensional tensor")
    return tensor._array.shape[check_dim(dim, tensor._array.ndim, op)]


def split(tensor: Tensor, split_size_or_sections: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along ``dim``: of this size (the last may be smaller), or of these sizes, which must add up."""
    length, sections = _length(tensor, dim, "split"), split_size_or_sections
    if isinstance(sections, int):
        if sections < 0 or (sections == 0 and length):
            raise GraphError(f"split: expects split_size be non-negative and fit the dimension, got {sections}")
        count = max(math.ceil(length / sections), 1) if sections else 1
        sizes = [sections] * (count - 1) + [length - sections * (count - 1)]
    else:
        sizes = list(sections)
        if sum(sizes) != length or any(size < 0 for size in sizes):
            raise ShapeError(
                f"split: split_with_sizes expects split_sizes to sum exactly to {length} (input tensor's size at "
                f"dimension {dim}), but got split_sizes={sizes}"
            )
    return split_at(tensor, tuple(sizes), dim)


@tensor_method("split")
def _split(self: Tensor, split_size: int | Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along ``dim``: of this size, or of these sizes."""
    return split(self, split_size, dim)


@tensor_method
def split_with_sizes(input: Tensor, split_sizes: Sequence[int], dim: int = 0) -> tuple[Tensor, ...]:
    """Parts of these sizes along ``dim``."""
    return split(input, list(split_sizes), dim)


@tensor_method
def chunk(input: Tensor, chunks: int, dim: int = 0) -> tuple[Tensor, ...]:
    """At most ``chunks`` parts of equal size along ``dim``; the last may be smaller."""
    length = _length(input, dim, "chunk")
    if chunks < 1:
        raise GraphError(f"chunk: expects chunks to be greater than 0, got: {chunks}")
    if not length:
        return split(input, [0] * chunks, dim)
    return split(input, math.ceil(length / chunks), dim)


@tensor_method
def tensor_split(input: Tensor, indices_or_sections: Any, dim: int = 0) -> tuple[Tensor, ...]:
    """Parts along ``dim``: this many of nearly equal size, or cut at these indices."""
    length = _length(input, dim, "tensor_split")
    cuts = indices_or_sections.tolist() if isinstance(indices_or_sections, Tensor) else indices_or_sections
    if isinstance(cuts, int):
        if cuts < 1:
            raise GraphError(f"tensor_split: number of sections must be larger than 0, got {cuts}")
        sizes = [length // cuts + (i < length % cuts) for i in range(cuts)]
        return split(input, sizes, dim)
    ends = [slice(None, cut).indices(length)[1] for cut in cuts]
    dim = check_dim(dim, input._array.ndim, "tensor_split")
    starts_ends = zip([0, *ends], [*ends, length], strict=True)
    return tuple(input[(slice(None),) * dim + (slice(a, max(a, b)),)] for a, b in starts_ends)


def _split_along(name: str, dim: int, at_least: int) -> Any:
    @tensor_method(name)
    def function(input: Tensor, indices_or_sections: Any) -> tuple[Tensor, ...]:
        ndim = input._array.ndim
        if ndim < at_least:
            raise ShapeError(f"{name}: requires a tensor with at least {at_least} dimension, but got {ndim}")
        along = dim if ndim > dim else 0
        sections, side = indices_or_sections, input._array.shape[along]
        if isinstance(sections, int) and (sections < 1 or side % sections):
            raise ShapeError(f"{name}: {side} can't be divided into {sections} equal parts")
        return tensor_split(input, indices_or_sections, along)

    function.__name__, function.__doc__ = name, f"Equal parts along dimension {dim}, or parts cut at these indices."
    return function


hsplit, vsplit, dsplit = _split_along("hsplit", 1, 1), _split_along("vsplit", 0, 2), _split_along("dsplit", 2, 3)
