"""Comparisons, logic and tests on elements: no gradients."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import Op, operation
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Array
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, UnsupportedDTypeError
from tinygrad_cnn.kernels.elementwise import in_parts
from tinygrad_cnn.ops._samples import or_numbers, unary
from tinygrad_cnn.ops.elementwise import needs_tensors

__all__ = [
    "allclose",
    "bitwise_and",
    "bitwise_left_shift",
    "bitwise_not",
    "bitwise_or",
    "bitwise_right_shift",
    "bitwise_xor",
    "eq",
    "equal",
    "ge",
    "greater",
    "greater_equal",
    "gt",
    "isclose",
    "isfinite",
    "isinf",
    "isnan",
    "isneginf",
    "isposinf",
    "isreal",
    "le",
    "less",
    "less_equal",
    "logical_and",
    "logical_not",
    "logical_or",
    "logical_xor",
    "lt",
    "ne",
    "not_equal",
    "signbit",
]


def _pair(draw: Any) -> dict[str, Any]:
    """Two small integer arrays, so that equal elements occur."""
    shapes = draw.broadcastable_shapes(2)
    return dict(input=draw.integers(shapes[0], 0, 2), other=draw.integers(shapes[1], 0, 2))


def _compared(draw: Any) -> dict[str, Any]:
    """The same, or floating numbers, among them equal ones."""
    return {name: x if draw.boolean() else np.asarray(x * 0.5) for name, x in _pair(draw).items()}


def _binary(
    name: str, doc: str, kernel: Any, reference: Callable[[Any, Any], Any], methods: Sequence[str], **settings: Any
) -> Op:
    """Declare an op of two inputs; ``methods`` are further names, with an in-place form unless they are operators."""

    kernel = in_parts(kernel)

    def forward(input: Array, other: Array) -> Any:
        return kernel(input, other)

    forward.__name__, forward.__doc__ = name, doc
    names = [name, *methods]
    inplace = [*[n + "_" for n in names if not n.startswith("__")], *settings.pop("inplace", ())]
    op = operation(method=names, inplace=inplace, **{"elementwise": "compare", **settings})(forward)
    op.samples(_pair)
    op.reference(np.vectorize(reference))
    return op


# ------------------------------------------------------------------------------------------- comparisons
eq, ne, lt, le, gt, ge = (
    _binary(name, f"Whether ``input {sign} other``, elementwise with broadcasting.", kernel, reference, methods)
    for name, sign, kernel, reference, methods in (
        ("eq", "==", np.equal, lambda a, b: a == b, ("__eq__",)),
        ("ne", "!=", np.not_equal, lambda a, b: a != b, ("not_equal", "__ne__")),
        ("lt", "<", np.less, lambda a, b: a < b, ("less", "__lt__")),
        ("le", "<=", np.less_equal, lambda a, b: a <= b, ("less_equal", "__le__")),
        ("gt", ">", np.greater, lambda a, b: a > b, ("greater", "__gt__")),
        ("ge", ">=", np.greater_equal, lambda a, b: a >= b, ("greater_equal", "__ge__")),
    )
)
for _op in (eq, ne, lt, le, gt, ge):
    needs_tensors(_op)
    _op.samples(or_numbers(_compared, ("other",)))
not_equal, less, less_equal, greater, greater_equal = ne, lt, le, gt, ge

# ------------------------------------------------------------------------------------------------- logic
logical_and, logical_or, logical_xor = (
    _binary(name, f"Whether {what} of ``input`` and ``other`` are not 0, elementwise.", kernel, reference, ())
    for name, what, kernel, reference in (
        ("logical_and", "both", np.logical_and, lambda a, b: bool(a and b)),
        ("logical_or", "one or both", np.logical_or, lambda a, b: bool(a or b)),
        ("logical_xor", "exactly one", np.logical_xor, lambda a, b: bool(a) != bool(b)),
    )
)

for _op in (logical_and, logical_or, logical_xor):
    needs_tensors(_op, ("input", "other"))


def _unary(name: str, doc: str, kernel: Any, reference: Callable[[Any], Any], **settings: Any) -> Op:
    def forward(input: Array) -> Any:
        return kernel(input)

    forward.__name__, forward.__doc__ = name, doc
    op = operation(**{"method": True, **settings})(forward)
    op.samples(unary())
    op.reference(np.vectorize(reference))
    return op


logical_not = _unary("logical_not", "Whether each element is 0.", np.logical_not, lambda x: x == 0, inplace=True)

# -------------------------------------------------------------------------------------------------- bits
bitwise_and, bitwise_or, bitwise_xor, bitwise_left_shift, bitwise_right_shift = (
    _binary(
        name,
        f"``input {sign} other`` of integers{' or bools' if '_shift' not in name else ''}, elementwise.",
        kernel,
        reference,
        (f"__{word}__",),
        inplace=(f"__i{word}__",),
        reflected=f"__r{word}__",
        elementwise="arithmetic",
    )
    for name, sign, word, kernel, reference in (
        ("bitwise_and", "&", "and", np.bitwise_and, lambda a, b: a & b),
        ("bitwise_or", "|", "or", np.bitwise_or, lambda a, b: a | b),
        ("bitwise_xor", "^", "xor", np.bitwise_xor, lambda a, b: a ^ b),
        ("bitwise_left_shift", "<<", "lshift", np.left_shift, lambda a, b: a << b),
        ("bitwise_right_shift", ">>", "rshift", np.right_shift, lambda a, b: a >> b),
    )
)


def _refuse_floating(op: Op) -> None:
    @op.check
    def _(input: Any, other: Any) -> None:
        for x in (input, other):
            if isinstance(x, float) or (isinstance(x, np.ndarray) and x.dtype.kind == "f"):
                raise UnsupportedDTypeError(
                    f"{op.name}: expected integers or bools, got {getattr(x, 'dtype', 'a float')}"
                )

    for input, other in (((2,), np.ones(2, int)), (np.ones(2, int), (2,)), (np.ones(2, int), 1.0)):
        op.refuses(UnsupportedDTypeError, "expected integers or bools", input=input, other=other)


for _op in (bitwise_and, bitwise_or, bitwise_xor, bitwise_left_shift, bitwise_right_shift):
    _refuse_floating(_op)


@operation(method=("bitwise_not", "__invert__"), inplace=True)
def bitwise_not(input: Array) -> Array:
    """``~input``: every bit of an integer, or a bool, inverted."""
    return np.invert(input)


bitwise_not.samples(lambda draw: dict(input=draw.integers(draw.shape(), -3, 3)))
bitwise_not.reference(np.vectorize(lambda x: -x - 1))


@bitwise_not.check
def _(input: Any) -> None:
    if input.dtype.kind == "f":
        raise ArgumentTypeError(
            f"bitwise_not: ~ (operator.invert) is only implemented on integer and Boolean-type tensors, "
            f"got {input.dtype}"
        )


bitwise_not.refuses(ArgumentTypeError, "only implemented on integer and Boolean-type tensors", input=(2,))


# ------------------------------------------------------------------------------------- tests on elements
isnan = _unary("isnan", "Whether each element is nan.", np.isnan, lambda x: x != x)
isinf = _unary("isinf", "Whether each element is infinite.", np.isinf, lambda x: abs(x) == float("inf"))
isposinf = _unary("isposinf", "Whether each element is inf.", np.isposinf, lambda x: x == float("inf"))
isneginf = _unary("isneginf", "Whether each element is -inf.", np.isneginf, lambda x: x == -float("inf"))
isfinite = _unary("isfinite", "Whether each element is neither nan nor infinite.", np.isfinite, lambda x: x - x == 0)
isreal = _unary("isreal", "Whether each element is real: always.", np.isreal, lambda x: True)
signbit = _unary(
    "signbit",
    "Whether each element has its sign bit set: -0.0 has.",
    lambda x: np.signbit(x) if x.dtype.kind == "f" else np.less(x, 0),
    lambda x: x < 0,
)


@tensor_method
def isclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> Tensor:
    """Whether ``|input - other| <= atol + rtol * |other|``, elementwise."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise ArgumentTypeError(f"isclose: expected two Tensors, got {type(input).__name__}, {type(other).__name__}")
    if input.dtype != other.dtype:
        raise DTypeError(f"isclose: {input.dtype} did not match {other.dtype}; convert one of them")
    if rtol < 0 or atol < 0:
        raise DTypeError(f"isclose: rtol and atol expected to be at least 0, got {rtol} and {atol}")
    return _close(input, other, rtol, atol, equal_nan)


