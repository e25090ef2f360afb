"""Padding, resizing, sampling and rearranging against PyTorch."""

import itertools
import warnings

import numpy as np
import pytest

from tests.parity.compare import compare, compare_error, tg, torch

rng = np.random.default_rng(0)


def images(*shape, dtype=np.float64):
    return rng.uniform(-1, 1, shape).astype(dtype)


# ---------------------------------------------------------------------------------------------- padding
@pytest.mark.parametrize("pad", [(1, 2), (-1, 1, 0, -2), (0, 0), (), (1, 1, 2, 0, 0, 3), (1,) * 8, (-3, -2), [0, 1]])
@pytest.mark.parametrize("value", [None, 0, 2.5, -1])
def test_constant_padding(pad, value):
    for x in [images(2, 3, 4, 5), images(1, 2, 3, 5, dtype=np.float32), rng.integers(0, 9, (2, 3, 4, 5))]:
        compare(lambda T, x: T.nn.functional.pad(x, pad, value=value), x)


def test_constant_padding_of_odd_inputs():
    compare(lambda T, x: T.nn.functional.pad(x, (1, 1), "constant", 1), np.zeros((2, 3), bool))
    compare(lambda T, x: T.nn.functional.pad(x, (1, 1, 1, 1)), images(1, 2, 0, 5))
    compare(lambda T, x: T.nn.functional.pad(x, ()), np.array(3.0))
    compare(lambda T, x: T.nn.functional.pad(input=x, pad=(1, 0), mode="constant", value=float("-inf")), images(2, 3))


@pytest.mark.parametrize("mode", ["reflect", "replicate", "circular"])
@pytest.mark.parametrize(
    ("shape", "pad"),
    [
        ((2, 5), (1, 2)),
        ((2, 3, 5), (4, 0)),
        ((2, 4, 5), (1, 2, 3, 0)),
        ((1, 2, 4, 5), (2, 2, 1, 3)),
        ((1, 2, 4, 5), (-1, 1, 0, -2)),
        ((1, 2, 4, 5), (0, 0, 0, 0)),
        ((0, 2, 4, 5), (1, 1, 1, 1)),
        ((1, 1, 3, 4, 5), (1, 2, 0, 1, 2, 2)),
    ],
)
def test_border_padding(mode, shape, pad):
    compare(lambda T, x: T.nn.functional.pad(x, pad, mode=mode), images(*shape))
    compare(lambda T, x: T.nn.functional.pad(x, pad, mode), rng.integers(0, 9, shape))


def test_replicate_and_circular_padding_as_wide_as_the_input():
    compare(lambda T, x: T.nn.functional.pad(x, (9, 1, 0, 7), "replicate"), images(1, 2, 4, 5))
    compare(lambda T, x: T.nn.functional.pad(x, (5, 5, 4, 4), "circular"), images(1, 2, 4, 5))


@pytest.mark.parametrize(
    "call",
    [
        lambda F, x: F.pad(x, (-3, -3)),
        lambda F, x: F.pad(x, (1,)),
        lambda F, x: F.pad(x, (1, 1) * 5),
        lambda F, x: F.pad(x, 1),
        lambda F, x: F.pad(x, (1.5, 1)),
        lambda F, x: F.pad(x, (True, 1)),
        lambda F, x: F.pad(x, (1, 1), mode="bogus"),
        lambda F, x: F.pad(x, (1, 1), mode="reflect"),
        lambda F, x: F.pad(x[0, 0, 0], (1, 1), mode="reflect"),
        lambda F, x: F.pad(x[0, 0], (1, 1, 1, 1), mode="replicate"),
        lambda F, x: F.pad(x, (5, 1, 1, 1), mode="reflect"),
        lambda F, x: F.pad(x, (1, 1, 1, 6), mode="reflect"),
        lambda F, x: F.pad(x, (6, 5, 5, 5), mode="circular"),
        lambda F, x: F.pad(x, (1, 1, 1, 1), mode="reflect", value=1),
        lambda F, x: F.pad(x[:, :, :0], (1, 1, 1, 1), mode="replicate"),
        lambda F, x: F.pad(x, (-3, -3, 1, 1), mode="circular"),
        lambda F, x: F.pad(x, (-3, -3, 1, 1), mode="replicate"),
    ],
)
def test_refused_padding(call):
    compare_error(lambda T, x: call(T.nn.functional, x), images(1, 2, 5, 5))


