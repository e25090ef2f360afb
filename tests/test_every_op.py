"""Every registered op: its value against its reference, its first and second derivatives, its manners."""

import pytest

from tinygrad_cnn.ops import registry
from tinygrad_cnn.testing import check_op


@pytest.mark.parametrize("name", sorted(registry))
def test_op(name):
    check_op(registry[name])
