"""Padding kernels. ``pad`` counts from the last dimension: (before, after, before of the one but last, ...)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

Array = np.ndarray


def _sides(ndim: int, pad: Sequence[int]) -> list[tuple[int, int]]:
    """(before, after) of every dimension, from the first."""
    pairs = list(zip(pad[::2], pad[1::2], strict=True))
    return [(0, 0)] * (ndim - len(pairs)) + pairs[::-1]


def constant_pad(x: Array, pad: Sequence[int], value: float) -> Array:
    """Elements of ``value`` added at the ends of dimensions; a negative number takes so many away."""
    sides = _sides(x.ndim, pad)
    kept = x[tuple(slice(max(-a, 0), side + min(b, 0)) for side, (a, b) in zip(x.shape, sides, strict=True))]
    if max(pad, default=0) <= 0:
        return kept.copy(order="K")
    shape = tuple(side + a + b for side, (a, b) in zip(x.shape, sides, strict=True))
    out = np.zeros_like(x, shape=shape) if value == 0 else np.full_like(x, value, shape=shape)
    out[tuple(slice(max(a, 0), side - max(b, 0)) for side, (a, b) in zip(shape, sides, strict=True))] = kept
    return out


def _border(shape: Sequence[int], pad: Sequence[int], mode: str) -> Iterator[tuple[int, list[int], list[int]]]:
    """For each padded dimension, from the last: itself, the indices added to it, and those that they repeat."""
    for dim, (before, after) in zip(
        range(-1, -len(shape) - 1, -1), zip(pad[::2], pad[1::2], strict=True), strict=False
    ):
        side = shape[dim]
        added = [*range(-before, 0), *range(side, side + after)]
        if mode == "circular":
            source = [i % side for i in added]
        elif mode == "replicate":
            source = [min(max(i, 0), side - 1) for i in added]
        else:  # reflect, without repeating the edge
            source = [side - 1 - abs(side - 1 - abs(i)) for i in added]
        yield dim, [i + before for i in added], [i + before for i in source]


def _at(dim: int, index: int | list[int]) -> tuple[Any, ...]:
    return (..., index, *[slice(None)] * (-1 - dim))


def pad_border(x: Array, pad: Sequence[int], mode: str) -> Array:
    """Pad the last dimensions with elements of the input itself: "reflect", "replicate" or "circular"."""
    out = constant_pad(x, pad, 0)
    for dim, added, source in _border(x.shape, pad, mode):
        if added:
            out[_at(dim, added)] = out[_at(dim, source)]
    return out


def fold_border(g: Array, pad: Sequence[int], mode: str) -> Array:
    """Add what is in the padding to the elements that it repeats, and take it away: the adjoint of ``pad_border``."""
    rest = [0] * (g.ndim - len(pad) // 2) + [a + b for a, b in zip(pad[::2], pad[1::2], strict=True)][::-1]
    shape = [side - extra for side, extra in zip(g.shape, rest, strict=True)]
    out = g.copy(order="K")
    for dim, added, source in reversed(list(_border(shape, pad, mode))):
        for i, j in zip(added, source, strict=True):
            out[_at(dim, j)] += out[_at(dim, i)]
    return constant_pad(out, [-p for p in pad], 0)
