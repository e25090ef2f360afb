"""Schedules and averaged models, without an oracle: values worked out by hand, states, copies, traps."""

import copy
import gc
import pickle
import weakref

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.errors import ArgumentError, GraphError, StateError, TinygradError, UnsupportedError
from tinygrad_cnn.optim import lr_scheduler as S, swa_utils


def sgd(lr=1.0, **settings):
    return tg.optim.SGD([tg.nn.Parameter(tg.zeros(2))], lr=lr, **settings)


def rates(optimizer, scheduler, steps):
    path = [scheduler.get_last_lr()[0]]
    for _ in range(steps):
        optimizer.step()
        scheduler.step()
        path.append(scheduler.get_last_lr()[0])
        assert path[-1] == optimizer.param_groups[0]["lr"]
    return path


BY_HAND = [
    (lambda o: S.LambdaLR(o, lambda t: 1 / (1 + t)), [1, 1 / 2, 1 / 3, 1 / 4]),
    (lambda o: S.MultiplicativeLR(o, lambda t: t), [1, 1, 2, 6, 24]),
    (lambda o: S.StepLR(o, 2, 0.5), [1, 1, 0.5, 0.5, 0.25]),
    (lambda o: S.MultiStepLR(o, [1, 3, 3], 0.5), [1, 0.5, 0.5, 0.125]),
    (lambda o: S.ConstantLR(o, 0.25, 2), [0.25, 0.25, 1, 1]),
    (lambda o: S.LinearLR(o, 0.5, 1.0, 2), [0.5, 0.75, 1, 1]),
    (lambda o: S.ExponentialLR(o, 0.5), [1, 0.5, 0.25]),
    (lambda o: S.PolynomialLR(o, 4, 2.0), [1, 9 / 16, 4 / 16, 1 / 16, 0, 0]),
    (lambda o: S.CosineAnnealingLR(o, 2), [1, 0.5, 0, 0.5, 1, 0.5]),
    (lambda o: S.CosineAnnealingWarmRestarts(o, 2, 2), [1, 0.5, 1, 0.5 + 8**-0.5, 0.5, 0.5 - 8**-0.5, 1]),
    (lambda o: S.CyclicLR(o, 0.5, 1.5, 2, mode="triangular2"), [0.5, 1, 1.5, 1, 0.5, 0.75, 1, 0.75, 0.5]),
    (lambda o: S.OneCycleLR(o, 4.0, 7, pct_start=3 / 7, anneal_strategy="linear", div_factor=4, final_div_factor=1),
     [1, 2.5, 4, 3.25, 2.5, 1.75, 1]),
    (lambda o: S.ChainedScheduler([S.ConstantLR(o, 0.5, 2), S.ExponentialLR(o, 0.1)]), [0.5, 0.05, 0.01, 0.001]),
    (lambda o: S.SequentialLR(o, [S.ConstantLR(o, 0.5, 9), S.ExponentialLR(o, 0.1)], [2]), [0.5, 0.5, 1, 0.1]),
    (lambda o: swa_utils.SWALR(o, 0.5, anneal_epochs=2, anneal_strategy="linear"), [1, 0.75, 0.5, 0.5]),
]  # fmt: skip


@pytest.mark.parametrize(("make", "expected"), BY_HAND)
def test_by_hand(make, expected):
    optimizer = sgd(momentum=0.9)
    assert rates(optimizer, make(optimizer), len(expected) - 1) == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize(("make", "expected"), BY_HAND)
def test_a_saved_state_is_plain_and_unchanged_by_loading(make, expected):
    optimizer = sgd(momentum=0.9)
    scheduler = make(optimizer)
    rates(optimizer, scheduler, 2)
    saved = scheduler.state_dict()
    assert optimizer not in saved.values()
    saved = pickle.loads(pickle.dumps(saved))
    before = copy.deepcopy(saved)
    other = sgd(momentum=0.9)
    resumed = make(other)
    resumed.load_state_dict(saved)
    other.load_state_dict(optimizer.state_dict())
    assert saved == before
    steps = len(expected) - 3
    assert rates(other, resumed, steps) == pytest.approx(expected[2:], abs=1e-12)


class Decay:
    def __init__(self, factor):
        self.factor = factor

    def __call__(self, t):
        return self.factor


