"""The names that ``grad_fn`` prints, against PyTorch's."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import to_ours, to_torch, torch


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x, y: x + y,
        lambda T, x, y: x / y,
        lambda T, x, y: x**2,
        lambda T, x, y: x**y,
        lambda T, x, y: -x,
        lambda T, x, y: x.clamp(0, 1),
        lambda T, x, y: x.clamp(y, y),
        lambda T, x, y: T.where(x > 0, x, y),
        lambda T, x, y: x.lerp(y, 0.5),
        lambda T, x, y: x.lerp(y, y),
        lambda T, x, y: T.maximum(x, y),
        lambda T, x, y: x.log1p(),
        lambda T, x, y: T.atan2(x, y),
        lambda T, x, y: x.softmax(0),
        lambda T, x, y: T.nn.functional.logsigmoid(x),
        lambda T, x, y: T.nn.functional.relu6(x),
        lambda T, x, y: T.nn.functional.leaky_relu(x),
    ],
)
def test_elementwise(call):
    x, y = np.array([0.5, 1.0]), np.array([0.25, 2.0])
    theirs = call(torch, to_torch(x, True), to_torch(y, True)).grad_fn.name()
    assert call(tg, to_ours(x, True), to_ours(y, True)).grad_fn.name() == theirs
