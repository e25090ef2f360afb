"""The properties about values: the result, the derivatives of first and second order, linearity in the upstream."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import grad, no_grad
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.testing import layouts as memory_layouts
from tinygrad_cnn.testing.calls import (
    Arguments,
    Place,
    Recorded,
    Slopes,
    as_arrays,
    defaults,
    differentiable_places,
    draw_upstream,
    fitted,
    flat,
    formula_result,
    gradients,
    map_arrays,
    numerical_gradient,
    run,
)
from tinygrad_cnn.testing.explain import Cause, ConformanceError, Finding, compare, refuse
from tinygrad_cnn.testing.numerical import ComplexStepError, complex_jacobian, differences, differences_along

CENTRAL = dict(rtol=1e-5, atol=1e-7)
COMPLEX = dict(rtol=1e-9, atol=1e-10)
SECOND = dict(rtol=1e-4, atol=1e-6)
SMALL = 24  # up to so many input elements, every one is moved alone; beyond, random directions are taken
WIDE = 1e-4  # a second step, for forwards that round more than their results show
LARGE_SLOPE = 1e4  # beyond it, a difference is a jump


# --------------------------------------------------------------------------------------------- the result
def value(op: Op, arguments: Arguments) -> None:
    """The result is the reference's, on Tensors and on arrays alike; so are the defaults, and the composite's."""
    assert op._reference is not None
    _same_defaults(op, arguments)
    known: dict[str, Any] = dict(property="value", label="reference", **COMPLEX)
    expected = run(op, map_arrays(op, arguments, np.copy), op._reference)
    with no_grad():
        on_tensors = as_arrays(op(**map_arrays(op, arguments, wrap)))
    on_arrays = run(op, arguments)
    if not len(expected) == len(on_tensors) == len(on_arrays):
        why = (
            f"It gives {len(on_tensors)} results on Tensors, {len(on_arrays)} on arrays, the reference {len(expected)}."
        )
        refuse(op, arguments, Cause("number of results", why), property="value")
    for want, tensor, array in zip(expected, on_tensors, on_arrays, strict=True):
        compare(op, arguments, tensor, want, **known)
        compare(op, arguments, array, tensor, property="value", label="on Tensors", where="called with arrays")
    if op._composite is not None:
        with no_grad():
            composed = as_arrays(op.call(op._composite, op._bind((), map_arrays(op, arguments, wrap))))
        for want, found in zip(on_tensors, composed, strict=True):
            compare(op, arguments, found, want, **{**known, "label": "forward"}, where="of the composite")


def _same_defaults(op: Op, arguments: Arguments) -> None:
    """What an argument is when it is left out, which perhaps no draw does, is what it is in the reference."""
    assert op._reference is not None
    for name, default in defaults(op._reference).items():
        parameter = op.signature.parameters.get(name)
        if parameter is not None and parameter.default is not parameter.empty and parameter.default != default:
            why = f"Left out, `{name}` is {parameter.default!r}, and {default!r} in the reference."
            refuse(op, arguments, Cause("another default", why), property="value", argument=name)


# ------------------------------------------------------------------------------------------ derivatives
def first_order(op: Op, arguments: Arguments) -> None:
    """Every gradient is the numerical derivative, weighted with a random upstream, and has its input's shape."""
    _declared(op, arguments)
    recorded = Recorded(op, map_arrays(op, arguments, np.copy))
    if not recorded.places or not flat(recorded.arrays).size:
        return
    upstream = draw_upstream(recorded.arrays)
    try:
        raw = recorded.gradients([u.copy() for u in upstream])
    except Exception as error:
        _explain_raise(op, arguments, recorded, upstream, error)
        raise
    found = [fitted(op, g, p.of(arguments).shape) for g, p in zip(raw, recorded.places, strict=True)]
    weights = flat([u for u, o in zip(upstream, recorded.arrays, strict=True) if o.dtype.kind == "f"])
    slopes = Slopes(op, arguments, recorded.places)
    for place, array in zip(recorded.places, found, strict=True):
        if array.shape != place.of(arguments).shape:
            compare(op, arguments, array, numerical_gradient(op, arguments, place, weights), **_first(place, upstream))
    if slopes.size <= SMALL:
        _check_jacobian(op, arguments, recorded.places, slopes, found, upstream, weights)
    else:
        _check_directions(op, arguments, recorded.places, slopes, found, upstream, weights)
    _check_ties(op, arguments, recorded.places)


