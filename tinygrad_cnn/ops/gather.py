"""Gathering and scattering by tensors of indices."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import inplace_method, tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim, wrap
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import (
    ArgumentTypeError,
    DTypeError,
    IndexRangeError,
    IndexValueError,
    ShapeError,
    UnsupportedError,
)
from tinygrad_cnn.ops.index import Index, as_index, getitem, write_at
from tinygrad_cnn.ops.shape import broadcast_shapes, expand, reshape

__all__ = [
    "gather", "index_add", "index_copy", "index_fill", "index_put", "index_select", "scatter", "scatter_add", "take",
    "take_along_dim",
]  # fmt: skip


# ------------------------------------------------------------------------------------- gather and scatter
def _places(dim: int, index: Array) -> tuple[Array, ...]:
    """For NumPy: the places of an array of the index's shape, with ``index`` along ``dim``."""
    places = list(np.ogrid[tuple(slice(side) for side in index.shape)])
    places[dim] = index
    return tuple(places)


def _check_places(op: str, shape: tuple[int, ...], dim: int, index: Any, free: int | None) -> None:
    """Check ``index`` for a tensor of this shape, which it may exceed in the dimension ``free`` only."""
    if not isinstance(index, np.ndarray):
        raise ArgumentTypeError(f"{op}(): argument 'index' must be Tensor, not {type(index).__name__}")
    dim = check_dim(dim, len(shape), op)
    if not index.size:
        return
    if index.dtype not in (np.int64, np.int32):
        raise DTypeError(f"{op}(): Expected dtype int32/int64 for index, got {index.dtype}; convert with .long()")
    if max(index.ndim, 1) != max(len(shape), 1):
        raise ShapeError(
            f"{op}: Index tensor must have the same number of dimensions as input tensor, got {index.shape} and {shape}"
        )
    if any(a > b for i, (a, b) in enumerate(zip(index.shape, shape, strict=False)) if i != free):
        raise ShapeError(
            f"{op}: Size does not match: expected index {list(index.shape)} to be no larger than {list(shape)}"
            + ("" if free is None else f" apart from dimension {free}")
        )


def _check_range(op: str, shape: tuple[int, ...], dim: int, index: Array) -> None:
    side = shape[dim] if shape else 1
    if index.size and (index.min() < 0 or index.max() >= side):
        wrong = index[(index < 0) | (index >= side)].flat[0]
        raise IndexValueError(f"{op}: index {wrong} is out of bounds for dimension {dim} with size {side}")


@differentiable(method=True)
def gather(input: Array, dim: int, index: Array, *, sparse_grad: bool = False) -> Array:
    """Along ``dim`` the elements that ``index`` names: ``out[i][j] = input[index[i][j]][j]`` for ``dim=0``.

    >>> import tinygrad_cnn as tg
    >>> tg.gather(tg.tensor([[1, 2], [3, 4]]), 1, tg.tensor([[1], [0]]))
    tensor([[2],
            [3]])
    """
    if not index.size:
        return np.empty(index.shape, input.dtype)
    picked: Array = np.atleast_1d(input)[_places(dim, np.atleast_1d(index))]
    return picked.reshape(index.shape)


@gather.check
def _(input: Array, dim: int, index: Array, sparse_grad: bool) -> None:
    if sparse_grad:
        raise UnsupportedError("gather: sparse_grad=True is not supported; gradients are dense")
    _check_places("gather", input.shape, dim, index, check_dim(dim, input.ndim, "gather"))
    _check_range("gather", input.shape, dim, index)


