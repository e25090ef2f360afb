"""Numerical derivatives of functions on arrays: central differences and the complex step.

Central differences work for every function and are good to about eight digits: the step is a compromise between
truncation and cancellation. The complex step (Squire and Trapp, "Using Complex Variables to Estimate Derivatives of
Real Functions", SIAM Review 40(1), 1998) subtracts nothing, so its step may be 1e-20 and it is good to the last
digit, but the function must take complex numbers and be analytic there: a comparison of real parts is, ``abs`` isn't.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn.errors import TinygradError

Evaluate = Callable[[], np.ndarray]  # every output element, in one flat array, of whatever the arrays hold now

COMPLEX_STEP = 1e-20
# How well the two kinds must agree for the complex step to be trusted: what central differences are good for.
AGREEMENT = dict(rtol=1e-5, atol=1e-7)


class ComplexStepError(TinygradError, ValueError):
    """The function doesn't take complex numbers, or isn't analytic there, so the complex step has no meaning."""


@dataclass(frozen=True)
class Differences:
    """A function's values around a point: a row for each way in which the inputs moved, a column an output element."""

    base: np.ndarray
    plus: np.ndarray
    minus: np.ndarray
    up: np.ndarray  # the lengths of the steps as rounding left them
    down: np.ndarray

    @property
    def central(self) -> np.ndarray:
        """The slopes from one side to the other."""
        return _ratio(self.plus - self.minus, self.up + self.down)

    @property
    def right(self) -> np.ndarray:
        """The slopes of the steps upwards."""
        return _ratio(self.plus - self.base, self.up)

    @property
    def left(self) -> np.ndarray:
        """The slopes of the steps downwards."""
        return _ratio(self.base - self.minus, self.down)

    @property
    def noise(self) -> np.ndarray:
        """How much of a slope may be the rounding of the values."""
        size = np.maximum(np.abs(self.base), np.maximum(np.abs(self.plus), np.abs(self.minus)))
        return _ratio(4 * np.finfo(np.float64).eps * size, np.minimum(self.up, self.down))


def _ratio(change: np.ndarray, step: np.ndarray) -> np.ndarray:
    """``change / step``, a row a step; 0 where rounding left no step."""
    return change / np.where(step == 0, np.inf, step)[:, None]


def differences(
    evaluate: Evaluate, array: np.ndarray, eps: float, base: np.ndarray, positions: Sequence[int] | None = None
) -> Differences:
    """Move the elements of ``array``, one after the other (those at the flat ``positions``), up and down by ``eps``."""
    moved = range(array.size) if positions is None else positions
    plus, minus = np.empty((len(moved), base.size)), np.empty((len(moved), base.size))
    up, down = np.empty(len(moved)), np.empty(len(moved))
    for row, position in enumerate(moved):
        index = np.unravel_index(position, array.shape)
        value = array[index]
        try:
            array[index] = value + eps
            up[row] = float(array[index]) - float(value)
            plus[row] = evaluate()
            array[index] = value - eps
            down[row] = float(value) - float(array[index])
            minus[row] = evaluate()
        finally:
            array[index] = value
    return Differences(base, plus, minus, up, down)


def differences_along(
    evaluate: Evaluate, arrays: Sequence[np.ndarray], direction: Sequence[np.ndarray], eps: float, base: np.ndarray
) -> Differences:
    """Move all arrays at once, by ``eps`` times ``direction``: one row."""
    held = [array.copy() for array in arrays]
    values = []
    try:
        for step in (eps, -eps):
            for array, start, way in zip(arrays, held, direction, strict=True):
                array[...] = start + step * way
            values.append(evaluate()[None])
    finally:
        for array, start in zip(arrays, held, strict=True):
            array[...] = start
    return Differences(base, values[0], values[1], np.array([eps]), np.array([eps]))


