"""Reductions: sum, mean, logsumexp, all, any; and the helpers that every reduction shares."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.op import differentiable, operation
from tinygrad_cnn.autograd.tensor import check_dim
from tinygrad_cnn.backend import DTYPES, Array, as_dtype, as_floating, require_floating
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, IndexRangeError, ShapeError
from tinygrad_cnn.kernels import reduce as kernels
from tinygrad_cnn.ops._samples import or_integers, reduction
from tinygrad_cnn.ops.elementwise import keep
from tinygrad_cnn.ops.shape import expand, reshape
from tinygrad_cnn.ops.unary import exp

Dims = int | Sequence[int] | None

__all__ = ["all", "any", "count_nonzero", "logsumexp", "mean", "nanmean", "nansum", "sum"]


# --------------------------------------------------------------------------------------------- dimensions
def axes_of(dim: Dims, ndim: int, keepdim: bool, op: str) -> tuple[int, ...]:
    """The dimensions to reduce, counted from the front: all of them for None and for an empty sequence."""
    if not isinstance(keepdim, bool):
        raise ArgumentTypeError(f"{op}(): argument 'keepdim' must be bool, not {type(keepdim).__name__}")
    if dim is None:
        return tuple(range(ndim))
    if isinstance(dim, int) or not isinstance(dim, tuple | list):
        return (check_dim(dim, ndim, op),)[:ndim]  # type: ignore[arg-type]  # refused if it is no int
    axes = tuple([check_dim(d, ndim, op) for d in dim])
    if len(set(axes)) < len(axes):
        twice = next(d for d in axes if axes.count(d) > 1)
        raise ShapeError(f"{op}: dim {twice} appears multiple times in the list of dims {tuple(dim)}")
    return axes[:ndim] or tuple(range(ndim))


def count_of(shape: tuple[int, ...], dim: Dims) -> int:
    """The number of elements that a reduction over ``dim`` makes one of."""
    return math.prod([shape[d] for d in axes_of(dim, len(shape), True, "reduction")])


def spread(g: Any, shape: tuple[int, ...], dim: Dims, keepdim: bool) -> Any:
    """Repeat a reduction's result, or its gradient, for every element that was reduced."""
    if not keepdim:
        axes = axes_of(dim, len(shape), True, "reduction")
        g = reshape(g, tuple([1 if d in axes else side for d, side in enumerate(shape)]))
    return expand(g, shape)


def in_dtype(input: Array, dtype: Any) -> Array:
    """The elements in ``dtype``; integers become int64 without one, as sums and products do."""
    if dtype is not None:
        return input.astype(as_dtype(dtype).dtype, copy=False)
    return input if input.dtype.kind == "f" else input.astype(np.int64, copy=False)