@pytest.mark.parametrize(
    "make",
    [
        S.LambdaLR,
        S.MultiplicativeLR,
        lambda o, f: S.CyclicLR(o, 0.5, 1.5, 2, scale_fn=f, cycle_momentum=False),
    ],
)
def test_the_attributes_of_a_callable_object_are_saved(make):
    saved = make(sgd(), Decay(0.5)).state_dict()
    function = Decay(0.25)
    make(sgd(), function).load_state_dict(saved)
    assert function.factor == 0.5
    plain = make(sgd(), lambda t: 0.5).state_dict()
    make(sgd(), function).load_state_dict(plain)
    assert function.factor == 0.5


@pytest.mark.parametrize("name", ["SGD", "Adam"])
def test_momentum_goes_the_other_way(name):
    for make in (
        lambda o: S.CyclicLR(o, 0.1, 0.2, 4, base_momentum=0.5, max_momentum=0.9),
        lambda o: S.OneCycleLR(o, 0.2, 10, pct_start=0.5, base_momentum=0.5, max_momentum=0.9),
    ):
        optimizer = getattr(tg.optim, name)([tg.zeros(2)], lr=0.1)
        scheduler = make(optimizer)
        momenta = []
        for _ in range(5):
            group = optimizer.param_groups[0]
            momenta.append(group["momentum"] if name == "SGD" else group["betas"][0])
            optimizer.step()
            scheduler.step()
        assert momenta[0] == 0.9
        assert min(momenta) == pytest.approx(0.5)
        assert momenta == sorted(momenta, reverse=True)
        if name == "Adam":
            assert optimizer.param_groups[0]["betas"][1] == 0.999


def test_plateau():
    optimizer = sgd()
    scheduler = S.ReduceLROnPlateau(optimizer, factor=0.5, patience=1, cooldown=1, min_lr=0.2)
    path = []
    for value in [1.0, 1.0, 1.0, 1.0, 1.0, 1.0, 0.5, 0.5, 0.5, 0.5, 0.5, 0.5]:
        scheduler.step(tg.tensor(value))
        path.append(optimizer.param_groups[0]["lr"])
    assert path == [1, 1, 0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.2, 0.2, 0.2, 0.2]
    optimizer.add_param_group({"params": [tg.zeros(1)], "lr": 1.0})
    for _ in range(3):
        scheduler.step(0.5)
    assert scheduler.get_last_lr() == [0.2, 0.5]


def test_plateau_of_several_least_rates_refuses_a_further_group():
    optimizer = sgd()
    scheduler = S.ReduceLROnPlateau(optimizer, patience=0, min_lr=[0.1])
    optimizer.add_param_group({"params": [tg.zeros(1)]})
    scheduler.step(1.0)
    with pytest.raises(StateError, match="min_lrs"):
        scheduler.step(1.0)


def test_the_wrong_order_is_noticed_once():
    optimizer = sgd()
    scheduler = S.StepLR(optimizer, 1)
    with pytest.warns(UserWarning, match="before `optimizer.step"):
        scheduler.step()
    scheduler.step()
    with pytest.warns(UserWarning, match="get_last_lr"):
        scheduler.get_lr()


def test_a_watched_optimiser_is_freed_and_can_be_copied():
    optimizer = sgd()
    scheduler = S.StepLR(optimizer, 1)
    duplicate, its_schedule = copy.deepcopy((optimizer, scheduler))
    assert its_schedule.optimizer is duplicate
    reference = weakref.ref(optimizer)
    gc.disable()
    try:
        del optimizer, scheduler
        assert reference() is None
    finally:
        gc.enable()


def test_a_schedule_of_the_users_own():
    class Warmup(S._LRScheduler):
        def __init__(self, optimizer, steps, last_epoch=-1):
            self.steps = steps
            super().__init__(optimizer, last_epoch)

        def get_lr(self):
            return [base * min(1.0, (self.last_epoch + 1) / self.steps) for base in self.base_lrs]

    optimizer = sgd()
    assert rates(optimizer, Warmup(optimizer, 4), 5) == [0.25, 0.5, 0.75, 1, 1, 1]
    with pytest.raises(UnsupportedError, match="LRScheduler"):
        S.LRScheduler(sgd())


