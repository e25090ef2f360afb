"""Arithmetic and functions of elements against PyTorch: values, dtypes, gradients, refusals."""

import itertools

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import assert_same, compare, compare_error, to_ours, to_torch, torch

nan, inf = float("nan"), float("inf")
rng = np.random.default_rng(0)


def values(shape, low=-2.0, high=2.0, dtype=np.float64):
    return np.asarray(rng.uniform(low, high, shape).astype(dtype))


ZERO_TENSOR = {"sgn"}  # whose gradient PyTorch can't convert to NumPy
UNARY = {
    "abs": (-2, 2),
    "absolute": (-2, 2),
    "acos": (-0.9, 0.9),
    "acosh": (1.1, 3),
    "arccos": (-0.9, 0.9),
    "arccosh": (1.1, 3),
    "arcsin": (-0.9, 0.9),
    "arcsinh": (-2, 2),
    "arctan": (-2, 2),
    "arctanh": (-0.9, 0.9),
    "asin": (-0.9, 0.9),
    "asinh": (-2, 2),
    "atan": (-2, 2),
    "atanh": (-0.9, 0.9),
    "ceil": (-2, 2),
    "cos": (-2, 2),
    "cosh": (-2, 2),
    "deg2rad": (-90, 90),
    "erf": (-3, 3),
    "erfc": (-3, 3),
    "erfinv": (-0.99, 0.99),
    "exp": (-2, 2),
    "exp2": (-2, 2),
    "expm1": (-2, 2),
    "fix": (-2, 2),
    "floor": (-2, 2),
    "frac": (-2, 2),
    "log": (0.1, 2),
    "log10": (0.1, 2),
    "log1p": (-0.9, 2),
    "log2": (0.1, 2),
    "logit": (0.1, 0.9),
    "nan_to_num": (-2, 2),
    "neg": (-2, 2),
    "negative": (-2, 2),
    "positive": (-2, 2),
    "rad2deg": (-2, 2),
    "reciprocal": (0.5, 2),
    "relu": (-2, 2),
    "round": (-2, 2),
    "rsqrt": (0.5, 2),
    "sgn": (-2, 2),
    "sigmoid": (-4, 4),
    "sign": (-2, 2),
    "sin": (-2, 2),
    "sinh": (-2, 2),
    "sqrt": (0.5, 2),
    "square": (-2, 2),
    "tan": (-1, 1),
    "tanh": (-2, 2),
    "trunc": (-2, 2),
}


@pytest.mark.parametrize("name", UNARY)
def test_function_of_one_variable(name):
    for shape, dtype in itertools.product([(), (3,), (2, 0, 3), (2, 3, 4)], [np.float32, np.float64]):
        x = values(shape, *UNARY[name], dtype)
        compare(lambda T, x: getattr(T, name)(x), x, backward=name not in ZERO_TENSOR)
        compare(lambda T, x: getattr(x, name)(), x, backward=False)


NO_GRADIENT_IN_PLACE = {"acosh", "asinh", "atanh", "arccosh", "arcsinh", "arctanh"}  # in PyTorch


@pytest.mark.parametrize("name", sorted(UNARY.keys() - {"positive"}))
def test_in_place(name):
    x = values((2, 3), *UNARY[name])
    if name not in NO_GRADIENT_IN_PLACE | ZERO_TENSOR:
        compare(lambda T, x: getattr(x * 1, name + "_")(), x)
    compare(lambda T, x: getattr(x.clone(), name + "_")(), x, backward=False)


@pytest.mark.parametrize("name", UNARY)
def test_function_of_integers(name):
    for dtype in (np.int64, np.int32, np.uint8, np.bool_):
        same_outcome(lambda T, x: getattr(T, name)(x), np.array([0, 1, 1, 2, 3]).astype(dtype))


def same_outcome(call, *inputs):
    """Both libraries return the same, or both refuse with related errors."""
    try:
        call(torch, *[to_torch(v) for v in inputs])
    except Exception:
        compare_error(call, *inputs)
    else:
        compare(call, *inputs, backward=False)


@pytest.mark.parametrize("name", sorted(UNARY.keys() - ZERO_TENSOR))
def test_special_values(name):
    x = np.array([nan, inf, -inf, 0.0, 1.0, -1.0])
    compare(lambda T, x: getattr(T, name)(x), x)


