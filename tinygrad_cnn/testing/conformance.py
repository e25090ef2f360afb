"""``check_op``: holds an op, ours or yours, to every property, over arguments drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.errors import ArgumentError, check_argument
from tinygrad_cnn.testing.calls import Arguments, differentiable_places
from tinygrad_cnn.testing.draw import Draw, RandomSource
from tinygrad_cnn.testing.explain import Cause, ConformanceError, Finding
from tinygrad_cnn.testing.properties import PROPERTIES

__all__ = ["ConformanceError", "check_op", "check_sample", "differentiable_inputs"]

MORE_CASES = 40  # drawn after a failure, to tell causes apart that look alike in the smallest case


def differentiable_inputs(op: Op, arguments: Arguments) -> list[str]:
    """The inputs of this call that have a gradient formula and hold floating-point numbers."""
    declared = op._fused.inputs if op._fused is not None else tuple(op.formulas)
    found = dict.fromkeys(place.name for place in differentiable_places(op, arguments))
    return [name for name in found if name in declared]


def check_op(
    op: Op, *, examples: int | None = None, properties: Sequence[str] | None = None, seed: int | None = None
) -> None:
    """Draw sets of arguments from the op's samples, and hold it to the properties on each.

    examples: how many (default: that of hypothesis's active profile).
    properties: their names (default: all of ``PROPERTIES``, in their order, but those that the op is exempt from).
    seed: for other draws than the default ones.

    Raises ConformanceError about the smallest case that could be found.
    """
    names = _chosen(op, properties)
    _check_declarations(op, names)
    if "refusals" in names:
        PROPERTIES["refusals"](op, {})
    drawn = [name for name in names if name != "refusals"]
    if drawn:
        error = _search(op, drawn, examples, seed)
        if error is not None:
            raise ConformanceError(error.finding, _alike(op, error)) from error.__cause__


def check_sample(op: Op, arguments: Arguments, properties: Sequence[str] | None = None) -> None:
    """Hold an op to the properties on one set of arguments."""
    for name in _chosen(op, properties):
        _check(op, name, arguments)


def _check(op: Op, name: str, arguments: Arguments) -> None:
    """One property; whatever else is raised on the way is a failure of it too."""
    try:
        PROPERTIES[name](op, arguments)
    except ConformanceError:
        raise
    except Exception as error:
        why = f"{type(error).__name__}: {error}"
        finding = Finding(property=name, op=op, arguments=arguments, given=Cause("it raises", why))
        raise ConformanceError(finding) from error


def _chosen(op: Op, properties: Sequence[str] | None) -> list[str]:
    unknown = set(properties or ()) - set(PROPERTIES)
    check_argument(not unknown, f"check_op: unknown properties {sorted(unknown)}; known: {', '.join(PROPERTIES)}")
    unknown = set(op.exemptions) - set(PROPERTIES) - {"ties"} - set(op.inputs)
    if unknown:
        raise ArgumentError(f"{op.name}.exempt: {sorted(unknown)} is no property and no input")
    return [name for name in properties or PROPERTIES if name not in op.exemptions]


def _check_declarations(op: Op, names: Sequence[str]) -> None:
    """An op can be tested when it has samples, a reference, and gradients; a fused rule when it has a composite."""
    missing = [] if op._samples is not None or names == ["refusals"] else ["samples"]
    if "value" in names and op._reference is None:
        missing.append("a reference")
    if op.is_differentiable and not (op.formulas or op._fused):
        missing.append("gradients")
    if op._fused is not None and op._composite is None:
        missing.append("a composite (the fused rule's mathematics in simple ops)")
    if missing:
        why = "The kit draws from the samples, and holds the forward against the reference."
        cause = Cause(f"nothing declared: {' and '.join(missing)}", why)
        raise ConformanceError(Finding(property=names[0] if names else "value", op=op, given=cause))


def _search(op: Op, names: Sequence[str], examples: int | None, seed: int | None) -> ConformanceError | None:
    """The failure in the smallest case, or None."""
    import hypothesis
    from hypothesis import HealthCheck, given, settings

    from tinygrad_cnn.testing.strategies import samples

    found: list[ConformanceError] = []

    def test(arguments: Arguments) -> None:
        for name in names:
            try:
                _check(op, name, arguments)
            except ConformanceError as error:
                if not found or (error.property, error.argument) == (found[0].property, found[0].argument):
                    found.append(error)
                    raise

    profile = settings.default
    count = examples or (profile.max_examples if profile is not None else 100)
    limits: dict[str, Any] = dict(deadline=None, database=None, report_multiple_bugs=False, print_blob=False)
    limits["phases"] = [hypothesis.Phase.generate, hypothesis.Phase.shrink]  # explain would take most of the time
    drawing = given(samples(op))(test)  # half the time of drawing from data()
    if seed is not None:
        drawing = hypothesis.seed(seed)(drawing)
    runner = settings(max_examples=count, suppress_health_check=list(HealthCheck), **limits)(drawing)
    try:
        runner()
    except ConformanceError:
        return found[-1]  # hypothesis runs the smallest case last
    except hypothesis.errors.Flaky:
        return found[0]
    return None


def _alike(op: Op, error: ConformanceError) -> list[Finding]:
    """Findings about the same property and argument in further cases, large ones included."""
    found = []
    if error.finding.given is not None:
        return []
    for seed in range(MORE_CASES):
        assert op._samples is not None
        try:
            _check(op, error.property, op._samples(Draw(RandomSource(seed))))
        except ConformanceError as other:
            if (other.argument, other.finding.given) == (error.argument, None):
                found.append(other.finding)
    return found
