"""Functions of two and three variables, element by element: powers, extremes, bounds, blends."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import inplace_method, tensor_method
from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.backend import Array, Number
from tinygrad_cnn.errors import DTypeError, UnsupportedDTypeError
from tinygrad_cnn.kernels.elementwise import in_parts
from tinygrad_cnn.kernels.select import clip as clip_array, keep as keep_array
from tinygrad_cnn.ops._samples import binary, offset_integers, or_integers, or_numbers
from tinygrad_cnn.ops.elementwise import choose, is_bool, keep, mul, needs_tensors
from tinygrad_cnn.ops.unary import exp, log

__all__ = [
    "addcdiv",
    "addcmul",
    "arctan2",
    "atan2",
    "clamp",
    "clamp_max",
    "clamp_min",
    "clip",
    "fmax",
    "fmin",
    "hypot",
    "lerp",
    "logaddexp",
    "maximum",
    "minimum",
    "pow",
    "square",
    "xlogy",
]


# ------------------------------------------------------------------------------------------------ powers
def _integer_power(input: Any, exponent: Any) -> Array:
    """Integers to integer powers of either sign: only 1 and -1 have a power below 0 that is not 0."""
    if np.all(exponent >= 0):
        return np.power(input, exponent)
    inverse = np.where(np.abs(input) == 1, input ** (exponent & 1), 0)
    return np.where(exponent < 0, inverse, np.power(input, np.maximum(exponent, 0)))


@differentiable(
    elementwise="arithmetic",
    method=("pow", "__pow__"),
    inplace=("pow_", "__ipow__"),
    reflected="__rpow__",
    grad_name=lambda exponent: f"PowBackward{int(hasattr(exponent, 'shape'))}",
)
def pow(input: Array, exponent: Array) -> Array:
    """``input ** exponent``, elementwise with broadcasting.

    >>> import tinygrad_cnn as tg
    >>> tg.tensor([1.0, 2.0, 3.0]) ** 2
    tensor([1., 4., 9.])
    """
    if not isinstance(exponent, np.ndarray):
        if isinstance(exponent, bool):
            return input.copy() if exponent else np.ones_like(input)
        if exponent == 3:  # NumPy's own loop is fifty times slower
            return np.multiply(input, np.square(input))
        return input**exponent
    if exponent.dtype.kind != "f":
        return _integer_power(input, exponent)
    return np.power(input, exponent)


@pow.check
def _(input: Any, exponent: Any) -> None:
    if is_bool(input) and isinstance(exponent, np.ndarray) and is_bool(exponent):
        raise UnsupportedDTypeError("pow: expected numbers, got bools; convert with .int()")
    if isinstance(exponent, int) and exponent < 0 and isinstance(input, np.ndarray) and input.dtype.kind != "f":
        raise DTypeError(
            f"pow: Integers to negative integer powers are not allowed, got exponent {exponent}; convert with .float()"
        )


pow.refuses(UnsupportedDTypeError, "expected numbers, got bools", input=np.ones(2, bool), exponent=np.ones(2, bool))
pow.refuses(DTypeError, "Integers to negative integer powers", input=np.ones(2, int), exponent=-1)


def _pow_input(g: Any, input: Any, exponent: Any) -> Any:
    if not hasattr(exponent, "shape"):
        if exponent == 0:
            return keep(g, False)
        return g * (input * 2) if exponent == 2 else g * (pow(input, exponent - 1) * exponent)
    return choose(exponent == 0, 0.0, g * (exponent * pow(input, exponent - 1)))


def _pow_exponent(g: Any, input: Any, exponent: Any, out: Any) -> Any:
    if not hasattr(input, "shape"):
        if input > 0:
            return g * (out * math.log(input))
        if input != 0:
            return g * math.nan
        return g * choose(exponent < 0, -math.inf, keep(exponent, exponent != exponent))  # 0, or nan for nan
    return keep(g * (out * log(input)), ((input == 0) & (exponent >= 0)) == 0)


pow.gradients(input=_pow_input, exponent=_pow_exponent)


@pow.reference
@np.vectorize
def _(input: Any, exponent: Any) -> float:
    power = math.pow(input, exponent)
    whole = isinstance(input, np.integer) and isinstance(exponent, np.integer | int)
    return int(power) if whole else power  # towards zero, as integers divide


@pow.samples
def _(draw: Any) -> dict[str, Any]:
    pairs = binary((0.3, 2.0), (-2.0, 3.0), ("input", "exponent"))
    exponent = draw.choice([2, None, 3, None, 0, None, -1, 2.5, "whole", "of zero"])
    if exponent == "whole":
        a, b = draw.broadcastable_shapes(2)
        return dict(input=draw.choice([1, -1]) * draw.integers(a, 1, 3), exponent=draw.integers(b, -2, 3))
    if exponent == "of zero":
        return dict(input=draw.choice([0, 0.0]), exponent=draw.array(draw.shape(), 0.3, 2.0))
    return or_numbers(pairs, ("input",))(draw) if exponent is None else dict(pairs(draw), exponent=exponent)


@tensor_method
def square(input: Any) -> Any:
    """``input ** 2``."""
    return pow(input, 2)


inplace_method(square, "square_")


# ---------------------------------------------------------------------------------------------- extremes
def _extreme(name: str, doc: str, kernel: Any, first: Any, second: Any, reference: Any) -> Op:
    """The larger or smaller of two; ``first`` and ``second`` give each its part of the gradient."""

    kernel = in_parts(kernel)

    def forward(input: Array, other: Array) -> Any:
        return kernel(input, other)

    forward.__name__, forward.__doc__ = name, f"{doc} of two, elementwise with broadcasting."
    op = differentiable(elementwise="arithmetic", method=True)(forward)
    op.gradients(
        input=lambda g, input, other: first(g, input, other), other=lambda g, input, other: second(g, input, other)
    )
    op.samples(or_integers(_apart))
    op.reference(np.vectorize(reference))
    return op


def _apart(draw: Any) -> dict[str, Any]:
    """Two inputs, each element of the one well away from each of the other."""
    shapes = draw.broadcastable_shapes(2)
    return dict(input=offset_integers(draw, shapes[0], -3, 3, 0.0), other=offset_integers(draw, shapes[1], -3, 3, 0.5))


def _all_but(g: Any, loser: Any, tie: Any) -> Any:
    """``g``, halved at a tie, 0 where ``loser`` holds."""
    return choose(tie, g * 0.5, keep(g, loser == 0))


maximum = _extreme(
    "maximum",
    "The larger (nan, if one is nan)",
    np.maximum,
    lambda g, a, b: _all_but(g, a < b, a == b),
    lambda g, a, b: _all_but(g, b < a, a == b),
    max,
)
minimum = _extreme(
    "minimum",
    "The smaller (nan, if one is nan)",
    np.minimum,
    lambda g, a, b: _all_but(g, a > b, a == b),
    lambda g, a, b: _all_but(g, b > a, a == b),
    min,
)
fmax = _extreme(  # the first wins a tie
    "fmax",
    "The larger (the other, if one is nan)",
    np.fmax,
    lambda g, a, b: keep(g, (a >= b) | (b != b)),
    lambda g, a, b: keep(g, ((a >= b) | (b != b)) == 0),
    max,
)
fmin = _extreme(
    "fmin",
    "The smaller (the other, if one is nan)",
    np.fmin,
    lambda g, a, b: keep(g, (a <= b) | (b != b)),
    lambda g, a, b: keep(g, ((a <= b) | (b != b)) == 0),
    min,
)
for _op in (fmax, fmin):
    _op.exempt(nan="where one number is NaN it gives the other")


# ------------------------------------------------------------------------------------------------ bounds
@differentiable(
    elementwise="arithmetic",
    method=("clamp", "clip"),
    inplace=("clamp_", "clip_"),
    grad_name=lambda min: f"ClampBackward{int(not hasattr(min, 'shape'))}",
)
def clamp(input: Array, min: Array | None = None, max: Array | None = None) -> Array:
    """Bring each element into [min, max]; either bound may be None. Where min > max, the result is max.

    >>> import tinygrad_cnn as tg
    >>> tg.clamp(tg.tensor([-1.0, 0.5, 3.0]), 0, 1)
    tensor([0.0000, 0.5000, 1.0000])
    """
    if input.dtype.kind == "f" and not isinstance(min, np.ndarray) and not isinstance(max, np.ndarray):
        return clip_array(input, -math.inf if min is None else min, math.inf if max is None else max)
    out = input if min is None else np.maximum(input, min)
    return out if max is None else np.minimum(out, max)


clip = clamp


@clamp.check
def _(input: Any, min: Any, max: Any) -> None:
    if min is None and max is None:
        raise DTypeError("clamp: At least one of 'min' or 'max' must not be None")


clamp.refuses(DTypeError, "At least one of 'min' or 'max' must not be None", input=(2,))


def _clamp_input(g: Any, input: Any, min: Any, max: Any) -> Any:
    if max is None:
        return keep(g, input >= min)
    return keep(g, input <= max if min is None else (input >= min) & (input <= max))


def _clamp_min(g: Any, input: Any, min: Any, max: Any) -> Any:
    return keep(g, input < min if max is None else (input < min) & (min < max))


def _clamp_max(g: Any, input: Any, min: Any, max: Any) -> Any:
    return keep(g, input > max if min is None else (input > max) | (max < min))


clamp.gradients(input=_clamp_input, min=_clamp_min, max=_clamp_max)


@clamp.samples
def _(draw: Any) -> dict[str, Any]:
    shapes = draw.broadcastable_shapes(3)
    bounds = draw.choice([(-1.5, 1.5), (None, 1.5), (-1.5, None), ("array", "array"), ("array", None), (None, "array")])
    low, high = (
        offset_integers(draw, shape, -2, 2, offset) if bound == "array" else bound
        for bound, shape, offset in zip(bounds, shapes[1:], (0.3, 0.6), strict=True)
    )
    return dict(input=offset_integers(draw, shapes[0], -3, 3, 0.0), min=low, max=high)


@clamp.reference
def _(input: Array, min: Any = None, max: Any = None) -> Array:
    def bound(x: float, low: float, high: float) -> float:
        x = low if x < low else x
        return high if x > high else x

    low, high = (-math.inf if min is None else min), (math.inf if max is None else max)
    return np.asarray(np.vectorize(bound)(input, low, high))


@tensor_method
def clamp_min(input: Any, min: Any) -> Any:
    """Each element, or ``min`` where it is smaller."""
    return clamp(input, min, None)


@tensor_method
def clamp_max(input: Any, max: Any) -> Any:
    """Each element, or ``max`` where it is larger."""
    return clamp(input, None, max)


inplace_method(clamp_min, "clamp_min_")
inplace_method(clamp_max, "clamp_max_")


# ------------------------------------------------------------------------------------------------ blends
@differentiable(
    elementwise="arithmetic",
    method=True,
    inplace=True,
    grad_name=lambda weight: f"LerpBackward{int(hasattr(weight, 'shape'))}",
)
def lerp(input: Array, end: Array, weight: Array) -> Array:
    """``input + weight * (end - input)``; exact at weights 0 and 1.

    >>> import tinygrad_cnn as tg
    >>> tg.lerp(tg.tensor([1.0, 2.0]), tg.tensor([3.0, 4.0]), 0.25)
    tensor([1.5000, 2.5000])
    """
    way = np.subtract(end, input)
    if np.ndim(weight) == 0:
        return np.add(input, weight * way) if abs(weight) < 0.5 else np.subtract(end, way * (1 - weight))
    return np.where(np.abs(weight) < 0.5, input + weight * way, end - way * (1 - weight))


lerp.gradients(
    input=lambda g, weight: g * (1 - weight),
    end=lambda g, weight: g * weight,
    weight=lambda g, input, end: g * (end - input),
)


@lerp.samples
def _(draw: Any) -> dict[str, Any]:
    shapes = draw.broadcastable_shapes(3)
    arrays = {name: draw.array(shape) for name, shape in zip(("input", "end", "weight"), shapes, strict=True)}
    return dict(arrays, weight=0.25) if draw.boolean() else arrays


lerp.reference(np.vectorize(lambda input, end, weight: (1 - weight) * input + weight * end))


@tensor_method
def addcmul(input: Any, tensor1: Any, tensor2: Any, *, value: Number = 1) -> Any:
    """``input + value * tensor1 * tensor2``."""
    product = mul(tensor1, tensor2)
    return input + (product if value == 1 else product * value)


@tensor_method
def addcdiv(input: Any, tensor1: Any, tensor2: Any, *, value: Number = 1) -> Any:
    """``input + value * tensor1 / tensor2``, of floating tensors."""
    if not any(x.is_floating_point() for x in (tensor1, tensor2)):
        raise DTypeError("addcdiv: Integer division with addcdiv is no longer supported; convert with .float()")
    quotient = tensor1 / tensor2
    return input + (quotient if value == 1 else quotient * value)


inplace_method(addcmul, "addcmul_")
inplace_method(addcdiv, "addcdiv_")


# ---------------------------------------------------------------------------------- functions of two variables
@differentiable(elementwise="float", method=("atan2", "arctan2"), inplace=("atan2_", "arctan2_"))
def atan2(input: Array, other: Array) -> Array:
    """The angle of the point (other, input), in radians, between -pi and pi."""
    return np.arctan2(input, other)


def _over_square(x: Any, input: Any, other: Any) -> Any:
    """``x`` divided by the squared distance from the origin, and 0 there."""
    square = input * input + other * other
    return keep(x / square, square != 0)


atan2.gradients(
    input=lambda g, input, other: g * _over_square(other, input, other),
    other=lambda g, input, other: g * -_over_square(input, input, other),
)
atan2.samples(binary((0.5, 2.0), (-2.0, -0.5)))
atan2.reference(np.vectorize(math.atan2))
arctan2 = atan2


def _check_floating(name: str) -> Any:
    def check(input: Any, other: Any) -> None:
        if all(isinstance(x, np.ndarray) and x.dtype.kind != "f" for x in (input, other)):
            raise UnsupportedDTypeError(f"{name}: expected a floating dtype, got {input.dtype}; convert with .float()")

    return check


@differentiable(elementwise="arithmetic", method=True, inplace=True)
def hypot(input: Array, other: Array) -> Array:
    """``sqrt(input² + other²)`` without overflow."""
    return np.hypot(input, other)


hypot.gradients(input=lambda g, input, out: g * (input / out), other=lambda g, other, out: g * (other / out))
hypot.samples(binary((0.5, 2.0), (0.5, 2.0)))
hypot.reference(np.vectorize(math.hypot))
hypot.check(_check_floating("hypot"))
hypot.refuses(UnsupportedDTypeError, "hypot: expected a floating dtype", input=np.ones(2, int), other=np.ones(2, int))


@differentiable(elementwise="arithmetic", method=True)
def logaddexp(input: Array, other: Array) -> Array:
    """``log(exp(input) + exp(other))`` without overflow."""
    return np.logaddexp(input, other)


logaddexp.gradients(
    input=lambda g, input, other: g / (1 + exp(other - input)),
    other=lambda g, input, other: g / (1 + exp(input - other)),
)
logaddexp.samples(binary())
logaddexp.reference(np.vectorize(lambda input, other: math.log(math.exp(input) + math.exp(other))))
logaddexp.check(_check_floating("logaddexp"))
logaddexp.refuses(
    UnsupportedDTypeError, "logaddexp: expected a floating dtype", input=np.ones(2, int), other=np.ones(2, int)
)
for _op in (maximum, minimum, fmax, fmin, atan2, hypot, logaddexp):
    needs_tensors(_op, ("input", "other"))


@differentiable(elementwise="float", method=True, inplace=True)
def xlogy(input: Array, other: Array) -> Array:
    """``input * log(other)``, and 0 where input is 0 (unless other is nan)."""
    dtype = np.result_type(input, other)  # before log makes a NumPy scalar of a number
    product = np.multiply(input, np.log(np.asarray(other, dtype)))
    return keep_array(product, ~(np.equal(input, 0) & ~np.isnan(other)))


def _xlogy_input(g: Any, input: Any, other: Any) -> Any:
    if hasattr(other, "shape"):
        return keep(g * log(other), ((input == 0) & (other <= 0)) == 0)
    slope = g * float(np.log(other))
    return slope if other > 0 else keep(slope, input != 0)


xlogy.gradients(
    input=lambda g, input, other: _xlogy_input(g, input, other),
    other=lambda g, input, other: g * input / other,
)
xlogy.samples(binary((0.5, 2.0), (0.5, 2.0)))
xlogy.reference(np.vectorize(lambda input, other: input * math.log(other)))
