"""The likely cause of a finding: each known pattern is tried on the smallest case and on others, and votes counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

from tinygrad_cnn.testing import experiments, patterns, positions
from tinygrad_cnn.testing.explain import Cause, Finding

Recogniser = Callable[[Finding], list[Cause] | None]

# The first that fits is named: the more specific ones stand first.
RECOGNISERS: tuple[Recogniser, ...] = (
    patterns.manners,
    patterns.precision,
    experiments.residual_constant,
    patterns.not_finite,
    patterns.ties,
    patterns.zero,
    patterns.sign,
    experiments.upstream_ignored,
    patterns.known_factor,
    positions.unsummed,
    experiments.settings,
    experiments.exchanged_inputs,
    experiments.repaired,
    positions.size,
    experiments.partial_sum,
    experiments.overlaps,
    experiments.statistics,
    positions.moved,
    patterns.constant_factor,
    patterns.argument_factor,
    patterns.missing_term,
    positions.border,
    positions.part_of_the_inputs,
    positions.edges,
    experiments.dependence,
    patterns.inexact,
)
VOTERS = 12  # cases that are asked
ENOUGH = 0.8  # of those that can tell


class Diagnosis(NamedTuple):
    """The cause that fits, and what recognised it."""

    cause: Cause
    recogniser: Recogniser

    def shown_by(self, case: Finding) -> bool:
        """Whether this case alone shows the pattern."""
        return any(cause.kind == self.cause.kind for cause in _ask(self.recogniser, case) or ())


def diagnose(finding: Finding, others: Sequence[Finding] = ()) -> Diagnosis | None:
    """The cause that fits nearly all of the cases that can tell, in the words of the first that shows it."""
    cases = [finding, *others[:VOTERS]]
    for recogniser in RECOGNISERS:
        told = [vote for vote in (_ask(recogniser, case) for case in cases) if vote is not None]
        for kind in dict.fromkeys(cause.kind for vote in told for cause in vote):
            fitting = [cause for vote in told for cause in vote if cause.kind == kind]
            if len(fitting) >= ENOUGH * len(told) and (len(fitting) > 1 or len(cases) < 3):
                return Diagnosis(fitting[0], recogniser)
    return None


def _ask(recogniser: Recogniser, case: Finding) -> list[Cause] | None:
    """The causes that fit the case; None if it can't tell, as where an experiment on it fails."""
    try:
        return recogniser(case)
    except Exception:  # an experiment may be impossible in many ways, none of which is the reader's concern
        return None
