"""Which kernel suits a shape: fixed rules, derived from measurements, so that a run repeats bit for bit.

``tinygrad_cnn.backends`` prints them and sets them.
"""

from __future__ import annotations

import functools
import math

import numpy as np

from tinygrad_cnn.kernels.columns import Geometry
from tinygrad_cnn.kernels.windows import Pair

winograd_below = 1.1  # Winograd's operations, as a fraction of those of a plain product, up to which it is faster
widen_below = 48  # filters from which a product is wide enough
product_speed = 100.0  # operations a nanosecond in a wide product
copy_speed = 8.0  # bytes a nanosecond while columns are written
filter_weight = 8  # an operation of the filters' transform costs as much as so many of a product: it is all memory


def convolution(geometry: Geometry, n: int, c: int, f: int, dtype: np.dtype) -> str:
    """``winograd``, ``depthwise`` or ``columns``, for n images of c channels and f filters a group."""
    if geometry.groups > 1 and c == 1:
        return "depthwise"
    plain = geometry.kernel == (3, 3) and geometry.stride == geometry.dilation == (1, 1) and geometry.groups == 1
    if plain and dtype == np.float32 and winograd_operations(geometry, n, c, f) < winograd_below:
        return "winograd"
    return "columns"


@functools.lru_cache(maxsize=1024)
def widening(geometry: Geometry, c: int, f: int) -> int:
    """How many neighbouring results to compute in one row of columns: a divisor of the results' width.

    A product with few columns is slow, and neighbouring windows copy the same pixels. With r windows in one row both
    get better, but the filters, repeated at r places, are mostly zeros.
    """
    if not _may_widen(geometry) or f >= widen_below:
        return 1
    ow = geometry.out[1]
    costs = {r: _gathering(geometry, c, f, r) * (1 + r / 100) for r in range(1, ow + 1) if ow % r == 0}
    return min(costs, key=costs.__getitem__, default=1)


@functools.lru_cache(maxsize=1024)
def scattering(geometry: Geometry, offset: Pair, size: Pair, c: int, f: int) -> int:
    """How the adjoint in images of this size is computed: 0 by gathering with turned filters, else by scattering
    the columns of as many neighbouring windows at once: of one, or of a whole row.

    With stride 1 a pixel's gradient can be read off the upstream, by a correlation with the turned filters. That
    copies f values where scattering adds c, at a fourth of the cost; and depthwise it stays depthwise if f is 1.
    """
    (oh, ow), whole = geometry.out, 1
    if _may_widen(geometry) and ow > 1:
        run = geometry.kernel[0] * _width(geometry, ow) * c
        row = ow * (2 * run * f * (1 + 16 / (ow * f)) / product_speed) + 12 * run / copy_speed
        one = 2 * ow * math.prod(geometry.kernel) * c * (f * (1 + 16 / f) / product_speed + 12 / copy_speed)
        whole = ow if row < one else 1
    if geometry.stride != (1, 1) or not (f == 1 or 1 < c >= f / 4):
        return whole
    if whole == 1 or c >= widen_below:
        return 0
    turned = Geometry(geometry.kernel, (1, 1), offset, geometry.dilation, size, geometry.groups)
    return 0 if math.prod(size) * _gathering(turned, f, c, widening(turned, f, c)) < oh * row else whole


def interleaving(geometry: Geometry, c: int, f: int) -> bool:
    """Whether the adjoint of a strided convolution takes every stride-th pixel by itself, as one without a stride."""
    if geometry.stride == (1, 1) or geometry.dilation != (1, 1) or geometry.kernel == (1, 1):
        return False
    return geometry.groups > 1 and c == f == 1


def _may_widen(geometry: Geometry) -> bool:
    return geometry.groups == 1 and geometry.dilation[1] == 1 and geometry.kernel != (1, 1)


def _width(geometry: Geometry, r: int) -> int:
    """The width of r neighbouring windows together."""
    return geometry.kernel[1] + (r - 1) * geometry.stride[1]


def _gathering(geometry: Geometry, c: int, f: int, r: int) -> float:
    """The nanoseconds that a result takes if r neighbours are computed in one row of columns, estimated."""
    run = geometry.kernel[0] * _width(geometry, r) * c
    return 2 * run * f * (1 + 16 / (r * f)) / product_speed + 4 * run / r / copy_speed


def winograd_operations(geometry: Geometry, n: int, c: int, f: int) -> float:
    """Winograd's operations, as a fraction of those of the plain product."""
    oh, ow = geometry.out
    tiles = n * -(-oh // 4) * -(-ow // 4)
    transforms = tiles * 36 * (36 * c + 16 * f) + filter_weight * 9 * 36 * c * f
    return (transforms + tiles * 36 * c * f) / max(9 * c * f * n * oh * ow, 1)
