"""Arithmetic on elements. Inputs are broadcast and promoted by the registry; formulas needn't mention either."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import inplace_method, tensor_method
from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Array, MaskArray, Number, get_default_dtype
from tinygrad_cnn.errors import ArgumentTypeError, DivisionError, DTypeError, UnsupportedDTypeError
from tinygrad_cnn.kernels import select as kernels
from tinygrad_cnn.kernels.elementwise import in_parts, whole
from tinygrad_cnn.ops._samples import binary, offset_integers, or_integers, or_numbers

__all__ = [
    "add",
    "div",
    "divide",
    "floor_divide",
    "fmod",
    "mul",
    "multiply",
    "remainder",
    "rsub",
    "sub",
    "subtract",
    "true_divide",
    "where",
]

_add, _subtract, _multiply, _divide = (in_parts(f) for f in (np.add, np.subtract, np.multiply, np.divide))


# ----------------------------------------------------------------------------------------------- choosing
@differentiable(elementwise="arithmetic")
def keep(input: Array, mask: MaskArray) -> Array:
    """``input`` where ``mask`` holds, 0 elsewhere, whatever it was. Linear in ``input``, and its own adjoint."""
    return kernels.keep(input, mask)


keep.gradients(input=whole(lambda g, mask: keep(g, mask)))
keep.reference(lambda input, mask: np.where(mask, input, 0.0))


@keep.samples
def _(draw: Any) -> dict[str, Any]:
    shapes = draw.broadcastable_shapes(2)
    return dict(input=draw.array(shapes[0]), mask=draw.mask(shapes[1]))


@differentiable(elementwise="arithmetic")
def keep_nonzero(input: Array, other: MaskArray) -> Array:
    """``keep(input, other != 0)`` in one go: the gradient of relu."""
    return kernels.keep_nonzero(input, other)


keep_nonzero.gradients(input=lambda g, other: keep_nonzero(g, other), other=lambda g: zero(g))
keep_nonzero.reference(lambda input, other: np.where(other, input, 0.0))


@keep_nonzero.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), other=draw.mask(shape))


@differentiable(name="where", elementwise="arithmetic")
def choose(condition: MaskArray, input: Array, other: Array) -> Array:
    """``input`` where ``condition`` holds, ``other`` elsewhere; this form has all three arguments."""
    return kernels.select(condition, input, other)


choose.gradients(input=lambda g, condition: keep(g, condition), other=lambda g, condition: keep(g, condition == 0))
choose.reference(np.vectorize(lambda condition, input, other: input if condition else other))


@choose.samples
@or_numbers
def _(draw: Any) -> dict[str, Any]:
    shapes = draw.broadcastable_shapes(3)
    return dict(condition=draw.mask(shapes[0]), input=draw.array(shapes[1]), other=draw.array(shapes[2]))


@choose.check
def _(condition: Any, input: Any, other: Any) -> None:
    if isinstance(condition, np.ndarray) and condition.dtype not in (np.bool_, np.uint8):
        raise DTypeError(
            f"where: condition expected a boolean tensor, got a tensor with dtype {condition.dtype}; "
            "compare it first, e.g. condition != 0"
        )


choose.refuses(DTypeError, "condition expected a boolean tensor", condition=(2,), input=(2,), other=(2,))


def where(condition: Any, input: Any = None, other: Any = None) -> Any:
    """``input`` where ``condition`` holds, ``other`` elsewhere; alone, the indices where it holds (a tuple).

    >>> import tinygrad_cnn as tg
    >>> tg.where(tg.tensor([True, False]), tg.tensor([1.0, 2.0]), 0)
    tensor([1., 0.])
    """
    if input is None and other is None:
        return condition.nonzero(as_tuple=True)
    if input is None or other is None:
        raise ArgumentTypeError("where: give both input and other, or neither")
    if isinstance(input, int | float) and isinstance(other, int | float):
        exact = isinstance(input, int) and isinstance(other, int)
        dtype = bool if isinstance(input, bool) and isinstance(other, bool) else int
        input = np.asarray(input, dtype if exact else get_default_dtype().dtype)
    return choose(condition, input, other)


@tensor_method("where")
def _where(self: Tensor, condition: Tensor, other: Any) -> Tensor:
    """This Tensor where ``condition`` holds, ``other`` elsewhere."""
    return choose(condition, self, other)


def _scaled_samples(draw: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = or_numbers(or_integers(binary()))(draw)
    is_whole = any(np.asarray(x).dtype.kind == "i" for x in arguments.values())
    return dict(arguments, alpha=draw.choice([1, 2, -1] if is_whole else [1, 2, 2.5, -1]))


def needs_tensors(op: Op, names: Sequence[str] = ("input",)) -> None:
    """Refuse numbers for these inputs, which PyTorch takes as Tensors only."""
    check = op._check

    @op.check
    def _(*values: Any, **settings: Any) -> None:
        for name, value in zip(op.inputs, values, strict=False):
            if name in names and not isinstance(value, np.ndarray):
                raise ArgumentTypeError(f"{op.name}(): argument '{name}' must be Tensor, not {type(value).__name__}")
        if check is not None:
            check(*values, **settings)


def zero(g: Any) -> Any:
    """The gradient of what is constant between its jumps: zeros, even for an infinite ``g``."""
    return keep(g, False)


# --------------------------------------------------------------------------------------------- sums
def _scaled(input: Any, other: Any, alpha: Number) -> Any:
    """``alpha * other`` in the dtype that it has."""
    if alpha == 1:
        return other
    array = input if isinstance(input, np.ndarray) else np.asarray(other)
    if isinstance(alpha, float) and array.dtype.kind != "f":
        raise DTypeError(
            "add, sub: For integral input tensors, argument alpha must not be a floating point number; "
            f"got {alpha} for {array.dtype}"
        )
    return np.multiply(other, np.asarray(alpha).astype(array.dtype))


def is_bool(x: Any) -> bool:
    """Whether ``x`` is a bool or an array of them."""
    return x.dtype.kind == "b" if isinstance(x, np.ndarray) else isinstance(x, bool)


@differentiable(
    elementwise="arithmetic",
    method=("add", "__add__", "__radd__"),
    inplace=("add_", "__iadd__"),
    grad_name="AddBackward0",
)
def add(input: Array, other: Array, *, alpha: Number = 1) -> Array:
    """``input + alpha * other``, elementwise with broadcasting.

    >>> import tinygrad_cnn as tg
    >>> tg.add(tg.tensor([1.0, 2.0]), 10)
    tensor([11., 12.])
    """
    return _add(input, other if alpha == 1 else _scaled(input, other, alpha))


add.gradients(input=lambda g: g, other=lambda g, alpha: g if alpha == 1 else g * alpha)
add.samples(_scaled_samples)
add.reference(np.vectorize(lambda input, other, alpha=1: input + alpha * other))


@differentiable(
    elementwise="arithmetic",
    method=("sub", "subtract", "__sub__"),
    inplace=("sub_", "subtract_", "__isub__"),
    reflected="__rsub__",
)
def sub(input: Array, other: Array, *, alpha: Number = 1) -> Array:
    """``input - alpha * other``, elementwise with broadcasting."""
    return _subtract(input, other if alpha == 1 else _scaled(input, other, alpha))


sub.gradients(input=lambda g: g, other=lambda g, alpha: -g if alpha == 1 else g * -alpha)
sub.samples(_scaled_samples)
sub.reference(np.vectorize(lambda input, other, alpha=1: input - alpha * other))
subtract = sub


@sub.check
def _(input: Any, other: Any, *, alpha: Number) -> None:
    if is_bool(input) or is_bool(other):
        raise DTypeError(
            "sub: Subtraction, the `-` operator, with a bool tensor is not supported; compare with `^`, invert with `~`"
        )


for _input, _other in ((np.ones(2, bool), (2,)), ((2,), np.ones(2, bool)), ((2,), True)):
    sub.refuses(DTypeError, "Subtraction, the `-` operator, with a bool tensor", input=_input, other=_other)


def rsub(input: Any, other: Any, *, alpha: Number = 1) -> Any:
    """``other - alpha * input``."""
    return sub(other, input, alpha=alpha)


# ------------------------------------------------------------------------------------------ products
@differentiable(
    elementwise="arithmetic",
    method=("mul", "multiply", "__mul__", "__rmul__"),
    inplace=("mul_", "multiply_", "__imul__"),
)
def mul(input: Array, other: Array) -> Array:
    """``input * other``, elementwise with broadcasting."""
    return _multiply(input, other)


mul.gradients(input=lambda g, other: g * other, other=lambda g, input: g * input)
mul.samples(or_numbers(or_integers(binary())))
mul.reference(np.vectorize(lambda input, other: input * other))
multiply = mul


@differentiable(
    elementwise="float",
    method=("true_divide", "__truediv__"),
    inplace=("true_divide_", "__itruediv__"),
    reflected="__rtruediv__",
    grad_name="DivBackward0",
)
def true_divide(input: Array, other: Array) -> Array:
    """``input / other``, elementwise with broadcasting; integers become floating."""
    return _divide(input, other)


true_divide.gradients(input=lambda g, other: g / other, other=lambda g, input, other: -g * (input / other / other))
true_divide.samples(or_numbers(binary(second=(0.5, 2.0))))
true_divide.reference(np.vectorize(lambda input, other: input / other))


def _check_integer_division(name: str) -> Any:
    def check(input: Any, other: Any) -> None:
        dtypes = [x.dtype.kind if isinstance(x, np.ndarray) else np.min_scalar_type(x).kind for x in (input, other)]
        if set(dtypes) == {"b"}:
            raise UnsupportedDTypeError(f"{name}: expected numbers, got bool tensors; convert with .int()")
        if "f" not in dtypes and not np.all(other):
            raise DivisionError(f"{name}: ZeroDivisionError: an integer tensor was divided by 0")

    return check


@differentiable(
    elementwise="arithmetic",
    method=("floor_divide", "__floordiv__"),
    inplace=("floor_divide_", "__ifloordiv__"),
    reflected="__rfloordiv__",
)
def floor_divide(input: Array, other: Array) -> Array:
    """The largest integer not above ``input / other``."""
    return np.floor_divide(input, other)


floor_divide.check(_check_integer_division("floor_divide"))
floor_divide.gradients(input=zero, other=zero)


@differentiable(elementwise="arithmetic", grad_name="DivBackward1")
def trunc_divide(input: Array, other: Array) -> Array:
    """``input / other`` without its fraction: rounded towards 0."""
    if input.dtype.kind == "f" if isinstance(input, np.ndarray) else other.dtype.kind == "f":
        return np.trunc(np.divide(input, other))
    return (np.sign(input) * np.sign(other)) * np.floor_divide(np.abs(input), np.abs(other))


trunc_divide.check(_check_integer_division("div"))
trunc_divide.gradients(input=zero, other=zero)


@differentiable(
    elementwise="arithmetic",
    method=("remainder", "__mod__"),
    inplace=("remainder_", "__imod__"),
    reflected="__rmod__",
)
def remainder(input: Array, other: Array) -> Array:
    """Python's ``input % other``: it has the sign of ``other``."""
    return np.remainder(input, other)


