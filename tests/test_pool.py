"""Pooling and sampling: policies, memory, and what the property tests don't draw."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import pool as kernels, resize
from tinygrad_cnn.ops import pool as ops

F = tg.nn.functional


def test_the_first_of_equal_maxima_gets_the_gradient():
    x = tg.ones(1, 1, 4, 4, requires_grad=True)
    F.max_pool2d(x, 2).sum().backward()
    assert x.grad.tolist() == [[[[1, 0, 1, 0], [0, 0, 0, 0], [1, 0, 1, 0], [0, 0, 0, 0]]]]


def test_an_infinite_gradient_does_not_spoil_its_window():
    x = tg.tensor([[[1.0, 2.0], [0.0, -1.0]]], requires_grad=True)
    F.max_pool2d(x, 2).backward(tg.tensor([[[float("inf")]]]))
    assert x.grad.tolist() == [[[0, float("inf")], [0, 0]]]


def test_padding_never_wins():
    x = tg.full((1, 1, 3, 3), -5.0)
    assert F.max_pool2d(x, 3, 1, 1).unique().tolist() == [-5]
    assert F.max_pool2d(x.int(), 3, 1, 1).unique().tolist() == [-5]


def test_a_window_of_infinities_points_into_the_image():
    x = tg.full((1, 1, 2, 2), float("-inf"), requires_grad=True)
    y, indices = F.max_pool2d(x, 2, 2, 1, return_indices=True)
    assert indices.tolist() == [[[[0, 1], [2, 3]]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[[1, 1], [1, 1]]]]


def test_one_byte_a_maximum_is_kept_for_backward():
    x = tg.rand(1, 1, 30, 30)
    _, position = ops.max_pool2d.with_residuals(x, (3, 3), (2, 2), (1, 1), (1, 1), False)
    assert position.dtype == tg.uint8
    assert kernels.max_pool2d(x.numpy(), (20, 20), (1, 1), (0, 0), (1, 1), False, True)[1].dtype == np.uint16
    assert kernels.max_pool2d(x.numpy(), (3, 3), (2, 2), (1, 1), (1, 1), False, False)[1] is None


def test_many_images_are_pooled_in_parts(monkeypatch):
    x = np.random.default_rng(0).normal(size=(7, 3, 9, 8))
    settings = (3, 3), (2, 2), (1, 1), (1, 1)
    whole = kernels.max_pool2d(x, *settings, False, True)
    added = kernels.put_in_windows(whole[0], whole[1], (9, 8), *settings)
    means = kernels.avg_pool2d(x, 9, (5, 4), *settings[:3])
    monkeypatch.setattr(kernels, "_CHUNK", 3 * x[0].nbytes)  # parts of 3, 3 and 1
    parts = kernels.max_pool2d(x, *settings, False, True)
    np.testing.assert_array_equal(parts[0], whole[0])
    np.testing.assert_array_equal(parts[1], whole[1])
    np.testing.assert_array_equal(kernels.put_in_windows(whole[0], whole[1], (9, 8), *settings), added)
    np.testing.assert_array_equal(kernels.avg_pool2d(x, 9, (5, 4), *settings[:3]), means)


@pytest.mark.parametrize(
    "call",
    [
        lambda x: F.max_pool2d(x, 2),
        lambda x: F.max_pool2d(x, 3, 2, 1),
        lambda x: F.avg_pool2d(x, 3, 2, 1),
        lambda x: F.pad(x, (1, 1, 1, 1)),
        lambda x: F.pad(x, (1, 1, 1, 1), mode="reflect"),
        lambda x: F.interpolate(x, scale_factor=2),
        lambda x: F.interpolate(x, 5),
        lambda x: F.interpolate(x, scale_factor=2, mode="bilinear"),
        lambda x: F.adaptive_avg_pool2d(x, 3),
    ],
)
def test_channels_last_memory_stays_so(call):
    x = tg.rand(2, 8, 8, 3).permute(0, 3, 1, 2).requires_grad_() * 1
    layouts = []
    x.register_hook(lambda g: layouts.append(np.argsort(g.numpy().strides).tolist()))
    y = call(x)
    assert y.permute(0, 2, 3, 1).numpy(force=True).flags.c_contiguous
    y.backward(tg.ones_like(y))
    assert layouts == [[1, 3, 2, 0]]  # channels vary fastest


def test_wide_resizing_matrices_are_multiplied_in_bands():
    a = resize.matrix("linear", 200, 333, None, False, "float64")
    x = np.random.default_rng(0).normal(size=(2, 200, 5))
    np.testing.assert_allclose(resize._multiply(a, x), a @ x, atol=1e-12)
    np.testing.assert_allclose(resize._multiply(a.T, a @ x), a.T @ (a @ x), atol=1e-12)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda x: F.max_pool2d(x, 5), "max_pool2d.*must fit the padded input"),
        (lambda x: F.max_pool2d(x, 2, padding=2), "at most half"),
        (lambda x: F.avg_pool2d(x, (2, 2, 2)), "avg_pool2d: kernel_size .*tuple of 2 ints"),
        (lambda x: F.pad(x, (4, 4, 0, 0), mode="reflect"), "at most 3"),
        (lambda x: F.interpolate(x, scale_factor=0.1), "greater than 0"),
        (lambda x: F.max_unpool2d(x, x, 2), "indices expected an int64"),
    ],
)
def test_refusals_say_what_to_do(call, message):
    with pytest.raises(tg.errors.TinygradError, match=message):
        call(tg.zeros(1, 1, 4, 4))
