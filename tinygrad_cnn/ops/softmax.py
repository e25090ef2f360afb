"""Softmax and its logarithm."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.autograd.tensor import check_dim
from tinygrad_cnn.backend import Array, as_dtype
from tinygrad_cnn.errors import IndexRangeError, UnsupportedDTypeError
from tinygrad_cnn.kernels import activation as kernels
from tinygrad_cnn.ops.reduce import sum as sum_
from tinygrad_cnn.ops.unary import exp

__all__ = ["log_softmax", "softmax"]


def _check_softmax(op: Op) -> None:
    @op.check
    def _(input: Any, dim: Any, dtype: Any) -> None:
        check_dim(dim, input.ndim, op.name)
        if dtype is None and input.dtype.kind != "f":
            raise UnsupportedDTypeError(
                f"{op.name}: not implemented for {input.dtype} inputs; pass dtype, or use .float()"
            )

    op.refuses(UnsupportedDTypeError, "not implemented for int64", input=np.ones(2, int), dim=0)
    op.refuses(IndexRangeError, "Dimension out of range", input=(2,), dim=1)


def _in_dtype(input: Array, dtype: Any) -> Array:
    return input if dtype is None else input.astype(as_dtype(dtype).dtype, copy=False)


def _softmax_samples(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    dim = draw.dim(len(shape))
    far: Any = 0.0  # apart: exp of one row may be 0 beside another's
    if shape and draw.integer(0, 3) == 3:
        far = 800.0 * draw.integers(tuple([1 if d == dim % len(shape) else n for d, n in enumerate(shape)]), -1, 1)
    return dict(input=np.asarray(draw.array(shape, -2, 2) + far), dim=dim)


def _along(function: Any) -> Any:
    """``function`` of a list of numbers, along a dimension: a reference."""

    def reference(input: Array, dim: int, dtype: Any = None) -> Array:
        return np.apply_along_axis(function, dim, input) if input.ndim else np.asarray(function([float(input)])[0])

    return reference


@differentiable(method=True)
def softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """exp(x), divided by its sum along ``dim``; ``dtype``: compute in that dtype.

    >>> import tinygrad_cnn as tg
    >>> tg.softmax(tg.tensor([0.0, 0.0]), dim=0)
    tensor([0.5000, 0.5000])
    """
    return kernels.softmax(_in_dtype(input, dtype), dim)


def _softmax_gradient(g: Any, out: Any, dim: int) -> Any:
    weighted = g * out
    return weighted - out * sum_(weighted, dim, True)


softmax.gradients(input=_softmax_gradient)
softmax.samples(_softmax_samples)
softmax.reference(_along(lambda xs: [1 / sum(math.exp(y - x) for y in xs) for x in xs]))
_check_softmax(softmax)


@differentiable(method=True)
def log_softmax(input: Array, dim: int, dtype: Any = None) -> Array:
    """The logarithm of ``softmax(input, dim)``, exact also where that is close to 0."""
    return kernels.log_softmax(_in_dtype(input, dtype), dim)


log_softmax.gradients(input=lambda g, out, dim: g - exp(out) * sum_(g, dim, True))
log_softmax.samples(_softmax_samples)
log_softmax.reference(_along(lambda xs: [-math.log(sum(math.exp(y - x) for y in xs)) for x in xs]))
_check_softmax(log_softmax)
