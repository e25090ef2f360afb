"""Laws of the losses: reductions, zeros, symmetries, and the classification losses as sums of simpler ones."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.laws import close, gradient, law
from tinygrad_cnn.nn import functional as F

ROWS, CLASSES = 4, 3


def _real(draw, low=-2.0, high=2.0):
    return tg.tensor(draw.array((ROWS, CLASSES), low, high))


def _signs(draw, *shape):
    return 2 * tg.tensor(draw.mask(shape)).double() - 1


def _rows(draw):
    return tg.tensor(draw.array((ROWS,)))


def _classes(draw):
    return tg.tensor(draw.integers((ROWS,), 0, CLASSES - 1))


# A call of each loss with everything but the reduction drawn, as a pair of the function and its inputs.
LOSSES = {
    "l1_loss": lambda draw: (_real(draw), _real(draw)),
    "mse_loss": lambda draw: (_real(draw), _real(draw)),
    "smooth_l1_loss": lambda draw: (_real(draw), _real(draw)),
    "huber_loss": lambda draw: (_real(draw), _real(draw)),
    "binary_cross_entropy": lambda draw: (_real(draw, 0.05, 0.95), _real(draw, 0.0, 1.0)),
    "binary_cross_entropy_with_logits": lambda draw: (_real(draw), _real(draw, 0.0, 1.0)),
    "kl_div": lambda draw: (F.log_softmax(_real(draw), 1), F.softmax(_real(draw), 1)),
    "poisson_nll_loss": lambda draw: (_real(draw), _real(draw, 0.5, 2.0)),
    "gaussian_nll_loss": lambda draw: (_real(draw), _real(draw), _real(draw, 0.5, 2.0)),
    "soft_margin_loss": lambda draw: (_real(draw), _signs(draw, ROWS, CLASSES)),
    "hinge_embedding_loss": lambda draw: (_real(draw, 0.0, 2.0), _signs(draw, ROWS, CLASSES)),
    "margin_ranking_loss": lambda draw: (_rows(draw), _rows(draw), _signs(draw, ROWS)),
    "cosine_embedding_loss": lambda draw: (_real(draw), _real(draw), _signs(draw, ROWS)),
    "triplet_margin_loss": lambda draw: (_real(draw), _real(draw), _real(draw)),
    "triplet_margin_with_distance_loss": lambda draw: (_real(draw), _real(draw), _real(draw)),
    "multi_margin_loss": lambda draw: (_real(draw), _classes(draw)),
    "multilabel_margin_loss": lambda draw: (_real(draw), tg.tensor([[0, -1, 1], [2, 1, -1], [1, 0, 2], [-1, 0, 0]])),
    "multilabel_soft_margin_loss": lambda draw: (_real(draw), (_real(draw) > 0).double()),
    "cross_entropy": lambda draw: (_real(draw), _classes(draw)),
    "nll_loss": lambda draw: (F.log_softmax(_real(draw), 1), _classes(draw)),
}
NEGATIVE = {"poisson_nll_loss", "gaussian_nll_loss", "kl_div"}  # negative in elements, kl_div not in sum


def reduced(name, arguments, reduction):
    if name == "kl_div" and reduction == "mean":  # it warns that this isn't the divergence's mean
        with pytest.warns(UserWarning, match="batchmean"):
            return F.kl_div(*arguments, reduction=reduction)
    return getattr(F, name)(*arguments, reduction=reduction)


@pytest.mark.parametrize("name", LOSSES)
@law
def test_reductions_agree(draw, name):
    arguments = LOSSES[name](draw)
    losses = reduced(name, arguments, "none")
    close(reduced(name, arguments, "sum"), losses.sum())
    close(reduced(name, arguments, "mean"), losses.mean())
    if name == "kl_div":
        close(F.kl_div(*arguments, reduction="batchmean"), losses.sum() / ROWS)


@pytest.mark.parametrize("name", LOSSES)
@law
def test_rows_may_be_reordered(draw, name):
    arguments = LOSSES[name](draw)
    order = tg.tensor(np.argsort(draw.distinct((ROWS,))))
    losses = reduced(name, arguments, "none")
    close(reduced(name, [a[order] for a in arguments], "none"), losses[order])
    close(reduced(name, [a[order] for a in arguments], "mean"), reduced(name, arguments, "mean"))


@pytest.mark.parametrize("name", sorted(LOSSES.keys() - NEGATIVE))
@law
def test_no_loss_is_negative(draw, name):
    assert (reduced(name, LOSSES[name](draw), "none") >= -1e-12).all()


@law
def test_a_divergence_is_not_negative(draw):
    p, q = F.log_softmax(_real(draw), 1), F.log_softmax(_real(draw), 1)
    assert F.kl_div(p, q.exp(), reduction="sum").item() >= -1e-12
    close(F.kl_div(q, q.exp(), reduction="sum"), 0.0)
    close(F.kl_div(p, q, reduction="sum", log_target=True), F.kl_div(p, q.exp(), reduction="sum"))


@pytest.mark.parametrize("name", ["l1_loss", "mse_loss", "smooth_l1_loss", "huber_loss"])
@law
def test_a_distance_is_symmetric_and_zero_at_the_target(draw, name):
    x, y, shift = _real(draw), _real(draw), _real(draw)
    function = getattr(F, name)
    close(function(x, y), function(y, x))
    close(function(x, x), 0.0)
    close(function(x + shift, y + shift), function(x, y))
    assert function(x, x + 0.5).item() > 0
    leaf = x.clone().requires_grad_()
    assert not gradient(function(leaf, x), tg.tensor(1.0).double(), leaf).any()


@law
def test_huber_is_between_squares_and_distances(draw):
    x, y = _real(draw), _real(draw)
    delta = draw.choice([0.3, 1.0, 2.5])
    close(F.huber_loss(x, y, delta=delta), delta * F.smooth_l1_loss(x, y, beta=delta))
    close(F.huber_loss(x, y, delta=10.0), F.mse_loss(x, y) / 2)
    close(F.smooth_l1_loss(x, y, beta=0.0), F.l1_loss(x, y))
    far = x + 2 * delta + 5
    close(F.huber_loss(far, x, delta=delta), delta * (F.l1_loss(far, x) - delta / 2))


@law
def test_a_triplet_is_satisfied_by_enough_distance(draw):
    anchor, other = _real(draw), _real(draw)
    margin = draw.choice([0.5, 1.0])
    near = F.pairwise_distance(anchor, anchor)
    far = F.pairwise_distance(anchor, other)
    expected = (near - far + margin).relu()
    close(F.triplet_margin_loss(anchor, anchor, other, margin=margin, reduction="none"), expected)
    close(
        F.triplet_margin_with_distance_loss(anchor, anchor, other, margin=margin, reduction="none"),
        expected,
    )


# ----------------------------------------------------------------------------------------- classification
@pytest.mark.parametrize("shape", [(4, 3), (3,), (2, 3, 2), (2, 3, 2, 2)])
@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@law
def test_cross_entropy_is_composed(draw, shape, reduction):
    x = tg.tensor(draw.array(shape, -3.0, 3.0)).requires_grad_()
    dim = 1 if len(shape) > 1 else 0
    labels = tg.tensor(draw.integers(shape[:dim] + shape[dim + 1 :], 0, 2))
    one, other = (
        F.cross_entropy(x, labels, reduction=reduction),
        F.nll_loss(F.log_softmax(x, dim), labels, reduction=reduction),
    )
    close(one, other)
    g = tg.tensor(draw.array(tuple(one.shape)))
    close(gradient(one, g, x), gradient(other, g, x))
    close(F.cross_entropy(x + 50.0, labels, reduction=reduction), one, atol=1e-9)


def _weighted(draw):
    return _real(draw), _classes(draw), tg.tensor(draw.array((CLASSES,), 0.5, 2.0))


@law
def test_class_weights_make_a_weighted_mean(draw):
    x, labels, w = _weighted(draw)
    losses = F.cross_entropy(x, labels, reduction="none")
    close(F.cross_entropy(x, labels, w, reduction="none"), w[labels] * losses)
    close(F.cross_entropy(x, labels, w), (w[labels] * losses).sum() / w[labels].sum())
    close(F.cross_entropy(x, labels, 3 * w), F.cross_entropy(x, labels, w))


@law
def test_an_ignored_label_is_left_out(draw):
    x, labels, w = _weighted(draw)
    labels[0] = draw.choice([-100, 1])
    ignored = int(labels[0])
    kept = labels != ignored
    x = x.requires_grad_()
    for weight in (None, w):
        everything = F.cross_entropy(x, labels, weight, ignore_index=ignored)
        if kept.any():
            close(everything, F.cross_entropy(x[kept], labels[kept], weight))
            g = gradient(everything, tg.tensor(1.0).double(), x)
            assert not g[~kept].any()
        losses = F.cross_entropy(x, labels, weight, ignore_index=ignored, reduction="none")
        assert not losses[~kept].any()
        close(F.cross_entropy(x, labels, weight, ignore_index=ignored, reduction="sum"), losses.sum())


@law
def test_smoothed_labels_are_mixed_with_the_mean_over_classes(draw):
    x, labels, w = _weighted(draw)
    e = draw.choice([0.1, 0.5, 1.0])
    log_p = F.log_softmax(x, 1)
    mixed = (1 - e) * F.nll_loss(log_p, labels, w, reduction="none") - e / CLASSES * (w * log_p).sum(1)
    close(F.cross_entropy(x, labels, w, label_smoothing=e, reduction="none"), mixed)
    close(F.cross_entropy(x, labels, w, label_smoothing=e), mixed.sum() / w[labels].sum())
    uniform = tg.full((ROWS, CLASSES), 1 / CLASSES, dtype=tg.float64)
    close(F.cross_entropy(x, labels, label_smoothing=1.0), F.cross_entropy(x, uniform))


@law
def test_probabilities_are_labels_mixed(draw):
    x, labels, w = _weighted(draw)
    hard = F.one_hot(labels, CLASSES).double()
    close(F.cross_entropy(x, hard), F.cross_entropy(x, labels))
    p = F.softmax(_real(draw), 1)
    each = [F.cross_entropy(x, tg.full((ROWS,), c), w, reduction="none") for c in range(CLASSES)]
    close(F.cross_entropy(x, p, w, reduction="none"), (p * tg.stack(each, 1)).sum(1))
    close(F.cross_entropy(x, p, w), F.cross_entropy(x, p, w, reduction="none").mean())


@law
def test_pictures_of_labels_are_rows_of_labels(draw):
    x, labels = tg.tensor(draw.array((2, 3, 2, 2))), tg.tensor(draw.integers((2, 2, 2), 0, 2))
    w = tg.tensor(draw.array((3,), 0.5, 2.0))
    rows = x.permute(0, 2, 3, 1).reshape(-1, 3)
    close(F.cross_entropy(x, labels, w), F.cross_entropy(rows, labels.flatten(), w))


@pytest.mark.parametrize("reduction", ["none", "sum", "mean"])
@law
def test_binary_cross_entropy_from_logits_is_composed(draw, reduction):
    x, y, w = _real(draw).requires_grad_(), _real(draw, 0.0, 1.0), _real(draw, 0.5, 2.0)
    one = F.binary_cross_entropy_with_logits(x, y, w, reduction=reduction)
    other = F.binary_cross_entropy(tg.sigmoid(x), y, w, reduction=reduction)
    close(one, other)
    g = tg.tensor(draw.array(tuple(one.shape)))
    close(gradient(one, g, x), gradient(other, g, x))
    close(F.binary_cross_entropy_with_logits(-x, 1 - y, w, reduction=reduction), one)


@law
def test_positive_weights_weigh_the_positive_term(draw):
    x, y = _real(draw), _real(draw, 0.0, 1.0)
    positive = tg.tensor(draw.array((CLASSES,), 0.5, 3.0))
    expected = -(positive * y * F.logsigmoid(x) + (1 - y) * F.logsigmoid(-x))
    close(F.binary_cross_entropy_with_logits(x, y, pos_weight=positive, reduction="none"), expected)
    two = F.cross_entropy(tg.stack([-x / 2, x / 2], 1), (y > 0.5).long(), reduction="none")
    close(F.binary_cross_entropy_with_logits(x, (y > 0.5).double(), reduction="none"), two)


@law
def test_margins_of_classes(draw):
    x, labels, w = _weighted(draw)
    p, margin = draw.choice([1, 2]), draw.choice([0.5, 1.0])
    own = x.gather(1, labels[:, None])
    terms = (margin - own + x).relu() ** p * (1 - F.one_hot(labels, CLASSES))
    close(F.multi_margin_loss(x, labels, p, margin, reduction="none"), terms.sum(1) / CLASSES)
    weighted = w[labels] * terms.sum(1) / CLASSES
    close(F.multi_margin_loss(x, labels, p, margin, w, reduction="none"), weighted)
    alone = tg.cat([labels[:, None], tg.full((ROWS, CLASSES - 1), -1)], 1)
    close(F.multilabel_margin_loss(x, alone), F.multi_margin_loss(x, labels))


@law
def test_gaussian_and_poisson_likelihoods_are_least_at_the_target(draw):
    y, variance, shift = _real(draw, 0.5, 2.0), _real(draw, 0.5, 2.0), _real(draw)
    assert F.gaussian_nll_loss(y, y, variance) <= F.gaussian_nll_loss(y + shift, y, variance) + 1e-12
    close(F.gaussian_nll_loss(y + shift, y, tg.ones_like(y)), F.mse_loss(y + shift, y) / 2)
    best = F.poisson_nll_loss(y.log(), y)
    assert best <= F.poisson_nll_loss(y.log() + shift, y) + 1e-12
    close(F.poisson_nll_loss(y, y, log_input=False, eps=0.0), best)
