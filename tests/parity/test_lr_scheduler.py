"""Schedules, averaged models and the optimisers' generated inputs: the same trajectories as PyTorch's."""

import copy
import warnings

import numpy as np
import pytest
from hypothesis import given, settings, strategies as st

import tinygrad_cnn as tg
from tests.parity.compare import compare_error, torch

STEPS = 30
# schedules in a schedule in SequentialLR make their first step twice, and PyTorch warns of it
pytestmark = pytest.mark.filterwarnings("ignore:Detected call of `lr_scheduler.step")


class Power:
    """A callable object, whose attributes are part of a schedule's state."""

    def __init__(self, rate):
        self.rate = rate

    def __call__(self, t):
        return self.rate**t


SCHEDULES = [
    lambda S, o: S.LambdaLR(o, lambda t: 0.95**t),
    lambda S, o: S.LambdaLR(o, [lambda t: 1 / (t + 1), Power(0.9)]),
    lambda S, o: S.MultiplicativeLR(o, lambda t: 0.95 + t * 0.01),
    lambda S, o: S.MultiplicativeLR(o, [Power(0.99), lambda t: 0.5]),
    lambda S, o: S.StepLR(o, 3),
    lambda S, o: S.StepLR(o, step_size=7, gamma=0.5),
    lambda S, o: S.MultiStepLR(o, [2, 5, 5, 11], gamma=0.3),
    lambda S, o: S.MultiStepLR(o, milestones=(9, 1)),
    lambda S, o: S.ConstantLR(o),
    lambda S, o: S.ConstantLR(o, factor=0.5, total_iters=0),
    lambda S, o: S.LinearLR(o),
    lambda S, o: S.LinearLR(o, start_factor=1.0, end_factor=0.0, total_iters=12),
    lambda S, o: S.ExponentialLR(o, 0.9),
    lambda S, o: S.PolynomialLR(o),
    lambda S, o: S.PolynomialLR(o, total_iters=20, power=2.5),
    lambda S, o: S.CosineAnnealingLR(o, 10),
    lambda S, o: S.CosineAnnealingLR(o, T_max=4, eta_min=0.01),
    lambda S, o: S.CosineAnnealingWarmRestarts(o, 4),
    lambda S, o: S.CosineAnnealingWarmRestarts(o, T_0=2, T_mult=3, eta_min=0.01),
    lambda S, o: S.CyclicLR(o, 0.01, 0.1, step_size_up=4),
    lambda S, o: S.CyclicLR(o, [0.01, 0.02], [0.1, 0.3], step_size_up=3, step_size_down=5, mode="triangular2"),
    lambda S, o: S.CyclicLR(o, 0.01, 0.1, step_size_up=3, mode="exp_range", gamma=0.9, base_momentum=0.7),
    lambda S, o: S.CyclicLR(o, 0.01, 0.1, 3, scale_fn=lambda x: 1 / x, scale_mode="cycle", cycle_momentum=False),
    lambda S, o: S.CyclicLR(o, 0.01, 0.1, 3, scale_fn=Power(0.9), scale_mode="iterations"),
    lambda S, o: S.OneCycleLR(o, 0.5, total_steps=STEPS + 1),
    lambda S, o: S.OneCycleLR(o, [0.5, 0.2], epochs=8, steps_per_epoch=5, three_phase=True, pct_start=0.25),
    lambda S, o: S.OneCycleLR(o, 0.5, total_steps=40, anneal_strategy="linear", div_factor=2.0, final_div_factor=10.0),
    lambda S, o: S.OneCycleLR(o, 0.5, 40, cycle_momentum=False),
    lambda S, o: S.ReduceLROnPlateau(o),
    lambda S, o: S.ReduceLROnPlateau(o, factor=0.5, patience=1, cooldown=2, min_lr=[0.02, 0.0]),
    lambda S, o: S.ReduceLROnPlateau(o, "max", 0.5, 0, threshold=0.3, threshold_mode="abs", min_lr=0.01),
    lambda S, o: S.ReduceLROnPlateau(o, "max", 0.5, 2, threshold=0.3, eps=0.01),
    lambda S, o: S.ReduceLROnPlateau(o, "min", 0.9, 0, threshold_mode="abs", threshold=0.2),
    lambda S, o: S.ChainedScheduler([S.ConstantLR(o, 0.1, 5), S.ExponentialLR(o, 0.9)], optimizer=o),
    lambda S, o: S.ChainedScheduler([S.LinearLR(o), S.StepLR(o, 4), S.MultiplicativeLR(o, lambda t: 0.97)]),
    lambda S, o: S.ChainedScheduler([S.CosineAnnealingLR(o, 6), S.PolynomialLR(o, 9), S.MultiStepLR(o, [3, 8])]),
    lambda S, o: S.SequentialLR(o, [S.ConstantLR(o, 0.1, 2), S.ExponentialLR(o, 0.9)], [4]),
    lambda S, o: S.SequentialLR(o, [S.LinearLR(o), S.CosineAnnealingLR(o, 9, 0.01), S.StepLR(o, 3)], [5, 14]),
    lambda S, o: S.SequentialLR(o, [S.LinearLR(o), S.CosineAnnealingWarmRestarts(o, 4, 2)], milestones=[5]),
    lambda S, o: S.SequentialLR(
        o, [S.ChainedScheduler([S.LinearLR(o), S.ExponentialLR(o, 0.8)]), S.PolynomialLR(o, 7), S.StepLR(o, 2)],
        [6, 12],
    ),
    lambda S, o: S.SequentialLR(o, [S.SequentialLR(o, [S.LinearLR(o), S.StepLR(o, 2)], [3]), S.StepLR(o, 4)], [8]),
]  # fmt: skip

