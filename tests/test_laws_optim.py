"""Laws of the optimisers: each is the recurrence of its paper, number by number, and finds the bottom of a bowl."""

import copy
import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.laws import close, law

optim = tg.optim


# -------------------------------------------- the recurrences, on plain numbers: a weight, and its gradients in turn
def sgd(w, gradients, lr, momentum=0, dampening=0, weight_decay=0, nesterov=False):
    velocity = None
    for g in gradients:
        g += weight_decay * w
        velocity = g if velocity is None else momentum * velocity + (1 - dampening) * g
        w -= lr * (g if momentum == 0 else g + momentum * velocity if nesterov else velocity)
        yield w


def adam(w, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, amsgrad=False):
    m = v = largest = 0
    for t, g in enumerate(gradients, 1):
        g += weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        largest = max(largest, v)
        square = largest if amsgrad else v
        w -= lr * m / (1 - betas[0] ** t) / (math.sqrt(square / (1 - betas[1] ** t)) + eps)
        yield w


def adamw(w, gradients, lr, weight_decay=1e-2, **settings):
    before, decayed, seen = w, w, []
    for g in gradients:
        seen.append(g)
        steps = [0.0, *adam(0.0, seen, lr, **settings)]  # without decay the steps don't depend on the weight
        before = decayed
        decayed = before * (1 - lr * weight_decay) + steps[-1] - steps[-2]
        yield decayed


def nadam(w, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0, momentum_decay=4e-3):
    m, v, product = 0, 0, 1
    for t, g in enumerate(gradients, 1):
        g += weight_decay * w
        now, after = (betas[0] * (1 - 0.5 * 0.96 ** (i * momentum_decay)) for i in (t, t + 1))
        product *= now
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        mean = after * m / (1 - product * after) + (1 - now) * g / (1 - product)
        w -= lr * mean / (math.sqrt(v / (1 - betas[1] ** t)) + eps)
        yield w