for _wrong, _dim, _index in (
    ((ArgumentTypeError, "argument 'index' must be Tensor, not int"), 0, 1),
    ((IndexRangeError, "Dimension out of range"), 2, np.zeros((1, 1), int)),
    ((DTypeError, "Expected dtype int32/int64 for index"), 0, (1, 1)),
    ((ShapeError, "must have the same number of dimensions"), 0, np.zeros(1, int)),
    ((ShapeError, "to be no larger than [2, 3] apart from dimension 0"), 0, np.zeros((4, 4), int)),
    ((IndexValueError, "index 2 is out of bounds for dimension 0 with size 2"), 0, np.array([[0, 2]])),
    ((IndexValueError, "index -1 is out of bounds for dimension 1 with size 3"), 1, np.array([[0, -1]])),
):
    gather.refuses(*_wrong, input=(2, 3), dim=_dim, index=_index)
gather.refuses(UnsupportedError, "sparse_grad=True", input=(2,), dim=0, index=np.zeros(1, int), sparse_grad=True)


@differentiable
def add_along(values: Array, shape: tuple[int, ...], dim: int, index: Array) -> Array:
    """Zeros of ``shape`` with ``values`` added along ``dim`` where ``index`` says: the adjoint of gather."""
    out = np.zeros(shape, values.dtype)
    if index.size:
        np.add.at(out.reshape(shape or (1,)), _places(dim, np.atleast_1d(index)), values)
    return out


@differentiable(grad_name="ScatterBackward0")
def put_along(input: Array, dim: int, index: Array, src: Array) -> Array:
    """A copy of ``input`` with ``src``, of the index's shape or a number, put along ``dim`` where ``index`` says."""
    out = input.copy()
    if index.size:
        out.reshape(input.shape or (1,))[_places(dim, np.atleast_1d(index))] = src
    return out


gather.gradients(input=lambda g, input_shape, dim, index: add_along(g, input_shape, dim, index))
add_along.gradients(values=lambda g, dim, index: gather(g, dim, index))
put_along.gradients(
    input=lambda g, dim, index: put_along(g, dim, index, 0.0),
    src=lambda g, dim, index: gather(g, dim, index),
)


def _gather_sample(draw: Any) -> dict[str, Any]:
    shape = draw.shape(1, 2)
    dim = draw.dim(len(shape))
    sides = [draw.integer(1, 3) if i == dim % len(shape) else draw.integer(1, s) for i, s in enumerate(shape)]
    return dict(input=draw.array(shape), dim=dim, index=draw.integers(tuple(sides), 0, shape[dim] - 1))


def _add_along_sample(draw: Any) -> dict[str, Any]:
    sample = _gather_sample(draw)
    index = sample["index"]
    return dict(values=draw.array(index.shape), shape=sample["input"].shape, dim=sample["dim"], index=index)


def _put_along_sample(draw: Any) -> dict[str, Any]:
    rows, columns = draw.integer(1, 3), draw.integer(1, 3)
    index = np.argsort(draw.array((rows, 4)), axis=1)[:, :columns]  # no place twice: the last one written would count
    src = draw.choice([draw.array((rows, columns)), 0.5])
    return dict(input=draw.array((rows, 4)), dim=draw.choice([1, -1]), index=index, src=src)


