"""Normalisation, dropout and embedding against PyTorch: functions, layers, running statistics, refusals."""

import copy

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import assert_same, compare, compare_error, to_ours, torch

RNG = np.random.default_rng(0)
DTYPES = [np.float32, np.float64]
SHAPES = [(4, 3), (4, 3, 5), (2, 3, 4, 5), (2, 3, 2, 2, 2)]


def values(*shape, dtype=np.float64):
    return RNG.normal(size=shape).astype(dtype)


def channels_last(array):
    return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)


# ------------------------------------------------------------------------------------------- batch norm
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("affine", [True, False])
def test_batch_norm(shape, training, affine, dtype):
    mean, var = values(3).tolist(), (values(3) ** 2 + 0.5).tolist()

    def call(T, x, w, b):
        running = T.tensor(mean, dtype=x.dtype), T.tensor(var, dtype=x.dtype)
        affines = (w, b) if affine else (None, None)
        out = T.nn.functional.batch_norm(x, *running, *affines, training=training, momentum=0.3, eps=1e-3)
        return out, *running

    compare(call, values(*shape, dtype=dtype) * 3 + 1, values(3, dtype=dtype), values(3, dtype=dtype))


def test_batch_norm_of_channels_last_memory_stays_so():
    x = to_ours(channels_last(values(2, 3, 4, 5)))
    x = tg.Tensor._wrap(channels_last(x.numpy()))
    out = tg.nn.functional.batch_norm(x, None, None, training=True)
    assert out.numpy().strides == x.numpy().strides
    compare(lambda T, x: T.nn.functional.batch_norm(x, None, None, training=True), channels_last(values(2, 3, 4, 5)))


@pytest.mark.parametrize("shape", [(0, 3, 5, 5), (2, 3, 0)])
@pytest.mark.parametrize("training", [True, False])
def test_batch_norm_of_nothing_leaves_the_statistics(shape, training):
    def call(T, x, w):
        mean, var = T.zeros(3, dtype=x.dtype), T.ones(3, dtype=x.dtype)
        return T.nn.functional.batch_norm(x, mean, var, w, training=training), mean, var

    compare(call, values(*shape), values(3))


@pytest.mark.parametrize("momentum", [0.1, None, 1.0])
@pytest.mark.parametrize("ndim", [1, 2, 3])
def test_batch_norm_layers_over_steps(ndim, momentum):
    batches = [values(4, 3, *[2] * (ndim - 1), *([5] if ndim == 1 else [2])) for _ in range(3)]
    results = []
    for T in (torch, tg):
        layer = getattr(T.nn, f"BatchNorm{ndim}d")(3, momentum=momentum).double()
        outs = [layer(T.tensor(b)) for b in batches]
        layer.eval()
        results.append([*outs, layer(T.tensor(batches[0])), *layer.state_dict().values()])
    for ours, theirs in zip(results[1], results[0], strict=True):
        assert_same(ours, theirs)


@pytest.mark.parametrize("settings", [{}, dict(affine=False), dict(track_running_stats=False), dict(bias=False)])
@pytest.mark.parametrize("name", ["BatchNorm1d", "BatchNorm2d", "InstanceNorm1d", "InstanceNorm2d"])
def test_state_and_repr(name, settings):
    theirs, ours = (getattr(T.nn, name)(3, **settings) for T in (torch, tg))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    assert [n for n, _ in ours.named_parameters()] == [n for n, _ in theirs.named_parameters()]
    for our, their in zip(ours.state_dict().values(), theirs.state_dict().values(), strict=True):
        assert_same(our, their)


def test_old_checkpoints_lack_num_batches_tracked():
    layer = tg.nn.BatchNorm2d(2)
    old = {k: v for k, v in layer.state_dict().items() if k != "num_batches_tracked"}
    assert layer.load_state_dict(old).missing_keys == []
    new = copy.copy(layer.state_dict())
    del new["num_batches_tracked"]
    with pytest.raises(tg.errors.StateError, match="num_batches_tracked"):
        layer.load_state_dict(new)