def _first(place: Place, upstream: Sequence[np.ndarray]) -> dict[str, Any]:
    return dict(property="first_order", place=place, argument=str(place), upstream=upstream)


def _explain_raise(
    op: Op, arguments: Arguments, recorded: Recorded, upstream: Sequence[np.ndarray], error: Exception
) -> None:
    """Say whose formula it is that raises, with the gradient that is missing."""
    for place in recorded.places:
        try:
            formula_result(recorded, place, upstream, {})
        except Exception:
            weights = flat([u for u, o in zip(upstream, recorded.arrays, strict=True) if o.dtype.kind == "f"])
            expected = numerical_gradient(op, arguments, place, weights)
            known = _first(place, upstream)
            finding = Finding(expected=expected, op=op, arguments=arguments, raised=error, **known)
            raise ConformanceError(finding) from error


def _declared(op: Op, arguments: Arguments) -> None:
    names = op._fused.inputs if op._fused is not None else tuple(op.formulas)
    for place in differentiable_places(op, arguments):
        if place.name not in names:
            why = (
                f"Declare {op.name}.gradients({place.name}=...), or that it is a constant: "
                f'{op.name}.exempt({place.name}="the reason").'
            )
            refuse(op, arguments, Cause("no gradient declared", why), property="first_order", argument=place.name)


def _check_jacobian(
    op: Op,
    arguments: Arguments,
    inputs: Sequence[Place],
    slopes: Slopes,
    found: Sequence[np.ndarray],
    upstream: Sequence[np.ndarray],
    weights: np.ndarray,
) -> None:
    """Against the full numerical Jacobian; where the forward takes complex numbers, to the last digits."""
    real = slopes.each()
    scale = 1 + np.abs(weights).sum() * 1e-2
    if not np.isfinite(real.central).all():
        return  # the sample lies at a singularity
    noise = slopes.split(real.noise @ np.abs(weights))
    for i, (place, array, want) in enumerate(zip(inputs, found, slopes.split(real.central @ weights), strict=True)):
        tolerance = dict(rtol=CENTRAL["rtol"], atol=CENTRAL["atol"] * scale + float(noise[i].max(initial=0)))
        if not np.allclose(array, want, **tolerance):
            wide = slopes.split(slopes.each(WIDE).central @ weights)[i]  # less precise, but less of it is rounding
            if not np.allclose(array, wide, rtol=1e-4, atol=CENTRAL["atol"] * scale):
                compare(op, arguments, array, want, **tolerance, **_first(place, upstream))
    exact = _complex_rows(op, slopes, real)
    if exact is not None:
        for place, array, want in zip(inputs, found, slopes.split(exact @ weights), strict=True):
            known = dict(label="complex step", atol=COMPLEX["atol"] * scale, rtol=COMPLEX["rtol"])
            compare(op, arguments, array, want, **known, **_first(place, upstream))


def _complex_rows(op: Op, slopes: Slopes, real: Any) -> np.ndarray | None:
    """The Jacobian by the complex step of the forward, or None where it doesn't take complex numbers."""
    arrays = [a.astype(np.complex128) for a in slopes.arrays]
    arguments = slopes.arguments
    for place, array in zip(slopes.inputs, arrays, strict=True):
        arguments = place.put(arguments, array)
    try:
        return complex_jacobian(lambda: flat(run(op, arguments)), arrays, real)
    except ComplexStepError:
        return None


def _check_directions(
    op: Op,
    arguments: Arguments,
    inputs: Sequence[Place],
    slopes: Slopes,
    found: Sequence[np.ndarray],
    upstream: Sequence[np.ndarray],
    weights: np.ndarray,
) -> None:
    """Against slopes in random directions; only if one is wrong, element by element, to say where."""
    for seed in range(2):
        direction = draw_upstream(slopes.arrays, seed + 1)
        slope = slopes.along(direction)
        want, size = float(slope.central[0] @ weights), float(np.abs(slope.central[0]) @ np.abs(weights))
        got = sum(float((g * d).sum()) for g, d in zip(found, direction, strict=True))
        allowed = CENTRAL["rtol"] * size + 1e-6 + float(slope.noise[0] @ np.abs(weights))
        if np.isfinite(want) and not abs(got - want) <= allowed:
            _check_jacobian(op, arguments, inputs, slopes, found, upstream, weights)


