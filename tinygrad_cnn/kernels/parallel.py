"""How many threads the kernels use: for now those of the BLAS library behind NumPy."""

from __future__ import annotations

import os
from typing import Any

from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError

_limit: Any = None
_threads: int | None = None


def _available() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """The number of threads that kernels use: all cores, unless ``set_num_threads`` changed it."""
    return _threads or _available()


def set_num_threads(threads: int) -> None:
    """Let kernels use ``threads`` threads.

    >>> set_num_threads(get_num_threads())
    """
    global _limit, _threads
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise ArgumentTypeError(f"set_num_threads: expected an int, got {type(threads).__name__}")
    if threads < 1:
        raise ArgumentError(f"set_num_threads: expected a positive number of threads, got {threads}")
    from threadpoolctl import threadpool_limits

    _limit = threadpool_limits(limits=threads, user_api="blas")  # without a known BLAS this does nothing
    _threads = threads
