"""The conformance kit itself: each deliberate mistake is caught, and explained by its cause; what is right passes."""

import pytest

from tests.broken_ops import BROKEN
from tinygrad_cnn.testing import ConformanceError, check_op


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: f"{b.op.name}: {b.mistake}")
def test_mistake_is_caught_and_explained(broken):
    with pytest.raises(ConformanceError) as caught:
        check_op(broken.op, examples=60)
    assert broken.cause in caught.value.cause, str(caught.value)
    assert caught.value.property == broken.property


@pytest.mark.parametrize("op", {id(b.right): b.right for b in BROKEN}.values(), ids=lambda op: op.name)
def test_what_is_right_passes(op):
    check_op(op, examples=10)
