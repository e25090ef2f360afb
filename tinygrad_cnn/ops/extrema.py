"""The largest and smallest elements, and where they are."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.op import differentiable, operation
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, IndexRangeError, ShapeError
from tinygrad_cnn.kernels import reduce as kernels
from tinygrad_cnn.ops._return_types import return_type
from tinygrad_cnn.ops._samples import or_integers, reduction
from tinygrad_cnn.ops.combine import maximum, minimum
from tinygrad_cnn.ops.gather import gather
from tinygrad_cnn.ops.reduce import Dims, axes_of, reduce_by_loop, spread, sum
from tinygrad_cnn.ops.shape import reshape

__all__ = ["amax", "amin", "aminmax", "argmax", "argmin", "max", "min"]


# ------------------------------------------------------------------------------- the gradient's way back
@differentiable
def unpick(values: Array, indices: Array, dim: int, shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` with ``values`` at ``indices``, no two alike, along ``dim``: what was picked, put back."""
    if not shape:
        return values.copy()
    out = np.zeros(shape, values.dtype)
    np.put_along_axis(out, indices, values, dim)
    return out


unpick.gradients(values=lambda g, indices, dim: gather(g, dim, indices))


@unpick.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1)
    dim = draw.dim(len(shape))
    ranks = np.argsort(draw.distinct(shape), dim)
    indices = np.take(ranks, range(draw.integer(1, shape[dim])), dim)
    return dict(values=draw.array(indices.shape), indices=indices, dim=dim, shape=shape)


@unpick.reference
def _(values: Array, indices: Array, dim: int, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape)
    for place in np.ndindex(*indices.shape):
        target = list(place)
        target[dim] = indices[place]
        out[tuple(target)] = values[place]
    return out


# ------------------------------------------------------------------------------------------ the values
def check_not_empty(shape: tuple[int, ...], dim: Dims, op: str) -> None:
    """Raise where a reduction without a neutral element would have nothing to reduce."""
    if 0 not in shape:
        return
    if dim is None or (isinstance(dim, tuple | list) and not dim):
        raise ShapeError(
            f"{op}(): Expected reduction dim to be specified for input.numel() == 0. "
            "Specify the reduction dim with the 'dim' argument."
        )
    for d in dim if isinstance(dim, tuple | list) else (dim,):
        if shape[check_dim(d, len(shape), op)] == 0:
            raise IndexRangeError(f"{op}(): Expected reduction dim {d} to have non-zero size.")


def shared_by_ties(g: Any, input: Any, out: Any, dim: Dims, keepdim: bool, nan: bool = False) -> Any:
    """The gradient of a selected value, divided evenly among the elements that are equal to it (``nan``: NaN too)."""
    chosen = spread(out, input.shape, dim, keepdim)
    ties = input == chosen
    if nan:
        ties = ties | ((input != input) & (chosen != chosen))
    share = g / sum(ties, dim, keepdim, dtype=g.dtype)
    return spread(share, input.shape, dim, keepdim) * ties


def _extreme(ufunc: np.ufunc, name: str, grad_name: str, builtin: Any, doc: str, method: bool = False) -> Any:
    """An op that keeps the extreme elements; elements that tie for it share its gradient evenly."""

    @differentiable(name=name, grad_name=grad_name, method=method)
    def op(input: Array, dim: Dims = (), keepdim: bool = False) -> Array:
        check_not_empty(input.shape, dim, name)
        return kernels.reduce(ufunc, input, axes_of(dim, input.ndim, keepdim, name), keepdim)

    op.__doc__ = doc
    op.gradients(input=lambda g, input, out, dim, keepdim: shared_by_ties(g, input, out, dim, keepdim, not method))
    op.samples(or_integers(reduction(distinct=True)))
    op.reference(lambda input, dim=(), keepdim=False: reduce_by_loop(input, dim, keepdim, builtin))
    return op


amax = _extreme(
    np.maximum, "amax", "AmaxBackward0", max, "The largest elements along some dimensions, or of all.", method=True
)
amin = _extreme(
    np.minimum, "amin", "AminBackward0", min, "The smallest elements along some dimensions, or of all.", method=True
)
_highest = _extreme(np.maximum, "max_of_all", "MaxBackward1", max, "The largest element.")
_lowest = _extreme(np.minimum, "min_of_all", "MinBackward1", min, "The smallest element.")

AminmaxResult = return_type("aminmax", "min", "max")


@tensor_method
def aminmax(input: Any, *, dim: int | None = None, keepdim: bool = False) -> Any:
    """The smallest and the largest elements, as a pair ``(min, max)``."""
    if dim is None and input.numel() == 0:
        raise ShapeError("aminmax(): cannot compute aminmax over an empty dimension as the operation has no identity.")
    return AminmaxResult(amin(input, dim, keepdim), amax(input, dim, keepdim))


