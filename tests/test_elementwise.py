"""Elementwise ops: traps that need no PyTorch to be seen."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentTypeError, DivisionError, DTypeError, InPlaceError
from tinygrad_cnn.kernels import elementwise
from tinygrad_cnn.kernels.erf import erf, erfc
from tinygrad_cnn.kernels.normal import normal
from tinygrad_cnn.kernels.select import keep, select


def select_positive(x):
    return select(x > 0, x, -2 * x)


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float64, 1e-15), (np.float32, 5e-7)])
def test_erf_is_accurate(dtype, tolerance):
    x = np.linspace(-7, 7, 2001).astype(dtype)
    expected = [math.erf(v) for v in x]
    assert erf(x).dtype == dtype
    np.testing.assert_allclose(erf(x), expected, rtol=0, atol=tolerance)


def test_erfc_keeps_its_digits_in_the_tail():
    x = np.linspace(-7, 26, 2001)
    np.testing.assert_allclose(erfc(x), [math.erfc(v) for v in x], rtol=1e-14)
    np.testing.assert_array_equal(erfc(np.array([math.inf, -math.inf, math.nan])), [0, 2, math.nan])


def test_the_normal_distribution_from_a_table_is_accurate():
    x = np.linspace(-7, 7, 100_003).astype(np.float32)
    density, distribution = np.empty_like(x), np.empty_like(x)
    normal(x, density, distribution)
    np.testing.assert_allclose(distribution, [math.erfc(-v / math.sqrt(2)) / 2 for v in x.tolist()], rtol=0, atol=1e-7)
    expected = np.exp(-(x.astype(float) ** 2) / 2) / math.sqrt(2 * math.pi)
    np.testing.assert_allclose(density, expected, rtol=0, atol=1e-7)
    tail = (x > -5.9) & (x < -3)
    np.testing.assert_allclose(
        distribution[tail], [math.erfc(-v / math.sqrt(2)) / 2 for v in x[tail].tolist()], rtol=1e-5
    )


def test_gelu_of_values_beyond_the_table():
    x = tg.tensor([-math.inf, -(2.0**100), -7.0, -6.0, 6.0, 7.0, 2.0**100, math.inf, math.nan], requires_grad=True)
    out = tg.nn.functional.gelu(x)
    np.testing.assert_array_equal(out.numpy(force=True), [math.nan, 0, 0, 0, 6, 7, 2.0**100, math.inf, math.nan])
    out.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy()[1:7], [0, 0, 0, 1, 1, 1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64, np.int64, np.uint8, np.bool_])
def test_selection_by_bits_is_where(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.integers(0, 100, (2, 5, 4)).astype(dtype)
    mask = rng.random((5, 4)) < 0.5
    np.testing.assert_array_equal(select(mask, x, y), np.where(mask, x, y))
    np.testing.assert_array_equal(select(mask.T, x.T, y.T[:1]), np.where(mask.T, x.T, y.T[:1]))
    np.testing.assert_array_equal(keep(x[::-1], mask[::-1]), np.where(mask, x, 0)[::-1])
    assert select(mask, x, y).dtype == keep(x, mask).dtype == dtype


@pytest.mark.parametrize(
    "function", [np.negative, lambda x: x + 1, lambda x: (x + 1).view(np.float32), select_positive]
)
def test_large_arrays_are_worked_on_in_parts(function, monkeypatch):
    monkeypatch.setattr(elementwise, "PART", 1 << 10)
    monkeypatch.setattr(elementwise, "_LEAST", 1 << 10)
    sizes = []

    def watched(x):
        sizes.append(x.size)
        return function(x)

    x = np.random.default_rng(0).normal(size=(40, 100)).astype(np.float32)
    np.testing.assert_array_equal(elementwise.in_parts(watched)(x), function(x))
    assert sum(sizes) == x.size + 1  # one element tells the dtype
    assert max(sizes) == 1 << 10


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (0, 2, 3, 1)])
def test_half_of_the_channels_are_worked_on_in_runs_of_memory(order, monkeypatch):
    monkeypatch.setattr(elementwise, "PART", 1 << 8)
    monkeypatch.setattr(elementwise, "_LEAST", 1 << 8)
    rng = np.random.default_rng(0)
    some = rng.normal(size=(1, 8, 9, 12)).transpose(order)[:, ::2]
    other = np.ascontiguousarray(rng.normal(size=some.shape).transpose(2, 0, 1, 3)).transpose(1, 2, 0, 3)
    seen = []

    def add(x, y, out):
        seen.append(x.size)
        assert all(array.ndim == 1 and array.flags.c_contiguous for array in (x, y, out))
        np.add(x, y, out=out)

    np.testing.assert_array_equal(elementwise.fill(np.empty_like(some), add, some, other), some + other)
    assert len(seen) > 1
    assert sum(seen) == some.size
    np.testing.assert_array_equal(elementwise.in_parts(lambda x, y: x * y)(some, other), some * other)


def test_what_returns_its_argument_gets_all_of_it(monkeypatch):
    monkeypatch.setattr(elementwise, "_LEAST", 1 << 10)
    x = np.zeros((40, 100))
    assert elementwise.in_parts(lambda x: x)(x) is x
    assert np.shares_memory(elementwise.in_parts(lambda x: x[...])(x), x)


def test_what_is_not_chosen_leaves_no_trace():
    """An infinite slope times a zero mask would be nan."""
    x = tg.tensor([-1.0, 0.0, 4.0], requires_grad=True)
    tg.relu(x).sqrt().sum().backward()
    assert x.grad.tolist() == [0.0, 0.0, 0.25]
    x = tg.tensor([-1.0, 4.0], requires_grad=True)
    tg.where(x > 0, x, 1.0).log().sum().backward()
    assert x.grad.tolist() == [0.0, 0.25]


def test_an_overwritten_mask_is_noticed():
    x, mask = tg.tensor([1.0, 2.0], requires_grad=True), tg.tensor([True, False])
    out = tg.where(mask, x, 0.0).sum()
    mask.logical_not_()
    with pytest.raises(InPlaceError, match="modified by an inplace operation"):
        out.backward()


def test_in_place_relu_leaves_what_the_graph_saved():
    x = tg.tensor([-1.0, 2.0], requires_grad=True)
    y = x * x
    z = y * 3  # nothing saved of y but its edge; the product with itself saves it
    w = y * y
    tg.nn.functional.relu(y, inplace=True)
    (w + z + y).sum().backward()
    assert x.grad.tolist() == [4 * -1.0 + 3 * 2 * -1.0 - 2.0, 4 * 8.0 + 3 * 2 * 2.0 + 4.0]


def test_integer_division_by_zero_is_both_errors():
    for error in (RuntimeError, ZeroDivisionError, DivisionError):
        with pytest.raises(error, match="divided by 0"):
            tg.tensor([1, 2]) // 0
    assert (tg.tensor([1.0]) // 0).item() == math.inf


def test_errors_say_what_to_do():
    with pytest.raises(DTypeError, match=r"alpha must not be a floating point number"):
        tg.add(tg.tensor([1]), tg.tensor([1]), alpha=0.5)
    with pytest.raises(ArgumentTypeError, match=r"sigmoid\(\): argument 'input' must be Tensor, not float"):
        tg.sigmoid(0.5)
    with pytest.raises(DTypeError, match=r"invert with `~`"):
        1 - tg.tensor([True])


def test_float32_stays_float32():
    x = tg.tensor([1.0, 2.0])
    for y in (x + 1, x * 2.5, x**2.5, 2**x, x / 3, x % 2, x.clamp(0, 1), tg.where(x > 1, x, 0.5), x.xlogy(2.0)):
        assert y.dtype == tg.float32


def test_large_arrays_in_any_order_of_memory():
    """They are worked on in parts, along their memory."""
    x = np.random.default_rng(0).standard_normal((3, 40, 40, 20)).astype(np.float32)
    for array in (x, x.transpose(0, 3, 1, 2), x[:, ::2], x.T):
        t = tg.from_numpy(array).requires_grad_()
        result = tg.relu(t)
        result.backward(tg.from_numpy(array))
        np.testing.assert_array_equal(result.detach().numpy(), np.maximum(array, 0))
        np.testing.assert_array_equal(t.grad.numpy(), np.where(array > 0, array, 0))
        np.testing.assert_array_equal(keep(array, array > 0.5), np.where(array > 0.5, array, 0))
