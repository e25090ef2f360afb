"""Experiments on a failing op: the true result, or the formula, with one thing changed, until the two agree.

Each function gives the causes that fit; ``None``: this case can't tell.
"""

from __future__ import annotations

import inspect
import itertools
import math
from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_cnn.testing.calls import (
    Arguments,
    Recorded,
    Slopes,
    draw_upstream,
    flat,
    formula_result,
    gradients,
    is_floating,
    places,
    run,
)
from tinygrad_cnn.testing.explain import Cause, ConformanceError, Finding
from tinygrad_cnn.testing.patterns import Verdict, comparable, same

OTHER_SEED = 5


def _is_gradient(finding: Finding) -> bool:
    return finding.property == "first_order" and finding.place is not None and not finding.tied


def _is_value(finding: Finding) -> bool:
    return finding.property == "value" and finding.op is not None and finding.op._reference is not None


# --------------------------------------------------------------------------------------- the true result
def _truth(finding: Finding, arguments: Arguments) -> list[np.ndarray]:
    """What would be right for other arguments: the results, or the gradient for the same upstream."""
    if _is_value(finding):
        return run(finding.op, arguments, finding.op._reference)
    slopes = Slopes(finding.op, arguments, [finding.place])
    outputs = run(finding.op, arguments)
    upstream = flat([_embedded(u, o.shape) for u, o in zip(finding.upstream, outputs, strict=True)])
    return [slopes.split(slopes.each().central @ upstream)[0]]


