"""Laws of pooling, normalisation, softmax and dropout."""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.laws import close, gradient, images, law
from tinygrad_cnn.nn import functional as F

inf = float("inf")


def _windows(draw, max_dilation=2):
    """An image that the windows fit in, and the settings of pooling."""
    h, v = draw.window(max_dilation=max_dilation), draw.window(max_dilation=max_dilation)
    settings = {name: (getattr(h, name), getattr(v, name)) for name in ("stride", "padding", "dilation")}
    return images(draw, h.size, v.size, distinct=True), (h.kernel, v.kernel), settings


# ------------------------------------------------------------------------------------------------- pooling
@law
def test_max_pooling_keeps_order(draw):
    x, kernel, settings = _windows(draw)
    larger = x + tg.tensor(draw.array(tuple(x.shape), 0.0, 1.0))
    assert (F.max_pool2d(larger, kernel, **settings) >= F.max_pool2d(x, kernel, **settings)).all()


@pytest.mark.parametrize("rising", [tg.exp, tg.atan, lambda x: 3 * x - 2, lambda x: x**3, tg.relu])
@law
def test_max_pooling_commutes_with_what_rises(draw, rising):
    x, kernel, settings = _windows(draw)
    out = F.max_pool2d(x, kernel, **settings)
    found = out > -inf  # a dilated window can lie around the image
    close(F.max_pool2d(rising(x), kernel, **settings)[found], rising(out)[found])


@law
def test_max_pooling_by_rows_and_columns(draw):
    x, (high, wide), settings = _windows(draw)
    rows = {name: (v[0], 0 if name == "padding" else 1) for name, v in settings.items()}
    columns = {name: (0 if name == "padding" else 1, v[1]) for name, v in settings.items()}
    in_turn = F.max_pool2d(F.max_pool2d(x, (high, 1), **rows), (1, wide), **columns)
    close(in_turn, F.max_pool2d(x, (high, wide), **settings))


@law
def test_indices_point_at_the_maxima(draw):
    x, kernel, settings = _windows(draw)
    out, indices = F.max_pool2d(x, kernel, **settings, return_indices=True)
    found = out > -inf  # a dilated window can lie around the image
    close(x.flatten(2).gather(2, indices.flatten(2).clamp(min=0)).reshape(out.shape)[found], out[found])
    back = F.max_unpool2d(*F.max_pool2d(x, 1, return_indices=True), 1)
    close(back, x)


@law
def test_ceil_mode_is_the_floor_rule_on_a_wider_image(draw):
    x, kernel, settings = _windows(draw)
    out = F.max_pool2d(x, kernel, **settings, ceil_mode=True)
    borders = []
    for side, size in enumerate(x.shape[2:]):
        s, p, d = (settings[name][side] for name in ("stride", "padding", "dilation"))
        reach = d * (kernel[side] - 1)
        count = math.ceil((size + 2 * p - reach - 1) / s) + 1
        if (count - 1) * s >= size + p:  # the last window must begin inside the image or its left border
            count -= 1
        assert out.shape[2 + side] == count
        borders.append((p, max(0, (count - 1) * s + reach + 1 - size - p)))
    wider = F.pad(x, (*borders[1], *borders[0]), value=-inf)
    stride, dilation = settings["stride"], settings["dilation"]
    floor = F.max_pool2d(wider, kernel, stride, 0, dilation)[:, :, : out.shape[2], : out.shape[3]]
    close(out, floor)


@law
def test_mean_pooling_and_its_border(draw):
    x, kernel, settings = _windows(draw, max_dilation=1)
    stride, padding = settings["stride"], settings["padding"]
    counted = F.avg_pool2d(x, kernel, stride, padding, ceil_mode=False, count_include_pad=True)
    close(counted, F.avg_pool2d(F.pad(x, (padding[1],) * 2 + (padding[0],) * 2), kernel, stride))
    part = F.avg_pool2d(tg.ones_like(x), kernel, stride, padding, count_include_pad=True)
    close(F.avg_pool2d(x, kernel, stride, padding, count_include_pad=False), counted / part)
    size = kernel[0] * kernel[1]
    close(F.avg_pool2d(x, kernel, stride, padding, divisor_override=3), counted * size / 3)


