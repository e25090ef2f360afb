"""Indexing, assigning and in-place work as code written for PyTorch does it; and hidden memory layouts."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd.tensor import wrap


def channels_last():
    """A tensor as convolutions leave it: NCHW for its users, NHWC in memory."""
    return wrap(np.arange(24.0).reshape(1, 2, 3, 4).transpose(0, 3, 1, 2))


def test_elements_computed_one_by_one_have_gradients():
    image, kernel = tg.ones(3, 3, requires_grad=True), tg.ones(2, 2, requires_grad=True)
    out = tg.zeros(2, 2)
    for i in range(2):
        for j in range(2):
            out[i, j] = (image[i : i + 2, j : j + 2] * kernel).sum()
    out.sum().backward()
    assert image.grad.tolist() == [[1, 2, 1], [2, 4, 2], [1, 2, 1]]
    assert kernel.grad.tolist() == [[4, 4], [4, 4]]


def test_a_full_index_is_a_view():
    x = tg.zeros(3)
    x[0].add_(1)
    x[1] = 5
    assert x.tolist() == [1, 5, 0]


def test_data_is_updated_through_its_slices():
    w = tg.ones(2, requires_grad=True)
    (w * 3).sum().backward()
    w.data[:] -= 0.5 * w.grad
    assert w.tolist() == [-0.5, -0.5]
    assert w.is_leaf


def test_a_leaf_is_not_overwritten_while_recording():
    w = tg.ones(3, requires_grad=True)
    for write in (lambda: w.__setitem__(0, 1.0), lambda: w[0].add_(1), lambda: w.view(-1).mul_(2), lambda: w.copy_(w)):
        with pytest.raises(tg.errors.InPlaceError, match="leaf"):
            write()
    with tg.no_grad():
        w[0] = 7
    assert w.tolist() == [7, 1, 1]


def test_an_overwritten_value_is_noticed_by_backward():
    x, w = tg.ones(3), tg.ones(3, requires_grad=True)
    y = (x * w).sum()
    x[0] = 5
    with pytest.raises(tg.errors.InPlaceError, match="modified by an inplace operation"):
        y.backward()


def test_repeated_indices_add_up_in_the_gradient():
    x = tg.zeros(3, requires_grad=True)
    x[[0, 0, 2]].sum().backward()
    assert x.grad.tolist() == [2, 0, 1]


def test_a_view_of_a_hidden_layout_shares_its_memory():
    x = channels_last()
    assert x.is_contiguous()
    assert x.stride() == (24, 6, 3, 1)
    channel = x[:, 1]
    flat = x.view(-1)
    flat[6] = 100.0
    assert x[0, 1, 0, 0].item() == 100
    assert channel[0, 0, 0].item() == 100


def test_a_permuted_hidden_layout_is_not_contiguous():
    nhwc = channels_last().permute(0, 2, 3, 1)  # contiguous in memory, but nobody may know
    assert not nhwc.is_contiguous()
    with pytest.raises(tg.errors.ShapeError, match="view size"):
        nhwc.view(-1)
    copy = nhwc.reshape(-1)
    copy[0] = 100.0
    assert nhwc[0, 0, 0, 0].item() == 0


def test_the_gradient_of_a_linear_layer_is_kept_without_a_copy():
    layer_input = tg.ones(4, 3, 5)
    weight = tg.ones(2, 5, requires_grad=True)
    tg.nn.functional.linear(layer_input, weight).sum().backward()
    assert weight.grad.numpy().flags.c_contiguous
    assert weight.grad.tolist() == [[12.0] * 5] * 2


def test_linear_says_what_to_do():
    with pytest.raises(tg.errors.ShapeError, match=r"linear: expected 400 features, got 576 .* use in_features=576"):
        tg.nn.functional.linear(tg.ones(1, 576), tg.ones(120, 400))


def test_expanded_memory_is_not_written_to():
    with pytest.raises(tg.errors.GraphError, match="single memory location"):
        tg.ones(3).expand(2, 3).add_(1)


def test_a_gradient_shown_to_a_hook_may_be_changed_in_place():
    x = tg.ones(2, 3, requires_grad=True)
    y = x * 1
    y.register_hook(lambda gradient: gradient.mul_(2))
    y.sum().backward()
    assert x.grad.tolist() == [[2.0] * 3] * 2
