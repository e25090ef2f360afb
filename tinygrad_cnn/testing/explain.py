"""Explanations: which argument and which elements of a result or gradient differ, and the likely cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np

ROWS = 5  # of differing elements that a message shows
ORDINALS = ("first", "second", "third", "fourth", "fifth", "sixth")
COLUMN = 14


class Cause(NamedTuple):
    """A pattern that was recognised: a short stable phrase, and what a reader can do with it."""

    phrase: str
    why: str = ""
    where: str = ""  # which elements differ: "all of them where windows overlap"
    key: str = ""  # what is the same about it in every case, where the phrase has a number in it

    @property
    def kind(self) -> str:
        """What is the same about it in every case."""
        return self.key or self.phrase


@dataclass(eq=False)
class Finding:
    """Two arrays that should agree and don't, with what is known about how they came about."""

    actual: Any = None
    expected: Any = None
    name: str = ""  # of the op or function
    property: str = "first_order"
    argument: str = ""  # whose gradient it is; empty for the result itself
    op: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    upstream: Sequence[np.ndarray] = ()
    rtol: float = 1e-5
    atol: float = 1e-7
    label: str = "numerical"  # what ``expected`` is
    where: str = ""  # the circumstances: "with float32 inputs"
    place: Any = None  # the argument as a ``Place``
    tied: bool = False  # whether elements were made equal on purpose
    given: Cause | None = None  # the cause, if it is known
    raised: Exception | None = None  # what was raised instead of a result

    def __post_init__(self) -> None:
        self.name = self.name or getattr(self.op, "name", "function")

    @cached_property
    def bad(self) -> np.ndarray:
        """Where the two differ; one True if their shapes do."""
        if self.actual is None or np.shape(self.actual) != np.shape(self.expected):
            return np.asarray(True)
        if self.actual.dtype.kind in "biu" and self.expected.dtype.kind in "biu":
            return np.asarray(self.actual != self.expected)
        close = np.isclose(self.actual, self.expected, rtol=self.rtol, atol=self.atol, equal_nan=True)
        return np.asarray(~close)

    @cached_property
    def differs(self) -> bool:
        """Whether there is anything to explain."""
        return bool(self.bad.any())

    @cached_property
    def same_shape(self) -> bool:
        """Whether there are two arrays to compare element by element."""
        return self.actual is not None and np.shape(self.actual) == np.shape(self.expected)

    @cached_property
    def indices(self) -> list[tuple[int, ...]]:
        """The indices of the elements that differ; none if the shapes do."""
        if not self.same_shape:
            return []
        return [tuple(int(i) for i in index) for index in np.argwhere(self.bad)]


class ConformanceError(AssertionError):
    """An op breaks one of the properties. Its message says where, shows both values, and names the likely cause.

    ``others`` are findings of the same kind from other cases: a cause must fit them as well.
    """

    def __init__(self, finding: Finding, others: Sequence[Finding] = ()) -> None:
        super().__init__()
        self.finding, self.others = finding, list(others)
        self.op, self.property, self.argument = finding.name, finding.property, finding.argument
        self.actual, self.expected, self.indices = finding.actual, finding.expected, finding.indices

    @cached_property
    def diagnosis(self) -> Any:
        """The pattern that fits, if a known one does (a ``causes.Diagnosis``)."""
        from tinygrad_cnn.testing.causes import diagnose

        return None if self.finding.given is not None else diagnose(self.finding, self.others)

    @property
    def _cause(self) -> Cause | None:
        return self.finding.given or (self.diagnosis.cause if self.diagnosis is not None else None)

    @property
    def cause(self) -> str:
        """The likely cause, a short stable phrase; empty if no known pattern fits."""
        return self._cause.phrase if self._cause is not None else ""

    @cached_property
    def message(self) -> str:
        """What is wrong, where, the two values side by side, the likely cause, and the case to try it on."""
        finding, cause = self.finding, self._cause
        lines = [f"{finding.name}: {_headline(finding, cause)}", *_table(finding)]
        if cause is None:
            lines.append("  likely cause: none of the known patterns fits")
        elif finding.actual is None and finding.given is not None:
            lines += [f"  {cause.why}"] if finding.raised is None else []
        else:
            lines.append(f"  likely cause: {cause.phrase}" + (f". {cause.why}" if cause.why else ""))
        lines += _case(finding)
        return "\n".join(lines)

    def __str__(self) -> str:
        return self.message


def explain(actual: Any, expected: Any, **known: Any) -> ConformanceError:
    """The error to raise for two arrays that should agree; ``known`` are the other fields of ``Finding``.

    >>> print(explain([3.0, 9.0], [2.0, 6.0], name="square", argument="input"))
    square: gradient of `input`: 2 of 2 elements differ
        index         yours         numerical     ratio
        (0,)          3             2             1.5
        (1,)          9             6             1.5
      likely cause: constant factor 3/2. Every element is 3/2 times what it should be.
    """
    return ConformanceError(Finding(np.asarray(actual), np.asarray(expected), **known))


