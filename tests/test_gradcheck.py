"""gradcheck proves what it says: wrong gradients of every kind fail, right ones pass, and kinks get their verdict."""

import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.autograd import Function
from tinygrad_cnn.testing import (
    ComplexStepError,
    GradcheckError,
    central_difference_gradient,
    complex_step_gradient,
    find_kinks,
    gradcheck,
    gradgradcheck,
)


def leaf(*values, dtype=tg.float64):
    return tg.tensor(values, dtype=dtype, requires_grad=True)


def drawn(*shape, seed=0):
    return tg.tensor(np.random.default_rng(seed).uniform(0.2, 1.0, shape), requires_grad=True)


def custom(forward, backward):
    """A function of one Tensor with the given backward of ``(g, x)``."""

    class Custom(Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)

    return Custom.apply


def cube(backward):
    return custom(lambda x: x * x * x, backward)


# ------------------------------------------------------------------------------------------------- verdicts
RIGHT = {
    "cube": cube(lambda g, x: 3 * x * x * g),
    "sum": lambda x: (x * x).sum(),
    "two outputs": lambda x: (x.sin(), x.sum()),
    "unused": lambda x: (x * 2, tg.ones(3)),
    "indices": lambda x: (x * 2, x.argmax()),
    "detached integers": lambda x: x.argmax(),
    "no outputs": lambda x: (),
    "batch norm": lambda x: tg.nn.functional.batch_norm(x.reshape(-1, 1), None, None, training=True),
}

WRONG = {  # name: (function, a part of the message)
    "sign": (cube(lambda g, x: -3 * x * x * g), "Jacobian mismatch for output 0 with respect to input 0"),
    "factor": (cube(lambda g, x: x * x * g), "analytical"),
    "upstream ignored": (cube(lambda g, x: 3 * x * x + 0 * g), "Likely cause: upstream ignored"),
    "upstream squared": (cube(lambda g, x: 3 * x * x * g * g), "backward isn't linear in grad_output"),
    "upstream rectified": (cube(lambda g, x: 3 * x * x * g.abs()), "backward isn't linear in grad_output"),
    "constant added": (cube(lambda g, x: 3 * x * x * g + 1e-7), "backward not multiplied by grad_output"),
    "random": (cube(lambda g, x: 3 * x * x * g * (1 + 1e-9 * tg.rand(()).double())), "Backward is not reentrant"),
    "none": (cube(lambda g, x: None), "no gradient arrives"),
    "permuted": (custom(lambda x: x * tg.arange(4.0), lambda g, x: g.flip(0) * tg.arange(4.0).flip(0)), "mismatch"),
    "nan": (cube(lambda g, x: g * float("nan")), "analytical nan"),
    "detached in part": (lambda x: x * x.detach(), "Jacobian mismatch"),
    "detached": (lambda x: (x * x).detach(), "Numerical gradient for function expected to be zero"),
    "one element": (cube(lambda g, x: 3 * x * x * g * (tg.arange(4) != 2)), r"1 of 16 elements differ"),
}


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", RIGHT)
def test_right_gradients_pass(name, fast):
    assert gradcheck(RIGHT[name], drawn(4), fast_mode=fast)
    assert gradgradcheck(RIGHT[name], drawn(4), fast_mode=fast) if name != "no outputs" else True


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", WRONG)
def test_wrong_gradients_fail(name, fast):
    function, message = WRONG[name]
    assert gradcheck(function, drawn(4), raise_exception=False, fast_mode=fast) is False
    with pytest.raises(GradcheckError, match=None if fast else message):
        gradcheck(function, drawn(4), fast_mode=fast)


@pytest.mark.parametrize("name", sorted(set(WRONG) - {"constant added", "detached", "none"}))
def test_wrong_gradients_fail_by_projections_alone(name):
    with pytest.raises(GradcheckError):
        gradcheck(WRONG[name][0], drawn(4), projections=2)


def test_an_error_says_where_and_what():
    weight = drawn(2, 2)
    with pytest.raises(GradcheckError) as raised:
        gradcheck(lambda x, weight: x * custom(lambda w: w * 3, lambda g, w: 6 * g)(weight), (drawn(2, 2), weight))
    error = raised.value
    assert (error.input, error.name, error.output) == (1, "weight", 0)
    assert error.indices == [((i, j), (i, j)) for i in range(2) for j in range(2)]
    np.testing.assert_allclose(error.analytical, 2 * np.array(error.numerical), rtol=1e-6)
    assert "input 1 (`weight`): 4 of 16 elements differ" in str(error)
    assert "d output[0, 1] / d weight[0, 1]: analytical" in str(error)
    assert isinstance(error, RuntimeError)


