"""Reductions: gradients at ties and zeros, precision, memory orders, sentences of refusal."""

import itertools

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels.reduce import total
from tinygrad_cnn.testing import gradcheck, gradgradcheck


def gradient(function, values):
    x = tg.tensor(values, dtype=tg.float64, requires_grad=True)
    function(x).sum().backward()
    return x.grad.tolist()


TIES = [
    ("amax shares", lambda x: x.amax(), [1, 3, 3], [0, 0.5, 0.5]),
    ("amin shares", lambda x: x.amin(0), [1, 3, 1], [0.5, 0, 0.5]),
    ("max of all shares", lambda x: x.max(), [3, 3, 3, 3], [0.25] * 4),
    ("max along: the index", lambda x: x.max(0).values, [1, 3, 3], [0, 1, 0]),
    ("min along: the index", lambda x: x.min(0).values, [1, 3, 1], [1, 0, 0]),
    ("median of all shares", lambda x: x.median(), [1, 2, 2, 3], [0, 0.5, 0.5, 0]),
    ("lower median", lambda x: x.median(0).values, [4, 1, 3, 2], [0, 0, 0, 1]),
    ("max norm shares", lambda x: tg.linalg.vector_norm(x, float("inf")), [-3, 3, 1], [-0.5, 0.5, 0]),
    ("norm at 0", lambda x: x.norm(), [0, 0], [0, 0]),
    ("std at 0", lambda x: x.std(), [2, 2, 2], [0, 0, 0]),
    ("product, one zero", lambda x: x.prod(), [2, 0, 3], [0, 6, 0]),
    ("product, two zeros", lambda x: x.prod(), [2, 0, 0], [0, 0, 0]),
    ("running product, a zero", lambda x: x.cumprod(0), [2, 0, 3], [1, 8, 0]),
    ("logsumexp of -inf", lambda x: tg.logsumexp(x, 0), [0, -np.inf], [1, 0]),
    ("nansum", lambda x: x.nansum(), [1, np.nan], [1, 0]),
]


@pytest.mark.parametrize(("function", "values", "expected"), [t[1:] for t in TIES], ids=[t[0] for t in TIES])
def test_gradient_where_it_could_be_several(function, values, expected):
    np.testing.assert_allclose(gradient(function, values), expected, atol=1e-12)


@pytest.mark.parametrize("values", [[2.0, 0.0, 3.0], [0.0, 0.0, 3.0], [1.0, -2.0, 0.5, 0.0, 3.0]])
@pytest.mark.parametrize("function", [lambda x: x.prod(), lambda x: x.cumprod(0), lambda x: x.prod(0, keepdim=True)])
def test_product_with_zeros_twice_differentiated(function, values):
    x = tg.tensor(values, dtype=tg.float64, requires_grad=True)
    assert gradcheck(function, x)
    assert gradgradcheck(function, x)


@pytest.mark.parametrize(
    "function", [lambda x: x.std(0), lambda x: x.norm(3), lambda x: x.sort().values, lambda x: x.max(0).values]
)
def test_second_order_on_a_matrix(function):
    x = tg.tensor(np.random.default_rng(0).permutation(np.arange(12.0)).reshape(4, 3) / 6, requires_grad=True)
    assert gradgradcheck(function, x)


SHAPES = [(16, 4, 16, 16), (5, 7, 300), (3, 4096), (4096, 3), (2, 3, 4, 5, 50, 3), (10_000,), (1, 64, 64, 3), (0, 5000)]


@pytest.mark.parametrize("shape", SHAPES)
def test_sum_in_every_memory_order(shape):
    rng = np.random.default_rng(0)
    for order in list(itertools.permutations(range(len(shape))))[:6]:
        x = rng.normal(size=[shape[d] for d in order]).transpose(np.argsort(order))
        for count, keepdims in itertools.product(range(x.ndim + 1), (False, True)):
            for axes in itertools.combinations(range(x.ndim), count):
                expected = x.sum(axes, keepdims=keepdims)
                found = total(x, axes, keepdims)
                assert found.shape == np.shape(expected)
                np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-10)