# ------------------------------------------------------------------------------------- with the places
def _place(search: Any, name: str, builtin: Any, doc: str) -> Any:
    @operation(name=name, method=True)
    def op(input: Array, dim: int | None = None, keepdim: bool = False) -> Array:
        if 0 in input.shape and dim is None:
            raise IndexRangeError(f"{name}(): Expected reduction dim to be specified for input.numel() == 0.")
        check_not_empty(input.shape, dim, name)
        if input.dtype == np.bool_:
            raise DTypeError(f"{name}(): does not support bool input; convert with .int()")
        axis = None if dim is None or not input.ndim else check_dim(dim, input.ndim, name)
        return np.asarray(search(input, axis, keepdims=keepdim))

    op.__doc__ = doc
    op.samples(or_integers(reduction(distinct=True, single=True)))
    op.reference(lambda input, dim=None, keepdim=False: _place_by_loop(input, dim, keepdim, builtin))
    return op


def _place_by_loop(input: Array, dim: int | None, keepdim: bool, builtin: Any) -> Array:
    return reduce_by_loop(input, dim, keepdim, lambda values: values.index(builtin(values))).astype(np.int64)


argmax = _place(
    np.argmax, "argmax", max, "The index of the largest element, of all or along ``dim``; of the first if several."
)
argmin = _place(
    np.argmin, "argmin", min, "The index of the smallest element, of all or along ``dim``; of the first if several."
)


def _extreme_along(ufunc: np.ufunc, search: Any, name: str, builtin: Any) -> Any:
    """An op for the extreme element along one dimension; its index, a residual, alone gets the gradient."""

    @differentiable(name=name, grad_name=f"{name.capitalize()}Backward0", residuals=("indices",))
    def op(input: Array, dim: int, keepdim: bool = False) -> tuple[Array, Array]:
        axis = check_dim(dim, input.ndim, name)
        check_not_empty(input.shape, dim, name)
        if not input.ndim:
            return input.copy(), np.zeros((), np.int64)
        indices = search(input, axis, keepdims=keepdim)
        return kernels.reduce(ufunc, input, (axis,), keepdim), np.asarray(indices)

    op.__doc__ = f"The {name}imum along one dimension."
    op.gradients(input=lambda g, input_shape, indices, dim: put_back(g, indices, dim, input_shape))
    op.samples(lambda draw: _one_dim(reduction(distinct=True, single=True)(draw)))
    op.reference(lambda input, dim, keepdim=False: reduce_by_loop(input, dim, keepdim, builtin))
    return op


def _one_dim(arguments: dict[str, Any]) -> dict[str, Any]:
    return {**arguments, "dim": -1 if arguments["dim"] is None else arguments["dim"]}


def put_back(g: Any, indices: Array, dim: int, shape: tuple[int, ...]) -> Any:
    """The gradient of a selection of one element along ``dim``, in the places where they were taken from."""
    kept = tuple([1 if d == dim % len(shape) else side for d, side in enumerate(shape)])
    return unpick(reshape(g, kept), indices.reshape(kept), dim, shape)


_max_along = _extreme_along(np.maximum, np.argmax, "max", max)
_min_along = _extreme_along(np.minimum, np.argmin, "min", min)
MaxResult = return_type("max", "values", "indices")
MinResult = return_type("min", "values", "indices")


@tensor_method
@numpy_names
def max(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The largest element; along ``dim`` with its index, as a pair; or, given a tensor, the larger of each two.

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([[1.0, 5.0], [4.0, 2.0]])
    >>> tg.max(x)
    tensor(5.)
    >>> values, indices = tg.max(x, dim=1)
    >>> indices
    tensor([1, 0])
    """
    return _three_forms(input, dim, keepdim, other, (_highest, _max_along, MaxResult, maximum))


@tensor_method
@numpy_names
def min(input: Any, dim: Any = None, keepdim: bool = False, *, other: Any = None) -> Any:
    """The smallest element; along ``dim`` with its index, as a pair; or, given a tensor, the smaller of each two."""
    return _three_forms(input, dim, keepdim, other, (_lowest, _min_along, MinResult, minimum))


def _three_forms(input: Any, dim: Any, keepdim: bool, other: Any, forms: tuple[Any, Any, Any, Any]) -> Any:
    whole, along, result, elementwise = forms
    if isinstance(dim, Tensor):
        dim, other = None, dim
    if other is not None:
        return elementwise(input, other)
    if dim is not None:
        return result(*along.with_residuals(input, dim, keepdim))
    if keepdim:
        raise ArgumentTypeError(f"{along.name}(): keepdim means something only with dim; use amax or amin for all")
    return whole(input)
