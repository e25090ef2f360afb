"""Sorting, selection by rank, distinct elements and counts against PyTorch."""

import numpy as np
import pytest

from tests.parity.compare import compare, compare_error

RNG = np.random.default_rng(0)
NAN = float("nan")


def distinct(*shape, dtype=np.float64):
    count = int(np.prod(shape))
    return RNG.permutation(np.arange(count) - count // 2).reshape(shape).astype(dtype)


INPUTS = {
    "matrix": distinct(3, 4) / 4,
    "cube": distinct(2, 3, 5) / 8,
    "float32": distinct(6, dtype=np.float32),
    "0-d": distinct(),
    "long": distinct(300),
    "with nan": np.array([[1.0, NAN, 3.0, -1.0], [4.0, 2.0, NAN, 0.5]]),
    "int64": distinct(4, 3, dtype=np.int64),
    "uint8": distinct(5, dtype=np.uint8),
    "no rows": np.zeros((0, 3)),
    "no columns": np.zeros((3, 0), np.float32),
}
CALLS = [
    lambda T, x: T.sort(x),
    lambda T, x: x.sort(0),
    lambda T, x: T.sort(x, 0, True),
    lambda T, x: T.sort(x, dim=-1, descending=True),
    lambda T, x: T.sort(x, stable=True, descending=True, dim=0),
    lambda T, x: x.sort(axis=0).values,
    lambda T, x: x.sort(3),
    lambda T, x: T.argsort(x),
    lambda T, x: x.argsort(0, True),
    lambda T, x: T.argsort(x, dim=-1, descending=True, stable=True),
    lambda T, x: T.msort(x),
    lambda T, x: T.topk(x, 2),
    lambda T, x: x.topk(1, 0),
    lambda T, x: x.topk(k=1, dim=-1, largest=False, sorted=True),
    lambda T, x: T.topk(x, 3, -1, False),
    lambda T, x: x.topk(0),
    lambda T, x: x.topk(-1),
    lambda T, x: x.topk(2000),
    lambda T, x: T.median(x),
    lambda T, x: x.median(0),
    lambda T, x: T.median(x, dim=-1, keepdim=True),
    lambda T, x: T.nanmedian(x),
    lambda T, x: x.nanmedian(-1),
    lambda T, x: T.kthvalue(x, 1),
    lambda T, x: x.kthvalue(2, 0, True),
    lambda T, x: T.kthvalue(x, k=2, dim=-1, keepdim=True).values,
    lambda T, x: x.kthvalue(0),
    lambda T, x: x.kthvalue(2000, dim=-1),
]
UNIQUE = [
    lambda T, x: T.unique(x.detach()),
    lambda T, x: x.detach().unique(return_inverse=True),
    lambda T, x: T.unique(x.detach(), True, False, True),
    lambda T, x: T.unique(x.detach(), sorted=True, return_inverse=True, return_counts=True, dim=0),
    lambda T, x: T.unique(x.detach(), dim=-1, return_counts=True),
    lambda T, x: T.unique_consecutive(x.detach()),
    lambda T, x: x.detach().unique_consecutive(return_inverse=True, return_counts=True),
    lambda T, x: T.unique_consecutive(x.detach(), return_inverse=True, return_counts=True, dim=0),
    lambda T, x: T.mode(x),
    lambda T, x: x.mode(0, True),
    lambda T, x: T.sort(x, stable=True),
    lambda T, x: T.sort(x, dim=0, stable=True, descending=True),
    lambda T, x: T.median(x),
    lambda T, x: T.median(x, 0).values,
    lambda T, x: T.topk(x.detach(), 2).values,  # which of the equal ones it takes is not defined
    lambda T, x: x.max(0),
    lambda T, x: x.argmin(-1),
]
REPEATED = {
    "ints": np.array([[3, 1, 3], [1, 2, 1], [3, 1, 3]]),
    "floats": np.array([[2.0, 2.0, 2.0, 0.5], [2.0, 2.0, 0.5, 0.5], [2.0, 2.0, 0.5, 0.5]], np.float32),
    "bools": np.array([[True, False], [True, False]]),
    "vector": np.array([1, 1, 2, 2, 2, 1]),
}
COUNTS = [
    (lambda T, x: T.bincount(x), np.array([1, 1, 3])),
    (lambda T, x: x.bincount(minlength=6), np.array([1, 1, 3])),
    (lambda T, x: T.bincount(x), np.array([], np.int64)),
    (lambda T, x: T.bincount(x, minlength=2), np.array([], np.int64)),
    (lambda T, x: T.bincount(x, T.tensor([0.5, 0.25, 1.0])), np.array([1, 1, 3])),
    (lambda T, x: T.bincount(x, weights=T.tensor([1, 2, 3])), np.array([1, 1, 3], np.uint8)),
    (lambda T, x: T.bincount(x), np.array([-1])),
    (lambda T, x: T.bincount(x), np.array([1.0])),
    (lambda T, x: T.bincount(x), np.array([[1]])),
    (lambda T, x: T.bincount(x, minlength=-1), np.array([1])),
    (lambda T, x: T.bincount(x, T.tensor([1.0])), np.array([1, 2])),
    (lambda T, x: T.histc(x, bins=4, min=-1, max=1), np.linspace(-2, 2, 9)),
    (lambda T, x: x.histc(3), np.linspace(-2, 2, 9, dtype=np.float32)),
    (lambda T, x: x.histc(3), np.ones(4)),
    (lambda T, x: x.histc(0), np.ones(4)),
    (lambda T, x: x.histc(2, 3, 1), np.ones(4)),
    (lambda T, x: T.searchsorted(T.tensor([1.0, 2.0, 3.0], dtype=T.float64), x), np.array([[0.0, 2.0], [3.0, 4.0]])),
    (lambda T, x: T.searchsorted(T.tensor([1.0, 2.0, 3.0], dtype=T.float64), x, right=True), np.array([0.0, 2.0])),
    (lambda T, x: T.searchsorted(x, x, side="right", out_int32=True), np.array([[0.0, 2.0], [3.0, 4.0]])),
    (lambda T, x: T.searchsorted(T.tensor([1.0, 2.0]), 1.5), np.array(0.0)),
    (lambda T, x: T.bucketize(x, T.tensor([1.0, 2.0], dtype=T.float64)), np.array([0.0, 1.0, 1.5, 3.0])),
    (lambda T, x: T.bucketize(x, x, right=True), np.array([0.0, 1.0])),
    (lambda T, x: T.bucketize(x, x), np.array([[0.0, 1.0]])),
    (lambda T, x: T.median(x), np.array([True, False])),
    (lambda T, x: T.argmax(x), np.array([True, False])),
]


def agree(call, *inputs):
    """The same result, or the same kind of refusal."""
    try:
        compare(call, *inputs)
    except AssertionError:
        raise
    except Exception:
        compare_error(call, *inputs)


@pytest.mark.parametrize("kind", INPUTS)
@pytest.mark.parametrize("call", CALLS)
def test_distinct(call, kind):
    agree(call, INPUTS[kind])


@pytest.mark.parametrize("kind", REPEATED)
@pytest.mark.parametrize("call", UNIQUE)
def test_repeated(call, kind):
    agree(call, REPEATED[kind])


@pytest.mark.parametrize(("call", "array"), COUNTS)
def test_counts(call, array):
    agree(lambda T, x: call(T, x.detach()), array)