def _embedded(upstream: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The upstream cut, or filled with zeros, to another shape."""
    if upstream.shape == shape:
        return upstream
    out = np.zeros(shape)
    part = tuple([slice(0, min(a, b)) for a, b in zip(upstream.shape, shape, strict=True)])
    out[part] = upstream[part]
    return out


def _agrees(finding: Finding, arguments: Arguments) -> bool:
    """Whether yours is what would be right for other arguments."""
    try:
        return any(same(finding, finding.actual, true) for true in _truth(finding, arguments))
    except Exception:
        return False


def settings(finding: Finding) -> Verdict:
    """Yours is what another setting would give: it is ignored, off by one, or its sides are exchanged."""
    if not (_is_gradient(finding) or _is_value(finding)) or finding.actual is None:
        return []
    found, told = [], False
    for name, value, cause in alternatives(finding):
        told = True
        if _agrees(finding, {**finding.arguments, name: value}):
            found.append(cause._replace(why=f"Yours is exactly what {name}={value!r} gives. {cause.why}".strip()))
    return found if told else None


def alternatives(finding: Finding) -> Iterator[tuple[str, Any, Cause]]:
    """Other values for each setting, with what it means if one of them explains what is seen."""
    for name, value in finding.arguments.items():
        if name in finding.op.inputs:
            if name != finding.argument and isinstance(value, np.ndarray) and _is_optional(finding, name):
                yield name, None, Cause(f"`{name}` ignored")
        elif isinstance(value, bool):
            yield name, not value, Cause(f"`{name}` ignored")
        elif name in ("dim", "axis", "dimension", "dims") and isinstance(value, int):
            ndim = max((np.ndim(v) for v in finding.arguments.values() if isinstance(v, np.ndarray)), default=0)
            for other in range(ndim):
                if other != value % ndim:
                    yield name, other, Cause("wrong axis")
        elif isinstance(value, int):
            for other in dict.fromkeys((_neutral(name), *_default(finding, name))):
                if isinstance(other, int) and other != value:
                    yield name, other, Cause(f"`{name}` ignored")
            for other in (value - 1, value + 1):
                yield name, other, Cause(f"`{name}` off by one")
        elif isinstance(value, float):
            for number in dict.fromkeys((1.0, 0.0, *_default(finding, name))):
                if isinstance(number, float) and number != value:
                    yield name, number, Cause(f"`{name}` ignored")
        elif isinstance(value, tuple) and value and all(type(v) is int for v in value):
            simple = (_neutral(name),) * len(value)
            if simple != value:
                yield name, simple, Cause(f"`{name}` ignored")
            if value[::-1] != value:
                yield name, value[::-1], Cause(f"`{name}`: sides exchanged", "Height stands before width.")
            for step in (-1, 1):
                yield name, tuple([v + step for v in value]), Cause(f"`{name}` off by one")


def _is_optional(finding: Finding, name: str) -> bool:
    return finding.op._defaults[finding.op._index[name]] is None


def _neutral(name: str) -> int:
    """The value that means: as if there were no such setting."""
    return 0 if "pad" in name or "offset" in name or "diagonal" in name else 1


def _default(finding: Finding, name: str) -> list[Any]:
    default = finding.op.signature.parameters[name].default
    return [] if default is finding.op.signature.empty else [default]


def exchanged_inputs(finding: Finding) -> Verdict:
    """Yours is what would be right if two inputs changed places, or one were transposed or flipped."""
    if not (_is_gradient(finding) or _is_value(finding)) or finding.actual is None:
        return []
    found, told = [], False
    for changes, cause in _rearranged(finding, with_truth=True):
        told = True
        if _agrees(finding, {**finding.arguments, **changes}):
            found.append(cause)
    return found if told else None


def _rearranged(finding: Finding, with_truth: bool) -> Iterator[tuple[Arguments, Cause]]:
    """Inputs changed in ways that are easily mistaken for each other. ``with_truth``: shapes must stay."""
    arguments = finding.arguments
    arrays = {n: arguments[n] for n in finding.op.inputs if is_floating(arguments.get(n))}
    for (a, x), (b, y) in itertools.combinations(arrays.items(), 2):
        if x.shape == y.shape and not np.array_equal(x, y):
            yield {a: y, b: x}, Cause("arguments exchanged", f"`{a}` stands where `{b}` belongs.")
    for name, x in arrays.items():
        if with_truth and name == finding.argument:
            continue
        if x.ndim >= 2:
            turned = np.swapaxes(x, -1, -2)
            if (turned.shape == x.shape or not with_truth) and not np.array_equal(turned, x):
                why = f"`{name}` stands where its transpose belongs, or the reverse."
                yield {name: turned}, Cause("transposed", why)
        if x.ndim >= 4 and x[0, 0].size > 1:
            why = f"`{name}` is flipped in height and width: a layer correlates; convolution, and the gradient, flip."
            yield {name: np.flip(x, (-2, -1))}, Cause("flipped kernel", why)
        groups = arguments.get("groups", 1)
        if groups > 1 and x.ndim >= 2:
            for axis in (0, 1):
                if x.shape[axis] % groups == 0:
                    rolled = np.roll(x, x.shape[axis] // groups, axis)
                    why = f"Each group of channels sees its own filters; here they see those of another, of {groups}."
                    yield {name: rolled}, Cause("groups mixed up", why)


# ------------------------------------------------------------------------------------------- the formula
def upstream_ignored(finding: Finding) -> Verdict:
    """Another upstream gives the same gradient."""
    if not _is_gradient(finding) or not comparable(finding):
        return []
    if sum(u.size for u in finding.upstream) == 0:
        return None
    position = _position(finding)
    other = [np.asarray(2.5 * u) for u in draw_upstream(finding.upstream, OTHER_SEED)]
    again = gradients(finding.op, finding.arguments, other)[position]
    if not same(finding, again, finding.actual):
        return []
    why = "Another upstream gives the same gradient: multiply by `g`. With `loss.backward()` alone it goes unnoticed."
    return [Cause("upstream ignored", why)]


def _position(finding: Finding) -> int:
    places = Recorded(finding.op, finding.arguments).places
    return next(i for i, place in enumerate(places) if place == finding.place)


def repaired(finding: Finding) -> Verdict:
    """The formula is right when what it names is transposed, flipped or exchanged."""
    if not _is_gradient(finding) or not np.size(finding.expected):
        return []
    recorded = Recorded(finding.op, finding.arguments)
    found = []
    changed = [*_rearranged(finding, with_truth=False)]
    if len(finding.upstream) == 1 and finding.upstream[0].ndim >= 2:
        turned = np.swapaxes(finding.upstream[0], -1, -2)
        changed.append(({"g": turned}, Cause("transposed", "`g` stands where its transpose belongs, or the reverse.")))
    for changes, cause in changed:
        try:
            result = formula_result(recorded, finding.place, finding.upstream, changes)
        except Exception:
            continue
        if result is not None and same(finding, result, finding.expected):
            found.append(cause)
    return found


def residual_constant(finding: Finding) -> Verdict:
    """The second derivative of a formula that names a residual which depends on the inputs."""
    if finding.property != "second_order" or finding.op is None:
        return []
    named = {name for formula in finding.op.formulas.values() for name in inspect.signature(formula).parameters}
    found = []
    for name in named & set(finding.op.residuals):
        why = (
            f"`{name}` was saved as an array, so the second derivative doesn't go through it. Let the formula compute "
            "it anew from the inputs, or from `out`."
        )
        found.append(Cause("wrong second order: a saved value is taken for a constant", why))
    return found


# ------------------------------------------------------------------------------------- what meets in sums
def _contributions(finding: Finding) -> np.ndarray:
    """What each element of the result adds to each element of the gradient: (input elements, output elements)."""
    slopes = Slopes(finding.op, finding.arguments, [finding.place])
    return np.asarray(slopes.each().central * flat(finding.upstream))


def overlaps(finding: Finding) -> Verdict:
    """Only elements that are made of several contributions differ, and have one of them alone."""
    if not (_is_gradient(finding) or _is_value(finding)) or not comparable(finding):
        return []
    if _is_value(finding):
        parts = _parts_of_the_result(finding)
        if parts is None:
            return []
    elif len(finding.upstream) == 1:
        parts = _contributions(finding).reshape(finding.expected.size, *finding.upstream[0].shape)
    else:
        return []
    actual, bad = finding.actual.reshape(-1), finding.bad.reshape(-1)
    for kept in _window_axes(parts.ndim - 1):
        summed = tuple([1 + axis for axis in range(parts.ndim - 1) if axis not in kept])
        windows = parts.sum(summed).reshape(len(parts), -1)
        touched = np.abs(parts).sum(summed).reshape(len(parts), -1) > 1e-9
        counts = touched.sum(1)
        if counts.max(initial=0) < 2 or (counts[bad] < 2).any():
            continue
        alone = [np.isclose(windows[i][touched[i]], actual[i], rtol=1e-4, atol=1e-6).any() for i in np.flatnonzero(bad)]
        if all(alone):
            return [_overlap_cause(finding, counts[bad])]
    return []


def _parts_of_the_result(finding: Finding) -> np.ndarray | None:
    """What each element of the first input adds to each element of the result, if the op is linear in it."""
    place = next(p for p in places(finding.op, finding.arguments) if is_floating(p.of(finding.arguments)))
    slopes = Slopes(finding.op, finding.arguments, [place], finding.op._reference)
    parts = slopes.each().central.T * slopes.arrays[0].reshape(-1)
    linear = np.allclose(parts.sum(1), finding.expected.reshape(-1), rtol=1e-5, atol=1e-7)
    return parts.reshape(finding.expected.size, *slopes.arrays[0].shape) if linear else None


def _window_axes(ndim: int) -> Iterator[tuple[int, ...]]:
    """The axes of a result that may tell its windows apart: all; all but the channels; all but the last."""
    yield tuple(range(ndim))
    for axis in range(ndim):
        yield tuple([a for a in range(ndim) if a != axis])


def _overlap_cause(finding: Finding, counts: np.ndarray) -> Cause:
    windows = bool({"stride", "kernel_size", "step"} & set(finding.arguments))
    number = str(counts[0]) if (counts == counts[0]).all() else f"{counts.min()} to {counts.max()}"
    ratio = finding.expected[finding.bad] / finding.actual[finding.bad]
    equal = "; the ratio is their number" if np.allclose(ratio, counts, rtol=1e-3) else ""
    if windows:
        why = (
            f"Each of these elements lies in {number} windows, and yours is the part of one of them alone{equal}: "
            "col2im assigns (=) where it must add (+=)."
        )
        return Cause("overlap: assigned, not added", why, "all of them where windows overlap")
    why = (
        f"Each of these elements is used {number} times, and yours is the part of one use alone{equal}: "
        "`out[index] = g` keeps the last; np.add.at(out, index, g) adds."
    )
    return Cause("overlap: assigned, not added", why, "all of them used more than once")


def partial_sum(finding: Finding) -> Verdict:
    """A bias gradient that sums over some of the dimensions, and takes one index of the others."""
    if not _is_gradient(finding) or not comparable(finding) or len(finding.upstream) != 1 or finding.actual.ndim != 1:
        return []
    g = finding.upstream[0]
    true = _contributions(finding).sum(1)
    axes = [a for a in range(g.ndim) if g.shape[a] == len(true) and _sums_to(g, a, true)]
    for axis in axes:
        rest = [a for a in range(g.ndim) if a != axis and g.shape[a] > 1]
        for count in range(len(rest)):
            for summed in itertools.combinations(rest, count):
                partial = np.moveaxis(g.sum(summed, keepdims=True), axis, 0).reshape(len(true), -1)
                if any(np.allclose(partial[:, k], finding.actual, rtol=1e-5) for k in range(partial.shape[1])):
                    left = tuple([a for a in rest if a not in summed])
                    why = f"`{finding.argument}` is added at each of them: sum the upstream over dimensions {left} too."
                    phrase = "bias gradient not summed over pixels" if g.ndim > 2 else "not summed over the batch"
                    return [Cause(phrase, why)]
    return [] if axes else None


def _sums_to(g: np.ndarray, axis: int, true: np.ndarray) -> bool:
    return bool(np.allclose(g.sum(tuple([a for a in range(g.ndim) if a != axis])), true, rtol=1e-4))


def statistics(finding: Finding) -> Verdict:
    """A gradient of batch norm that is that of the other mode: the statistics taken as constants, or not."""
    if not _is_gradient(finding) or not comparable(finding) or len(finding.upstream) != 1:
        return []
    g, shape = finding.upstream[0], finding.expected.shape
    if g.shape != shape or len(shape) < 2:
        return []
    others = (0, *range(2, len(shape)))
    if math.prod(shape[a] for a in others) < 3:
        return None
    yours, true = finding.actual / g, finding.expected / g

    def per_channel(values: np.ndarray) -> bool:
        return bool(np.ptp(values, axis=others).max() <= 1e-5 * (1 + np.abs(values).max()))

    if per_channel(yours) and not per_channel(true):
        why = (
            "Yours is the upstream times one number for each channel, as in evaluation. In training, mean and variance "
            "are computed from the batch, so the gradient has two terms more, which go through them."
        )
        return [Cause("batch norm's evaluation gradient in training", why)]
    sums = np.abs(finding.actual.sum(others)).max()
    if per_channel(true) and sums <= 1e-6 * (1 + np.abs(finding.actual).max()):
        why = (
            "Yours sums to 0 over each channel, as in training, where mean and variance follow the batch. Here they "
            "are constants: the gradient is the upstream times weight / sqrt(var + eps)."
        )
        return [Cause("batch norm's training gradient in evaluation", why)]
    return []


# ------------------------------------------------------------------------------------------ what it hangs on
def dependence(finding: Finding) -> Verdict:
    """The failure goes away when one setting has another value: that setting is ignored, or used wrongly."""
    from tinygrad_cnn.testing.properties import PROPERTIES

    if finding.op is None or finding.property not in PROPERTIES or finding.tied:
        return []
    found: dict[str, Cause] = {}
    told, untold = False, False
    for name, value, cause in alternatives(finding):
        if "off by one" in cause.phrase or name in found:
            continue
        outcome = _passes(PROPERTIES[finding.property], finding, {**finding.arguments, name: value})
        told, untold = told or outcome is not None, untold or outcome is None
        if outcome:
            phrase = cause.phrase if cause.phrase == "wrong axis" else f"`{name}` ignored"
            own = finding.arguments[name]
            why = f"With {name}={value!r} there is no such difference, with {name}={own!r} there is."
            found[name] = Cause(phrase, why)
    return list(found.values()) if found or (told and not untold) else None


def _passes(check: Any, finding: Finding, arguments: Arguments) -> bool | None:
    """Whether the op has the property for other arguments; None if it doesn't take them."""
    try:
        run(finding.op, arguments, finding.op._reference)
        Recorded(finding.op, arguments)
    except Exception:
        return None
    try:
        check(finding.op, arguments)
    except ConformanceError as error:
        return None if error.argument != finding.argument else False
    except Exception:
        return None
    return True