BINARY = {
    "add": lambda a, b: a + b,
    "sub": lambda a, b: a - b,
    "mul": lambda a, b: a * b,
    "div": lambda a, b: a / b,
    "floordiv": lambda a, b: a // b,
    "mod": lambda a, b: a % b,
    "pow": lambda a, b: a**b,
    "lt": lambda a, b: a < b,
    "le": lambda a, b: a <= b,
    "gt": lambda a, b: a > b,
    "ge": lambda a, b: a >= b,
    "eq": lambda a, b: a == b,
    "ne": lambda a, b: a != b,
    "and": lambda a, b: a & b,
    "or": lambda a, b: a | b,
    "xor": lambda a, b: a ^ b,
}
OPERANDS = {
    "float32": np.array([1.5, 2.0, 3.5], np.float32),
    "float64": np.array([[1.5], [2.0]]),
    "0d float64": np.array(2.5),
    "0d float32": np.array(2.5, np.float32),
    "int64": np.array([1, 2, 3]),
    "int32": np.array([1, 2, 3], np.int32),
    "uint8": np.array([1, 2, 3], np.uint8),
    "0d int64": np.array(3),
    "bool": np.array([True, True, False]),
    "number 2": 2,
    "number 2.5": 2.5,
    "True": True,
}


PAIRS = [
    (first, second)
    for first, second in itertools.product(OPERANDS, OPERANDS)
    if isinstance(OPERANDS[first], np.ndarray) or isinstance(OPERANDS[second], np.ndarray)
]


@pytest.mark.parametrize("pair", PAIRS, ids=" with ".join)
def test_operators_promote(pair):
    first, second = OPERANDS[pair[0]], OPERANDS[pair[1]]
    for name, operator in BINARY.items():
        if name in ("floordiv", "mod") and pair[1] == "bool" and "float" not in pair[0]:
            continue  # a division by False, which is tested on its own
        same_outcome(lambda T, a, b, operator=operator: operator(a, b), first, second)


@pytest.mark.parametrize("operator", ["add", "sub", "mul", "div", "pow"])
@pytest.mark.parametrize("shapes", [((2, 3), (3,)), ((2, 1), (1, 3)), ((), (2, 3)), ((2, 0), (1,)), ((), ())])
def test_operators_have_gradients(operator, shapes):
    compare(lambda T, a, b: BINARY[operator](a, b), values(shapes[0], 0.5, 2), values(shapes[1], 0.5, 2))
    compare(lambda T, a: BINARY[operator](a, 3), values(shapes[0], 0.5, 2))
    compare(lambda T, a: BINARY[operator](3, a), values(shapes[0], 0.5, 2))


