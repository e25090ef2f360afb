"""Indexing, for reading and for assigning.

An index is taken in two steps, as PyTorch does: first everything basic (int, slice, None, Ellipsis), which gives a
view; then the arrays and masks, which give a copy. So ``x[0, :, [1, 2]]`` keeps the order of its dimensions.
"""

from __future__ import annotations

import math
import operator
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim, check_overwritable, is_detached, wrap
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, DTypeError, IndexRangeError, ShapeError
from tinygrad_cnn.ops.inplace import check_distinct, is_recorded, rebind, writable
from tinygrad_cnn.ops.shape import broadcast_to, reshape, sum_to

__all__ = ["narrow", "select"]


class Index(NamedTuple):
    """An index in its two steps: ``x[basic]``, then ``[arrays]`` if there are any."""

    basic: tuple[Any, ...]
    arrays: tuple[Any, ...] | None = None

    def of(self, array: np.ndarray) -> np.ndarray:
        """What the basic step selects, as a view (0-d included)."""
        return array[(*self.basic, ...)]

    def write(self, array: np.ndarray, values: Any) -> None:
        """Put ``values`` at the selected elements of ``array``."""
        self.of(array)[self.arrays or ...] = values


# ------------------------------------------------------------------------------------------------- ops
def _grad_name(index: Index) -> str:
    """PyTorch's name: that of the last step of the indexing."""
    if index.arrays is not None:
        return "IndexBackward0"
    moves = [item for item in index.basic if item != slice(None)]
    if not moves:
        return "AliasBackward0" if not index.basic else "SliceBackward0"
    return {int: "SelectBackward0", slice: "SliceBackward0"}.get(type(moves[-1]), "UnsqueezeBackward0")


@differentiable(view=True, grad_name=_grad_name)
def getitem(input: Array, index: Index) -> Array:
    """The elements that ``index`` selects: a view, or with arrays in the index a copy."""
    part = index.of(input)
    return part if index.arrays is None else part[index.arrays]


@differentiable
def put_at(values: Array, shape: tuple[int, ...], index: Index) -> Array:
    """Zeros of ``shape`` with ``values`` added at the elements that ``index`` selects: the adjoint of getitem."""
    out = np.zeros(shape, values.dtype)
    part = index.of(out)
    if index.arrays is None:
        part[...] = values
    else:
        add_at(part, index.arrays, values)
    return out


def add_at(out: np.ndarray, index: tuple[Any, ...], values: np.ndarray) -> None:
    """Add ``values`` at ``out[index]``, repeated elements as often as they are repeated."""
    arrays = [i for i in index if isinstance(i, np.ndarray)]
    if all(i.dtype == bool for i in arrays) and len(arrays) == 1:  # a mask selects nothing twice
        out[index] += values
    else:
        np.add.at(out, index, values)


@differentiable(grad_name="IndexPutBackward0")
def write_at(input: Array, values: Array, index: Index, accumulate: bool = False) -> Array:
    """A copy of ``input`` with ``values`` written, or added, at the elements that ``index`` selects."""
    out = input.copy(order="K")
    if accumulate and index.arrays is not None:
        add_at(index.of(out), index.arrays, values)
    else:
        index.write(out, index.of(out) + values if accumulate else values)
    return out


@write_at.check
def _(input: Array, values: Array, index: Index, accumulate: bool) -> None:
    if accumulate and isinstance(values, np.ndarray) and values.dtype != input.dtype:
        raise DTypeError(f"index_put: Index put requires one dtype, got {input.dtype} and {values.dtype}")


getitem.gradients(input=lambda g, input_shape, index: put_at(g, input_shape, index))
put_at.gradients(values=lambda g, index: getitem(g, index))
write_at.gradients(
    input=lambda g, index, accumulate: g if accumulate else write_at(g, 0.0, index),
    values=lambda g, values_shape, index: sum_to(getitem(g, index), values_shape),
)


def _sample_index(draw: Any, shape: tuple[int, ...], repeats: bool = True) -> Any:
    """An index of any kind for an array with three dimensions."""
    a, b, c = shape
    rows = [draw.integer(-a, a - 1) for _ in range(3)] if repeats else [a - 1, 0][: min(a, 2)]
    return draw.choice([
        draw.integer(-a, a - 1), (slice(None), slice(1, None, 2)), (..., 0), (None, slice(0, 2), None),
        rows, (rows, slice(None), 0), (slice(None), 0, -1), (0, slice(None), [c - 1, 0][: min(c, 2)]),
        draw.mask((a, b)), (slice(None), draw.mask((b, c))), True, (slice(None), draw.mask((b,)), ...),
        (slice(0, a, 2), slice(-1, None), slice(1, -1)),
    ])  # fmt: skip