MATRIX = tg.tensor(np.random.default_rng(1).uniform(0.2, 1, (3, 3)))


@pytest.mark.parametrize(
    ("function", "cause"),
    [
        (cube(lambda g, x: -3 * x * x * g), "sign"),
        (cube(lambda g, x: x * x * g), "constant factor 1/3: a mean too many"),
        (custom(lambda x: x.mean(), lambda g, x: g * tg.ones(3, 3).double()), "constant factor 9: a missing mean"),
        (custom(lambda x: x @ MATRIX, lambda g, x: (g @ MATRIX.T).T), "transposed"),
        (cube(lambda g, x: 3 * x * x), "upstream ignored"),
    ],
)
def test_the_likely_cause_is_named(function, cause):
    with pytest.raises(GradcheckError, match=f"Likely cause: {cause}") as raised:
        gradcheck(function, drawn(3, 3))
    assert raised.value.cause == cause


def test_a_function_without_a_signature_has_no_names():
    class Odd:
        __signature__ = "none"

        def __call__(self, x):
            return x * x.detach()

    with pytest.raises(GradcheckError, match="with respect to input 0: 3 of 9"):
        gradcheck(Odd(), drawn(3))


def test_an_input_that_misses_its_gradient_is_found_beside_one_that_has_it():
    with pytest.raises(GradcheckError, match=r"input 1 \(`w`\)") as raised:
        gradcheck(lambda x, w: x * w.detach() + 0 * w, (drawn(3), drawn(3)))
    assert "no gradient arrives" in raised.value.cause


# --------------------------------------------------------------------------------------------- second order
SECOND_ORDER_WRONG = {
    "cut by detach": cube(lambda g, x: 3 * x.detach() ** 2 * g),
    "cut at the upstream": cube(lambda g, x: 3 * x * x * g.detach()),
    "saved number": custom(lambda x: x * x.sum(), lambda g, x: g * x.sum().item() + (g * x).sum()),
}


@pytest.mark.parametrize("name", SECOND_ORDER_WRONG)
def test_second_order_fails_where_first_order_is_right(name):
    function = SECOND_ORDER_WRONG[name]
    assert gradcheck(function, drawn(3))
    assert not gradgradcheck(function, drawn(3), raise_exception=False)
    assert not gradgradcheck(function, drawn(3), raise_exception=False, fast_mode=True)


def test_second_order_names_the_upstream_too():
    function = cube(lambda g, x: 3 * x * x * g.detach())
    with pytest.raises(GradcheckError, match=r"input 1 \(`grad_output`\)"):
        gradgradcheck(lambda x: function(x), drawn(3))


def test_second_order_takes_the_upstream_given():
    assert gradgradcheck(tg.sin, drawn(3), drawn(3, seed=1))
    assert gradgradcheck(tg.sin, drawn(3), tg.ones(3, dtype=tg.float64))
    assert gradgradcheck(lambda x: (x.sin(), x.cos()), drawn(3), (drawn(3, seed=1), drawn(3, seed=2)))


def test_upstreams_with_gaps_in_memory():
    seen = []

    def backward(g, x):
        seen.append(g._array.flags.c_contiguous)
        return 2 * x * g

    assert gradgradcheck(custom(lambda x: x * x, backward), drawn(3), gen_non_contig_grad_outputs=True)
    assert not all(seen)


# ------------------------------------------------------------------------------------------- other promises
def test_nondeterminism_within_the_tolerance_passes():
    jitter = cube(lambda g, x: 3 * x * x * g * (1 + 1e-9 * tg.rand(()).double()))
    assert gradcheck(jitter, drawn(3), nondet_tol=1e-6)
    with pytest.raises(GradcheckError, match="reentrant"):
        gradcheck(jitter, drawn(3), nondet_tol=1e-14)


class Two(Function):
    @staticmethod
    def forward(ctx, x, careful):
        ctx.set_materialize_grads(False)
        ctx.careful = careful
        return x * 2, x * 3

    @staticmethod
    def backward(ctx, first, second):
        if ctx.careful == "ignores":
            return (first if first is not None else second) * 2 + (0 if second is None else second * 3), None
        if ctx.careful and first is None:
            return second * 3, None
        if ctx.careful and second is None:
            return first * 2, None
        return first * 2 + second * 3, None


