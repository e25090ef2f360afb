"""Pooling, padding and resizing layers against PyTorch: text, attributes, results."""

import numpy as np
import pytest

from tests.parity.compare import compare, compare_error, tg, torch

rng = np.random.default_rng(0)

IMAGES = [
    lambda nn: nn.MaxPool2d(2),
    lambda nn: nn.MaxPool2d((2, 3), stride=1, padding=(1, 0), dilation=2, ceil_mode=True, return_indices=True),
    lambda nn: nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    lambda nn: nn.AvgPool2d(2),
    lambda nn: nn.AvgPool2d((2, 3), 1, divisor_override=3),
    lambda nn: nn.AvgPool2d(3, 2, 1, True, False),
    lambda nn: nn.AdaptiveAvgPool2d(1),
    lambda nn: nn.AdaptiveAvgPool2d((None, 3)),
    lambda nn: nn.AdaptiveMaxPool2d((2, 5), return_indices=True),
    lambda nn: nn.LPPool2d(2, 3),
    lambda nn: nn.ZeroPad2d(1),
    lambda nn: nn.ZeroPad2d((1, 2, 3, 4)),
    lambda nn: nn.ConstantPad2d([1, 2, 3, -1], 0),
    lambda nn: nn.ReflectionPad2d(1),
    lambda nn: nn.ReplicationPad2d((1, 1, 2, 2)),
    lambda nn: nn.CircularPad2d(1),
    lambda nn: nn.Upsample(scale_factor=2),
    lambda nn: nn.Upsample((2, 3)),
    lambda nn: nn.Upsample(size=4, mode="bilinear", align_corners=True),
    lambda nn: nn.Upsample(scale_factor=(2, 3.5), mode="bicubic"),
    lambda nn: nn.UpsamplingNearest2d(4),
    lambda nn: nn.UpsamplingBilinear2d(scale_factor=2),
    lambda nn: nn.PixelShuffle(2),
    lambda nn: nn.PixelUnshuffle(2),
    lambda nn: nn.ChannelShuffle(2),
]
SIGNALS = [
    lambda nn: nn.MaxPool1d(3),
    lambda nn: nn.MaxPool1d((2,), 3, 1, return_indices=True),
    lambda nn: nn.AvgPool1d(2),
    lambda nn: nn.AvgPool1d((2,), 3, 1, True, False),
    lambda nn: nn.AdaptiveAvgPool1d(3),
    lambda nn: nn.AdaptiveMaxPool1d(3, True),
    lambda nn: nn.LPPool1d(2, 3, ceil_mode=True),
    lambda nn: nn.ZeroPad1d(1),
    lambda nn: nn.ConstantPad1d(1, 2.5),
    lambda nn: nn.ReflectionPad1d(2),
    lambda nn: nn.ReplicationPad1d((0, 3)),
    lambda nn: nn.CircularPad1d((1, 2)),
    lambda nn: nn.Upsample(scale_factor=2, mode="linear"),
]


def attributes(layer):
    return {k: v for k, v in vars(layer).items() if not k.startswith("_")}


@pytest.mark.parametrize("make", IMAGES + SIGNALS)
def test_layers(make):
    ours, theirs = make(tg.nn), make(torch.nn)
    assert repr(ours) == repr(theirs)
    assert attributes(ours) == attributes(theirs)
    shape = (2, 4, 6, 8) if make in IMAGES else (2, 4, 8)
    x = rng.permutation(np.linspace(-1, 1, int(np.prod(shape)))).reshape(shape)
    compare(lambda T, x: make(T.nn)(x), x)


def test_unpooling_layers():
    for dims, shape in ((1, (2, 3, 8)), (2, (2, 3, 6, 8))):
        ours, theirs = (getattr(T.nn, f"MaxUnpool{dims}d")(2) for T in (tg, torch))
        assert repr(ours) == repr(theirs)
        assert attributes(ours) == attributes(theirs)

        def call(T, x):
            y, indices = getattr(T.nn, f"MaxPool{dims}d")(2, return_indices=True)(x)
            return getattr(T.nn, f"MaxUnpool{dims}d")(2)(y, indices, output_size=x.shape)

        compare(call, rng.permutation(np.linspace(-1, 1, int(np.prod(shape)))).reshape(shape))


def test_refused_inputs():
    compare_error(lambda T, x: T.nn.CircularPad2d(1)(x), np.zeros((2, 3)))
    compare_error(lambda T, x: T.nn.MaxPool2d(4)(x), np.zeros((1, 1, 2, 2)))
    with pytest.raises(TypeError):
        tg.nn.MaxPool2d()