def radam(w, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
    m = v = 0
    limit = 2 / (1 - betas[1]) - 1
    for t, g in enumerate(gradients, 1):
        g += weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        v = betas[1] * v + (1 - betas[1]) * g * g
        mean = m / (1 - betas[0] ** t)
        length = limit - 2 * t * betas[1] ** t / (1 - betas[1] ** t)
        if length > 5:
            parts = (length - 4) * (length - 2) * limit / ((limit - 4) * (limit - 2) * length)
            mean *= math.sqrt(parts) * math.sqrt(1 - betas[1] ** t) / (math.sqrt(v) + eps)
        w -= lr * mean
        yield w


def adamax(w, gradients, lr, betas=(0.9, 0.999), eps=1e-8, weight_decay=0):
    m = largest = 0
    for t, g in enumerate(gradients, 1):
        g += weight_decay * w
        m = betas[0] * m + (1 - betas[0]) * g
        largest = max(betas[1] * largest, abs(g) + eps)
        w -= lr / (1 - betas[0] ** t) * m / largest
        yield w


def rmsprop(w, gradients, lr, alpha=0.99, eps=1e-8, weight_decay=0, momentum=0, centered=False):
    square = mean = velocity = 0
    for g in gradients:
        g += weight_decay * w
        square = alpha * square + (1 - alpha) * g * g
        mean = alpha * mean + (1 - alpha) * g
        step = g / (math.sqrt(square - mean**2 if centered else square) + eps)
        velocity = momentum * velocity + step
        w -= lr * (velocity if momentum else step)
        yield w


def adagrad(w, gradients, lr, lr_decay=0, weight_decay=0, initial_accumulator_value=0, eps=1e-10):
    total = initial_accumulator_value
    for t, g in enumerate(gradients):
        g += weight_decay * w
        total += g * g
        w -= lr / (1 + t * lr_decay) * g / (math.sqrt(total) + eps)
        yield w


def adadelta(w, gradients, lr, rho=0.9, eps=1e-6, weight_decay=0):
    square = steps = 0
    for g in gradients:
        g += weight_decay * w
        square = rho * square + (1 - rho) * g * g
        step = math.sqrt(steps + eps) / math.sqrt(square + eps) * g
        steps = rho * steps + (1 - rho) * step * step
        w -= lr * step
        yield w


def rprop(w, gradients, lr, etas=(0.5, 1.2), step_sizes=(1e-6, 50)):
    before, size = 0, lr
    for g in gradients:
        if g * before < 0:
            size, g = max(size * etas[0], step_sizes[0]), 0
        elif g * before > 0:
            size = min(size * etas[1], step_sizes[1])
        w -= size * ((g > 0) - (g < 0))
        before = g
        yield w


def share(draw):
    return draw.choice([0.0, 0.3, 0.9])


def betas(draw):
    return draw.choice([0.5, 0.9]), draw.choice([0.8, 0.999])


def _sgd(draw):
    momentum, nesterov = share(draw), draw.boolean()
    nesterov = nesterov and momentum > 0
    dampening = 0 if nesterov else share(draw)
    return dict(momentum=momentum, dampening=dampening, nesterov=nesterov, weight_decay=share(draw))


RECURRENCES = {
    "SGD": (sgd, _sgd),
    "Adam": (adam, lambda d: dict(betas=betas(d), weight_decay=share(d), amsgrad=d.boolean())),
    "AdamW": (adamw, lambda d: dict(betas=betas(d), weight_decay=share(d), amsgrad=d.boolean())),
    "NAdam": (nadam, lambda d: dict(betas=betas(d), weight_decay=share(d))),
    "RAdam": (radam, lambda d: dict(betas=betas(d), weight_decay=share(d))),
    "Adamax": (adamax, lambda d: dict(betas=betas(d), weight_decay=share(d))),
    "RMSprop": (rmsprop, lambda d: dict(momentum=share(d), weight_decay=share(d), centered=d.boolean(), alpha=0.9)),
    "Adagrad": (adagrad, lambda d: dict(lr_decay=share(d), weight_decay=share(d), initial_accumulator_value=share(d))),
    "Adadelta": (adadelta, lambda d: dict(rho=0.5 + share(d) / 2, weight_decay=share(d))),
    "Rprop": (rprop, lambda d: {}),
}
NAMES = [*RECURRENCES, "ASGD", "Adafactor"]
STEPS = 6


def make(name, weights, settings, lr=0.1):
    """Parameters of these values and their optimiser."""
    parameters = [tg.nn.Parameter(tg.tensor(np.array(w))) for w in weights]
    return parameters, getattr(optim, name)(parameters, lr=lr, **settings)


def walk(parameters, optimizer, gradients):
    """The parameters after each step, when the gradients of all are these in turn."""
    for given in gradients:
        for parameter, g in zip(parameters, given, strict=True):
            parameter.grad = None if g is None else tg.tensor(np.array(g))
        optimizer.step()
        yield [p.detach().numpy().copy() for p in parameters]


def gradients_of(draw, count=1, shape=(3,), steps=STEPS):
    return [[draw.array(shape, away_from=(0,)) for _ in range(count)] for _ in range(steps)]


def settings_of(draw, name):
    return RECURRENCES[name][1](draw) if name in RECURRENCES else {}


# ---------------------------------------------------------------------------------------------------- laws
@pytest.mark.parametrize("name", RECURRENCES)
@law
def test_the_recurrence_written_out(draw, name):
    recurrence = RECURRENCES[name][0]
    settings, lr = settings_of(draw, name), draw.choice([0.1, 0.5])
    start, gradients = draw.array((3,)), gradients_of(draw)
    parameters, optimizer = make(name, [start], settings, lr)
    found = np.array([w[0] for w in walk(parameters, optimizer, gradients)])
    for i in range(3):
        expected = list(recurrence(float(start[i]), [float(g[0][i]) for g in gradients], lr, **settings))
        limit = 1e-5 if name == "NAdam" else 1e-8  # whose product of momenta is a float32, as PyTorch's
        close(found[:, i], expected, rtol=limit, atol=limit)


@pytest.mark.parametrize("name", NAMES)
@law
def test_upwards_is_downwards_on_the_negated(draw, name):
    settings, gradients = settings_of(draw, name), gradients_of(draw, 2, (2, 2))
    settings.pop("weight_decay", None)
    start = [draw.array((2, 2)), draw.array((2, 2))]
    down = walk(*make(name, start, settings), [[-g for g in pair] for pair in gradients])
    up = walk(*make(name, start, settings | dict(maximize=True)), gradients)
    for a, b in zip(down, up, strict=True):
        close(np.array(a), np.array(b))


@pytest.mark.parametrize("name", NAMES)
@law
def test_two_groups_are_two_optimisers(draw, name):
    settings, gradients = settings_of(draw, name), gradients_of(draw, 2, (2, 2))
    start = [draw.array((2, 2)), draw.array((2, 2))]
    rates = [0.1, 0.3]
    apart = [walk(*make(name, [start[i]], settings, rates[i]), [[g[i]] for g in gradients]) for i in range(2)]
    parameters = [tg.nn.Parameter(tg.tensor(w.copy())) for w in start]
    groups = [dict(params=[p], lr=lr) for p, lr in zip(parameters, rates, strict=True)]
    together = walk(parameters, getattr(optim, name)(groups, **settings), gradients)
    for a, b, both in zip(*apart, together, strict=True):
        close(np.array([a[0], b[0]]), np.array(both), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", NAMES)
@law
def test_a_parameter_is_stepped_as_if_it_were_alone(draw, name):
    """Many, one, in parts or without ``foreach``: parameters don't see each other."""
    settings, gradients = settings_of(draw, name), gradients_of(draw, 3, (2, 2))
    start = [draw.array((2, 2)) for _ in range(3)]
    together = list(walk(*make(name, start, settings), gradients))
    apart = list(walk(*make(name, start, settings | dict(foreach=False)), gradients))
    for i in range(3):
        alone = list(walk(*make(name, [start[i]], settings), [[g[i]] for g in gradients]))
        close(np.array([w[0] for w in alone]), np.array([w[i] for w in together]), rtol=1e-12, atol=0)
    close(np.array(together), np.array(apart), rtol=1e-12, atol=0)


@pytest.mark.parametrize("name", NAMES)
@law
def test_a_saved_state_goes_on_alike(draw, name):
    settings, cut = settings_of(draw, name), draw.integer(0, STEPS)
    gradients = [[g.astype(np.float32)] for (g,) in gradients_of(draw)]
    parameters, optimizer = make(name, [draw.array((3,)).astype(np.float32)], settings)
    list(walk(parameters, optimizer, gradients[:cut]))
    others, fresh = make(name, [parameters[0].detach().numpy().copy()], settings, lr=0.7)
    fresh.load_state_dict(copy.deepcopy(optimizer.state_dict()))
    rest = list(walk(parameters, optimizer, gradients[cut:]))
    np.testing.assert_array_equal(rest, list(walk(others, fresh, gradients[cut:])))


@pytest.mark.parametrize("name", NAMES)
@law
def test_no_gradient_no_step(draw, name):
    settings = settings_of(draw, name)
    start = [draw.array((2,)), draw.array((2,))]
    parameters, optimizer = make(name, start, settings)
    ((first, second),) = walk(parameters, optimizer, [[None, draw.array((2,), away_from=(0,))]])
    close(first, start[0], rtol=0, atol=0)
    assert (second != start[1]).all()
    assert not optimizer.state.get(parameters[0], {}).get("step", 0)


@pytest.mark.parametrize("name", ["SGD", "Adam", "RMSprop", "Adagrad", "Adadelta", "Adamax", "Rprop"])
@law
def test_zero_gradients_leave_a_resting_weight(draw, name):
    start = draw.array((3,))
    for (w,) in walk(*make(name, [start], {}), [[np.zeros(3)]] * 4):
        close(w, start, rtol=0, atol=0)


@law
def test_weight_decay_of_adamw_is_decoupled(draw):
    start, decay, lr = draw.array((3,)), draw.choice([0.01, 0.5]), draw.choice([0.1, 0.01])
    path = list(walk(*make("AdamW", [start], dict(weight_decay=decay), lr), [[np.zeros(3)]] * 4))
    close(np.array(path)[:, 0], [start * (1 - lr * decay) ** t for t in range(1, 5)])
    gradients = gradients_of(draw)
    without = walk(*make("AdamW", [start], dict(weight_decay=0.0)), gradients)
    for a, b in zip(without, walk(*make("Adam", [start], {}), gradients), strict=True):
        close(np.array(a), np.array(b))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "NAdam"])