def test_a_schedule_beyond_its_end():
    optimizer = sgd(momentum=0.9)
    scheduler = S.OneCycleLR(optimizer, 1.0, total_steps=3)
    rates(optimizer, scheduler, 3)
    with pytest.raises(ArgumentError, match="Tried to step 4 times"):
        scheduler.step()


def test_a_group_that_came_later_is_not_passed_over():
    optimizer = sgd()
    scheduler = S.LambdaLR(optimizer, lambda t: 0.5)
    optimizer.add_param_group({"params": [tg.zeros(1)]})
    optimizer.step()
    with pytest.raises(ValueError, match="2 parameter groups"):
        scheduler.step()


# ------------------------------------------------------------------------------------- averaged models
def test_the_mean_of_weights():
    model = tg.nn.Linear(2, 1, bias=False)
    averaged = swa_utils.AveragedModel(model)
    values = [np.array([[1.0, 2.0]]), np.array([[3.0, -2.0]]), np.array([[2.0, 9.0]])]
    for value in values:
        model.weight.data.copy_(tg.tensor(value))
        averaged.update_parameters(model)
    np.testing.assert_allclose(averaged.module.weight.detach().numpy(), [[2.0, 3.0]], rtol=1e-6)
    np.testing.assert_array_equal(model.weight.detach().numpy(), values[-1])
    assert list(averaged.state_dict()) == ["n_averaged", "module.weight"]
    assert averaged.n_averaged.item() == 3
    assert averaged.module.weight.requires_grad


def test_buffers_are_copied_or_averaged():
    model = tg.nn.BatchNorm1d(1)
    copies = swa_utils.AveragedModel(model)
    averages = swa_utils.AveragedModel(model, multi_avg_fn=swa_utils.get_ema_multi_avg_fn(0.75), use_buffers=True)
    for value in (1.0, 5.0):
        model.running_mean.fill_(value)
        model.num_batches_tracked.fill_(int(value))
        copies.update_parameters(model)
        averages.update_parameters(model)
    assert (copies.module.running_mean.item(), copies.module.num_batches_tracked.item()) == (5.0, 5)
    assert (averages.module.running_mean.item(), averages.module.num_batches_tracked.item()) == (2.0, 2)


def test_statistics_anew():
    model = tg.nn.Sequential(tg.nn.BatchNorm1d(1, momentum=0.5))
    model.eval()
    swa_utils.update_bn([tg.tensor([[0.0], [2.0]]), (tg.tensor([[3.0], [3.0]]), "label")], model)
    assert model[0].running_mean.item() == 2.0
    assert model[0].running_var.item() == pytest.approx(1.0)
    assert model[0].num_batches_tracked.item() == 2
    assert (model[0].momentum, model.training, model[0].training) == (0.5, False, False)


# ------------------------------------------------------------------------------------------------ L-BFGS
def minimise(optimizer, w, steps):
    def closure():
        optimizer.zero_grad()
        loss = ((1 - w[0]) ** 2 + 100 * (w[1] - w[0] ** 2) ** 2).sum()
        loss.backward()
        return loss

    return [optimizer.step(closure).item() for _ in range(steps)]


def test_lbfgs_finds_the_valley_and_goes_on_from_a_copy():
    w = tg.nn.Parameter(tg.tensor([-1.2, 1.0], dtype=tg.float64))
    optimizer = tg.optim.LBFGS([w], line_search_fn="strong_wolfe", max_iter=5)
    minimise(optimizer, w, 2)
    w2, optimizer2 = pickle.loads(pickle.dumps((w, optimizer)))
    losses = minimise(optimizer, w, 12)
    assert minimise(optimizer2, w2, 12) == losses
    np.testing.assert_allclose(w.detach().numpy(), [1.0, 1.0], atol=1e-4)


def test_lbfgs_refuses():
    w = tg.nn.Parameter(tg.zeros(2))
    with pytest.raises(GraphError, match="strong_wolfe"):
        minimise(tg.optim.LBFGS([w], line_search_fn="armijo"), w, 1)
    optimizer = tg.optim.LBFGS([w])
    optimizer.add_param_group({"params": [tg.zeros(1)]})
    with pytest.raises(TinygradError, match="exactly one"):
        minimise(optimizer, w, 1)
