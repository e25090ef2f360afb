"""Which kernel suits a shape: fixed rules, derived from measurements, so that a run repeats bit for bit.

``tinygrad_cnn.backends`` prints them and sets them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from tinygrad_cnn.kernels.columns import Geometry
from tinygrad_cnn.kernels.windows import Pair
from tinygrad_cnn.kernels.winograd import TRANSFORMS, Transform


@dataclass(frozen=True)
class Rule:
    """The numbers behind the choice of a kernel. Work is estimated in operations of a wide matrix product."""

    winograd: bool = True  # whether Winograd's kernels may be chosen at all
    winograd_below: float = 0.85  # up to which fraction of the plain product's operations it is
    filter_weight: float = 288  # to transform a value of the filters costs as much as so many operations
    tall_weight: float = 0.95  # an operation of F(4,3) or F(2,5), which copy less than F(4x4,3x3), as much as so many
    widen_below: int = 48  # filters from which a product is wide enough by itself
    narrow: float = 16  # a product with n columns, or rows of n values, takes as long as one with n + narrow
    byte_weight: float = 12.5  # a byte that is copied costs as much as so many operations


_rule = Rule()


def rule() -> Rule:
    """The rule in force."""
    return _rule


def use(new: Rule) -> None:
    """Put a rule in force."""
    global _rule
    _rule = new
    least_operations.cache_clear()
    widening.cache_clear()
    scattering.cache_clear()


def convolution(geometry: Geometry, n: int, c: int, f: int, dtype: np.dtype) -> str:
    """The kernel for n images of c channels and f filters a group: one of ``winograd.TRANSFORMS``, ``depthwise``,
    ``few windows`` or ``columns``.
    """
    if geometry.groups > 1 and c == 1:
        return "depthwise"
    if dtype == np.float32 and _rule.winograd:
        name, operations = least_operations(geometry, n, c, f)
        if operations < _rule.winograd_below:
            return name
    few = geometry.groups == 1 and geometry.kernel != (1, 1) and n * math.prod(geometry.out) < f
    return "few windows" if few else "columns"


@functools.lru_cache(maxsize=1024)
def least_operations(geometry: Geometry, n: int, c: int, f: int) -> tuple[str, float]:
    """Winograd's transform with the fewest operations, and those as a fraction of the plain product's."""
    plain = max(math.prod(geometry.kernel) * c * f * n * math.prod(geometry.out), 1)
    costs = {
        name: _operations(transform, geometry, n, c, f) / plain
        for name, transform in TRANSFORMS.items()
        if transform.fits(geometry)
    }
    name = min(costs, key=costs.__getitem__, default="")
    return name, costs.get(name, math.inf)


def _operations(transform: Transform, geometry: Geometry, n: int, c: int, f: int) -> float:
    tiles = transform.tiles(geometry)
    count = n * math.prod(tiles.out)
    places, _, run = transform.sums_shape((f, c, *geometry.kernel))
    windows, results = count * transform.windows.size * c, count * transform.results.size * f
    products = count * places * (run + _rule.narrow) * f
    weight = 1 if transform.is_square else _rule.tall_weight
    return weight * (windows + products + results) + _rule.filter_weight * math.prod(geometry.kernel) * c * f


@functools.lru_cache(maxsize=1024)
def widening(geometry: Geometry, c: int, f: int) -> int:
    """How many neighbouring results to compute in one row of columns: a divisor of the results' width.

    A product with few columns is slow, and neighbouring windows copy the same pixels. With r windows in one row both
    get better, but the filters, repeated at r places, are mostly zeros.
    """
    if not _may_widen(geometry) or f >= _rule.widen_below:
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
        row = ow * _scattering(geometry, c, f, ow)
        one = 2 * ow * _scattering(geometry, c, f, 1)  # window by window the runs are short
        whole = ow if row < one else 1
    if geometry.stride != (1, 1) or not (f == 1 or 1 < c >= f / 4):
        return whole
    if whole == 1 or c >= _rule.widen_below:
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
    """What a result costs if r neighbours are computed in one row of columns."""
    run = geometry.kernel[0] * _width(geometry, r) * c
    return 2 * run * (f + _rule.narrow / r) + 4 * run / r * _rule.byte_weight


def _scattering(geometry: Geometry, c: int, f: int, r: int) -> float:
    """What an upstream pixel costs if the columns of r neighbours are added in one run; adding moves thrice as much."""
    run = geometry.kernel[0] * _width(geometry, r) * c
    return 2 * run * (f + _rule.narrow / r) + 12 * run / r * _rule.byte_weight
