"""Ops that move or repeat elements: flip, roll, tile, windows, grids."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ArgumentTypeError, GraphError, IndexRangeError, ShapeError
from tinygrad_cnn.ops.join import stack
from tinygrad_cnn.ops.permute import transpose
from tinygrad_cnn.ops.shape import as_shape, broadcast_tensors, expand, reshape, sizes_of

__all__ = [
    "cartesian_prod", "flip", "fliplr", "flipud", "meshgrid", "repeat_interleave", "roll", "rot90", "tile",
]  # fmt: skip

Dims = int | Sequence[int]


def _dims(dims: Dims, ndim: int, op: str) -> tuple[int, ...]:
    """``dims`` counted from the front, each once."""
    found = tuple(check_dim(d, ndim, op) for d in as_shape(dims, op))
    if len(set(found)) < len(found):
        raise GraphError(f"{op}: dim {max(found, key=found.count)} appears multiple times in the list of dims")
    return found


# --------------------------------------------------------------------------------------- flip, roll, turn
@differentiable
def flip(input: Array, dims: Dims) -> Array:
    """A copy with the elements along ``dims`` in reverse order."""
    dims = _dims(dims, input.ndim, "flip")
    return np.flip(input, dims).copy(order="K") if input.ndim else input.copy()


flip.gradients(input=lambda g, dims: flip(g, dims))


@flip.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=2)
    return dict(input=draw.array(shape), dims=draw.choice([(0,), (-1, 0), (1,), ()]))


@flip.reference
def _(input: Array, dims: Sequence[int]) -> Array:
    for dim in dims:
        input = np.take(input, range(input.shape[dim])[::-1], axis=dim)
    return input


@tensor_method("flip")
def _flip(self: Tensor, *along: Any, dims: Any = None) -> Tensor:
    """A copy with the elements along the given dimensions in reverse order."""
    return flip(self, sizes_of(along, "flip", dims))


@tensor_method
def fliplr(input: Tensor) -> Tensor:
    """A copy with the columns in reverse order."""
    if input._array.ndim < 2:
        raise ShapeError("fliplr: Input must be >= 2-d.")
    return flip(input, 1)


@tensor_method
def flipud(input: Tensor) -> Tensor:
    """A copy with the rows in reverse order."""
    if not input._array.ndim:
        raise ShapeError("flipud: Input must be >= 1-d.")
    return flip(input, 0)


@differentiable(method=True)
def roll(input: Array, shifts: Dims, dims: Dims | None = None) -> Array:
    """The elements moved on by ``shifts`` along ``dims``; what leaves at the end comes in at the front."""
    return np.roll(input, shifts, axis=None if dims in ((), []) else dims)


@roll.check
def _(input: Array, shifts: Dims, dims: Dims | None) -> None:
    moves, along = as_shape(shifts, "roll"), as_shape(() if dims is None else dims, "roll")
    if not moves:
        raise GraphError("roll: `shifts` required")
    if len(along) != len(moves) and (along or len(moves) > 1):
        raise GraphError(f"roll: shifts and dimensions must align. shifts: {len(moves)}, dims:{len(along)}")
    for dim in along:
        check_dim(dim, input.ndim, "roll")


roll.refuses(GraphError, "`shifts` required", input=(2,), shifts=())
roll.refuses(GraphError, "must align. shifts: 1, dims:2", input=(2, 3), shifts=1, dims=(0, 1))
roll.refuses(GraphError, "must align. shifts: 2, dims:0", input=(2, 3), shifts=(1, 1))
roll.refuses(IndexRangeError, "Dimension out of range", input=(2, 3), shifts=1, dims=2)


roll.gradients(input=lambda g, shifts, dims: roll(g, tuple(-s for s in as_shape(shifts, "roll")), dims))


@roll.samples
def _(draw: Any) -> dict[str, Any]:
    shape, shift = draw.shape(min_dims=2), draw.integer(-5, 5)
    shifts, dims = draw.choice([(shift, 0), (shift, None), ((shift, 1), (0, -1)), ((shift,), (1,))])
    return dict(input=draw.array(shape), shifts=shifts, dims=dims)


@roll.reference
def _(input: Array, shifts: Dims, dims: Dims | None = None) -> Array:
    if dims is None:
        flat = input.ravel()
        return np.array([flat[(i - np.sum(shifts)) % len(flat)] for i in range(len(flat))]).reshape(input.shape)
    for shift, dim in zip(np.atleast_1d(shifts), np.atleast_1d(dims), strict=True):
        input = np.take(input, [(i - shift) % input.shape[dim] for i in range(input.shape[dim])], axis=dim)
    return input


@tensor_method
def rot90(input: Tensor, k: int = 1, dims: Sequence[int] = (0, 1)) -> Tensor:
    """The elements turned by ``k`` quarters in the plane of ``dims``, from the first towards the second."""
    if len(dims) != 2:
        raise GraphError(f"rot90: expected total rotation dims == 2, got {len(dims)}")
    if input._array.ndim < 2:
        raise ShapeError(f"rot90: expected total dims >= 2, got {input._array.ndim}")
    a, b = _dims(dims, input._array.ndim, "rot90")
    k %= 4
    if k == 2:
        return flip(input, (a, b))
    if k == 0:
        return input.clone()
    return transpose(flip(input, (b,) if k == 1 else (a,)), a, b).clone()


# ------------------------------------------------------------------------------------------------ repeat
@tensor_method("repeat")
def _repeat(self: Tensor, *repeats: Any) -> Tensor:
    """The tensor repeated along each dimension, with new ones in front if there are more numbers."""
    times, own = sizes_of(repeats, "repeat"), self._array.shape
    if len(times) < len(own):
        raise ShapeError(
            f"repeat: Number of dimensions of repeat dims ({len(times)}) can not be smaller than number of dimensions "
            f"of tensor ({len(own)})"
        )
    if any(count < 0 for count in times):
        raise ShapeError(f"repeat: expected counts that aren't negative, got {times}")
    own = (1,) * (len(times) - len(own)) + own
    apart = reshape(self, tuple(side for size in own for side in (1, size)))
    repeated = expand(apart, tuple(side for pair in zip(times, own, strict=True) for side in pair))
    return reshape(repeated.clone(), tuple(count * size for count, size in zip(times, own, strict=True)))


def tile(input: Tensor, dims: Sequence[int]) -> Tensor:
    """The tensor repeated along each dimension; missing numbers in front are 1."""
    times = as_shape(dims, "tile")
    return _repeat(input, (1,) * (input._array.ndim - len(times)) + times)


@tensor_method("tile")
def _tile(self: Tensor, *dims: Any) -> Tensor:
    """The tensor repeated along each dimension; missing numbers in front are 1."""
    return tile(self, sizes_of(dims, "tile"))


def repeat_interleave(input: Tensor, repeats: Any = None, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each element (or slice along ``dim``) repeated in its place, ``repeats`` times: a number, or one for each.

    >>> import tinygrad_cnn as tg
    >>> tg.repeat_interleave(tg.tensor([1, 2]), 2)
    tensor([1, 1, 2, 2])
    """
    from tinygrad_cnn.autograd.tensor import wrap

    if repeats is None:  # the form that makes the indices: how often each number occurs
        return wrap(np.repeat(np.arange(len(input._array)), input._array))
    if dim is None:
        input, dim = reshape(input, (input._array.size,)), 0
    dim = check_dim(dim, input._array.ndim, "repeat_interleave")
    if not input._array.ndim:
        input = reshape(input, (1,))
    size = input._array.shape[dim]
    counts = repeats._array if isinstance(repeats, Tensor) else np.asarray(repeats)
    if counts.dtype.kind not in "iu" or counts.ndim > 1:
        raise ArgumentTypeError("repeat_interleave: repeats must be an int or a 1-dim tensor of ints")
    if counts.size not in (1, size):
        raise ShapeError(
            f"repeat_interleave: repeats must have the same size as input along dim, {size}, got {counts.size}"
        )
    if (counts < 0).any():
        raise GraphError("repeat_interleave: repeats can not be negative")
    picked = np.repeat(np.arange(size), counts)
    if output_size is not None and output_size != len(picked):
        raise GraphError(f"repeat_interleave: allocated size {output_size} does not match required size {len(picked)}")
    return input[(slice(None),) * dim + (picked,)]


