"""Optimisers: the same trajectories, states, texts and errors as PyTorch's."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare_error, torch

SHAPES = [(3, 4), (), (0, 2), (20_000,)]  # the last is stepped in blocks

SETTINGS = [
    ("SGD", dict(lr=0.1)),
    ("SGD", dict(lr=0.1, weight_decay=0.1)),
    ("SGD", dict(lr=0.1, momentum=0.9)),
    ("SGD", dict(lr=0.1, momentum=0.9, dampening=0.3, weight_decay=0.1, maximize=True)),
    ("SGD", dict(lr=0.1, momentum=0.9, nesterov=True, weight_decay=0.1)),
    ("Adam", dict()),
    ("Adam", dict(lr=0.1, betas=(0.5, 0.7), eps=1e-3, weight_decay=0.1)),
    ("Adam", dict(lr=0.1, amsgrad=True, maximize=True)),
    ("Adam", dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True)),
    ("AdamW", dict(lr=0.1, weight_decay=0.1)),
    ("AdamW", dict(lr=0.1, amsgrad=True)),
    ("NAdam", dict(lr=0.1)),
    ("NAdam", dict(lr=0.1, weight_decay=0.1, momentum_decay=0.02)),
    ("NAdam", dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True, maximize=True)),
    ("RAdam", dict(lr=0.1)),
    ("RAdam", dict(lr=0.1, betas=(0.9, 0.6), weight_decay=0.1)),
    ("RAdam", dict(lr=0.1, weight_decay=0.1, decoupled_weight_decay=True, maximize=True)),
    ("Adamax", dict(lr=0.1)),
    ("Adamax", dict(lr=0.1, weight_decay=0.1, maximize=True)),
    ("RMSprop", dict(lr=0.1)),
    ("RMSprop", dict(lr=0.1, momentum=0.9, weight_decay=0.1)),
    ("RMSprop", dict(lr=0.1, centered=True, alpha=0.5)),
    ("RMSprop", dict(lr=0.1, centered=True, momentum=0.9, maximize=True)),
    ("Adagrad", dict(lr=0.1)),
    ("Adagrad", dict(lr=0.1, lr_decay=0.1, weight_decay=0.1, initial_accumulator_value=0.2, maximize=True)),
    ("Adadelta", dict(lr=0.1)),
    ("Adadelta", dict(rho=0.5, weight_decay=0.1, maximize=True)),
    ("ASGD", dict(lr=0.1)),
    ("ASGD", dict(lr=0.1, lambd=0.1, alpha=0.9, t0=2, weight_decay=0.1, maximize=True)),
    ("Rprop", dict(lr=0.1)),
    ("Rprop", dict(lr=0.1, etas=(0.3, 3.0), step_sizes=(0.05, 0.5), maximize=True)),
]


def start(shapes=SHAPES, dtype=np.float64):
    rng = np.random.default_rng(0)
    return [np.asarray(rng.uniform(-1, 1, shape)).astype(dtype) for shape in shapes]


def parameters(T, arrays):
    return [T.nn.Parameter(T.tensor(array.copy())) for array in arrays]


def give_gradients(T, params, seed, skip=()):
    rng = np.random.default_rng(seed)
    for i, p in enumerate(params):
        grad = np.asarray(rng.uniform(-1, 1, tuple(p.shape))).astype(p.detach().numpy().dtype)
        p.grad = None if i in skip else T.tensor(grad)


def assert_states_equal(ours, theirs, rtol=1e-10):
    assert ours["param_groups"] == theirs["param_groups"]
    assert ours["state"].keys() == theirs["state"].keys()
    for index, their in theirs["state"].items():
        our = ours["state"][index]
        assert our.keys() == their.keys()
        for name, value in their.items():
            assert str(our[name].dtype) == str(value.dtype), name
            np.testing.assert_allclose(our[name].numpy(), value.numpy(), rtol=rtol, atol=1e-12)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_trajectory(name, settings):
    results = {}
    for T in (torch, tg):
        params = parameters(T, start())
        optimizer = getattr(T.optim, name)(params, **settings)
        for step in range(8):
            give_gradients(T, params, step, skip=(0,) if step == 3 else ())
            optimizer.step()
        results[T] = params, optimizer
    (theirs, their_optimizer), (ours, our_optimizer) = results[torch], results[tg]
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.detach().numpy(), their.detach().numpy(), rtol=1e-10, atol=1e-12)
        assert our._version == 8 - (our is ours[0])
    assert repr(our_optimizer) == repr(their_optimizer)
    assert_states_equal(our_optimizer.state_dict(), their_optimizer.state_dict())


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop"])
def test_trajectory_in_float32_with_tensor_learning_rate(name):
    results = []
    for T in (torch, tg):
        params = parameters(T, start(dtype=np.float32))
        optimizer = getattr(T.optim, name)(params, lr=T.tensor(0.05))
        for step in range(5):
            give_gradients(T, params, step)
            optimizer.step()
        results.append([p.detach().numpy() for p in params])
    for their, our in zip(*results, strict=True):
        assert our.dtype == np.float32
        np.testing.assert_allclose(our, their, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize(("name", "settings"), SETTINGS)
def test_state_of_pytorch_can_be_loaded(name, settings):
    theirs = parameters(torch, start())
    optimizer = getattr(torch.optim, name)(theirs, **settings)
    for step in range(3):
        give_gradients(torch, theirs, step)
        optimizer.step()
    ours = parameters(tg, [p.detach().numpy() for p in theirs])
    resumed = getattr(tg.optim, name)(ours, lr=7.0)
    saved = optimizer.state_dict()
    state = {i: {k: tg.tensor(v.numpy()) for k, v in s.items()} for i, s in saved["state"].items()}
    resumed.load_state_dict({"state": state, "param_groups": saved["param_groups"]})
    optimizer = getattr(torch.optim, name)(theirs, lr=7.0)
    optimizer.load_state_dict(saved)
    for step in range(3, 6):
        give_gradients(torch, theirs, step)
        give_gradients(tg, ours, step)
        optimizer.step()
        resumed.step()
    for our, their in zip(ours, theirs, strict=True):
        np.testing.assert_allclose(our.detach().numpy(), their.detach().numpy(), rtol=1e-10, atol=1e-12)
    assert_states_equal(resumed.state_dict(), optimizer.state_dict())


def test_groups():
    texts = []
    for T in (torch, tg):
        a, b, c = parameters(T, start([(2,), (3,), (1,)]))
        optimizer = T.optim.SGD([{"params": [a]}, {"params": b, "lr": 0.5}], lr=0.1, momentum=0.9)
        optimizer.add_param_group({"params": iter([c]), "nesterov": True})
        give_gradients(T, [a, b, c], 0)
        optimizer.step()
        optimizer.zero_grad(set_to_none=False)
        assert float(a.grad.abs().sum()) == 0
        optimizer.zero_grad()
        assert a.grad is None
        state = optimizer.state_dict()
        texts.append((repr(optimizer), state["param_groups"], sorted(state["state"]), optimizer.defaults))
    for their, our in zip(*texts, strict=True):
        assert our == their


def test_named_parameters():
    results = []
    for T in (torch, tg):
        layer = T.nn.Linear(2, 3)
        optimizer = T.optim.Adam(layer.named_parameters())
        results.append(optimizer.state_dict()["param_groups"])
        other = T.optim.Adam(layer.parameters())
        with pytest.raises(ValueError, match="with/without names"):
            optimizer.add_param_group({"params": [T.nn.Parameter(T.zeros(2))]})
        other.load_state_dict(optimizer.state_dict())
        results[-1] = results[-1], other.state_dict()["param_groups"]
    assert results[0] == results[1]


ERRORS = [
    lambda T, w: T.optim.SGD(w, 0.1),
    lambda T, w: T.optim.SGD([], 0.1),
    lambda T, w: T.optim.SGD([3.0], 0.1),
    lambda T, w: T.optim.SGD([w], -0.1),
    lambda T, w: T.optim.SGD([w], momentum=-0.1),
    lambda T, w: T.optim.SGD([w], weight_decay=-0.1),
    lambda T, w: T.optim.SGD([w], lr=T.zeros(2)),
    lambda T, w: T.optim.SGD([w], nesterov=True),
    lambda T, w: T.optim.SGD([w], momentum=0.9, dampening=0.1, nesterov=True),
    lambda T, w: T.optim.SGD([w, (w * 2)], 0.1),
    lambda T, w: T.optim.SGD([{"params": {w}}], 0.1),
    lambda T, w: T.optim.SGD([{"params": [w]}, {"params": [w]}], 0.1),
    lambda T, w: T.optim.SGD([("w", w), w.detach()], 0.1),
    lambda T, w: T.optim.SGD([w]).add_param_group([w]),
    lambda T, w: T.optim.SGD([w], foreach=True, fused=True),
    lambda T, w: T.optim.Adam([w], betas=(1.0, 0.5)),
    lambda T, w: T.optim.Adam([w], betas=(0.5, -0.5)),
    lambda T, w: T.optim.Adam([w], betas=(0, 0.5)),
    lambda T, w: T.optim.Adam([w], eps=-1.0),
    lambda T, w: T.optim.NAdam([w], momentum_decay=-1.0),
    lambda T, w: T.optim.RMSprop([w], alpha=-1.0),
    lambda T, w: T.optim.Adagrad([w], lr_decay=-1.0),
    lambda T, w: T.optim.Adagrad([w], initial_accumulator_value=-1.0),
    lambda T, w: T.optim.Adadelta([w], rho=1.5),
    lambda T, w: T.optim.Rprop([w], etas=(1.0, 1.2)),
    lambda T, w: T.optim.ASGD([w], weight_decay=-1.0),
    lambda T, w: T.optim.LBFGS([w], -1.0),
    lambda T, w: T.optim.LBFGS([w], T.ones(2)),
    lambda T, w: T.optim.LBFGS([{"params": [w]}, {"params": [w.detach()]}]),
    lambda T, w: T.optim.LBFGS([w], line_search_fn="armijo").step(lambda: [(w * w).sum().backward(), T.zeros(1)][1]),
    lambda T, w: T.optim.Optimizer([w], {}).step(),
    lambda T, w: T.optim.SGD([w]).load_state_dict({"state": {}, "param_groups": []}),
    lambda T, w: T.optim.SGD([w]).load_state_dict({"state": {}, "param_groups": [{"params": [0, 1]}]}),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors(call):
    def with_leaf(T, array):
        return call(T, array.clone().requires_grad_())

    compare_error(with_leaf, np.ones(3, np.float32))


def test_hooks_and_closure():
    logs = []
    for T in (torch, tg):
        (w,) = parameters(T, start([(2,)]))
        optimizer = T.optim.SGD([w], lr=0.1)
        log = []
        optimizer.register_step_pre_hook(lambda o, args, kwargs, log=log: log.append(("pre", len(args), len(kwargs))))
        optimizer.register_step_post_hook(lambda o, args, kwargs, log=log: log.append(("post", len(args))))
        optimizer.register_state_dict_pre_hook(lambda o, log=log: log.append("save"))
        optimizer.register_state_dict_post_hook(lambda o, d: {**d, "extra": 1})
        optimizer.register_load_state_dict_pre_hook(lambda o, d, log=log: log.append(sorted(d)))
        optimizer.register_load_state_dict_post_hook(lambda o, log=log: log.append("loaded"))

        def closure(T=T, w=w, log=log):
            log.append(T.is_grad_enabled())
            w.grad = None
            loss = (w * w).sum()
            loss.backward()
            return loss

        with T.no_grad():
            loss = optimizer.step(closure)
        optimizer.step()
        optimizer.load_state_dict(optimizer.state_dict())
        logs.append((log, round(loss.item(), 6), w.detach().numpy().round(6).tolist()))
    assert logs[0] == logs[1]
