"""A line search for the strong Wolfe conditions (Nocedal and Wright, Numerical Optimization, section 3.5)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np

DECREASE = 1e-4  # the part of the expected decrease of the loss that is enough
CURVATURE = 0.9  # the part of the first slope that may be left


class Point(NamedTuple):
    """A point on the line: the loss there, its gradient, and the slope along the line."""

    step: float
    loss: float
    grad: np.ndarray
    slope: float


def strong_wolfe(
    evaluate: Callable[[float], Point], start: Point, step: float, extent: float, budget: int, tolerance: float
) -> tuple[Point, int]:
    """A point where the loss has fallen and flattened enough, and the number of evaluations it took.

    ``step``: the first to try; ``extent``: the largest component of the direction; ``budget``: of evaluations;
    ``tolerance``: the movement below which the search ends.
    """

    def too_high(point: Point) -> bool:
        return point.loss > start.loss + DECREASE * point.step * start.slope

    def flat(point: Point) -> bool:
        return abs(point.slope) <= -CURVATURE * start.slope

    # go outwards, until a good point lies between the last two
    previous, point, used = start, evaluate(step), 0
    while used < budget:
        if too_high(point) or (used > 1 and point.loss >= previous.loss):
            break
        if flat(point):
            return point, used + 1
        if point.slope >= 0:
            break
        step = _minimum(previous, point, point.step + 0.01 * (point.step - previous.step), point.step * 10)
        previous, point = point, evaluate(step)
        used += 1
    else:
        previous = start
    bracket = [previous, point]
    low = _lower(bracket)

    # halve the bracket, roughly, until the point is found
    stalled = False
    while used < budget:
        left, right = sorted((bracket[0].step, bracket[1].step))
        if (right - left) * extent < tolerance:
            break
        step = _minimum(bracket[0], bracket[1], left, right)
        margin = 0.1 * (right - left)
        if min(right - step, step - left) >= margin:
            stalled = False
        elif stalled or step >= right or step <= left:  # it clings to one end
            step = right - margin if abs(step - right) < abs(step - left) else left + margin
            stalled = False
        else:
            stalled = True
        point = evaluate(step)
        used += 1
        if too_high(point) or point.loss >= bracket[low].loss:
            bracket[1 - low] = point
            low = _lower(bracket)
            continue
        if flat(point):
            return point, used + 1
        if point.slope * (bracket[1 - low].step - bracket[low].step) >= 0:
            bracket[1 - low] = bracket[low]
        bracket[low] = point
    return bracket[low], used + 1


def _lower(bracket: list[Point]) -> int:
    return 0 if bracket[0].loss <= bracket[1].loss else 1


def _minimum(a: Point, b: Point, least: float, most: float) -> float:
    """Where the cubic through two points with their slopes is lowest, within bounds (equation 3.59)."""
    if a.step > b.step:
        a, b = b, a
    middle = a.slope + b.slope - 3 * (a.loss - b.loss) / (a.step - b.step)
    square = middle**2 - a.slope * b.slope
    if square < 0:
        return (least + most) / 2
    root = math.sqrt(square)
    step = b.step - (b.step - a.step) * ((b.slope + root - middle) / (b.slope - a.slope + 2 * root))
    return min(max(step, least), most)