def compare(op: Any, arguments: Mapping[str, Any], actual: Any, expected: Any, **known: Any) -> None:
    """Raise ConformanceError unless the two arrays agree in shape and values."""
    actual, expected = np.asarray(actual), np.asarray(expected)
    if actual.shape == expected.shape and bool((actual == expected).all()):
        return  # the common case, without ado
    finding = Finding(actual, expected, op=op, arguments=arguments, **known)
    if finding.differs:
        raise ConformanceError(finding)


def refuse(op: Any, arguments: Mapping[str, Any], cause: Cause, **known: Any) -> None:
    """Raise ConformanceError with a cause that is known."""
    raise ConformanceError(Finding(op=op, arguments=arguments, given=cause, **known))


# ----------------------------------------------------------------------------------------- the message
def _subject(finding: Finding) -> str:
    order = "second derivative" if finding.property == "second_order" else "gradient"
    phrase = finding.given.phrase if finding.given is not None else ""
    if not finding.argument:
        what = "result"
    elif finding.argument in ("g", "out") or phrase in ("undeclared view", "another default"):
        what = f"`{finding.argument}`"
    elif phrase == "mutated input":
        what = f"input `{finding.argument}`"
    elif " " in finding.argument:
        what = f"{order} by {finding.argument}"
    else:
        what = f"{order} of {_ordinal(finding)}`{finding.argument}`"
    return f"{what} {finding.where}".rstrip()


def _ordinal(finding: Finding) -> str:
    parameters = getattr(finding.op, "parameters", ())
    base = finding.argument.partition("[")[0]
    if base not in parameters or len(getattr(finding.op, "inputs", ())) < 2:
        return ""
    index = parameters.index(base)
    return f"the {ORDINALS[index]} argument " if index < len(ORDINALS) else ""


def _headline(finding: Finding, cause: Cause | None) -> str:
    subject = _subject(finding)
    if finding.tied:
        sums = f"add up to {_number(finding.actual)}; when they move together, the slope is {_number(finding.expected)}"
        return f"where elements are equal, their gradients {sums}"
    if finding.raised is not None:
        return f"{subject}: {type(finding.raised).__name__}: {finding.raised}"
    if finding.actual is None:
        return f"{subject}: {cause.phrase if cause else finding.property}"
    if not finding.same_shape:
        shapes = f"shape {np.shape(finding.actual)}, {finding.label} {np.shape(finding.expected)}"
        return f"{subject}: {shapes}"
    count, size = int(finding.bad.sum()), finding.bad.size
    noun = "1 element differs" if size == 1 else f"{count} of {size} elements differ{'s' if count == 1 else ''}"
    where = f", {cause.where}" if cause is not None and cause.where else ""
    return f"{subject}: {noun}{where if count > 1 else where.replace('all of them ', '')}"


def _number(value: Any, digits: int = 6) -> str:
    value = np.asarray(value)
    return f"{value:.{digits}g}" if value.dtype.kind in "fc" else str(value)


def _ratio(actual: Any, expected: Any) -> str:
    if np.asarray(actual).dtype.kind != "f" or not np.isfinite(actual) or not np.isfinite(expected) or expected == 0:
        return ""
    return f"{actual / expected:.4g}"


def _table(finding: Finding) -> list[str]:
    if not finding.same_shape or not finding.differs or finding.tied:
        return []
    rows = [("index", "yours", finding.label, "ratio")]
    for index in finding.indices[:ROWS]:
        actual, expected = finding.actual[index], finding.expected[index]
        place = str(tuple(index)).replace(" ", "") if index else "(0-d)"
        digits = 6 if _number(actual) != _number(expected) else 17
        rows.append((place, _number(actual, digits), _number(expected, digits), _ratio(actual, expected)))
    widths = [max(COLUMN, 2 + max(len(row[i]) for row in rows)) for i in range(len(rows[0]))]
    lines = ["    " + "".join(map(str.ljust, row, widths)).rstrip() for row in rows]
    more = len(finding.indices) - ROWS
    return [*lines, f"    and {more} more"] if more > 0 else lines


def _literal(value: Any) -> str:
    """An argument as it would be typed in."""
    if isinstance(value, list | tuple) and any(isinstance(v, np.ndarray) for v in value):
        return "[" + ", ".join(_literal(v) for v in value) + "]"
    if not isinstance(value, np.ndarray):
        return repr(value)
    if value.size > 40 or not value.size:
        return f"array of shape {value.shape}, {value.dtype}"
    text = np.array2string(value, separator=", ", precision=4, max_line_width=10_000, threshold=100)
    text = " ".join(text.split())
    return text if value.dtype == np.float64 else f"{text} ({value.dtype})"


def _case(finding: Finding) -> list[str]:
    """The arguments of the case, and the upstream that the gradients are weighted with."""
    if finding.op is None or not finding.arguments:
        return []
    width = max(map(len, (*finding.arguments, "upstream")))
    lines = ["  the case:"]
    lines += [f"    {name.ljust(width)} = {_literal(value)}" for name, value in finding.arguments.items()]
    if len(finding.upstream) and finding.argument:
        given = finding.upstream[0] if len(finding.upstream) == 1 else list(finding.upstream)
        lines.append(f"    {'upstream'.ljust(width)} = {_literal(given)}")
    return lines
