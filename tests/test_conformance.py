"""The conformance kit itself: each deliberate mistake is caught, and explained by its cause; what is right passes."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.broken_ops import BROKEN, right_square, variant
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.ops import registry
from tinygrad_cnn.testing import ConformanceError, check_op, check_sample
from tinygrad_cnn.testing.explain import explain


@pytest.mark.parametrize("broken", BROKEN, ids=lambda b: f"{b.op.name}: {b.mistake}")
def test_mistake_is_caught_and_explained(broken):
    with pytest.raises(ConformanceError) as caught:
        check_op(broken.op, examples=60)
    assert broken.cause in caught.value.cause, str(caught.value)
    assert caught.value.property == broken.property


@pytest.mark.parametrize("op", {id(b.right): b.right for b in BROKEN}.values(), ids=lambda op: op.name)
def test_what_is_right_passes(op):
    check_op(op, examples=10)


# ------------------------------------------------------------------------------------------ what a failure says
def failure(op, **settings):
    with pytest.raises(ConformanceError) as caught:
        check_op(op, examples=30, **settings)
    return caught.value


def test_error_has_its_parts():
    error = failure(variant(registry["sub"], other=lambda g, alpha: g * alpha))
    assert (error.op, error.property, error.argument) == ("sub", "first_order", "other")
    assert error.cause == "sign"
    assert error.indices == [()]
    assert error.actual == -error.expected


def test_message_shows_place_values_cause_and_case():
    wrong = variant(registry["mean"], input=registry["sum"].formulas["input"])
    lines = str(failure(wrong)).splitlines()
    assert lines[0] == "mean: gradient of `input`: 2 of 2 elements differ"
    assert lines[1].split() == ["index", "yours", "numerical", "ratio"]
    assert lines[2].split() == ["(0,)", "0.77", "0.385", "2"]
    assert lines[4].startswith("  likely cause: constant factor 2: a missing mean. ")
    assert lines[5:7] == ["  the case:", "    input    = [ 0.406, -0.854]"]
    assert lines[-1] == "    upstream = 0.77"


def test_case_is_one_that_shows_the_pattern():
    """A single pixel is all border: the case has an inner one."""
    wrong = next(b.op for b in BROKEN if b.mistake == "the border's pixels get no gradient")
    error = failure(wrong)
    assert min(error.expected.shape[2:]) >= 3
    assert ", all of them at the border" in str(error)


def test_overlap_count_is_named():
    ones = np.ones((1, 1, 1, 3))
    wrong = next(b.op for b in BROKEN if b.mistake == "im2col's adjoint assigns")
    arguments = dict(input=ones, kernel_size=(1, 2), dilation=(1, 1), padding=(0, 0), stride=(1, 1))
    with pytest.raises(ConformanceError, match="lies in 2 windows") as caught:
        check_sample(wrong, arguments, ["first_order"])
    assert caught.value.indices == [(0, 0, 0, 1)]


def test_an_unknown_pattern_is_not_given_a_name():
    rng = np.random.default_rng(0)
    error = explain(rng.normal(size=(3, 4)), rng.normal(size=(3, 4)))
    assert error.cause == ""
    assert "none of the known patterns fits" in str(error)


def test_shape_of_results_and_many_elements():
    assert "shape (2,), numerical (3,)" in str(explain(np.ones(2), np.ones(3)))
    assert "and 5 more" in str(explain(np.arange(10.0), np.arange(10.0) ** 2 + 5))


THREE = np.arange(1.0, 4.0)
KERNEL = np.arange(1.0, 10).reshape(1, 1, 3, 3)
SQUARE = np.arange(1.0, 5.0).reshape(2, 2)


@pytest.mark.parametrize(
    ("actual", "expected", "known", "cause"),
    [
        (-THREE, THREE, dict(property="second_order"), "wrong second order: sign"),
        (SQUARE.T, SQUARE, {}, "transposed"),
        (SQUARE[:, :1], SQUARE[:, :1].T, {}, "transposed"),
        (THREE[:, None], THREE, {}, "a dimension of size 1"),
        (np.ones((4, 5)), np.ones((2, 3)), dict(argument="input"), "shape"),
        (THREE[::-1], THREE, {}, "reversed"),
        (
            np.arange(1.0, 10).reshape(1, 1, 3, 3)[..., ::-1, ::-1],
            np.arange(1.0, 10).reshape(1, 1, 3, 3),
            {},
            "flipped",
        ),
        (np.array([7.0, 1.0, 2.0]), THREE, {}, "off-by-one index"),
        (np.array([1.0, np.inf, 3.0]), THREE, {}, "infinity"),
        (np.array([1.0, np.nan, 3.0]), THREE, dict(property="float32"), "NaN in float32"),
        (THREE * 2.5, THREE, dict(arguments=dict(beta=2.5)), "a factor `beta` too many"),
        (THREE / 2.5, THREE, dict(arguments=dict(beta=2.5)), "a missing factor `beta`"),
        (THREE + 3e-4 * THREE[::-1] * [1, -1, 1], THREE, {}, "nearly right"),
        (THREE, THREE + 1, dict(property="memory", label="sum of both"), "f(x, x) loses a contribution"),
        (THREE, THREE + 1, dict(where="called with arrays"), "differs on arrays"),
        (
            THREE + 9 * (THREE > 2),
            THREE,
            dict(arguments=dict(x=np.array([0.5, 1.0, 2.0]))),
            "wrong where `x` is above 1",
        ),
        (THREE * [1, 1, 5], THREE, dict(arguments=dict(x=THREE)), "off by one: the last index"),
        (SQUARE * 3 + [[0, 0], [0, 1]], SQUARE, {}, ""),
    ],
)
def test_patterns_in_arrays_alone(actual, expected, known, cause):
    error = explain(actual, expected, name="f", **{"argument": "x", **known})
    assert cause in error.cause
    assert bool(error.cause) == bool(cause)
    assert str(error).startswith("f: ")


# ------------------------------------------------------------------------------------------------ declarations
def test_nothing_declared():
    op = Op(lambda input: input * 2, name="bare")
    assert failure(op).cause == "nothing declared: samples and a reference and gradients"


def test_missing_gradient_and_constants():
    def scaled(input, factor):
        return input * factor

    op = Op(scaled)
    op.gradients(input=lambda g, factor: g * factor)
    op.samples(lambda draw: dict(input=draw.array((2,)), factor=draw.array((2,))))
    op.reference(lambda input, factor: np.array([x * f for x, f in zip(input, factor, strict=True)]))
    assert failure(op).cause == "no gradient declared"
    op.exempt(factor="a constant, for once")
    check_op(op, examples=5)


def test_properties_are_chosen_and_exempted():
    check_op(right_square, properties=["value", "upstream"], examples=3, seed=1)
    with pytest.raises(ArgumentError, match="unknown properties"):
        check_op(right_square, properties=["beauty"])
    wrong = variant(right_square, input=lambda g, input: g * input, exemptions={"first_order": "it is known"})
    check_op(wrong, properties=["first_order"], examples=3)
    with pytest.raises(ArgumentError, match="no property and no input"):
        check_op(variant(right_square, exemptions={"beauty": "none"}))


def test_seed_draws_other_cases():
    seen = []

    def noted(draw):
        seen.append(draw.integer(0, 10**6))
        return dict(input=np.ones(1))

    op = variant(right_square, _samples=noted)
    for seed in (1, 2, 1):
        check_op(op, properties=["repeat"], examples=5, seed=seed)
    assert seen[:5] == seen[10:] != seen[5:10]


# ---------------------------------------------------------------------------------- what it found in this library
def test_gelu_of_an_expanded_tensor():
    x = tg.tensor([[0.5], [-1.0]], dtype=tg.float64)
    assert tg.nn.functional.gelu(x.expand(2, 3)).tolist() == tg.nn.functional.gelu(x.expand(2, 3).clone()).tolist()


def test_empty_batches():
    x = tg.zeros(0, 1, 2, 2, requires_grad=True)
    pooled, where = tg.nn.functional.max_pool2d(x, 1, return_indices=True)
    tg.nn.functional.max_unpool2d(pooled, where, 1).sum().backward()
    tg.nn.functional.interpolate(x, size=(3, 5)).sum().backward()
    assert x.grad.shape == x.shape


def test_gradient_of_windows_is_memory_of_its_own():
    values, g = tg.zeros(3, 1, requires_grad=True), tg.ones(3)
    out = registry["fold_dim"](values, (3,), 0, 1)
    (found,) = tg.autograd.grad(out, values, g)
    found += 1
    assert g.tolist() == [1, 1, 1]