AVERAGED = [
    lambda T, o: T.optim.swa_utils.SWALR(o, 0.05),
    lambda T, o: T.optim.swa_utils.SWALR(o, swa_lr=[0.05, 0.2], anneal_epochs=4, anneal_strategy="linear"),
    lambda T, o: T.optim.swa_utils.SWALR(o, 0.05, anneal_epochs=0),
]
ALL = [lambda T, o, make=make: make(T.optim.lr_scheduler, o) for make in SCHEDULES] + AVERAGED
OPTIMIZERS = [
    lambda T, groups: T.optim.SGD(groups, lr=0.1, momentum=0.9),
    lambda T, groups: T.optim.Adam(groups, lr=0.1),
]


def problem(T, make_optimizer, seed=0):
    rng = np.random.default_rng(seed)
    a, b = (T.nn.Parameter(T.tensor(rng.uniform(-1, 1, shape))) for shape in [(3,), (2, 2)])
    return [a, b], make_optimizer(T, [{"params": [a]}, {"params": [b], "lr": 0.03}])


def measure(t):
    return [1.0, 0.9, 0.9, 0.95, 0.3, 0.31, 0.5, 0.29, 0.6, 2.0][t % 10]


def advance(T, params, optimizer, scheduler, steps):
    """The rates, momenta and weights after each step."""
    path = []
    for t in steps:
        for i, p in enumerate(params):
            p.grad = T.tensor(np.random.default_rng(10 * t + i).uniform(-1, 1, tuple(p.shape)))
        optimizer.step()
        if "Plateau" in type(scheduler).__name__:
            scheduler.step(T.tensor(measure(t)))
        else:
            scheduler.step()
        groups = optimizer.param_groups
        rates = [float(group["lr"]) for group in groups]
        momenta = [group.get("momentum", 0.0) for group in groups] + [group.get("betas", (0.0,))[0] for group in groups]
        assert [float(rate) for rate in scheduler.get_last_lr()] == rates
        path.append([*rates, *momenta, *(x for p in params for x in p.detach().numpy().ravel().tolist())])
    return path


def plain(state):
    """A state_dict without what can't be compared."""
    if isinstance(state, dict):
        return {key: plain(value) for key, value in state.items()}
    if isinstance(state, list):
        return [plain(value) for value in state]
    if isinstance(state, float):
        return pytest.approx(state, rel=1e-12, abs=1e-14)
    return state