def test_lazy_batch_norm_becomes_the_plain_layer():
    for name, shape in (("BatchNorm1d", (4, 3)), ("BatchNorm2d", (4, 3, 2, 2)), ("InstanceNorm2d", (4, 3, 2, 2))):
        settings = dict(affine=True, track_running_stats=True)
        theirs, ours = (getattr(T.nn, "Lazy" + name)(**settings) for T in (torch, tg))
        assert repr(ours) == repr(theirs)
        assert_same(ours(tg.ones(shape)), theirs(torch.ones(shape)))
        assert type(ours) is getattr(tg.nn, name)
        assert repr(ours) == repr(theirs)
        assert list(ours.state_dict()) == list(theirs.state_dict())


# ------------------------------------------------------------------------------------------ other norms
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("shape", [(2, 6), (2, 6, 3), (2, 6, 3, 4), (2, 6, 1, 1)])
@pytest.mark.parametrize("groups", [1, 2, 3])
def test_group_norm(shape, groups, dtype):
    call = lambda T, x, w, b: T.nn.functional.group_norm(x, groups, w, b, eps=1e-3)
    compare(call, values(*shape, dtype=dtype), values(6, dtype=dtype), values(6, dtype=dtype))


@pytest.mark.parametrize("shape", [(2, 0, 3), (0, 6, 3), (2, 6, 0)])
def test_norms_of_nothing(shape):
    compare(lambda T, x: T.nn.functional.group_norm(x, 1), values(*shape))
    compare(lambda T, x: T.nn.functional.instance_norm(x), values(*shape))


@pytest.mark.parametrize(
    "norm",
    [
        lambda F, x, w, b: F.batch_norm(x, None, None, w, b, training=True),
        lambda F, x, w, b: F.layer_norm(x, (6,), w, b),
        lambda F, x, w, b: F.group_norm(x, 2, w, b),
    ],
)
def test_half_is_normalised_in_single(norm):
    """With parameters of either precision. Beside a large mean the rest of PyTorch's own is off by a tenth."""
    call = lambda T, x, w, b: norm(T.nn.functional, x, w, b)
    for dtype, mean, backward in ((np.float16, 0, True), (np.float32, 0, True), (np.float32, 30, False)):
        x = (values(5, 6) * 0.5 + mean).astype(np.float16)
        compare(call, x, values(6, dtype=dtype), values(6, dtype=dtype), backward=backward, rtol=2e-2, atol=2e-2)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("dims", [1, 2, 3])
def test_layer_norm_and_rms_norm(dims, dtype):
    shape = (3, 4, 5)
    x, w, b = values(2, *shape, dtype=dtype), values(*shape[3 - dims :], dtype=dtype), values(*shape[3 - dims :])
    b = b.astype(dtype)
    compare(lambda T, x, w, b: T.nn.functional.layer_norm(x, w.shape, w, b), x, w, b)
    compare(lambda T, x, w: T.nn.functional.layer_norm(x, list(w.shape), weight=w, eps=0.1), x, w)
    compare(lambda T, x, w: T.nn.functional.rms_norm(x, w.shape, w), x, w)
    compare(lambda T, x: T.nn.functional.rms_norm(x, shape[3 - dims :], eps=0.1), x)


@pytest.mark.parametrize("shape", [(2, 3, 4), (2, 3, 4, 5), (2, 3, 2, 2, 2), (0, 3, 4)])
@pytest.mark.parametrize("use_input_stats", [True, False])
def test_instance_norm(shape, use_input_stats):
    def call(T, x, w, b):
        mean, var = T.zeros(3, dtype=x.dtype), T.ones(3, dtype=x.dtype)
        F = T.nn.functional
        return F.instance_norm(x, mean, var, w, b, use_input_stats=use_input_stats, momentum=0.3), mean, var

    if shape[0]:
        compare(call, values(*shape), values(3), values(3))
    compare(lambda T, x: T.nn.functional.instance_norm(x), values(*shape))


