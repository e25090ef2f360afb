"""Activation functions. Slopes at kinks, and for nan, are PyTorch's."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import DivisionError, DTypeError, ShapeError, UnsupportedDTypeError
from tinygrad_cnn.kernels import activation as kernels
from tinygrad_cnn.kernels.elementwise import in_parts, whole
from tinygrad_cnn.kernels.select import clip, keep as keep_array, select
from tinygrad_cnn.ops._samples import or_defaults, or_integers, unary
from tinygrad_cnn.ops.elementwise import choose, keep, keep_nonzero, zero
from tinygrad_cnn.ops.random import draw_uniform
from tinygrad_cnn.ops.shape import reshape
from tinygrad_cnn.ops.unary import erf

__all__ = [
    "celu",
    "hardshrink",
    "prelu",
    "relu",
    "relu_",
    "rrelu",
    "selu",
    "sigmoid",
    "sigmoid_",
    "tanh",
    "tanh_",
    "threshold",
]


def _refuse(op: Op, kinds: str, error: type[Exception], **settings: Any) -> None:
    """Declare that ``op`` takes no input whose dtype is of these kinds (b: bool, iu: integers)."""
    for kind in kinds:
        op.refuses(error, f"{op.name}: not implemented for", input=np.ones(2, f"{kind}1"), **settings)

    @op.check
    def _(input: Any, *settings: Any, **more: Any) -> None:
        if isinstance(input, np.ndarray) and input.dtype.kind in kinds:
            raise error(f"{op.name}: not implemented for {input.dtype} inputs; convert with .float()")


# ------------------------------------------------------------------------------------------------ rectifiers
@differentiable(elementwise="arithmetic", method=True, inplace=True)
def relu(input: Array) -> Array:
    """``max(x, 0)``; its slope at 0 is 0.

    >>> import tinygrad_cnn as tg
    >>> tg.relu(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """
    return np.maximum(input, 0) if input.dtype.kind != "f" else clip(input, 0.0, math.inf)


relu.gradients(input=whole(lambda g, out: keep_nonzero(g, out)))
relu.overwrites_gradient = True
relu.samples(or_integers(unary(away_from=(0.0,))))
relu.reference(np.vectorize(lambda x: x if x > 0 else 0.0))
_refuse(relu, "b", DTypeError)


@differentiable(elementwise="arithmetic")
def hardtanh(input: Array, min_val: float = -1.0, max_val: float = 1.0) -> Array:
    """Each element brought into [min_val, max_val]; unlike that of clamp, its slope at the bounds is 0."""
    if input.dtype.kind != "f":
        min_val, max_val = int(min_val), int(max_val)
    return clip(input, min_val, max_val)


hardtanh.gradients(
    input=lambda g, input, min_val, max_val: keep(g, (input > min_val) & (input < max_val)),
)
hardtanh.overwrites_gradient = True
hardtanh.samples(or_defaults(unary(-2, 2, (-1.0, -0.5, 1.0), min_val=-0.5, max_val=1.0), "min_val", "max_val"))
hardtanh.reference(np.vectorize(lambda x, min_val=-1.0, max_val=1.0: min(max(x, min_val), max_val)))
_refuse(hardtanh, "b", DTypeError)


@differentiable(elementwise="arithmetic")
def leaky_relu(input: Array, negative_slope: float = 0.01) -> Array:
    """x where x > 0, ``negative_slope * x`` elsewhere."""
    return kernels.leaky_relu(input, negative_slope)


@differentiable(elementwise="float")
def leaky_relu_grad(input: Array, other: Array, negative_slope: float) -> Array:
    """``input`` where ``other`` > 0, ``negative_slope * input`` elsewhere."""
    return kernels.leaky_relu_grad(input, other, negative_slope)


leaky_relu.gradients(input=whole(lambda g, input, negative_slope: leaky_relu_grad(g, input, negative_slope)))
leaky_relu.overwrites_gradient = True
leaky_relu_grad.gradients(
    input=lambda g, other, negative_slope: leaky_relu_grad(g, other, negative_slope), other=lambda g: zero(g)
)
leaky_relu_grad.exempt(nan="its slope at NaN is that of the negative side, as in PyTorch")
leaky_relu_grad.reference(np.vectorize(lambda g, x, slope: g if x > 0 else slope * g, otypes=[float]))


@leaky_relu_grad.samples
def _(draw: Any) -> dict[str, Any]:
    shape, slope = draw.shape(), draw.choice([0.01, 0.0, 1.5, -0.5])
    return dict(input=draw.array(shape), other=draw.array(shape, away_from=(0.0,)), negative_slope=slope)


leaky_relu.samples(
    or_defaults(
        lambda draw: dict(unary(away_from=(0.0,))(draw), negative_slope=draw.choice([0.01, 0.0, 1.5, -0.5])),
        "negative_slope",
    )
)
leaky_relu.reference(np.vectorize(lambda x, negative_slope=0.01: x if x > 0 else negative_slope * x))
_refuse(leaky_relu, "biu", UnsupportedDTypeError)


@differentiable(elementwise="arithmetic", grad_name="PreluKernelBackward0")
@in_parts
def prelu_kernel(input: Array, weight: Array) -> Array:
    """x where x > 0, ``weight * x`` elsewhere, with a weight that broadcasts."""
    return select(np.greater(input, 0), input, np.multiply(input, weight))


prelu_kernel.gradients(
    input=lambda g, input, weight: choose(input > 0, g, g * weight),
    weight=lambda g, input: keep(g * input, (input > 0) == 0),
)
prelu_kernel.reference(np.vectorize(lambda x, weight: x if x > 0 else weight * x))


@prelu_kernel.samples
def _(draw: Any) -> dict[str, Any]:
    shapes = draw.broadcastable_shapes(2)
    return dict(input=draw.array(shapes[0], away_from=(0.0,)), weight=draw.array(shapes[1]))


@tensor_method
def prelu(input: Any, weight: Any) -> Any:
    """x where x > 0, ``weight * x`` elsewhere, with one weight, or one a channel (dimension 1) (He et al. 2015)."""
    if weight.ndim > 1:
        raise ShapeError(f"prelu: Expected `weight` to be a scalar or 1D tensor, but got: ndim = {weight.ndim}")
    if input.dtype != weight.dtype:
        raise DTypeError(f"prelu: Type promoting not supported. Got {input.dtype} and {weight.dtype}")
    count, channels = weight.numel(), input.shape[1] if input.ndim > 1 else 1
    if count not in (1, channels):
        raise ShapeError(
            f"prelu: Mismatch of parameter numbers and input channel size. Found parameter numbers = {count} and "
            f"channel size = {channels}."
        )
    if input.ndim > 1:
        weight = reshape(weight, (count,) + (1,) * (input.ndim - 2))
    return prelu_kernel(input, reshape(weight, ()) if input.ndim == 0 else weight)


def rrelu(input: Any, lower: float = 1.0 / 8, upper: float = 1.0 / 3, training: bool = False) -> Any:
    """Leaky relu with a slope drawn from [lower, upper] for each element, or their mean out of training.

    Xu et al., "Empirical evaluation of rectified activations in convolutional network" (2015).
    """
    if lower > upper:
        raise DTypeError(f"rrelu: Lower bound should be less than or equal to the upper bound, got {lower}, {upper}")
    if not training:
        return leaky_relu(input, (lower + upper) / 2)
    slopes = draw_uniform(input._array.shape, input._array.dtype) * (upper - lower) + lower
    return prelu_kernel(input, slopes.astype(input._array.dtype, copy=False))


# ------------------------------------------------------------------------------------- exponential units
@differentiable(elementwise="arithmetic", name="elu")
def scaled_elu(input: Array, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> Array:
    """``scale * x`` where x > 0, ``scale * alpha * (exp(input_scale * x) - 1)`` elsewhere."""
    return kernels.elu(input, alpha * scale, scale, input_scale)


scaled_elu.gradients(
    input=lambda g, input, out, alpha, scale, input_scale: choose(
        input > 0, g * scale, g * ((out + alpha * scale) * input_scale)
    )
)


def _scaled_elu(input: float, alpha: float = 1.0, scale: float = 1.0, input_scale: float = 1.0) -> float:
    return scale * input if input > 0 else scale * alpha * (math.exp(input_scale * input) - 1)


scaled_elu.reference(np.vectorize(_scaled_elu, otypes=[float]))
_refuse(scaled_elu, "biu", UnsupportedDTypeError)


@scaled_elu.samples
def _(draw: Any) -> dict[str, Any]:
    scales = draw.choice([(1.0, 1.0, 1.0), (2.0, 1.5, 1.0), (0.5, 1.0, 2.0), (-1.0, 1.0, 1.0)])
    return dict(
        input=draw.array(draw.shape(), -2, 2, away_from=(0.0,)), alpha=scales[0], scale=scales[1], input_scale=scales[2]
    )


def elu(input: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al. 2015)."""
    return scaled_elu(input, alpha)


def selu(input: Any) -> Any:
    """The scaled exponential linear unit, which keeps mean 0 and variance 1 (Klambauer et al. 2017)."""
    return scaled_elu(input, 1.6732632423543772848170429916717, 1.0507009873554804934193349852946)


def celu(input: Any, alpha: float = 1.0) -> Any:
    """x where x > 0, ``alpha * (exp(x / alpha) - 1)`` elsewhere (Barron 2017): a smooth ELU."""
    if alpha == 0:
        raise DivisionError("celu: ZeroDivisionError: alpha cannot be 0 for CELU")
    return scaled_elu(input, alpha, 1.0, 1.0 / alpha)


# ------------------------------------------------------------------------------------- sigmoid and its kin
@differentiable(elementwise="float", method=True, inplace=True)
def sigmoid(input: Array) -> Array:
    """``1 / (1 + exp(-x))``."""
    return kernels.sigmoid(input)


sigmoid.gradients(input=lambda g, out: g * ((1 - out) * out))
sigmoid.samples(unary(-5, 5))
sigmoid.reference(np.vectorize(lambda x: 1 / (1 + math.exp(-x))))


@differentiable(elementwise="float", method=True, inplace=True)
@in_parts
def tanh(input: Array) -> Array:
    """The hyperbolic tangent."""
    return np.tanh(input)


tanh.gradients(input=lambda g, out: g * (1 - out * out))
tanh.samples(unary(-3, 3))
tanh.reference(np.vectorize(math.tanh))


@differentiable(elementwise="arithmetic", grad_name="LogSigmoidBackward0")
@in_parts
def logsigmoid(input: Array) -> Array:
    """``log(sigmoid(x))`` without overflow."""
    return input.clip(None, 0) - kernels.log1p_exp(-np.abs(input))


logsigmoid.gradients(input=lambda g, input: g * sigmoid(-input))
logsigmoid.samples(unary(-5, 5))
logsigmoid.reference(np.vectorize(lambda x: -math.log(1 + math.exp(-x))))
_refuse(logsigmoid, "biu", UnsupportedDTypeError)


@differentiable(elementwise="arithmetic")
def softplus(input: Array, beta: float = 1.0, threshold: float = 20.0) -> Array:
    """``log(1 + exp(beta * x)) / beta``, a smooth relu; x itself where ``beta * x`` > ``threshold``."""
    return kernels.softplus(input, beta, threshold)


softplus.gradients(
    input=lambda g, input, beta, threshold: choose(input * beta > threshold, g, g * sigmoid(input * beta))
)
softplus.samples(
    or_defaults(
        lambda draw: dict(unary(-4, 4, (1.0,))(draw), beta=2.0, threshold=draw.choice([20.0, 2.0])), "beta", "threshold"
    )
)
softplus.reference(
    np.vectorize(
        lambda x, beta=1.0, threshold=20.0: x if x * beta > threshold else math.log(1 + math.exp(x * beta)) / beta
    )
)
_refuse(softplus, "biu", UnsupportedDTypeError)


def _by_slope(op: Op) -> None:
    """Let backward multiply with the slopes that the forward pass has computed."""
    op.fused_gradients(("input",), lambda g, slope: (kernels.times_slope(g, slope),))
    op.overwrites_gradient = True


@differentiable(elementwise="arithmetic", residuals=("slope",))
def silu(input: Array, *, recording: bool = False) -> tuple[Array, Array | None]:
    """``x * sigmoid(x)``, also known as swish (Elfwing et al. 2017; Ramachandran et al. 2017)."""
    return kernels.with_slope(kernels.silu, input, recording)


_by_slope(silu)
silu.composite(lambda input: input * sigmoid(input))
silu.samples(unary(-4, 4))
silu.reference(np.vectorize(lambda x: x / (1 + math.exp(-x))))
_refuse(silu, "biu", UnsupportedDTypeError)


@differentiable(elementwise="arithmetic", residuals=("slope",))
def mish(input: Array, *, recording: bool = False) -> tuple[Array, Array | None]:
    """``x * tanh(softplus(x))`` (Misra 2019)."""
    return kernels.with_slope(kernels.mish, input, recording)


_by_slope(mish)
mish.composite(lambda input: input * tanh(softplus(input)))
mish.samples(unary(-4, 4))
mish.reference(np.vectorize(lambda x: x * math.tanh(math.log(1 + math.exp(x)))))
_refuse(mish, "biu", UnsupportedDTypeError)


@differentiable(elementwise="arithmetic", residuals=("slope",))
def gelu(input: Array, *, approximate: str = "none", recording: bool = False) -> tuple[Array, Array | None]:
    """x times the normal distribution's cumulative probability at x, or its "tanh" approximation.

    Hendrycks and Gimpel, "Gaussian error linear units" (2016).
    """
    return kernels.with_slope(kernels.gelu if approximate == "none" else kernels.tanh_gelu, input, recording)


_by_slope(gelu)


@gelu.composite
def _(input: Any, *, approximate: str) -> Any:
    if approximate == "none":
        return input * ((erf(input * math.sqrt(0.5)) + 1) * 0.5)
    return input * ((tanh((input * input * 0.044715 + 1) * input * math.sqrt(2 / math.pi)) + 1) * 0.5)


gelu.samples(lambda draw: dict(unary(-3, 3)(draw), approximate=draw.choice(["none", "tanh"])))


@gelu.reference
@np.vectorize
def _(x: float, approximate: str = "none") -> float:
    if approximate == "tanh":
        return x / 2 * (1 + math.tanh(math.sqrt(2 / math.pi) * (x + 0.044715 * x**3)))
    return x / 2 * math.erfc(-x / math.sqrt(2))


@gelu.check
def _(input: Any, *, approximate: str) -> None:
    if approximate not in ("none", "tanh"):
        raise DTypeError(f"gelu: approximate argument must be either none or tanh, got {approximate!r}")
    if isinstance(input, np.ndarray) and input.dtype.kind != "f":
        raise UnsupportedDTypeError(f"gelu: not implemented for {input.dtype} inputs; convert with .float()")


gelu.refuses(DTypeError, "approximate argument must be either none or tanh", input=(2,), approximate="erf")
gelu.refuses(UnsupportedDTypeError, "gelu: ", input=np.ones(2, int))


# ------------------------------------------------------------------------------- piecewise linear and quadratic
@differentiable(elementwise="arithmetic")
@in_parts
def hardsigmoid(input: Array) -> Array:
    """``x / 6 + 1 / 2`` brought into [0, 1]: a sigmoid of straight lines."""
    return clip(input + 3, 0.0, 6.0) / 6


hardsigmoid.gradients(input=lambda g, input: keep(g / 6, (input > -3) & (input < 3)))
hardsigmoid.samples(unary(-5, 5, (-3.0, 3.0)))
hardsigmoid.reference(np.vectorize(lambda x: 0.0 if x < -3 else 1.0 if x > 3 else x / 6 + 0.5, otypes=[float]))
_refuse(hardsigmoid, "biu", UnsupportedDTypeError)


@differentiable(elementwise="arithmetic")
def hardswish(input: Array) -> Array:
    """``x * hardsigmoid(x)`` (Howard et al., "Searching for MobileNetV3", 2019)."""
    return kernels.hardswish(input)


@differentiable(elementwise="float")
def hardswish_grad(input: Array, other: Array) -> Array:
    """``input`` times the slope of hardswish at ``other``."""
    return kernels.hardswish_grad(input, other)


hardswish.gradients(input=whole(lambda g, input: hardswish_grad(g, input)))
hardswish_grad.gradients(
    input=lambda g, other: hardswish_grad(g, other), other=lambda g, input, other: keep(g * input / 3, abs(other) < 3)
)
hardswish_grad.reference(
    np.vectorize(lambda g, x: 0.0 if x < -3 else g if x > 3 else g * (x / 3 + 0.5), otypes=[float])
)


@hardswish_grad.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), other=draw.array(shape, -5, 5, away_from=(-3.0, 3.0)))


