"""Arrays as large as real networks have against PyTorch, in float32: only they reach blocks, bands and threads unaided.

Sizes are odd and mixed, and memory is channels-first or channels-last, of images and of upstream alike.
"""

import math

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import torch
from tinygrad_cnn.kernels.windows import output_sizes, reach
from tinygrad_cnn.testing.draw import Draw, RandomSource

LARGEST = 1_000_000  # elements


def normal(rng, *shape):
    return rng.normal(size=shape).astype(np.float32)


def images(draw, rng, channels, least=4, largest=LARGEST):
    """Images (N,C,H,W) with up to ``largest`` elements."""
    n = draw.choice([1, 1, 2, 8, 33])
    most = math.isqrt(largest // (n * channels))
    side = min(draw.choice([16, 60, 300]), most)
    return normal(rng, n, channels, *(draw.integer(least, max(side, least)) for _ in range(2)))


def convolution(draw, rng):
    groups = draw.choice([1, 1, 1, 2, "depthwise"])
    c, f = (draw.choice([1, 2, 3, 8, 16, 32, 64, 100]) for _ in range(2))
    if groups == "depthwise":
        groups, c, f = c, 1, draw.choice([1, 2])
    kernel = draw.choice([(3, 3), (3, 3), (3, 3), (5, 5), (1, 1), (3, 1), (1, 3), (5, 3), (7, 7), (2, 2), (11, 11)])
    stride = draw.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2), (2, 1), (4, 4)])
    dilation = draw.choice([(1, 1), (1, 1), (1, 1), (2, 2), (1, 2)])
    covered = reach((1, 1), kernel, (1, 1), dilation)
    padding = tuple(draw.integer(0, side // 2) for side in covered)
    x = images(draw, rng, groups * c, max(covered), LARGEST * c // max(c, f))
    w = normal(rng, groups * f, c, *kernel) / np.float32(math.sqrt(c * math.prod(kernel)))
    settings = dict(stride=stride, padding=padding, dilation=dilation, groups=groups)
    if draw.boolean():
        return lambda T, x, w, b: T.nn.functional.conv2d(x, w, b, **settings), x, w, normal(rng, groups * f)
    size = output_sizes(x.shape[2:], kernel, stride, padding, dilation)
    results = normal(rng, len(x), groups * f, *size)
    return lambda T, g, w: T.nn.functional.conv_transpose2d(g, w, **settings), results, w


def convolution_of_a_large_image(draw, rng):
    c, f, side = draw.choice([8, 16, 32, 64]), draw.choice([8, 16, 32, 64]), draw.choice([3, 3, 5])
    most = math.isqrt(2 * LARGEST // max(c, f))
    x, w = normal(rng, 1, c, draw.integer(100, most), draw.integer(100, most)), normal(rng, f, c, side, side) / side
    padding = draw.integer(0, side - 1)
    return lambda T, x, w: T.nn.functional.conv2d(x, w, padding=padding), x, w


def pooling(draw, rng):
    x = images(draw, rng, draw.choice([1, 3, 8, 32, 64, 100]), 8)
    kernel = draw.choice([(2, 2), (3, 3), (2, 3), (5, 5)])
    settings = dict(
        stride=draw.choice([None, (2, 2), (1, 1), (3, 3), (2, 1)]),
        padding=tuple(draw.integer(0, k // 2) for k in kernel),
        ceil_mode=draw.boolean(),
    )
    out, counted = (draw.integer(1, 12), draw.integer(1, 12)), draw.boolean()
    calls = [
        lambda T, x: T.nn.functional.max_pool2d(x, kernel, **settings),
        lambda T, x: T.nn.functional.avg_pool2d(x, kernel, **settings, count_include_pad=counted),
        lambda T, x: T.nn.functional.adaptive_avg_pool2d(x, out),
        lambda T, x: T.nn.functional.adaptive_max_pool2d(x, out),
    ]
    return draw.choice(calls), x


def norm(draw, rng):
    c = draw.choice([4, 8, 12, 32, 64, 96])
    x = images(draw, rng, c) * 3 + draw.choice([0, 5])
    groups = draw.choice([1, 2, 4])
    call = draw.choice(
        [
            lambda T, x, w, b: T.nn.functional.batch_norm(x, None, None, w, b, True),
            lambda T, x, w, b: T.nn.functional.group_norm(x, groups, w, b),
            lambda T, x, w, b: T.nn.functional.layer_norm(x.movedim(1, -1), (c,), w, b),
        ]
    )
    return call, x, normal(rng, c), normal(rng, c)


def resizing(draw, rng):
    x = images(draw, rng, draw.choice([1, 3, 8, 32]), largest=LARGEST // 4)
    size, mode = (draw.integer(1, 150), draw.integer(1, 150)), draw.choice(["nearest", "bilinear", "bicubic", "area"])
    corners = draw.boolean() if mode.startswith("bi") else None
    return lambda T, x: T.nn.functional.interpolate(x, size=size, mode=mode, align_corners=corners), x


def activation(draw, rng):
    names = "relu leaky_relu elu gelu silu mish softplus hardswish sigmoid tanh softmax log_softmax relu6 softsign"
    name, x = draw.choice(names.split()), images(draw, rng, draw.choice([1, 3, 16, 100])) * draw.choice([1, 5])
    more = dict(dim=draw.integer(-4, 3)) if "softmax" in name else {}
    return lambda T, x: getattr(T.nn.functional, name)(x, **more), x


def loss(draw, rng):
    n, classes = draw.choice([3, 100, 900]), draw.choice([2, 10, 1000])
    target, smoothing = rng.integers(0, classes, n), draw.choice([0.0, 0.1])
    scores = normal(rng, n, classes)
    return lambda T, x: T.nn.functional.cross_entropy(x, T.tensor(target), label_smoothing=smoothing), scores


def linear(draw, rng):
    n, i, o = draw.choice([1, 7, 64, 1000]), draw.choice([1, 3, 64, 784, 2000]), draw.choice([1, 10, 256, 1000])
    return lambda T, *a: T.nn.functional.linear(*a), normal(rng, n, i), normal(rng, o, i) / 50, normal(rng, o)


def reduction(draw, rng):
    x = images(draw, rng, draw.choice([1, 3, 16, 100]))
    name, dims = draw.choice(["sum", "mean", "amax", "logsumexp"]), draw.choice([(0,), (1,), (3,), (2, 3), (0, 2, 3)])
    return lambda T, x: getattr(x, name)(dims), x


FAMILIES = [convolution, convolution_of_a_large_image, pooling, norm, resizing, activation, loss, linear, reduction]


def laid(array, channels_last):
    """The same array, perhaps in channels-last memory."""
    if array.ndim == 4 and channels_last:
        return np.ascontiguousarray(array.transpose(0, 2, 3, 1)).transpose(0, 3, 1, 2)
    return array


@pytest.mark.parametrize("seed", range(40))
@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.__name__)
def test_large(family, seed):
    draw, rng = Draw(RandomSource(seed)), np.random.default_rng(seed)
    call, *arrays = family(draw, rng)
    arrays = [laid(a, draw.boolean()) for a in arrays]
    theirs = [torch.from_numpy(a).requires_grad_() for a in arrays]
    ours = [tg.tensor(a).requires_grad_() for a in arrays]
    their, our = call(torch, *theirs), call(tg, *ours)
    upstream = laid(np.asarray(rng.normal(size=tuple(their.shape)), np.float32), draw.boolean())
    their.backward(torch.from_numpy(upstream))
    our.backward(tg.tensor(upstream))
    close("result", our, their)
    for position, (o, t) in enumerate(zip(ours, theirs, strict=True)):
        close(f"gradient {position}", o.grad, t.grad)


def close(what, ours, theirs):
    ours, theirs = ours.detach().numpy(), theirs.detach().numpy()
    assert ours.shape == theirs.shape
    scale = max(np.abs(theirs).max(initial=0.0), 1e-3)
    np.testing.assert_array_less(np.abs(ours - theirs) / scale, 2e-4, err_msg=what)
