"""Memory that is read for the last time, and may take the result: an upstream gradient that nobody else needs.

Going through one array instead of two is nearly twice as fast once it is larger than the caches, and a backward pass
needs less memory at its peak. Only the engine knows who else needs a gradient, and only an op's declaration whether
its formula reads it again; so the engine lends it, and the kernel takes it where it would have made a new array.
"""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from typing import Any

import numpy as np

LEAST = 1 << 16  # elements, below which it isn't worth asking
_lent = threading.local()


@contextlib.contextmanager
def lend(x: np.ndarray) -> Iterator[None]:
    """Let one kernel that is called here write its result to ``x``."""
    _lent.memory = _owner(x)
    try:
        yield
    finally:
        _lent.memory = None


def like(x: np.ndarray) -> np.ndarray:
    """An array for results like ``x``: ``x`` itself, if it was lent, else a new one."""
    memory = getattr(_lent, "memory", None)
    if memory is None or _owner(x) is not memory or x.size != memory.size:
        return np.empty_like(x)
    _lent.memory = None
    return x


def _owner(x: np.ndarray) -> Any:
    """The array that the memory of ``x`` belongs to."""
    return x if x.base is None else x.base
