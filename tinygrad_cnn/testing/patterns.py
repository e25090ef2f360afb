"""Patterns in two arrays that differ. Each function gives the causes that fit; ``None``: this case can't tell."""

from __future__ import annotations

import math
from collections.abc import Iterator
from fractions import Fraction
from typing import Any

import numpy as np

from tinygrad_cnn.testing.explain import Cause, Finding

Verdict = list[Cause] | None


def same(finding: Finding, a: Any, b: Any) -> bool:
    """Whether two arrays agree as closely as those of the finding should."""
    return np.shape(a) == np.shape(b) and bool(
        np.allclose(a, b, rtol=max(finding.rtol, 1e-5), atol=max(finding.atol, 1e-7), equal_nan=True)
    )


def comparable(finding: Finding) -> bool:
    """Whether both arrays are there, in one shape, finite, and with something in them to recognise."""
    if not finding.same_shape or finding.actual.dtype.kind not in "fiu" or finding.expected.dtype.kind not in "fiu":
        return False
    return bool(np.isfinite(finding.actual).all() and np.isfinite(finding.expected).all())


def ratios(finding: Finding) -> np.ndarray | None:
    """yours / numerical where that is not 0; None if one is 0 alone."""
    size = np.abs(finding.expected).max(initial=0.0)
    present = np.abs(finding.expected) > 1e-6 * size
    if not present.any() or np.abs(finding.actual[~present]).max(initial=0.0) > 1e-5 * size:
        return None
    return np.asarray(finding.actual[present] / finding.expected[present])


def constant_ratio(finding: Finding) -> float | None:
    """The one number that all elements are off by, if there is one."""
    found = ratios(finding)
    if found is None or not np.allclose(found, found.flat[0], rtol=max(1e-4, finding.rtol)):
        return None
    return float(found.flat[0])


def manners(finding: Finding) -> Verdict:
    """What the property that failed says by itself."""
    if finding.property == "layouts":
        why = (
            "The values are the same, only at other places in memory: something reads them in the order of storage "
            "(ravel, reshape of a buffer, strides). Index, or make a contiguous copy first."
        )
        return [Cause("memory layout", why)]
    if finding.property == "no_grad":
        why = "The forward computes something else when nothing is recorded; only what it saves may depend on that."
        return [Cause("another result without recording", why)]
    if finding.property == "memory" and finding.label == "sum of both":
        return [Cause("f(x, x) loses a contribution", "Both places of the op must send their gradient to x.")]
    if finding.property == "upstream":
        return _not_linear(finding)
    if finding.where == "called with arrays":
        return [Cause("differs on arrays", "The op gives another result on arrays than on Tensors.")]
    if finding.where == "of the composite":
        return [Cause("composite differs", "The composite must say the same mathematics as the forward.")]
    return []


def _not_linear(finding: Finding) -> Verdict:
    if "strided" in finding.where or "that is" in finding.where or "stride 0" in finding.where:
        why = "The upstream often isn't contiguous (an expanded scalar, a transposed view): index it, or copy it first."
        return [Cause("memory layout of the upstream", why)]
    why = "A gradient is the upstream times the derivative: no constant, no square, no threshold of the upstream."
    return [Cause("not linear in the upstream", why)]


def not_finite(finding: Finding) -> Verdict:
    """NaN or infinity where the true value is finite."""
    if not finding.same_shape or finding.actual.dtype.kind != "f":
        return []
    wild = ~np.isfinite(finding.actual) & np.isfinite(finding.expected)
    if not wild.any():
        return []
    what = "NaN" if np.isnan(finding.actual[wild]).any() else "infinity"
    if finding.property == "float32":
        return [Cause(f"{what} in float32", "exp overflows beyond 88 in float32: subtract the maximum first.")]
    return [Cause(what, "Look for 0/0, the log or root of 0, or inf - inf; a mask doesn't help, since 0 * NaN is NaN.")]


def ties(finding: Finding) -> Verdict:
    """Equal elements that each get the whole of what they should share."""
    if not finding.tied:
        return []
    actual, expected = float(finding.actual), float(finding.expected)
    if abs(actual) > abs(expected):
        why = (
            "Equal elements are made to move together, so their gradients must add up to the slope: let one of them "
            "take the upstream, or each of k a share of 1/k."
        )
        return [Cause("ties counted twice", why)]
    return [Cause("ties lose a share", "The gradients of equal elements must add up to the upstream.")]


