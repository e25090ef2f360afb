"""Tools that prove gradients: for the library's own ops and for yours.

``gradcheck`` and ``gradgradcheck`` compare the derivatives of any function with numerical ones; ``check_op`` holds
a registered op against its reference and its declared gradients over arguments drawn by hypothesis.
"""

from tinygrad_cnn.testing.conformance import check_op, check_sample
from tinygrad_cnn.testing.draw import Draw, RandomSource
from tinygrad_cnn.testing.numerical import gradcheck, gradgradcheck

__all__ = ["Draw", "RandomSource", "check_op", "check_sample", "gradcheck", "gradgradcheck"]
