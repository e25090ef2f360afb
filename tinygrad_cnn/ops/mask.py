"""Choosing by masks; and where a tensor isn't zero."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import inplace_method, tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, GraphError, ShapeError
from tinygrad_cnn.ops.index import as_index, write_at
from tinygrad_cnn.ops.shape import broadcast_shapes, expand, reshape, sum_to

__all__ = ["argwhere", "masked_fill", "masked_scatter", "masked_select", "nonzero"]


@differentiable
def fill_where(input: Array, mask: Array, value: Array) -> Array:
    """``value``, a number or 0-d array, where ``mask`` holds, else ``input``; the two are broadcast."""
    out = input.copy(order="K") if input.shape == mask.shape else np.array(np.broadcast_arrays(input, mask)[0])
    np.copyto(out, value, where=mask, casting="unsafe")
    return out


fill_where.grad_name = "MaskedFillBackward0"
fill_where.gradients(
    input=lambda g, mask, input_shape: sum_to(fill_where(g, mask, 0.0), input_shape),
    value=lambda g, mask, value_shape: sum_to(g - fill_where(g, mask, 0.0), value_shape),
)


@fill_where.samples
def _(draw: Any) -> dict[str, Any]:
    a, b = draw.broadcastable_shapes(2)
    return dict(input=draw.array(a), mask=draw.mask(b), value=draw.choice([0.5, draw.array(())]))


fill_where.reference(np.vectorize(lambda input, mask, value: value if mask else input))


@tensor_method
def masked_fill(input: Tensor, mask: Tensor, value: Any) -> Tensor:
    """A copy of ``input`` with ``value``, a number or 0-d tensor, where ``mask`` is True.

    >>> import tinygrad_cnn as tg
    >>> tg.masked_fill(tg.tensor([1.0, 2.0]), tg.tensor([True, False]), 0)
    tensor([0., 2.])
    """
    _check_mask("masked_fill", mask)
    if isinstance(value, Tensor):
        if value._array.ndim:
            raise ShapeError(
                f"masked_fill only supports a 0-dimensional value tensor, but got {value._array.ndim} dimensions"
            )
        value = value.to(input)
    return fill_where(input, mask, value)


def _check_mask(op: str, mask: Any) -> None:
    if not isinstance(mask, Tensor):
        raise ArgumentTypeError(f"{op}(): argument 'mask' must be Tensor, not {type(mask).__name__}")
    if mask._array.dtype != bool:
        raise DTypeError(f"{op}: expected a bool mask, got {mask.dtype}; compare, or convert with .bool()")


@tensor_method
def masked_select(input: Tensor, mask: Tensor) -> Tensor:
    """The elements where ``mask`` is True, in one dimension; the two are broadcast."""
    _check_mask("masked_select", mask)
    shape = broadcast_shapes(input._array.shape, mask._array.shape)
    everywhere = np.broadcast_to(mask._array, shape)
    return reshape(expand(input, shape)[everywhere], (int(everywhere.sum()),))


@tensor_method
def masked_scatter(input: Tensor, mask: Tensor, source: Tensor) -> Tensor:
    """A copy of ``input`` with the elements of ``source``, one after another, where ``mask`` is True."""
    _check_mask("masked_scatter", mask)
    if input._array.dtype != source._array.dtype:
        raise DTypeError(
            f"masked_scatter: expected self and source to have same dtypes but got {input.dtype} and {source.dtype}"
        )
    shape = broadcast_shapes(input._array.shape, mask._array.shape)
    places = np.flatnonzero(np.broadcast_to(mask._array, shape))
    if len(places) > source._array.size:
        raise GraphError(
            f"masked_scatter: source has {source._array.size} elements, fewer than the mask's {len(places)} ones"
        )
    chosen = reshape(source, (source._array.size,))[: len(places)]
    flat = reshape(expand(input, shape).clone(), (int(np.prod(shape, dtype=int)),))
    return reshape(write_at(flat, chosen, as_index(places, flat.shape)), shape)


@tensor_method
def argwhere(input: Tensor) -> Tensor:
    """The indices of the elements that aren't zero, one a row."""
    return wrap(np.argwhere(input._array))


@tensor_method
def nonzero(input: Tensor, *, as_tuple: bool = False) -> Any:
    """The indices of the elements that aren't zero: one a row, or ``as_tuple`` one tensor a dimension."""
    if not as_tuple:
        return argwhere(input)
    return tuple(wrap(places) for places in np.nonzero(np.atleast_1d(input._array)))


for _function in (masked_fill, masked_scatter):
    inplace_method(_function, _function.__name__ + "_")