remainder.check(_check_integer_division("remainder"))
remainder.gradients(input=lambda g: g, other=lambda g, input, other: -g * floor_divide(input, other))


@differentiable(elementwise="arithmetic", method=True, inplace=True)
def fmod(input: Array, other: Array) -> Array:
    """C's remainder of ``input / other``: it has the sign of ``input``."""
    return np.fmod(input, other)


fmod.check(_check_integer_division("fmod"))
needs_tensors(fmod)
fmod.gradients(input=lambda g: g, other=lambda g, input, other: -g * trunc_divide(input, other))


for _op in (floor_divide, trunc_divide, remainder, fmod):
    _op.refuses(UnsupportedDTypeError, "expected numbers, got bool", input=np.ones(2, bool), other=np.ones(2, bool))
    _op.refuses(DivisionError, "an integer tensor was divided by 0", input=np.ones(2, int), other=np.array([1, 0]))
    _op.refuses(DivisionError, "an integer tensor was divided by 0", input=np.ones(2, int), other=0)
    if _op.name != "fmod":
        _op.refuses(DivisionError, "an integer tensor was divided by 0", input=2, other=np.array([1, 0]))


def _between_jumps(draw: Any) -> dict[str, Any]:
    """Dividends and divisors whose quotient is not close to an integer."""
    shapes = draw.broadcastable_shapes(2)
    divisors = [-3.0, -2.0, -1.0, 1.0, 2.0, 3.0]
    return dict(
        input=offset_integers(draw, shapes[0], -9, 9, 0.4),
        other=np.asarray(np.take(divisors, draw.integers(shapes[1], 0, 5))),
    )


