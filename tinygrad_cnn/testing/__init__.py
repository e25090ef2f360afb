"""Tools that prove gradients: for the library's own ops and for yours.

``gradcheck`` and ``gradgradcheck`` compare the derivatives of any function with numerical ones; ``check_op`` holds
a registered op against its reference and its declared gradients over arguments drawn by hypothesis; ``check_module``
holds a layer or model to its gradients, its modes and its saved state.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from tinygrad_cnn.testing.conformance import check_op, check_sample
from tinygrad_cnn.testing.draw import Draw, RandomSource
from tinygrad_cnn.testing.explain import ConformanceError
from tinygrad_cnn.testing.gradcheck import GradcheckError, gradcheck, gradgradcheck
from tinygrad_cnn.testing.kinks import Kink, find_kinks
from tinygrad_cnn.testing.numerical import ComplexStepError, central_difference_gradient, complex_step_gradient

if TYPE_CHECKING:
    from tinygrad_cnn.testing.modules import check_module as check_module

__all__ = [
    "ComplexStepError",
    "ConformanceError",
    "Draw",
    "GradcheckError",
    "Kink",
    "RandomSource",
    "central_difference_gradient",
    "check_module",
    "check_op",
    "check_sample",
    "complex_step_gradient",
    "find_kinks",
    "gradcheck",
    "gradgradcheck",
]


def __getattr__(name: str) -> Any:
    """``check_module`` is imported when it is first named: it needs ``nn``, which the checks of ops don't."""
    if name == "check_module":
        from tinygrad_cnn.testing.modules import check_module

        return check_module
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
