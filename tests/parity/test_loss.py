"""Losses against PyTorch: every name, its options, and what it refuses."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare, compare_error, torch

RNG = np.random.default_rng(0)
REDUCTIONS = ["mean", "sum", "none"]
DTYPES = [np.float32, np.float64]


def uniform(*shape, low=-2.0, high=2.0, dtype=np.float64):
    return RNG.uniform(low, high, shape).astype(dtype)


def labels(*shape, classes=5):
    return RNG.integers(0, classes, shape)


def signs(*shape):
    return RNG.choice([-1.0, 1.0], shape)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("name", ["cross_entropy", "nll_loss"])
@pytest.mark.parametrize("shape", [(6, 5), (3, 5, 2), (2, 5, 3, 2), (2, 5, 1, 2, 2), (5,), (0, 5), (1, 1)])
def test_class_losses(name, shape, reduction, dtype):
    scores = uniform(*shape, dtype=dtype)
    target = labels(*shape[:1], *shape[2:], classes=shape[1]) if len(shape) > 1 else labels()
    target = np.asarray(target)
    weight = uniform(shape[1] if len(shape) > 1 else 5, low=0.5, high=2, dtype=dtype)

    def plain(T, x, t):
        return getattr(T.nn.functional, name)(x, t, reduction=reduction)

    def weighted(T, x, t):
        w = T.tensor(weight.tolist(), dtype=x.dtype)
        return getattr(T.nn.functional, name)(x, t, weight=w, ignore_index=1, reduction=reduction)

    compare(plain, scores, target)
    compare(weighted, scores, target)


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_only_ignored_labels(reduction):
    ignored = np.full(4, -100)
    compare(lambda T, x, t: T.nn.functional.cross_entropy(x, t, reduction=reduction), uniform(4, 3), ignored)


@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("smoothing", [0.0, 0.1, 1.0])
@pytest.mark.parametrize("shape", [(6, 5), (2, 5, 3, 2), (5,)])
def test_cross_entropy_of_smoothed_labels_and_of_probabilities(shape, smoothing, weighted, reduction):
    classes = shape[1] if len(shape) > 1 else shape[0]
    weight = uniform(classes, low=0.5, high=2)
    settings = dict(reduction=reduction, label_smoothing=smoothing)

    def call(T, x, t, **more):
        w = T.tensor(weight.tolist(), dtype=x.dtype) if weighted else None
        return T.nn.functional.cross_entropy(x, t, weight=w, **settings, **more)

    target = np.asarray(labels(*shape[:1], *shape[2:])) if len(shape) > 1 else np.asarray(3)
    compare(lambda T, x, t: call(T, x, t, ignore_index=2), uniform(*shape), target)
    compare(call, uniform(*shape), uniform(*shape, low=0.0, high=1.0))


PAIRS = {
    "mse_loss": {},
    "l1_loss": {},
    "smooth_l1_loss": dict(beta=0.7),
    "huber_loss": dict(delta=0.7),
    "soft_margin_loss": {},
    "hinge_embedding_loss": dict(margin=0.5),
    "poisson_nll_loss": dict(log_input=True, full=True),
    "multilabel_soft_margin_loss": {},
    "binary_cross_entropy_with_logits": {},
}


@pytest.mark.parametrize("name", PAIRS)
@pytest.mark.parametrize("reduction", REDUCTIONS)
@pytest.mark.parametrize("shape", [(), (4,), (2, 3), (2, 3, 2), (0, 3)])
@pytest.mark.parametrize("dtype", DTYPES)
def test_pairs(name, reduction, shape, dtype):
    if name == "multilabel_soft_margin_loss" and not shape:
        pytest.skip("PyTorch refuses 0-d scores here")
    target = signs(*shape) if "margin_loss" in name or "hinge" in name else uniform(*shape, low=0, high=3)

    def call(T, x, t):
        t = t.detach() if name == "soft_margin_loss" else t  # PyTorch has no derivative for it
        return getattr(T.nn.functional, name)(x, t, **PAIRS[name], reduction=reduction)

    compare(call, np.asarray(uniform(*shape, dtype=dtype)), np.asarray(target, dtype))


MORE = [
    lambda T, x, t: T.nn.functional.smooth_l1_loss(x, t, beta=0.0),
    lambda T, x, t: T.nn.functional.mse_loss(x, t, weight=T.ones(3, 4, dtype=x.dtype) * 3),
    lambda T, x, t: T.nn.functional.l1_loss(x, t, weight=T.ones(3, 4, dtype=x.dtype) * 3),
    lambda T, x, t: T.nn.functional.huber_loss(x, t, weight=T.ones(3, 4, dtype=x.dtype) * 3),
    lambda T, x, t: T.nn.functional.poisson_nll_loss(x.exp(), t.exp(), log_input=False),
    lambda T, x, t: T.nn.functional.kl_div(x, t.exp(), reduction="batchmean"),
    lambda T, x, t: T.nn.functional.kl_div(x, t, reduction="sum", log_target=True),
    lambda T, x, t: T.nn.functional.kl_div(x, t.relu(), reduction="none"),
    lambda T, x, t: T.nn.functional.binary_cross_entropy(x.sigmoid(), t.sigmoid()),
    lambda T, x, t: T.nn.functional.binary_cross_entropy(x.sigmoid(), t.sigmoid(), t.detach()[0], reduction="sum"),
    lambda T, x, t: T.nn.functional.binary_cross_entropy_with_logits(x, t, weight=t.detach()[:, :1]),
    lambda T, x, t: T.nn.functional.binary_cross_entropy_with_logits(x * 100, t, pos_weight=t.detach()[0]),
    lambda T, x, t: T.nn.functional.gaussian_nll_loss(x, t, t.exp(), full=True),
    lambda T, x, t: T.nn.functional.gaussian_nll_loss(x, t, t.exp()[:, 0], eps=1.5, reduction="none"),
    lambda T, x, t: T.nn.functional.gaussian_nll_loss(x, t, 0.5),
    lambda T, x, t: T.nn.functional.margin_ranking_loss(x, t, (x * t).sign().detach(), margin=0.3),
    lambda T, x, t: T.nn.functional.cosine_embedding_loss(x, t, T.tensor([1, -1, 1]), margin=0.1),
    lambda T, x, t: T.nn.functional.cosine_embedding_loss(x[0], t[0], T.tensor(-1)),
    lambda T, x, t: T.nn.functional.triplet_margin_loss(x, t, x.flip(0), margin=2.0),
    lambda T, x, t: T.nn.functional.triplet_margin_loss(x, t, x.flip(1), swap=True, p=1, reduction="none"),
    lambda T, x, t: T.nn.functional.triplet_margin_with_distance_loss(x, t, x.flip(0), margin=2.0),
    lambda T, x, t: T.nn.functional.multi_margin_loss(x, T.tensor([0, 3, 1])),
    lambda T, x, t: T.nn.functional.multi_margin_loss(x, T.tensor([0, 3, 1]), p=2, margin=0.5, reduction="none"),
    lambda T, x, t: T.nn.functional.multi_margin_loss(x, T.tensor([0, 3, 1]), weight=t.detach()[0]),
    lambda T, x, t: T.nn.functional.multi_margin_loss(x[0], T.tensor(2)),
    lambda T, x, t: T.nn.functional.multilabel_margin_loss(x, T.tensor([[0, 3, -1, 1], [-1, 0, 0, 0], [0, 1, 2, 3]])),
    lambda T, x, t: T.nn.functional.multilabel_margin_loss(x[0], T.tensor([2, 1, -1, 0]), reduction="sum"),
    lambda T, x, t: T.nn.functional.multilabel_soft_margin_loss(x, t, weight=t.detach()[0]),
    lambda T, x, t: T.nn.functional.cosine_similarity(x, t),
    lambda T, x, t: T.nn.functional.cosine_similarity(x, t[0], dim=-1),
    lambda T, x, t: T.nn.functional.cosine_similarity(x * 0, t, dim=0, eps=0.1),
    lambda T, x, t: T.nn.functional.pairwise_distance(x, t, p=1, keepdim=True),
    lambda T, x, t: T.nn.functional.pairwise_distance(x, x),
    lambda T, x, t: T.nn.functional.pdist(x),
    lambda T, x, t: T.cdist(x, t[:2]),
    lambda T, x, t: T.cdist(x.reshape(3, 2, 2), t.reshape(3, 2, 2), p=1.0),
]


@pytest.mark.parametrize("call", MORE)
@pytest.mark.parametrize("dtype", DTYPES)
def test_options(call, dtype):
    compare(call, uniform(3, 4, dtype=dtype), uniform(3, 4, low=0.2, dtype=dtype))


def test_mixed_dtypes_are_promoted():
    compare(lambda T, x, t: T.nn.functional.mse_loss(x, t), uniform(3, dtype=np.float32), uniform(3))
    compare(lambda T, x, t: T.nn.functional.l1_loss(x, t), uniform(3, dtype=np.float32), labels(3))


NAMES = [
    (lambda F, x, t: F.cross_entropy(x, t), "NllLossBackward0"),
    (lambda F, x, t: F.cross_entropy(x.reshape(2, 2, 3), t.reshape(2, 2)[:, :1].repeat(1, 3)), "NllLoss2DBackward0"),
    (lambda F, x, t: F.nll_loss(x, t), "NllLossBackward0"),
    (lambda F, x, t: F.mse_loss(x, x.detach() * 2), "MseLossBackward0"),
    (lambda F, x, t: F.smooth_l1_loss(x, x.detach()), "SmoothL1LossBackward0"),
    (lambda F, x, t: F.huber_loss(x, x.detach()), "HuberLossBackward0"),
    (lambda F, x, t: F.binary_cross_entropy(x.sigmoid(), x.detach() * 0), "BinaryCrossEntropyBackward0"),
    (lambda F, x, t: F.binary_cross_entropy_with_logits(x, x.detach()), "BinaryCrossEntropyWithLogitsBackward0"),
    (lambda F, x, t: F.l1_loss(x, x.detach()), "MeanBackward0"),
    (lambda F, x, t: F.embedding(t, x), "EmbeddingBackward0"),
    (lambda F, x, t: F.layer_norm(x, (3,)), "NativeLayerNormBackward0"),
    (lambda F, x, t: F.batch_norm(x, None, None, training=True), "NativeBatchNormBackward0"),
    (lambda F, x, t: F.dropout(x), "MulBackward0"),
]


@pytest.mark.parametrize(("call", "expected"), NAMES)
def test_names_of_nodes(call, expected):
    for T in (torch, tg):
        x = T.tensor([[0.5, 0.25, 1.0]] * 4, requires_grad=True)
        assert call(T.nn.functional, x, T.tensor([0, 1, 0, 1])).grad_fn.name() == expected


@pytest.mark.parametrize(
    "flags", [{}, dict(size_average=False), dict(reduce=False), dict(size_average=True, reduce=True)]
)
def test_older_flags_win_and_warn(flags):
    def call(T, x):
        with pytest.warns(UserWarning, match="size_average and reduce args will be deprecated") if flags else nothing():
            return T.nn.MSELoss(reduction="mean", **flags)(x, x.detach() * 2)

    compare(call, uniform(3, 2))


class nothing:
    def __enter__(self): ...
    def __exit__(self, *exc): ...


def test_broadcasting_warns_as_in_pytorch():
    for name in ("mse_loss", "l1_loss", "smooth_l1_loss", "huber_loss"):

        def call(T, x, t, name=name):
            with pytest.warns(UserWarning, match=r"Using a target size \(torch.Size\(\[3, 1\]\)\) that is different"):
                return getattr(T.nn.functional, name)(x, t)

        compare(call, uniform(3, 4), uniform(3, 1))


X, Y = uniform(4, 3, dtype=np.float32), labels(4, classes=3)
REFUSED = [
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.tensor([0, 1, 3, 0])),
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.tensor([0, 1, -1, 0])),
    lambda T, x, y: T.nn.functional.nll_loss(x, T.tensor([0, 1, 3, 0])),
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.tensor([0.0, 1.0, float("nan"), 0.0])),
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.tensor([True, False, True, True])),
    lambda T, x, y: T.nn.functional.cross_entropy(x, y[:3]),
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.ones(4, 3, dtype=T.int64)),
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.ones(4, 2)),
    lambda T, x, y: T.nn.functional.cross_entropy(x.to(T.int64), y),
    lambda T, x, y: T.nn.functional.cross_entropy(x, [0, 1, 2, 0]),
    lambda T, x, y: T.nn.functional.cross_entropy(x, y, weight=T.ones(2)),
    lambda T, x, y: T.nn.functional.cross_entropy(x, y, weight=T.ones(3, dtype=T.float64)),
    lambda T, x, y: T.nn.functional.cross_entropy(x, y, weight=T.ones(3, requires_grad=True)),
    lambda T, x, y: T.nn.functional.cross_entropy(x, y, label_smoothing=1.5),
    lambda T, x, y: T.nn.functional.cross_entropy(x, y, reduction="average"),
    lambda T, x, y: T.nn.functional.cross_entropy(x, T.ones(4, 3), ignore_index=1),
    lambda T, x, y: T.nn.functional.cross_entropy(T.ones(4, 3, 5, 5), T.zeros(4, 5, 4, dtype=T.int64)),
    lambda T, x, y: T.nn.functional.cross_entropy(T.ones(4, 3, 5, 5), T.zeros(4, 5, dtype=T.int64)),
    lambda T, x, y: T.nn.functional.nll_loss(T.tensor(1.0), T.tensor(0)),
    lambda T, x, y: T.nn.functional.mse_loss(x.to(T.int64), x.to(T.int64)),
    lambda T, x, y: T.nn.functional.smooth_l1_loss(x, x, beta=-1.0),
    lambda T, x, y: T.nn.functional.huber_loss(x, x, delta=0.0),
    lambda T, x, y: T.nn.functional.mse_loss(x, x, weight=T.ones(3)),
    lambda T, x, y: T.nn.functional.binary_cross_entropy(x.sigmoid(), T.ones(4, 1)),
    lambda T, x, y: T.nn.functional.binary_cross_entropy(x + 7, T.ones(4, 3)),
    lambda T, x, y: T.nn.functional.binary_cross_entropy(x.sigmoid(), T.ones(4, 3) * 2),
    lambda T, x, y: T.nn.functional.binary_cross_entropy(x * float("nan"), T.ones(4, 3)),
    lambda T, x, y: T.nn.functional.binary_cross_entropy(x.sigmoid(), T.ones(4, 3, dtype=T.int64)),
    lambda T, x, y: T.nn.functional.binary_cross_entropy_with_logits(x, T.ones(4, 1)),
    lambda T, x, y: T.nn.functional.binary_cross_entropy_with_logits(x, T.ones(4, 3, dtype=T.int64)),
    lambda T, x, y: T.nn.functional.kl_div(x, T.ones(4, 3, dtype=T.int64), reduction="sum"),
    lambda T, x, y: T.nn.functional.margin_ranking_loss(x, x, T.ones(4)),
    lambda T, x, y: T.nn.functional.cosine_embedding_loss(x, x, T.ones(4, 3)),
    lambda T, x, y: T.nn.functional.cosine_embedding_loss(x, x, T.ones(3)),
    lambda T, x, y: T.nn.functional.triplet_margin_loss(x, x, x[0]),
    lambda T, x, y: T.nn.functional.triplet_margin_loss(x, x, x, margin=0.0),
    lambda T, x, y: T.nn.functional.multi_margin_loss(x, y, p=3),
    lambda T, x, y: T.nn.functional.gaussian_nll_loss(x, x, T.ones(4, 3) * -1),
    lambda T, x, y: T.nn.functional.gaussian_nll_loss(x, x, T.ones(2)),
    lambda T, x, y: T.nn.functional.cosine_similarity(x, T.ones(3, 2)),
    lambda T, x, y: T.nn.functional.cosine_similarity(x.to(T.int64), x.to(T.int64)),
    lambda T, x, y: T.nn.functional.pairwise_distance(x, T.ones(3, 2)),
    lambda T, x, y: T.cdist(x, T.ones(2, 2)),
    lambda T, x, y: T.cdist(x, x[0]),
    lambda T, x, y: T.nn.HuberLoss(delta="1"),
    lambda T, x, y: T.nn.TripletMarginLoss(margin=-1.0),
    lambda T, x, y: T.nn.MultiMarginLoss(p=3),
]


@pytest.mark.parametrize("call", REFUSED)
def test_refusals(call):
    compare_error(call, X, Y)


def test_shapes_that_do_not_broadcast_are_refused():
    def call(T, x):
        with pytest.warns(UserWarning, match="Using a target size"):
            T.nn.functional.mse_loss(x, T.ones(4, 2))

    compare_error(call, X)


LAYERS = {
    "CrossEntropyLoss": (dict(label_smoothing=0.1, ignore_index=2), (4, 3), "labels"),
    "NLLLoss": (dict(reduction="sum"), (4, 3), "labels"),
    "MultiMarginLoss": (dict(p=2), (4, 3), "labels"),
    "MSELoss": ({}, (4, 3), "values"),
    "L1Loss": ({}, (4, 3), "values"),
    "SmoothL1Loss": (dict(beta=0.5), (4, 3), "values"),
    "HuberLoss": (dict(delta=0.5), (4, 3), "values"),
    "BCEWithLogitsLoss": ({}, (4, 3), "values"),
    "KLDivLoss": (dict(reduction="batchmean"), (4, 3), "values"),
    "PoissonNLLLoss": ({}, (4, 3), "values"),
    "SoftMarginLoss": ({}, (4, 3), "signs"),
    "HingeEmbeddingLoss": ({}, (4, 3), "signs"),
    "MultiLabelSoftMarginLoss": ({}, (4, 3), "values"),
}


@pytest.mark.parametrize("name", LAYERS)
def test_layers(name):
    settings, shape, kind = LAYERS[name]
    target = dict(labels=labels(4, classes=3), signs=signs(*shape), values=uniform(*shape, low=0.1, high=0.9))[kind]

    def call(T, x, t):
        layer = getattr(T.nn, name)(**settings)
        return layer(x, t.detach()), repr(layer), list(layer.state_dict())

    compare(call, uniform(*shape), target)


def test_layers_hold_weights_as_buffers():
    for name in ("CrossEntropyLoss", "NLLLoss", "BCELoss", "BCEWithLogitsLoss", "MultiMarginLoss"):
        for T in (torch, tg):
            layer = getattr(T.nn, name)(weight=T.ones(3))
            assert list(layer.state_dict()) == ["weight"]
            assert not list(layer.parameters())


def test_layers_of_two_and_three_inputs():
    a, b, c = uniform(4, 3), uniform(4, 3), uniform(4, 3)
    compare(lambda T, a, b: T.nn.CosineEmbeddingLoss(margin=0.2)(a, b, T.tensor([1, -1, 1, -1])), a, b)
    compare(lambda T, a, b: T.nn.MarginRankingLoss(margin=0.2)(a, b, a.detach().sign()), a, b)
    compare(lambda T, a, b, c: T.nn.TripletMarginLoss(swap=True)(a, b, c), a, b, c)
    compare(lambda T, a, b, c: T.nn.TripletMarginWithDistanceLoss()(a, b, c), a, b, c)
    compare(lambda T, a, b, c: T.nn.GaussianNLLLoss(full=True)(a, b, c.exp()), a, b, c)
    compare(lambda T, a: T.nn.MultiLabelMarginLoss()(a, T.tensor([[0, 2, -1]] * 4)), a)
    compare(lambda T, a, b: T.nn.BCELoss()(a.sigmoid(), b.sigmoid()), a, b)
    compare(lambda T, a, b: (T.nn.CosineSimilarity(dim=0)(a, b), repr(T.nn.CosineSimilarity())), a, b)
    compare(lambda T, a, b: (T.nn.PairwiseDistance(p=1.0)(a, b), repr(T.nn.PairwiseDistance())), a, b)
