"""The error function, its complement and its inverse, without SciPy.

float64: W. J. Cody, "Rational Chebyshev approximations for the error function", Math. Comp. 23 (1969), to the last
digit or two. float32: one rational approximation on [-4, 4], outside of which erf is ±1 in that precision.
"""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.backend import Array
from tinygrad_cnn.kernels.select import select

# Coefficients from the highest power down: erf(x) = x * p(x²) / q(x²).
_SINGLE_P = (
    -2.72614225801306e-10,
    2.77068142495902e-08,
    -2.10102402082508e-06,
    -5.69250639462346e-05,
    -7.34990630326855e-04,
    -2.95459980854025e-03,
    -1.60960333262415e-02,
)
_SINGLE_Q = (
    -1.45660718464996e-05,
    -2.13374055278905e-04,
    -1.68282697438203e-03,
    -7.37332916720468e-03,
    -1.42647390514189e-02,
)
# |x| <= 0.46875: erf(x) = x * p(x²) / q(x²)
_SMALL_P = (
    1.85777706184603153e-1,
    3.16112374387056560e0,
    1.13864154151050156e2,
    3.77485237685302021e2,
    3.20937758913846947e3,
)
_SMALL_Q = (1.0, 2.36012909523441209e1, 2.44024637934444173e2, 1.28261652607737228e3, 2.84423683343917062e3)
# 0.46875 < x <= 4: erfc(x) = exp(-x²) * p(x) / q(x)
_MIDDLE_P = (
    2.15311535474403846e-8,
    5.64188496988670089e-1,
    8.88314979438837594e0,
    6.61191906371416295e1,
    2.98635138197400131e2,
    8.81952221241769090e2,
    1.71204761263407058e3,
    2.05107837782607147e3,
    1.23033935479799725e3,
)
_MIDDLE_Q = (
    1.0,
    1.57449261107098347e1,
    1.17693950891312499e2,
    5.37181101862009858e2,
    1.62138957456669019e3,
    3.29079923573345963e3,
    4.36261909014324716e3,
    3.43936767414372164e3,
    1.23033935480374942e3,
)
# x > 4: erfc(x) = exp(-x²) / x * (1/sqrt(pi) - p(1/x²) / (x² q(1/x²)))
_LARGE_P = (
    1.63153871373020978e-2,
    3.05326634961232344e-1,
    3.60344899949804439e-1,
    1.25781726111229246e-1,
    1.60837851487422766e-2,
    6.58749161529837803e-4,
)
_LARGE_Q = (
    1.0,
    2.56852019228982242e0,
    1.87295284992346725e0,
    5.27905102951428412e-1,
    6.05183413124413191e-2,
    2.33520497626869185e-3,
)


def _polynomial(coefficients: tuple[float, ...], x: Array) -> Array:
    out = np.asarray(x * coefficients[0])
    for coefficient in coefficients[1:-1]:
        np.add(out, coefficient, out=out)
        np.multiply(out, x, out=out)
    return np.add(out, coefficients[-1], out=out)


def _ratio(p: tuple[float, ...], q: tuple[float, ...], x: Array) -> Array:
    return np.asarray(_polynomial(p, x) / _polynomial(q, x))


def _exp_of_minus_square(x: Array) -> Array:
    """exp(-x²) with x² split in two, so that the rounding of a large x² doesn't show."""
    head = np.trunc(x * 16) / 16
    return np.asarray(np.exp(-head * head) * np.exp(-(x - head) * (x + head)))


def _erfc_of_positive(x: Array) -> Array:
    middle = np.clip(x, 0.46875, 4.0)
    large = np.maximum(x, 4.0)
    inverse = 1 / (large * large)
    tail = (1 / np.sqrt(np.pi) - inverse * _ratio(_LARGE_P, _LARGE_Q, inverse)) / large
    return _exp_of_minus_square(x) * select(x > 4.0, tail, _ratio(_MIDDLE_P, _MIDDLE_Q, middle))


def erf(x: Array) -> Array:
    """The error function, in the dtype of ``x``."""
    x = np.asarray(x)
    if x.dtype == np.float64:
        magnitude = np.abs(x)
        small = np.minimum(magnitude, 0.46875)
        near = small * _ratio(_SMALL_P, _SMALL_Q, small * small)
        middle = np.clip(magnitude, 0.46875, 6.0)  # 1 - erf(6) is below half a unit in the last place
        far = 1 - np.exp(-middle * middle) * _ratio(_MIDDLE_P, _MIDDLE_Q, middle)
        return np.copysign(select(magnitude > 0.46875, far, near), x)
    single = np.clip(x.astype(np.float32, copy=False), -4, 4)
    return np.asarray(single * _ratio(_SINGLE_P, _SINGLE_Q, single * single)).astype(x.dtype, copy=False)


def erfc(x: Array) -> Array:
    """``1 - erf(x)``, in the dtype of ``x``, with its full relative accuracy for large ``x``."""
    wide = np.asarray(x, np.float64)
    magnitude = np.minimum(np.abs(wide), 40.0)  # where erfc is below the smallest number
    far = _erfc_of_positive(magnitude)
    out = select(magnitude > 0.46875, select(wide < 0, 2 - far, far), 1 - erf(wide))
    return out.astype(np.asarray(x).dtype, copy=False)


# the first guess of erfinv: y * p(y²) / q(y²) up to 0.7, and beyond it p(z) / q(z) of z = sqrt(-log((1 - |y|) / 2))
_INNER_P = (-0.140543331, 0.914624893, -1.645349621, 0.886226899)
_INNER_Q = (0.012229801, -0.329097515, 1.442710462, -2.118377725, 1.0)
_OUTER_P = (1.641345311, 3.429567803, -1.624906493, -1.970840454)
_OUTER_Q = (1.637067800, 3.543889200, 1.0)


def erfinv(y: Array) -> Array:
    """The x of which ``y`` is the error function, in the dtype of ``y``: a rational guess and two Newton steps.

    Infinite at -1 and 1, NaN beyond. PyTorch begins with the same guess.
    """
    wide = np.asarray(y, np.float64)
    magnitude = np.abs(wide)
    inner, rest = np.minimum(magnitude, 0.7), 1 - magnitude
    z = np.sqrt(-np.log(rest / 2))
    x = select(magnitude > 0.7, _ratio(_OUTER_P, _OUTER_Q, z), inner * _ratio(_INNER_P, _INNER_Q, inner * inner))
    for _ in range(2):
        error = select(magnitude > 0.7, rest - erfc(x), erf(x) - magnitude)  # each where it is exact
        x = x - error / (2 / np.sqrt(np.pi) * np.exp(-x * x))
    x = select(magnitude == 1, np.full_like(x, np.inf), x)
    return np.copysign(x, wide).astype(np.asarray(y).dtype, copy=False)
