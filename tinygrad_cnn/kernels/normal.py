"""The normal distribution in float32, from a table: two look-ups and ten steps instead of forty.

A number lies within half of 1 / 1,365 of an entry, so the distribution is that entry plus the density times the rest,
and the density is that entry's times ``1 - x * rest``. What that leaves out is below 2e-8 and 1e-7 of the density.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tinygrad_cnn.kernels.erf import erfc
from tinygrad_cnn.kernels.workspace import workspace

_REACH, _STEPS = 6, 8192  # entries from -6 to 6, beyond which float32's sums with 1 know no difference
_STEP = _REACH / _STEPS
_ROUND = 1.5 * 2**23  # a sum of this size has no digits after the point, and the whole number as its lowest bits
_FIRST = int(np.float32(_ROUND).view(np.int32)) - _STEPS


@functools.cache
def _table() -> tuple[np.ndarray, np.ndarray]:
    """The distribution and the density at -6 to 6; exactly 0, 1 and flat at both ends, for all that is beyond."""
    x = np.arange(-_STEPS, _STEPS + 1) * _STEP
    distribution = (erfc(x * -math.sqrt(0.5)) / 2).astype(np.float32)
    density = (np.exp(x * x / -2) / math.sqrt(2 * math.pi)).astype(np.float32)
    distribution[0], distribution[-1], density[0], density[-1] = 0, 1, 0, 0
    return distribution, density


def normal(x: np.ndarray, density: np.ndarray | None, out: np.ndarray) -> None:
    """Write the distribution of float32 numbers to ``out``, and if wanted their density."""
    distributions, densities = _table()
    rest, near = workspace("normal_rest", x.shape, x.dtype), workspace("normal_near", x.shape, x.dtype)
    entry = workspace("normal_entry", x.shape, np.intp)
    x.clip(-_REACH, _REACH, out=rest)
    np.multiply(rest, 1 / _STEP, out=near)
    np.add(near, _ROUND, out=near)
    np.subtract(near.view(np.int32), _FIRST, out=entry)  # of a nan any entry: its rest is nan
    np.subtract(near, _ROUND, out=near)
    np.multiply(near, _STEP, out=near)
    np.subtract(rest, near, out=rest)
    slope = densities.take(entry, mode="clip", out=near)
    distributions.take(entry, mode="clip", out=out)
    if density is not None:
        np.multiply(x, rest, out=density)
        np.subtract(1, density, out=density)
        np.multiply(density, slope, out=density)
    np.multiply(rest, slope, out=rest)
    np.add(out, rest, out=out)
