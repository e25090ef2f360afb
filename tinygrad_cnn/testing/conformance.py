"""``check_op``: holds an op, ours or yours, to every property, over arguments drawn by hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.errors import ArgumentError, check_argument
from tinygrad_cnn.testing.calls import Arguments
from tinygrad_cnn.testing.draw import Draw, HypothesisSource, RandomSource
from tinygrad_cnn.testing.explain import Cause, ConformanceError, Finding
from tinygrad_cnn.testing.properties import PROPERTIES

__all__ = ["ConformanceError", "check_op", "check_sample"]

MORE_CASES = 40  # drawn after a failure, to tell causes apart that look alike in the smallest case


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
    error = _search(op, drawn, examples, seed) if drawn else None
    if error is None:
        return
    others = _others(op, drawn)
    telling = min([error, *others], key=_rank)
    if _rank(telling) < _rank(error):  # other cases show an earlier property broken, which explains more
        error = _search(op, [telling.property], examples, seed, lambda e: _alike(e, telling)) or telling
    raise _explained(op, error, [o for o in others if _alike(o, error)], examples, seed) from error.__cause__


def _explained(
    op: Op, error: ConformanceError, others: Sequence[ConformanceError], examples: int | None, seed: int | None
) -> ConformanceError:
    """The failure with those like it to tell its cause, in the smallest case that shows the pattern."""
    told = ConformanceError(error.finding, [other.finding for other in others])
    diagnosis = told.diagnosis
    if diagnosis is None or diagnosis.shown_by(told.finding):
        return told
    shown = _search(op, [error.property], examples, seed, lambda e: _alike(e, error) and diagnosis.shown_by(e.finding))
    return told if shown is None else ConformanceError(shown.finding, told.others)


def _rank(error: ConformanceError) -> tuple[bool, int]:
    """Differences say more than exceptions, and properties that stand first more than those behind them."""
    return error.finding.raised is not None, list(PROPERTIES).index(error.property)


def _alike(one: ConformanceError, other: ConformanceError) -> bool:
    """Whether two failures are of one kind, so that what is found out about one says something about the other."""
    kinds = [(e.property, e.argument, e.finding.raised is None, e.finding.given is None) for e in (one, other)]
    return kinds[0] == kinds[1]


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
        cause = Cause(f"it raises {type(error).__name__}", str(error), key="it raises")
        finding = Finding(property=name, op=op, arguments=arguments, given=cause, raised=error)
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


def _search(
    op: Op,
    names: Sequence[str],
    examples: int | None,
    seed: int | None,
    wanted: Callable[[ConformanceError], bool] = lambda error: True,
) -> ConformanceError | None:
    """The failure that is ``wanted`` in the smallest case that hypothesis finds, or None."""
    import hypothesis
    from hypothesis import HealthCheck, given, settings, strategies

    found: list[ConformanceError] = []

    def test(data: Any) -> None:
        assert op._samples is not None
        tried = [found[0].property] if found else names
        error = _first_failure(op, tried, op._samples(Draw(HypothesisSource(data))))
        if error is not None and (not found or _alike(error, found[0])) and wanted(error):
            found.append(error)
            raise error

    profile = settings.default
    count = examples or (profile.max_examples if profile is not None else 100)
    phases = (hypothesis.Phase.generate, hypothesis.Phase.shrink)  # the causes are explained here
    limits: dict[str, Any] = dict(
        deadline=None, database=None, report_multiple_bugs=False, print_blob=False, phases=phases
    )
    drawing = given(strategies.data())(test)
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


def _first_failure(op: Op, names: Sequence[str], arguments: Arguments) -> ConformanceError | None:
    """The failure on these arguments that says most."""
    failures = []
    for name in names:
        try:
            _check(op, name, arguments)
        except ConformanceError as error:
            if error.finding.raised is None:
                return error
            failures.append(error)
    return failures[0] if failures else None


def _others(op: Op, names: Sequence[str]) -> list[ConformanceError]:
    """Failures in further cases, large ones included."""
    found = []
    for seed in range(MORE_CASES):
        assert op._samples is not None
        error = _first_failure(op, names, op._samples(Draw(RandomSource(seed))))
        if error is not None:
            found.append(error)
    return found
