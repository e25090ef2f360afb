"""Laws of layers and containers: samples don't see each other, Sequential is composition, schedules are formulas."""

import itertools
import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.laws import close, law
from tests.layers import LAYERS, LOSS
from tinygrad_cnn import nn
from tinygrad_cnn.nn.lazy import is_lazy
from tinygrad_cnn.testing import gradcheck
from tinygrad_cnn.testing.trial import flatten

lr_scheduler = tg.optim.lr_scheduler


def outputs(layer, inputs):
    with tg.no_grad():
        return flatten(layer(*(tg.tensor(x) for x in inputs)))


PER_SAMPLE = [name for name, entry in LAYERS.items() if LOSS not in entry and name != "CrossEntropyLoss"]


@pytest.mark.parametrize("name", PER_SAMPLE)
@law
def test_in_evaluation_a_reordered_batch_gives_reordered_results(draw, name):
    build, inputs = LAYERS[name][:2]
    layer = build().eval()
    doubled = [np.concatenate([x, x[::-1]]) for x in inputs]  # the table's batches are short
    if any(map(is_lazy, layer.parameters())):
        outputs(layer, [x.astype(np.float32) for x in doubled])
    layer.double()
    order = np.argsort(draw.distinct((len(doubled[0]),)))
    before = outputs(layer, doubled)
    after = outputs(layer, [np.ascontiguousarray(x[order]) for x in doubled])
    for a, b in zip(before, after, strict=True):
        close(b, a[tg.tensor(order)])


@law
def test_sequential_is_composition(draw):
    layers = [
        draw.choice([nn.Linear(3, 3), nn.Tanh(), nn.ReLU(), nn.LayerNorm(3), nn.Identity()])
        for _ in range(draw.integer(0, 4))
    ]
    x = tg.tensor(draw.array((2, 3)).astype(np.float32))
    expected = x
    for layer in layers:
        expected = layer(expected)
    cut = draw.integer(0, len(layers))
    close(nn.Sequential(*layers)(x), expected, rtol=0, atol=0)
    close(nn.Sequential(nn.Sequential(*layers[:cut]), nn.Sequential(*layers[cut:]))(x), expected, rtol=0, atol=0)


@law
def test_tied_parameters_get_the_sum_of_their_gradients(draw):
    layer, x = nn.Linear(3, 3).double(), tg.tensor(draw.array((2, 3)))
    copies = [nn.Linear(3, 3).double() for _ in range(2)]
    for twin in copies:
        twin.load_state_dict(layer.state_dict())
    nn.Sequential(layer, nn.Tanh(), layer)(x).sum().backward()
    nn.Sequential(copies[0], nn.Tanh(), copies[1])(x).sum().backward()
    close(layer.weight.grad, copies[0].weight.grad + copies[1].weight.grad)
    close(layer.bias.grad, copies[0].bias.grad + copies[1].bias.grad)


@law
def test_batch_norm_after_a_convolution_can_be_fused_into_it(draw):
    conv, norm = nn.Conv2d(2, 3, 3, 2, 1).double(), nn.BatchNorm2d(3).double()
    for _ in range(2):
        norm(conv(tg.tensor(draw.distinct((2, 2, 5, 4)))))
    norm.weight.data, norm.bias.data = tg.tensor(draw.array((3,), 0.5, 1.0)), tg.tensor(draw.array((3,)))
    model = nn.Sequential(conv, norm).eval()
    x = tg.tensor(draw.array((2, 2, 5, 4)))
    close(nn.utils.fusion.fuse_conv_bn_eval(conv, norm)(x), model(x))


# ---------------------------------------------------------------------------------------------- schedules
BASE = 0.5


def linear(draw):
    start, end, total = draw.choice([0.1, 1 / 3]), draw.choice([1.0, 0.8]), draw.integer(1, 6)
    build = lambda o: lr_scheduler.LinearLR(o, start, end, total)
    return build, lambda t: BASE * (start + (end - start) * min(t, total) / total)


def constant(draw):
    factor, total = draw.choice([0.1, 0.5]), draw.integer(1, 6)
    return lambda o: lr_scheduler.ConstantLR(o, factor, total), lambda t: BASE * (factor if t < total else 1)


