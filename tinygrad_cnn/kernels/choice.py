"""Which kernel suits a shape: fixed rules, derived from measurements, so that a run repeats bit for bit.

``tinygrad_cnn.backends`` prints them and sets them.
"""

from __future__ import annotations

import functools
import math
from dataclasses import dataclass

import numpy as np

from tinygrad_cnn.kernels.columns import Geometry
from tinygrad_cnn.kernels.parallel import one_blas_thread
from tinygrad_cnn.kernels.windows import Pair
from tinygrad_cnn.kernels.winograd import PLACES, TRANSFORMS, Transform, tiling


@dataclass(frozen=True)
class Rule:
    """The numbers behind the choice of a kernel. Times are estimated in operations of a large matrix product."""

    winograd: bool = True  # whether Winograd's kernels may be chosen at all
    winograd_below: float = 1.0  # up to which fraction of the plain product's estimate they are
    transform_weight: float = 5  # an operation of a transform, a product with 6 rows, takes as long as so many
    call: float = 12  # and to begin such a product as long as so many columns
    filter_weight: float = 288  # to transform a value of the filters takes as long as so many multiplications
    widen_below: int = 48  # filters from which a product is wide enough by itself
    narrow: float = 8  # a product with n columns, or rows of n values, takes as long as one with n + narrow
    byte_weight: float = 8  # a byte that is copied takes as long as so many operations


LOCKED = Rule(call=160)  # where BLAS lets no two products begin at a time, so that few are better than small ones
_rule: Rule | None = None


def rule() -> Rule:
    """The rule in force."""
    global _rule
    if _rule is None:
        _rule = LOCKED if one_blas_thread().locks else Rule()
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
    if dtype == np.float32 and rule().winograd:
        name, operations = least_operations(geometry, n, c, f)
        if operations < rule().winograd_below:
            return name
    few = geometry.groups == 1 and geometry.kernel != (1, 1) and n * math.prod(geometry.out) < f
    return "few windows" if few else "columns"


@functools.lru_cache(maxsize=1024)
def least_operations(geometry: Geometry, n: int, c: int, f: int) -> tuple[str, float]:
    """Winograd's transform with the lowest estimate, and that as a fraction of the plain product's."""
    plain = n * math.prod(geometry.out) * _gathering(geometry, c, f, widening(geometry, c, f))
    costs = {
        name: _operations(transform, geometry, n, c, f) / max(plain, 1)
        for name, transform in TRANSFORMS.items()
        if transform.fits(geometry)
    }
    name = min(costs, key=costs.__getitem__, default="")
    return name, costs.get(name, math.inf)


def _operations(transform: Transform, geometry: Geometry, n: int, c: int, f: int) -> float:
    """What Winograd's convolution costs: its products, those of the transforms, and the filters."""
    down, across = tiling(transform, geometry, geometry.canvas[1]).out
    places, _, run = transform.sums_shape((f, c, *geometry.kernel))
    numbers, of_windows, of_results = rule(), PLACES * PLACES, PLACES * transform.tile[0]
    narrow, call = numbers.narrow, numbers.call
    products = n * down * across * places * (run + narrow) * (f + narrow)
    rows = n * down
    small = rows * (geometry.canvas[1] * c + call) * of_windows + rows * (geometry.out[1] * f + call) * of_results
    if transform.is_square:
        small += rows * across * PLACES * ((c + call) * of_windows + (f + call) * of_results)
    filters = math.prod(geometry.kernel) * c * f
    return 2 * (products + numbers.transform_weight * small + numbers.filter_weight * filters)


@functools.lru_cache(maxsize=1024)
def widening(geometry: Geometry, c: int, f: int) -> int:
    """How many neighbouring results to compute in one row of columns: a divisor of the results' width.

    A product with few columns is slow, and neighbouring windows copy the same pixels. With r windows in one row both
    get better, but the filters, repeated at r places, are mostly zeros.
    """
    if not _may_widen(geometry) or f >= rule().widen_below:
        return 1
    ow = geometry.out[1]
    costs = {r: _gathering(geometry, c, f, r) * (1 + r / 100) for r in range(1, ow + 1) if ow % r == 0}
    return min(costs, key=costs.__getitem__, default=1)


@functools.lru_cache(maxsize=1024)
def scattering(geometry: Geometry, offset: Pair, size: Pair, n: int, c: int, f: int) -> int:
    """How the adjoint in n images of this size is computed: 0 by gathering with turned filters, else by scattering
    the columns of as many neighbouring windows at once: of one, or of a whole row.

    With stride 1 a pixel's gradient can be read off the upstream, by a correlation with the turned filters. That
    copies f values where scattering adds c; and depthwise it stays depthwise if f is 1.
    """
    (oh, ow), may_gather = geometry.out, geometry.stride == (1, 1)
    if may_gather and geometry.groups > 1 and f == 1:
        return 0
    costs = {1: oh * ow * _scattering(geometry, c, f, 1) * (1 if geometry.kernel == (1, 1) else _SHORT_RUNS)}
    if _may_widen(geometry) and ow > 1 and c < rule().widen_below:
        costs[ow] = oh * ow * _scattering(geometry, c, f, ow)
    if may_gather:
        turned = Geometry(geometry.kernel, (1, 1), offset, geometry.dilation, size, geometry.groups)
        gathered = math.prod(size) * _gathering(turned, f, c, widening(turned, f, c))
        costs[0] = gathered * min(1, least_operations(turned, n, f, c)[1])
    return min(costs, key=costs.__getitem__)


_SHORT_RUNS = 1.6  # to add columns window by window takes longer than their bytes tell


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
    return 2 * run * (f + rule().narrow / r) + 4 * run / r * rule().byte_weight


def _scattering(geometry: Geometry, c: int, f: int, r: int) -> float:
    """What an upstream pixel costs if the columns of r neighbours are added in one run; adding moves thrice as much."""
    run = geometry.kernel[0] * _width(geometry, r) * c
    return 2 * run * (f + rule().narrow / r) + 12 * run / r * rule().byte_weight
