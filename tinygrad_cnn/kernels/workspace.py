"""Scratch memory that is used again and again: fresh memory costs more than the arithmetic done in it."""

from __future__ import annotations

import math
import threading
from typing import Any

import numpy as np

_held = threading.local()  # one set of buffers a thread, so that threads never meet in one


def workspace(name: str, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """An array with undefined contents, good until the same thread asks for the same ``name`` again.

    >>> workspace("example", (2, 3), np.float32).shape
    (2, 3)
    """
    dtype = np.dtype(dtype)
    size = math.prod(shape) * dtype.itemsize
    held: np.ndarray | None = getattr(_held, name, None)
    if held is None or held.size < size:
        held = np.empty(size, np.uint8)
        setattr(_held, name, held)
    scratch: np.ndarray = held[:size].view(dtype).reshape(shape)
    return scratch
