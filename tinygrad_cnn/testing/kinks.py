"""Kinks: points where the slopes to the left and to the right differ, so that there is no one right gradient.

Any value between the two slopes is a subgradient there (Clarke, "Optimization and Nonsmooth Analysis", 1983, for
functions that are convex or concave around the point), and central differences, which give the mean of the slopes, are
no judge. What is a kink is decided by the function's values alone, never by the gradient that is being judged: both
one-sided slopes must stay the same as the step gets eight times shorter (those of a curve draw together, those of a
jump grow), and must differ by far more than rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from tinygrad_cnn.testing.numerical import Differences
from tinygrad_cnn.testing.probe import Probe, as_tuple

SHORTER = 8  # by how much the second step is shorter than the first
STABLE = 0.05  # what part of the kink its slopes may change by meanwhile
DISTINCT_GROUPS = 16  # of elements that are moved together: so many are tried
COLUMNS_SEARCHED = 16  # output elements of each, in which a direction is searched for
ROUNDS = 12  # of that search
ASIDE = 32  # how many steps beside the kink its pieces are looked at
ELEMENTS_NAMED = 4


@dataclass(frozen=True)
class Kink:
    """One output element at a kink of one input element, or of several that are moved together, and the verdict."""

    elements: tuple[tuple[int, tuple[int, ...]], ...]  # (input, index in it): what moves
    output: tuple[int, tuple[int, ...]]  # (output, index in it)
    left: float
    right: float
    value: float  # the slope that the gradient under test claims
    is_subgradient: bool

    @property
    def verdict(self) -> str:
        """``left slope 0, right slope 1, yours 0: a valid subgradient``, or that it isn't between them."""
        end = ": a valid subgradient" if self.is_subgradient else " is not between them"
        return f"left slope {self.left:.6g}, right slope {self.right:.6g}, yours {self.value:.6g}{end}"

    def __str__(self) -> str:
        names = [f"input {i}{list(index) if index else ''}" for i, index in self.elements]
        more = len(names) - ELEMENTS_NAMED
        moved = ", ".join(names[:ELEMENTS_NAMED]) + (f" and {more} more" if more > 0 else "")
        together = " moved together" if len(names) > 1 else ""
        place, index = self.output
        return f"{moved}{together}, output {place}{list(index) if index else ''}: {self.verdict}"


@dataclass(frozen=True)
class Kinks:
    """The kinks at one point: those of the elements alone, and those of ties, whose elements move together."""

    mask: np.ndarray  # which elements of the Jacobian are at a kink
    allowed: np.ndarray  # which of those hold a valid subgradient
    jumps: np.ndarray  # where the function itself jumps: a one-sided slope grows as the step gets shorter
    alone: list[Kink]
    together: list[Kink]


def find_kinks(
    func: Callable[..., Any], inputs: Any, *, eps: float = 1e-6, atol: float = 1e-5, rtol: float = 1e-3, seed: int = 0
) -> list[Kink]:
    """The kinks of ``func`` at ``inputs`` (as for ``gradcheck``), each with its slopes, your gradient and the verdict.

    At a tie of several elements, as in a maximum, the gradient must fit the slopes also where they are moved together:
    shares of 1/k do, 1 each doesn't.

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([-1.0, 0.0, 2.0], dtype=tg.float64, requires_grad=True)
    >>> for kink in find_kinks(tg.relu, x):
    ...     print(kink)
    input 0[1], output 0[1]: left slope 0, right slope 1, yours 0: a valid subgradient
    """
    probe = Probe(func, as_tuple(inputs))
    if not probe.outputs or not probe.arrays:
        return []
    analytical = probe.jacobian()
    found = examine(probe, probe.differences(eps), analytical, eps=eps, atol=atol, rtol=rtol, seed=seed)
    return found.alone + found.together


def suspicious(moved: Differences) -> np.ndarray:
    """Where the slopes to both sides differ by more than a smooth function's would at this step, or than rounding."""
    with np.errstate(invalid="ignore"):  # of infinite values: never suspicious
        bend = np.abs(moved.right - moved.left)
        size = np.maximum(np.abs(moved.right), np.abs(moved.left))
        return np.asarray(bend > 1e-3 * size + 100 * moved.noise)


