"""Explanations: which argument and which elements of a result or gradient differ, and the likely cause."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np


@dataclass(eq=False)
class Finding:
    """Two arrays that should agree and don't, with what is known about how they came about."""

    actual: Any
    expected: Any
    name: str = ""  # of the op or function
    property: str = "first_order"
    argument: str = ""  # whose gradient it is; empty for the result itself
    op: Any = None
    arguments: Mapping[str, Any] = field(default_factory=dict)
    upstream: Sequence[np.ndarray] = ()
    rtol: float = 1e-5
    atol: float = 1e-7

    def indices(self) -> list[tuple[int, ...]]:
        """Where the two differ."""
        actual, expected = np.asarray(self.actual), np.asarray(self.expected)
        if actual.shape != expected.shape:
            return []
        bad = ~np.isclose(actual, expected, rtol=self.rtol, atol=self.atol, equal_nan=True)
        return [tuple(int(i) for i in index) for index in np.argwhere(bad)]


class ConformanceError(AssertionError):
    """An op breaks one of the properties. Its message says where, shows both values, and names the likely cause."""

    def __init__(self, finding: Finding) -> None:
        super().__init__()
        self.finding = finding
        self.op, self.property, self.argument = finding.name, finding.property, finding.argument
        self.actual, self.expected = finding.actual, finding.expected

    @property
    def indices(self) -> list[tuple[int, ...]]:
        """Where the two differ; empty if their shapes do."""
        return self.finding.indices()

    @property
    def cause(self) -> str:
        """The likely cause, a short stable phrase; empty if no known pattern fits."""
        return ""

    def __str__(self) -> str:
        actual, expected = np.asarray(self.actual), np.asarray(self.expected)
        place = f"gradient of `{self.argument}`" if self.argument else "result"
        if actual.shape != expected.shape:
            return f"{self.op}: {place}: shape {actual.shape}, expected {expected.shape}"
        bad = self.indices
        pairs = [f"{i}: yours {actual[i]:.6g}, numerical {expected[i]:.6g}" for i in bad[:5]]
        return f"{self.op}: {place}: {len(bad)} of {actual.size} elements differ; " + "; ".join(pairs)


def explain(actual: Any, expected: Any, **known: Any) -> ConformanceError:
    """The error to raise for two arrays that should agree; ``known`` are the other fields of ``Finding``.

    >>> print(explain([1.0, 2.0], [1.0, 4.0], name="square", argument="input"))
    square: gradient of `input`: 1 of 2 elements differ; (1,): yours 2, numerical 4
    """
    return ConformanceError(Finding(np.asarray(actual), np.asarray(expected), **known))