# --------------------------------------------------------------------------------------------- resizing
SIZES = [7, 5, 1, 3, 10, (4, 9), [12, 2], (1, 5)]
SCALES = [2, 3.0, 0.5, 1.5, (2, 0.7), [0.34, 2.6], 1]


@pytest.mark.parametrize("settings", [dict(size=s) for s in SIZES] + [dict(scale_factor=s) for s in SCALES], ids=str)
@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
def test_interpolate(mode, settings):
    aligned = [None] if mode in ("nearest", "nearest-exact", "area") else [None, False, True]
    recompute = [None, True] if "scale_factor" in settings else [None]
    for align_corners, again in itertools.product(aligned, recompute):
        more = dict(mode=mode, align_corners=align_corners, recompute_scale_factor=again)
        compare(lambda T, x: T.nn.functional.interpolate(x, **settings, **more), images(2, 3, 6, 5))
    compare(lambda T, x: T.nn.functional.interpolate(x, **settings, mode=mode), images(1, 2, 5, 6, dtype=np.float32))


@pytest.mark.parametrize("mode", ["nearest", "nearest-exact", "linear", "area"])
@pytest.mark.parametrize("settings", [dict(size=9), dict(size=(3,)), dict(scale_factor=2.3), dict(scale_factor=[2])])
def test_interpolate_signals(mode, settings):
    compare(lambda T, x: T.nn.functional.interpolate(x, **settings, mode=mode), images(2, 3, 7))
    if mode == "linear":
        compare(lambda T, x: T.nn.functional.interpolate(x, **settings, mode=mode, align_corners=True), images(2, 3, 7))


def test_interpolate_of_special_inputs():
    compare(lambda T, x: T.nn.functional.interpolate(x, 7), rng.integers(0, 255, (1, 2, 3, 4)).astype(np.uint8))
    compare(lambda T, x: T.nn.functional.interpolate(x, 7, mode="bilinear"), images(0, 2, 3, 4))
    for mode in ("nearest", "bilinear", "bicubic"):  # channels-last memory, and sides beyond one band of the matrix
        more = {} if mode == "nearest" else dict(align_corners=False)
        compare(
            lambda T, x: T.nn.functional.interpolate(x.permute(0, 3, 1, 2), scale_factor=2, mode=mode, **more),
            images(1, 150, 140, 2),
        )
    compare(lambda T, x: T.nn.functional.interpolate(x, (150, 310), mode="bilinear"), images(1, 1, 300, 150))


@pytest.mark.parametrize(
    "call",
    [
        lambda F, x, i: F.interpolate(x),
        lambda F, x, i: F.interpolate(x, 7, 2),
        lambda F, x, i: F.interpolate(x, scale_factor=(2, 1.5, 2)),
        lambda F, x, i: F.interpolate(x, (2, 2, 2)),
        lambda F, x, i: F.interpolate(x, (7,)),
        lambda F, x, i: F.interpolate(x, 7, mode="linear"),
        lambda F, x, i: F.interpolate(x[0], 7, mode="bilinear"),
        lambda F, x, i: F.interpolate(x[0, 0], 7),
        lambda F, x, i: F.interpolate(x, 7, align_corners=True),
        lambda F, x, i: F.interpolate(x, 7, mode="area", align_corners=True),
        lambda F, x, i: F.interpolate(x, 7, mode="nearest", antialias=True),
        lambda F, x, i: F.interpolate(x, 7, mode="bogus"),
        lambda F, x, i: F.interpolate(x, 0),
        lambda F, x, i: F.interpolate(x, -1),
        lambda F, x, i: F.interpolate(x, scale_factor=0.1),
        lambda F, x, i: F.interpolate(x, 7.5),
        lambda F, x, i: F.interpolate(x, [7.0, 6]),
        lambda F, x, i: F.interpolate(x, scale_factor="a"),
        lambda F, x, i: F.interpolate(x, 7, recompute_scale_factor=True),
        lambda F, x, i: F.interpolate(i, 7),
        lambda F, x, i: F.interpolate(i, 7, mode="bilinear"),
        lambda F, x, i: F.interpolate(x[:, :0], 7),
        lambda F, x, i: F.interpolate(x[:, :, :0], 7),
    ],
)
def test_refused_interpolation(call):
    compare_error(lambda T, x, i: call(T.nn.functional, x, i), images(1, 2, 5, 5), np.arange(50).reshape(1, 2, 5, 5))


