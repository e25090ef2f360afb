"""Activations against PyTorch: values, gradients at ordinary points, kinks and nan, in-place forms, refusals."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare, compare_error, to_ours, torch

nan, inf = float("nan"), float("inf")
rng = np.random.default_rng(0)
KINKS = np.array([inf, 0.0, 1.0, -1.0, 0.5, -0.5, 3.0, -3.0, 6.0, 20.0, 21.0, -100.0, 100.0])

CALLS = {
    "relu": lambda F, x: F.relu(x),
    "relu6": lambda F, x: F.relu6(x),
    "leaky_relu": lambda F, x: F.leaky_relu(x),
    "leaky_relu slopes": lambda F, x: F.leaky_relu(x, negative_slope=0.3) + F.leaky_relu(x, -0.5) + F.leaky_relu(x, 2),
    "elu": lambda F, x: F.elu(x),
    "elu alpha": lambda F, x: F.elu(x, alpha=0.5) + F.elu(x, -0.5),
    "selu": lambda F, x: F.selu(x),
    "celu": lambda F, x: F.celu(x),
    "celu alpha": lambda F, x: F.celu(x, alpha=2.0) + F.celu(x, -2.0),
    "gelu": lambda F, x: F.gelu(x),
    "gelu tanh": lambda F, x: F.gelu(x, approximate="tanh"),
    "silu": lambda F, x: F.silu(x),
    "mish": lambda F, x: F.mish(x),
    "hardswish": lambda F, x: F.hardswish(x),
    "hardsigmoid": lambda F, x: F.hardsigmoid(x),
    "hardtanh": lambda F, x: F.hardtanh(x),
    "hardtanh bounds": lambda F, x: F.hardtanh(x, min_val=-0.5, max_val=3),
    "hardshrink": lambda F, x: F.hardshrink(x),
    "hardshrink lambd": lambda F, x: F.hardshrink(x, lambd=1.0) + F.hardshrink(x, -1.0),
    "softshrink": lambda F, x: F.softshrink(x),
    "softshrink lambd": lambda F, x: F.softshrink(x, 0.0) + F.softshrink(x, lambd=1),
    "tanhshrink": lambda F, x: F.tanhshrink(x),
    "sigmoid": lambda F, x: F.sigmoid(x),
    "logsigmoid": lambda F, x: F.logsigmoid(x),
    "tanh": lambda F, x: F.tanh(x),
    "softplus": lambda F, x: F.softplus(x),
    "softplus settings": lambda F, x: F.softplus(x, beta=2, threshold=1) + F.softplus(x, -1.0),
    "softsign": lambda F, x: F.softsign(x),
    "threshold": lambda F, x: F.threshold(x, 0.5, -7.0),
    "threshold keywords": lambda F, x: F.threshold(x, threshold=0.5, value=20),
    "rrelu": lambda F, x: F.rrelu(x),
    "rrelu bounds": lambda F, x: F.rrelu(x, lower=0.1, upper=0.2, training=False),
    "rrelu without spread": lambda F, x: F.rrelu(x, lower=0.25, upper=0.25, training=True),
}


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("shape", [(), (5,), (2, 0), (2, 3, 4, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_activation(name, shape, dtype):
    compare(lambda T, x: CALLS[name](T.nn.functional, x), np.asarray(rng.normal(0, 3, shape).astype(dtype)))


@pytest.mark.parametrize("name", sorted(CALLS.keys() - {"celu alpha", "elu alpha", "rrelu without spread"}))
def test_kinks(name):
    compare(lambda T, x: CALLS[name](T.nn.functional, x), KINKS)


@pytest.mark.parametrize("name", CALLS)
def test_nan(name):
    # The value alone: what PyTorch's gradient of elu and others is there depends on the processor's vectors.
    compare(lambda T, x: CALLS[name](T.nn.functional, x), np.array([nan, 1.0]), backward=False)


@pytest.mark.parametrize("name", CALLS)
@pytest.mark.parametrize("dtype", [np.int64, np.bool_])
def test_integers(name, dtype):
    x = np.array([0, 1, 0, 1]).astype(dtype)
    try:
        CALLS[name](torch.nn.functional, torch.from_numpy(x))
    except Exception:
        compare_error(lambda T, x: CALLS[name](T.nn.functional, x), x)
    else:
        compare(lambda T, x: CALLS[name](T.nn.functional, x), x)


INPLACE = [
    "relu",
    "relu6",
    "leaky_relu",
    "elu",
    "selu",
    "celu",
    "silu",
    "mish",
    "hardswish",
    "hardsigmoid",
    "hardtanh",
    "rrelu",
]


@pytest.mark.parametrize("name", INPLACE)
def test_in_place(name):
    def call(T, x):
        y = x * 1
        z = getattr(T.nn.functional, name)(y, inplace=True)
        assert z is y
        return y, y * y

    x = rng.normal(0, 3, (3, 4))
    compare(call, x)
    compare(lambda T, x: getattr(T.nn.functional, name)(x.clone(), inplace=True), x, backward=False)
    compare_error(lambda T, x: getattr(T.nn.functional, name)(T.ones(2, requires_grad=True), inplace=True), x)


def test_in_place_names():
    x = rng.normal(0, 3, (3, 4))
    for name in ["relu_", "leaky_relu_", "elu_", "selu_", "celu_", "hardtanh_", "rrelu_"]:
        compare(lambda T, x, name=name: getattr(T.nn.functional, name)(x * 1), x)
    compare(lambda T, x: T.nn.functional.threshold_(x * 1, 0.5, 2.0), x)
    compare(lambda T, x: T.relu_(x * 1), x)
    compare(lambda T, x: T.sigmoid_(x * 1), x)
    compare(lambda T, x: T.tanh_(x * 1), x)


SOFTMAX_SHAPES = [((), 0), ((), -1), ((4,), 0), ((2, 3), 1), ((2, 3, 4), -2), ((2, 0), 1), ((0, 2), 0)]


@pytest.mark.parametrize("name", ["softmax", "log_softmax", "softmin"])
@pytest.mark.parametrize(("shape", "dim"), SOFTMAX_SHAPES)
def test_softmax(name, shape, dim):
    x = np.asarray(rng.normal(0, 3, shape))
    compare(lambda T, x: getattr(T.nn.functional, name)(x, dim=dim), x)
    compare(lambda T, x: getattr(T.nn.functional, name)(x, dim, dtype=T.float32), x, rtol=1e-4, atol=1e-6)
    if name != "softmin":
        compare(lambda T, x: getattr(T, name)(x, dim), x.astype(np.float32))
        compare(lambda T, x: getattr(x, name)(dim, dtype=T.float64), x.astype(np.float32))


def test_softmax_of_large_and_infinite_values():
    x = np.array([[1e4, -1e4, 0.0], [-inf, 0.0, 1.0], [-inf, -inf, -inf], [nan, 0.0, 1.0]])
    compare(lambda T, x: T.softmax(x, 1), x)
    compare(lambda T, x: T.log_softmax(x, 1), x)
    compare(lambda T, x: T.softmax(x, 1, dtype=T.float64), np.array([[1, 2], [3, 4]]))


@pytest.mark.parametrize("ndim", [1, 2, 3, 4])
def test_softmax_without_dim_warns(ndim):
    x = rng.normal(0, 1, (2,) * ndim)
    with pytest.warns(UserWarning, match="Implicit dimension"):
        compare(lambda T, x: T.nn.functional.softmax(x), x)


@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 4, 5), (0, 3)])
def test_prelu(shape):
    x = np.asarray(rng.normal(0, 3, shape))
    compare(lambda T, x, w: T.nn.functional.prelu(x, w), x, np.array([0.25]))
    compare(lambda T, x, w: T.prelu(x, w), x, np.array(0.25))
    if len(shape) > 1:
        compare(lambda T, x, w: x.prelu(w), x, np.array([0.25, 0.5, -1.0]))


@pytest.mark.parametrize(("shape", "dim"), [((4,), -1), ((2, 4), 1), ((4, 3), 0), ((2, 0), 1)])
def test_glu(shape, dim):
    compare(lambda T, x: T.nn.functional.glu(x, dim=dim), rng.normal(0, 3, shape))


def test_torch_level_names():
    x = rng.normal(0, 3, (3, 4))
    for call in (
        lambda T, x: T.celu(x, 2.0),
        lambda T, x: T.selu(x),
        lambda T, x: T.threshold(x, 0.5, 1),
        lambda T, x: T.rrelu(x),
        lambda T, x: T.hardshrink(x),
        lambda T, x: x.hardshrink(1.0),
    ):
        compare(call, x)


@pytest.mark.parametrize(
    "call",
    [
        lambda F, x: F.glu(x[0, :3]),
        lambda F, x: F.glu(x, dim=5),
        lambda F, x: F.glu(x.sum()),
        lambda F, x: F.prelu(x, x[0, :3]),
        lambda F, x: F.prelu(x, x[:, :1]),
        lambda F, x: F.prelu(x[0], x[0]),
        lambda F, x: F.prelu(x, x.float()[0]),
        lambda F, x: F.gelu(x, approximate="x"),
        lambda F, x: F.hardtanh(x, 1, -1),
        lambda F, x: F.softshrink(x, -1),
        lambda F, x: F.celu(x, 0),
        lambda F, x: F.rrelu(x, 0.5, 0.2),
        lambda F, x: F.softmax(x, 5),
        lambda F, x: F.softmax(x, "a"),
        lambda F, x: F.softmax(x.long(), 0),
        lambda F, x: F.log_softmax(x.long(), 0),
        lambda F, x: F.relu(x, slope=1),
    ],
)
def test_refusals(call):
    with pytest.raises(Exception) as theirs:
        call(torch.nn.functional, torch.ones(2, 4, dtype=torch.float64))
    with pytest.raises(theirs.type):
        call(tg.nn.functional, to_ours(np.ones((2, 4))))


def test_rrelu_draws_slopes_between_its_bounds():
    x = -tg.ones(1000)
    slopes = -tg.nn.functional.rrelu(x, 0.1, 0.3, training=True).numpy()
    assert 0.1 <= slopes.min() < 0.12
    assert 0.28 < slopes.max() <= 0.3


def test_gumbel_softmax():
    logits = tg.tensor([[0.0, 3.0, 0.0]] * 500, requires_grad=True)
    soft = tg.nn.functional.gumbel_softmax(logits, tau=0.5)
    np.testing.assert_allclose(soft.detach().numpy().sum(1), 1, rtol=1e-5)
    hard = tg.nn.functional.gumbel_softmax(logits, hard=True)
    assert set(np.unique(hard.detach().numpy().round(5))) == {0.0, 1.0}
    assert hard.detach().numpy()[:, 1].mean() > 0.8  # exp(3) / (exp(3) + 2) = 0.91
    (hard * tg.tensor([1.0, 2.0, 3.0])).sum().backward()
    assert np.abs(logits.grad.numpy()).max() > 0


LAYERS = {
    "ReLU": [(), (True,)],
    "ReLU6": [(), (True,)],
    "LeakyReLU": [(), (0.2, True)],
    "PReLU": [(), (3, 0.1)],
    "RReLU": [(), (0.1, 0.2, True)],
    "ELU": [(), (0.5, True)],
    "SELU": [(), (True,)],
    "CELU": [(), (2, True)],
    "GELU": [(), ("tanh",)],
    "SiLU": [(), (True,)],
    "Mish": [(), (True,)],
    "Hardswish": [(), (True,)],
    "Hardsigmoid": [(), (True,)],
    "Hardtanh": [(), (-2, 2, True), (0, 1)],
    "Hardshrink": [(), (1,)],
    "Softshrink": [(), (1,)],
    "Tanhshrink": [()],
    "Sigmoid": [()],
    "LogSigmoid": [()],
    "Tanh": [()],
    "Softplus": [(), (2, 10)],
    "Softsign": [()],
    "Softmax": [(1,)],
    "Softmax2d": [()],
    "LogSoftmax": [(-1,)],
    "Softmin": [(0,)],
    "Threshold": [(0.5, 2), (1, 2, True)],
    "GLU": [(), (2,)],
}


@pytest.mark.parametrize("name", LAYERS)
def test_layer(name):
    x = rng.normal(0, 3, (2, 3, 4, 2))
    for settings in LAYERS[name]:
        theirs, ours = getattr(torch.nn, name)(*settings), getattr(tg.nn, name)(*settings)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())
        compare(lambda T, x, n=name, s=settings: getattr(T.nn, n)(*s).double().eval()(x * 1), x)


def test_layer_without_dim():
    assert repr(tg.nn.Softmax()) == repr(torch.nn.Softmax())
    with pytest.warns(UserWarning, match="Implicit dimension"):
        tg.nn.Softmax()(tg.ones(2, 2))


def test_layer_refusals():
    for call in (
        lambda T: T.nn.Hardtanh(1, 1),
        lambda T: T.nn.Softmax2d()(T.ones(2)),
        lambda T: T.nn.Threshold(),
        lambda T: T.nn.GELU("x")(T.ones(2)),
    ):
        with pytest.raises(Exception) as theirs:
            call(torch)
        with pytest.raises(theirs.type):
            call(tg)
    with pytest.warns(FutureWarning, match="min_val"):
        assert tg.nn.Hardtanh(min_value=-3).min_val == -3
