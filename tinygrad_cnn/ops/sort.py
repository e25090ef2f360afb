"""Sorting, and selecting elements by their rank: their gradient goes back to where they were taken from."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.op import Op, differentiable, operation
from tinygrad_cnn.autograd.tensor import check_dim
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ShapeError, UnsupportedError
from tinygrad_cnn.ops._return_types import return_type
from tinygrad_cnn.ops._samples import or_defaults, or_integers, reduction
from tinygrad_cnn.ops.extrema import check_not_empty, put_back, shared_by_ties, unpick
from tinygrad_cnn.ops.reduce import reduce_by_loop

__all__ = ["argsort", "kthvalue", "median", "mode", "msort", "nanmedian", "sort", "topk"]


# ------------------------------------------------------------------------------------------------- sort
def _order(input: Array, dim: int, descending: bool) -> Array:
    """The indices that sort along ``dim``; equal elements keep their order, NaN counts as the largest."""
    if not input.ndim:
        return np.zeros((), np.int64)
    if not descending:
        return np.argsort(input, dim, kind="stable")
    backwards = np.argsort(np.flip(input, dim), dim, kind="stable")
    return np.asarray(input.shape[dim] - 1 - np.flip(backwards, dim))


def _taken(input: Array, indices: Array, dim: int) -> Array:
    return np.take_along_axis(input, indices, dim) if input.ndim else input.copy()


def _sorting_samples(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.distinct(shape), dim=draw.dim(len(shape)), descending=draw.boolean())


@differentiable(name="sort", residuals=("indices",))
def _sort(input: Array, dim: int = -1, descending: bool = False) -> tuple[Array, Array]:
    """The elements in order along ``dim``."""
    indices = _order(input, check_dim(dim, input.ndim, "sort"), descending)
    return _taken(input, indices, dim), indices


_sort.gradients(input=lambda g, indices, dim, input_shape: unpick(g, indices, dim, input_shape))
_sort.samples(or_integers(_sorting_samples))
_sort.reference(lambda input, dim=-1, descending=False: np.apply_along_axis(sorted, dim, input, reverse=descending)
                if input.ndim else input)  # fmt: skip

SortResult = return_type("sort", "values", "indices")


@tensor_method
@numpy_names
def sort(input: Any, dim: int = -1, descending: bool = False, stable: bool = False) -> Any:
    """The elements in order along ``dim``, and where they were: a pair ``(values, indices)``. Always stable.

    >>> import tinygrad_cnn as tg
    >>> values, indices = tg.sort(tg.tensor([3.0, 1.0, 2.0]), descending=True)
    >>> values, indices
    (tensor([3., 2., 1.]), tensor([0, 2, 1]))
    """
    return SortResult(*_sort.with_residuals(input, dim, descending))


@operation(method=True)
def argsort(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    """The indices that put the elements in order along ``dim``. Always stable."""
    return _order(input, check_dim(dim, input.ndim, "argsort"), descending)


argsort.samples(or_defaults(or_integers(_sorting_samples), "descending"))


@argsort.reference
def _(input: Array, dim: int = -1, descending: bool = False, stable: bool = False) -> Array:
    def by_key(row: Array) -> list[int]:
        return sorted(range(len(row)), key=row.__getitem__, reverse=descending)

    return np.apply_along_axis(by_key, dim, input) if input.ndim else np.zeros((), np.int64)


@tensor_method
def msort(input: Any) -> Any:
    """The elements in order along the first dimension."""
    return sort(input, 0).values


# ------------------------------------------------------------------------------------------------- topk
@differentiable(name="topk", residuals=("indices",))
def _topk(input: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> tuple[Array, Array]:
    """The ``k`` largest or smallest elements along ``dim``."""
    if not input.ndim:
        return input.copy(), np.zeros((), np.int64)
    side = input.shape[dim]
    if 0 < k < side:
        part = np.argpartition(input, side - k if largest else k - 1, dim)
        part = np.take(part, range(side - k, side) if largest else range(k), dim)
        part.sort(dim)  # of the chosen, the first comes first among equals
    else:
        part = np.take(np.broadcast_to(_places(input.shape, dim), input.shape), range(k), dim)
    chosen = np.take_along_axis(input, part, dim)
    order = _order(chosen, dim, descending=largest)
    return np.take_along_axis(chosen, order, dim), np.take_along_axis(part, order, dim)


def _places(shape: tuple[int, ...], dim: int) -> Array:
    """0, 1, 2, ... along ``dim``, size 1 elsewhere."""
    return np.arange(shape[dim]).reshape([-1 if d == dim % len(shape) else 1 for d in range(len(shape))])


@_topk.check
def _(input: Array, k: int, dim: int, largest: bool, sorted: bool) -> None:
    axis = check_dim(dim, input.ndim, "topk")
    if input.dtype == np.bool_:
        raise UnsupportedError("topk: does not support bool; convert with .int()")
    if not 0 <= k <= (input.shape[axis] if input.ndim else 1):
        raise ShapeError(f"topk: selected index k out of range: k={k}, dimension {dim} of shape {input.shape}")


_topk.refuses(UnsupportedError, "does not support bool", input=np.ones(2, bool), k=1, dim=0, largest=True, sorted=True)
for _k, _shape in ((-1, (2,)), (3, (2,)), (2, ())):
    _topk.refuses(ShapeError, f"out of range: k={_k}", input=_shape, k=_k, dim=0, largest=True, sorted=True)


_topk.gradients(input=lambda g, indices, dim, input_shape: unpick(g, indices, dim, input_shape))


@_topk.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    dim = draw.dim(len(shape))
    return dict(input=draw.distinct(shape), k=draw.integer(1, shape[dim]), dim=dim, largest=draw.boolean())


@_topk.reference
def _(input: Array, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Array:
    def best(row: Array) -> Array:
        return np.sort(row)[::-1][:k] if largest else np.sort(row)[:k]

    return np.apply_along_axis(best, dim, input)


TopkResult = return_type("topk", "values", "indices")


@tensor_method
@numpy_names
def topk(input: Any, k: int, dim: int = -1, largest: bool = True, sorted: bool = True) -> Any:
    """The ``k`` largest (or smallest) elements along ``dim``, in order, and where they were. ShapeError if too many.

    >>> import tinygrad_cnn as tg
    >>> tg.topk(tg.tensor([1.0, 4.0, 3.0]), 2).indices
    tensor([1, 2])
    """
    return TopkResult(*_topk.with_residuals(input, k, dim, largest, sorted))


# ------------------------------------------------------------------------------------- one of each row
def _ranked(name: str, grad_name: str, find: Any, doc: str) -> Op:
    """An op that selects one element along ``dim`` and, as a residual, its index."""

    @differentiable(name=name, grad_name=grad_name, residuals=("indices",))
    def op(input: Array, dim: int = -1, keepdim: bool = False, k: int = 1) -> tuple[Array, Array]:
        axis = check_dim(dim, input.ndim, name)
        if input.dtype == np.bool_ and name != "mode":
            raise UnsupportedError(f"{name}: not implemented for bool; convert with .int()")
        check_not_empty(input.shape, dim, name)
        if not input.ndim:
            return input.copy(), np.zeros((), np.int64)
        indices = np.expand_dims(find(input, axis, k), axis)
        values = np.take_along_axis(input, indices, axis)
        return (values, indices) if keepdim else (values.squeeze(axis), indices.squeeze(axis))

    op.__doc__ = doc
    op.gradients(input=lambda g, input_shape, indices, dim: put_back(g, indices, dim, input_shape))
    return op


def _find_kth(input: Array, dim: int, k: int) -> Array:
    return np.asarray(np.take(_order(input, dim, False), k - 1, dim))


def _find_median(input: Array, dim: int, k: int, ignore_nan: bool = False) -> Array:
    order = _order(input, dim, False)
    missing = np.isnan(input) if input.dtype.kind == "f" else np.zeros(input.shape, bool)
    if ignore_nan:
        middle = (np.maximum((~missing).sum(dim, keepdims=True), 1) - 1) // 2
        return np.take_along_axis(order, middle, dim).squeeze(dim)
    middle = np.take(order, (input.shape[dim] - 1) // 2, dim)
    return np.asarray(np.where(missing.any(dim), missing.argmax(dim), middle))


def _find_mode(input: Array, dim: int, k: int) -> Array:
    """The last place of the most frequent element, of the smallest if several are."""
    order = _order(input, dim, False)
    ordered, places = np.take_along_axis(input, order, dim), _places(input.shape, dim)
    starts = np.ones(input.shape, bool)
    before = (slice(None),) * dim
    starts[(*before, slice(1, None))] = ordered[(*before, slice(1, None))] != ordered[(*before, slice(None, -1))]
    run = places - np.maximum.accumulate(np.where(starts, places, 0), dim)  # how often it came so far, less one
    return np.take_along_axis(order, run.argmax(dim, keepdims=True), dim).squeeze(dim)


_kth = _ranked("kthvalue", "KthvalueBackward0", _find_kth, "The k-th smallest element along ``dim``.")
_median = _ranked("median", "MedianBackward1", _find_median, "The lower median along ``dim``; NaN if there is one.")
_nanmedian = _ranked(
    "nanmedian",
    "NanmedianBackward1",
    lambda input, dim, k: _find_median(input, dim, k, ignore_nan=True),
    "The lower median along ``dim`` of what isn't NaN.",
)
_mode = _ranked("mode", "ModeBackward0", _find_mode, "The most frequent element along ``dim``, and its last place.")


def _ranked_samples(draw: Any) -> dict[str, Any]:
    arguments = reduction(distinct=True, single=True)(draw)
    return {**arguments, "dim": arguments["dim"] if arguments["dim"] is not None else -1}


@_kth.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    arguments = _ranked_samples(draw)
    shape = arguments["input"].shape
    return {**arguments, "k": draw.integer(1, shape[arguments["dim"]] if shape else 1)}


def _lower_median(values: list[float]) -> float:
    return sorted(values)[(len(values) - 1) // 2]


for _op in (_median, _nanmedian, _mode):
    _op.samples(_ranked_samples)
_kth.reference(
    lambda input, dim=-1, keepdim=False, k=1: reduce_by_loop(input, dim, keepdim, lambda row: sorted(row)[k - 1])
)
_median.reference(lambda input, dim=-1, keepdim=False, k=1: reduce_by_loop(input, dim, keepdim, _lower_median))
_nanmedian.reference(lambda input, dim=-1, keepdim=False, k=1: reduce_by_loop(input, dim, keepdim, _lower_median))
_mode.reference(lambda input, dim=-1, keepdim=False, k=1: reduce_by_loop(input, dim, keepdim, min))  # all occur once


@differentiable(grad_name="MedianBackward0")
def median_of_all(input: Array, ignore_nan: bool = False) -> Array:
    """The lower median of all elements; those that tie for it share its gradient evenly."""
    if not input.size:
        return np.asarray(np.nan).astype(input.dtype)
    flat = input.reshape(-1)
    return np.asarray(flat[_find_median(flat, 0, 1, ignore_nan)])


median_of_all.gradients(input=lambda g, input, out: shared_by_ties(g, input, out, None, False, nan=True))
median_of_all.samples(lambda draw: dict(input=draw.distinct(draw.shape()), ignore_nan=draw.boolean()))
median_of_all.reference(lambda input, ignore_nan=False: np.asarray(_lower_median(input.ravel().tolist())))

for _op in (_sort, _topk, _kth, _mode):
    _op.exempt(nan="NaN counts as the largest number")
for _op in (_nanmedian, median_of_all):
    _op.exempt(nan="it can leave NaN out")

KthvalueResult = return_type("kthvalue", "values", "indices")
MedianResult = return_type("median", "values", "indices")
NanmedianResult = return_type("nanmedian", "values", "indices")
ModeResult = return_type("mode", "values", "indices")


@tensor_method
@numpy_names
def median(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """The median, of two the lower one; along ``dim`` with its index, as a pair.

    >>> import tinygrad_cnn as tg
    >>> tg.median(tg.tensor([4.0, 1.0, 3.0, 2.0]))
    tensor(2.)
    """
    if dim is None:
        return _whole_median(input, False)
    return MedianResult(*_median.with_residuals(input, dim, keepdim))


@tensor_method
@numpy_names
def nanmedian(input: Any, dim: int | None = None, keepdim: bool = False) -> Any:
    """As ``median``, of what isn't NaN."""
    if dim is None:
        return _whole_median(input, True)
    return NanmedianResult(*_nanmedian.with_residuals(input, dim, keepdim))


def _whole_median(input: Any, ignore_nan: bool) -> Any:
    if input._array.dtype == np.bool_:
        raise UnsupportedError("median: not implemented for bool; convert with .int()")
    return median_of_all(input, ignore_nan)


@tensor_method
@numpy_names
def kthvalue(input: Any, k: int, dim: int = -1, keepdim: bool = False) -> Any:
    """The ``k``-th smallest element along ``dim`` (the first is 1), and its index, as a pair."""
    array = input._array
    side = array.shape[check_dim(dim, array.ndim, "kthvalue")] if array.ndim else 1
    if side and not 1 <= k <= side:
        raise ShapeError(f"kthvalue(): selected number k out of range for dimension {dim}: k={k}, size {side}")
    return KthvalueResult(*_kth.with_residuals(input, dim, keepdim, k))


@tensor_method
@numpy_names
def mode(input: Any, dim: int = -1, keepdim: bool = False) -> Any:
    """The most frequent element along ``dim``, of several the smallest, and the last place where it is."""
    return ModeResult(*_mode.with_residuals(input, dim, keepdim))