def test_undefined_output_gradients():
    assert gradcheck(lambda x: Two.apply(x, True), drawn(3))
    with pytest.raises(GradcheckError, match="handle undefined output grads"):
        gradcheck(lambda x: Two.apply(x, False), drawn(3))
    with pytest.raises(GradcheckError, match="count as zeros"):
        gradcheck(lambda x: Two.apply(x, "ignores"), drawn(3))


def test_a_formula_of_another_dtype_is_found_although_the_engine_casts():
    narrow = cube(lambda g, x: (3 * x * x * g).float())
    assert gradcheck(narrow, drawn(3))
    with pytest.raises(GradcheckError, match="dtype mismatch: CustomBackward returns float32 for an input of float64"):
        gradcheck(narrow, drawn(3), check_grad_dtypes=True)
    assert gradcheck(lambda x: (x.float() * 2).double() * x, drawn(3), atol=1, check_grad_dtypes=True)


def test_inputs_are_put_back():
    x = drawn(3, 2)
    before = x.detach().clone()
    version = x._version
    gradcheck(lambda x: x.sin().sum(), x)
    gradcheck(lambda x: x.sin().sum(), x, method="auto", fast_mode=True)
    assert x.equal(before)
    assert x._version == version
    assert x.grad is None
    with pytest.raises(ZeroDivisionError):
        gradcheck(lambda x: x * (1 / (x[0, 0].item() == before[0, 0].item())), x)
    assert x.equal(before)


def test_parameters_reached_another_way_are_checked():
    layer = tg.nn.Linear(3, 2).double()
    x = drawn(4, 3)
    assert gradcheck(lambda *_: layer(x), tuple(layer.parameters()))
    broken = cube(lambda g, x: x * g)
    with pytest.raises(GradcheckError):
        gradcheck(lambda *_: broken(layer.weight), tuple(layer.parameters()))


def test_a_function_that_runs_backward_itself():
    def slope(x):
        (found,) = tg.autograd.grad((x * x * x).sum(), x, create_graph=True)
        return found

    assert gradcheck(slope, drawn(3))


@pytest.mark.parametrize("change", [lambda x: x.T, lambda x: x[::2], lambda x: x.flip(0)[:, 1:]])
def test_inputs_in_any_layout(change):
    x = change(drawn(4, 3).detach()).requires_grad_()
    assert gradcheck(lambda x: x.sin(), x)


def test_empty_and_scalar_inputs():
    assert gradcheck(lambda x: x.sum(), tg.zeros(0, 3, dtype=tg.float64, requires_grad=True))
    assert gradcheck(lambda x, y: x.sum() * y, (tg.zeros(0, dtype=tg.float64, requires_grad=True), drawn()))
    assert gradcheck(lambda x: x * x, drawn())
    empty = tg.zeros(0, 3, dtype=tg.float64, requires_grad=True)
    assert gradcheck(lambda x, y: (x * 2, y * y), (empty, drawn(2)), fast_mode=True)
    with pytest.raises(GradcheckError, match=r"output 1 with respect to input 1 \(`y`\)"):
        gradcheck(lambda x, y: (x * 2, y * y.detach()), (empty, drawn(2)))
    np.testing.assert_array_equal(complex_step_gradient(lambda n: np.ones(2), [3]), [None])


# ------------------------------------------------------------------------------------------------- refusals
def test_what_gradcheck_refuses():
    x = drawn(3)
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradcheck(lambda x: x, tg.ones(3))
    with pytest.raises(ValueError, match="at least one input tensor to require gradient"):
        gradgradcheck(lambda x: x, tg.ones(3))
    with pytest.raises(RuntimeError, match="dimension with stride 0"):
        gradcheck(lambda x: x * 2, drawn(1).detach().expand(3).requires_grad_())
    windows = np.lib.stride_tricks.as_strided(np.ones(4), (3, 2), (8, 8))
    with pytest.raises(RuntimeError, match="non-overlapping"):
        gradcheck(lambda x: x * 2, tg.from_numpy(windows).requires_grad_())
    with pytest.raises(RuntimeError, match="read-only memory"):
        gradcheck(lambda x: x * 2, tg.autograd.tensor.wrap(np.frombuffer(bytes(16))).requires_grad_())
    with pytest.raises(TypeError, match="must return a Tensor or a tuple of Tensors, got int"):
        gradcheck(lambda x: (x, 3), x)
    with pytest.raises(ValueError, match="method expected"):
        gradcheck(lambda x: x, x, method="forward")
    with pytest.raises(RuntimeError, match="overwrites its input 0"):
        gradcheck(lambda x: x * x.data.mul_(2), x)
    with pytest.raises(RuntimeError, match="not a GradcheckError"):
        gradcheck(lambda x: (_ for _ in ()).throw(RuntimeError("not a GradcheckError")), x, raise_exception=False)