def complex_jacobian(evaluate: Evaluate, arrays: Sequence[np.ndarray], real: Differences) -> np.ndarray:
    """The derivatives of every output element (columns) by every element of the complex ``arrays`` (rows).

    ``real`` are the differences of the same function on real numbers. Raises ComplexStepError unless the function
    takes complex numbers, has the same values on them, and slopes that agree with the central differences.
    """
    rows = []
    with warnings.catch_warnings():
        warnings.simplefilter("error", np.exceptions.ComplexWarning)  # imaginary parts thrown away
        try:
            for array in arrays:
                for position in range(array.size):
                    index = np.unravel_index(position, array.shape)
                    value = array[index]
                    try:
                        array[index] = value + 1j * COMPLEX_STEP
                        rows.append(evaluate())
                    finally:
                        array[index] = value
        except Exception as error:
            raise ComplexStepError(f"complex step: the function doesn't take complex numbers ({error})") from error
    if not rows:
        return np.empty((0, real.base.size))
    values = np.array(rows)
    if values.dtype.kind != "c":
        raise ComplexStepError("complex step: the function gives real numbers for complex ones")
    if not np.allclose(values.real, real.base, rtol=1e-12, atol=1e-12, equal_nan=True):
        raise ComplexStepError("complex step: the function has other values on complex numbers than on real ones")
    jacobian = values.imag / COMPLEX_STEP
    with np.errstate(invalid="ignore"):  # of infinite values, which agree with nothing
        allowed = AGREEMENT["atol"] + AGREEMENT["rtol"] * np.abs(real.central) + 2 * real.noise
        agrees = np.abs(jacobian - real.central) <= allowed
    if not agrees.all():
        raise ComplexStepError(
            f"complex step: the function isn't analytic here: {int((~agrees).sum())} of {agrees.size} slopes differ "
            "from the central differences"
        )
    return jacobian


def _flat(result: Any) -> np.ndarray:
    """Every element of the result, or of the results in a tuple or list."""
    results = result if isinstance(result, tuple | list) else (result,)
    return np.concatenate([np.asarray(r).reshape(-1) for r in results] or [np.empty(0)])


def _gradients(
    jacobian: np.ndarray, upstream: Any, moved: Sequence[np.ndarray], arrays: Sequence[Any]
) -> list[np.ndarray | None]:
    weights = np.ones(jacobian.shape[1]) if upstream is None else _flat(upstream)
    parts = iter(np.split(jacobian @ weights, np.cumsum([a.size for a in moved])[:-1]))
    return [next(parts).reshape(a.shape) if _is_floating(a) else None for a in arrays]


def _is_floating(value: Any) -> bool:
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def _real_differences(
    f: Callable[..., Any], arrays: Sequence[Any], eps: float
) -> tuple[list[Any], list[np.ndarray], Differences]:
    """Copies of the arguments, those of them that move, and the differences of all their elements."""
    own = [a.astype(np.float64) if _is_floating(a) else a for a in arrays]
    moved = [a for a in own if _is_floating(a)]

    def evaluate() -> np.ndarray:
        return _flat(f(*own)).astype(np.float64)

    base = evaluate()
    return own, moved, join([differences(evaluate, array, eps, base) for array in moved], base)


def join(parts: Sequence[Differences], base: np.ndarray) -> Differences:
    """The rows of all parts under each other."""
    if not parts:
        none = np.empty((0, base.size))
        return Differences(base, none, none, np.empty(0), np.empty(0))
    fields = ([getattr(part, name) for part in parts] for name in ("plus", "minus", "up", "down"))
    return Differences(base, *map(np.concatenate, fields))


def central_difference_gradient(
    f: Callable[..., Any], arrays: Sequence[Any], upstream: Any = None, *, eps: float = 1e-6
) -> list[np.ndarray | None]:
    """The gradients of ``sum(upstream * f(*arrays))`` by central differences, in float64; None for what isn't floating.

    ``upstream`` has the form of the result (default: ones). ``f`` takes and returns arrays. It is called twice for
    each element.

    >>> central_difference_gradient(lambda x: x**3, [np.array([1.0, 2.0])])[0].round(6)
    array([ 3., 12.])
    """
    _, moved, found = _real_differences(f, arrays, eps)
    return _gradients(found.central, upstream, moved, arrays)


def complex_step_gradient(
    f: Callable[..., Any], arrays: Sequence[Any], upstream: Any = None, *, eps: float = 1e-6
) -> list[np.ndarray | None]:
    """As ``central_difference_gradient``, by the complex step: exact to the last digits.

    Raises ComplexStepError if ``f`` doesn't take complex arrays, throws imaginary parts away, or isn't analytic. That
    is decided by central differences (of step ``eps``), which the result must agree with, element by element.

    Source: Squire and Trapp, SIAM Review 40(1), 1998.

    >>> complex_step_gradient(np.exp, [np.array([1.0])])[0] == np.exp([1.0])
    array([ True])
    >>> complex_step_gradient(np.abs, [np.array([1.0])])
    Traceback (most recent call last):
    tinygrad_cnn.testing.numerical.ComplexStepError: complex step: the function gives real numbers for complex ones
    """
    own, moved, real = _real_differences(f, arrays, eps)
    arguments = [a.astype(np.complex128) if _is_floating(a) else a for a in own]
    active = [a for a in arguments if isinstance(a, np.ndarray) and a.dtype.kind == "c"]
    jacobian = complex_jacobian(lambda: _flat(f(*arguments)), active, real)
    return _gradients(jacobian, upstream, moved, arrays)