def examine(
    probe: Probe, moved: Differences, analytical: np.ndarray, *, eps: float, atol: float, rtol: float, seed: int = 0
) -> Kinks:
    """Find the kinks among the one-sided slopes ``moved``, and judge the analytical Jacobian there."""
    none = np.zeros(moved.central.shape, bool)
    close = np.isclose(analytical, moved.central, rtol=rtol, atol=atol)
    rows = np.flatnonzero((suspicious(moved) | ~close).any(axis=1))
    if not len(rows):
        return Kinks(none, none, none, [], [])
    short = probe.differences_at(rows, eps / SHORTER)
    with np.errstate(invalid="ignore"):
        kinked, low, high, slack = _slopes(moved, short, rows, atol, rtol)
        yours = analytical[rows]
        fits = kinked & (low - slack <= yours) & (yours <= high + slack)
        jump = _grows(short.left, moved.left[rows], yours) | _grows(short.right, moved.right[rows], yours)
    mask, allowed, jumps = none.copy(), none.copy(), none.copy()
    mask[rows], allowed[rows], jumps[rows] = kinked, fits, jump
    alone = [
        Kink(
            (probe.row_place(int(rows[r])),), probe.column_place(int(c)),
            float(short.left[r, c]), float(short.right[r, c]), float(yours[r, c]), bool(fits[r, c]),
        )
        for r, c in np.argwhere(kinked)
    ]  # fmt: skip
    bend = np.zeros(none.shape)
    bend[rows] = np.where(kinked, short.right - short.left, 0)
    together = _examine_ties(probe, bend, analytical, eps, atol, rtol, seed)
    return Kinks(mask, allowed, jumps, alone, together)


def _grows(short: np.ndarray, long: np.ndarray, yours: np.ndarray) -> np.ndarray:
    """Whether a slope is that of a jump: large, and larger still over the shorter step."""
    return (np.abs(short) > SHORTER / 2 * np.abs(long)) & (np.abs(short) > 1e3 * np.maximum(1, np.abs(yours)))


