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


def test_refused_inputs():
    compare_error(lambda T, x: T.nn.functional.max_pool2d(x, 2), np.zeros((1, 2, 4, 4), bool))
    compare_error(lambda T, x: T.nn.functional.max_pool2d(x, 2, dilation=0), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.max_pool1d(x, 2), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.avg_pool1d(x, 2), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, 2), np.zeros((1, 2, 4, 4), np.int32))
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, 2, divisor_override=0), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.avg_pool2d(x, 2, divisor_override=1.5), np.zeros((1, 2, 4, 4)))
    compare_error(lambda T, x: T.nn.functional.max_pool2d(3, 2))


def test_grad_names():
    for T in (torch, tg):
        x = T.ones(1, 2, 4, 4, requires_grad=True)
        assert T.nn.functional.max_pool2d(x, 2).grad_fn.name() == "MaxPool2DWithIndicesBackward0"
        assert T.nn.functional.avg_pool2d(x, 2).grad_fn.name() == "AvgPool2DBackward0"
        assert T.nn.functional.max_pool1d(x[0], 2).grad_fn.name() == "SqueezeBackward1"
