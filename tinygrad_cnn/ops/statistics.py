"""Variance and standard deviation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import Array, Number
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError
from tinygrad_cnn.kernels import reduce as kernels
from tinygrad_cnn.ops._samples import reduction
from tinygrad_cnn.ops.reduce import Dims, axes_of, count_of, mean, reduce_by_loop, spread

__all__ = ["std", "std_mean", "var", "var_mean"]


def _variance(input: Array, dim: Dims, keepdim: bool, correction: Number, op: str) -> Array:
    if input.dtype.kind != "f":
        raise DTypeError(f"{op}: std and var only support floating point dtypes; convert with .float()")
    axes = axes_of(dim, input.ndim, keepdim, op)
    count = math.prod([input.shape[d] for d in axes])
    centered = input - kernels.total(input, axes, keepdims=True) / max(count, 1)
    centered *= centered
    return np.asarray(kernels.total(centered, axes, keepdim) / input.dtype.type(max(count - correction, 0)))


@differentiable(name="var")
def variance(input: Array, dim: Dims = None, keepdim: bool = False, correction: Number = 1) -> Array:
    """The mean squared distance from the mean, dividing by the number of elements minus ``correction``."""
    return _variance(input, dim, keepdim, correction, "var")


def _variance_gradient(g: Any, input: Any, dim: Dims, keepdim: bool, correction: Number) -> Any:
    shape = input.shape
    scale = 2.0 / max(count_of(shape, dim) - correction, 0) if count_of(shape, dim) > correction else math.nan
    return spread(g * scale, shape, dim, keepdim) * (input - mean(input, dim, True))


variance.gradients(input=_variance_gradient)


@differentiable(name="std")
def deviation(input: Array, dim: Dims = None, keepdim: bool = False, correction: Number = 1) -> Array:
    """The square root of the variance; where that is 0, so is its gradient."""
    return np.asarray(np.sqrt(_variance(input, dim, keepdim, correction, "std")))


deviation.gradients(
    input=lambda g, input, dim, keepdim, correction, out: _variance_gradient(
        g * (out != 0) / (2 * out + (out == 0)), input, dim, keepdim, correction
    )
)


def _sample(draw: Any) -> dict[str, Any]:
    arguments = reduction(distinct=True)(draw)
    shape = (2, *arguments["input"].shape)  # at least two elements, so that the variance isn't 0 / 0
    if arguments["dim"] is not None:
        arguments["dim"] = draw.choice([0, (0, -1)]) if len(shape) > 1 else 0
    return {**arguments, "input": draw.distinct(shape), "correction": draw.choice([1, 0])}


variance.samples(_sample)
deviation.samples(_sample)


@variance.reference
def _(input: Array, dim: Dims = None, keepdim: bool = False, correction: Number = 1) -> Array:
    import statistics  # for this definition alone: it takes longer to import than the rest of the file

    by_rule = statistics.variance if correction else statistics.pvariance
    return reduce_by_loop(input, dim, keepdim, lambda values: by_rule(list(map(float, values))))


@deviation.reference
def _(input: Array, dim: Dims = None, keepdim: bool = False, correction: Number = 1) -> Array:
    import statistics  # as above

    by_rule = statistics.stdev if correction else statistics.pstdev
    return reduce_by_loop(input, dim, keepdim, lambda values: by_rule(list(map(float, values))))


# -------------------------------------------------------------------------------------- PyTorch's forms
def _settings(op: str, dim: Any, unbiased: Any, correction: Any) -> tuple[Dims, Number]:
    """``dim`` and ``correction`` of a call that may have given ``unbiased`` instead, even in the place of ``dim``."""
    if isinstance(dim, bool):
        dim, unbiased = None, dim
    if unbiased is None:
        return dim, 1 if correction is None else correction
    if correction is not None:
        raise ArgumentTypeError(f"{op}: give unbiased or correction, not both")
    return dim, int(unbiased)


@tensor_method
@numpy_names
def var(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> Any:
    """The variance over some dimensions, or over all: unbiased (``correction=1``) unless told otherwise.

    ``var(dim, unbiased, keepdim)``, ``var(unbiased)`` and ``var(dim, correction=0)`` are PyTorch's forms.

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0, 3.0])
    >>> tg.var(x), tg.var(x, correction=0)
    (tensor(1.), tensor(0.6667))
    """
    dim, correction = _settings("var", dim, unbiased, correction)
    return variance(input, dim, keepdim, correction)


@tensor_method
@numpy_names
def std(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> Any:
    """The standard deviation over some dimensions, or over all, with the same forms as ``var``."""
    dim, correction = _settings("std", dim, unbiased, correction)
    return deviation(input, dim, keepdim, correction)


@numpy_names
def var_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> tuple[Any, Any]:
    """The variance and the mean, with the same forms as ``var``."""
    dim, correction = _settings("var_mean", dim, unbiased, correction)
    return variance(input, dim, keepdim, correction), mean(input, dim, keepdim)


@numpy_names
def std_mean(
    input: Any,
    dim: Any = None,
    unbiased: bool | None = None,
    keepdim: bool = False,
    *,
    correction: Number | None = None,
) -> tuple[Any, Any]:
    """The standard deviation and the mean, with the same forms as ``var``."""
    dim, correction = _settings("std_mean", dim, unbiased, correction)
    return deviation(input, dim, keepdim, correction), mean(input, dim, keepdim)