def zero(finding: Finding) -> Verdict:
    """No gradient at all."""
    if not comparable(finding) or finding.actual.any() or not finding.argument:
        return []
    if finding.property == "second_order":
        why = "The second derivative is 0: use ops on Tensors, not NumPy, `.item()`, `.detach()` or a saved array."
        return [Cause("wrong second order: the formula leaves the graph", why)]
    return [Cause("no gradient", "The formula gives 0, or None, for every element.")]


def sign(finding: Finding) -> Verdict:
    """Minus for plus."""
    if not comparable(finding):
        return []
    wrong = finding.bad
    if not same(finding, finding.actual[wrong], -finding.expected[wrong]):
        return []
    some = Cause("sign of some", "They have the right size and the wrong sign: look for `abs`, or a missing `sign`.")
    if not same(finding, finding.actual, -finding.expected):
        return [some]
    return [*_ordered(finding, Cause("sign", "Every element has the right size and the wrong sign.")), some]


def _ordered(finding: Finding, cause: Cause) -> list[Cause]:
    if finding.property != "second_order":
        return [cause]
    return [cause._replace(phrase=f"wrong second order: {cause.phrase}", key=f"second {cause.kind}")]


def known_factor(finding: Finding) -> Verdict:
    """A factor that is a count of elements, or one of the op's settings."""
    if not comparable(finding):
        return []
    ratio = constant_ratio(finding)
    if ratio is None:
        return []
    found = []
    for name, count in _counts(finding):
        if count > 1 and math.isclose(ratio, count, rel_tol=1e-4):
            phrase = f"constant factor {count}: a missing mean"
            found.append(Cause(phrase, f"{count} is the {name}: divide by it.", key=f"missing mean over the {name}"))
        if count > 1 and math.isclose(ratio, 1 / count, rel_tol=1e-4):
            phrase = f"constant factor 1/{count}: a mean too many"
            found.append(Cause(phrase, f"{count} is the {name}.", key=f"mean too many over the {name}"))
    for name, value in _numbers(finding):
        for shown, number in ((name, value), (f"(1 - {name})", 1 - value)):
            if number in (0, 1):
                continue
            if math.isclose(ratio, number, rel_tol=1e-4):
                found.append(_factor_cause(name, shown, True, value))
            elif math.isclose(ratio, 1 / number, rel_tol=1e-4):
                found.append(_factor_cause(name, shown, False, value))
    return found if found or finding.expected.size > 1 else None


def _factor_cause(name: str, shown: str, is_ratio: bool, value: float) -> Cause:
    """``yours / numerical`` is the setting (or 1 less it), or its inverse."""
    if shown != name and is_ratio:  # yours lacks 1 / (1 - p)
        why = f"Elements are kept with probability 1 - {name}, and the kept ones divided by it, in backward as well."
        return Cause("unscaled dropout", why)
    if shown != name:
        return Cause("dropout scaled twice", f"A factor 1 / {shown} too many.")
    if is_ratio:
        return Cause(f"a factor `{name}` too many", f"`{name}` is {value:g}.", key=f"too many {name}")
    return Cause(f"a missing factor `{name}`", f"`{name}` is {value:g}, and yours is 1/{value:g} times too large.")


def _counts(finding: Finding) -> Iterator[tuple[str, int]]:
    """The numbers of elements that a mean might be taken over."""
    shape = np.shape(finding.expected)
    size = math.prod(shape)
    results = [np.shape(u) for u in finding.upstream]
    if finding.argument and results and math.prod(results[0]) and size % math.prod(results[0]) == 0:
        yield "number of elements that become one", size // math.prod(results[0])
    if finding.argument:
        yield "number of elements", size
    if shape:
        yield "batch size", shape[0]
    if len(shape) > 2:
        yield "number of pixels", math.prod(shape[2:])
    if len(shape) > 1:
        yield "number of columns", shape[-1]
    if results and len(results[0]) > 2:
        yield "number of pixels of the result", math.prod(results[0][2:])
        yield "number of pixels of the whole batch", math.prod(results[0][2:]) * results[0][0]


def _numbers(finding: Finding) -> Iterator[tuple[str, float]]:
    """The op's settings that are numbers."""
    for name, value in finding.arguments.items():
        is_setting = name not in getattr(finding.op, "inputs", ())
        if is_setting and isinstance(value, int | float) and value not in (0, 1):
            yield name, float(value)