def _drawn_index(draw: Any, shape: tuple[int, ...], repeats: bool = True) -> Index:
    """A drawn index, read from one of its spellings; where NumPy means the same by it, what it selects is compared."""
    drawn = _sample_index(draw, shape, repeats)
    items = drawn if isinstance(drawn, tuple) else (drawn,)
    index = as_index(_spelled(draw, drawn), shape)
    others = [item for item in items if item is not Ellipsis]
    # Beside arrays, NumPy takes a number for one of them.
    if len(others) == 1 or not any(isinstance(item, list | np.ndarray | bool) for item in others):
        numbers = np.arange(math.prod(shape)).reshape(shape)
        assert np.array_equal(numbers[drawn], getitem(numbers, index)), f"index {drawn} read as {index}"
    return index


def _spelled(draw: Any, index: Any) -> Any:
    """The same index as Tensors, NumPy's integers, masks of bytes, or a list of its items."""

    def spelled(item: Any) -> Any:
        if type(item) is int:
            return np.int64(item)
        if isinstance(item, slice):
            return slice(*[None if end is None else np.int64(end) for end in (item.start, item.stop, item.step)])
        if isinstance(item, list | np.ndarray):
            array = np.asarray(item)
            return wrap(array.astype(np.uint8) if array.dtype == bool and array.ndim else array)
        return item

    items = list(index) if isinstance(index, tuple) else [index]
    if draw.boolean():
        items = [spelled(item) for item in items]
    if isinstance(index, tuple):
        return draw.choice([tuple, list])(items)
    return items[0]


def _getitem_sample(draw: Any) -> dict[str, Any]:
    shape = draw.shape(3, 3)
    return dict(input=draw.array(shape), index=_drawn_index(draw, shape))


def _put_at_sample(draw: Any) -> dict[str, Any]:
    shape = draw.shape(3, 3)
    index = _drawn_index(draw, shape)
    return dict(values=draw.array(getitem(np.zeros(shape), index).shape), shape=shape, index=index)


def _index_put_sample(draw: Any) -> dict[str, Any]:
    shape, accumulate = draw.shape(3, 3), draw.boolean()
    index = _drawn_index(draw, shape, repeats=accumulate)
    selected = getitem(np.zeros(shape), index).shape
    values = draw.array(draw.choice([selected, (), selected[1:]]))
    return dict(input=draw.array(shape), values=values, index=index, accumulate=accumulate)


def _positions(shape: tuple[int, ...], index: Index) -> Array:
    """The flat position of each element that ``index`` selects."""
    numbers = np.arange(np.prod(shape, dtype=int)).reshape(shape)[index.basic]
    return np.asarray(numbers if index.arrays is None else numbers[index.arrays])


def _put_reference(out: Array, values: Array, index: Index, add: bool) -> Array:
    flat, positions = out.flatten(), _positions(out.shape, index)
    for position, value in zip(positions.flat, np.broadcast_to(values, positions.shape).flat, strict=True):
        flat[position] = flat[position] + value if add else value
    return flat.reshape(out.shape)


getitem.samples(_getitem_sample)
getitem.reference(lambda input, index: np.array([input.flat[i] for i in _positions(input.shape, index).flat])
                  .reshape(_positions(input.shape, index).shape))  # fmt: skip
put_at.samples(_put_at_sample)
put_at.reference(lambda values, shape, index: _put_reference(np.zeros(shape), values, index, add=True))
write_at.samples(_index_put_sample)
write_at.exempt(empty="an index and its values are made for the size of one input")
write_at.reference(lambda input, values, index, accumulate=False: _put_reference(input, values, index, accumulate))


# ------------------------------------------------------------------------------------ reading an index
_ALL = slice(None)


