"""Normalisation, losses, dropout and embedding: properties and traps, without another library."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tinygrad_cnn.kernels import rows
from tinygrad_cnn.ops import norm as ops
from tinygrad_cnn.testing import gradcheck, gradgradcheck

F = tg.nn.functional


def values(*shape, seed=0):
    return tg.tensor(np.random.default_rng(seed).normal(size=shape))


# ------------------------------------------------------------------------------------------ batch norm
@pytest.mark.parametrize("scale", [1e-3, 7.0, 1e4])
def test_batch_norm_does_not_see_scale_and_shift_of_a_channel(scale):
    x = values(4, 3, 5, 5)
    expected = F.batch_norm(x, None, None, training=True, eps=1e-12)
    np.testing.assert_allclose(
        F.batch_norm(x * scale + 3, None, None, training=True, eps=1e-12), expected, rtol=1e-4, atol=1e-5
    )


def test_batch_norm_gives_mean_0_and_variance_1():
    out = F.batch_norm(values(8, 3, 5, 5) * 4 + 2, None, None, training=True).numpy()
    np.testing.assert_allclose(out.mean((0, 2, 3)), 0, atol=1e-12)
    np.testing.assert_allclose(out.var((0, 2, 3)), 1, atol=1e-4)


def test_batch_norm_gradient_sums_to_nothing_in_each_channel():
    x = values(4, 3, 5, 5).requires_grad_()
    (F.batch_norm(x, None, None, training=True) * values(4, 3, 5, 5, seed=1)).sum().backward()
    np.testing.assert_allclose(x.grad.numpy().sum((0, 2, 3)), 0, atol=1e-12)


def test_variance_is_taken_about_the_mean():
    x = tg.tensor(np.random.default_rng(0).normal(1000.0, 1.0, (64, 2, 8, 8)).astype(np.float32))
    expected = x.numpy().astype(np.float64)
    expected = (expected - expected.mean((0, 2, 3), keepdims=True)) / expected.std((0, 2, 3), keepdims=True)
    np.testing.assert_allclose(F.batch_norm(x, None, None, training=True), expected, atol=2e-3)


@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_second_order(training):
    inputs = [values(3, 2, 2).requires_grad_(), values(2, seed=1).requires_grad_(), values(2, seed=2).requires_grad_()]
    mean, var = values(2, seed=3), values(2, seed=4).abs() + 0.5

    def call(x, w, b):
        return F.batch_norm(x, mean.clone(), var.clone(), w, b, training=training)

    assert gradcheck(call, inputs)
    assert gradgradcheck(call, inputs)


def test_evaluation_takes_the_running_statistics_as_constants():
    layer = tg.nn.BatchNorm2d(3).double()
    layer(values(4, 3, 5, 5))
    layer.eval()
    before = layer.running_mean.clone()
    x = values(1, 3, 1, 1).requires_grad_()
    layer(x).sum().backward()
    expected = 1 / np.sqrt(layer.running_var.numpy() + layer.eps)
    np.testing.assert_allclose(x.grad.numpy()[0, :, 0, 0], expected)
    assert tg.equal(layer.running_mean, before)


def test_no_momentum_averages_all_batches():
    layer = tg.nn.BatchNorm1d(1, momentum=None)
    for mean in (1.0, 2.0, 6.0):
        layer(tg.tensor([[mean - 1], [mean + 1]]))
    assert layer.running_mean.item() == pytest.approx(3.0)
    assert layer.running_var.item() == pytest.approx(2.0)  # unbiased
    assert layer.num_batches_tracked.item() == 3


def test_one_value_a_channel_is_refused_with_advice():
    with pytest.raises(ValueError, match=r"more than 1 value per channel when training, got input size .*use a larger"):
        tg.nn.BatchNorm1d(3)(tg.ones(1, 3))


@pytest.mark.parametrize("shape", [(2, 3), (2, 3, 4), (2, 3, 4, 5), (0, 3, 2), (2, 0, 2), (1, 1, 1)])
def test_rows_are_undone(shape):
    array = np.arange(math.prod(shape)).reshape(shape)
    flat = rows.rows_of(array)
    assert flat.shape == (math.prod(shape) // shape[1] if shape[1] else shape[0] * shape[2], shape[1])
    np.testing.assert_array_equal(rows.images_of(flat, shape), array)


@pytest.mark.parametrize(("count", "channels"), [(64, 3), (97, 5), (1, 1), (6, 1000), (100, 16), (5000, 7), (0, 3)])
def test_blocks_of_joined_rows_cover_each_share(count, channels):
    array = np.zeros((count, channels))
    joined = rows.rows_joined(array)
    for share in (slice(0, count // 3), slice(count // 3, count)):
        for block, together in rows.blocks(array, share, joined):
            rows.join(array[block], together)[...] += 1
    assert (array == 1).all()


@pytest.mark.parametrize("threads", [1, 2, 3])
@pytest.mark.parametrize("shape", [(64, 3), (5, 70_001), (100_003, 7)])
def test_column_sums(threads, shape):
    array = np.random.default_rng(0).normal(size=shape)
    before = tg.get_num_threads()
    try:
        tg.set_num_threads(threads)
        sums = rows.column_sums(array)
        np.testing.assert_array_equal(rows.column_sums(array), sums)
    finally:
        tg.set_num_threads(before)
    np.testing.assert_allclose(sums, [math.fsum(column) for column in array.T], rtol=1e-10, atol=1e-10)


def test_large_inputs_take_several_blocks():
    x = np.random.default_rng(0).normal(size=(90, 4, 32, 32))
    flat = rows.rows_of(x)
    assert len(list(rows.blocks(flat, slice(0, len(flat)), 1))) > 1
    leaf = tg.tensor(x, requires_grad=True)
    out = F.batch_norm(leaf, None, None, training=True)
    centred = x - x.mean((0, 2, 3), keepdims=True)
    std = np.sqrt((centred**2).mean((0, 2, 3), keepdims=True) + 1e-5)
    np.testing.assert_allclose(out.detach(), centred / std)
    g = np.random.default_rng(1).normal(size=x.shape)
    out.backward(tg.tensor(g))
    h = centred / std
    expected = (g - g.mean((0, 2, 3), keepdims=True) - h * (g * h).mean((0, 2, 3), keepdims=True)) / std
    np.testing.assert_allclose(leaf.grad, expected, rtol=1e-7, atol=1e-10)


@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize(
    ("shape", "groups"), [((5, 6, 7, 7), 3), ((3, 64, 50, 51), 8), ((4, 3, 90_001), 3), ((7, 8), 2)]
)
def test_group_norm_of_any_size_and_layout_is_its_composite(shape, groups, threads):
    images, upstream = (values(*shape, seed=seed).float() for seed in (0, 1))
    channels_last = images.movedim(1, -1).contiguous().movedim(-1, 1)
    weight, bias = (values(shape[1], seed=seed).float().requires_grad_() for seed in (2, 3))
    before = tg.get_num_threads()
    tg.set_num_threads(threads)
    try:
        for given in (images, channels_last):
            x = (given + 3).requires_grad_()
            out = F.group_norm(x, groups, weight, bias)
            simple = ops.group_norm._composite(x.double(), weight.double(), bias.double(), groups=groups, eps=1e-5)
            np.testing.assert_allclose(out.detach(), simple.detach(), atol=5e-5)
            found = tg.autograd.grad(out, (x, weight, bias), upstream)
            wanted = tg.autograd.grad(simple, (x, weight, bias), upstream.double())
            for one, other in zip(found, wanted, strict=True):
                np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-4)
    finally:
        tg.set_num_threads(before)


# ---------------------------------------------------------------------------------------------- losses
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_is_the_composed_one(reduction):
    scores, labels = values(6, 4, 3), tg.tensor(np.random.default_rng(1).integers(0, 4, (6, 3)))
    results = []
    for function in (F.cross_entropy, lambda x, t, reduction: F.nll_loss(F.log_softmax(x, 1), t, reduction=reduction)):
        leaf = scores.clone().requires_grad_()
        loss = function(leaf, labels, reduction=reduction)
        loss.sum().backward()
        results.append((loss.detach().numpy(), leaf.grad.numpy()))
    for fused, composed in zip(*results, strict=True):
        np.testing.assert_allclose(fused, composed, rtol=1e-12, atol=1e-14)


def test_cross_entropy_of_huge_scores_is_finite():
    scores = tg.tensor([[1e4, -1e4], [3e4, 3e4]], requires_grad=True)
    loss = F.cross_entropy(scores, tg.tensor([1, 0]), reduction="none")
    np.testing.assert_allclose(loss.detach(), [2e4, math.log(2)], rtol=1e-6)
    loss.sum().backward()
    np.testing.assert_allclose(scores.grad, [[1, -1], [-0.5, 0.5]])


def test_cross_entropy_ignores_shifts_and_its_gradient_sums_to_zero():
    scores, labels = values(5, 4).requires_grad_(), tg.tensor([0, 1, 2, 3, 0])
    loss = F.cross_entropy(scores, labels)
    loss.backward()
    assert F.cross_entropy(scores + 100, labels).item() == pytest.approx(loss.item())
    np.testing.assert_allclose(scores.grad.numpy().sum(1), 0, atol=1e-15)


def test_cross_entropy_second_order_with_weights_and_ignored_labels():
    labels, weight = tg.tensor([[0, 2], [1, 1]]), tg.tensor([0.5, 1.0, 2.0], dtype=tg.float64)

    def call(x):
        return F.cross_entropy(x, labels, weight=weight, ignore_index=2)

    assert gradcheck(call, [values(2, 3, 2).requires_grad_()])
    assert gradgradcheck(call, [values(2, 3, 2).requires_grad_()])


@pytest.mark.parametrize("labels", [[0.0, 1.0], [0.0, float("nan")]])
def test_float_labels_are_refused_with_advice(labels):
    with pytest.raises(
        RuntimeError, match=r"class indices of dtype int64 or uint8, got torch.float32; convert with .long"
    ):
        F.cross_entropy(tg.zeros(2, 3), tg.tensor(labels))


def test_nan_is_never_a_number():
    nan = tg.tensor([[float("nan"), 1.0]])
    assert math.isnan(F.cross_entropy(nan, tg.tensor([1])))
    assert math.isnan(F.cross_entropy(tg.zeros(1, 2), nan))
    assert math.isnan(F.mse_loss(tg.zeros(1, 2), nan))
    assert math.isnan(F.huber_loss(tg.zeros(1, 2), nan))
    assert math.isnan(F.smooth_l1_loss(nan, tg.zeros(1, 2)))
    assert math.isnan(F.binary_cross_entropy_with_logits(tg.zeros(1, 2), nan))


def test_labels_out_of_range_are_named():
    with pytest.raises(IndexError, match=r"Target 10 is out of bounds\. There are 10 classes"):
        F.cross_entropy(tg.zeros(2, 10), tg.tensor([3, 10]))
    with pytest.raises(ValueError, match=r"input batch_size \(2\) to match target batch_size \(3\)"):
        F.cross_entropy(tg.zeros(2, 10), tg.tensor([3, 1, 2]))


# --------------------------------------------------------------------------------------------- dropout
@pytest.mark.parametrize("p", [0.1, 0.5, 0.9])
def test_dropout_keeps_the_expectation_and_repeats_with_the_seed(p):
    tg.manual_seed(0)
    out = F.dropout(tg.ones(100_000), p).numpy()
    assert set(np.unique(out)) == {0.0, np.float32(1 / (1 - p))}
    assert out.mean() == pytest.approx(1.0, abs=0.02)
    tg.manual_seed(0)
    np.testing.assert_array_equal(F.dropout(tg.ones(100_000), p).numpy(), out)


def test_dropout_gradient_has_the_mask_of_the_forward():
    x = tg.ones(50, requires_grad=True)
    out = F.dropout(x, 0.5)
    out.sum().backward()
    np.testing.assert_array_equal(x.grad, out.detach())


def test_dropout_of_channels_and_in_place():
    out = F.dropout2d(tg.ones(20, 30, 4, 5), 0.5).numpy().reshape(600, 20)
    assert (out == out[:, :1]).all()
    assert 0 < (out[:, 0] == 0).sum() < 600
    x = tg.ones(1000)
    assert F.dropout(x, 0.5, inplace=True) is x
    assert set(x.tolist()) == {0.0, 2.0}


def test_dropout_follows_the_memory_of_its_input():
    x = tg.Tensor._wrap(np.ones((2, 4, 5, 3), np.float32).transpose(0, 3, 1, 2))
    assert F.dropout(x, 0.5).numpy().strides == x.numpy().strides


def test_alpha_dropout_keeps_mean_and_variance():
    tg.manual_seed(0)
    out = F.alpha_dropout(tg.randn(200_000), 0.3, training=True).numpy()
    assert out.mean() == pytest.approx(0, abs=0.02)
    assert out.var() == pytest.approx(1, abs=0.02)


# ------------------------------------------------------------------------------------------- embedding
def test_embedding_second_order_with_padding_and_frequencies():
    indices = tg.tensor([[0, 2, 2], [1, 2, 0]])
    weight = values(3, 2).requires_grad_()
    out = F.embedding(indices, weight, padding_idx=1, scale_grad_by_freq=True)
    (g,) = tg.autograd.grad((out**3).sum(), weight, create_graph=True)
    np.testing.assert_allclose(g.detach(), [[3, 3], [0, 0], [3, 3]] * weight.detach().numpy() ** 2)
    (h,) = tg.autograd.grad(g.sum(), weight)
    # the lookup inside g is one more lookup, whose gradient counts frequencies again
    np.testing.assert_allclose(h, [[3, 3], [0, 0], [2, 2]] * weight.detach().numpy())


def test_sparse_gradients_are_refused():
    with pytest.raises(NotImplementedError, match="sparse"):
        F.embedding(tg.tensor([0]), tg.ones(2, 2), sparse=True)