CALLS = [
    lambda T, x: T.nn.functional.local_response_norm(x, 2),
    lambda T, x: T.nn.functional.local_response_norm(x, 3, alpha=0.5, beta=0.3, k=2.0),
    lambda T, x: T.nn.functional.local_response_norm(x[:, :, 0], size=5, alpha=0.1),
    lambda T, x: T.nn.LocalResponseNorm(9, alpha=0.1)(x),
    lambda T, x: T.nn.functional.normalize(x),
    lambda T, x: T.nn.functional.normalize(x, p=1, dim=-1),
    lambda T, x: T.nn.functional.normalize(x, p=3.0, dim=2, eps=2.0),
    lambda T, x: T.nn.functional.normalize(x * 0),
    lambda T, x: T.nn.functional.normalize(x, dim=(1, 2)),
    lambda T, x: T.nn.InstanceNorm1d(4)(x[0, 0]),
    lambda T, x: T.nn.InstanceNorm2d(3)(x[0]),
    lambda T, x: (lambda m: (m(x), repr(m), list(m.state_dict())))(T.nn.LayerNorm(5).double()),
    lambda T, x: (lambda m: (m(x), repr(m), list(m.state_dict())))(T.nn.LayerNorm([4, 5], bias=False).double()),
    lambda T, x: (lambda m: (m(x), repr(m), list(m.state_dict())))(T.nn.LayerNorm(5, elementwise_affine=False)),
    lambda T, x: (lambda m: (m(x), repr(m), list(m.state_dict())))(T.nn.GroupNorm(3, 3).double()),
    lambda T, x: (lambda m: (m(x), repr(m), list(m.state_dict())))(T.nn.GroupNorm(1, 3, affine=False)),
    lambda T, x: (lambda m: (m(x), repr(m), list(m.state_dict())))(T.nn.RMSNorm((4, 5)).double()),
    lambda T, x: repr(T.nn.LocalResponseNorm(2)),
]


@pytest.mark.parametrize("call", CALLS)
def test_calls(call):
    compare(call, values(2, 3, 4, 5))


REFUSED = [
    lambda T, x: T.nn.functional.batch_norm(x[:1, :, :1, :1], T.zeros(3), T.ones(3), training=True),
    lambda T, x: T.nn.functional.batch_norm(x, None, None),
    lambda T, x: T.nn.functional.batch_norm(x, T.zeros(2), T.ones(2), training=True),
    lambda T, x: T.nn.functional.batch_norm(x, T.zeros(3), None, training=True),
    lambda T, x: T.nn.functional.batch_norm(x, T.zeros(3), T.ones(3), T.ones(2), training=True),
    lambda T, x: T.nn.functional.batch_norm(x.to(T.int64), T.zeros(3), T.ones(3)),
    lambda T, x: T.nn.functional.batch_norm(x.to(T.float64), T.zeros(3), T.ones(3)),
    lambda T, x: T.nn.functional.batch_norm(x, T.zeros(3), T.ones(3), training=True, eps=0.0),
    lambda T, x: T.nn.functional.batch_norm(x, T.zeros(3), T.ones(3), eps=-1.0),
    lambda T, x: T.nn.BatchNorm2d(3)(x[0]),
    lambda T, x: T.nn.BatchNorm2d(4)(x),
    lambda T, x: T.nn.BatchNorm1d(3)(x),
    lambda T, x: T.nn.InstanceNorm2d(4, affine=True)(x),
    lambda T, x: T.nn.InstanceNorm2d(3)(x[0, 0]),
    lambda T, x: T.nn.functional.layer_norm(x, (4,)),
    lambda T, x: T.nn.functional.layer_norm(x, 5),
    lambda T, x: T.nn.functional.layer_norm(x, ()),
    lambda T, x: T.nn.functional.layer_norm(x, (5,), T.ones(4)),
    lambda T, x: T.nn.functional.layer_norm(x.to(T.int64), (5,)),
    lambda T, x: T.nn.functional.rms_norm(x, (4,)),
    lambda T, x: T.nn.functional.rms_norm(x.to(T.int64), (5,)),
    lambda T, x: T.nn.functional.group_norm(x, 2),
    lambda T, x: T.nn.functional.group_norm(x, 3, T.ones(2)),
    lambda T, x: T.nn.functional.group_norm(x[:1, :, :1, :1], 3),
    lambda T, x: T.nn.functional.group_norm(x[0, 0, 0], 1),
    lambda T, x: T.nn.functional.instance_norm(x[:, :, :1, :1]),
    lambda T, x: T.nn.functional.instance_norm(x, use_input_stats=False),
    lambda T, x: T.nn.functional.local_response_norm(x[0, 0], 2),
    lambda T, x: T.nn.GroupNorm(2, 3),
    lambda T, x: T.nn.functional.dropout(x, p=1.5),
    lambda T, x: T.nn.functional.alpha_dropout(x, p=-0.5),
    lambda T, x: T.nn.functional.dropout(x.to(T.int64)),
    lambda T, x: T.nn.functional.dropout1d(x),
    lambda T, x: T.nn.Dropout(2.0),
    lambda T, x: T.nn.functional.embedding(T.tensor([5]), T.ones(4, 2)),
    lambda T, x: T.nn.functional.embedding(T.tensor([-1]), T.ones(4, 2)),
    lambda T, x: T.nn.functional.embedding(T.tensor([1.0]), T.ones(4, 2)),
    lambda T, x: T.nn.functional.embedding(T.tensor([1]), T.ones(4)),
    lambda T, x: T.nn.functional.embedding(T.tensor([1]), T.ones(4, 2), padding_idx=4),
    lambda T, x: T.nn.Embedding(4, 2, padding_idx=-5),
    lambda T, x: T.nn.functional.one_hot(T.tensor([0, 2]), 2),
    lambda T, x: T.nn.functional.one_hot(T.tensor([0, -2])),
    lambda T, x: T.nn.functional.one_hot(T.tensor([0.0])),
    lambda T, x: T.nn.functional.one_hot(T.tensor([], dtype=T.int64)),
]


