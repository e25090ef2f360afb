"""Large arrays are worked on in parts, by several threads: the results are those of the whole."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import elementwise, parallel

LAYOUTS: dict[str, Callable[[np.ndarray], np.ndarray]] = {
    "plain": lambda x: x,
    "channels last": lambda x: np.ascontiguousarray(x.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2),
    "with gaps": lambda x: np.repeat(x, 2, axis=3)[..., ::2],
    "one row": lambda x: x.reshape(-1),
}


@pytest.fixture(params=[1, 2, 3])
def threads(request: pytest.FixtureRequest) -> Iterator[int]:
    before = tg.get_num_threads()
    tg.set_num_threads(request.param)
    yield request.param
    tg.set_num_threads(before)


@pytest.fixture(autouse=True)
def small_parts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(elementwise, "PART", 1 << 14)
    monkeypatch.setattr(parallel, "LEAST_SHARE", 1 << 18)


def _images(layout: str, seed: int = 0, dtype: Any = np.float32) -> np.ndarray:
    """More elements than a part has, in a number that divides into nothing."""
    x = np.random.default_rng(seed).standard_normal((7, 11, 101, 53)).astype(dtype)
    assert x.size > elementwise.PART
    return LAYOUTS[layout](x)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.float16])
def test_functions_of_large_arrays(threads: int, layout: str, dtype: Any) -> None:
    x, y = _images(layout, 0, dtype), _images(layout, 1, dtype)
    few = (slice(2),) if x.ndim == 1 else (slice(1), slice(1), slice(1), slice(2))
    small_x, small_y = np.ascontiguousarray(x[few]), np.ascontiguousarray(y[few])
    F = tg.nn.functional
    for f in (
        tg.add,
        tg.mul,
        tg.maximum,
        tg.lt,
        lambda a, b: F.relu(a) - 2 * b,
        lambda a, b: F.silu(a),
        lambda a, b: a.clamp(0, 1),
    ):
        large, small = (
            f(tg.from_numpy(x), tg.from_numpy(y)).numpy(),
            f(tg.from_numpy(small_x), tg.from_numpy(small_y)).numpy(),
        )
        assert large.dtype == small.dtype
        np.testing.assert_array_equal(large[few], small)


@pytest.mark.parametrize("layouts", [(a, b) for a in LAYOUTS if a != "one row" for b in LAYOUTS if b != "one row"])
def test_gradients_of_large_arrays(threads: int, layouts: tuple[str, str]) -> None:
    x, g = _images(layouts[0], 0), _images(layouts[1], 1)
    t = tg.from_numpy(x).requires_grad_()
    (found,) = tg.autograd.grad(tg.relu(t), t, tg.from_numpy(g))
    np.testing.assert_array_equal(found.numpy(), np.where(x > 0, g, 0))
    (found,) = tg.autograd.grad(t * t + tg.sigmoid(t), t, tg.from_numpy(g))
    s = 1 / (1 + np.exp(-x.astype(np.float64)))
    np.testing.assert_allclose(found.numpy(), g * (2 * x + s * (1 - s)), rtol=1e-5, atol=1e-6)


def test_what_a_mask_hides_leaves_no_trace() -> None:
    x = np.full(elementwise.PART + 3, np.inf, np.float32)
    t = tg.zeros(x.size, requires_grad=True)
    (found,) = tg.autograd.grad(tg.relu(t), t, tg.from_numpy(x))
    assert not found.numpy().any()


def test_errors_in_a_part_reach_the_caller(threads: int) -> None:
    def fail(x: np.ndarray) -> np.ndarray:
        if len(x) > 1:
            raise ValueError("in a part")
        return x + 1

    with pytest.raises(ValueError, match="in a part"):
        elementwise.in_parts(fail)(np.ones(elementwise.PART * 2))


@pytest.mark.parametrize("layout", ["plain", "channels last"])
def test_gradients_that_meet_are_added_without_touching_others(threads: int, layout: str) -> None:
    x, g = tg.from_numpy(_images(layout)).requires_grad_(), tg.from_numpy(_images(layout, 1))
    before = g.numpy().copy()
    inner = x * 1
    (found,) = tg.autograd.grad(inner + tg.tanh(inner) + inner, x, g)
    np.testing.assert_array_equal(g.numpy(), before)
    np.testing.assert_allclose(found.numpy(), before * (3 - np.tanh(x.numpy(force=True)) ** 2), rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad"])
def test_optimisers_treat_large_parameters_as_small_ones(threads: int, name: str) -> None:
    count = elementwise.PART + 1001
    values, grads = np.random.default_rng(0).normal(size=(2, count)).astype(np.float32)
    large, small = tg.from_numpy(values.copy()), tg.from_numpy(values[-7:].copy())
    for parameter, grad in ((large, grads), (small, grads[-7:])):
        parameter.requires_grad_().grad = tg.from_numpy(grad.copy())
        optimizer = getattr(tg.optim, name)([parameter], lr=0.1, weight_decay=0.1)
        optimizer.step()
        optimizer.step()
    np.testing.assert_array_equal(large.numpy(force=True)[-7:], small.numpy(force=True))