@law
def test_mean_pooling_is_a_convolution(draw):
    x, kernel, settings = _windows(draw, max_dilation=1)
    weight = tg.full((x.shape[1], 1, *kernel), 1 / (kernel[0] * kernel[1]), dtype=tg.float64)
    del settings["dilation"]
    close(F.avg_pool2d(x, kernel, **settings), F.conv2d(x, weight, groups=x.shape[1], **settings))


@law
def test_a_mean_is_no_larger_than_the_maximum(draw):
    x, kernel, settings = _windows(draw, max_dilation=1)
    del settings["dilation"]
    mean = F.avg_pool2d(x, kernel, **settings, count_include_pad=False)
    assert (mean <= F.max_pool2d(x, kernel, **settings) + 1e-12).all()


@law
def test_adaptive_pooling_into_equal_parts_is_pooling(draw):
    out, kernel = (draw.integer(1, 3), draw.integer(1, 3)), (draw.integer(1, 3), draw.integer(1, 3))
    x = images(draw, out[0] * kernel[0], out[1] * kernel[1], distinct=True)
    close(F.adaptive_avg_pool2d(x, out), F.avg_pool2d(x, kernel))
    close(F.adaptive_max_pool2d(x, out), F.max_pool2d(x, kernel))
    close(F.adaptive_avg_pool2d(x, 1), x.mean((2, 3), keepdim=True))


@law
def test_power_pooling_of_what_is_positive(draw):
    x = images(draw, 4, 6).abs() + 0.1
    close(F.lp_pool2d(x, 1, 2), 4 * F.avg_pool2d(x, 2))
    close(F.lp_pool2d(x, 2, 2) ** 2, 4 * F.avg_pool2d(x**2, 2))


# ------------------------------------------------------------------------------------------- normalisation
def _batch(draw):
    shape = (draw.integer(2, 3), 2 * draw.integer(1, 2), draw.integer(1, 3), draw.integer(2, 3))
    return tg.tensor(draw.distinct(shape))


def _normalise(x, **settings):
    return F.batch_norm(x, None, None, training=True, eps=1e-300, **settings)


def _channels(draw, x, low, high):
    return tg.tensor(draw.array((x.shape[1], 1, 1), low, high))


@law
def test_batch_norm_sees_neither_scale_nor_shift(draw):
    x = _batch(draw)
    scaled = _channels(draw, x, 0.5, 3.0) * x + _channels(draw, x, -3.0, 3.0)
    close(_normalise(scaled), _normalise(x), rtol=1e-7, atol=1e-8)
    close(_normalise(-x), -_normalise(x), rtol=1e-7, atol=1e-8)


@law
def test_batch_norm_is_normal_and_twice_is_once(draw):
    x = _batch(draw)
    out = _normalise(x)
    close(out.mean((0, 2, 3)), tg.zeros(x.shape[1]).double(), atol=1e-9)
    close((out**2).mean((0, 2, 3)), tg.ones(x.shape[1]).double(), rtol=1e-9)
    close(_normalise(out), out, rtol=1e-7, atol=1e-8)


@law
def test_batch_norms_weight_and_bias_come_last(draw):
    x = _batch(draw)
    w, b = _channels(draw, x, 0.5, 1.0), _channels(draw, x, -1.0, 1.0)
    close(_normalise(x, weight=w.flatten(), bias=b.flatten()), w * _normalise(x) + b)


@law
def test_batch_norms_gradient_is_orthogonal_to_scale_and_shift(draw):
    x = _batch(draw).requires_grad_()
    g = gradient(_normalise(x), tg.tensor(draw.array(tuple(x.shape))), x)
    close(g.sum((0, 2, 3)), tg.zeros(x.shape[1]).double(), atol=1e-8)
    close((g * x).sum((0, 2, 3)), tg.zeros(x.shape[1]).double(), atol=1e-8)


