"""Copies that bring elements into another shape, over the threads. Memory keeps its order where it can.

So what is channels-last stays channels-last through a channel shuffle, a pixel shuffle and a concatenation.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

import numpy as np

from tinygrad_cnn.kernels.elementwise import memory_order
from tinygrad_cnn.kernels.parallel import run, shares

Array = np.ndarray
_LEAST = 1 << 14  # smaller arrays are left to NumPy
_SHORT = 8  # elements in a run that take longer to begin than to copy


def can_view(x: Array, shape: tuple[int, ...]) -> bool:
    """Whether ``x`` can take a shape without a copy: each run of dimensions that is merged steps evenly in memory."""
    if x.flags.c_contiguous or not x.size:
        return True
    for (first, last), _ in _groups(x.shape, shape):
        axes = [axis for axis in range(first, last) if x.shape[axis] > 1]
        if any(x.strides[a] != x.strides[b] * x.shape[b] for a, b in itertools.pairwise(axes)):
            return False
    return True


def reshaped(x: Array, shape: tuple[int, ...]) -> Array:
    """``x`` in another shape: a view if one is possible, else a copy whose dimensions lie as those of ``x`` do.

    Dimensions that are split or merged are brought into their own order, as they must be; among these groups of
    dimensions the order is that of memory.
    """
    if x.size <= _LEAST or can_view(x, shape):
        return x.reshape(shape)
    groups = _groups(x.shape, shape)
    steps = [max((abs(x.strides[a]) for a in range(*old) if x.shape[a] > 1), default=0) for old, _ in groups]
    order = sorted(range(len(groups)), key=lambda i: -steps[i])
    source = x.transpose([axis for i in order for axis in range(*groups[i][0])])
    out = np.empty(source.shape, x.dtype)
    _put(out, source)
    places = [axis for i in order for axis in range(*groups[i][1])]
    return out.reshape([shape[axis] for axis in places]).transpose(np.argsort(places))


def _groups(old: Sequence[int], new: Sequence[int]) -> list[tuple[tuple[int, int], tuple[int, int]]]:
    """The smallest runs of dimensions, of the old shape and of the new, that have the same number of elements."""
    cuts, i, j, before, after = [(0, 0)], 0, 0, 1, 1
    while i < len(old) and j < len(new):
        before, after, i, j = before * old[i], after * new[j], i + 1, j + 1
        while before != after:
            if before < after:
                before, i = before * old[i], i + 1
            else:
                after, j = after * new[j], j + 1
        cuts.append((i, j))
    cuts[-1] = len(old), len(new)  # what is left over are dimensions of size 1
    return [((a, b), (c, d)) for (a, c), (b, d) in itertools.pairwise(cuts)]


def _put(out: Array, x: Array) -> None:
    """Copy ``x`` to ``out`` over the threads, in runs that are not too short."""

    def work(share: slice) -> None:
        target, source = out[share], x[share]
        if target.ndim > 1 and 1 < target.shape[-1] <= _SHORT and source.strides[-1] != source.itemsize:
            for i in range(target.shape[-1]):  # else NumPy begins anew for each of these short runs
                np.copyto(target[..., i], source[..., i])
        else:
            np.copyto(target, source)

    run(work, shares(len(out), cost=2 * out.nbytes))


def concatenate(arrays: Sequence[Array], axis: int, dtype: np.dtype) -> Array:
    """``np.concatenate`` over the threads, in the memory order of the largest array."""
    largest, axis = max(arrays, key=lambda x: x.size), axis % arrays[0].ndim
    order = memory_order(largest)
    across = next((a for a in order if a != axis and largest.shape[a] > 1), None)
    if largest.size <= _LEAST or across is None:
        return np.concatenate(arrays, axis, dtype=dtype)
    ends = list(itertools.accumulate(x.shape[axis] for x in arrays))
    sides = [*largest.shape[:axis], ends[-1], *largest.shape[axis + 1 :]]
    out = np.empty([sides[a] for a in order], dtype).transpose(np.argsort(order))
    parts = np.split(out, ends[:-1], axis)

    def work(share: slice) -> None:
        some = (slice(None),) * across + (share,)
        for part, x in zip(parts, arrays, strict=True):
            np.copyto(part[some], x[some])

    run(work, shares(out.shape[across], cost=2 * out.nbytes))
    return out