# --------------------------------------------------------------------------------------------- sum, mean
@differentiable(method=True, grad_name=lambda dim: "SumBackward0" if dim is None else "SumBackward1")
def sum(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The sum over some dimensions, or over all; that of integers and booleans is int64.

    >>> import tinygrad_cnn as tg
    >>> tg.sum(tg.ones(2, 3), dim=1), tg.ones(2, 3).sum()
    (tensor([3., 3.]), tensor(6.))
    """
    axes = axes_of(dim, input.ndim, keepdim, "sum")
    return kernels.total(in_dtype(input, dtype), axes, keepdim)


sum.gradients(input=lambda g, input_shape, dim, keepdim: spread(g, input_shape, dim, keepdim))
sum.samples(or_integers(reduction()))


@sum.reference
def _(input: Array, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Array:
    return reduce_by_loop(input, dim, keepdim, math.fsum)


def reduce_by_loop(input: Array, dim: Dims, keepdim: bool, function: Any) -> Array:
    """``function`` of each list of elements that a reduction makes one of, for references."""
    dims = range(input.ndim) if dim is None or not input.ndim else (dim,) if isinstance(dim, int) else dim
    axes = [d % input.ndim for d in dims]
    groups: dict[tuple[int, ...], list[Any]] = {}
    shape = [1 if d in axes else side for d, side in enumerate(input.shape)]
    for index in np.ndindex(*input.shape):
        groups.setdefault(tuple([0 if d in axes else i for d, i in enumerate(index)]), []).append(input[index])
    out = np.empty(shape)
    for index in np.ndindex(*shape):
        out[index] = function(groups.get(index, []))
    return out if keepdim else out.reshape([side for d, side in enumerate(input.shape) if d not in axes])


@differentiable(method=True, grad_name=lambda dim: "MeanBackward0" if dim is None else "MeanBackward1")
def mean(input: Array, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The mean over some dimensions, or over all. Raises DTypeError for integers, unless ``dtype`` is floating.

    >>> import tinygrad_cnn as tg
    >>> tg.mean(tg.tensor([[1.0, 2.0], [3.0, 6.0]]), dim=0, keepdim=True)
    tensor([[2., 4.]])
    """
    axes = axes_of(dim, input.ndim, keepdim, "mean")
    total = kernels.total(in_dtype(input, dtype), axes, keepdim)
    total /= math.prod([input.shape[d] for d in axes])
    return total


mean.gradients(
    input=lambda g, input_shape, dim, keepdim: spread(g / count_of(input_shape, dim), input_shape, dim, keepdim)
)
mean.samples(reduction())


@mean.check
def _(input: Array, dim: Dims, keepdim: bool, dtype: Any) -> None:
    if dtype is None and input.dtype.kind == "f":
        return
    wanted = DTYPES[input.dtype] if dtype is None else as_dtype(dtype)
    if not wanted.is_floating_point:
        raise DTypeError(
            f"mean(): could not infer output dtype. Input dtype must be a floating point dtype. Got: {wanted}; "
            "convert with .float() or pass dtype=float32"
        )


mean.refuses(DTypeError, "could not infer output dtype", input=np.ones(2, int))
mean.refuses(DTypeError, "could not infer output dtype", input=(2,), dtype="int64")
for _op in (sum, mean):
    _op.refuses(ArgumentTypeError, "argument 'keepdim' must be bool, not int", input=(2,), dim=0, keepdim=1)
    _op.refuses(ShapeError, "dim 1 appears multiple times", input=(2, 3), dim=(1, -1))
    _op.refuses(IndexRangeError, "Dimension out of range", input=(2, 3), dim=2)


@mean.reference
def _(input: Array, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Array:
    return reduce_by_loop(input, dim, keepdim, lambda values: math.fsum(values) / len(values))


@tensor_method
@numpy_names
def nansum(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The sum of what isn't NaN."""
    return sum(keep(input, input == input), dim, keepdim, dtype=dtype)


@tensor_method
@numpy_names
def nanmean(input: Any, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """The mean of what isn't NaN."""
    require_floating(input._array, "nanmean")
    return nansum(input, dim, keepdim, dtype=dtype) / sum(input == input, dim, keepdim)


# ------------------------------------------------------------------------------------------- logsumexp
@differentiable(method=True)
def logsumexp(input: Array, dim: Dims, keepdim: bool = False) -> Array:
    """The logarithm of the sum of exponentials, computed without overflow.

    >>> import tinygrad_cnn as tg
    >>> tg.logsumexp(tg.tensor([1000.0, 1000.0]), dim=0)
    tensor(1000.6932)
    """
    input = as_floating(input, "logsumexp")
    axes = axes_of(dim, input.ndim, keepdim, "logsumexp")
    if not input.size:
        return np.asarray(np.log(kernels.total(input, axes, keepdim)))
    highest = kernels.reduce(np.maximum, input, axes, keepdims=True)
    highest = np.where(np.isfinite(highest), highest, input.dtype.type(0))  # infinities come out by themselves
    out = np.asarray(highest + np.log(kernels.total(np.exp(input - highest), axes, keepdims=True)))
    return out if keepdim else out.squeeze(axes)


logsumexp.gradients(
    input=lambda g, input, input_shape, dim, keepdim, out: (
        spread(g, input_shape, dim, keepdim) * exp(input - spread(out, input_shape, dim, keepdim))
    )
)
logsumexp.samples(reduction())


@logsumexp.reference
def _(input: Array, dim: Dims, keepdim: bool = False) -> Array:
    return reduce_by_loop(input, dim, keepdim, lambda values: math.log(math.fsum(map(math.exp, values))))


# ---------------------------------------------------------------------------------------- truth, counts
def _truth(ufunc: np.ufunc, name: str) -> Any:
    @operation(name=name, method=True)
    def op(input: Array, dim: Dims = None, keepdim: bool = False) -> Array:
        if isinstance(dim, tuple | list) and not dim:  # the one family in which no dimensions means none
            out = input != 0
        else:
            out = ufunc.reduce(input != 0, axis=axes_of(dim, input.ndim, keepdim, name), keepdims=keepdim)
        return np.asarray(out, np.uint8 if input.dtype == np.uint8 else np.bool_)

    return op


all = _truth(np.logical_and, "all")
all.__doc__ = """Whether all elements, or all along some dimensions, are true (not 0).

    >>> import tinygrad_cnn as tg
    >>> tg.all(tg.tensor([[1, 0], [1, 1]]), dim=1)
    tensor([False,  True])
    """
any = _truth(np.logical_or, "any")
any.__doc__ = "Whether any element, or any along some dimensions, is true (not 0)."


def _bits(draw: Any) -> dict[str, Any]:
    arguments = reduction()(draw)
    return {**arguments, "input": draw.mask(arguments["input"].shape)}


all.samples(_bits)
any.samples(_bits)
all.reference(lambda input, dim=None, keepdim=False: reduce_by_loop(input, dim, keepdim, min) != 0)
any.reference(lambda input, dim=None, keepdim=False: reduce_by_loop(input, dim, keepdim, max) != 0)


@tensor_method
@numpy_names
def count_nonzero(input: Any, dim: Dims = None) -> Any:
    """The number of elements that aren't 0, of all or along some dimensions."""
    return sum(input != 0, dim)
