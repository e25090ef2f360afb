"""Patterns in where two arrays differ, and in their shapes. As in ``patterns``, ``None`` means: can't tell."""

from __future__ import annotations

import itertools

import numpy as np

from tinygrad_cnn.testing.explain import Cause, Finding
from tinygrad_cnn.testing.patterns import Verdict, comparable, same


def unsummed(finding: Finding) -> Verdict:
    """A gradient with the shape of the result, where the input was repeated: it must be summed over what it was."""
    if finding.actual is None or finding.same_shape or not finding.argument:
        return []
    actual, expected = finding.actual, finding.expected
    if actual.size <= expected.size:
        return None
    for count in range(1, actual.ndim + 1):
        for axes in itertools.combinations(range(actual.ndim), count):
            summed = actual.sum(axes)
            if summed.size == expected.size and same(finding, summed.reshape(expected.shape), expected):
                over = "over batch and pixels" if finding.argument == "bias" and actual.ndim > 2 else f"over {axes}"
                why = (
                    f"`{finding.argument}` is used once for each element of dimensions {axes} of your gradient: sum "
                    "the gradient over them."
                )
                phrase = "bias gradient not summed" if finding.argument == "bias" else "broadcast dimension not summed"
                return [Cause(f"{phrase} {over}" if finding.argument == "bias" else phrase, why, key=phrase)]
    return []


def size(finding: Finding) -> Verdict:
    """Shapes that differ in a known way."""
    if finding.actual is None or finding.same_shape:
        return []
    actual, expected = np.shape(finding.actual), np.shape(finding.expected)
    if finding.actual.size == finding.expected.size and finding.actual.ndim == finding.expected.ndim:
        for axes in itertools.permutations(range(finding.actual.ndim)):
            if same(finding, finding.actual.transpose(axes), finding.expected):
                return [Cause("transposed", f"Yours would be right with its dimensions in the order {axes}.")]
    if [s for s in actual if s != 1] == [s for s in expected if s != 1]:
        why = "One has a dimension of size 1 that the other lacks: look at `keepdim`."
        return [Cause("a dimension of size 1", why)]
    if len(actual) == len(expected):
        steps = [a - e for a, e in zip(actual, expected, strict=True)]
        windows = bool({"stride", "kernel_size", "step"} & set(finding.arguments))
        if windows and max(map(abs, steps)) == 1 and not finding.argument:
            why = "The size of the result is floor((size + 2 padding - dilation (kernel - 1) - 1) / stride) + 1."
            return [Cause("floor rule off by one", why)]
        if windows and finding.argument and max(steps) <= 0:
            why = "The windows don't reach the last pixels, and the gradient must have them all the same, with 0."
            return [Cause("floor rule: left-over pixels missing", why)]
    return [Cause("shape", f"The gradient has the shape of its input, {expected}.")] if finding.argument else []


def moved(finding: Finding) -> Verdict:
    """The right values in the wrong places."""
    if not comparable(finding) or finding.expected.size < 2:
        return None if comparable(finding) else []
    actual, expected = finding.actual, finding.expected
    if not finding.differs or np.ptp(expected) == 0:
        return None
    found = []
    for first, second in itertools.combinations(range(actual.ndim), 2):
        if same(finding, np.swapaxes(actual, first, second), expected):
            found.append(Cause("transposed", f"Dimensions {first} and {second} are exchanged."))
    for axes in ((-2, -1), *((a,) for a in range(actual.ndim))):
        if actual.ndim >= len(axes) and same(finding, np.flip(actual, axes), expected):
            kernel = len(axes) == 2 and actual.ndim == 4
            phrase = "flipped kernel" if kernel else "reversed"
            why = "Convolution layers correlate: the kernel is not flipped; in the gradient by the image, it is."
            found.append(Cause(phrase, why if kernel else f"Dimension {axes[0]} runs backwards."))
    for axis in range(actual.ndim):
        for step in (1, -1):
            if _shifted(finding, axis, step):
                direction = "late" if step > 0 else "early"
                why = f"Along dimension {axis}, everything stands one place too {direction}."
                found.append(Cause("off-by-one index", why))
    if same(finding, np.sort(actual, None), np.sort(expected, None)):
        why = "Look for a reshape where a transpose belongs, or an index."
        found.append(Cause("right values in the wrong places", why))
    return found


def _shifted(finding: Finding, axis: int, step: int) -> bool:
    side = finding.actual.shape[axis]
    if side > 1 and same(finding, np.roll(finding.expected, step, axis), finding.actual):
        return True
    if side < 3:
        return False
    late = np.take(finding.actual, range(max(step, 0), side + min(step, 0)), axis)
    early = np.take(finding.expected, range(max(-step, 0), side + min(-step, 0)), axis)
    return same(finding, late, early) and bool(np.abs(early).max() > 0)


def border(finding: Finding) -> Verdict:
    """Only the pixels at the edges of an image differ."""
    if not comparable(finding) or finding.expected.ndim < 2:
        return []
    height, width = finding.expected.shape[-2:]
    if height < 3 or width < 3:
        return None  # all is border
    inner = finding.bad[..., 1:-1, 1:-1]
    if inner.any():
        return []
    padded = any("pad" in name for name in finding.arguments)
    why = "Windows that reach over the edge see the padding there, in the forward pass and in the gradient alike."
    return [Cause("border: padding" if padded else "only the border", why, "all of them at the border")]


def edges(finding: Finding) -> Verdict:
    """Only the first or the last index of a dimension differs."""
    if not comparable(finding):
        return []
    found: list[Cause] = []
    for axis, side in enumerate(finding.expected.shape):
        if side < 2:
            continue
        hit = set(np.argwhere(finding.bad)[:, axis].tolist())
        for index, name in ((0, "first"), (side - 1, "last")):
            if hit == {index}:
                why = f"All else is right: a loop, a slice or a range along dimension {axis} begins or ends wrong."
                where = f"all of them at the {name} index of dimension {axis}"
                found.append(Cause(f"off by one: the {name} index", why, where))
    return found if found or min(finding.expected.shape, default=0) > 1 else None


def part_of_the_inputs(finding: Finding) -> Verdict:
    """The elements that differ are those where an input is negative, or positive, or a mask is set."""
    if not comparable(finding):
        return []
    if finding.bad.size < 2:
        return None
    found = []
    for name, value in finding.arguments.items():
        if not isinstance(value, np.ndarray) or value.shape != finding.bad.shape or value.size < 2:
            continue
        parts = ((value < 0, "negative"), (value > 0, "positive"), (value > 1, "above 1"), (value < -1, "below -1"))
        for holds, what in parts:
            if value.dtype.kind == "f" and np.array_equal(holds, finding.bad):
                why = "The other elements are right: look at the branch, or mask, for these."
                found.append(Cause(f"wrong where `{name}` is {what}", why, f"all of them where `{name}` is {what}"))
    return found
