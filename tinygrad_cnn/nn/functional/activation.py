"""Activations in PyTorch's forms, with its ``inplace`` arguments."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, check_dim, wrap
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.ops import activation as ops
from tinygrad_cnn.ops.activation import gelu, hardshrink, logsigmoid, prelu, sigmoid, softplus, tanh
from tinygrad_cnn.ops.inplace import assign
from tinygrad_cnn.ops.join import chunk
from tinygrad_cnn.ops.random import draw_uniform
from tinygrad_cnn.ops.softmax import log_softmax as log_softmax_op, softmax as softmax_op

__all__ = [
    "celu",
    "celu_",
    "elu",
    "elu_",
    "gelu",
    "glu",
    "gumbel_softmax",
    "hardshrink",
    "hardsigmoid",
    "hardswish",
    "hardtanh",
    "hardtanh_",
    "leaky_relu",
    "leaky_relu_",
    "log_softmax",
    "logsigmoid",
    "mish",
    "prelu",
    "relu",
    "relu6",
    "relu_",
    "rrelu",
    "rrelu_",
    "selu",
    "selu_",
    "sigmoid",
    "silu",
    "softmax",
    "softmin",
    "softplus",
    "softshrink",
    "softsign",
    "tanh",
    "tanhshrink",
    "threshold",
    "threshold_",
]


def _run(function: Callable[..., Any], inplace: bool, input: Tensor, *settings: Any) -> Tensor:
    """``function(input, *settings)``, given to ``input`` itself if ``inplace``."""
    if inplace:
        return assign(input, function, function.__name__ + "_", settings, {})
    return function(input, *settings)


# ------------------------------------------------------------------------------------------ rectifiers
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """``max(x, 0)``; its slope at 0 is 0."""
    return _run(ops.relu, inplace, input)


def relu6(input: Tensor, inplace: bool = False) -> Tensor:
    """x brought into [0, 6]."""
    return _run(ops.hardtanh, inplace, input, 0.0, 6.0)


def hardtanh(input: Tensor, min_val: float = -1.0, max_val: float = 1.0, inplace: bool = False) -> Tensor:
    """x brought into [min_val, max_val]."""
    if min_val > max_val:
        raise ArgumentError(f"hardtanh: min_val cannot be greater than max_val, got {min_val} and {max_val}")
    return _run(ops.hardtanh, inplace, input, min_val, max_val)


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, ``negative_slope * x`` elsewhere."""
    return _run(ops.leaky_relu, inplace, input, negative_slope)


def rrelu(
    input: Tensor, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False, inplace: bool = False
) -> Tensor:
    """Leaky relu with a slope drawn from [lower, upper] for each element, or their mean out of training."""
    return _run(ops.rrelu, inplace, input, lower, upper, training)


def threshold(input: Tensor, threshold: float, value: float, inplace: bool = False) -> Tensor:
    """x where x > threshold, ``value`` elsewhere."""
    return _run(ops.threshold, inplace, input, threshold, value)


# --------------------------------------------------------------------------------------- exponential units
def elu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, ``alpha * (exp(x) - 1)`` elsewhere."""
    return _run(ops.elu, inplace, input, alpha)


def selu(input: Tensor, inplace: bool = False) -> Tensor:
    """The scaled exponential linear unit."""
    return _run(ops.selu, inplace, input)


def celu(input: Tensor, alpha: float = 1.0, inplace: bool = False) -> Tensor:
    """x where x > 0, ``alpha * (exp(x / alpha) - 1)`` elsewhere."""
    return _run(ops.celu, inplace, input, alpha)


relu_, leaky_relu_, rrelu_, elu_, selu_, celu_, hardtanh_, threshold_ = (
    functools.partial(function, inplace=True)
    for function in (relu, leaky_relu, rrelu, elu, selu, celu, hardtanh, threshold)
)


# ----------------------------------------------------------------------------------- sigmoids and shrinkage
def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * sigmoid(x)``, also known as swish."""
    return _run(ops.silu, inplace, input)


