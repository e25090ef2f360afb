"""Pooling against PyTorch: values, indices, gradients, errors."""

import itertools

import numpy as np
import pytest

from tests.parity.compare import compare, compare_error, tg, torch

rng = np.random.default_rng(0)


def images(*shape, dtype=np.float64, low=-1.0):
    """Distinct values, so that no maximum is tied."""
    return rng.permutation(np.linspace(low, low + 2, int(np.prod(shape)))).reshape(shape).astype(dtype)


MAX_SETTINGS = [
    dict(kernel_size=2),
    dict(kernel_size=(2, 3), stride=None),
    dict(kernel_size=[3], stride=2, padding=1),
    dict(kernel_size=3, stride=1, padding=1),
    dict(kernel_size=3, stride=(2, 1), padding=(1, 0), ceil_mode=True),
    dict(kernel_size=2, stride=3),
    dict(kernel_size=2, stride=2, ceil_mode=True),
    dict(kernel_size=2, stride=2, padding=1, ceil_mode=True),
    dict(kernel_size=3, stride=2, padding=1, dilation=2, ceil_mode=True),
    dict(kernel_size=(1, 3), stride=(1, 2), dilation=(1, 2)),
    dict(kernel_size=(7, 7)),
    dict(kernel_size=1, stride=2),
]


@pytest.mark.parametrize("settings", MAX_SETTINGS, ids=str)
@pytest.mark.parametrize("low", [-1.0, -5.0])
def test_max_pool2d(settings, low):
    for shape in [(2, 3, 7, 8), (2, 7, 7)]:
        x = images(*shape, low=low)
        compare(lambda T, x: T.nn.functional.max_pool2d(x, **settings), x)
        compare(lambda T, x: T.nn.functional.max_pool2d(x, **settings, return_indices=True), x)


@pytest.mark.parametrize("settings", MAX_SETTINGS, ids=str)
@pytest.mark.parametrize("kind", ["ties", "nan", "inf", "int64", "uint8", "float32"])
def test_max_pool2d_of_special_values(settings, kind):
    x = rng.integers(-1, 2, (2, 2, 8, 9)).astype(np.float64)  # every window has ties: the first wins
    if kind == "nan":
        x[rng.random(x.shape) < 0.2] = np.nan
    elif kind == "inf":
        x = rng.choice([-np.inf, -np.inf, -np.inf, 1.0, np.inf], x.shape)
    elif kind != "ties":
        x = rng.integers(0, 3, x.shape).astype(kind)
    compare(lambda T, x: T.nn.functional.max_pool2d(x, **settings, return_indices=True), x)
    compare(lambda T, x: T.nn.functional.max_pool2d(x, **settings), x, backward=False)


def test_max_pool2d_of_large_windows_and_empty_batches():
    compare(lambda T, x: T.nn.functional.max_pool2d(x, 20, 1, 3, return_indices=True), images(1, 2, 21, 21))
    compare(lambda T, x: T.nn.functional.max_pool2d(x, 2), images(0, 2, 4, 4))
    compare(lambda T, x: T.nn.functional.max_pool2d_with_indices(x, 2), images(1, 2, 4, 4))


def test_max_pool2d_of_channels_last_memory():
    x = images(2, 7, 8, 3)
    for settings in MAX_SETTINGS:
        compare(lambda T, x: T.nn.functional.max_pool2d(x.permute(0, 3, 1, 2), **settings), x)
    out = tg.nn.functional.max_pool2d(tg.tensor(x).permute(0, 3, 1, 2), 2)
    assert out.numpy().transpose(0, 2, 3, 1).flags.c_contiguous


SETTINGS_1D = [
    dict(kernel_size=2),
    dict(kernel_size=(3,), stride=(2,), padding=1),
    dict(kernel_size=3, stride=2, padding=1, ceil_mode=True),
]


@pytest.mark.parametrize("settings", SETTINGS_1D, ids=str)
def test_pooling_of_signals(settings):
    for shape in [(2, 3, 8), (3, 9)]:
        compare(lambda T, x: T.nn.functional.max_pool1d(x, **settings), images(*shape))
        compare(lambda T, x: T.nn.functional.max_pool1d(x, **settings, dilation=1, return_indices=True), images(*shape))
        compare(lambda T, x: T.nn.functional.avg_pool1d(x, **settings), images(*shape))
        compare(lambda T, x: T.nn.functional.avg_pool1d(x, **settings, count_include_pad=False), images(*shape))