def constant_factor(finding: Finding) -> Verdict:
    """A factor that is some number."""
    if not comparable(finding):
        return []
    ratio = constant_ratio(finding)
    if ratio is None:
        return []
    simple = Fraction(ratio).limit_denominator(12)
    shown = str(simple) if math.isclose(ratio, simple, rel_tol=1e-4) and simple else f"{ratio:.4g}"
    cause = Cause(f"constant factor {shown}", f"Every element is {shown} times what it should be.")
    return _ordered(finding, cause)


def _quantities(finding: Finding) -> Iterator[tuple[str, np.ndarray]]:
    """What might be missing in a formula: the arguments, as far as they fit the gradient's shape."""
    shape = finding.expected.shape
    upstream = {"g": finding.upstream[0]} if len(finding.upstream) == 1 else {}
    for name, value in {**finding.arguments, **upstream}.items():
        if isinstance(value, np.ndarray) and value.dtype.kind == "f":
            with_shape = np.broadcast_shapes(value.shape, shape) if value.ndim <= len(shape) else None
            if with_shape == shape and np.ptp(value) > 0:
                yield f"`{name}`", np.broadcast_to(value, shape)


def argument_factor(finding: Finding) -> Verdict:
    """A factor that is one of the arguments, element by element."""
    if not comparable(finding) or not finding.argument:
        return []
    actual, expected = finding.actual, finding.expected
    if expected.size < 2:
        return None
    for name, value in _quantities(finding):
        for factor, shown in ((value, name), (value * value, f"{name}²"), (np.exp(value), f"exp({name})")):
            if same(finding, actual * factor, expected):
                why = f"The chain rule multiplies the upstream by the derivative, which has a factor {shown}."
                return _ordered(finding, Cause(f"a missing factor {shown}", why))
            if same(finding, expected * factor, actual):
                return _ordered(finding, Cause(f"a factor {shown} too many"))
    return []


def missing_term(finding: Finding) -> Verdict:
    """A sum that lacks one of its terms: the rest is the upstream times something simple."""
    if not comparable(finding) or finding.property != "first_order" or not finding.argument:
        return []
    rest = finding.expected - finding.actual
    upstream = finding.upstream[0] if len(finding.upstream) == 1 else np.empty(0)
    if rest.size < 2:
        return None
    if np.shape(upstream) == rest.shape:
        factors = [("", np.ones(rest.shape)), *((f" * {name}", value) for name, value in _quantities(finding))]
        for name, value in factors:
            for factor, shown in ((1.0, ""), (-1.0, "-"), (2.0, "2 * ")):
                if same(finding, factor * value * upstream, rest):
                    return [Cause(f"a missing term: {shown}g{name}", "A sum and a product have a term for each part.")]
    axis = finding.arguments.get("dim")
    if not isinstance(axis, int) or not _results(finding):
        return []
    if not rest.ndim or rest.shape[axis] < 2:
        return None
    with np.errstate(all="ignore"):
        shares = [rest / value for value in (np.ones(rest.shape), *_results(finding))]
    if not any(np.ptp(share, axis=axis).max() < 1e-5 for share in shares):
        return []
    why = f"What is missing is a sum over dim={axis}: each result depends on all elements along it."
    return [Cause("a missing term", why)]


def _results(finding: Finding) -> list[np.ndarray]:
    from tinygrad_cnn.testing.calls import run

    return [r for r in run(finding.op, finding.arguments) if r.shape == finding.expected.shape]


def precision(finding: Finding) -> Verdict:
    """float32 that differs from float64 by more than its rounding."""
    if finding.property != "float32" or not comparable(finding):
        return []
    rest = finding.actual.astype(np.float64) - finding.expected
    if rest.size > 2 and np.ptp(rest) < 0.05 * np.abs(rest).max():
        why = "float32 is off by the same everywhere: an `eps` or a bound that is made of the dtype."
        return [Cause("a constant that depends on the dtype", why)]
    if rest.size < 3 and not _is_one_number(finding):
        return None
    why = "float32 has 7 digits: a difference of nearly equal numbers, or a small eps, loses them. Rearrange it."
    return [Cause("float32 accuracy lost", why)]


def _is_one_number(finding: Finding) -> bool:
    """Whether the result has no more elements in any case, so that waiting for one that tells is in vain."""
    return finding.expected.ndim == 0 and any(np.ndim(v) for v in finding.arguments.values())


def inexact(finding: Finding) -> Verdict:
    """Nearly right."""
    if not comparable(finding) or not np.allclose(finding.actual, finding.expected, rtol=1e-3, atol=1e-4):
        return []
    return [Cause("nearly right", "An `eps`, an approximation, or a float32 constant in the formula.")]