@pytest.mark.parametrize("call", REFUSED)
def test_refusals(call):
    compare_error(call, values(4, 3, 5, 5, dtype=np.float32))


# -------------------------------------------------------------------------------------------- dropout
@pytest.mark.parametrize(
    "name", ["dropout", "dropout1d", "dropout2d", "dropout3d", "alpha_dropout", "feature_alpha_dropout"]
)
def test_dropout_without_chance(name):
    x = values(2, 3, 4) if name == "dropout1d" else values(2, 3, 4, 5)
    for settings in (dict(p=0.0, training=True), dict(p=0.7, training=False), dict(p=1.0, training=True)):
        compare(lambda T, x, s=settings: getattr(T.nn.functional, name)(x, **s), x)
    assert tg.nn.functional.dropout(value := tg.ones(2), training=False) is value


@pytest.mark.parametrize(
    "name", ["Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "AlphaDropout", "FeatureAlphaDropout"]
)
def test_dropout_layers(name):
    assert repr(getattr(tg.nn, name)(0.2)) == repr(getattr(torch.nn, name)(0.2))
    assert repr(getattr(tg.nn, name)(inplace=True)) == repr(getattr(torch.nn, name)(inplace=True))


# ------------------------------------------------------------------------------------------ embedding
@pytest.mark.parametrize("settings", [{}, dict(padding_idx=1), dict(padding_idx=-1), dict(scale_grad_by_freq=True)])
@pytest.mark.parametrize("shape", [(), (5,), (2, 3), (0,)])
@pytest.mark.parametrize("index_dtype", [np.int64, np.int32])
def test_embedding(shape, settings, index_dtype):
    indices = np.asarray(RNG.integers(0, 4, shape), index_dtype)
    compare(lambda T, i, w: T.nn.functional.embedding(i, w, **settings), indices, values(4, 3))


def test_embedding_shortens_long_rows_in_place():
    def call(T, w):
        w = w.detach()
        return T.nn.functional.embedding(T.tensor([0, 2, 2]), w, max_norm=1.0, norm_type=1.0), w

    compare(call, values(4, 3))


def test_embedding_layer():
    table = values(4, 3)

    def call(T, i):
        layer = T.nn.Embedding.from_pretrained(T.tensor(table.tolist()), freeze=False, padding_idx=2)
        layer(i).sum().backward()
        return layer(i), layer.weight.grad, repr(layer), list(layer.state_dict())

    compare(call, np.array([[0, 2], [3, 3]]), backward=False)
    settings = dict(padding_idx=-1, max_norm=2.0, norm_type=1.0, scale_grad_by_freq=True)
    assert repr(tg.nn.Embedding(5, 2, **settings)) == repr(torch.nn.Embedding(5, 2, **settings))
    assert not tg.nn.Embedding(5, 2, padding_idx=3).weight[3].detach().numpy().any()
    assert not tg.nn.Embedding.from_pretrained(tg.ones(2, 2)).weight.requires_grad


@pytest.mark.parametrize("labels", [np.array([0, 2]), np.array(3), np.array([[1], [0]])])
def test_one_hot(labels):
    compare(lambda T, t: T.nn.functional.one_hot(t), labels)
    compare(lambda T, t: T.nn.functional.one_hot(t, num_classes=5), labels)
    compare(lambda T, t: T.nn.functional.one_hot(t[:0], 3), np.array([1, 2]))