@pytest.mark.parametrize(
    ("function", "flag"),
    [
        (gradcheck, "check_forward_ad"),
        (gradcheck, "check_batched_grad"),
        (gradgradcheck, "check_fwd_over_rev"),
        (gradgradcheck, "check_batched_grad"),
    ],
)
def test_what_cannot_be_honoured_raises(function, flag):
    with pytest.raises(NotImplementedError, match=f"{flag}=True isn't possible"):
        function(lambda x: x, drawn(3), **{flag: True})


def test_contradictions():
    batched = dict(check_batched_grad=True, check_backward_ad=False, check_forward_ad=True)
    for flags in (dict(check_backward_ad=False), dict(check_batched_forward_grad=True), batched):
        with pytest.raises(AssertionError, match="to be True"):
            gradcheck(lambda x: x, drawn(3), **flags)
    for flags in ({}, dict(check_fwd_over_rev=True)):
        with pytest.raises(AssertionError, match="to be True"):
            gradgradcheck(lambda x: x, drawn(3), check_rev_over_rev=False, **flags)


def test_outputs_that_change_form():
    x = leaf(1.0)
    with pytest.raises(AssertionError, match="same shape when inputs are perturbed"):
        gradcheck(lambda x: tg.cat([x, x]) if x.item() >= 1 else x, x)
    with pytest.raises(AssertionError, match="same dtype when inputs are perturbed"):
        gradcheck(lambda x: x.float() if x.item() >= 1 else x, x)


