"""gradcheck's verdicts beside those of PyTorch's, on functions right and deliberately wrong."""

import inspect
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import torch

ERRORS = (RuntimeError, ValueError, AssertionError, TypeError, AttributeError, NotImplementedError)


def drawn(T, *shape, seed=0):
    values = np.random.default_rng(seed).uniform(0.2, 1.0, shape)
    return T.tensor(values.tolist(), dtype=T.float64).reshape(shape).requires_grad_()


def custom(T, forward, backward):
    class Custom(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.save_for_backward(x)
            return forward(x)

        @staticmethod
        def backward(ctx, g):
            return backward(g, *ctx.saved_tensors)

    return Custom.apply


def square(T, backward):
    return custom(T, lambda x: x * x, backward)


def hooked(change):
    def function(x):
        y = x.clone()
        y.register_hook(change)
        return y

    return function


def two(T, careful):
    class Two(T.autograd.Function):
        @staticmethod
        def forward(ctx, x):
            ctx.set_materialize_grads(False)
            return x * 2, x * 3

        @staticmethod
        def backward(ctx, first, second):
            if careful:
                parts = [g * f for g, f in ((first, 2), (second, 3)) if g is not None]
                return sum(parts) if parts else None
            return first * 2 + second * 3

    return Two.apply


def conv(T):
    weight = drawn(T, 2, 1, 3, 3, seed=1).detach()
    return lambda x: T.nn.functional.conv2d(x.reshape(1, 1, 4, 4), weight, padding=1, stride=2)


FUNCTIONS = {  # name: (the function, made for a library; shape of the input)
    "square": (lambda T: square(T, lambda g, x: 2 * x * g), (3,)),
    "square, 0-d": (lambda T: square(T, lambda g, x: 2 * x * g), ()),
    "square, empty": (lambda T: square(T, lambda g, x: 2 * x * g), (0, 3)),
    "sign": (lambda T: square(T, lambda g, x: -2 * x * g), (3,)),
    "factor": (lambda T: square(T, lambda g, x: x * g), (3,)),
    "upstream ignored": (lambda T: square(T, lambda g, x: 2 * x), (3,)),
    "upstream ignored, 0-d": (lambda T: square(T, lambda g, x: 2 * x), ()),
    "no gradient": (lambda T: square(T, lambda g, x: None), (3,)),
    "float32 formula": (lambda T: square(T, lambda g, x: (2 * x * g).float()), (3,)),
    "nan": (lambda T: square(T, lambda g, x: g * float("nan")), (3,)),
    "small error": (lambda T: square(T, lambda g, x: 2 * x * g * 1.0001), (3,)),
    "small constant": (lambda T: square(T, lambda g, x: 2 * x * g + 1e-7), (3,)),
    "one element": (lambda T: square(T, lambda g, x: 2 * x * g * T.tensor([1.0, 1.0, 0.9])), (3,)),
    "cut by detach": (lambda T: square(T, lambda g, x: 2 * x.detach() * g), (3,)),
    "upstream cut": (lambda T: square(T, lambda g, x: 2 * x * g.detach()), (3,)),
    "saved number": (lambda T: custom(T, lambda x: x * x.sum(), lambda g, x: g * x.sum().item() + (g * x).sum()), (3,)),
    "jitter": (lambda T: square(T, lambda g, x: 2 * x * g * (1 + 1e-6 * T.rand(1).double())), (3,)),
    "hook adds": (lambda T: hooked(lambda g: g + 1e-2), (2, 2)),
    "hook scales": (lambda T: hooked(lambda g: g * 1.1), (2, 2)),
    "hook that does nothing": (lambda T: hooked(lambda g: None), (2, 2)),
    "two outputs": (lambda T: lambda x: (x.sin(), x.sum()), (3,)),
    "two outputs, undefined handled": (lambda T: two(T, True), (3,)),
    "two outputs, undefined not handled": (lambda T: two(T, False), (3,)),
    "second output wrong": (lambda T: lambda x: (x.sin(), x * x.detach()), (3,)),
    "detached": (lambda T: lambda x: x.detach() * 2, (3,)),
    "detached, constant": (lambda T: lambda x: x.detach().round(), (3,)),
    "indices": (lambda T: lambda x: x.argmax(), (3,)),
    "value and indices": (lambda T: lambda x: tuple(x.max(0)), (3,)),
    "no outputs": (lambda T: lambda x: (), (3,)),
    "None": (lambda T: lambda x: None, (3,)),
    "number": (lambda T: lambda x: (x * 2, 3), (3,)),
    "in place on a clone": (lambda T: lambda x: x.clone().mul_(3).exp_(), (3,)),
    "view": (lambda T: lambda x: x.T[1:], (3, 2)),
    "input itself": (lambda T: lambda x: x, (3,)),
    "conv2d": (conv, (16,)),
    "softmax": (lambda T: lambda x: x.softmax(0), (4,)),
    "matmul": (lambda T: lambda x: x @ x.T, (2, 3)),
    "prod": (lambda T: lambda x: x.prod(0), (4, 2)),
    "std": (lambda T: lambda x: x.std(), (5,)),
    "float32 inside": (lambda T: lambda x: x.float().sin().double(), (3,)),
}

# PyTorch passes these: it sends only upstreams of zeros and ones, or can't see what the engine has cast.
STRICTER = {"upstream squared": lambda T: square(T, lambda g, x: 2 * x * g * g)}


# In float32 PyTorch divides by a step that rounding has changed; ours measures the step.
NARROW = {"narrow output": lambda T: lambda x: x.float()}


def verdict(T, name, function, shape, **keywords):
    """ "True", "False", or the error's kind."""
    check = getattr(T.autograd, name)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            return str(check(function(T), (drawn(T, *shape),), raise_exception=False, **keywords))
        except ERRORS:
            return "error"


@pytest.mark.parametrize("fast", [False, True])
@pytest.mark.parametrize("name", FUNCTIONS)
def test_verdicts_of_gradcheck(name, fast):
    function, shape = FUNCTIONS[name]
    theirs = verdict(torch, "gradcheck", function, shape, fast_mode=fast)
    ours = verdict(tg, "gradcheck", function, shape, fast_mode=fast)
    assert ours == theirs or (ours, theirs) == ("False", "error")


@pytest.mark.parametrize("name", sorted(set(FUNCTIONS) - {"no outputs", "detached, constant", "indices", "detached"}))
def test_verdicts_of_gradgradcheck(name):
    function, shape = FUNCTIONS[name]
    theirs = verdict(torch, "gradgradcheck", function, shape)
    ours = verdict(tg, "gradgradcheck", function, shape)
    assert ours == theirs or (ours, theirs) == ("False", "error")


@pytest.mark.parametrize("name", STRICTER)
def test_where_ours_is_stricter(name):
    assert verdict(torch, "gradcheck", STRICTER[name], (3,)) == "True"
    assert verdict(tg, "gradcheck", STRICTER[name], (3,)) == "False"


@pytest.mark.parametrize("name", NARROW)
def test_where_ours_has_less_noise(name):
    assert verdict(torch, "gradgradcheck", NARROW[name], (3,)) == "False"
    assert verdict(tg, "gradgradcheck", NARROW[name], (3,)) == "True"


@pytest.mark.parametrize(
    "keywords",
    [
        dict(atol=1.0, rtol=1.0),
        dict(eps=1e-2),
        dict(nondet_tol=1e-3),
        dict(check_undefined_grad=False),
        dict(masked=True),
        dict(eps=1e-3, rtol=1e-9, atol=1e-12),
    ],
    ids=str,
)
@pytest.mark.parametrize("name", ["square", "factor", "jitter", "hook adds", "small constant", "prod", "softmax"])
def test_settings_mean_the_same(name, keywords):
    function, shape = FUNCTIONS[name]
    assert verdict(tg, "gradcheck", function, shape, **keywords) == verdict(
        torch, "gradcheck", function, shape, **keywords
    )


KINKS = {
    "relu": (lambda T: T.relu, [0.0, 1.0]),
    "abs": (lambda T: T.abs, [0.0, 1.0]),
    "amax": (lambda T: lambda x: x.amax(0), [1.0, 1.0, 1.0]),
    "norm": (lambda T: lambda x: x.norm(), [0.0, 0.0]),
}


@pytest.mark.parametrize("name", KINKS)
def test_at_kinks_the_same_question_has_the_same_answer(name):
    function, values = KINKS[name]

    def answer(T, **keywords):
        x = T.tensor(values, dtype=T.float64, requires_grad=True)
        return T.autograd.gradcheck(function(T), x, raise_exception=False, **keywords)

    assert answer(tg, subgradients=False) == answer(torch)
    assert answer(tg)


def messages(T, call):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ERRORS) as raised:
            call(T)
    return raised.value


