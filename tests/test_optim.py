"""Optimisers, without an oracle: what they refuse, what they leave alone, copies."""

import copy
import pickle

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import TinygradError, UnsupportedError

NAMES = [
    "SGD",
    "Adam",
    "AdamW",
    "NAdam",
    "RAdam",
    "Adamax",
    "RMSprop",
    "Adagrad",
    "Adadelta",
    "ASGD",
    "Rprop",
    "Adafactor",
]


def quadratic(name, **settings):
    w = tg.nn.Parameter(tg.tensor([2.0, -3.0]))
    optimizer = getattr(tg.optim, name)([w], **settings)
    return w, optimizer


def descend(w, optimizer, steps):
    for _ in range(steps):
        optimizer.zero_grad()
        (w * w).sum().backward()
        optimizer.step()
    return w


@pytest.mark.parametrize("name", NAMES)
def test_finds_the_minimum(name):
    w, optimizer = quadratic(name, lr={"Adadelta": 20.0, "Adagrad": 0.5}.get(name, 0.1))
    descend(w, optimizer, 300)
    assert float((w * w).sum().detach()) < 0.1


@pytest.mark.parametrize("name", NAMES)
def test_a_copy_goes_on_alike(name):
    w, optimizer = quadratic(name)
    descend(w, optimizer, 3)
    for duplicate in (copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))):
        w2, optimizer2 = duplicate((w, optimizer))
        assert w2 is not w
        assert optimizer2.param_groups[0]["params"][0] is w2
        before = w.detach().clone()
        descend(w2, optimizer2, 2)
        assert (w == before).all()
        w3, optimizer3 = duplicate((w, optimizer))
        descend(w3, optimizer3, 2)
        assert (w3 == w2).all()


def test_a_loaded_state_shares_no_memory():
    w, optimizer = quadratic("Adam")
    descend(w, optimizer, 2)
    saved = optimizer.state_dict()
    held = saved["state"][0]["exp_avg"].clone()
    w2, optimizer2 = quadratic("Adam")
    optimizer2.load_state_dict(saved)
    descend(w2, optimizer2, 2)
    assert (saved["state"][0]["exp_avg"] == held).all()


@pytest.mark.parametrize("setting", ["differentiable", "capturable"])
def test_what_cannot_be_honoured_raises(setting):
    with pytest.raises(UnsupportedError, match=setting):
        quadratic("Adam", **{setting: True})


def test_a_recorded_value_that_is_stepped_over_is_noticed():
    w, optimizer = quadratic("SGD", lr=0.1)
    loss = (w * w).sum()
    loss.backward(retain_graph=True)
    optimizer.step()
    with pytest.raises(TinygradError, match="modified by an inplace operation"):
        loss.backward()


def test_an_optimiser_of_the_users_own():
    class Sign(tg.optim.Optimizer):
        def __init__(self, params, lr):
            super().__init__(params, dict(lr=lr))

        @tg.no_grad()
        def step(self, closure=None):
            for group in self.param_groups:
                for p in group["params"]:
                    p -= group["lr"] * p.grad.sign()

    w = tg.nn.Parameter(tg.tensor([2.0, -3.0]))
    optimizer = Sign([w], lr=0.5)
    calls = []
    optimizer.register_step_post_hook(lambda *args: calls.append(1))
    (w * w).sum().backward()
    optimizer.step()
    assert w.tolist() == [1.5, -2.5]
    assert calls == [1]


def test_hooks_run_once_when_a_subclass_calls_the_step_it_overrides():
    class Twice(tg.optim.SGD):
        def step(self, closure=None):
            super().step()
            super().step()

    w = tg.nn.Parameter(tg.tensor([1.0]))
    optimizer = Twice([w], lr=0.25)
    calls = []
    optimizer.register_step_pre_hook(lambda *args: calls.append(1))
    w.grad = tg.tensor([1.0])
    optimizer.step()
    assert (w.tolist(), calls) == ([0.5], [1])


def test_groups_of_an_unordered_memory_layout_are_stepped_whole():
    array = np.asfortranarray(np.ones((300, 300), np.float32))
    w = tg.nn.Parameter(tg.from_numpy(array))
    optimizer = tg.optim.Adam([w], lr=0.5)
    w.grad = tg.ones(300, 300)
    optimizer.step()
    np.testing.assert_allclose(w.detach().numpy(), 0.5, rtol=1e-5)
    assert array[3, 4] == w[3, 4].item()  # the same memory


def test_moments_of_another_memory_layout_are_written_to():
    """As a state that was saved from a model with plain memory has."""
    plain, other = (tg.nn.Parameter(tg.from_numpy(np.ones((300, 300), np.float32, order))) for order in "CF")
    optimizers = [tg.optim.SGD([w], lr=0.5, momentum=0.9) for w in (plain, other)]
    for step in range(3):
        if step == 1:
            optimizers[1].load_state_dict(optimizers[0].state_dict())
        for w, optimizer in zip((plain, other), optimizers, strict=True):
            w.grad = tg.arange(90000.0).reshape(300, 300)
            optimizer.step()
    np.testing.assert_array_equal(plain.detach().numpy(), other.detach().numpy())