def test_narrow_inputs_warn():
    with pytest.warns(UserWarning, match="Input #0 requires gradient and is not a double precision"):
        gradcheck(lambda x: x * 2, leaf(1.0, dtype=tg.float32), raise_exception=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        gradcheck(lambda x, y: x * y, (leaf(1.0), tg.ones(1)))


# ---------------------------------------------------------------------------------------------------- kinks
def relu_with(slope):
    return custom(lambda x: x.clamp(min=0), lambda g, x: g * ((x > 0) + slope * (x == 0)))


def test_the_verdict_at_a_kink():
    (kink,) = find_kinks(relu_with(0.0), leaf(-1.0, 0.0))
    assert str(kink) == "input 0[1], output 0[1]: left slope 0, right slope 1, yours 0: a valid subgradient"
    (kink,) = find_kinks(relu_with(1.5), leaf(-1.0, 0.0))
    assert kink.verdict == "left slope 0, right slope 1, yours 1.5 is not between them"
    assert find_kinks(relu_with(1.5), leaf(-1.0, 1.0)) == []
    assert find_kinks(lambda x: x.argmax(), leaf(1.0, 1.0)) == []


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("slope", [0.0, 0.25, 0.5, 1.0])
def test_a_subgradient_passes(slope, fast):
    assert gradcheck(relu_with(slope), leaf(-1.0, 0.0, 2.0), atol=1e-7, rtol=1e-5, fast_mode=fast)
    assert gradcheck(relu_with(slope), leaf(-1.0, 0.0, 2.0), subgradients=False, raise_exception=False) == (
        slope == 0.5
    )


@pytest.mark.parametrize("slope", [-0.1, 1.1, -1.0, 2.0])
def test_what_is_no_subgradient_fails(slope):
    with pytest.raises(GradcheckError, match=f"yours {slope:g} is not between them"):
        gradcheck(relu_with(slope), leaf(-1.0, 0.0, 2.0))


KINKS = {
    "abs": (tg.abs, (0.0, 1.0)),
    "clamp": (lambda x: x.clamp(-1, 1), (-1.0, 1.0)),
    "hardswish": (tg.nn.functional.hardswish, (-3.0, 3.0, 0.5)),
    "leaky_relu": (tg.nn.functional.leaky_relu, (0.0, 0.0)),
    "amax": (lambda x: x.amax(0), (1.0, 1.0, 1.0, 0.0)),
    "amin": (lambda x: x.amin(0), (1.0, 1.0, 1.0, 2.0)),
    "max": (lambda x: x.max(0)[0], (1.0, 1.0, 1.0)),
    "norm": (lambda x: x.norm(), (0.0, 0.0, 0.0)),
    "sum of many": (lambda x: x.relu().sum() - 2 * x.abs().sum(), (0.0,) * 12),
    "both kinds": (lambda x: x[:3].relu().sum() - x[3:].relu().sum(), (0.0,) * 6),
    "pooling": (lambda x: tg.nn.functional.max_pool2d(x.reshape(1, 3, 3), 2, 1), (0.0,) * 9),
    "l1 loss": (lambda x: tg.nn.functional.l1_loss(x, x.detach() * 0), (0.0, 1.0)),
    "sort": (lambda x: x.sort()[0][::2], (1.0, 1.0)),
}


@pytest.mark.parametrize("name", KINKS)
def test_our_own_kinks_hold_subgradients(name):
    function, values = KINKS[name]
    found = find_kinks(function, leaf(*values))
    assert found
    assert all(kink.is_subgradient for kink in found)
    assert gradcheck(function, leaf(*values))


def shares(share):
    return custom(lambda x: x.amax(0), lambda g, x: g * (x == x.amax(0)) * share)


def test_ties_must_share():
    tie = leaf(1.0, 1.0, 1.0, 0.0)
    assert gradcheck(shares(1 / 3), tie)
    for share in (0.5, 1.0, 0.2, 0.0):  # each is between the slopes of every element alone; 0.5 is even their mean
        with pytest.raises(GradcheckError, match="moved together, output 0: left slope 1, right slope 1, yours"):
            gradcheck(shares(share), tie)
    assert gradcheck(shares(0.5), leaf(1.0, 1.0))
    assert gradcheck(shares(0.5), tie, subgradients=False), "as PyTorch sees it: by luck"


def test_ties_between_inputs_must_share():
    class Larger(Function):
        @staticmethod
        def forward(ctx, x, y, share):
            ctx.save_for_backward(x, y)
            ctx.share = share
            return tg.maximum(x, y)

        @staticmethod
        def backward(ctx, g):
            x, y = ctx.saved_tensors
            return g * ((x > y) + ctx.share * (x == y)), g * ((y > x) + ctx.share * (x == y)), None

    inputs = (leaf(1.0, 2.0), leaf(1.0, 0.0))
    assert gradcheck(lambda x, y: Larger.apply(x, y, 0.5), inputs)
    with pytest.raises(GradcheckError, match=r"input 0\[0\], input 1\[0\] moved together"):
        gradcheck(lambda x, y: Larger.apply(x, y, 1.0), inputs)


def hull_distance(pieces, gradient):
    """From the gradient to the nearest subgradient, by plain Frank-Wolfe."""
    best = pieces.mean(0)
    for step in range(2000):
        best = best + 2 / (step + 2) * (pieces[np.argmin(pieces @ (best - gradient))] - best)
    return np.linalg.norm(best - gradient)


@pytest.mark.parametrize("seed", range(25))
def test_subgradients_of_any_tie_pass_and_nothing_else(seed):
    rng = np.random.default_rng(seed)
    pieces = rng.integers(-2, 3, rng.integers(2, 6, 2)).astype(float)  # of a maximum of linear functions, all 0 at 0
    sign = float(rng.choice([-1, 1]))

    def passes(gradient):
        function = custom(lambda x: sign * (tg.tensor(pieces) @ x).amax(0), lambda g, x: g * sign * tg.tensor(gradient))
        return gradcheck(function, leaf(*[0.0] * pieces.shape[1]), raise_exception=False)

    inside = rng.dirichlet(np.ones(len(pieces))) @ pieces
    assert passes(inside)
    outside = inside + rng.uniform(-1, 1, inside.shape)
    assert not passes(outside) or hull_distance(pieces, outside) < 0.05


@pytest.mark.parametrize("values", [(0.3e-6,), (-0.3e-6,), (0.9e-6,)])
def test_a_kink_near_the_point_excuses_nothing(values):
    right = float(values[0] > 0)
    wrong = custom(lambda x: x.relu(), lambda g, x: g * (1 - right))
    assert not gradcheck(wrong, leaf(*values), raise_exception=False)
    assert find_kinks(wrong, leaf(*values)) == []


SMOOTH = {  # steep, curved, noisy, stepped: none is a kink, so that nothing is excused
    "curve": (lambda x: 1e5 * x * x, 0.0),
    "steep": (lambda x: (50 * x).exp(), 0.3),
    "cancelling": (lambda x: (x + 1e6) - 1e6, 0.4),
    "narrow": (lambda x: x.float().double().sin(), 0.4),
    "jump": (lambda x: x.detach().sign() + x, 0.0),
    "root": (lambda x: x.abs().sqrt(), 0.0),
    "undefined on one side": (lambda x: x.sqrt() * x, 0.0),
}


@pytest.mark.parametrize("name", SMOOTH)
def test_what_is_no_kink_is_not_called_one(name):
    function, at = SMOOTH[name]
    broken = custom(lambda x: function(x).detach(), lambda g, x: 0.37 * g)
    assert find_kinks(broken, leaf(at)) == []
    assert not gradcheck(broken, leaf(at), raise_exception=False)


def test_a_second_order_jump_is_named():
    with pytest.raises(GradcheckError, match="the function jumps here"):
        gradgradcheck(tg.relu, leaf(0.0, 1.0))


# --------------------------------------------------------------------------------------- the complex step
def test_the_complex_step_is_exact():
    x, y = np.random.default_rng(0).uniform(0.5, 1, (2, 3, 2))
    gx, gy, none = complex_step_gradient(lambda a, b, n: np.sin(a) * b**n, [x, y, 2])
    np.testing.assert_allclose(gx, np.cos(x) * y**2, rtol=1e-15)
    np.testing.assert_allclose(gy, 2 * np.sin(x) * y, rtol=1e-15)
    assert none is None
    gx, _, _ = central_difference_gradient(lambda a, b, n: np.sin(a) * b**n, [x, y, 2], upstream=x)
    np.testing.assert_allclose(gx, x * np.cos(x) * y**2, rtol=1e-7)


@pytest.mark.parametrize(
    ("function", "message"),
    [
        (np.abs, "real numbers for complex ones"),
        (lambda x: np.abs(x).astype(x.dtype), "isn't analytic"),
        (lambda x: x.real.astype(x.dtype), "isn't analytic"),
        (lambda x: x * np.conj(x), "isn't analytic"),
        (lambda x: x.astype(np.float64), "doesn't take complex numbers"),
        (lambda x: np.arctan2(x, 1.0), "doesn't take complex numbers"),
        (lambda x: x * (2 if x.dtype.kind == "c" else 1), "other values"),
        (lambda x: np.maximum(x, 0.5), "isn't analytic"),
    ],
)
def test_where_the_complex_step_has_no_meaning_it_raises(function, message):
    with pytest.raises(ComplexStepError, match=message):
        complex_step_gradient(function, [np.array([0.5, -0.7])])


@pytest.mark.parametrize("function", [lambda x: -x + tg.relu(x), tg.neg, lambda x: x @ x, tg.sigmoid])
def test_the_complex_step_on_functions_that_take_arrays(function):
    assert gradcheck(function, drawn(3, 3), method="complex", rtol=1e-12, atol=1e-12)
    assert gradcheck(function, drawn(3, 3), method="auto")


def test_auto_falls_back_and_complex_does_not():
    assert gradcheck(tg.abs, drawn(3), method="auto")
    with pytest.raises(ComplexStepError):
        gradcheck(tg.abs, drawn(3), method="complex")
    assert not gradcheck(lambda x: tg.abs(x) * x.detach(), drawn(3), method="auto", raise_exception=False)


def test_auto_is_sharper_than_differences():
    def nearly(x):
        return custom(lambda x: x.neg(), lambda g, x: -g * (1 + 1e-7))(x) if isinstance(x, tg.Tensor) else -x

    assert gradcheck(nearly, drawn(3))
    assert gradcheck(nearly, drawn(3), method="complex")
    for sharper in (dict(method="auto"), dict(method="complex", atol=1e-12, rtol=1e-9)):
        with pytest.raises(GradcheckError):
            gradcheck(nearly, drawn(3), **sharper)


# ------------------------------------------------------------------------------------------- names and cost
def test_points_without_a_numerical_derivative_say_so():
    with pytest.raises(GradcheckError, match="isn't finite on both sides"):
        gradcheck(tg.sqrt, leaf(0.0))


def test_names():
    from tinygrad_cnn.compat import tree

    assert tree.build()["torch.autograd.gradcheck"].GradcheckError is GradcheckError
    assert tg.autograd.gradcheck is gradcheck
    assert tg.autograd.gradgradcheck is gradgradcheck


@pytest.mark.parametrize("keywords", [{}, {"projections": 1}])
def test_the_function_runs_twice_an_element(keywords):
    calls = []

    def counted(x):
        calls.append(x)
        return x.sin()

    gradcheck(counted, drawn(10), **keywords)
    assert len(calls) <= 2 * 10 + 2