def _check_ties(op: Op, arguments: Arguments, inputs: Sequence[Place]) -> None:
    """Among equal elements, and inputs, the gradient lies between the slopes of the two sides, in every direction."""
    if "ties" in op.exemptions:
        return
    tied = dict(arguments)
    for place in inputs:
        tied = place.put(tied, _with_ties(place.of(arguments)))
    shapes = {p.of(arguments).shape for p in inputs}
    if len(inputs) > 1 and len(shapes) == 1:
        _check_slopes(op, {**tied, **_shared(op, tied, inputs)}, inputs)
    if any(p.of(arguments).size > 1 for p in inputs):
        _check_slopes(op, tied, inputs)


def _with_ties(array: np.ndarray) -> np.ndarray:
    """Two of the array's values in turn."""
    if array.size < 2:
        return array
    turns = np.arange(array.size).reshape(array.shape) % 2
    return np.where(turns == 0, array.flat[0], array.flat[-1])


def _shared(op: Op, arguments: Arguments, inputs: Sequence[Place]) -> Arguments:
    """Every input with the values of the first."""
    first = inputs[0].of(arguments)
    changed = dict(arguments)
    for place in inputs:
        changed = place.put(changed, first.copy())
    return {name: changed[name] for name in op.inputs if name in changed}


def _check_slopes(op: Op, arguments: Arguments, inputs: Sequence[Place]) -> None:
    try:
        slopes = Slopes(op, arguments, inputs)
        outputs = run(op, arguments)
        upstream = draw_upstream(outputs)
        weights = flat(upstream)
        if weights.shape != slopes.base.shape or not np.isfinite(slopes.base).all():
            return
        found = gradients(op, arguments, upstream)
    except TinygradError:
        return  # the op refuses such arguments
    if not all(np.isfinite(g).all() and g.shape == p.of(arguments).shape for g, p in zip(found, inputs, strict=True)):
        return
    together = [np.ones(a.shape) for a in slopes.arrays]
    group = [np.where(a == a.flat[0], 1.0, 0.0) if a.size else a for a in slopes.arrays]
    for direction in (together, group):
        slope = slopes.along(direction)
        left, right = slope.left[0], slope.right[0]
        if not np.abs(np.concatenate([left, right])).max(initial=0) < LARGE_SLOPE:
            continue  # at a jump there is no slope to compare with
        low, high = (f(left * weights, right * weights).sum() for f in (np.minimum, np.maximum))
        got = sum(float((g * d).sum()) for g, d in zip(found, direction, strict=True))
        allowed = 1e-4 * (1 + np.abs(left * weights).sum() + np.abs(got))
        if low - allowed <= got <= high + allowed:
            continue
        near = low if abs(got - low) < abs(got - high) else high
        known = dict(property="first_order", upstream=upstream, atol=allowed, rtol=0.0)
        argument = str(inputs[0]) if len(inputs) == 1 else ""
        compare(op, arguments, got, near, argument=argument, tied=True, **known)