def _slopes(
    moved: Differences, short: Differences, rows: np.ndarray, atol: float, rtol: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Which elements are at a kink, the smaller and the larger of their slopes, and the error that these may have."""
    bend = np.abs(short.right - short.left)
    change_left = np.abs(short.left - moved.left[rows])
    change_right = np.abs(short.right - moved.right[rows])
    kinked = (np.maximum(change_left, change_right) <= STABLE * bend) & (bend > 100 * short.noise)
    low, high = np.minimum(short.left, short.right), np.maximum(short.left, short.right)
    slack = atol + rtol * np.maximum(np.abs(low), np.abs(high)) + change_left + change_right
    return kinked, low, high, slack


@dataclass(frozen=True)
class _Tie:
    """Elements (rows of the Jacobian) that one output element has kinks in, all of one kind."""

    probe: Probe
    analytical: np.ndarray
    bend: np.ndarray
    members: list[int]
    eps: float
    atol: float
    rtol: float

    def slopes(self, weights: np.ndarray) -> tuple[Differences, Differences]:
        """The differences along the weighted members, over the longer and over the shorter step."""
        direction = np.zeros(len(self.bend))
        direction[self.members] = weights
        long, short = (self.probe.differences_along(direction, step) for step in (self.eps, self.eps / SHORTER))
        return long, short

    def slopes_beside(self, weights: np.ndarray, column: int) -> np.ndarray:
        """The slopes of the members at a point a little off in that direction, where the output has no kink."""
        direction = np.zeros(len(self.bend))
        direction[self.members] = ASIDE * self.eps * weights
        with self.probe.moved(direction):
            return self.probe.differences_at(np.array(self.members), self.eps).central[:, column]


def _examine_ties(
    probe: Probe, bend: np.ndarray, analytical: np.ndarray, eps: float, atol: float, rtol: float, seed: int
) -> list[Kink]:
    """Judge the gradient along directions in which the elements of a kink move together.

    Elements are grouped by the output that has its kink there and by the kink's kind: among those where it is convex
    (the slope grows) the function is taken to be convex, and a subgradient then lies between the slopes of every
    direction. A direction along which the kind differs proves nothing and is left out.
    """
    groups: dict[tuple[int, ...], list[int]] = {}
    for sign in (1, -1):
        kind = np.sign(bend) == sign
        for column in np.flatnonzero(kind.sum(axis=0) > 1).tolist():
            groups.setdefault(tuple(np.flatnonzero(kind[:, column]).tolist()), []).append(column)
    rng = np.random.default_rng(seed)
    found = []
    for group in list(groups)[:DISTINCT_GROUPS]:
        tie = _Tie(probe, analytical, bend, list(group), eps, atol, rtol)
        for weights in (np.ones(len(group)), rng.uniform(-1, 1, len(group))):
            long, short = tie.slopes(weights)
            found += [_judge(tie, long, short, column, weights) for column in groups[group]]
        for column in groups[group][:COLUMNS_SEARCHED]:
            found += _search(tie, column)
    return [kink for kink in found if kink is not None]


def _search(tie: _Tie, column: int) -> list[Kink | None]:
    """Look for a direction in which the gradient is outside of the slopes; the verdicts on those that were tried.

    The gradients of the smooth pieces that meet at a kink span the subgradients. Each round takes the nearest point to
    the gradient under test in what the pieces known so far span, and looks along the line from there: either the
    gradient is outside, or the piece on that side is a new one (Wolfe, "Finding the nearest point in a polytope",
    Mathematical Programming 11, 1976).
    """
    gradient = tie.analytical[tie.members, column]
    sign = np.sign(tie.bend[tie.members[0], column])
    pieces: list[np.ndarray] = []
    weights = np.ones(len(gradient))
    verdicts: list[Kink | None] = []
    for _ in range(ROUNDS):
        pieces.append(tie.slopes_beside(sign * weights, column))
        if not np.isfinite(pieces[-1]).all():
            break
        weights = gradient - _nearest(np.array(pieces), gradient)
        distance = np.abs(weights).max()
        if not distance > tie.atol + tie.rtol * np.abs(pieces).max():
            break
        weights = weights / distance
        verdicts.append(_judge(tie, *tie.slopes(weights), column, weights))
        if verdicts[-1] is None or not verdicts[-1].is_subgradient:
            break
    return verdicts


def _nearest(points: np.ndarray, target: np.ndarray) -> np.ndarray:
    """About the nearest point to ``target`` in what the points span (Frank and Wolfe, 1956)."""
    best = points[0]
    for _ in range(500):
        way = points[np.argmin(points @ (best - target))] - best
        length = way @ way
        step = 0.0 if length == 0 else min(1.0, float((target - best) @ way / length))
        if step <= 0:
            break
        best = best + step * way
    return best


def _judge(tie: _Tie, long: Differences, short: Differences, column: int, weights: np.ndarray) -> Kink | None:
    """The verdict on one output element along one direction; None where the slopes prove nothing."""
    left, right = float(short.left[0, column]), float(short.right[0, column])
    changed = abs(left - long.left[0, column]) + abs(right - long.right[0, column])
    bend = tie.bend[tie.members, column]
    scale = float(np.abs(bend * weights).sum())
    same_kind = (right - left) * np.sign(bend[0]) >= -STABLE * scale
    if not same_kind or not changed <= STABLE * scale:  # a nan isn't
        return None
    value = float(tie.analytical[tie.members, column] @ weights)
    slack = tie.atol * np.abs(weights).sum() + tie.rtol * max(abs(left), abs(right), scale) + changed
    fits = min(left, right) - slack <= value <= max(left, right) + slack
    moved = tuple(tie.probe.row_place(row) for row in tie.members)
    return Kink(moved, tie.probe.column_place(column), left, right, value, bool(fits))