def as_index(index: Any, shape: tuple[int, ...]) -> Index:
    """What stands between the brackets, checked and split into its two steps, for a tensor of this shape."""
    if type(index) is int and shape:  # by far the most frequent
        return Index((_in_range(index, 0, shape),))
    items = index if isinstance(index, tuple) else tuple(index) if _is_like_a_tuple(index) else (index,)
    items = tuple([_plain(item) for item in items])
    spare = len(shape) - sum(_dims_taken(item) for item in items)
    if spare < 0:
        if not shape:
            raise IndexRangeError(
                "index: invalid index of a 0-dim tensor. Use `tensor.item()` to convert it to a number"
            )
        raise IndexRangeError(f"index: too many indices for tensor of dimension {len(shape)}")
    basic: list[Any] = []
    arrays: list[Any] = []
    dim, found = 0, False
    for item in items:
        taken = spare if item is Ellipsis else _dims_taken(item)
        if item is Ellipsis:
            spare = 0
            basic += [_ALL] * taken
            arrays += [_ALL] * taken
        elif isinstance(item, np.ndarray):
            found = True
            if item.dtype != bool:
                basic.append(_ALL)
                _check_range(item, dim, shape)
            elif item.ndim:
                basic += [_ALL] * item.ndim
                _check_mask(item, dim, shape)
            else:  # True and False: a new dimension of size 1 or 0
                basic.append(None)
                item = np.zeros(int(item), np.int64)
            arrays.append(item)
        elif isinstance(item, int):
            basic.append(_in_range(item, dim, shape))
        else:
            basic.append(item)
            arrays.append(_ALL)
        dim += taken
    return Index(tuple(basic), tuple(arrays) if found else None)


def _is_like_a_tuple(index: Any) -> bool:
    """Whether a list stands for a tuple, as in the NumPy of old: a short one that holds more than numbers."""
    return (
        isinstance(index, list)
        and 0 < len(index) < 32
        and any(i is None or i is Ellipsis or isinstance(i, slice | Tensor | list | tuple | np.ndarray) for i in index)
    )


def _plain(item: Any) -> Any:
    """One item of an index as an int, a slice, None, Ellipsis or an array of integers or booleans."""
    if item is None or item is Ellipsis:
        return item
    if isinstance(item, slice):
        if (_bound(item.step) or 1) <= 0 or item.step == 0:
            raise ArgumentError("index: slice step must be greater than zero; use flip() to go backwards")
        return slice(_bound(item.start), _bound(item.stop), _bound(item.step))
    if isinstance(item, bool | np.bool_):
        return np.asarray(bool(item))
    if isinstance(item, int | np.integer):
        return int(item)
    if isinstance(item, Tensor | np.ndarray):
        array = item._array if isinstance(item, Tensor) else item
    elif isinstance(item, str):
        raise ArgumentTypeError(f"index: expected integers, slices or tensors, got the string {item!r}")
    elif isinstance(item, Sequence):
        array = _array_of(item)
    else:
        raise IndexRangeError(
            "index: only integers, slices (`:`), ellipsis (`...`), None and long or byte Variables are valid indices "
            f"(got {type(item).__name__})"
        )
    if array.dtype.kind not in "iub":
        raise IndexRangeError(
            f"index: tensors used as indices must be long, int, byte or bool tensors, got {array.dtype}; "
            "convert with .long()"
        )
    if array.dtype == np.uint8:
        return array != 0  # PyTorch's masks of old
    return int(array) if array.ndim == 0 and array.dtype.kind == "i" else array


def _bound(end: Any) -> int | None:
    if end is None or isinstance(end, int):
        return end
    try:
        return operator.index(end)
    except TypeError:
        raise ArgumentTypeError(
            f"index: slice indices must be integers or None or have an __index__ method, got {end!r}"
        ) from None


def _array_of(items: Sequence[Any]) -> np.ndarray:
    numbers = [i._array if isinstance(i, Tensor) else i for i in items]
    try:
        array = np.array(numbers)
    except ValueError as error:
        raise ArgumentError(f"index: expected nested lists of equal lengths, got {items!r} ({error})") from None
    return array if array.size else array.astype(np.int64)


def _dims_taken(item: Any) -> int:
    """How many dimensions of the tensor an item of an index is about."""
    if item is None or item is Ellipsis:
        return 0
    return item.ndim if isinstance(item, np.ndarray) and item.dtype == bool else 1


def _in_range(index: int, dim: int, shape: tuple[int, ...]) -> int:
    if not -shape[dim] <= index < shape[dim]:
        raise IndexRangeError(f"index {index} is out of bounds for dimension {dim} with size {shape[dim]}")
    return index


