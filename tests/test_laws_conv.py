"""Laws of the linear operations: of convolution and its adjoint above all, of padding, resizing, unfolding."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.laws import close, convolution, gradient, images, inner, law, slack
from tinygrad_cnn.nn import functional as F


def _convolution(draw):
    x, w, settings, _ = convolution(draw)
    return lambda x, w: F.conv2d(x, w, **settings), x, w


def _transposed(draw):
    x, w, settings, out = convolution(draw)
    y = tg.tensor(draw.array((x.shape[0], w.shape[0], *out)))
    rest = slack(x, w, settings, out)
    return lambda y, w: F.conv_transpose2d(y, w, output_padding=rest, **settings), y, w


def _signal(draw):
    window = draw.window()
    x, w = tg.tensor(draw.array((2, 2, window.size))), tg.tensor(draw.array((3, 2, window.kernel)))
    return lambda x, w: F.conv1d(x, w, None, window.stride, window.padding, window.dilation), x, w


def _linear(draw):
    shape = (*draw.shape(max_dims=2), 3)
    return F.linear, tg.tensor(draw.array(shape)), tg.tensor(draw.array((2, 3)))


def _bilinear(draw):
    sizes = (2, 3), (2, 4), (5, 3, 4)
    return F.bilinear, *(tg.tensor(draw.array(size)) for size in sizes)


def _matmul(draw):
    n, m, k = draw.integer(1, 3), draw.integer(1, 3), draw.integer(1, 3)
    return tg.matmul, tg.tensor(draw.array((2, n, m))), tg.tensor(draw.array((m, k)))


def _avg_pool(draw):
    h, v = draw.window(max_dilation=1), draw.window(max_dilation=1)
    settings = dict(stride=(h.stride, v.stride), padding=(h.padding, v.padding), count_include_pad=draw.boolean())
    x = images(draw, h.size, v.size)
    return lambda x: F.avg_pool2d(x, (h.kernel, v.kernel), ceil_mode=False, **settings), x


def _adaptive_avg_pool(draw):
    size = draw.integer(1, 4), draw.integer(1, 4)
    return lambda x: F.adaptive_avg_pool2d(x, size), images(draw)


def _interpolate(draw):
    mode = draw.choice(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
    corners = draw.boolean() if mode in ("bilinear", "bicubic") else None
    size = draw.integer(1, 8), draw.integer(1, 8)
    return lambda x: F.interpolate(x, size, mode=mode, align_corners=corners), images(draw)


def _pad(draw):
    mode = draw.choice(["constant", "reflect", "replicate", "circular"])
    widths = tuple(draw.integer(-1 if mode == "constant" else 0, 1) for _ in range(4))
    return lambda x: F.pad(x, widths, mode), images(draw, draw.integer(3, 5), draw.integer(3, 5))


def _unfold(draw):
    x, w, settings, _ = convolution(draw)
    del settings["groups"]
    return lambda x: F.unfold(x, w.shape[2:], **settings), x


def _fold(draw):
    x, w, settings, out = convolution(draw)
    del settings["groups"]
    columns = tg.tensor(draw.array((x.shape[0], 2 * w.shape[2] * w.shape[3], out[0] * out[1])))
    return lambda columns: F.fold(columns, x.shape[2:], w.shape[2:], **settings), columns


def _max_unpool(draw):
    x = images(draw, 4, 4, distinct=True)
    indices = F.max_pool2d(x, 2, return_indices=True)[1]
    return lambda y: F.max_unpool2d(y, indices, 2), tg.tensor(draw.array(tuple(indices.shape)))


def _embedding(draw):
    indices = tg.tensor(draw.integers((2, 3), 0, 3))
    return lambda w: F.embedding(indices, w), tg.tensor(draw.array((4, 2)))


def _grid_sample(draw):
    grid = tg.tensor(draw.array((1, 2, 3, 2), -1.3, 1.3))
    padding, corners = draw.choice(["zeros", "border", "reflection"]), draw.boolean()
    x = tg.tensor(draw.array((1, 2, 3, 4)))
    return lambda x: F.grid_sample(x, grid, padding_mode=padding, align_corners=corners), x


def _shuffle(draw):
    return lambda x: F.pixel_unshuffle(F.pixel_shuffle(x, 2), 4), tg.tensor(draw.array((1, 4, 2, 4)))


def _normalise_in_eval(draw):
    mean, variance = tg.tensor(draw.array((2,))) * 0, tg.tensor(draw.array((2,), 0.5, 2.0))
    return lambda x: F.batch_norm(x, mean, variance), tg.tensor(draw.array((3, 2, 2)))


def _getitem(draw):
    step, index = draw.integer(1, 2), tg.tensor(draw.integers((3,), 0, 2))
    return lambda x: x[index, ::step], tg.tensor(draw.array((3, 4)))


def _cumsum(draw):
    dim = draw.dim(3)
    return lambda x: tg.cumsum(x, dim), tg.tensor(draw.array((2, 3, 2)))


def _mean(draw):
    dim = draw.dim(3)
    return lambda x: x.mean(dim), tg.tensor(draw.array((2, 3, 2)))


LINEAR = {  # what draws a function, and the arguments in each of which it is linear
    "conv2d": _convolution,
    "conv1d": _signal,
    "conv_transpose2d": _transposed,
    "linear": _linear,
    "bilinear": _bilinear,
    "matmul": _matmul,
    "avg_pool2d": _avg_pool,
    "adaptive_avg_pool2d": _adaptive_avg_pool,
    "interpolate": _interpolate,
    "pad": _pad,
    "unfold": _unfold,
    "fold": _fold,
    "max_unpool2d": _max_unpool,
    "embedding": _embedding,
    "grid_sample": _grid_sample,
    "pixel_shuffle": _shuffle,
    "batch_norm in eval": _normalise_in_eval,
    "getitem": _getitem,
    "cumsum": _cumsum,
    "mean": _mean,
}


@pytest.mark.parametrize("name", LINEAR)
@law
def test_linear_in_each_argument(draw, name):
    function, *arguments = LINEAR[name](draw)
    for place, first in enumerate(arguments):
        second = tg.tensor(draw.array(tuple(first.shape)))

        def at(value, place=place):
            return function(*arguments[:place], value, *arguments[place + 1 :])

        close(at(2.5 * first - second), 2.5 * at(first) - at(second))


@pytest.mark.parametrize("name", LINEAR)
@law
def test_the_gradient_is_the_adjoint(draw, name):
    """<A x, y> = <x, A* y>, and the adjoint of the adjoint is A again."""
    function, *arguments = LINEAR[name](draw)
    for place, value in enumerate(arguments):
        x = value.clone().requires_grad_()
        output = function(*arguments[:place], x, *arguments[place + 1 :])
        y = tg.tensor(draw.array(tuple(output.shape))).requires_grad_()
        (back,) = tg.autograd.grad(output, x, y, create_graph=True)
        assert inner(output, y) == pytest.approx(inner(x, back), abs=1e-9)
        close(gradient(back, x.detach(), y), output)


# --------------------------------------------------------------------------------------------- convolution
@law
def test_transposed_convolution_is_the_adjoint(draw):
    x, w, settings, out = convolution(draw)
    y = tg.tensor(draw.array((x.shape[0], w.shape[0], *out)))
    back = F.conv_transpose2d(y, w, output_padding=slack(x, w, settings, out), **settings)
    assert back.shape == x.shape
    assert inner(F.conv2d(x, w, **settings), y) == pytest.approx(inner(x, back), abs=1e-9)


@law
def test_convolution_moves_with_the_image(draw):
    k, stride, dilation = draw.choice([1, 3]), draw.integer(1, 2), draw.integer(1, 2)
    x = images(draw, 6, 8)
    w = tg.tensor(draw.array((2, x.shape[1], k, k)))
    border = dilation * (k - 1) // 2

    def around(x):  # on a torus, where there is no border
        return F.conv2d(F.pad(x, (border,) * 4, "circular"), w, stride=stride, dilation=dilation)

    down, right = draw.integer(0, 2), draw.integer(0, 3)
    moved = around(x.roll((stride * down, stride * right), (2, 3)))
    close(moved, around(x).roll((down, right), (2, 3)))


@law
def test_groups_are_convolutions_beside_each_other(draw):
    x, w, settings, size = convolution(draw)
    groups = settings.pop("groups")
    parts = zip(x.chunk(groups, 1), w.chunk(groups, 0), strict=True)
    out = F.conv2d(x, w, groups=groups, **settings)
    close(out, tg.cat([F.conv2d(a, b, **settings) for a, b in parts], 1))
    back = dict(settings, output_padding=slack(x, w, settings, size))
    parts = zip(out.chunk(groups, 1), w.chunk(groups, 0), strict=True)
    close(
        F.conv_transpose2d(out, w, groups=groups, **back),
        tg.cat([F.conv_transpose2d(a, b, **back) for a, b in parts], 1),
    )


@law
def test_depthwise_is_a_convolution_of_each_channel(draw):
    x = images(draw, 5, 5)
    channels, per = x.shape[1], draw.integer(1, 2)
    w, b = tg.tensor(draw.array((channels * per, 1, 3, 2))), tg.tensor(draw.array((channels * per,)))
    alone = [
        F.conv2d(x[:, c : c + 1], w[c * per : (c + 1) * per], b[c * per : (c + 1) * per], 2, 1) for c in range(channels)
    ]
    close(F.conv2d(x, w, b, 2, 1, groups=channels), tg.cat(alone, 1))


@law
def test_dilation_is_a_kernel_with_gaps(draw):
    x, w, settings, _ = convolution(draw)
    h, v = settings.pop("dilation")
    spread = tg.zeros(*w.shape[:2], h * (w.shape[2] - 1) + 1, v * (w.shape[3] - 1) + 1, dtype=tg.float64)
    spread[:, :, ::h, ::v] = w
    close(F.conv2d(x, w, dilation=(h, v), **settings), F.conv2d(x, spread, **settings))


@law
def test_stride_is_a_choice_of_pixels(draw):
    x, w, settings, _ = convolution(draw)
    h, v = settings.pop("stride")
    close(F.conv2d(x, w, stride=(h, v), **settings), F.conv2d(x, w, **settings)[:, :, ::h, ::v])


@law
def test_padding_is_a_border_of_zeros(draw):
    x, w, settings, _ = convolution(draw)
    h, v = settings.pop("padding")
    close(F.conv2d(x, w, padding=(h, v), **settings), F.conv2d(F.pad(x, (v, v, h, h)), w, **settings))


@law
def test_a_kernel_of_one_pixel_is_a_matrix_product(draw):
    x = images(draw)
    w, b = tg.tensor(draw.array((3, x.shape[1]))), tg.tensor(draw.array((3,)))
    close(F.conv2d(x, w[:, :, None, None], b), F.linear(x.permute(0, 2, 3, 1), w, b).permute(0, 3, 1, 2))


@law
def test_bias_is_added_to_each_pixel(draw):
    x, w, settings, _ = convolution(draw)
    b = tg.tensor(draw.array((w.shape[0],)))
    close(F.conv2d(x, w, b, **settings), F.conv2d(x, w, **settings) + b[:, None, None])


@law
def test_convolution_is_a_product_with_unfolded_windows(draw):
    x, w, settings, out = convolution(draw)
    x = x[:, : w.shape[1]]  # one group
    del settings["groups"]
    product = w.flatten(1) @ F.unfold(x, w.shape[2:], **settings)
    close(F.conv2d(x, w, **settings), product.unflatten(2, out))


@law
def test_channels_may_be_reordered(draw):
    x = images(draw, 5, 4)
    w = tg.tensor(draw.array((3, x.shape[1], 3, 2)))
    order = tg.tensor(np.argsort(draw.distinct((x.shape[1],))))
    close(F.conv2d(x[:, order], w[:, order]), F.conv2d(x, w))
    filters = tg.tensor(np.argsort(draw.distinct((3,))))
    close(F.conv2d(x, w[filters]), F.conv2d(x, w)[:, filters])


@law
def test_transposing_image_and_kernel_transposes_the_result(draw):
    x, w, settings, _ = convolution(draw)
    swapped = {name: v[::-1] if isinstance(v, tuple) else v for name, v in settings.items()}
    close(F.conv2d(x.mT, w.mT, **swapped), F.conv2d(x, w, **settings).mT)


@law
def test_a_signal_is_an_image_of_one_row(draw):
    window = draw.window()
    x, w = tg.tensor(draw.array((2, 2, window.size))), tg.tensor(draw.array((3, 2, window.kernel)))
    stride, padding, dilation = window.stride, window.padding, window.dilation
    rows = dict(stride=(1, stride), padding=(0, padding), dilation=(1, dilation))
    out = F.conv1d(x, w, None, stride, padding, dilation)
    close(out, F.conv2d(x[:, :, None], w[:, :, None], **rows)[:, :, 0])
    rest = slack(x[:, :, None], w[:, :, None], rows, (1, window.out))
    back = F.conv_transpose1d(out, w, None, stride, padding, rest[1], dilation=dilation)
    close(back, F.conv_transpose2d(out[:, :, None], w[:, :, None], output_padding=rest, **rows)[:, :, 0])


# --------------------------------------------------------------------------------------- unfolding, padding
@law
def test_fold_of_unfold_counts_the_windows(draw):
    x, w, settings, _ = convolution(draw)
    del settings["groups"]

    def there_and_back(x):
        return F.fold(F.unfold(x, w.shape[2:], **settings), x.shape[2:], w.shape[2:], **settings)

    counts = there_and_back(tg.ones_like(x))
    close(there_and_back(x), counts * x)
    assert (counts == counts.round()).all()
    assert counts.max().item() <= w.shape[2] * w.shape[3]


@law
def test_padding_twice_is_padding_once(draw):
    x = images(draw, 4, 4)
    mode = draw.choice(["constant", "replicate"])
    a, b = (tuple(draw.integer(0, 2) for _ in range(4)) for _ in range(2))
    once = F.pad(x, tuple(i + j for i, j in zip(a, b, strict=True)), mode)
    close(F.pad(F.pad(x, a, mode), b, mode), once)
    close(F.pad(once, tuple(-i - j for i, j in zip(a, b, strict=True))), x)


@law
def test_pixel_shuffle_is_undone(draw):
    x = tg.tensor(draw.array((draw.integer(1, 2), 4 * draw.integer(1, 2), draw.integer(1, 3), 2)))
    close(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2), x)


@law
def test_resizing_keeps_constants_and_its_own_size(draw):
    mode = draw.choice(["nearest", "nearest-exact", "bilinear", "bicubic", "area"])
    corners = draw.boolean() if mode in ("bilinear", "bicubic") else None
    size = draw.integer(1, 7), draw.integer(1, 7)
    x = images(draw)
    close(F.interpolate(tg.ones_like(x), size, mode=mode, align_corners=corners), tg.ones(*x.shape[:2], *size).double())
    close(F.interpolate(x, x.shape[2:], mode=mode, align_corners=corners), x)


@law
def test_the_identity_grid_gives_the_image(draw):
    x, corners = images(draw), draw.boolean()
    theta = tg.tensor([[[1.0, 0, 0], [0, 1, 0]]], dtype=tg.float64).expand(x.shape[0], 2, 3)
    grid = F.affine_grid(theta, tuple(x.shape), align_corners=corners)
    close(F.grid_sample(x, grid, align_corners=corners), x)
