"""Random numbers: what a seed promises, distributions, fills in place, and what they refuse."""

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg

MANY = 40_000
DRAWS = {
    "rand": lambda g: tg.rand(5, generator=g),
    "rand float64": lambda g: tg.rand(5, dtype=tg.float64, generator=g),
    "randn": lambda g: tg.randn(5, generator=g),
    "randint": lambda g: tg.randint(100, (5,), generator=g),
    "randperm": lambda g: tg.randperm(9, generator=g),
    "normal": lambda g: tg.normal(tg.zeros(5), 1.0, generator=g),
    "bernoulli": lambda g: tg.bernoulli(tg.full((30,), 0.5), generator=g),
    "multinomial": lambda g: tg.multinomial(tg.ones(50), 5, generator=g),
    "normal_": lambda g: tg.zeros(5).normal_(generator=g),
    "uniform_": lambda g: tg.zeros(5).uniform_(generator=g),
    "exponential_": lambda g: tg.zeros(5).exponential_(generator=g),
    "random_": lambda g: tg.zeros(5).random_(generator=g),
    "cauchy_": lambda g: tg.zeros(5).cauchy_(generator=g),
    "geometric_": lambda g: tg.zeros(30).geometric_(0.5, generator=g),
    "bernoulli_": lambda g: tg.zeros(30).bernoulli_(generator=g),
    "log_normal_": lambda g: tg.zeros(5).log_normal_(generator=g),
}


@pytest.mark.parametrize("name", DRAWS)
def test_a_seed_decides_what_is_drawn(name):
    draw = DRAWS[name]
    first = draw(tg.Generator().manual_seed(1))
    assert first.tolist() == draw(tg.Generator().manual_seed(1)).tolist()
    assert first.tolist() != draw(tg.Generator().manual_seed(2)).tolist()
    tg.manual_seed(3)
    from_default = draw(None)
    again = tg.manual_seed(3)
    assert from_default.tolist() == draw(None).tolist()
    assert again is tg.default_generator


def test_a_generator_of_its_own_leaves_the_default_alone():
    tg.manual_seed(0)
    expected = tg.rand(3).tolist()
    tg.manual_seed(0)
    tg.rand(10, generator=tg.Generator())
    assert tg.rand(3).tolist() == expected


def test_state_can_be_put_back():
    tg.manual_seed(0)
    tg.randn(3)
    state = tg.get_rng_state()
    first = tg.randn(3).tolist()
    tg.set_rng_state(state)
    assert tg.randn(3).tolist() == first
    with tg.fork_rng():
        tg.set_rng_state(state)
        assert tg.randn(3).tolist() == first
    assert tg.randn(3).tolist() != first
    generator = tg.Generator().manual_seed(5)
    twin = copy.deepcopy(generator)
    kept = generator.get_state()
    drawn = tg.rand(2, generator=generator).tolist()
    assert tg.rand(2, generator=twin).tolist() == drawn
    assert tg.rand(2, generator=generator.set_state(kept)).tolist() == drawn
    assert (tg.manual_seed(7).initial_seed(), tg.initial_seed()) == (7, 7)
    assert tg.seed() == tg.initial_seed()


@pytest.mark.parametrize("state", [tg.zeros(3), tg.zeros(3, dtype=tg.uint8)])
def test_a_wrong_state_is_refused(state):
    with pytest.raises((TypeError, RuntimeError)):
        tg.set_rng_state(state)


def close(values, mean, deviation):
    values = np.asarray(values, np.float64)
    tolerance = 5 * deviation / np.sqrt(values.size)
    return abs(values.mean() - mean) < tolerance and abs(values.std() / deviation - 1) < 0.05


@pytest.mark.parametrize("dtype", [tg.float32, tg.float64])
def test_distributions(dtype):
    tg.manual_seed(0)
    x = tg.empty(MANY, dtype=dtype)
    assert close(tg.rand(MANY, dtype=dtype), 0.5, 12**-0.5)
    assert close(tg.randn(MANY, dtype=dtype), 0, 1)
    assert close(x.uniform_(-1, 3), 1, 4 / 12**0.5)
    assert close(x.normal_(2, 3), 2, 3)
    assert close(x.exponential_(2), 0.5, 0.5)
    assert close(x.bernoulli_(0.3), 0.3, 0.21**0.5)
    assert close(x.geometric_(0.5), 2, 2**0.5)
    assert close(x.log_normal_(0, 0.5).log(), 0, 0.5)
    assert abs(float(x.cauchy_(3, 2).median()) - 3) < 0.1
    assert close(tg.normal(tg.full((MANY,), 2.0, dtype=dtype), 0.5), 2, 0.5)
    assert close(tg.bernoulli(tg.full((MANY,), 0.3, dtype=dtype)), 0.3, 0.21**0.5)
    assert close(tg.randint(2, 6, (MANY,)), 3.5, 1.25**0.5)
    assert close(x.random_(10), 4.5, 8.25**0.5)
    assert close(tg.randperm(MANY), (MANY - 1) / 2, MANY / 12**0.5)


def test_ranges():
    assert 0 <= float(tg.rand(MANY).min()) <= float(tg.rand(MANY).max()) < 1
    half = tg.rand(MANY, dtype=tg.float16)
    assert 0 <= float(half.min()) <= float(half.max()) < 1
    assert sorted(tg.randint(-2, 2, (1000,)).unique().tolist()) == [-2, -1, 0, 1]
    assert sorted(tg.randperm(20).tolist()) == list(range(20))
    assert float(tg.zeros(1000).random_().max()) <= 2**24
    assert int(tg.zeros(1000, dtype=tg.uint8).random_().max()) <= 255


def test_multinomial():
    weights = tg.tensor([0.0, 1.0, 3.0])
    drawn = tg.multinomial(weights, 20_000, replacement=True)
    assert np.allclose(drawn.bincount(minlength=3).numpy() / 20_000, [0, 0.25, 0.75], atol=0.02)
    firsts = [tg.multinomial(weights, 2).tolist() for _ in range(2000)]
    assert {tuple(sorted(pair)) for pair in firsts} == {(1, 2)}
    assert abs(np.mean([pair[0] == 2 for pair in firsts]) - 0.75) < 0.05
    rows = tg.multinomial(tg.tensor([[1.0, 0.0], [0.0, 1.0]]), 1)
    assert rows.tolist() == [[0], [1]]


def test_bernoulli_has_no_gradient():
    p = tg.tensor([0.2, 0.8], requires_grad=True)
    tg.bernoulli(p).sum().backward()
    assert p.grad.tolist() == [0, 0]


def test_fills_in_place():
    x = tg.zeros(2, 3)
    column = x[:, 0]
    version = x._version
    column.uniform_(1, 2)
    assert x._version == version + 1
    assert (x[:, 0] >= 1).all()
    assert not x[:, 1:].any()
    leaf = tg.ones(3, requires_grad=True)
    with pytest.raises(RuntimeError, match="leaf"):
        leaf.normal_()
    assert leaf.tolist() == [1, 1, 1]
    with tg.no_grad():
        leaf.normal_()
    y = leaf * 2
    y.normal_()
    y.sum().backward()
    assert leaf.grad.tolist() == [0, 0, 0]


def test_random_from():
    assert set(tg.zeros(100).random_(**{"from": 3, "to": 5}).tolist()) == {3, 4}
