"""Functions of one variable, element by element."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import inplace_method, tensor_method
from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import DTypeError, UnsupportedDTypeError
from tinygrad_cnn.kernels import erf as erf_kernels
from tinygrad_cnn.kernels.elementwise import in_parts
from tinygrad_cnn.ops._samples import Sampler, offset_integers, or_integers, unary
from tinygrad_cnn.ops.elementwise import choose, keep, zero

__all__ = [
    "abs",
    "absolute",
    "acos",
    "acosh",
    "arccos",
    "arccosh",
    "arcsin",
    "arcsinh",
    "arctan",
    "arctanh",
    "asin",
    "asinh",
    "atan",
    "atanh",
    "ceil",
    "cos",
    "cosh",
    "deg2rad",
    "erf",
    "erfc",
    "erfinv",
    "exp",
    "exp2",
    "expm1",
    "fix",
    "floor",
    "frac",
    "log",
    "log1p",
    "log2",
    "log10",
    "logit",
    "nan_to_num",
    "neg",
    "negative",
    "positive",
    "rad2deg",
    "reciprocal",
    "round",
    "rsqrt",
    "sgn",
    "sign",
    "sin",
    "sinh",
    "sqrt",
    "tan",
    "trunc",
]


def _function(
    name: str,
    doc: str,
    kernel: Callable[..., Any],
    gradient: Callable[..., Any],
    reference: Callable[[float], float],
    samples: Sampler | None = None,
    aliases: Sequence[str] = (),
    elementwise: str = "float",
    grad_name: str | None = None,
) -> Op:
    """Declare an op of one input. ``aliases`` are further names of the methods."""

    kernel = in_parts(kernel)

    def forward(input: Array) -> Any:
        return kernel(input)

    forward.__name__, forward.__doc__ = name, doc
    names = [name, *aliases]
    inplace = [n + "_" for n in names if not n.startswith("__")]
    op = differentiable(elementwise=elementwise, method=names, inplace=inplace, grad_name=grad_name)(forward)
    op.gradients(input=gradient)
    op.reference(np.vectorize(reference, otypes=[float]))
    op.samples(or_integers(samples or unary()) if elementwise == "arithmetic" else samples or unary())
    return op


cos: Op  # formulas above their declarations name these
cosh: Op
sign: Op

# ----------------------------------------------------------------------------------- exponentials, logarithms
_LN2, _LN10 = math.log(2), math.log(10)
_positive = unary(0.2, 2.0)

exp = _function("exp", "e to the power of each element.", np.exp, lambda g, out: g * out, math.exp)
exp2 = _function("exp2", "2 to the power of each element.", np.exp2, lambda g, out: g * (out * _LN2), lambda x: 2**x)
expm1 = _function("expm1", "``exp(x) - 1``, exact for small x.", np.expm1, lambda g, out: g * (out + 1), math.expm1)
log = _function("log", "The natural logarithm.", np.log, lambda g, input: g / input, math.log, _positive)
log2 = _function("log2", "The logarithm to base 2.", np.log2, lambda g, input: g / (input * _LN2), math.log2, _positive)
log10 = _function(
    "log10", "The logarithm to base 10.", np.log10, lambda g, input: g / (input * _LN10), math.log10, _positive
)
log1p = _function(
    "log1p",
    "``log(1 + x)``, exact for small x.",
    np.log1p,
    lambda g, input: g / (input + 1),
    math.log1p,
    unary(-0.8, 2.0),
    grad_name="Log1PBackward0",
)

# ------------------------------------------------------------------------------------------------ powers
sqrt = _function(
    "sqrt", "The square root; its slope at 0 is infinite.", np.sqrt, lambda g, out: g / (out * 2), math.sqrt, _positive
)
rsqrt = _function(
    "rsqrt",
    "``1 / sqrt(x)``.",
    lambda x: np.reciprocal(np.sqrt(x)),
    lambda g, out: g * -0.5 * (out * out * out),
    lambda x: 1 / math.sqrt(x),
    _positive,
)
reciprocal = _function(
    "reciprocal", "``1 / x``.", np.reciprocal, lambda g, out: -g * (out * out), lambda x: 1 / x, unary(-2, 2, (0.0,))
)

# ------------------------------------------------------------------------------------------ trigonometry
_inside = unary(-0.8, 0.8)

sin = _function("sin", "The sine.", np.sin, lambda g, input: g * cos(input), math.sin)
cos = _function("cos", "The cosine.", np.cos, lambda g, input: -g * sin(input), math.cos)
tan = _function("tan", "The tangent.", np.tan, lambda g, out: g * (out * out + 1), math.tan)
asin = _function(
    "asin",
    "The inverse sine.",
    np.arcsin,
    lambda g, input: g * rsqrt(1 - input * input),
    math.asin,
    _inside,
    ("arcsin",),
)
acos = _function(
    "acos",
    "The inverse cosine.",
    np.arccos,
    lambda g, input: -g * rsqrt(1 - input * input),
    math.acos,
    _inside,
    ("arccos",),
)
atan = _function(
    "atan", "The inverse tangent.", np.arctan, lambda g, input: g / (input * input + 1), math.atan, aliases=("arctan",)
)
sinh = _function("sinh", "The hyperbolic sine.", np.sinh, lambda g, input: g * cosh(input), math.sinh)
cosh = _function("cosh", "The hyperbolic cosine.", np.cosh, lambda g, input: g * sinh(input), math.cosh)
asinh = _function(
    "asinh",
    "The inverse hyperbolic sine.",
    np.arcsinh,
    lambda g, input: g * rsqrt(input * input + 1),
    math.asinh,
    aliases=("arcsinh",),
)
acosh = _function(
    "acosh",
    "The inverse hyperbolic cosine.",
    np.arccosh,
    lambda g, input: g * rsqrt(input * input - 1),
    math.acosh,
    unary(1.2, 3.0),
    ("arccosh",),
)
atanh = _function(
    "atanh",
    "The inverse hyperbolic tangent.",
    np.arctanh,
    lambda g, input: g / (1 - input * input),
    math.atanh,
    _inside,
    ("arctanh",),
)
arcsin, arccos, arctan, arcsinh, arccosh, arctanh = asin, acos, atan, asinh, acosh, atanh

# ------------------------------------------------------------------------------------- the error function
_SLOPE_OF_ERF = 2 / math.sqrt(math.pi)

erf = _function(
    "erf",
    "The error function, 2/sqrt(pi) times the integral of exp(-t²) from 0 to x.",
    erf_kernels.erf,
    lambda g, input: g * (exp(-(input * input)) * _SLOPE_OF_ERF),
    math.erf,
    unary(-3, 3),
)
erfc = _function(
    "erfc",
    "``1 - erf(x)``, exact for large x.",
    erf_kernels.erfc,
    lambda g, input: g * (exp(-(input * input)) * -_SLOPE_OF_ERF),
    math.erfc,
    unary(-6, 6),
)
erfinv = _function(
    "erfinv",
    "The inverse of ``erf``: infinite at -1 and 1, NaN beyond.",
    erf_kernels.erfinv,
    lambda g, out: g * (exp(out * out) * (1 / _SLOPE_OF_ERF)),
    lambda x: statistics.NormalDist().inv_cdf((x + 1) / 2) / math.sqrt(2),
    unary(-0.9, 0.9),
)


# --------------------------------------------------------------------------------------------- sign, rounding
def _refuse_bool(op: Op, hint: str, error: type[Exception] = UnsupportedDTypeError) -> Op:
    @op.check
    def _(input: Any) -> None:
        if isinstance(input, np.ndarray) and input.dtype.kind == "b":
            raise error(f"{op.name}: expected numbers, got a bool tensor; {hint}")

    op.refuses(error, "expected numbers, got a bool tensor", input=np.ones(2, bool))

    return op


def _whole(rounding: Callable[..., Any]) -> Callable[..., Any]:
    """A rounding that leaves integers as they are."""
    return lambda x: rounding(x) if x.dtype.kind == "f" else x.copy()


_off_zero = unary(-2, 2, (0.0,))
_between_integers = lambda draw: dict(input=offset_integers(draw, draw.shape(), -3, 3, 0.3))

neg = _function(
    "neg", "``-x``.", np.negative, lambda g: -g, lambda x: -x, aliases=("negative", "__neg__"), elementwise="arithmetic"
)
abs = _function(
    "abs",
    "The absolute value; its slope at 0 is 0.",
    np.abs,
    lambda g, input: g * sign(input),
    lambda x: max(x, -x),
    _off_zero,
    ("absolute", "__abs__"),
    "arithmetic",
)


def _sign(x: Array) -> Array:
    """-1, 0 or 1; 0 for nan. Subtracting two masks takes a third of the time of ``np.sign``."""
    if x.dtype.kind == "b":
        return x.copy()
    return np.subtract(np.greater(x, 0), np.less(x, 0), dtype=np.int8).astype(x.dtype)


sign, sgn = (
    _function(name, doc, _sign, zero, lambda x: (x > 0) - (x < 0), _off_zero, elementwise="arithmetic")
    for name, doc in (
        ("sign", "-1, 0 or 1: the sign."),
        ("sgn", "-1, 0 or 1: the sign (the same as ``sign`` for real numbers)."),
    )
)
for _op in (sign, sgn):
    _op.exempt(nan="the sign of NaN is 0, as in PyTorch")
floor, ceil, trunc = (
    _refuse_bool(
        _function(name, doc, _whole(kernel), zero, reference, _between_integers, aliases, elementwise="arithmetic"),
        "convert with .int()",
    )
    for name, doc, kernel, reference, aliases in (
        ("floor", "The largest integer not above x.", np.floor, math.floor, ()),
        ("ceil", "The smallest integer not below x.", np.ceil, math.ceil, ()),
        ("trunc", "x without its fraction.", np.trunc, math.trunc, ("fix",)),
    )
)
frac = _function(
    "frac",
    "The fraction of x, with the sign of x.",
    lambda x: x - np.trunc(x),
    lambda g: g,
    lambda x: x - math.trunc(x),
    _between_integers,
    elementwise="arithmetic",
)
_refuse_bool(neg, "invert a mask with `~`", DTypeError)
_refuse_bool(abs, "convert with .int()")
negative, absolute, fix = neg, abs, trunc


@frac.check
def _(input: Any) -> None:
    if isinstance(input, np.ndarray) and input.dtype.kind != "f":
        raise UnsupportedDTypeError(f"frac: expected a floating dtype, got {input.dtype}; an integer has no fraction")


frac.samples(_between_integers)  # no integers, which it refuses
frac.refuses(UnsupportedDTypeError, "an integer has no fraction", input=np.ones(2, int))


@differentiable(elementwise="arithmetic", method=True, inplace=True)
def round(input: Array, *, decimals: int = 0) -> Array:
    """To the nearest integer, or to some decimals; halves go to the even neighbour."""
    return np.round(input, decimals) if input.dtype.kind == "f" else input.copy()


round.gradients(input=zero)
round.samples(
    lambda draw: dict(
        input=np.asarray(offset_integers(draw, draw.shape(), -9, 9, 0.3) * 0.1), decimals=draw.choice([0, 1, -1])
    )
)
round.reference(np.vectorize(lambda x, decimals=0: math.floor(x * 10.0**decimals + 0.5) / 10.0**decimals))


@round.check
def _(input: Any, *, decimals: int) -> None:
    if isinstance(input, np.ndarray) and (input.dtype.kind == "b" or (decimals and input.dtype.kind != "f")):
        raise UnsupportedDTypeError(f"round: expected a floating dtype, got {input.dtype}; convert with .float()")


round.refuses(UnsupportedDTypeError, "round: expected a floating dtype, got bool", input=np.ones(2, bool))
round.refuses(UnsupportedDTypeError, "round: expected a floating dtype, got int64", input=np.ones(2, int), decimals=1)


@tensor_method
def positive(input: Any) -> Any:
    """The tensor itself."""
    if input._array.dtype.kind == "b":
        raise DTypeError("positive: the `+` operator, on a bool tensor is not supported")
    return input


tensor_method(positive, "__pos__")


@differentiable(elementwise="arithmetic", method=True, inplace=True)
def nan_to_num(
    input: Array, nan: float | None = 0.0, posinf: float | None = None, neginf: float | None = None
) -> Array:
    """Numbers in the place of nan and the infinities (by default the dtype's largest ones)."""
    return np.nan_to_num(input, nan=0.0 if nan is None else nan, posinf=posinf, neginf=neginf)


nan_to_num.gradients(input=lambda g, input: keep(g, (input - input) == 0))
nan_to_num.exempt(nan="it puts a number in its place")
nan_to_num.samples(unary(nan=1.0))
nan_to_num.reference(np.vectorize(lambda x, nan=0.0, posinf=None, neginf=None: nan if x != x else x))


# ---------------------------------------------------------------------------------------- compositions
@differentiable(elementwise="float", method=True, inplace=True)
def logit(input: Array, eps: float | None = None) -> Array:
    """``log(x / (1 - x))``, with x first brought into [eps, 1 - eps] if eps is given."""
    x = input if eps is None else np.clip(input, eps, 1 - eps)
    return np.log(x / (1 - x))


@logit.reference
@np.vectorize
def _(x: float, eps: float | None = None) -> float:
    low = 0.0 if eps is None else eps
    x = min(max(x, low), 1 - low)
    return math.log(x) - math.log(1 - x)


def _logit_gradient(g: Any, input: Any, eps: float | None) -> Any:
    low = 0.0 if eps is None else eps
    slope = g / (input * (1 - input))
    inside = (input >= low) & (input <= 1 - low)
    return choose(inside, slope, math.nan) if eps is None else keep(slope, inside)


logit.gradients(input=_logit_gradient)


@logit.samples
def _(draw: Any) -> dict[str, Any]:
    eps = draw.choice([None, 0.1, 0.4])
    return dict(input=draw.array(draw.shape(), 0.25, 0.75, away_from=(eps or 0.0, 1 - (eps or 0.0))), eps=eps)


@tensor_method
def deg2rad(input: Any) -> Any:
    """Degrees as radians."""
    return input * (math.pi / 180)


@tensor_method
def rad2deg(input: Any) -> Any:
    """Radians as degrees."""
    return input * (180 / math.pi)


inplace_method(deg2rad, "deg2rad_")
inplace_method(rad2deg, "rad2deg_")