@operation(name="isclose", elementwise="compare")
def _close(input: Array, other: Array, rtol: float, atol: float, equal_nan: bool) -> Array:
    return np.isclose(input, other, rtol, atol, equal_nan)


@_close.samples
def _(draw: Any) -> dict[str, Any]:
    arrays = _pair(draw)
    if draw.boolean():
        arrays = {name: np.where(draw.mask(x.shape), x, np.nan) for name, x in arrays.items()}
    return dict(arrays, rtol=0.1, atol=0.1, equal_nan=draw.boolean())


@_close.reference
@np.vectorize
def _(input: float, other: float, rtol: float, atol: float, equal_nan: bool) -> bool:
    if math.isnan(input) and math.isnan(other):
        return equal_nan
    return abs(input - other) <= atol + rtol * abs(other)


@tensor_method
def allclose(input: Any, other: Any, rtol: float = 1e-05, atol: float = 1e-08, equal_nan: bool = False) -> bool:
    """Whether all elements are close, as ``isclose`` says.

    >>> import tinygrad_cnn as tg
    >>> tg.allclose(tg.tensor([1.0]), tg.tensor([1.0 + 1e-7]))
    True
    """
    return bool(isclose(input, other, rtol, atol, equal_nan)._array.all())


@tensor_method
def equal(input: Any, other: Any) -> bool:
    """Whether two Tensors have the same shape and elements."""
    if not isinstance(input, Tensor) or not isinstance(other, Tensor):
        raise ArgumentTypeError(f"equal: expected two Tensors, got {type(input).__name__}, {type(other).__name__}")
    return bool(np.array_equal(input._array, other._array))
