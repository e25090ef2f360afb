"""Images as rows of channels: (N,C,H,W) seen as (N*H*W, C), without a copy where memory is channels-last.

Work along such rows is shared out over the threads, goes in blocks that stay in the cache, and joins many pixels to
one long row, because NumPy's inner loop over a handful of channels costs more to start than to run.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from typing import TypeVar

import numpy as np

from tinygrad_cnn.kernels.elementwise import contiguous
from tinygrad_cnn.kernels.parallel import run, shares

T = TypeVar("T")

WIDTH = 8192  # elements of a joined row: with fewer, NumPy takes up to twice as long to repeat a row of factors
BLOCK = 1 << 21  # bytes of input worked on at a time, so that the second pass over them finds them in the cache


def rows_of(images: np.ndarray) -> np.ndarray:
    """(N,C,*) as contiguous (N*..., C): a view of channels-last memory, else a copy."""
    if images.ndim == 2:
        return contiguous(images)
    channels = images.shape[1]
    last = images.transpose(0, *range(2, images.ndim), 1)
    return contiguous(last).reshape(math.prod(last.shape[:-1]), channels)


def images_of(rows: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The inverse of ``rows_of``: a view of ``rows`` with the shape (N,C,*) of the images."""
    if len(shape) == 2:
        return rows.reshape(shape)
    last = rows.reshape(shape[0], *shape[2:], shape[1])
    return last.transpose(0, len(shape) - 1, *range(1, len(shape) - 1))


def rows_joined(rows: np.ndarray) -> int:
    """How many rows to join into one for elementwise work."""
    count, channels = rows.shape
    return max(min(WIDTH // max(channels, 1), count), 1)


def over_shares(task: Callable[[slice], T], rows: np.ndarray, passes: int) -> list[T]:
    """``task`` of some of the rows in each thread, if it goes ``passes`` times through them; results in their order.

    Each pass is a call of its own, at which threads get in each other's way, so they must have more to do than others.
    """
    return run(task, shares(len(rows), cost=passes * rows.nbytes / 2))


def is_one_block(rows: np.ndarray) -> bool:
    """Whether there is nothing to cut."""
    return rows.nbytes <= BLOCK


def blocks(rows: np.ndarray, share: slice, joined: int) -> Iterator[tuple[slice, int]]:
    """Slices of about BLOCK bytes that cover ``share``, and how many rows to join in each."""
    step = joined * max(1, BLOCK // max(1, joined * rows.shape[1] * rows.itemsize))
    even = share.stop - (share.stop - share.start) % joined
    for start in range(share.start, even, step):
        yield slice(start, min(start + step, even)), joined
    if even < share.stop:
        yield slice(even, share.stop), share.stop - even


def join(rows: np.ndarray, joined: int) -> np.ndarray:
    """The same memory with ``joined`` rows in one."""
    return rows.reshape(len(rows) // joined, joined * rows.shape[1]) if joined > 1 else rows


def repeat(values: np.ndarray, joined: int) -> np.ndarray:
    """One value a column, for rows that are ``joined``."""
    out = np.empty((joined, len(values)), values.dtype)
    out[...] = values
    return out.reshape(-1)


def add_bias(pixels: np.ndarray, bias: np.ndarray) -> None:
    """Add a value for each channel to channels-last images (N,H,W,C), a row of an image at a time."""
    n, h, w, c = pixels.shape
    rows = pixels.reshape(n, h, w * c)
    rows += repeat(bias, w)


def joined_pixels(images: np.ndarray) -> list[tuple[np.ndarray, int]]:
    """(N,P,C) as rows of j pixels each, (N, P/j, j*C), with j; what is left over is a row of its own."""
    n, pixels, channels = images.shape
    joined = max(min(WIDTH // max(channels, 1), pixels), 1)
    whole = pixels - pixels % joined
    cuts = [(0, whole, joined), (whole, pixels, pixels - whole)]
    return [(images[:, a:b].reshape(n, (b - a) // j, j * channels), j) for a, b, j in cuts if a < b]


def over_samples(task: Callable[[slice], T], images: np.ndarray, passes: int) -> list[T]:
    """``task`` of as many samples at a time as stay in the cache, over the threads; the results in their order."""
    step = max(1, BLOCK // max(1, images[:1].nbytes))

    def work(share: slice) -> list[T]:
        return [task(slice(i, min(i + step, share.stop))) for i in range(share.start, share.stop, step)]

    return [result for results in over_shares(work, images, passes) for result in results]


def column_sums(rows: np.ndarray) -> np.ndarray:
    """The sum of each column."""
    joined = rows_joined(rows)

    def work(share: slice) -> np.ndarray:
        sums = np.zeros(joined * rows.shape[1])  # float64, so that only the sums within a block are rounded
        for block, count in blocks(rows, share, joined):
            sums[: count * rows.shape[1]] += np.add.reduce(join(rows[block], count), axis=0)
        return sums

    return fold(over_shares(work, rows, 1), joined).astype(rows.dtype)


def fold(results: list[np.ndarray], joined: int) -> np.ndarray:
    """The sum of what the threads found for joined rows, for each column."""
    return np.add.reduce([result.reshape(joined, -1).sum(0) for result in results])