def _along(shape: tuple[int, ...], dim: int, index: Array) -> list[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Pairs of a place in ``index`` and the place that it names in a tensor of ``shape``."""
    places = []
    for place in np.ndindex(*index.shape):
        target = list(place)
        target[dim] = index[place]
        places.append((place, tuple(target)))
    return places


@gather.reference
def _(input: Array, dim: int, index: Array, sparse_grad: bool = False) -> Array:
    out = np.empty(index.shape)
    for place, target in _along(input.shape, dim, index):
        out[place] = input[target]
    return out


@add_along.reference
def _(values: Array, shape: tuple[int, ...], dim: int, index: Array) -> Array:
    out = np.zeros(shape)
    for place, target in _along(shape, dim, index):
        out[target] += values[place]
    return out


@put_along.reference
def _(input: Array, dim: int, index: Array, src: Array) -> Array:
    out = input.copy()
    for place, target in _along(input.shape, dim, index):
        out[target] = src if isinstance(src, float) else src[place]
    return out


gather.samples(_gather_sample)
add_along.samples(_add_along_sample)
put_along.samples(_put_along_sample)


def _source(op: str, input: Tensor, dim: int, index: Tensor, src: Tensor) -> Tensor:
    """The part of ``src`` that ``index`` reaches, in the index's shape."""
    where = index._array
    _check_scattered(op, input, dim, index)
    _check_places(op, src._array.shape, dim, where, None)
    if src._array.dtype != input._array.dtype:
        raise DTypeError(f"{op}(): Expected self.dtype to be equal to src.dtype, got {input.dtype} and {src.dtype}")
    if where.shape == src._array.shape or not where.size:
        return src
    if not where.ndim or not src._array.ndim:
        return reshape(src, where.shape)
    return src[tuple(map(slice, where.shape))]


def _check_scattered(op: str, input: Tensor, dim: int, index: Tensor) -> None:
    shape = input._array.shape
    _check_places(op, shape, dim, index._array, check_dim(dim, len(shape), op))
    _check_range(op, shape, dim, index._array)


@tensor_method
def scatter_add(input: Tensor, dim: int, index: Tensor, src: Tensor) -> Any:
    """A copy of ``input`` with the elements of ``src`` added along ``dim`` where ``index`` says."""
    part = _source("scatter_add", input, dim, index, src)
    return input + add_along(part, input._array.shape, dim, index)


@tensor_method
def scatter(
    input: Tensor, dim: int, index: Tensor, src: Any = None, *, value: Any = None, reduce: str | None = None
) -> Any:
    """A copy of ``input`` with elements of ``src``, or a number, written along ``dim`` where ``index`` says.

    ``reduce="add"`` adds them instead.
    """
    source = value if src is None else src
    if source is None:
        raise ArgumentTypeError("scatter() missing argument 'src' or 'value'")
    if reduce not in (None, "add"):
        raise UnsupportedError(f"scatter: reduce expected 'add' or None, got {reduce!r}")
    if not isinstance(source, Tensor):
        _check_scattered("scatter", input, dim, index)
        if reduce is None:
            return put_along(input, dim, index, source)
        source = wrap(np.full(index._array.shape, source, input._array.dtype))
    if reduce == "add":
        return scatter_add(input, dim, index, source)
    return put_along(input, dim, index, _source("scatter", input, dim, index, source))


# --------------------------------------------------------------------------------- slices along a dimension
def _along_dim(op: str, input: Tensor, dim: int, index: Tensor) -> Index:
    """The index of the slices number ``index`` along ``dim``."""
    where = index._array
    if where.dtype not in (np.int64, np.int32):
        raise DTypeError(f"{op}(): Expected dtype int32 or int64 for index, got {index.dtype}")
    if where.ndim > 1:
        raise IndexRangeError(f"{op}(): Index is supposed to be a vector, but got dim: {where.ndim}")
    shape = input._array.shape
    dim = check_dim(dim, len(shape), op)
    _check_range(op, shape, dim, where)
    return as_index((slice(None),) * dim + (where.reshape(-1),), shape or (1,))


def _vector(input: Tensor) -> Any:
    return input if input._array.ndim else reshape(input, (1,))


@tensor_method
def index_select(input: Tensor, dim: int, index: Tensor) -> Tensor:
    """The slices number ``index``, a vector, along ``dim``."""
    place = _along_dim("index_select", input, dim, index)
    out = getitem(_vector(input), place)
    return out if input._array.ndim else reshape(out, ())


def _put_slices(op: str, input: Tensor, dim: int, index: Tensor, source: Any, accumulate: bool) -> Tensor:
    place = _along_dim(op, input, dim, index)
    if isinstance(source, Tensor):
        expected = list(_vector(input)._array.shape)
        expected[dim] = index._array.size
        if max(source._array.ndim, 1) != len(expected) or list(source._array.shape or (1,)) != expected:
            raise ShapeError(f"{op}: source expected shape {expected}, got {list(source._array.shape)}")
        if source._array.dtype != input._array.dtype:
            raise DTypeError(f"{op}: self ({input.dtype}) and source ({source.dtype}) expected to have the same dtype")
    out = write_at(_vector(input), source, place, accumulate)
    return reshape(out, input._array.shape)


@tensor_method
def index_add(input: Tensor, dim: int, index: Tensor, source: Tensor, *, alpha: float = 1) -> Tensor:
    """A copy of ``input`` with ``alpha`` times the slices of ``source`` added to the slices number ``index``."""
    scaled: Any = source if alpha == 1 else source * alpha
    return _put_slices("index_add", input, dim, index, scaled, True)


@tensor_method
def index_copy(input: Tensor, dim: int, index: Tensor, source: Tensor) -> Tensor:
    """A copy of ``input`` with the slices of ``source`` in the place of the slices number ``index``."""
    return _put_slices("index_copy", input, dim, index, source, False)


@tensor_method
def index_fill(input: Tensor, dim: int, index: Tensor, value: Any) -> Any:
    """A copy of ``input`` with ``value``, a number or 0-d tensor, in the slices number ``index``."""
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise ShapeError(
                f"index_fill: only supports a 0-dimensional value tensor, got {value._array.ndim} dimensions"
            )
        once = wrap(np.unique(index._array))  # a slice named twice counts once in the value's gradient
        place = _along_dim("index_fill", input, dim, once)
        return reshape(write_at(_vector(input), value.to(input), place), input._array.shape)
    return _put_slices("index_fill", input, dim, index, value, False)


@tensor_method
def index_put(input: Tensor, indices: Sequence[Any], values: Tensor, accumulate: bool = False) -> Tensor:
    """A copy of ``input`` with ``values`` written, or added, at ``input[indices]``."""
    if values._array.dtype != input._array.dtype:
        raise DTypeError(
            f"index_put: Index put requires the source and destination dtypes match, got {input.dtype} for the "
            f"destination and {values.dtype} for the source."
        )
    items = tuple(slice(None) if i is None else i for i in indices)
    return write_at(input, values, as_index(items, input._array.shape), accumulate)


@tensor_method
def take(input: Tensor, index: Tensor) -> Tensor:
    """The elements at these places of the flattened tensor, in the index's shape."""
    if index._array.dtype not in (np.int64, np.int32):
        raise DTypeError(f"take(): Expected a long tensor for index, but got {index.dtype}")
    flat = reshape(input, (input._array.size,))
    return reshape(flat[index._array.reshape(-1)], index._array.shape)


@tensor_method
def take_along_dim(input: Tensor, indices: Tensor, dim: int | None = None) -> Any:
    """As ``gather``, with the other dimensions broadcast; without ``dim`` on the flattened tensors."""
    if indices._array.dtype not in (np.int64, np.int32):
        raise DTypeError(f"take_along_dim(): expected an integer tensor for indices, but got {indices.dtype}")
    if dim is None:
        return gather(reshape(input, (input._array.size,)), 0, reshape(indices, (indices._array.size,)))
    if input._array.ndim != indices._array.ndim:
        raise ShapeError(
            f"take_along_dim(): input and indices should have the same number of dimensions, but got "
            f"{input._array.ndim} and {indices._array.ndim}"
        )
    dim = check_dim(dim, input._array.ndim, "take_along_dim")
    shapes = []
    for x in (input, indices):
        sides = list(x._array.shape)
        sides[dim : dim + 1] = [1] if sides else []
        shapes.append(sides)
    shared = broadcast_shapes(*shapes)

    def spread(x: Tensor) -> Any:
        side = x._array.shape[dim : dim + 1]
        return expand(x, (*shared[:dim], *side, *shared[dim + 1 :]))

    side = input._array.shape[dim]
    where = indices._array
    return gather(spread(input), dim, spread(wrap(np.where(where < 0, where + side, where))))


for _function in (index_add, index_copy, index_fill, index_put, scatter, scatter_add):
    inplace_method(_function, _function.__name__ + "_")