def test_old_names_warn():
    x = images(1, 2, 3, 4)
    for name in ("upsample", "upsample_nearest", "upsample_bilinear"):
        with pytest.warns(UserWarning, match="deprecated"):
            compare(lambda T, x: getattr(T.nn.functional, name)(x, scale_factor=2), x)
    with pytest.warns(UserWarning, match="align_corners"):
        compare(lambda T, x: T.nn.functional.grid_sample(x, x.permute(0, 2, 3, 1)), x)
    with pytest.warns(UserWarning, match="align_corners"):
        compare(lambda T, x: T.nn.functional.affine_grid(x, (2, 1, 3, 4)), images(2, 2, 3))


ANTIALIASED = [dict(size=s) for s in SIZES if s != 1] + [dict(scale_factor=s) for s in SCALES]


@pytest.mark.parametrize("settings", ANTIALIASED, ids=str)
@pytest.mark.parametrize("mode", ["bilinear", "bicubic"])
def test_antialias(mode, settings):
    recompute = [None, True] if "scale_factor" in settings else [None]
    for align_corners, again in itertools.product([None, False, True], recompute):
        more = dict(mode=mode, align_corners=align_corners, recompute_scale_factor=again, antialias=True)
        compare(lambda T, x: T.nn.functional.interpolate(x, **settings, **more), images(2, 3, 13, 11))
    x = images(1, 2, 11, 13, dtype=np.float32)
    compare(lambda T, x: T.nn.functional.interpolate(x, **settings, mode=mode, antialias=True), x)


def test_antialias_to_one_column():
    """PyTorch 2.13 repeats the first row here. The rows' means are 0.5, 2.5, 4.5, 6.5, their weights 3, 3, 1, 0."""
    x = tg.arange(8.0).reshape(1, 1, 4, 2)
    out = tg.nn.functional.interpolate(x, (2, 1), mode="bilinear", antialias=True)
    assert out.flatten().tolist() == pytest.approx([(0.5 * 3 + 2.5 * 3 + 4.5) / 7, (2.5 + 4.5 * 3 + 6.5 * 3) / 7])


# --------------------------------------------------------------------------------------------- sampling
@pytest.mark.parametrize("align_corners", [False, True])
@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_grid_sample(mode, padding_mode, align_corners):
    more = dict(mode=mode, padding_mode=padding_mode, align_corners=align_corners)
    for shape in [(2, 3, 4, 5), (1, 2, 1, 3)]:
        grid = rng.uniform(-3.3, 3.3, (shape[0], 4, 6, 2))
        compare(lambda T, x, g: T.nn.functional.grid_sample(x, g, **more), images(*shape), grid)
    grid = np.array([[[[np.nan, 0.1], [-1e30, 1e30] if padding_mode != "reflection" else [0.2, 0.3], [0.1, np.inf]]]])
    if mode != "bicubic":  # there PyTorch spreads NaN, and so do we, but not from infinite places
        compare(lambda T, x, g: T.nn.functional.grid_sample(x, g, **more), images(1, 2, 3, 4), grid, backward=False)


@pytest.mark.parametrize("padding_mode", ["zeros", "border"])
def test_grid_sample_of_the_identity(padding_mode):
    """Every place lies on a pixel, the outer ones on the border's kink."""

    def transform(T, theta, x):
        grid = T.nn.functional.affine_grid(theta, x.shape, align_corners=True)
        return T.nn.functional.grid_sample(x, grid, padding_mode=padding_mode, align_corners=True)

    theta = np.array([[[1.0, 0, 0], [0, 1.0, 0]]])
    compare(lambda T, theta, x: transform(T, theta * 1, x), theta, images(1, 2, 5, 5))


@pytest.mark.parametrize("align_corners", [False, True])
def test_affine_grid(align_corners):
    for size in [(2, 1, 3, 4), [2, 3, 5, 2], (2, 1, 2, 2)]:
        compare(lambda T, t: T.nn.functional.affine_grid(t, size, align_corners=align_corners), images(2, 2, 3))


def test_second_derivative_of_grid_sample():
    x, grid = images(1, 2, 4, 4), rng.uniform(-0.9, 0.9, (1, 2, 3, 2))
    inputs = [tg.tensor(v).requires_grad_() for v in (x, grid)]
    for mode in ("bilinear", "bicubic"):
        tg.testing.gradgradcheck(
            lambda x, g: tg.nn.functional.grid_sample(x, g, mode=mode, align_corners=False), inputs
        )


