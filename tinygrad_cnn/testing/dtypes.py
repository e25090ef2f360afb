"""The properties about dtypes: float32 beside float64, and float16, integers and inputs of several dtypes."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd import grad
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.backend import as_dtype
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.testing.calls import Arguments, Place, Recorded, draw_upstream, is_floating, map_arrays, places
from tinygrad_cnn.testing.explain import Cause, compare, refuse

TOLERANCES = {2: 1e-2, 4: 1e-4, 8: 1e-9}  # by the bytes of a number, for a result of one term


def float32(op: Op, arguments: Arguments) -> None:
    """float32 inputs give float32 results and gradients, close to those in float64."""
    narrow = map_arrays(op, arguments, lambda a: a.astype(np.float32) if a.dtype == np.float64 else a)
    wide = map_arrays(op, narrow, lambda a: a.astype(np.float64) if a.dtype == np.float32 else a)
    low, high = Recorded(op, narrow), Recorded(op, wide)
    tolerance = TOLERANCES[4] * _growth(op, arguments, high.arrays)
    for found, want in zip(low.arrays, high.arrays, strict=True):
        _check_narrow(op, narrow, found, want, tolerance)
    if low.node is None or high.node is None:
        return
    upstream = [u.astype(np.float32) for u in draw_upstream(high.arrays)]
    wanted = high.gradients([u.astype(np.float64) for u in upstream])
    for place, found, want in zip(low.places, low.gradients(upstream), wanted, strict=True):
        if found is not None and want is not None:
            known = dict(argument=str(place), place=place, upstream=upstream)
            _check_narrow(op, narrow, np.asarray(found), np.asarray(want), tolerance, **known)


def _growth(op: Op, arguments: Arguments, results: Sequence[np.ndarray]) -> float:
    """The factor by which rounding grows in sums: the root of the number of terms."""
    count = max((p.of(arguments).size for p in places(op, arguments)), default=1)
    return float(np.sqrt(max(1.0, count / max(1, min((o.size for o in results), default=1)))))


def _check_narrow(
    op: Op, arguments: Arguments, found: np.ndarray, want: np.ndarray, tolerance: float, **known: Any
) -> None:
    known.update(property="float32", where="with float32 inputs")
    if want.dtype == np.float64 and found.dtype == np.float64 and arguments.get("dtype") is None:
        why = (
            "float32 in, float64 out: twice the memory and half the speed. Look for a NumPy scalar or a float64 array."
        )
        refuse(op, arguments, Cause("upcast to float64", why), **known)
    _close(op, arguments, found, want, tolerance, label="float64", **known)


def _close(op: Op, arguments: Arguments, found: np.ndarray, want: np.ndarray, tolerance: float, **known: Any) -> None:
    size = float(np.abs(want[np.isfinite(want)]).max(initial=0.0)) if want.dtype.kind == "f" else 0.0
    compare(op, arguments, found, want, rtol=tolerance, atol=tolerance * max(1.0, min(size, 1e3)), **known)


class _Mixture(NamedTuple):
    """Inputs of other dtypes, and the same values in one dtype."""

    where: str
    given: Arguments
    alike: Arguments
    dtype: np.dtype  # what the results should have


def dtypes(op: Op, arguments: Arguments) -> None:
    """float16, integers, several dtypes, and a ``dtype`` give what one dtype gives, or are refused in words."""
    for mixture in _mixtures(op, arguments):
        try:
            with np.errstate(all="ignore"):
                alike = Recorded(op, mixture.alike)
                wanted = _gradients(alike)
        except Exception:
            continue  # rounded, the values are none that the op takes
        try:
            with np.errstate(all="ignore"):
                recorded = Recorded(op, mixture.given)
                found = _gradients(recorded)
        except TinygradError:
            continue  # refused, if only by NumPy
        except Exception as error:
            raised = f"{type(error).__name__}: {error}"
            why = f"It fails in NumPy ({raised}). Convert them, or refuse them in the op's check."
            refuse(op, mixture.given, Cause("mixed dtypes", why), property="dtypes", where=mixture.where)
        growth = _growth(op, arguments, alike.arrays)
        for result, want in zip(recorded.arrays, alike.arrays, strict=True):
            _check_result(op, mixture, result, want, growth)
        for place, gradient in found.items():
            _check_gradient(op, mixture, place, gradient, wanted.get(place), growth)


def _mixtures(op: Op, arguments: Arguments) -> Iterator[_Mixture]:
    inputs = [p for p in places(op, arguments) if is_floating(p.of(arguments))]

    def mixture(where: str, chosen: Sequence[Place], other: Any, rest: Any, dtype: Any = None) -> _Mixture:
        given, alike = dict(arguments), dict(arguments)
        for place in inputs:
            array = place.of(arguments)
            if place in chosen:
                array = np.asarray(np.round(array) if other is np.int64 else array, other)
            given = place.put(given, array if place in chosen else array.astype(rest))
            alike = place.put(alike, array.astype(rest))
        wanted = arguments.get("dtype")
        return _Mixture(where, given, alike, np.dtype(dtype or rest) if wanted is None else as_dtype(wanted).dtype)

    if not inputs or not all(np.isfinite(p.of(arguments)).all() for p in inputs):  # no integer is NaN
        return
    yield mixture("with float16 inputs", inputs, np.float16, np.float64, np.float16)
    yield mixture("with inputs of integers", inputs, np.int64, np.float32)
    if "dtype" in op.parameters and arguments.get("dtype") is None:  # the inputs are converted first, as in PyTorch
        alike = {**arguments}
        for place in inputs:
            alike = place.put(alike, place.of(arguments).astype(np.float32).astype(np.float64))
        given = map_arrays(op, alike, lambda a: a.astype(np.float32) if a.dtype == np.float64 else a)
        where = "with float32 inputs and dtype=float64"
        yield _Mixture(where, {**given, "dtype": "float64"}, alike, np.dtype(np.float64))
    if len(inputs) == 1 or len({p.of(arguments).ndim == 0 for p in inputs}) == 2:
        return  # what has no dimensions is promoted by rules of its own
    for place in inputs:
        yield mixture(f"where `{place}` is float32 and others are float64", [place], np.float32, np.float64)
        yield mixture(f"where `{place}` holds integers and others are float32", [place], np.int64, np.float32)


def _gradients(recorded: Recorded) -> dict[Place, np.ndarray]:
    """What the engine hands on to the inputs."""
    roots = [o for o in recorded.outputs if o._edge is not None]
    if not roots:
        return {}
    given = draw_upstream([o._array for o in roots])
    upstream = [wrap(u.astype(o._array.dtype)) for o, u in zip(roots, given, strict=True)]
    found = grad(roots, recorded.leaves, upstream, allow_unused=True)
    return {place: g._array for place, g in zip(recorded.places, found, strict=True) if g is not None}


def _check_result(op: Op, mixture: _Mixture, found: np.ndarray, want: np.ndarray, growth: float) -> None:
    known: dict[str, Any] = dict(property="dtypes", where=mixture.where, label="of one dtype")
    if want.dtype.kind != "f":
        compare(op, mixture.given, found, want, **known)
        return
    own = {p.of(mixture.given).dtype for p in places(op, mixture.given)}
    allowed = {mixture.dtype}
    if op.elementwise is None:  # NumPy's rules, or one input's dtype, which others are written into
        allowed |= own | {np.dtype(np.float64)}
    elif op.elementwise == "arithmetic" and mixture.dtype not in own:
        allowed |= own
    asked = mixture.given.get("dtype") is not None
    if asked:
        allowed = {mixture.dtype}
    if found.dtype not in allowed:
        why = f"They give {found.dtype}, not {mixture.dtype}: convert them."
        refuse(op, mixture.given, Cause("dtype is ignored" if asked else "mixed dtypes", why), **known)
    if found.dtype.kind == "f":
        exact = found.itemsize if asked or op.elementwise is not None else _digits(op, mixture)
        _close(op, mixture.given, found, want, TOLERANCES[min(exact, found.itemsize)] * growth, **known)
    elif mixture.dtype not in own and np.isfinite(want).all() and (want == np.round(want)).all():  # no fractions
        compare(op, mixture.given, found, want, **known)


def _check_gradient(op: Op, mixture: _Mixture, place: Place, found: np.ndarray, want: Any, growth: float) -> None:
    if want is not None:
        known: dict[str, Any] = dict(property="dtypes", where=mixture.where, label="of one dtype", argument=str(place))
        _close(op, mixture.given, found, want, 4 * TOLERANCES[_digits(op, mixture)] * growth, **known)


def _digits(op: Op, mixture: _Mixture) -> int:
    """The bytes of the shortest number on the way."""
    return min(array.itemsize for array in _floating(op, mixture.given) + _floating(op, mixture.alike))


def _floating(op: Op, arguments: Arguments) -> list[np.ndarray]:
    arrays = [place.of(arguments) for place in places(op, arguments)]
    return [array for array in arrays if is_floating(array)]
