"""The likely cause of a finding: each known pattern is tried on the smallest case and on others, and votes counted."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from tinygrad_cnn.testing import experiments, patterns
from tinygrad_cnn.testing.explain import Cause, Finding

Recogniser = Callable[[Finding], list[Cause] | None]

# The first that fits is named: the more specific ones stand first.
RECOGNISERS: tuple[Recogniser, ...] = (
    patterns.manners,
    patterns.not_finite,
    patterns.ties,
    patterns.zero,
    patterns.sign,
    experiments.upstream_ignored,
    patterns.known_factor,
    patterns.unsummed,
    experiments.settings,
    experiments.exchanged_inputs,
    experiments.repaired,
    patterns.size,
    experiments.overlaps,
    experiments.partial_sum,
    experiments.statistics,
    patterns.moved,
    patterns.argument_factor,
    patterns.missing_term,
    patterns.border,
    patterns.constant_factor,
    patterns.part_of_the_inputs,
    patterns.edges,
    experiments.dependence,
    patterns.inexact,
)
VOTERS = 12  # cases that are asked
ENOUGH = 0.8  # of those that can tell


def diagnose(finding: Finding, others: Sequence[Finding] = ()) -> Cause | None:
    """The cause that fits nearly all of the cases, in the words of the first that shows it."""
    cases = [finding, *others[:VOTERS]]
    for recogniser in RECOGNISERS:
        votes = [_ask(recogniser, case) for case in cases]
        told = [vote for vote in votes if vote is not None]
        kinds = dict.fromkeys(cause.kind for vote in told for cause in vote)
        for kind in kinds:
            fitting = [cause for vote in told for cause in vote[:] if cause.kind == kind]
            if len(fitting) >= ENOUGH * len(told) and (len(fitting) > 1 or len(cases) < 3):
                return fitting[0]
    return None


def _ask(recogniser: Recogniser, case: Finding) -> list[Cause] | None:
    """The causes that fit the case; None if it can't tell, as where an experiment on it fails."""
    try:
        return recogniser(case)
    except Exception:  # an experiment may be impossible in many ways, none of which is the reader's concern
        return None
