"""Copies into another shape: NumPy's elements, in the memory order that was there before."""

import numpy as np
import pytest
from hypothesis import given, strategies as st

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import arrange
from tinygrad_cnn.testing.sizes import as_if_large


@st.composite
def shapes(draw, count):
    """A shape of ``count`` elements, with dimensions of size 1 among the others."""
    sides = []
    while count > 1:
        sides.append(draw(st.sampled_from([k for k in range(2, count + 1) if count % k == 0])))
        count //= sides[-1]
    for _ in range(draw(st.integers(0, 2))):
        sides.insert(draw(st.integers(0, len(sides))), 1)
    return tuple(sides)


@given(st.data())
def test_a_view_where_one_is_possible_else_a_copy(data):
    count = data.draw(st.sampled_from([1, 2, 6, 12, 24, 36, 64]))
    old, new = data.draw(shapes(count)), data.draw(shapes(count))
    x = np.arange(2.0 * count).reshape(*old, 2)[..., data.draw(st.integers(0, 1))]
    if data.draw(st.booleans()):
        x = np.arange(float(count)).reshape(old)
    x = x.transpose(data.draw(st.permutations(range(x.ndim))))
    expected = x.reshape(new)
    is_view = np.may_share_memory(expected, x)
    assert arrange.can_view(x, new) == is_view
    with as_if_large():
        found = arrange.reshaped(x, new)
    assert found.shape == new
    np.testing.assert_array_equal(found, expected)
    assert np.may_share_memory(found, x) == is_view


@pytest.mark.parametrize("groups", [2, 8])
def test_shuffled_channels_stay_neighbours_in_memory(groups):
    x = tg.nn.functional.conv2d(tg.ones(2, 3, 40, 40), tg.randn(16, 3, 1, 1)).requires_grad_()
    y = x.view(2, groups, 16 // groups, 40, 40).transpose(1, 2).reshape(x.shape)
    assert y._array.strides == x._array.strides == (16 * 1600 * 4, 4, 16 * 40 * 4, 16 * 4)
    assert y.is_contiguous()
    assert y.stride() == (16 * 1600, 1600, 40, 1)
    order = np.arange(16).reshape(groups, -1).T.ravel()
    np.testing.assert_array_equal(y.detach().numpy(), x.detach().numpy()[:, order])


@pytest.mark.parametrize("axis", [0, 1, -1])
@pytest.mark.parametrize("layout", [(0, 1, 2, 3), (0, 3, 1, 2)])
def test_concatenation_keeps_the_memory_order(axis, layout):
    rng = np.random.default_rng(0)
    x = rng.random((3, 4, 5, 6)).transpose(layout)
    others = [x[1:] if axis == 0 else x[:, 1:] if axis == 1 else x[..., 1:], np.ascontiguousarray(x)]
    with as_if_large():
        found = arrange.concatenate([x, *others], axis, np.dtype(np.float32))
    expected = np.concatenate([x, *others], axis, dtype=np.float32)
    np.testing.assert_array_equal(found, expected)
    assert found.dtype == np.float32
    assert found.transpose(np.argsort(layout)).flags.c_contiguous