hardswish.samples(unary(-5, 5, (-3.0, 3.0)))
hardswish.reference(np.vectorize(lambda x: 0.0 if x < -3 else x if x > 3 else x * (x / 6 + 0.5), otypes=[float]))
_refuse(hardswish, "biu", UnsupportedDTypeError)


@differentiable(elementwise="arithmetic", method=True)
@in_parts
def hardshrink(input: Array, lambd: float = 0.5) -> Array:
    """x where it is outside of [-lambd, lambd], 0 inside."""
    return keep_array(input, ~((input >= -lambd) & (input <= lambd)))


@differentiable(elementwise="arithmetic")
@in_parts
def softshrink(input: Array, lambd: float = 0.5) -> Array:
    """x brought nearer to 0 by ``lambd``; 0 within [-lambd, lambd]."""
    return np.subtract(input, np.clip(input, -lambd, lambd))


for _op in (hardshrink, softshrink):
    _op.gradients(input=lambda g, input, lambd: keep(g, (input < -lambd) | (input > lambd)))
    _op.samples(or_defaults(unary(-2, 2, (-0.5, 0.5), lambd=0.5), "lambd"))
    _refuse(_op, "biu", UnsupportedDTypeError)
hardshrink.reference(np.vectorize(lambda x, lambd=0.5: x if abs(x) > lambd else 0.0))
softshrink.reference(np.vectorize(lambda x, lambd=0.5: math.copysign(max(abs(x) - lambd, 0.0), x)))


@differentiable(elementwise="arithmetic")
@in_parts
def threshold(input: Array, threshold: float, value: float) -> Array:
    """x where x > threshold, ``value`` elsewhere."""
    if input.dtype.kind != "f":
        threshold, value = int(threshold), int(value)
    return select(np.less_equal(input, threshold), value, input)


threshold.gradients(input=lambda g, input, threshold: keep(g, (input <= threshold) == 0))
threshold.samples(unary(-2, 2, (0.5,), threshold=0.5, value=-3.0))
_refuse(threshold, "b", UnsupportedDTypeError, threshold=0, value=0)
threshold.reference(np.vectorize(lambda x, threshold, value: x if x > threshold else value))


def _in_place(name: str) -> Any:
    def function(input: Tensor) -> Any:
        return getattr(input, name)()

    function.__name__, function.__doc__ = name, f"The method ``{name}`` of ``input``, as a function."
    return function


relu_, sigmoid_, tanh_ = (_in_place(name) for name in ("relu_", "sigmoid_", "tanh_"))