@pytest.mark.parametrize("make_optimizer", OPTIMIZERS, ids=["SGD", "Adam"])
@pytest.mark.parametrize("make", ALL)
def test_trajectory_and_state_in_the_middle(make, make_optimizer):
    """Half the way, saved, loaded into fresh objects, and the rest of the way."""
    results = []
    for T in (torch, tg):
        params, optimizer = problem(T, make_optimizer)
        scheduler = make(T, optimizer)
        first = [float(rate) for rate in scheduler.get_last_lr()]
        path = advance(T, params, optimizer, scheduler, range(STEPS // 2))
        saved, saved_optimizer = copy.deepcopy((scheduler.state_dict(), optimizer.state_dict()))
        params2, optimizer2 = problem(T, make_optimizer)
        for p2, p in zip(params2, params, strict=True):
            p2.data.copy_(p.data)
        scheduler2 = make(T, optimizer2)
        scheduler2.load_state_dict(copy.deepcopy(saved))  # PyTorch's CyclicLR takes a part out of the dict
        optimizer2.load_state_dict(saved_optimizer)
        path += advance(T, params2, optimizer2, scheduler2, range(STEPS // 2, STEPS))
        straight = advance(T, params, optimizer, scheduler, range(STEPS // 2, STEPS))
        np.testing.assert_allclose(path[STEPS // 2 :], straight, rtol=1e-12)
        results.append((first, path, saved, saved_optimizer["param_groups"]))
    (first, path, saved, groups), (our_first, our_path, our_saved, our_groups) = results
    assert our_first == pytest.approx(first, rel=1e-12, abs=0)
    np.testing.assert_allclose(our_path, path, rtol=1e-10, atol=1e-13)
    assert our_saved == plain(saved)
    assert [group.keys() for group in our_groups] == [group.keys() for group in groups]


@pytest.mark.parametrize("make", ALL)
def test_a_state_of_pytorch_can_be_loaded(make):
    params, optimizer = problem(torch, OPTIMIZERS[0])
    scheduler = make(torch, optimizer)
    advance(torch, params, optimizer, scheduler, range(7))
    ours, our_optimizer = problem(tg, OPTIMIZERS[0])
    our_scheduler = make(tg, our_optimizer)
    our_scheduler.load_state_dict(copy.deepcopy(scheduler.state_dict()))
    state = optimizer.state_dict()
    state["state"] = {i: {k: tg.tensor(v.numpy()) for k, v in held.items()} for i, held in state["state"].items()}
    our_optimizer.load_state_dict(state)
    for our, their in zip(ours, params, strict=True):
        our.data.copy_(tg.tensor(their.detach().numpy()))
    path = advance(torch, params, optimizer, scheduler, range(7, 20))
    np.testing.assert_allclose(advance(tg, ours, our_optimizer, our_scheduler, range(7, 20)), path, rtol=1e-10)


@pytest.mark.parametrize("make", SCHEDULES[:33])
def test_going_on_by_last_epoch(make, monkeypatch):
    """A schedule made with last_epoch, on groups that have begun."""
    results = []
    for T in (torch, tg):
        params, optimizer = problem(T, OPTIMIZERS[0])
        S = T.optim.lr_scheduler
        scheduler = make(S, optimizer)
        if "Plateau" in type(scheduler).__name__:
            pytest.skip("ReduceLROnPlateau takes no last_epoch")
        advance(T, params, optimizer, scheduler, range(5))

        class Resumed:
            def __getattr__(self, name, S=S):
                return lambda *args, **kwargs: getattr(S, name)(*args, last_epoch=5, **kwargs)

        resumed = make(Resumed(), optimizer)
        begin = [float(group["lr"]) for group in optimizer.param_groups]
        results.append([begin, *(row[:4] for row in advance(T, params, optimizer, resumed, range(5, 12)))])
    for our, their in zip(results[1], results[0], strict=True):
        assert our == pytest.approx(their, rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("make", [make for make in ALL if make is not None])
@pytest.mark.filterwarnings("ignore:The epoch parameter")
def test_epoch_as_argument(make):
    """Forwards, backwards and on: the closed form where there is one."""
    results = []
    for T in (torch, tg):
        _, optimizer = problem(T, OPTIMIZERS[0])
        scheduler = make(T, optimizer)
        if hasattr(scheduler, "_schedulers") or "Plateau" in type(scheduler).__name__:
            return
        rates = []
        optimizer.step()
        for epoch in (3, 0, 9, 4, None, None, 12):
            scheduler.step(epoch)
            rates += scheduler.get_last_lr()
        results.append(rates)
    assert results[1] == pytest.approx(results[0], rel=1e-10, abs=1e-14)


@pytest.mark.parametrize("make", SCHEDULES)
def test_rates_held_in_tensors(make):
    results = []
    for T in (torch, tg):
        params, _ = problem(T, OPTIMIZERS[0])
        rates = [T.tensor(0.1, dtype=T.float64), T.tensor(0.03, dtype=T.float64)]
        groups = [{"params": [p], "lr": rate} for p, rate in zip(params, rates, strict=True)]
        optimizer = T.optim.SGD(groups, lr=T.tensor(0.1), momentum=0.9, foreach=False)
        scheduler = make(T.optim.lr_scheduler, optimizer)
        results.append(advance(T, params, optimizer, scheduler, range(12)))
        assert all(group["lr"] is rate for group, rate in zip(optimizer.param_groups, rates, strict=True))
        assert all(isinstance(rate, T.Tensor) for rate in scheduler.get_last_lr())
        assert all(last is not rate for last, rate in zip(scheduler.get_last_lr(), rates, strict=True))
    np.testing.assert_allclose(results[1], results[0], rtol=1e-10, atol=1e-13)


rates = st.floats(0.01, 1.0)
counts = st.integers(1, 9)
KINDS = {
    "StepLR": st.fixed_dictionaries({"step_size": counts, "gamma": rates}),
    "MultiStepLR": st.fixed_dictionaries({"milestones": st.lists(counts, max_size=4), "gamma": rates}),
    "ConstantLR": st.fixed_dictionaries({"factor": rates, "total_iters": counts}),
    "LinearLR": st.fixed_dictionaries({"start_factor": rates, "end_factor": rates, "total_iters": counts}),
    "ExponentialLR": st.fixed_dictionaries({"gamma": rates}),
    "PolynomialLR": st.fixed_dictionaries({"total_iters": counts, "power": st.floats(0.5, 3.0)}),
    "CosineAnnealingLR": st.fixed_dictionaries({"T_max": counts, "eta_min": st.floats(0, 0.02)}),
    "CosineAnnealingWarmRestarts": st.fixed_dictionaries(
        {"T_0": counts, "T_mult": st.integers(1, 3), "eta_min": st.floats(0, 0.02)}
    ),
}
parts = st.sampled_from(sorted(KINDS)).flatmap(lambda name: st.tuples(st.just(name), KINDS[name]))
gaps = st.integers(1, 9)


@settings(max_examples=80, deadline=None)
@given(data=st.data(), chained=st.booleans())
def test_drawn_combinations(data, chained):
    chosen = data.draw(st.lists(parts, min_size=1, max_size=4))
    milestones = np.cumsum(data.draw(st.lists(gaps, min_size=len(chosen) - 1, max_size=len(chosen) - 1)), dtype=int)
    results = []
    for T in (torch, tg):
        params, optimizer = problem(T, OPTIMIZERS[0])
        S = T.optim.lr_scheduler
        made = [getattr(S, name)(optimizer, **kwargs) for name, kwargs in chosen]
        scheduler = S.ChainedScheduler(made) if chained else S.SequentialLR(optimizer, made, milestones.tolist())
        results.append([row[:2] for row in advance(T, params, optimizer, scheduler, range(STEPS))])
    np.testing.assert_allclose(results[1], results[0], rtol=1e-8, atol=1e-12)


ERRORS = [
    lambda T, S, o: S.StepLR(3.0, 1),
    lambda T, S, o: S.StepLR(o, 1, last_epoch=3),
    lambda T, S, o: S.LambdaLR(o, [abs, abs]),
    lambda T, S, o: S.MultiplicativeLR(o, 0.5),
    lambda T, S, o: S.ConstantLR(o, 1.5),
    lambda T, S, o: S.ConstantLR(o, -0.1),
    lambda T, S, o: S.LinearLR(o, 0.0),
    lambda T, S, o: S.LinearLR(o, end_factor=1.1),
    lambda T, S, o: S.CosineAnnealingWarmRestarts(o, 0),
    lambda T, S, o: S.CosineAnnealingWarmRestarts(o, 2.0),
    lambda T, S, o: S.CosineAnnealingWarmRestarts(o, 2, 0),
    lambda T, S, o: S.CosineAnnealingWarmRestarts(o, 2, eta_min="a"),
    lambda T, S, o: S.CosineAnnealingWarmRestarts(o, 2).step(-1),
    lambda T, S, o: S.CyclicLR(3, 0.1, 0.2),
    lambda T, S, o: S.CyclicLR(o, 0.1, [0.2, 0.3]),
    lambda T, S, o: S.CyclicLR(o, 0.1, 0.2, mode="up"),
    lambda T, S, o: S.CyclicLR(T.optim.Adagrad(o.param_groups), 0.1, 0.2),
    lambda T, S, o: S.OneCycleLR(3, 0.1, 5),
    lambda T, S, o: S.OneCycleLR(o, 0.1),
    lambda T, S, o: S.OneCycleLR(o, 0.1, total_steps=0),
    lambda T, S, o: S.OneCycleLR(o, 0.1, epochs=1, steps_per_epoch=-1),
    lambda T, S, o: S.OneCycleLR(o, 0.1, epochs=1.5, steps_per_epoch=1),
    lambda T, S, o: S.OneCycleLR(o, 0.1, 5, pct_start=2.0),
    lambda T, S, o: S.OneCycleLR(o, 0.1, 5, pct_start=1),
    lambda T, S, o: S.OneCycleLR(o, 0.1, 5, anneal_strategy="sin"),
    lambda T, S, o: S.OneCycleLR(o, [0.1, 0.2], 5),
    lambda T, S, o: S.OneCycleLR(T.optim.Adagrad(o.param_groups), 0.1, 5),
    lambda T, S, o: [s.step() for s in [S.OneCycleLR(o, 0.1, 2)] for _ in range(4) if o.step() is None],
    lambda T, S, o: S.ReduceLROnPlateau(3),
    lambda T, S, o: S.ReduceLROnPlateau(o, factor=1.0),
    lambda T, S, o: S.ReduceLROnPlateau(o, "avg"),
    lambda T, S, o: S.ReduceLROnPlateau(o, threshold_mode="x"),
    lambda T, S, o: S.ReduceLROnPlateau(o, min_lr=[0.1, 0.2]),
    lambda T, S, o: S.ChainedScheduler([]),
    lambda T, S, o: S.ChainedScheduler([S.StepLR(o, 1), S.ReduceLROnPlateau(o)]),
    lambda T, S, o: S.ChainedScheduler([S.StepLR(o, 1), 3]),
    lambda T, S, o: S.ChainedScheduler([S.StepLR(o, 1), S.StepLR(T.optim.SGD([T.zeros(2)]), 1)]),
    lambda T, S, o: S.SequentialLR(o, [], []),
    lambda T, S, o: S.SequentialLR(o, [3], []),
    lambda T, S, o: S.SequentialLR(o, [S.StepLR(o, 1)], [2]),
    lambda T, S, o: S.SequentialLR(o, [S.ReduceLROnPlateau(o)], []),
    lambda T, S, o: S.SequentialLR(T.optim.SGD([T.zeros(2)]), [S.StepLR(o, 1)], []),
    lambda T, S, o: S.LRScheduler(o),
    lambda T, S, o: T.optim.swa_utils.SWALR(o, [0.1, 0.2]),
    lambda T, S, o: T.optim.swa_utils.SWALR(o, 0.1, anneal_strategy="x"),
    lambda T, S, o: T.optim.swa_utils.SWALR(o, 0.1, anneal_epochs=-1),
    lambda T, S, o: T.optim.swa_utils.SWALR(o, 0.1, anneal_epochs=1.0),
    lambda T, S, o: T.optim.swa_utils.get_ema_avg_fn(1.1),
    lambda T, S, o: T.optim.swa_utils.get_ema_multi_avg_fn(-0.1),
    lambda T, S, o: T.optim.swa_utils.AveragedModel(T.nn.ReLU(), avg_fn=max, multi_avg_fn=max),
]


@pytest.mark.parametrize("call", ERRORS)
def test_errors(call):
    compare_error(lambda T, w: call(T, T.optim.lr_scheduler, T.optim.SGD([w], 0.1)), np.ones(3, np.float32))


def early(T, S, o):
    S.StepLR(o, 1).step()


def in_order(T, S, o):
    scheduler = S.StepLR(o, 1)
    o.step()
    scheduler.step()
    scheduler.step()


def overridden(T, S, o):
    scheduler = S.StepLR(o, 1)
    o.step = lambda: None
    o.step()
    scheduler.step()


def epoch(T, S, o):
    scheduler = S.StepLR(o, 1)
    o.step()
    scheduler.step(3)


@pytest.mark.parametrize("act", [early, in_order, overridden, epoch, lambda T, S, o: S.ExponentialLR(o, 1).get_lr()])
def test_warnings(act):
    texts = []
    for T in (torch, tg):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            act(T, T.optim.lr_scheduler, T.optim.SGD([T.zeros(2)], 0.1))
        texts.append([(w.category, str(w.message)[:40]) for w in caught])
    assert texts[0] == texts[1]


# ------------------------------------------------------------------------------------- averaged models
def train_averaged(T, model, averaged, steps):
    for t in range(steps):
        for i, held in enumerate([*model.parameters(), *model.buffers()]):
            values = np.random.default_rng(100 * t + i).uniform(0.1, 1, tuple(held.shape))
            with T.no_grad():
                held.copy_(T.tensor(values if held.is_floating_point() else np.asarray(7 * t + 5 * (t == 2))))
        averaged.update_parameters(model)


AVERAGES = [
    lambda u: {},
    lambda u: dict(use_buffers=True),
    lambda u: dict(avg_fn=u.get_swa_avg_fn(), use_buffers=True),
    lambda u: dict(avg_fn=u.get_ema_avg_fn(0.6), use_buffers=True),
    lambda u: dict(avg_fn=u.get_ema_avg_fn(), device="cpu"),
    lambda u: dict(avg_fn=lambda average, value, n: average * n / (n + 2) + value / (n + 2)),
    lambda u: dict(multi_avg_fn=u.get_ema_multi_avg_fn(0.3), use_buffers=True),
    lambda u: dict(multi_avg_fn=u.get_ema_multi_avg_fn(1.0)),
    lambda u: dict(multi_avg_fn=u.get_swa_multi_avg_fn()),
]


@pytest.mark.parametrize("make", AVERAGES)
def test_averaged_model(make):
    results = []
    for T in (torch, tg):
        model = T.nn.Sequential(T.nn.Linear(2, 3), T.nn.BatchNorm1d(3), T.nn.Linear(3, 1).double())
        averaged = T.optim.swa_utils.AveragedModel(model, **make(T.optim.swa_utils))
        train_averaged(T, model, averaged, 3)
        saved = copy.deepcopy(averaged.state_dict())
        resumed = T.optim.swa_utils.AveragedModel(model, **make(T.optim.swa_utils))
        resumed.load_state_dict(saved)
        train_averaged(T, model, resumed, 4)
        assert averaged.module is not model
        results.append(resumed.state_dict())
    assert list(results[0]) == list(results[1])
    for name, value in results[0].items():
        assert str(results[1][name].dtype) == str(value.dtype), name
        np.testing.assert_allclose(results[1][name].numpy(), value.numpy(), rtol=1e-5, err_msg=name)


@pytest.mark.parametrize("pack", [lambda x: x, lambda x: [x], lambda x: (x, 3)])
def test_update_bn(pack):
    results = []
    for T in (torch, tg):
        rng = np.random.default_rng(0)
        model = T.nn.Sequential(
            T.nn.BatchNorm2d(3), T.nn.Sequential(T.nn.Dropout(0.0), T.nn.BatchNorm2d(3, momentum=0.3))
        )
        loader = [pack(T.tensor(rng.uniform(-1, 3, (4, 3, 2, 2)).astype(np.float32))) for _ in range(3)]
        model(T.ones(2, 3, 2, 2))
        model.eval()
        T.optim.swa_utils.update_bn(loader, model, device="cpu")
        assert (model[0].momentum, model[1][1].momentum, model.training) == (0.1, 0.3, False)
        assert not model[1][1].training
        results.append(model.state_dict())
    for name, value in results[0].items():
        np.testing.assert_allclose(results[1][name].numpy(), value.numpy(), rtol=1e-4, atol=1e-6, err_msg=name)


def test_averaged_model_in_use():
    results = []
    for T in (torch, tg):
        model = T.nn.Linear(2, 1)
        averaged = T.optim.swa_utils.AveragedModel(model)
        with T.no_grad():
            model.weight.fill_(2.0)
            model.bias.fill_(1.0)
        averaged.update_parameters(model)
        out = averaged(T.ones(1, 2))
        results.append((out.item(), out.requires_grad, [n for n, _ in averaged.named_parameters()], averaged.training))
    assert results[0] == results[1]