def _check_range(index: np.ndarray, dim: int, shape: tuple[int, ...]) -> None:
    if index.size and not (-shape[dim] <= index.min() and index.max() < shape[dim]):
        wrong = index[(index < -shape[dim]) | (index >= shape[dim])].flat[0]
        raise IndexRangeError(f"index {wrong} is out of bounds for dimension {dim} with size {shape[dim]}")


def _check_mask(mask: np.ndarray, dim: int, shape: tuple[int, ...]) -> None:
    if mask.shape != shape[dim : dim + mask.ndim]:
        raise IndexRangeError(
            f"index: The shape of the mask {list(mask.shape)} at index 0 does not match the shape of the indexed "
            f"tensor {list(shape)} at index {dim}"
        )


# ------------------------------------------------------------------------------------ reading, assigning
@tensor_method("__getitem__")
def _getitem(self: Tensor, index: Any) -> Tensor:
    """The elements that ``index`` selects: a view, or with lists, arrays or masks in it a copy."""
    return getitem(self, as_index(index, self._array.shape))


@tensor_method("__setitem__")
def _setitem(self: Tensor, index: Any, value: Any) -> None:
    """Write to the elements that ``index`` selects: recorded if either side is, else to the memory."""
    if not isinstance(value, Tensor | bool | int | float | np.generic):
        raise ArgumentTypeError(f"index: can't assign a {type(value).__name__} to a Tensor; convert with tensor()")
    place = as_index(index, self._array.shape)
    if place.arrays is not None and isinstance(value, Tensor) and value.ndim and value.dtype is not self.dtype:
        raise DTypeError(
            f"index: Index put requires the source and destination dtypes match, got {self.dtype} for the "
            f"destination and {value.dtype} for the source; convert with .to()"
        )
    if is_recorded(self, value):
        check_overwritable(self, "index_put_")
        check_distinct(self)
        new = _fitted(value, self._array.dtype)
        if self._view is not None and place.arrays is None and not is_detached(self):
            part = getitem(self, place)  # a view of a view: only these elements of the base are written
            rebind(part, broadcast_to(new, part._array.shape))
        else:
            rebind(self, write_at(self, new, place))
        return
    values = value._array if isinstance(value, Tensor) else value
    if isinstance(values, np.ndarray):
        values = values.reshape(_without_leading_ones(values.shape))
    try:
        mode.quietly(place.write, writable(self), values)
    except ValueError as error:
        raise ShapeError(
            f"index: shape mismatch: value tensor of shape {list(np.shape(values))} cannot be broadcast to what is "
            f"indexed of {list(self._array.shape)} ({error})"
        ) from None


def _fitted(value: Any, dtype: np.dtype) -> Tensor:
    """``value`` as a Tensor of this dtype without leading dimensions of size 1, which assigning ignores."""
    if not isinstance(value, Tensor):
        return wrap(np.asarray(value, dtype))
    value = value.to(dtype)
    return reshape(value, _without_leading_ones(value._array.shape))


def _without_leading_ones(shape: tuple[int, ...]) -> tuple[int, ...]:
    first = next((i for i, side in enumerate(shape) if side != 1), len(shape))
    return shape[first:]


# ----------------------------------------------------------------------------------------- basic by name
@tensor_method
def select(input: Tensor, dim: int, index: int) -> Tensor:
    """The slice number ``index`` along ``dim``, which is dropped: a view."""
    if not input._array.ndim:
        raise IndexRangeError("select() cannot be applied to a 0-dim tensor.")
    dim = check_dim(dim, input._array.ndim, "select")
    return input[(_ALL,) * dim + (operator.index(index),)]


@tensor_method
def narrow(input: Tensor, dim: int, start: Any, length: int) -> Tensor:
    """The ``length`` slices from ``start`` on along ``dim``: a view."""
    if not input._array.ndim:
        raise ShapeError("narrow() cannot be applied to a 0-dim tensor.")
    dim, start = check_dim(dim, input._array.ndim, "narrow"), operator.index(start)
    size = input._array.shape[dim]
    if length < 0:
        raise ShapeError(f"narrow(): length must be non-negative, got {length}")
    if not -size <= start <= size:
        raise IndexRangeError(f"narrow: start out of range (expected to be in range of [{-size}, {size}], got {start})")
    start += size if start < 0 else 0
    if start + length > size:
        raise ShapeError(f"narrow: start ({start}) + length ({length}) exceeds dimension size ({size}).")
    return input[(_ALL,) * dim + (slice(start, start + length),)]