for _op, _scalar in (
    (floor_divide, lambda input, other: math.floor(input / other)),
    (trunc_divide, lambda input, other: math.trunc(input / other)),
    (remainder, lambda input, other: input - other * math.floor(input / other)),
    (fmod, math.fmod),
):
    _op.samples(or_numbers(or_integers(_between_jumps), ["other"] if _op.name == "fmod" else ["input", "other"]))
    _op.reference(np.vectorize(_scalar, otypes=[float]))


@tensor_method
def div(input: Any, other: Any, *, rounding_mode: str | None = None) -> Any:
    """``input / other``; ``rounding_mode`` "floor" or "trunc" rounds it down or towards 0 and keeps integers.

    >>> import tinygrad_cnn as tg
    >>> tg.div(tg.tensor([7, -7]), 2, rounding_mode="trunc")
    tensor([ 3, -3])
    """
    if rounding_mode is None:
        return true_divide(input, other)
    if rounding_mode == "floor":
        return floor_divide(input, other)
    if rounding_mode == "trunc":
        return trunc_divide(input, other)
    raise DTypeError(f"div: rounding_mode expected None, 'trunc' or 'floor', got {rounding_mode!r}")


for _op in (add, sub, mul, true_divide, floor_divide, trunc_divide):
    _op.takes_numbers = True
divide = tensor_method(div, "divide")
inplace_method(div, "div_")
inplace_method(div, "divide_")