def mish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * tanh(softplus(x))``."""
    return _run(ops.mish, inplace, input)


def hardsigmoid(input: Tensor, inplace: bool = False) -> Tensor:
    """``x / 6 + 1 / 2`` brought into [0, 1]."""
    return _run(ops.hardsigmoid, inplace, input)


def hardswish(input: Tensor, inplace: bool = False) -> Tensor:
    """``x * hardsigmoid(x)``."""
    return _run(ops.hardswish, inplace, input)


def softshrink(input: Tensor, lambd: float = 0.5) -> Tensor:
    """x brought nearer to 0 by ``lambd``; 0 within [-lambd, lambd]."""
    if lambd < 0:
        raise DTypeError(f"softshrink: lambda must not be negative, but found {lambd}")
    return ops.softshrink(input, lambd)


def softsign(input: Tensor) -> Tensor:
    """``x / (1 + |x|)``."""
    return input / (1 + input.abs())


def tanhshrink(input: Tensor) -> Tensor:
    """``x - tanh(x)``."""
    return input - tanh(input)


# --------------------------------------------------------------------------------------- along a dimension
def _implicit_dim(name: str, input: Tensor, dim: int | None, stacklevel: int) -> int:
    """``dim``, or PyTorch's deprecated choice of one."""
    if dim is not None:
        return dim
    warnings.warn(
        f"Implicit dimension choice for {name} has been deprecated. Change the call to include dim=X as an argument.",
        stacklevel=stacklevel + 1,  # there is a frame of ``explained`` that PyTorch doesn't have
    )
    return 0 if input.ndim in (0, 1, 3) else 1


def softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """exp(x), divided by its sum along ``dim``; ``dtype``: compute in that dtype."""
    return softmax_op(input, _implicit_dim("softmax", input, dim, _stacklevel), dtype)


def softmin(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """``softmax(-x)``."""
    return softmax_op(-input, _implicit_dim("softmin", input, dim, _stacklevel), dtype)


def log_softmax(input: Tensor, dim: int | None = None, _stacklevel: int = 3, dtype: Any = None) -> Tensor:
    """The logarithm of softmax."""
    return log_softmax_op(input, _implicit_dim("log_softmax", input, dim, _stacklevel), dtype)


def gumbel_softmax(logits: Tensor, tau: float = 1, hard: bool = False, eps: float = 1e-10, dim: int = -1) -> Tensor:
    """A sample from the Gumbel-softmax distribution; ``hard``: one-hot, with the gradient of the soft sample.

    Jang et al., "Categorical reparameterization with Gumbel-softmax" (2016).
    """
    uniform = np.maximum(draw_uniform(logits._array.shape, logits._array.dtype), np.finfo(logits._array.dtype).tiny)
    noise = wrap(np.asarray(-np.log(-np.log(uniform)), logits._array.dtype))
    soft: Tensor = softmax_op((logits + noise) / tau, dim)
    if not hard:
        return soft
    axis = check_dim(dim, logits._array.ndim, "gumbel_softmax")
    one_hot = np.zeros_like(soft._array)
    np.put_along_axis(one_hot, soft._array.argmax(axis, keepdims=True), 1, axis)
    return wrap(one_hot) - soft.detach() + soft


def glu(input: Tensor, dim: int = -1) -> Tensor:
    """The first half along ``dim``, times the sigmoid of the second half (Dauphin et al. 2016)."""
    axis = check_dim(dim, input._array.ndim, "glu")
    if input._array.ndim == 0:
        raise ShapeError("glu: does not support 0-dimensional tensors")
    if input._array.shape[axis] % 2:
        raise ShapeError(f"glu: Halving dimension must be even, but dimension {axis} is size {input.shape[axis]}")
    first, second = chunk(input, 2, axis)
    return first * sigmoid(second)