AVG_SETTINGS = [
    dict(kernel_size=2),
    dict(kernel_size=(2, 3), stride=None),
    dict(kernel_size=3, stride=2, padding=1),
    dict(kernel_size=3, stride=1, padding=1),
    dict(kernel_size=[2], stride=(3, 1)),
    dict(kernel_size=3, stride=2),
    dict(kernel_size=(7, 8)),
    dict(kernel_size=4, stride=3, padding=2),
]


@pytest.mark.parametrize("settings", AVG_SETTINGS, ids=str)
def test_avg_pool2d(settings):
    modes = itertools.product([False, True], [False, True], [None, 3, -2])
    for ceil_mode, count_include_pad, divisor in modes:
        for x in [images(2, 3, 7, 8), images(2, 7, 9, dtype=np.float32)]:
            compare(
                lambda T, x: T.nn.functional.avg_pool2d(
                    x, **settings, ceil_mode=ceil_mode, count_include_pad=count_include_pad, divisor_override=divisor
                ),
                x,
            )


def test_avg_pool2d_of_integers_and_empty_batches():
    compare(lambda T, x: T.nn.functional.avg_pool2d(x, 2), rng.integers(-9, 9, (1, 2, 4, 4)))
    compare(lambda T, x: T.nn.functional.avg_pool2d(x, 2), images(0, 2, 4, 4))


@pytest.mark.parametrize(
    "wrong",
    [
        dict(kernel_size=(2, 2, 2)),
        dict(kernel_size=2, stride=0),
        dict(kernel_size=2, padding=2),
        dict(kernel_size=2, padding=-1),
        dict(kernel_size=7),
        dict(kernel_size=0),
        dict(kernel_size=-1),
        dict(kernel_size=2.5),
        dict(kernel_size="a"),
        dict(kernel_size=True),
        dict(kernel_size=[]),
        dict(kernel_size=2, stride=(1, 2, 3)),
    ],
    ids=str,
)
def test_refused_windows(wrong):
    x = images(1, 2, 5, 5)
    compare_error(lambda T, x: T.nn.functional.max_pool2d(x, **wrong), x)
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, **wrong), x)
    if wrong["kernel_size"] != 2 or "padding" in wrong or "stride" in wrong:
        compare_error(lambda T, x: T.nn.functional.max_pool1d(x[0], **wrong), x)
        compare_error(lambda T, x: T.nn.functional.avg_pool1d(x[0], **wrong), x)


@pytest.mark.parametrize("shape", [(5, 5), (1, 1, 2, 5, 5), (1, 0, 5, 5), (1, 2, 0, 5)])
def test_refused_shapes(shape):
    compare_error(lambda T, x: T.nn.functional.max_pool2d(x, 2), np.zeros(shape))


@pytest.mark.parametrize(
    "size", [1, 2, 3, 5, 7, 9, (2, 3), (None, 3), (4, None), (None, None), (1, 4), [3, 1]], ids=str
)
def test_adaptive_pooling(size):
    for x in [images(2, 3, 6, 7), images(3, 8, 6), images(2, 2, 6, 6, dtype=np.float32)]:
        compare(lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, size), x)
        compare(lambda T, x: T.nn.functional.adaptive_max_pool2d(x, size), x)
        compare(lambda T, x: T.nn.functional.adaptive_max_pool2d(x, size, return_indices=True), x)
    special = rng.choice([-np.inf, np.nan, 1.0, 1.0, 2.0], (2, 3, 6, 7))
    compare(lambda T, x: T.nn.functional.adaptive_max_pool2d(x, size, True), special)


def test_adaptive_pooling_to_nothing():
    for name in ("adaptive_avg_pool2d", "adaptive_max_pool2d"):
        compare(lambda T, x: getattr(T.nn.functional, name)(x, 0), images(2, 3, 6, 7), backward=False)
        compare(lambda T, x: getattr(T.nn.functional, name)(x, 2), images(0, 3, 6, 7))


@pytest.mark.parametrize("size", [1, 3, 4, (5,), 9])
def test_adaptive_pooling_of_signals(size):
    for x in [images(2, 3, 8), images(3, 7)]:
        compare(lambda T, x: T.nn.functional.adaptive_avg_pool1d(x, size), x)
        compare(lambda T, x: T.nn.functional.adaptive_max_pool1d(x, size), x)
        compare(lambda T, x: T.nn.functional.adaptive_max_pool1d(x, size, True), x)


