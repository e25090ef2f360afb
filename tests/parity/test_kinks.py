"""The table of kinks holds PyTorch's gradients, and names the rows where they differ."""

import numpy as np
import pytest

from tests.kinks import ROWS, gradient
from tests.parity.compare import torch


@pytest.mark.filterwarnings("ignore:.*degrees of freedom is <= 0")  # of one element: PyTorch warns, and goes on
@pytest.mark.parametrize("row", ROWS, ids=[f"{r.expression} at {r.point}".replace(" ", "") for r in ROWS])
def test_the_gradient_is_pytorchs(row):
    if isinstance(row.pytorch, str):
        with pytest.raises(RuntimeError, match=row.pytorch):
            gradient(torch, row)
        return
    expected = row.gradient if row.pytorch is None else row.pytorch
    np.testing.assert_allclose(gradient(torch, row), np.array(expected, dtype=float), rtol=1e-4)