CALLS = {
    "add alpha": lambda T, a, b: T.add(a, b, alpha=2.5),
    "add method": lambda T, a, b: a.add(b, alpha=-1),
    "add number": lambda T, a, b: T.add(a, 2, alpha=3),
    "subtract": lambda T, a, b: T.subtract(a, b, alpha=2),
    "rsub": lambda T, a, b: T.rsub(a, b, alpha=2),
    "multiply": lambda T, a, b: T.multiply(input=a, other=b),
    "divide": lambda T, a, b: T.divide(a, b),
    "true_divide": lambda T, a, b: T.true_divide(a, b),
    "div floor": lambda T, a, b: T.div(a, b, rounding_mode="floor"),
    "div trunc": lambda T, a, b: a.div(b, rounding_mode="trunc"),
    "remainder": lambda T, a, b: T.remainder(a, b),
    "remainder of number": lambda T, a, b: T.remainder(5, b.detach()),
    "fmod": lambda T, a, b: T.fmod(a, b),
    "fmod number": lambda T, a, b: a.fmod(-0.7),
    "maximum": lambda T, a, b: T.maximum(a, b),
    "minimum": lambda T, a, b: a.minimum(b),
    "fmax": lambda T, a, b: T.fmax(a, b),
    "fmin": lambda T, a, b: T.fmin(a, b),
    "where": lambda T, a, b: T.where(a > b, a, b),
    "where number": lambda T, a, b: T.where(a > b, a, 0),
    "where numbers": lambda T, a, b: T.where(a > b, 1.0, 0),
    "where integers": lambda T, a, b: T.where(a > b, 1, 0),
    "where method": lambda T, a, b: a.where(a > b, b),
    "clamp numbers": lambda T, a, b: T.clamp(a, -0.5, 0.5),
    "clamp keyword": lambda T, a, b: a.clamp(max=0.5),
    "clamp min": lambda T, a, b: a.clamp(min=0),
    "clamp crossed": lambda T, a, b: a.clamp(0.5, -0.5),
    "clamp tensors": lambda T, a, b: T.clamp(a, b, b + 0.3),
    "clamp crossed tensors": lambda T, a, b: T.clamp(a, b, b - 0.3),
    "clamp tensor": lambda T, a, b: T.clip(a, min=b),
    "clamp_min": lambda T, a, b: T.clamp_min(a, 0.1),
    "clamp_max": lambda T, a, b: a.clamp_max(b),
    "lerp": lambda T, a, b: T.lerp(a, b, 0.3),
    "lerp tensor": lambda T, a, b: a.lerp(b, a * b),
    "addcmul": lambda T, a, b: T.addcmul(a, a, b, value=0.5),
    "addcdiv": lambda T, a, b: a.addcdiv(a, b),
    "atan2": lambda T, a, b: T.atan2(a, b),
    "arctan2": lambda T, a, b: T.arctan2(a, b),
    "hypot": lambda T, a, b: T.hypot(a, b),
    "logaddexp": lambda T, a, b: T.logaddexp(a, b),
    "xlogy": lambda T, a, b: T.xlogy(a, b.abs()),
    "logit eps": lambda T, a, b: T.logit(a, eps=0.2),
    "round decimals": lambda T, a, b: T.round(a, decimals=1),
    "round negative decimals": lambda T, a, b: (a * 100).round(decimals=-2),
    "nan_to_num": lambda T, a, b: T.nan_to_num(a / 0 * (b > 0), nan=7.0, posinf=1.0, neginf=-1.0),
    "pow method": lambda T, a, b: a.abs().pow(b),
    "pow of number": lambda T, a, b: T.pow(2, b),
    "pow keyword": lambda T, a, b: a.pow(exponent=3),
    **{f"pow {e}": lambda T, a, b, e=e: T.pow(a, e) for e in (0, 1, 2, 3, -1, -2)},
    **{f"pow {e}": lambda T, a, b, e=e: T.pow(a.abs(), e) for e in (0.5, -0.5, 2.5)},
    "in-place operators": lambda T, a, b: in_place(a * 1, b),
    **{
        f"{name}_": lambda T, a, b, name=name: getattr(a * 1, name + "_")(b)
        for name in ("add", "sub", "mul", "div", "remainder", "fmod", "clamp_min", "atan2", "multiply", "divide")
    },
    "clamp_": lambda T, a, b: (a * 1).clamp_(-0.5, 0.5),
    "pow_": lambda T, a, b: (a * 1).pow_(2),
    "lerp far to 1": lambda T, a, b: T.lerp(a * 1e20, b, 1.0),
    "lerp far, tensor": lambda T, a, b: T.lerp(a * 1e20, b, (a > b).to(a.dtype)),
    "lerp_": lambda T, a, b: (a * 1).lerp_(b, 0.5),
    "addcmul_": lambda T, a, b: (a * 1).addcmul_(a, b, value=2),
    "addcdiv_": lambda T, a, b: (a * 1).addcdiv_(a, b),
}


def in_place(x, y):
    x += y
    x -= 1
    x *= y
    x /= 2
    x **= 3
    x %= 5
    return x


@pytest.mark.parametrize("name", CALLS)
def test_function_of_several_variables(name):
    for shapes in [((2, 3), (2, 3)), ((2, 3), (3,)), ((2, 3), ()), ((), ()), ((0, 3), (1, 3))]:
        a, b = values(shapes[0]), values(shapes[1])
        compare(CALLS[name], a, b)
        compare(CALLS[name], a.astype(np.float32), b.astype(np.float32), rtol=1e-3)


@pytest.mark.parametrize("name", ["maximum", "minimum", "fmax", "fmin", "remainder", "hypot", "atan2", "xlogy"])
def test_ties_and_nan(name):
    special = np.array([nan, 0.0, 1.0, -1.0, inf])
    pairs = np.array(list(itertools.product(special, special)))
    compare(lambda T, a, b: getattr(T, name)(a, b), pairs[:, 0].copy(), pairs[:, 1].copy())


@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x.clamp(-1, 1),
        lambda T, x: x.clamp(min=1),
        lambda T, x: x**0,
        lambda T, x: x**0.5,
        lambda T, x: x**-1,
        lambda T, x: x**2,
        lambda T, x: 0**x,
        lambda T, x: 2**x,
        lambda T, x: T.div(x, 1, rounding_mode="floor"),
        lambda T, x: T.sqrt(T.relu(x)),
        lambda T, x: x**x,
    ],
)
def test_kinks(call):
    compare(call, np.array([-1.0, 0.0, 1.0, nan, inf]))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float64])