@pytest.mark.parametrize(
    "call",
    [
        lambda F, x, g, i: F.grid_sample(x, g[..., :1], align_corners=False),
        lambda F, x, g, i: F.grid_sample(x[:0], g, align_corners=False),
        lambda F, x, g, i: F.grid_sample(x, g[0], align_corners=False),
        lambda F, x, g, i: F.grid_sample(x, g.float(), align_corners=False),
        lambda F, x, g, i: F.grid_sample(x, g, "bogus", align_corners=False),
        lambda F, x, g, i: F.grid_sample(x, g, "bilinear", "bogus", align_corners=False),
        lambda F, x, g, i: F.grid_sample(x[:, :, :0], g, align_corners=False),
        lambda F, x, g, i: F.grid_sample(i, g, align_corners=False),
        lambda F, x, g, i: F.affine_grid(x[0, :, :2, :3], (1, 1, 3, 4), align_corners=False),
        lambda F, x, g, i: F.affine_grid(x[0, :, :3, :3], (2, 1, 3, 4), align_corners=False),
        lambda F, x, g, i: F.affine_grid(x[0, :, :2, :3], (2, 3, 4), align_corners=False),
        lambda F, x, g, i: F.affine_grid(i[0, :, :2, :3], (2, 1, 3, 4), align_corners=False),
        lambda F, x, g, i: F.affine_grid(x[0, :, :2, :3], (2, 1, 0, 4), align_corners=False),
        lambda F, x, g, i: F.pixel_shuffle(x, 2),
        lambda F, x, g, i: F.pixel_shuffle(x[0, 0], 2),
        lambda F, x, g, i: F.pixel_shuffle(x, 0),
        lambda F, x, g, i: F.pixel_shuffle(x, 1.5),
        lambda F, x, g, i: F.pixel_unshuffle(x, 2),
        lambda F, x, g, i: F.pixel_unshuffle(x, -1),
        lambda F, x, g, i: F.pixel_unshuffle(x[0, 0], 5),
        lambda F, x, g, i: F.channel_shuffle(x, 3),
        lambda F, x, g, i: F.channel_shuffle(x, 0),
        lambda F, x, g, i: F.channel_shuffle(x[0, 0], 5),
    ],
)
def test_refused_sampling(call):
    inputs = images(1, 2, 5, 5), rng.uniform(-1, 1, (1, 3, 4, 2)), np.arange(50).reshape(1, 2, 5, 5)
    compare_error(lambda T, x, g, i: call(T.nn.functional, x, g, i), *inputs)


# ------------------------------------------------------------------------------------------ rearranging
def test_shuffles():
    compare(lambda T, x: T.nn.functional.pixel_shuffle(x, 2), images(0, 4, 2, 2), backward=False)
    for shape in [(1, 8, 2, 3), (8, 2, 3), (2, 3, 4, 2, 2)]:
        compare(lambda T, x: T.nn.functional.pixel_shuffle(x, 2), images(*shape))
        compare(lambda T, x: T.nn.functional.pixel_shuffle(x, upscale_factor=1), images(*shape))
    for shape in [(1, 3, 4, 6), (3, 2, 4), (2, 3, 4, 2, 2)]:
        compare(lambda T, x: T.nn.functional.pixel_unshuffle(x, downscale_factor=2), images(*shape))
    for shape, groups in [((2, 6, 3, 2), 3), ((1, 4, 3), 2), ((2, 4, 1, 2, 3), 4)]:
        compare(lambda T, x: T.nn.functional.channel_shuffle(x, groups), images(*shape))
    compare(lambda T, x: T.nn.functional.pixel_shuffle(x, 2), np.arange(16).reshape(1, 4, 2, 2))


def test_grad_names():
    for T in (torch, tg):
        x, F = T.ones(1, 2, 4, 4, requires_grad=True), T.nn.functional
        assert F.pad(x, (1, 1)).grad_fn.name() == "ConstantPadNdBackward0"
        assert F.interpolate(x, 7).grad_fn.name() == "UpsampleNearest2DBackward0"
        assert F.interpolate(x, 7, mode="bilinear").grad_fn.name() == "UpsampleBilinear2DBackward0"
        assert F.interpolate(x, 7, mode="bicubic").grad_fn.name() == "UpsampleBicubic2DBackward0"
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            F.interpolate(x, 7, mode="area")
