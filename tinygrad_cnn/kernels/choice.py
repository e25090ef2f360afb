"""Which kernel suits a shape: fixed rules, derived from measurements, so that a run repeats bit for bit.

``tinygrad_cnn.backends`` prints them and sets them.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.columns import Geometry

winograd_below = 1.1  # Winograd's operations, as a fraction of those of a plain product, up to which it is faster
filter_weight = 8  # an operation of the filters' transform costs as much as so many of a product: it is all memory


def convolution(geometry: Geometry, n: int, c: int, f: int, dtype: np.dtype) -> str:
    """``winograd``, ``depthwise`` or ``columns``, for n images of c channels and f filters a group."""
    if geometry.groups > 1 and c == 1:
        return "depthwise"
    plain = geometry.kernel == (3, 3) and geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
    if plain and dtype == np.float32 and winograd_operations(geometry, n, c, f) < winograd_below:
        return "winograd"
    return "columns"


def winograd_operations(geometry: Geometry, n: int, c: int, f: int) -> float:
    """Winograd's operations, as a fraction of those of the plain product."""
    oh, ow = geometry.out
    tiles = n * -(-oh // 4) * -(-ow // 4)
    transforms = tiles * 36 * (36 * c + 16 * f) + filter_weight * 9 * 36 * c * f
    return (transforms + tiles * 36 * c * f) / max(9 * c * f * n * oh * ow, 1)