def test_division_rounds_as_pytorch(dtype):
    x, y = np.array([7, -7, 7, -7], dtype), np.array([2, 2, -2, -2], dtype)
    for call in (
        lambda T, x, y: x // y,
        lambda T, x, y: x % y,
        lambda T, x, y: T.fmod(x, y),
        lambda T, x, y: T.div(x, y, rounding_mode="trunc"),
        lambda T, x, y: x // 2,
        lambda T, x, y: 7 // y,
        lambda T, x, y: 7 % y,
        lambda T, x, y: x / y,
        lambda T, x, y: x // 2.5,
    ):
        compare(call, x, y, backward=False)


def test_integer_powers():
    compare(lambda T, x, y: x**y, np.array([1, -1, 2, 0, -1]), np.array([-1, -3, -2, 0, -2]), backward=False)


def test_small_integers_wrap_around():
    for call in (lambda T, x: x + 300, lambda T, x: x - 3, lambda T, x: x * -1, lambda T, x: -x):
        compare(call, np.array([1, 200], np.uint8), backward=False)


flag, whole, real = np.array([True, False]), np.array([1, 2]), np.array([1.0, 2.0])


@pytest.mark.parametrize(
    "call",
    [
        lambda T, b, i, f: b - b,
        lambda T, b, i, f: b - True,
        lambda T, b, i, f: 1 - b,
        lambda T, b, i, f: -b,
        lambda T, b, i, f: b // b,
        lambda T, b, i, f: b % b,
        lambda T, b, i, f: b**b,
        lambda T, b, i, f: abs(b),
        lambda T, b, i, f: +b,
        lambda T, b, i, f: T.floor(b),
        lambda T, b, i, f: i**-1,
        lambda T, b, i, f: i // 0,
        lambda T, b, i, f: i % 0,
        lambda T, b, i, f: T.fmod(i, 0),
        lambda T, b, i, f: T.div(i, 0, rounding_mode="trunc"),
        lambda T, b, i, f: T.add(i, i, alpha=2.5),
        lambda T, b, i, f: T.div(f, 2, rounding_mode="up"),
        lambda T, b, i, f: T.add(f, "a"),
        lambda T, b, i, f: T.add(f, None),
        lambda T, b, i, f: T.add(f),
        lambda T, b, i, f: T.add(f, f, beta=2),
        lambda T, b, i, f: T.clamp(f),
        lambda T, b, i, f: T.where(i, f, f),
        lambda T, b, i, f: T.where(f > 0, f),
        lambda T, b, i, f: T.addcdiv(i, i, i),
        lambda T, b, i, f: f + T.ones(3),
        lambda T, b, i, f: f.add_(T.ones(3, 2)),
        lambda T, b, i, f: i.add_(1.5),
        lambda T, b, i, f: i.div_(2),
        lambda T, b, i, f: i.sigmoid_(),
        lambda T, b, i, f: b.add_(1),
        lambda T, b, i, f: T.frac(i),
        lambda T, b, i, f: T.round(i, decimals=1),
        lambda T, b, i, f: T.hypot(i, i),
        lambda T, b, i, f: T.logaddexp(i, i),
        lambda T, b, i, f: T.relu(b),
    ],
)
def test_refusals(call):
    compare_error(call, flag, whole, real)


def test_unknown_operands_are_left_to_python():
    for bad in ("a", None, object()):
        for operator in ("add", "sub", "mul", "div", "lt"):
            with pytest.raises(TypeError):
                BINARY[operator](to_ours(real), bad)
    assert (to_ours(real) == None) is False  # noqa: E711  # what the test is about
    assert (to_ours(real) != "a") is True


def test_one_argument_where_gives_indices():
    compare(lambda T, x: T.where(x > 0), values((2, 3)), backward=False)


def test_numpy_scalars_count_as_numbers():
    x = np.ones(2, np.float32)
    for scalar in (np.float64(2.5), np.float32(2.5), np.int64(2)):
        compare(lambda T, x, s=scalar: x * s, x)


def test_channels_last():
    x = np.ascontiguousarray(values((2, 4, 5, 3))).transpose(0, 3, 1, 2)
    for call in (lambda T, x: T.relu(x) * 2, lambda T, x: T.sigmoid(x), lambda T, x: T.nn.functional.gelu(x)):
        compare(call, x)


def test_second_order():
    x = values((3,), 0.5, 1.5)
    for call in (lambda T, x: x**3, lambda T, x: T.sigmoid(x) * T.tanh(x), lambda T, x: T.log(x) / x):
        grads = []
        for T, convert in ((torch, to_torch), (tg, to_ours)):
            leaf = convert(x, True)
            (first,) = T.autograd.grad(call(T, leaf).sum(), leaf, create_graph=True)
            grads.append(T.autograd.grad((first * first).sum(), leaf)[0])
        assert_same(grads[1], grads[0])