def check(T, function, x, **keywords):
    T.autograd.gradcheck(function, x, **keywords)


def doubled_at_one(T):
    return lambda x: T.cat([x, x]) if x.item() >= 1 else x


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda T: check(T, lambda x: x, T.ones(2)), "requires_grad=True"),
        (lambda T: check(T, lambda x: x, T.ones(1).double().expand(2).requires_grad_()), "stride 0"),
        (lambda T: check(T, lambda x: x, drawn(T, 2), check_backward_ad=False), "at least one of"),
        (lambda T: T.autograd.gradgradcheck(lambda x: x, drawn(T, 2), check_rev_over_rev=False), "at least one of"),
        (lambda T: check(T, lambda x: x, drawn(T, 2), check_batched_forward_grad=True), "requires check_forward_ad"),
        (lambda T: check(T, doubled_at_one(T), T.ones(1).double().requires_grad_()), "same shape when inputs are"),
        (
            lambda T: check(T, hooked(lambda g: g * 2), drawn(T, 2)),
            "Jacobian mismatch for output 0 with respect to input 0",
        ),
        (
            lambda T: check(T, hooked(lambda g: g + 1e-2), drawn(T, 2), atol=0.1),
            "backward not multiplied by grad_output",
        ),
        (
            lambda T: check(T, lambda x: x.detach() * 2, drawn(T, 2)),
            "Numerical gradient for function expected to be zero",
        ),
        (lambda T: check(T, FUNCTIONS["jitter"][0](T), drawn(T, 2)), "Backward is not reentrant"),
    ],
)
def test_errors_have_the_same_type_and_words(call, words):
    theirs, ours = messages(torch, call), messages(tg, call)
    assert words in str(theirs)
    assert words in str(ours)
    assert isinstance(ours, AssertionError | ValueError | RuntimeError)
    for kind in (AssertionError, ValueError, RuntimeError):
        assert isinstance(ours, kind) == isinstance(theirs, kind)


@pytest.mark.parametrize("name", ["gradcheck", "gradgradcheck"])
def test_signatures_begin_as_theirs(name):
    theirs = list(inspect.signature(getattr(torch.autograd, name)).parameters.values())
    ours = list(inspect.signature(getattr(tg.autograd, name)).parameters.values())
    for their, our in zip(theirs, ours, strict=False):
        assert (our.name, our.kind, our.default) == (their.name, their.kind, their.default)
    assert {p.kind for p in ours[len(theirs) :]} == {inspect.Parameter.KEYWORD_ONLY}