@tensor_method("repeat_interleave")
def _repeat_interleave(self: Tensor, repeats: Any, dim: int | None = None, *, output_size: Any = None) -> Tensor:
    """Each element (or slice along ``dim``) repeated in its place."""
    return repeat_interleave(self, repeats, dim, output_size=output_size)


# ----------------------------------------------------------------------------------------------- windows
@differentiable(view=True, method="unfold", grad_name="UnfoldBackward0")
def unfold_dim(input: Array, dimension: int, size: int, step: int) -> Array:
    """All windows of ``size`` elements along ``dimension``, ``step`` apart, in a new last dimension: a view."""
    dimension = check_dim(dimension, input.ndim, "unfold")
    if not input.ndim:
        return input.reshape(1)[:size]
    windows = sliding_window_view(input, size, dimension, writeable=True) if size else _no_windows(input, dimension)
    return windows[(slice(None),) * dimension + (slice(None, None, step),)]


def _no_windows(input: Array, dimension: int) -> Array:
    """Windows of no elements: one before each element, and one after the last."""
    shape = list(input.shape)
    shape[dimension] += 1
    return np.empty((*shape, 0), input.dtype)


@unfold_dim.check
def _(input: Array, dimension: int, size: int, step: int) -> None:
    side = input.shape[check_dim(dimension, input.ndim, "unfold")] if input.ndim else 1
    if not 0 <= size <= side:
        raise ShapeError(f"unfold: maximum size for tensor at dimension {dimension} is {side} but size is {size}")
    if step <= 0:
        raise ShapeError(f"unfold: step is {step} but must be > 0")


