"""The text of tensors is PyTorch's, character by character."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import to_ours, to_torch, torch

RNG = np.random.default_rng(0)
SPECIAL = [np.inf, -np.inf, np.nan, -0.0, 0.0]


def arrays():
    shapes = [
        (),
        (1,),
        (3,),
        (0,),
        (2, 0),
        (7, 3),
        (2, 3, 2),
        (40,),
        (11, 13),
        (1001,),
        (3, 500),
        (30, 40),
        (2, 3, 9, 20),
    ]
    for shape in shapes:
        base = RNG.normal(size=shape)
        yield from (base, base.astype(np.float32), base.astype(np.float16), base * 1e6, base * 1e-6, base * 1e10)
        yield from (np.round(base * 10), np.round(base * 1e9), np.exp(base * 9), base > 0)
        yield from (np.asarray(base * 100).astype(dtype) for dtype in (np.int64, np.int32, np.int16, np.int8))
        yield np.abs(base * 100).astype(np.uint8)
        mixed = np.array(base)
        mixed[RNG.random(shape) < 0.5] = RNG.choice(SPECIAL)
        yield from (mixed, np.round(mixed), np.full(shape, RNG.choice(SPECIAL)))


@pytest.mark.parametrize("requires_grad", [False, True])
def test_text(requires_grad):
    for array in arrays():
        array = np.asarray(array)
        assert repr(to_ours(array, requires_grad)) == repr(to_torch(array, requires_grad))


@pytest.mark.parametrize(
    "array", [RNG.normal(size=(3, 8)), np.arange(20.0), RNG.normal(size=(30, 50)), RNG.normal(size=5)]
)
@pytest.mark.parametrize(
    "call",
    [
        lambda T, x: x + 1,
        lambda T, x: x.sum(),
        lambda T, x: x.sum(0),
        lambda T, x: x.float().exp(),
        lambda T, x: x.mean(0, keepdim=True),
        lambda T, x: x.max(0),
        lambda T, x: x.sort(),
        lambda T, x: x.max() * 2,
    ],
)
def test_grad_fn(call, array):
    assert repr(call(tg, to_ours(array, True))) == repr(call(torch, to_torch(array, True)))


@pytest.mark.parametrize(
    "settings",
    [
        dict(precision=2),
        dict(threshold=5),
        dict(threshold=5, edgeitems=1),
        dict(edgeitems=0, threshold=5),
        dict(linewidth=40),
        dict(sci_mode=True),
        dict(sci_mode=False),
        dict(profile="short"),
        dict(profile="full"),
    ],
)
def test_options(settings):
    torch.set_printoptions(**settings)
    tg.set_printoptions(**settings)
    try:
        for array in (
            RNG.normal(size=(4, 9)),
            RNG.normal(size=50) * 1e5,
            np.arange(8.0),
            np.arange(30).reshape(2, 3, 5),
        ):
            assert repr(to_ours(array)) == repr(to_torch(array))
    finally:
        torch.set_printoptions(profile="default")
        tg.set_printoptions(profile="default")


def test_default_dtype():
    for library in (torch, tg):
        library.set_default_dtype(library.float64)
    try:
        for dtype in (np.float32, np.float64):
            array = np.arange(3, dtype=dtype) / 2
            assert repr(to_ours(array)) == repr(to_torch(array))
    finally:
        for library in (torch, tg):
            library.set_default_dtype(library.float32)


def test_parameter():
    for array in (np.ones((2, 2), np.float32), RNG.normal(size=(30, 40))):
        ours, theirs = tg.nn.Parameter(to_ours(array)), torch.nn.Parameter(to_torch(array))
        assert repr(ours) == repr(theirs)
        assert repr(ours * 2) == repr(theirs * 2)
