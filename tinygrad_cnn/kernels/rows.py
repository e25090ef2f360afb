"""Images as rows of channels: (N,C,H,W) seen as (N*H*W, C), without a copy where memory is channels-last.

Work along such rows goes in blocks that stay in the cache, and elementwise work in rows of several pixels each,
because NumPy's inner loop over a handful of channels costs more to start than to run.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Iterator

import numpy as np

WIDTH = 512  # elements that an elementwise inner loop should have; rows of 1024 float32 would collide in the cache
BLOCK = 1 << 20  # bytes of input worked on at a time, so that the second pass over them finds them in the cache


def rows_of(images: np.ndarray) -> np.ndarray:
    """(N,C,*) as contiguous (N*..., C): a view of channels-last memory, else a copy."""
    channels = images.shape[1]
    last = images.transpose(0, *range(2, images.ndim), 1)
    return np.ascontiguousarray(last).reshape(math.prod(last.shape[:-1]), channels)


def images_of(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of ``rows_of``: a view of ``rows`` with the shape (N,C,*) of the images."""
    last = rows.reshape(shape[0], *shape[2:], shape[1])
    return last.transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


@functools.lru_cache(maxsize=256)
def pixels_per_row(count: int, channels: int) -> int:
    """How many of ``count`` rows to join into one for elementwise work: a divisor of ``count``."""
    most = WIDTH // max(channels, 1)
    return next((r for r in range(most, 1, -1) if count % r == 0), 1)


def blocks(rows: np.ndarray, joined: int) -> Iterator[slice]:
    """Slices that cover ``rows`` in steps of about BLOCK bytes, each a multiple of ``joined`` rows."""
    count, channels = rows.shape
    step = joined * max(1, BLOCK // max(1, joined * channels * rows.itemsize))
    return (slice(start, min(start + step, count)) for start in range(0, count, step))


def join(rows: np.ndarray, joined: int) -> np.ndarray:
    """The same memory with ``joined`` rows in one."""
    return rows.reshape(len(rows) // joined, joined * rows.shape[1]) if joined > 1 else rows
