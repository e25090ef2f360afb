"""Running sums and products, the product, whose gradient needs them, and differences of neighbours."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import check_dim
from tinygrad_cnn.backend import Array, Number
from tinygrad_cnn.errors import ArgumentTypeError, ShapeError
from tinygrad_cnn.kernels import reduce as kernels
from tinygrad_cnn.ops._samples import or_integers, reduction
from tinygrad_cnn.ops.join import cat
from tinygrad_cnn.ops.rearrange import flip
from tinygrad_cnn.ops.reduce import axes_of, in_dtype, reduce_by_loop, spread
from tinygrad_cnn.ops.shape import reshape

__all__ = ["cumprod", "cumsum", "diff", "prod"]


@differentiable
def shift(input: Array, count: int, dim: int, fill: Number = 0) -> Array:
    """Move the elements by ``count`` places along ``dim``; what falls out is lost, the gap is ``fill``."""
    out = np.full_like(input, fill)
    side = input.shape[dim]
    if abs(count) < side:
        before = (slice(None),) * (dim % input.ndim)
        target, source = slice(max(count, 0), side + min(count, 0)), slice(max(-count, 0), side - max(count, 0))
        out[(*before, target)] = input[(*before, source)]
    return out


shift.gradients(input=lambda g, count, dim: shift(g, -count, dim))


@shift.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    return dict(input=draw.array(shape), count=draw.integer(-3, 3), dim=draw.dim(len(shape)), fill=draw.integer(0, 1))


@shift.reference
def _(input: Array, count: int, dim: int, fill: Number = 0) -> Array:
    out = np.full(input.shape, float(fill))
    for index in np.ndindex(*input.shape):
        target = list(index)
        target[dim] += count
        if 0 <= target[dim] < input.shape[dim]:
            out[tuple(target)] = input[index]
    return out


# ----------------------------------------------------------------------------------------- running forms
def _scan(ufunc: np.ufunc, input: Array, dim: int, dtype: Any, op: str) -> Array:
    dim = check_dim(dim, input.ndim, op)
    array = in_dtype(input, dtype)
    return ufunc.accumulate(array, dim, array.dtype) if array.ndim else array.copy()


def _scan_by_loop(input: Array, dim: int, function: Any) -> Array:
    out = np.empty(input.shape)
    for index in np.ndindex(*input.shape):
        upto: list[Any] = list(index)
        if input.ndim:
            upto[dim] = slice(0, index[dim] + 1)
        out[index] = function(np.atleast_1d(input[tuple(upto)]).tolist())
    return out


def _scan_samples(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), dim=draw.dim(len(shape)))


@differentiable(method=True, inplace=True)
def cumsum(input: Array, dim: int, *, dtype: Any = None) -> Array:
    """The sums of the elements up to each one, along ``dim``.

    >>> import tinygrad_cnn as tg
    >>> tg.cumsum(tg.tensor([1, 2, 3]), dim=0)
    tensor([1, 3, 6])
    """
    return _scan(np.add, input, dim, dtype, "cumsum")


cumsum.gradients(input=lambda g, dim: flip(cumsum(flip(g, (dim,)), dim), (dim,)))
cumsum.samples(or_integers(_scan_samples))
cumsum.reference(lambda input, dim, dtype=None: _scan_by_loop(input, dim, math.fsum))


@differentiable(method=True, inplace=True)
def cumprod(input: Array, dim: int, *, dtype: Any = None) -> Array:
    """The products of the elements up to each one, along ``dim``."""
    return _scan(np.multiply, input, dim, dtype, "cumprod")


cumprod.gradients(input=lambda g, input, dim: _cumprod_gradient(g, input, dim))
cumprod.samples(or_integers(_scan_samples))
cumprod.reference(lambda input, dim, dtype=None: _scan_by_loop(input, dim, math.prod))


def _products(input: Any, dim: int, step: int) -> Any:
    """For each element the product of those before it (``step`` 1) or behind it (-1), by doubling the reach."""
    product, reach = shift(input, step, dim, 1), 1
    while reach < input.shape[dim]:
        product = product * shift(product, step * reach, dim, 1)
        reach *= 2
    return product


def _cumprod_gradient(g: Any, input: Any, dim: int) -> Any:
    """The product of what precedes x[i], times s[i] = g[i] + x[i+1] * s[i+1], which is solved by doubling.

    No division, so zeros are fine, and only products and shifts, so it can be differentiated again.
    """
    if not len(input.shape):
        return g
    total, factor, reach = g, shift(input, -1, dim), 1
    while reach < input.shape[dim]:
        total = total + factor * shift(total, -reach, dim)
        factor = factor * shift(factor, -reach, dim)
        reach *= 2
    return _products(input, dim, 1) * total


# ------------------------------------------------------------------------------------------------- prod
@differentiable(method=True, grad_name=lambda dim: "ProdBackward0" if dim is None else "ProdBackward1")
def prod(input: Array, dim: int | None = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """The product over one dimension, or over all; that of integers and booleans is int64.

    >>> import tinygrad_cnn as tg
    >>> tg.prod(tg.tensor([[1, 2], [3, 4]]), dim=1)
    tensor([ 2, 12])
    """
    if isinstance(dim, tuple | list):
        raise ArgumentTypeError(f"prod(): argument 'dim' must be int, not {type(dim).__name__}; reduce one at a time")
    axes = axes_of(dim, input.ndim, keepdim, "prod")
    return kernels.reduce(np.multiply, in_dtype(input, dtype), axes, keepdim)


prod.gradients(
    input=lambda g, input, input_shape, dim, keepdim: (
        spread(g, input_shape, dim, keepdim) * _product_of_others(input, input_shape, dim)
    )
)
prod.samples(or_integers(reduction(single=True)))


@prod.reference
def _(input: Array, dim: int | None = None, keepdim: bool = False, dtype: Any = None) -> Array:
    return reduce_by_loop(input, dim, keepdim, math.prod)


def _product_of_others(input: Any, shape: tuple[int, ...], dim: int | None) -> Any:
    """For each element the product of the others along ``dim``: those before times those behind, no division."""
    if dim is None or not shape:
        input, dim = reshape(input, (-1,)), 0
    others = _products(input, dim, 1) * _products(input, dim, -1)
    return reshape(others, shape)


# ----------------------------------------------------------------------------------------- differences
@tensor_method
@numpy_names
def diff(input: Any, n: int = 1, dim: int = -1, prepend: Any = None, append: Any = None) -> Any:
    """The differences of neighbours along ``dim``, taken ``n`` times; of booleans whether they differ.

    >>> import tinygrad_cnn as tg
    >>> tg.diff(tg.tensor([1, 4, 9]))
    tensor([3, 5])
    """
    if input.ndim == 0:
        raise ShapeError("diff expects input to be at least one-dimensional, got shape ()")
    if n < 0:
        raise ShapeError(f"diff: order expects to be non-negative but got {n}")
    dim = check_dim(dim, input.ndim, "diff")
    if n and (prepend is not None or append is not None):
        input = cat([part for part in (prepend, input, append) if part is not None], dim)
    before = (slice(None),) * dim
    for _ in range(min(n, input.shape[dim])):
        later, earlier = input[(*before, slice(1, None))], input[(*before, slice(None, -1))]
        input = later != earlier if input.dtype == np.bool_ else later - earlier
    return input