unfold_dim.refuses(ShapeError, "dimension 0 is 3 but size is 4", input=(3,), dimension=0, size=4, step=1)
unfold_dim.refuses(ShapeError, "dimension 0 is 3 but size is -1", input=(3,), dimension=0, size=-1, step=1)
unfold_dim.refuses(ShapeError, "dimension 0 is 1 but size is 2", input=(), dimension=0, size=2, step=1)
unfold_dim.refuses(ShapeError, "step is 0", input=(3,), dimension=0, size=2, step=0)


@differentiable
def fold_dim(values: Array, shape: tuple[int, ...], dimension: int, step: int) -> Array:
    """Zeros of ``shape`` with the windows ``values`` added in their places: the adjoint of unfold."""
    out = np.zeros(shape, values.dtype)
    if not shape:
        return np.asarray(out + np.add.reduce(values))
    along = np.moveaxis(out, dimension, -1)
    windows = np.moveaxis(values, dimension % len(shape), -1)  # (..., size, windows)
    span = step * (windows.shape[-1] - 1) + 1
    for k in range(windows.shape[-2]):
        along[..., k : k + span : step] += windows[..., k, :]
    return out


unfold_dim.gradients(input=lambda g, input_shape, dimension, step: fold_dim(g, input_shape, dimension, step))
fold_dim.gradients(
    values=lambda g, values_shape, dimension, step: unfold_dim(g, dimension, values_shape[-1], step),
)


def _unfold_sample(draw: Any, least: int = 0) -> dict[str, Any]:
    shape = draw.shape(1, 2)
    dimension = draw.dim(len(shape))
    size = draw.integer(least, shape[dimension])
    return dict(input=draw.array(shape), dimension=dimension, size=size, step=draw.integer(1, 3))


def _fold_sample(draw: Any) -> dict[str, Any]:
    sample = _unfold_sample(draw, least=1)
    values = unfold_dim(**sample)
    return dict(values=draw.array(values.shape), shape=sample["input"].shape, dimension=sample["dimension"],
                step=sample["step"])  # fmt: skip


@unfold_dim.reference
def _(input: Array, dimension: int, size: int, step: int) -> Array:
    starts = range(0, input.shape[dimension] - size + 1, step)
    windows = [np.moveaxis(np.take(input, range(s, s + size), axis=dimension), dimension, -1) for s in starts]
    return np.stack(windows, axis=dimension % input.ndim)


@fold_dim.reference
def _(values: Array, shape: tuple[int, ...], dimension: int, step: int) -> Array:
    out = np.zeros(shape)
    dimension %= len(shape)
    for *place, k in np.ndindex(*values.shape):
        target = list(place)
        target[dimension] = place[dimension] * step + k
        out[tuple(target)] += values[(*place, k)]
    return out


unfold_dim.samples(_unfold_sample)
fold_dim.samples(_fold_sample)


# ------------------------------------------------------------------------------------------------- grids
def meshgrid(*tensors: Any, indexing: str | None = None) -> tuple[Tensor, ...]:
    """The coordinates of the grid that vectors span, one tensor a vector.

    ``indexing`` "ij" (which None means) has the first vector along the first dimension, "xy" along the second.
    """
    vectors = list(tensors[0]) if len(tensors) == 1 and isinstance(tensors[0], list | tuple) else list(tensors)
    if not vectors:
        raise GraphError("meshgrid expects a non-empty TensorList")
    if indexing not in (None, "ij", "xy"):
        raise GraphError(f'meshgrid: indexing must be one of "xy" or "ij", but received: {indexing}')
    if any(not isinstance(v, Tensor) for v in vectors):
        raise ArgumentTypeError("meshgrid: expected Tensors")
    if any(v._array.ndim > 1 for v in vectors):
        raise ShapeError("meshgrid: Expected 0D or 1D tensor in the tensor list")
    if len({v._array.dtype for v in vectors}) > 1:
        raise GraphError("meshgrid expects all tensors to have the same dtype")
    swapped = indexing == "xy" and len(vectors) > 1
    if swapped:
        vectors[:2] = vectors[1::-1]
    count = len(vectors)
    shapes = [(1,) * i + (v._array.size,) + (1,) * (count - 1 - i) for i, v in enumerate(vectors)]
    grids = list(broadcast_tensors(*(reshape(v, shape) for v, shape in zip(vectors, shapes, strict=True))))
    if swapped:
        grids[:2] = grids[1::-1]
    return tuple(grids)


def cartesian_prod(*tensors: Tensor) -> Tensor:
    """All combinations of the elements of vectors, one a row."""
    if len(tensors) == 1:
        return tensors[0]
    return reshape(stack(meshgrid(*tensors), -1), (-1, len(tensors)))
