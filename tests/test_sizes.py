"""The ways that kernels have for large arrays give what they give for small ones: the kit's cases, in tiny blocks."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import choice, conv, parallel
from tinygrad_cnn.ops import registry
from tinygrad_cnn.testing import check_op
from tinygrad_cnn.testing.sizes import as_if_large

PROPERTIES = ["value", "first_order", "float32", "repeat"]


@pytest.mark.parametrize("name", sorted(registry))
def test_op(name):
    op = registry[name]
    with as_if_large():
        check_op(op, examples=12, properties=[p for p in PROPERTIES if p not in op.exemptions])


def test_everything_is_as_before_afterwards():
    before = conv.SMALL, parallel.LEAST_SHARE, choice.rule(), tg.get_num_threads()
    with as_if_large(threads=3):
        assert (conv.SMALL, parallel.LEAST_SHARE, tg.get_num_threads()) == (0, 1, 3)
    assert before == (conv.SMALL, parallel.LEAST_SHARE, choice.rule(), tg.get_num_threads())


def test_a_large_matrix_times_a_stack_of_them():
    a, b = np.ones((80, 80)), np.ones((2, 80, 80))
    assert (tg.ops.matmul.batched_mm(a, b) == 80).all()
    assert (tg.ops.matmul.batched_mm(b, a) == 80).all()


def test_an_error_in_every_thread_is_raised_once():
    def fail(item):
        raise ValueError(f"in {item}")

    with pytest.raises(ValueError, match="in 0"):
        parallel.run(fail, [0, 1])
    assert parallel.run(str, [0, 1]) == ["0", "1"]
