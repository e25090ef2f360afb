"""Nested lists, numbers and arrays as one new array, with the dtype that PyTorch infers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np

from tinygrad_cnn.backend import DTYPES, as_dtype, dtype, get_default_dtype, promote
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, DTypeError

_PYTHON_NUMBERS = frozenset((bool, int, float))


def array_of(data: Any, dtype: Any = None) -> np.ndarray:
    """A new array of nested lists, numbers, arrays or Tensors.

    Without ``dtype`` arrays and Tensors keep theirs, Python floats get the default dtype, integers int64.
    Raises ValueError for lists of unequal lengths and TypeError for what are no numbers.
    """
    data = getattr(data, "_array", data)
    wanted = None if dtype is None else as_dtype(dtype).dtype
    if isinstance(data, np.ndarray | np.generic):
        if data.dtype not in DTYPES:
            known = ", ".join(d.name for d in DTYPES.values())
            raise ArgumentTypeError(f"tensor: can't convert np.ndarray of type {data.dtype}; expected one of {known}")
        with np.errstate(all="ignore"):  # a NaN becomes some integer, without a word
            return np.array(data, dtype=wanted)
    if isinstance(data, str | bytes):
        raise ArgumentTypeError(f"tensor: expected numbers, got data of type {type(data).__name__!r}")
    plain = _plain(data)
    try:
        inferred = _infer(plain)
    except DTypeError as error:
        raise error if wanted is None else ArgumentTypeError(str(error)) from None
    wanted = inferred.dtype if wanted is None else wanted
    try:
        if wanted.kind == "u" and inferred.category == 1:
            return _unsigned(np.array(plain, inferred.dtype), wanted)
        return np.array(plain, dtype=wanted)
    except (ValueError, TypeError, OverflowError) as error:
        raise _explain(plain, wanted, error) from None


def _plain(data: Any) -> Any:
    """``data`` with every Tensor in its lists replaced by a 0-d array."""
    if isinstance(data, list | tuple | range):
        return data if set(map(type, data)) <= _PYTHON_NUMBERS else [_plain(item) for item in data]
    array = getattr(data, "_array", None)
    if array is None:
        return data
    if array.size != 1:
        raise ArgumentError(
            f"tensor: only one element tensors can be converted to Python scalars, got one of shape {array.shape} "
            "in a list; use stack() to join tensors"
        )
    return array.reshape(())


def _infer(data: Any) -> dtype:
    """The dtype that all elements promote to; the default dtype if there are none."""
    found: dtype | None = None
    for kind in set(_kinds(data)):
        found = kind if found is None else DTYPES[promote([np.empty(0, found), np.empty(0, kind)])]
    return get_default_dtype() if found is None else found


def _kinds(data: Any) -> Iterator[dtype]:
    if isinstance(data, list | tuple | range):
        types = set(map(type, data))
        if types <= _PYTHON_NUMBERS:
            yield from (_of_python(kind) for kind in types)
        else:
            for item in data:
                yield from _kinds(item)
    elif isinstance(data, np.ndarray | np.generic) and data.dtype in DTYPES:
        yield DTYPES[data.dtype]
    elif isinstance(data, bool | int | float):
        yield _of_python(type(data))
    elif isinstance(data, str):
        raise ArgumentError("tensor: too many dimensions 'str'; expected numbers in nested lists")
    else:
        raise DTypeError(f"tensor: Could not infer dtype of {type(data).__name__}; expected numbers in nested lists")


def _unsigned(array: np.ndarray, wanted: np.dtype) -> np.ndarray:
    """Negative integers count from the top, as in PyTorch; those that don't fit are an OverflowError."""
    if array.size and max(-int(array.min()), int(array.max())) > np.iinfo(wanted).max:
        raise OverflowError(f"out of bounds for {wanted}")
    return array.astype(wanted)


def _of_python(kind: type) -> dtype:
    return get_default_dtype() if kind is float else as_dtype(kind)


def _explain(data: Any, wanted: np.dtype, error: Exception) -> Exception:
    """PyTorch's error for nested lists that aren't a rectangle of numbers, or hold numbers that don't fit."""
    level, depth = [data], 0
    while level and all(isinstance(item, list | tuple) for item in level):
        lengths = [len(item) for item in level]
        for length in lengths:
            if length != lengths[0]:
                return ArgumentError(f"tensor: expected sequence of length {lengths[0]} at dim {depth} (got {length})")
        level, depth = [part for item in level for part in item], depth + 1
    if any(isinstance(item, list | tuple) for item in level):
        return ArgumentTypeError(f"tensor: not a sequence: lists and numbers are mixed at dim {depth}")
    kind = ArgumentError if wanted == np.int64 and isinstance(error, OverflowError) else DTypeError
    return kind(f"tensor: value cannot be converted to {wanted} without overflow: {str(data)[:80]} ({error})")
