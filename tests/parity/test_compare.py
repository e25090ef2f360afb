"""Comparisons, logic, bits and tests on elements against PyTorch."""

import itertools

import numpy as np
import pytest

from tests.parity.compare import compare, compare_error, to_ours

nan, inf = float("nan"), float("inf")
SPECIAL = np.array([nan, inf, -inf, 0.0, -0.0, 1.0, -1.0])
REAL = np.array([[0.0, 1.0, 2.0], [2.0, 1.0, 0.0]])
WHOLE = np.array([0, 1, 2])
FLAG = np.array([True, False, True])


@pytest.mark.parametrize(
    "name", ["eq", "ne", "lt", "le", "gt", "ge", "not_equal", "less", "less_equal", "greater", "greater_equal"]
)
def test_comparison(name):
    for a, b in itertools.product([REAL, WHOLE, FLAG, np.array(1.0)], repeat=2):
        compare(lambda T, a, b: getattr(T, name)(a, b), a, b)
        compare(lambda T, a, b: getattr(a, name)(b), a, b)
        compare(lambda T, a: getattr(T, name)(a, 1), a)
        compare(lambda T, a: getattr(T, name)(a, 1.5), a)


def test_comparison_with_special_values():
    for name in ("eq", "ne", "lt", "ge"):
        compare(lambda T, a, b, name=name: getattr(T, name)(a, b), SPECIAL[:, None].copy(), SPECIAL)


def test_numbers_outside_of_the_dtype():
    x = np.array([0, 200], np.uint8)
    for call in (lambda T, x: x == -1, lambda T, x: x < 1.5, lambda T, x: x < 1.5):
        compare(call, x)
    # PyTorch brings the number into the dtype first (300 becomes 44); here it is compared as it is.
    assert (to_ours(x) < 300).all()
    assert (to_ours(x) > -1).all()


@pytest.mark.parametrize("name", ["logical_and", "logical_or", "logical_xor"])
@pytest.mark.parametrize("pair", list(itertools.product([REAL, WHOLE, FLAG], repeat=2)))
def test_logic(name, pair):
    compare(lambda T, a, b: getattr(T, name)(a, b), *pair)
    compare(lambda T, a, b: getattr(a, name)(b), *pair)


@pytest.mark.parametrize(
    "name", ["isnan", "isinf", "isposinf", "isneginf", "isfinite", "isreal", "signbit", "logical_not"]
)
@pytest.mark.parametrize("x", [SPECIAL, SPECIAL.astype(np.float32), WHOLE, FLAG, np.array(nan), np.zeros((0, 2))])
def test_tests(name, x):
    compare(lambda T, x: getattr(T, name)(x), x)
    compare(lambda T, x: getattr(x, name)(), x)


@pytest.mark.parametrize("name", ["bitwise_and", "bitwise_or", "bitwise_xor"])
@pytest.mark.parametrize("pair", list(itertools.product([WHOLE, FLAG, WHOLE.astype(np.uint8)], repeat=2)))
def test_bits(name, pair):
    compare(lambda T, a, b: getattr(T, name)(a, b), *pair)
    compare(lambda T, a: getattr(a, name)(1), pair[0])


@pytest.mark.parametrize(
    "call",
    [
        lambda T, i, b: ~i,
        lambda T, i, b: ~b,
        lambda T, i, b: T.bitwise_not(i),
        lambda T, i, b: i << 1,
        lambda T, i, b: 1 << i,
        lambda T, i, b: i >> 1,
        lambda T, i, b: T.bitwise_left_shift(i, i),
        lambda T, i, b: i & 1 | 2 ^ i,
        lambda T, i, b: True & b,
        lambda T, i, b: b.clone().logical_and_(b == 0),
        lambda T, i, b: i.clone().eq_(1),
        lambda T, i, b: i.clone().bitwise_and_(1),
        lambda T, i, b: in_place(i.clone()),
        lambda T, i, b: i.clone().lt_(2),
    ],
)
def test_calls(call):
    compare(call, WHOLE, FLAG)


def in_place(x):
    x &= 3
    x |= 4
    x ^= 1
    x <<= 1
    x >>= 2
    return x


def test_isclose():
    a, b = np.array([1.0, 1.0, nan, inf, inf]), np.array([1.0 + 1e-6, 1.1, nan, inf, -inf])
    compare(lambda T, a, b: T.isclose(a, b), a, b)
    compare(lambda T, a, b: a.isclose(b, rtol=0.2, equal_nan=True), a, b)
    compare(lambda T, a, b: T.allclose(a, b), a, b)
    compare(lambda T, a, b: a.allclose(b, atol=1.0, equal_nan=True), a[:3], b[:3])
    compare(lambda T, i: T.isclose(i, i + 1), WHOLE)
    compare(lambda T, a, b: T.equal(a, b), a, b)
    compare(lambda T, a: a.equal(a), WHOLE)
    compare(lambda T, a: T.equal(a, a[:1]), WHOLE)


@pytest.mark.parametrize(
    "call",
    [
        lambda T, i, f: T.isclose(i, f),
        lambda T, i, f: T.allclose(f, i),
        lambda T, i, f: T.isclose(f, f, rtol=-1),
        lambda T, i, f: f & f,
        lambda T, i, f: i & 1.5,
        lambda T, i, f: ~f,
        lambda T, i, f: T.eq(f, "a"),
        lambda T, i, f: T.equal(f, 1),
        lambda T, i, f: f == T.ones(2),
    ],
)
def test_refusals(call):
    compare_error(call, WHOLE, REAL[0].copy())