@pytest.mark.parametrize("settings", MAX_SETTINGS[:2] + MAX_SETTINGS[5:7] + [dict(kernel_size=3, stride=2)], ids=str)
def test_max_unpool(settings):
    pooling = {k: v for k, v in settings.items() if k != "ceil_mode"}

    def there_and_back(T, x, dims, size):
        pool, back = (getattr(T.nn.functional, f"{name}{dims}d") for name in ("max_pool", "max_unpool"))
        y, indices = pool(x, **pooling, return_indices=True)
        return back(y, indices, **pooling, output_size=size)

    for side, sizes in ((6, [None]), (7, [(7, 7), (2, 3, 7, 7)])):
        for size in sizes:
            if "stride" not in settings or size:
                compare(lambda T, x: there_and_back(T, x, 2, size), images(2, 3, side, side))
    if settings == dict(kernel_size=2):
        compare(lambda T, x: there_and_back(T, x, 1, None), images(2, 3, 8))


@pytest.mark.parametrize("norm", [1, 2, 3.0, float("inf"), -float("inf")])
def test_lp_pool(norm):
    x = np.abs(images(2, 3, 7, 8)) + 0.1
    compare(lambda T, x: T.nn.functional.lp_pool2d(x, norm, (2, 3), stride=2, ceil_mode=True), x)
    compare(lambda T, x: T.nn.functional.lp_pool1d(x[0], norm, 3), x)


@pytest.mark.parametrize(
    "call",
    [
        lambda F, x, i: F.adaptive_avg_pool2d(x[0, 0], 2),
        lambda F, x, i: F.adaptive_avg_pool2d(x[0, 0], (2, 2)),
        lambda F, x, i: F.adaptive_max_pool2d(x[0, 0], (2, 2)),
        lambda F, x, i: F.adaptive_avg_pool2d(x, -1),
        lambda F, x, i: F.adaptive_avg_pool2d(x, (2,)),
        lambda F, x, i: F.adaptive_avg_pool2d(x, (2, 2, 2)),
        lambda F, x, i: F.adaptive_avg_pool2d(i, 2),
        lambda F, x, i: F.adaptive_avg_pool2d(x[:, :, :0], 2),
        lambda F, x, i: F.adaptive_avg_pool2d(x, 2.5),
        lambda F, x, i: F.adaptive_avg_pool1d(x[0], None),
        lambda F, x, i: F.adaptive_max_pool2d(x[0, 0], 2),
        lambda F, x, i: F.adaptive_max_pool2d(i, 2),
        lambda F, x, i: F.adaptive_max_pool2d(x, (2,)),
        lambda F, x, i: F.adaptive_max_pool2d(x, -1),
        lambda F, x, i: F.adaptive_max_pool2d(x[:, :0], 2),
        lambda F, x, i: F.adaptive_max_pool1d(x[0], None),
        lambda F, x, i: F.max_unpool2d(x, i * 0 + 100, 2),
        lambda F, x, i: F.max_unpool2d(x, i * 0 - 1, 2),
        lambda F, x, i: F.max_unpool2d(x, i[:, :1], 2),
        lambda F, x, i: F.max_unpool2d(x, i.int(), 2),
        lambda F, x, i: F.max_unpool2d(x, i, 2, output_size=(12, 11)),
        lambda F, x, i: F.max_unpool2d(x, i, 2, output_size=(1, 11, 11)),
        lambda F, x, i: F.max_unpool2d(i, i, 2),
    ],
)
def test_refused_adaptive_pooling_and_unpooling(call):
    compare_error(lambda T, x, i: call(T.nn.functional, x, i), images(1, 2, 5, 5), np.arange(50).reshape(1, 2, 5, 5))


def test_refused_inputs():
    compare_error(lambda T, x: T.nn.functional.max_pool2d(x, 2), np.zeros((1, 2, 4, 4), bool))
    compare_error(lambda T, x: T.nn.functional.max_pool2d(x, 2, dilation=0), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.max_pool1d(x, 2), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.avg_pool1d(x, 2), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, 2), np.zeros((1, 2, 4, 4), np.int32))
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, 2, divisor_override=0), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, 2, divisor_override=1.5), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T: T.nn.functional.max_pool2d(3, 2))


def test_grad_names():
    for T in (torch, tg):
        x = T.ones(1, 2, 4, 4, requires_grad=True)
        assert T.nn.functional.max_pool2d(x, 2).grad_fn.name() == "MaxPool2DWithIndicesBackward0"
        assert T.nn.functional.avg_pool2d(x, 2).grad_fn.name() == "AvgPool2DBackward0"
        assert T.nn.functional.adaptive_avg_pool2d(x, (2, 3)).grad_fn.name() == "AdaptiveAvgPool2DBackward0"
        assert T.nn.functional.adaptive_max_pool2d(x, (2, 3)).grad_fn.name() == "AdaptiveMaxPool2DBackward0"