def test_sum_of_what_is_not_dense():
    x = np.random.default_rng(0).normal(size=(40, 50, 30))
    for view in (x[::2], x[:, ::-1], x[..., 3:9], np.broadcast_to(x[:1], (40, 50, 30))):
        for axes in ((0,), (1, 2), (0, 2), (0, 1, 2)):
            np.testing.assert_allclose(total(view, axes), view.sum(axes), rtol=1e-10, atol=1e-10)


@pytest.mark.parametrize("axes", [(0, 1, 2, 3), (0, 2, 3), (1, 2, 3)])
def test_sum_of_float32_keeps_its_precision(axes):
    images = np.random.default_rng(0).random((64, 32, 32, 4), np.float32).transpose(0, 3, 1, 2)
    exact = images.astype(np.float64).sum(axes)
    assert np.abs(total(images, axes) / exact - 1).max() < 5e-7


def test_sum_of_half_precision_does_not_overflow_on_the_way():
    x = tg.full((1000,), 60.0, dtype=tg.float16)
    assert x.mean().item() == pytest.approx(60, rel=1e-2)


REFUSALS = [
    (lambda: tg.ones(2, dtype=tg.int64).mean(), RuntimeError, "floating"),
    (lambda: tg.ones(2, 3).sum(2), IndexError, "Dimension out of range"),
    (lambda: tg.ones(2, 3).sum((0, -2)), RuntimeError, "appears multiple times"),
    (lambda: tg.ones(2, 3).sum(0, 1), TypeError, "keepdim"),
    (lambda: tg.ones(2, 3).prod((0, 1)), TypeError, "must be int"),
    (lambda: tg.zeros(0).max(), RuntimeError, "numel"),
    (lambda: tg.zeros(0, 2).max(0), IndexError, "non-zero size"),
    (lambda: tg.zeros(0).argmax(), IndexError, "numel"),
    (lambda: tg.ones(2).var(0, unbiased=True, correction=1), TypeError, "not both"),
    (lambda: tg.ones(2).max(keepdim=True), TypeError, "keepdim"),
    (lambda: tg.ones(3).topk(4), RuntimeError, "out of range"),
    (lambda: tg.ones(3).kthvalue(0), RuntimeError, "out of range"),
    (lambda: tg.linalg.matrix_norm(tg.ones(2, 2), 3), RuntimeError, "not supported"),
    (lambda: tg.linalg.norm(tg.ones(2, 2, 2), 1), RuntimeError, "1D or 2D"),
    (lambda: tg.bincount(tg.tensor([-1])), RuntimeError, "non-negative"),
]


@pytest.mark.parametrize(("call", "kind", "words"), REFUSALS)
def test_refusal(call, kind, words):
    with pytest.raises(kind, match=words) as caught:
        call()
    assert isinstance(caught.value, tg.errors.TinygradError)


def test_named_results():
    x = tg.tensor([3.0, 1.0, 2.0])
    values, indices = x.sort()
    assert values.tolist() == [1, 2, 3]
    assert indices.tolist() == [1, 2, 0]
    assert x.max(0)._fields == ("values", "indices")
    assert repr(x.min(0)) == "torch.return_types.min(\nvalues=tensor(1.),\nindices=tensor(1))"
    assert tg.aminmax(x).max.item() == 3


def test_sort_is_stable_in_both_directions():
    x = tg.tensor([1, 0, 1, 0, 1])
    assert x.argsort().tolist() == [1, 3, 0, 2, 4]
    assert x.argsort(descending=True).tolist() == [0, 2, 4, 1, 3]


def test_indices_do_not_require_grad():
    x = tg.ones(3, requires_grad=True)
    for result in (x.max(0), x.sort(), x.topk(2), x.median(0), x.kthvalue(1)):
        assert result.values.requires_grad
        assert not result.indices.requires_grad
        assert result.indices.dtype == tg.int64