def second_order(op: Op, arguments: Arguments) -> None:
    """What backward computes is itself differentiable: its derivatives are the numerical ones of the first order."""
    recorded = Recorded(op, arguments)
    if recorded.node is None:
        return
    upstream = [wrap(u).requires_grad_() for u in draw_upstream(recorded.arrays)]
    try:
        firsts = recorded.gradients(upstream, create_graph=True)
    except Exception as error:
        why = (
            f"On Tensors it raises {type(error).__name__}: {str(error).rstrip('.')}. Write it in ops and operators, "
            'which record themselves, or declare exempt(second_order="the reason").'
        )
        cause = Cause("wrong second order: a formula takes arrays alone", why)
        raise ConformanceError(Finding(property="second_order", op=op, arguments=arguments, given=cause)) from error
    present = [i for i, g in enumerate(firsts) if g is not None]
    kept = [place for i, place in enumerate(recorded.places) if i in present]
    weights = [np.asarray(v) for v in draw_upstream([firsts[i]._array for i in present], seed=2)]
    leaves = [*recorded.leaves, *upstream]
    chosen = [(firsts[i], w) for i, w in zip(present, weights, strict=True) if firsts[i].requires_grad]
    found: Sequence[Any] = [None] * len(leaves)
    if chosen:
        found = grad([g for g, _ in chosen], leaves, [wrap(w) for _, w in chosen], allow_unused=True)
    actual = [np.zeros(x._array.shape) if g is None else g._array for g, x in zip(found, leaves, strict=True)]

    arrays = [x._array.copy() for x in leaves]

    def evaluate() -> np.ndarray:
        moved = dict(arguments)
        for place, array in zip(recorded.places, arrays, strict=False):
            moved = place.put(moved, array)
        nearby = Recorded(op, moved, kept).gradients(arrays[len(recorded.places) :])
        parts = [np.asarray(g) * w for g, w in zip(nearby, weights, strict=True) if g is not None]
        return np.array([sum(float(p.sum()) for p in parts)])

    names = [*map(str, recorded.places), *["the upstream"] * len(upstream)]
    _check_second(op, arguments, names, arrays, actual, evaluate, [u._array for u in upstream])


def _check_second(
    op: Op,
    arguments: Arguments,
    names: Sequence[str],
    arrays: Sequence[np.ndarray],
    actual: Sequence[np.ndarray],
    evaluate: Callable[[], np.ndarray],
    upstream: Sequence[np.ndarray],
) -> None:
    base = evaluate()
    for seed in range(2):
        direction = draw_upstream(arrays, seed + 1)
        slope = differences_along(evaluate, arrays, direction, 1e-5, base)
        parts = [a * d for a, d in zip(actual, direction, strict=True)]
        want, got = float(slope.central[0, 0]), sum(float(p.sum()) for p in parts)
        allowed = 1e-5 + SECOND["rtol"] * sum(float(np.abs(p).sum()) for p in parts) + float(slope.noise[0, 0])
        if not np.isfinite(want) or abs(got - want) <= allowed:
            continue
        for name, array, found in zip(names, arrays, actual, strict=True):
            numerical = differences(evaluate, array, 1e-5, base).central[:, 0].reshape(array.shape)
            known: dict[str, Any] = dict(property="second_order", argument=name, upstream=upstream, **SECOND)
            compare(op, arguments, found, numerical, **known)


def upstream(op: Op, arguments: Arguments) -> None:
    """Backward is linear in the upstream, and takes it in any memory layout."""
    recorded = Recorded(op, arguments)
    if recorded.node is None:
        return
    one, other = draw_upstream(recorded.arrays), draw_upstream(recorded.arrays, 1)
    first, second = recorded.gradients(one), recorded.gradients(other)
    cases: list[tuple[str, list[np.ndarray], list[Any]]] = [
        ("for an upstream of zeros", [np.asarray(0 * u) for u in one], [_scaled(g, 0) for g in first]),
        ("for twice the upstream", [np.asarray(2 * u) for u in one], [_scaled(g, 2) for g in first]),
        (
            "for a sum of two upstreams",
            [np.asarray(u + v) for u, v in zip(one, other, strict=True)],
            [None if g is None or h is None else g + h for g, h in zip(first, second, strict=True)],
        ),
    ]
    for name in ("strided", "transposed", "reversed"):
        cases.append(
            (f"for an upstream that is {name}", [np.asarray(memory_layouts.LAYOUTS[name](u)) for u in one], first)
        )
    expanded = [memory_layouts.broadcast(u) for u in one]
    packed = recorded.gradients([u.copy() for u in expanded])
    cases.append(("for an upstream of stride 0", expanded, packed))
    for where, given, expected in cases:
        for place, found, want in zip(recorded.places, recorded.gradients(given), expected, strict=True):
            if found is None or want is None:
                continue
            size = float(np.abs(np.asarray(want)).max(initial=0.0))
            size = size if np.isfinite(size) else 0.0
            known = dict(argument=str(place), place=place, upstream=given, where=where, label="linear")
            compare(op, arguments, found, want, property="upstream", rtol=1e-9, atol=1e-10 * (1 + size), **known)


def _scaled(array: Any, factor: float) -> Any:
    return None if array is None else np.where(np.isfinite(array), factor * np.asarray(array), array)
