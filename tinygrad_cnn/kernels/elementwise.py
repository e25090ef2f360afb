"""Elementwise work on large arrays: in parts whose temporaries stay in the cache, over the threads.

A part is a run of memory. Arrays that are laid out alike, without gaps, in whatever order, are cut into such runs;
those that aren't, like half of the channels, are brought into the result's order a part at a time. An element's result
doesn't depend on the part that it is in.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.kernels.parallel import run, shares
from tinygrad_cnn.kernels.workspace import workspace

Array = np.ndarray
PART = 1 << 16  # elements that a thread works on at a time, so that it finds its temporaries in its cache
_SHARED = 4  # times as many if there are several threads, which wait for the interpreter between two calls
_BRIEF = 16  # times as many if there are so few steps that the calls cost more than the cache saves
_LEAST = 1 << 16  # smaller arrays are worked on whole
BITS: dict[int, Any] = {1: np.int8, 2: np.int16, 4: np.int32, 8: np.int64}  # integers by their size


def memory_order(x: Array) -> list[int]:
    """The dimensions from the one with the largest steps in memory to the one with the smallest."""
    strides = x.strides
    return sorted(range(x.ndim), key=lambda axis: -abs(strides[axis]))


def flat(arrays: Sequence[Array]) -> list[Array] | None:
    """Views of the arrays as rows, in the order of memory; None if they aren't laid out alike and without gaps."""
    shape = arrays[0].shape
    if any(x.shape != shape for x in arrays):
        return None
    if not all(x.flags.c_contiguous for x in arrays):
        order = memory_order(arrays[0])
        arrays = [x.transpose(order) for x in arrays]
        if not all(x.flags.c_contiguous for x in arrays):
            return None
    return [x.reshape(-1) for x in arrays]


def fill(out: Array, function: Callable[..., Any], *arrays: Array, at_once: bool = False, brief: bool = False) -> Array:
    """Call ``function(*arrays, out=out)`` on corresponding parts of all of them; return ``out``.

    Each thread gets a share, and goes through it part by part, or, as suits a function of a single step, at once.
    Parts are longer for a function of two or three steps, a ``brief`` one.
    Besides ``out`` the function may write to arrays that are laid out like it: of others it may get a copy.
    """
    if out.size <= _LEAST:
        function(*arrays, out=out)
        return out
    rows = flat([out, *arrays])
    if rows is None:
        rows = _lines([out, *arrays])
        if rows is None:
            function(*arrays, out=out)
            return out
    length = len(rows[0])
    parts = shares(length, cost=(len(arrays) + 1) * out.nbytes / 2)  # there is little to do with a byte
    part = PART * (_BRIEF if brief else _SHARED if len(parts) > 1 else 1)
    step = length if at_once else max(1, part * length // out.size)

    def work(share: slice) -> None:
        for start in range(share.start, share.stop, step):
            target, *sources = [row[start : min(start + step, share.stop)] for row in rows]
            if target.ndim > 1 and not at_once:
                sources = [_run(i, source) for i, source in enumerate(sources)]
                target = target.reshape(-1)
            function(*sources, out=target)

    run(work, parts)
    return out


def _lines(arrays: Sequence[Array]) -> list[Array] | None:
    """Views of the arrays in the order of the first one's memory, along its longest steps; None if it has gaps."""
    first = arrays[0]
    if any(x.shape != first.shape for x in arrays):
        return None
    order = [axis for axis in memory_order(first) if first.shape[axis] > 1]
    lines = [x.transpose([*order, *(a for a in range(x.ndim) if a not in order)]) for x in arrays]
    lines = [x.reshape(x.shape[: len(order)]) for x in lines]  # without the dimensions of size 1: a view
    return lines if lines[0].flags.c_contiguous else None


def _run(index: int, source: Array) -> Array:
    """A part of an array as a run of memory: itself, or a copy in scratch memory, good until the next part's."""
    if not source.flags.c_contiguous:
        scratch = workspace(f"run{index}", source.shape, source.dtype)
        np.copyto(scratch, source)
        source = scratch
    return source.reshape(-1)


def in_parts(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a function that treats every element of its arrays alike go through large ones in parts."""
    if hasattr(function, "is_whole"):
        return function
    takes_out = isinstance(function, np.ufunc)

    @functools.wraps(function)
    def run_in_parts(*arguments: Any, **settings: Any) -> Any:
        first = arguments[0]
        if type(first) is not np.ndarray or first.size <= _LEAST:
            return function(*arguments, **settings)
        places = [i for i, a in enumerate(arguments) if isinstance(a, np.ndarray) and a.ndim]
        arrays = [arguments[i] for i in places]

        def call(parts: Sequence[Array], **more: Any) -> Any:
            cut = list(arguments)
            for place, array in zip(places, parts, strict=True):
                cut[place] = array
            return function(*cut, **settings, **more)

        if any(array.shape != first.shape for array in arrays):
            return function(*arguments, **settings)
        example = call([array[(slice(0, 1),) * array.ndim].reshape(1) for array in arrays])
        is_new = type(example) is np.ndarray and not any(np.may_share_memory(example, array) for array in arrays)
        if not is_new or example.shape != (1,):  # one of the arguments is the result, or it isn't elementwise
            return function(*arguments, **settings)
        out = np.empty_like(first, dtype=example.dtype)
        if takes_out:
            return fill(out, lambda *parts, out: call(parts, out=out), *arrays, at_once=True)
        return fill(out, lambda *parts, out: copy(call(parts), out), *arrays)

    return run_in_parts


def whole(formula: Callable[..., Any]) -> Callable[..., Any]:
    """Mark what ``in_parts`` should leave as it is: a call of an op that goes through its arrays in parts itself."""
    formula.is_whole = True  # type: ignore[attr-defined]  # functions have attributes
    return formula


def copy(source: Array, target: Array) -> None:
    """Copy an array to another of the same dtype, by a ufunc.

    glibc's copy takes fifteen times as long on AMD's Zen 3 if both begin at nearly the same place in a page, which
    is where its malloc puts large arrays.
    """
    bits = BITS[source.itemsize]
    np.bitwise_or(source.view(bits), bits(0), out=target.view(bits))


def contiguous(x: Array) -> Array:
    """``np.ascontiguousarray(x)`` over the threads."""
    if x.flags.c_contiguous or x.size <= _LEAST:
        return np.ascontiguousarray(x)
    out = np.empty(x.shape, x.dtype)
    run(lambda share: np.copyto(out[share], x[share]), shares(len(x), cost=2 * x.nbytes))
    return out