def step(draw):
    size, gamma = draw.integer(1, 4), draw.choice([0.1, 0.5])
    return lambda o: lr_scheduler.StepLR(o, size, gamma), lambda t: BASE * gamma ** (t // size)


def multi_step(draw):
    milestones, gamma = sorted(draw.integer(1, 8) for _ in range(3)), draw.choice([0.1, 0.5])
    build = lambda o: lr_scheduler.MultiStepLR(o, milestones, gamma)
    return build, lambda t: BASE * gamma ** sum(m <= t for m in milestones)


def exponential(draw):
    gamma = draw.choice([0.1, 0.9])
    return lambda o: lr_scheduler.ExponentialLR(o, gamma), lambda t: BASE * gamma**t


def cosine(draw):
    period, least = draw.integer(1, 6), draw.choice([0.0, 0.1])
    build = lambda o: lr_scheduler.CosineAnnealingLR(o, period, least)
    return build, lambda t: least + (BASE - least) * (1 + math.cos(math.pi * t / period)) / 2


def restarts(draw):
    period, factor, least = draw.integer(1, 3), draw.integer(1, 2), draw.choice([0.0, 0.1])

    def formula(t):
        length = period
        while t >= length:
            t, length = t - length, length * factor
        return least + (BASE - least) * (1 + math.cos(math.pi * t / length)) / 2

    return lambda o: lr_scheduler.CosineAnnealingWarmRestarts(o, period, factor, least), formula


def polynomial(draw):
    total, power = draw.integer(1, 6), draw.choice([1.0, 2.0])
    build = lambda o: lr_scheduler.PolynomialLR(o, total, power)
    return build, lambda t: BASE * (1 - min(t, total) / total) ** power


def by_function(draw):
    rate = draw.choice([0.5, 2.0])
    return lambda o: lr_scheduler.LambdaLR(o, lambda t: 1 / (1 + rate * t)), lambda t: BASE / (1 + rate * t)


def multiplied(draw):
    rate = draw.choice([0.5, 0.9])
    build = lambda o: lr_scheduler.MultiplicativeLR(o, lambda t: rate + 0.01 * t)
    return build, lambda t: BASE * math.prod(rate + 0.01 * i for i in range(1, t + 1))


def triangles(draw):
    up, down = draw.integer(1, 4), draw.integer(1, 4)

    def formula(t):
        t %= up + down
        return 0.1 + 0.4 * (t / up if t <= up else (up + down - t) / down)

    return lambda o: lr_scheduler.CyclicLR(o, 0.1, 0.5, up, down, cycle_momentum=False), formula


def one_cycle(draw):
    total, top = draw.integer(4, 10), draw.choice([1.0, 2.0])

    def formula(t):
        peak, last = 0.3 * total - 1, total - 1
        at = lambda a, b, share: b + (a - b) * (1 + math.cos(math.pi * share)) / 2
        if t <= peak:
            return at(top / 25, top, t / peak)
        return at(top, top / 25 / 1e4, (t - peak) / (last - peak))

    return lambda o: lr_scheduler.OneCycleLR(o, top, total), lambda t: formula(min(t, total - 1))


def in_sequence(draw):
    (first, early), (second, late), change = constant(draw), exponential(draw), draw.integer(1, 5)
    build = lambda o: lr_scheduler.SequentialLR(o, [first(o), second(o)], [change])
    return build, lambda t: early(t) if t < change else late(t - change)


def chained(draw):
    (first, one), (second, other) = constant(draw), exponential(draw)
    return lambda o: lr_scheduler.ChainedScheduler([first(o), second(o)]), lambda t: one(t) * other(t) / BASE


SCHEDULES = [
    *(linear, constant, step, multi_step, exponential, cosine, restarts, polynomial, by_function, multiplied),
    *(triangles, one_cycle, in_sequence, chained),
]


def rates(scheduler, optimizer, steps):
    for _ in range(steps):
        yield optimizer.param_groups[0]["lr"]
        optimizer.step()
        scheduler.step()


def new(build):
    optimizer = tg.optim.SGD([nn.Parameter(tg.zeros(1))], lr=BASE, momentum=0.9)
    return build(optimizer), optimizer


@pytest.mark.parametrize("schedule", SCHEDULES)
@law
def test_a_schedule_is_its_closed_form(draw, schedule):
    build, formula = schedule(draw)
    steps = 4 if schedule is one_cycle else 9
    close(list(rates(*new(build), steps)), [formula(t) for t in range(steps)])


@pytest.mark.parametrize("schedule", SCHEDULES)
@law
def test_a_saved_schedule_goes_on_alike(draw, schedule):
    build, _ = schedule(draw)
    steps = 4 if schedule is one_cycle else 9
    cut = draw.integer(0, steps - 1)
    scheduler, optimizer = new(build)
    before = list(rates(scheduler, optimizer, cut))
    fresh, other = new(build)
    fresh.load_state_dict(scheduler.state_dict())
    other.load_state_dict(optimizer.state_dict())
    after = list(rates(fresh, other, steps - cut))
    assert before + after == list(rates(*new(build), steps))


@law
def test_a_plateau_lowers_the_rate_after_so_many_bad_epochs(draw):
    patience, factor = draw.integer(0, 3), draw.choice([0.1, 0.5])
    optimizer = tg.optim.SGD([nn.Parameter(tg.zeros(1))], lr=BASE)
    scheduler = lr_scheduler.ReduceLROnPlateau(optimizer, factor=factor, patience=patience, eps=0.0)
    losses = [draw.integer(0, 3) for _ in range(12)]
    best, bad, rate = math.inf, 0, BASE
    for loss in losses:
        scheduler.step(loss)
        best, bad = (loss, 0) if loss < best * (1 - 1e-4) else (best, bad + 1)
        if bad > patience:
            rate, bad = rate * factor, 0
        assert optimizer.param_groups[0]["lr"] == pytest.approx(rate)


@law
def test_the_mean_of_weights_is_the_mean(draw):
    model = nn.Linear(2, 1, bias=False).double()
    average = tg.optim.swa_utils.AveragedModel(model)
    seen = [draw.array((1, 2)) for _ in range(draw.integer(1, 4))]
    for w, done in zip(seen, itertools.count(1), strict=False):
        model.weight.data = tg.tensor(w)
        average.update_parameters(model)
        close(average.module.weight, np.mean(seen[:done], axis=0))


def attention(query, key, value, allowed, added, scale):
    """A query at a time: the mean of the values that it may look at, weighted by the exponentials of its scores."""
    out = np.zeros((*query.shape[:-1], value.shape[-1]))
    for *heads, i in np.ndindex(*query.shape[:-1]):
        place = tuple(heads)
        weights = [
            math.exp(scale * float(query[place][i] @ key[place][j]) + added[i, j]) if allowed[i, j] else 0.0
            for j in range(key.shape[-2])
        ]
        if sum(weights):
            out[place][i] = sum(w * v for w, v in zip(weights, value[place], strict=True)) / sum(weights)
    return out


@pytest.mark.parametrize("mask", ["none", "bool", "float", "causal"])
@law
def test_attention_is_its_definition(draw, mask):
    heads, length, others = draw.integer(1, 3), draw.integer(1, 4), draw.integer(1, 4)
    shared = draw.choice([1, heads])  # heads of key and value, each for as many of the query's
    query, scale = draw.array((2, heads, length, 3)), draw.choice([None, 0.5])
    key, value = draw.array((2, shared, others, 3)), draw.array((2, shared, others, 2))
    given, allowed, added = None, np.ones((length, others), bool), np.zeros((length, others))
    if mask == "bool":
        given = allowed = draw.mask((length, others))
    elif mask == "float":
        given = added = draw.array((length, others))
    elif mask == "causal":
        allowed = np.tril(allowed)
    tensors = [tg.tensor(x, requires_grad=True) for x in (query, key, value)]

    def attend(query, key, value):
        given_mask = None if given is None else tg.tensor(given)
        return tg.nn.functional.scaled_dot_product_attention(
            query, key, value, given_mask, is_causal=mask == "causal", scale=scale, enable_gqa=shared < heads
        )

    repeated = [np.repeat(x, heads // shared, 1) for x in (key, value)]
    want = attention(query, *repeated, allowed, added, 1 / math.sqrt(3) if scale is None else scale)
    close(attend(*tensors), tg.tensor(want))
    assert gradcheck(attend, tensors)
