"""Making tensors: values, dtypes, shapes and errors against PyTorch; and the shapes and dtypes of random ones."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare, compare_error, torch

DATA = [
    3, 2.5, True, -1, [], [[]], [[], []], [1, 2], [1, 2.5], [True, 2], [True, False], (1.0, 2.0), range(3),
    ([1, 2], (3, 4)), [[[1.0]], [[2.0]]], np.float32(3), np.float64(3), np.int32(3), np.bool_(True), [np.float64(1)],
    [np.float32(1)], [np.int32(3)], [np.int64(1), 2.0], [np.float32(1), 2.0], [np.float64(1), np.float32(2)],
    [np.array([1.0, 2.0])], [np.array([1.0]), np.array([2.0])], np.arange(3), np.ones((2, 0), np.float16),
    np.array(5, np.uint8), [float("nan"), 1], [[1, 2], [3]], [[1, 2], 3], [1, [2]], [[[1]], [2]], "a", ["a"], [["a"]],
    None, [None], [1, None], {1}, {1: 2}, 2**63, [2**70], np.array(["a"]), NotImplemented, [NotImplemented], b"a",
]  # fmt: skip


@pytest.mark.parametrize("data", DATA, ids=lambda d: repr(d)[:40])
@pytest.mark.parametrize("dtype", [None, "float64", "int64", "bool"])
@pytest.mark.filterwarnings("ignore:Creating a tensor from a list of numpy:UserWarning")
def test_tensor(data, dtype):
    if dtype in ("int64", "bool") and "np." in repr(data):
        pytest.skip("PyTorch refuses to convert some of NumPy's scalars, depending on their kind")
    agree(lambda T: T.tensor(data, dtype=None if dtype is None else getattr(T, dtype)))


def agree(call):
    """The same result, or the same kind of refusal."""
    try:
        compare(call)
    except AssertionError:
        raise
    except Exception:
        with pytest.raises(Exception) as theirs:
            call(torch)
        kind = theirs.type if theirs.type is not NotImplementedError else RuntimeError
        with pytest.raises(kind):
            call(tg)


CALLS = [
    lambda T: T.tensor([1.0], requires_grad=True),
    lambda T: T.tensor([1], requires_grad=True),
    lambda T: T.tensor(data=[1.5], device="cpu", dtype=T.int32),
    lambda T: T.tensor([T.ones(2)[0], 2]),
    lambda T: T.tensor([T.ones((), dtype=T.float64), 2]),
    lambda T: T.tensor([[T.ones(1)], [T.zeros(1)]]),
    lambda T: T.tensor([T.ones(2), T.ones(2)]),
    lambda T: T.tensor(300, dtype=T.uint8),
    lambda T: T.tensor([1.7, -1.7], dtype=T.int64),
    lambda T: T.tensor([0.0, 0.5], dtype=T.bool),
    lambda T: T.as_tensor([1, 2]),
    lambda T: T.as_tensor(np.ones(2, np.float32)),
    lambda T: T.as_tensor(np.ones(2), dtype=T.float32),
    lambda T: T.as_tensor(T.ones(2), dtype=T.int64),
    lambda T: T.asarray([1.0, 2.0]),
    lambda T: T.from_numpy(np.arange(3, dtype=np.int16)),
    lambda T: T.from_numpy([1]),
    lambda T: T.from_numpy(np.array(["a"])),
    lambda T: T.scalar_tensor(3),
    lambda T: T.zeros(2, 3),
    lambda T: T.zeros([2, 3]),
    lambda T: T.zeros((2, 0), dtype=T.int64),
    lambda T: T.zeros(size=(2, 3)),
    lambda T: T.zeros(()),
    lambda T: T.zeros(),
    lambda T: T.zeros(-1),
    lambda T: T.zeros(2.0),
    lambda T: T.zeros((2,), 3),
    lambda T: T.zeros("a"),
    lambda T: T.zeros(np.int64(2)),
    lambda T: T.zeros(T.tensor(2)),
    lambda T: T.zeros(T.Size([2])),
    lambda T: T.zeros(2, foo=3),
    lambda T: T.ones(2, requires_grad=True),
    lambda T: T.ones(2, requires_grad=True, dtype=T.int64),
    lambda T: T.ones(2, dtype=T.float16, device=T.device("cpu")),
    lambda T: T.ones(2, dtype=float),
    lambda T: T.ones(2, dtype=int),
    lambda T: T.ones(2, dtype=bool),
    lambda T: T.empty(2, 0),
    lambda T: T.empty((3, 2), dtype=T.int32).shape == (3, 2),
    lambda T: T.full((2,), 3),
    lambda T: T.full((2,), 3.0),
    lambda T: T.full([2, 2], True),
    lambda T: T.full((), 3, dtype=T.float64),
    lambda T: T.full(size=(2,), fill_value=float("inf")),
    lambda T: T.full((2,), T.tensor(2.5)),
    lambda T: T.full(2, 3),
    lambda T: T.full((2,)),
    lambda T: T.eye(3),
    lambda T: T.eye(2, 3, dtype=T.int64),
    lambda T: T.eye(n=3, m=2),
    lambda T: T.eye(0),
    lambda T: T.eye(-1),
    lambda T: T.arange(5),
    lambda T: T.arange(5.0),
    lambda T: T.arange(2.5),
    lambda T: T.arange(1, 2, 0.5),
    lambda T: T.arange(0, 1, 0.1),
    lambda T: T.arange(0, 1, 0.1, dtype=T.float64),
    lambda T: T.arange(5, 0, -2),
    lambda T: T.arange(0),
    lambda T: T.arange(start=1, end=3),
    lambda T: T.arange(end=3),
    lambda T: T.arange(1, 10, 3, dtype=T.float32),
    lambda T: T.arange(0, 3.0, dtype=T.int64),
    lambda T: T.arange(T.tensor(3)),
    lambda T: T.arange(T.tensor(3.0)),
    lambda T: T.arange(True),
    lambda T: T.arange(5, 0),
    lambda T: T.arange(0, 1, 0),
    lambda T: T.arange(float("inf")),
    lambda T: T.arange("a"),
    lambda T: T.arange(3, requires_grad=True, dtype=T.float32),
    lambda T: T.linspace(0, 1, 5),
    lambda T: T.linspace(-1, 1, steps=4, dtype=T.float64),
    lambda T: T.linspace(start=3, end=10, steps=1),
    lambda T: T.linspace(0, 1, 0),
    lambda T: T.linspace(0, 10, 4, dtype=T.int64),
    lambda T: T.linspace(0, 1, -1),
    lambda T: T.linspace(0, 1),
    lambda T: T.linspace(T.tensor(0.0), T.tensor(1.0), 3),
    lambda T: T.logspace(0, 2, 3),
    lambda T: T.logspace(start=0, end=2, steps=3, base=2, dtype=T.float64),
    lambda T: T.tril_indices(3, 3),
    lambda T: T.tril_indices(3, 4, offset=1),
    lambda T: T.triu_indices(2, 3, -1),
    lambda T: T.zeros_like(T.ones(2, 3)),
    lambda T: T.zeros_like(T.ones(2), dtype=T.int64, device="cpu"),
    lambda T: T.zeros_like([1]),
    lambda T: T.ones_like(T.zeros(2, dtype=T.bool)),
    lambda T: T.ones_like(T.zeros(2), requires_grad=True, memory_format=T.preserve_format),
    lambda T: T.empty_like(T.zeros(2, 3, dtype=T.uint8)).shape == (2, 3),
    lambda T: T.full_like(T.zeros(2), 2),
    lambda T: T.full_like(T.tensor([1]), 2.5),
    lambda T: T.full_like(T.tensor([1]), 2.5, dtype=T.float64),
    lambda T: T.ones(2, dtype=T.float64).new_zeros(2, 3),
    lambda T: T.ones(2, dtype=T.float64).new_zeros((2, 3), dtype=T.int64),
    lambda T: T.ones(2).new_ones(2, requires_grad=True),
    lambda T: T.ones(2, dtype=T.int64).new_full((2,), 3),
    lambda T: T.ones(2).new_full((2,), 3),
    lambda T: T.ones(2).new_full((2,), fill_value=3, dtype=T.int64),
    lambda T: T.ones(2).new_empty((2, 0)),
    lambda T: T.ones(2, dtype=T.float64).new_tensor([1, 2]),
    lambda T: T.ones(2).new_tensor(1, dtype=T.int64),
    lambda T: T.ones(2).fill_(3),
    lambda T: T.ones(2, dtype=T.int64).fill_(2.7),
    lambda T: T.ones(2).fill_(T.tensor(3)),
    lambda T: T.ones(2).fill_(T.tensor([1.0])),
    lambda T: T.ones(2, 2)[0].zero_(),
    lambda T: T.ones(2, requires_grad=True).zero_(),
    lambda T: T.ones(2, requires_grad=True).fill_(1),
    lambda T: (T.ones(2, requires_grad=True) * 2).fill_(1).requires_grad,
    lambda T: T.is_tensor(T.ones(2)) and not T.is_tensor(3),
    lambda T: T.numel(T.ones(2, 3)),
    lambda T: T.numel(3),
    lambda T: T.is_floating_point(T.ones(2)),
    lambda T: str(T.result_type(T.ones(2, dtype=T.int64), 2.5)),
    lambda T: str(T.result_type(T.ones(2, dtype=T.int8), 2)),
    lambda T: str(T.result_type(T.ones(2, dtype=T.float32), T.tensor(1.0, dtype=T.float64))),
    lambda T: str(T.finfo(T.float32)),
    lambda T: str(T.finfo()),
    lambda T: str(T.iinfo(T.int32)),
    lambda T: T.iinfo(T.uint8).max,
    lambda T: (T.finfo(T.float64).eps, T.finfo(T.float16).max, T.finfo(T.float32).tiny, T.finfo(T.float32).bits),
    lambda T: T.finfo(T.int32),
    lambda T: T.iinfo(T.float32),
    lambda T: T.rand(2, dtype=T.int64),
    lambda T: T.randn(2, dtype=T.int64),
    lambda T: T.rand(-1),
    lambda T: T.randint(3, 3, (2,)),
    lambda T: T.randint(5, 3, (2,)),
    lambda T: T.randint(3),
    lambda T: T.randint(0, 300, (2,), dtype=T.uint8),
    lambda T: T.randint(4, 5, (2, 2)),
    lambda T: T.randint(high=1, size=(2,), dtype=T.float64),
    lambda T: T.randint_like(T.ones(2), 1),
    lambda T: T.randint_like(T.ones(2, dtype=T.int64), 3, 4),
    lambda T: T.randperm(0),
    lambda T: T.randperm(-1),
    lambda T: T.randperm(4).sort().values,
    lambda T: T.randperm(4, dtype=T.float32).sort().values,
    lambda T: T.normal(T.tensor([1.0, 2.0]), 0.0),
    lambda T: T.normal(3.0, T.zeros(2, 2)),
    lambda T: T.normal(T.zeros(2, 1), T.zeros(3)),
    lambda T: T.normal(1.0, 0.0, (2, 3)),
    lambda T: T.normal(mean=1.0, std=0.0, size=(2,), dtype=T.float64),
    lambda T: T.normal(0.0, 1.0),
    lambda T: T.normal(0.0, -1.0, (2,)),
    lambda T: T.normal(T.zeros(2), -T.ones(2)),
    lambda T: T.normal(T.zeros(2, dtype=T.int64), 1.0),
    lambda T: T.bernoulli(T.tensor([0.0, 1.0])),
    lambda T: T.bernoulli(T.zeros(2), p=1),
    lambda T: T.bernoulli(T.tensor([0, 1])),
    lambda T: T.bernoulli(T.tensor([2.0])),
    lambda T: T.rand_like(T.tensor([1])),
    lambda T: T.randn_like([1]),
    lambda T: T.tensor([1]).normal_(),
    lambda T: T.tensor([1]).uniform_(),
    lambda T: T.zeros(2).uniform_(2, 1),
    lambda T: T.zeros(2).uniform_(3, 3),
    lambda T: T.zeros(2).normal_(1, 0),
    lambda T: T.zeros(2).normal_(0, -1),
    lambda T: T.zeros(2).normal_(mean=2, std=0),
    lambda T: T.zeros(2).bernoulli_(1.5),
    lambda T: T.zeros(2).bernoulli_(T.tensor([0.0, 1.0])),
    lambda T: T.zeros(2, dtype=T.int64).bernoulli_(1.0),
    lambda T: T.zeros(2, dtype=T.bool).bernoulli_(1.0),
    lambda T: T.zeros(2).exponential_(0),
    lambda T: T.tensor([1]).exponential_(),
    lambda T: T.zeros(2).random_(5, 3),
    lambda T: T.zeros(2).random_(0),
    lambda T: T.zeros(2).random_(1),
    lambda T: T.tensor([1]).random_(1, 2),
    lambda T: T.zeros(2).geometric_(2.0),
    lambda T: T.zeros(2).cauchy_(0, -1),
    lambda T: T.ones(2, requires_grad=True).normal_(),
    lambda T: (T.ones(2, requires_grad=True) * 2).uniform_(1, 1).requires_grad,
    lambda T: T.multinomial(T.tensor([0.0, 1.0]), 3, replacement=True),
    lambda T: T.multinomial(T.tensor([[0.0, 1.0], [1.0, 0.0]]), 1),
    lambda T: T.multinomial(T.tensor([0.5, 1.0]), 3),
    lambda T: T.multinomial(T.tensor([0.5, -1.0]), 1),
    lambda T: T.multinomial(T.tensor([0.5, 1.0]), 0),
    lambda T: T.multinomial(T.ones(1, 1, 1), 1),
    lambda T: T.get_rng_state().dtype == T.uint8,
    lambda T: T.manual_seed(3).initial_seed(),
    lambda T: (T.manual_seed(5), T.initial_seed())[1],
    lambda T: T.manual_seed(-1).initial_seed() and None,
    lambda T: T.rand(2, generator=3),
    lambda T: T.Generator().manual_seed(4).initial_seed(),
]  # fmt: skip


@pytest.mark.parametrize("call", CALLS)
def test_call(call):
    agree(call)


DTYPES = ["bool", "uint8", "int8", "int16", "int32", "int64", "float16", "float32", "float64"]


@pytest.mark.parametrize("first", DTYPES)
def test_dtypes(first):
    for second in DTYPES:
        compare(lambda T: str(T.promote_types(getattr(T, first), getattr(T, second))))
        compare(lambda T: T.can_cast(getattr(T, first), getattr(T, second)))
        for shape in ((2,), ()):
            compare(
                lambda T: str(
                    T.result_type(T.ones(2, dtype=getattr(T, first)), T.ones(shape, dtype=getattr(T, second)))
                )
            )


@pytest.mark.parametrize(
    "call",
    [
        lambda T: T.rand(2, 3, requires_grad=True),
        lambda T: T.rand((2, 3), dtype=T.float64),
        lambda T: T.rand(size=(4,), dtype=T.float16),
        lambda T: T.randn(()),
        lambda T: T.randn([5], dtype=T.float16),
        lambda T: T.randint(10, (3,)),
        lambda T: T.randint(-3, 5, size=(3, 1), dtype=T.int8),
        lambda T: T.randperm(5),
        lambda T: T.rand_like(T.ones(2, 3), dtype=T.float64),
        lambda T: T.randn_like(T.ones(2, 0)),
        lambda T: T.normal(T.zeros(3, dtype=T.float64), T.ones(2, 1, dtype=T.float64)),
        lambda T: T.ones(3, dtype=T.float16).normal_(),
        lambda T: T.ones(3, dtype=T.float64).exponential_(2.0),
        lambda T: T.ones(3, dtype=T.uint8).random_(),
        lambda T: T.ones(3).log_normal_(),
        lambda T: T.ones(()).uniform_(),
    ],
)
def test_form_of_random_tensors(call):
    theirs, ours = call(torch), call(tg)
    assert (str(ours.dtype), tuple(ours.shape), ours.requires_grad) == (
        str(theirs.dtype), tuple(theirs.shape), theirs.requires_grad)  # fmt: skip


def test_errors_are_the_librarys_own():
    compare_error(lambda T: T.tensor([[1, 2], [3]]))
    compare_error(lambda T: T.arange(5, 0))
    compare_error(lambda T: T.zeros(-1))
