"""Keeping freed memory in the process, so that the next step finds it mapped.

A training step frees and allocates the same large arrays again and again. glibc gives an array of more than a few
hundred KB a mapping of its own, which the system has to fill with zeroed pages at every use: on the book's network
that is 2,500 page faults a step, a quarter of its time (29 ms with them, 22 ms without). So glibc is asked, once, to
serve such arrays from its heap, and to give memory back only when more than ``KEPT_BYTES`` lie free at its end.

The setting holds for the whole process. ``TINYGRAD_CNN_KEEP_MEMORY=0`` in the environment leaves glibc as it is; on
systems with another C library nothing happens.
"""

from __future__ import annotations

import ctypes
import os
import sys

KEPT_BYTES = 1 << 30
_LARGEST_FROM_HEAP = 1 << 30
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3  # from glibc's malloc.h


def keep_freed_memory() -> bool:
    """Ask glibc to keep freed memory; whether it agreed."""
    if not sys.platform.startswith("linux") or os.environ.get("TINYGRAD_CNN_KEEP_MEMORY") == "0":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):  # another C library, such as musl
        return False
    return bool(mallopt(_M_MMAP_THRESHOLD, _LARGEST_FROM_HEAP)) and bool(mallopt(_M_TRIM_THRESHOLD, KEPT_BYTES))