@law
def test_the_first_step_of_adam_is_the_sign(draw, name):
    start, g = draw.array((3,)), draw.array((3,), away_from=(0,))
    ((w,),) = walk(*make(name, [start], dict(weight_decay=0.0, eps=1e-300)), [[g]])
    size = np.abs(w - start)
    close(np.sign(start - w), np.sign(g))
    close(size, np.full(3, size[0]))
    if name != "NAdam":
        close(size, np.full(3, 0.1))


@pytest.mark.parametrize("name", ["Adam", "AdamW", "Adamax", "NAdam", "RMSprop", "Adagrad", "Rprop"])
@law
def test_the_scale_of_the_gradients_doesnt_matter(draw, name):
    start, gradients, scale = draw.array((3,)), gradients_of(draw), draw.choice([1e-3, 7.0, 1e4])
    settings = {} if name == "Rprop" else dict(eps=1e-300)
    scaled = [[scale * g for g in given] for given in gradients]
    paths = (walk(*make(name, [start], settings), given) for given in (gradients, scaled))
    for a, b in zip(*paths, strict=True):
        close(np.array(a), np.array(b), rtol=1e-7, atol=1e-8)


RATES = {"Adadelta": 20.0, "Adagrad": 0.5, "SGD": 0.3, "ASGD": 0.3, "Adafactor": 0.3, "RAdam": 0.3}


