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
        return np.array(data, dtype=wanted)
    if isinstance(data, str):
        raise ArgumentTypeError("tensor: expected numbers, got data of type 'str'")
    plain = _plain(data)
    if wanted is None:
        wanted = _infer(plain).dtype
    try:
        return np.array(plain, dtype=wanted)
    except OverflowError as error:
        raise _overflow(plain, wanted, error) from None
    except (ValueError, TypeError) as error:
        raise _explain(plain, error) from None


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
            yield from map(as_dtype, types)
        else:
            for item in data:
                yield from _kinds(item)
    elif isinstance(data, np.ndarray | np.generic) and data.dtype in DTYPES:
        yield DTYPES[data.dtype]
    elif isinstance(data, bool | int | float):
        yield as_dtype(type(data))
    elif isinstance(data, str):
        raise ArgumentError("tensor: too many dimensions 'str'; expected numbers in nested lists")
    else:
        raise DTypeError(f"tensor: Could not infer dtype of {type(data).__name__}; expected numbers in nested lists")


def _overflow(data: Any, wanted: Any, error: Exception) -> Exception:
    kind = ArgumentError if wanted is None or wanted == np.int64 else DTypeError
    return kind(f"tensor: Overflow: {str(data)[:80]} doesn't fit {wanted} ({error})")


def _explain(data: Any, error: Exception) -> Exception:
    """PyTorch's error for nested lists that aren't a rectangle of numbers."""
    level, depth = [data], 0
    while all(isinstance(item, list | tuple) for item in level):
        lengths = [len(item) for item in level]
        for length in lengths:
            if length != lengths[0]:
                return ArgumentError(f"tensor: expected sequence of length {lengths[0]} at dim {depth} (got {length})")
        level, depth = [part for item in level for part in item], depth + 1
        if not level:
            break
    if any(isinstance(item, list | tuple) for item in level):
        return ArgumentTypeError(f"tensor: not a sequence: lists and numbers are mixed at dim {depth}")
    return ArgumentTypeError(f"tensor: expected numbers in nested lists, got {str(data)[:80]} ({error})")