@law
def test_running_statistics_are_averages(draw):
    momentum = draw.choice([0.1, 0.5, 1.0, None])
    layer = tg.nn.BatchNorm2d(2, momentum=momentum).double()
    mean, variance = np.zeros(2), np.ones(2)
    for step in range(1, draw.integer(1, 3) + 1):
        x = draw.distinct((2, 2, 3, 1))
        layer(tg.tensor(x))
        share = 1 / step if momentum is None else momentum
        mean += share * (x.mean((0, 2, 3)) - mean)
        variance += share * (x.var((0, 2, 3), ddof=1) - variance)
    close(layer.running_mean, mean)
    close(layer.running_var, variance)
    x = tg.tensor(draw.distinct((2, 2, 3, 1)))
    standard = (x - layer.running_mean[:, None, None]) / (layer.running_var[:, None, None] + layer.eps).sqrt()
    close(layer.eval()(x), standard)


@law
def test_norms_of_groups_meet(draw):
    x = _batch(draw)
    n, c = x.shape[:2]
    w, b = tg.tensor(draw.array((c,), 0.5, 1.0)), tg.tensor(draw.array((c,)))
    close(F.group_norm(x, 1), F.layer_norm(x, x.shape[1:]))
    close(F.group_norm(x, c, w, b), F.instance_norm(x, weight=w, bias=b))
    one_by_one = [F.batch_norm(x[i : i + 1], None, None, w, b, training=True) for i in range(n)]
    close(F.instance_norm(x, weight=w, bias=b), tg.cat(one_by_one))
    close(F.group_norm(x, 2), F.layer_norm(x.unflatten(1, (2, c // 2)), (c // 2, *x.shape[2:])).flatten(1, 2))
    close(F.layer_norm(x, x.shape[3:]), F.instance_norm(x.flatten(0, 2)[None])[0].reshape(x.shape))


@law
def test_layer_norm_sees_neither_scale_nor_shift(draw):
    x = tg.tensor(draw.distinct((3, 5)))
    rows = tg.tensor(draw.array((3, 1), 0.5, 3.0)), tg.tensor(draw.array((3, 1)))
    close(F.layer_norm(rows[0] * x + rows[1], (5,), eps=0.0), F.layer_norm(x, (5,), eps=0.0), 1e-7, 1e-8)
    centred = x - x.mean(1, keepdim=True)
    close(F.rms_norm(centred, (5,), eps=1e-5), F.layer_norm(x, (5,), eps=1e-5))
    close(F.rms_norm(rows[0] * x, (5,), eps=0.0), F.rms_norm(x, (5,), eps=0.0), 1e-7, 1e-8)


@law
def test_local_response_norm_divides_by_neighbours(draw):
    x, size = images(draw), draw.integer(1, 4)
    squares = F.pad(x**2, (0, 0, 0, 0, size // 2, (size - 1) // 2))
    near = sum(squares[:, i : i + x.shape[1]] for i in range(size)) / size
    close(F.local_response_norm(x, size, 0.5, 0.75, 2.0), x / (2.0 + 0.5 * near) ** 0.75)


@law
def test_unit_vectors(draw):
    x, p = tg.tensor(draw.array((3, 4), away_from=(0,))), draw.choice([1.0, 2.0, 3.0])
    close(F.normalize(x, p).norm(p, 1), tg.ones(3).double())
    close(F.normalize(2.5 * x, p), F.normalize(x, p))
    close(F.cosine_similarity(x, 3 * x), tg.ones(3).double())


# ------------------------------------------------------------------------------------------------- softmax
@law
def test_softmax_is_a_distribution_that_sees_no_shift(draw):
    x = tg.tensor(draw.array((2, 4, 3), -3.0, 3.0))
    dim = draw.dim(3)
    shift = tg.tensor(draw.array((2, 4, 3), -100.0, 100.0)).mean(dim, keepdim=True)
    out = F.softmax(x, dim)
    close(F.softmax(x + shift, dim), out)
    close(F.log_softmax(x + shift, dim), F.log_softmax(x, dim), atol=1e-9)
    close(tg.logsumexp(x + shift, dim, keepdim=True), tg.logsumexp(x, dim, keepdim=True) + shift)
    close(out.sum(dim), tg.ones_like(out.sum(dim)))
    close(F.log_softmax(x, dim).exp(), out)
    close(F.softmin(-x, dim), out)
    close(out, (x - tg.logsumexp(x, dim, keepdim=True)).exp())
    order = tg.tensor(np.argsort(draw.distinct((x.shape[dim],))))
    close(F.softmax(x.index_select(dim, order), dim), out.index_select(dim, order))


@pytest.mark.parametrize("function", [F.softmax, F.softmin])
@law
def test_a_softmaxs_gradient_sums_to_nothing(draw, function):
    x = tg.tensor(draw.array((2, 4))).requires_grad_()
    g = gradient(function(x, 1), tg.tensor(draw.array((2, 4))), x)
    close(g.sum(1), tg.zeros(2).double())


@law
def test_two_classes_are_a_sigmoid(draw):
    x = tg.tensor(draw.array((3, 2), -3.0, 3.0))
    close(F.softmax(x, 1)[:, 0], tg.sigmoid(x[:, 0] - x[:, 1]))
    close(F.logsigmoid(x[:, 0] - x[:, 1]), F.log_softmax(x, 1)[:, 0])


# ------------------------------------------------------------------------------------------------- dropout
DROPOUTS = {"dropout": (3, 4, 2, 2), "dropout1d": (3, 4, 4), "dropout2d": (3, 4, 2, 2), "dropout3d": (3, 4, 2, 1, 2)}


@pytest.mark.parametrize("name", DROPOUTS)
@law
def test_dropout_keeps_or_drops(draw, name):
    function, p = getattr(F, name), draw.choice([0.25, 0.5, 0.9])
    x = tg.tensor(draw.array(DROPOUTS[name], away_from=(0,)))
    tg.manual_seed(draw.integer(0, 1000))
    out = function(x, p, True)
    kept = out != 0
    close(out[kept], x[kept] / (1 - p))
    if name != "dropout":  # whole channels
        channels = kept.flatten(2)
        assert (channels == channels[:, :, :1]).all()
    assert tg.equal(function(x, p, False), x)
    close(function(x, 0.0, True), x)
    assert not function(x, 1.0, True).any()


@pytest.mark.parametrize("name", DROPOUTS)
@law
def test_the_gradient_of_dropout_has_its_mask(draw, name):
    x = tg.tensor(draw.array(DROPOUTS[name], away_from=(0,))).requires_grad_()
    tg.manual_seed(draw.integer(0, 1000))
    out = getattr(F, name)(x, draw.choice([0.3, 0.6, 1.0]), True)
    g = tg.tensor(draw.array(DROPOUTS[name]))
    close(gradient(out, g, x), g * out.detach() / x.detach())


@pytest.mark.parametrize("p", [0.0, 0.2, 0.7, 1.0])
@pytest.mark.parametrize("name", DROPOUTS)
def test_dropout_keeps_the_expectation_and_drops_so_many(name, p):
    tg.manual_seed(0)
    out = getattr(F, name)(tg.ones(300, 40, *DROPOUTS[name][2:]), p, True)
    assert (out == 0).double().mean().item() == pytest.approx(p, abs=0.02)
    assert out.mean().item() == pytest.approx(1.0 if p < 1 else 0.0, abs=0.05)


@law
def test_alpha_dropout_moves_the_dropped_to_one_value(draw):
    p = draw.choice([0.2, 0.5])
    x = tg.tensor(draw.array((5, 8)))
    tg.manual_seed(draw.integer(0, 1000))
    out = F.alpha_dropout(x, p, True)
    floor = -1.0507009873554805 * 1.6732632423543772
    scale = ((1 - p) * (1 + p * floor**2)) ** -0.5
    kept = (out - (scale * x - scale * p * floor)).abs() < 1e-9
    close(out[~kept], tg.full_like(out[~kept], scale * (floor - p * floor)), rtol=1e-6)
    close(F.alpha_dropout(x, 0.0, True), x)