@pytest.mark.parametrize("name", NAMES)
@law
def test_finds_the_bottom_of_a_bowl(draw, name):
    turned, _ = np.linalg.qr(draw.array((3, 3)) + 3 * np.eye(3))
    steep = tg.tensor(turned @ np.diag(draw.array((3,), 0.5, 2.0)) @ turned.T)
    bottom = draw.array((3,))
    (w,), optimizer = make(name, [bottom + draw.array((3,), 0.5, 1.0)], {}, RATES.get(name, 0.05))

    def height():
        away = w - tg.tensor(bottom)
        return away @ steep @ away / 2

    start = height().item()
    for _ in range(60):
        optimizer.zero_grad()
        height().backward()
        optimizer.step()
    assert height().item() < 0.1 * start


@law
def test_lbfgs_finds_the_bottom_at_once(draw):
    steep = tg.tensor(np.diag(draw.array((3,), 0.5, 2.0)))
    w = tg.nn.Parameter(tg.tensor(draw.array((3,))))
    optimizer = optim.LBFGS([w], lr=1.0, line_search_fn="strong_wolfe", max_iter=30)

    def closure():
        optimizer.zero_grad()
        loss = w @ steep @ w
        loss.backward()
        return loss

    optimizer.step(closure)
    assert closure().item() < 1e-8


@pytest.mark.parametrize("name", NAMES)
@law
def test_a_closure_is_run_once_with_gradients_and_its_loss_returned(draw, name):
    start, settings = draw.array((3,), away_from=(0,)), settings_of(draw, name)
    (w,), optimizer = make(name, [start], settings)
    seen = []

    def closure():
        optimizer.zero_grad()
        loss = (w * w).sum()
        loss.backward()
        seen.append(loss)
        return loss

    with tg.no_grad():
        assert optimizer.step(closure) is seen[0]
    assert len(seen) == 1
    (other,), plain = make(name, [start], settings)
    (other * other).sum().backward()
    assert plain.step() is None
    close(w, other, rtol=0, atol=0)


# ------------------------------------------------------------------------------------------------ clipping
@law
def test_clipping_bounds_the_norm_and_keeps_the_direction(draw):
    kind, limit = draw.choice([1.0, 2.0, 3.0, math.inf]), draw.choice([0.1, 1.0, 50.0])
    parameters = [tg.nn.Parameter(tg.tensor(draw.array((2, 2)))) for _ in range(2)]
    before = [draw.array((2, 2), away_from=(0,)) for _ in parameters]
    for p, g in zip(parameters, before, strict=True):
        p.grad = tg.tensor(g.copy())
    every = np.concatenate([g.ravel() for g in before])
    total = np.abs(every).max() if kind == math.inf else (np.abs(every) ** kind).sum() ** (1 / kind)
    close(tg.nn.utils.clip_grad_norm_(parameters, limit, kind), total)
    after = np.concatenate([p.grad.numpy().ravel() for p in parameters])
    close(after, every * min(1.0, limit / (total + 1e-6)))


@law
def test_clipping_by_value_bounds_each_element(draw):
    p, limit = tg.nn.Parameter(tg.zeros(4).double()), draw.choice([0.1, 0.5, 2.0])
    g = draw.array((4,), -2.0, 2.0)
    p.grad = tg.tensor(g.copy())
    tg.nn.utils.clip_grad_value_([p], limit)
    close(p.grad, np.clip(g, -limit, limit))
