"""Convolutions against PyTorch: values, gradients of first and second order, forms of arguments, errors, layers."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare, compare_error, torch
from tinygrad_cnn.testing.draw import Draw, RandomSource

ONE_D = ("conv1d", "conv_transpose1d")


def array(*shape, dtype=np.float64, seed=0):
    return np.random.default_rng(seed).uniform(-1, 1, shape).astype(dtype)


def drawn(seed, dims):
    """Shapes and settings of a convolution in ``dims`` dimensions, drawn from a seed."""
    draw = Draw(RandomSource(seed))
    windows = [draw.window(max_kernel=4, max_out=4, max_dilation=3) for _ in range(dims)]
    groups, n = draw.choice([1, 1, 2, 3]), draw.integer(0 if seed % 10 == 0 else 1, 3)
    c, f = draw.choice([1, 2, 3, 16]), draw.choice([1, 2, 5, 16])
    settings = {name: tuple(getattr(w, name) for w in windows) for name in ("stride", "padding", "dilation")}
    images = (n, groups * c, *(w.size for w in windows))
    filters = (groups * f, c, *(w.kernel for w in windows))
    results = (n, groups * f, *(w.out for w in windows))
    if draw.boolean():
        settings = {name: v[0] if len(set(v)) == 1 else list(v) for name, v in settings.items()}
    return images, filters, results, dict(**settings, groups=groups), draw


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_conv_of_drawn_settings(seed, dims):
    images, filters, _, settings, draw = drawn(seed, dims)
    name, dtype = f"conv{dims}d", np.float32 if seed % 4 == 0 else np.float64
    x, w = array(*images, dtype=dtype), array(*filters, dtype=dtype, seed=1)
    inputs = [x, w] + ([array(filters[0], dtype=dtype)] if draw.boolean() else [])
    compare(lambda T, *a: getattr(T.nn.functional, name)(*a, **settings), *inputs)
    if images[0]:
        compare(lambda T, x, *a: getattr(T.nn.functional, name)(x, *a, **settings), x[0], *inputs[1:])


@pytest.mark.parametrize("dims", [1, 2])
@pytest.mark.parametrize("seed", range(40))
def test_transposed_conv_of_drawn_settings(seed, dims):
    images, filters, results, settings, draw = drawn(seed, dims)
    name, dtype = f"conv_transpose{dims}d", np.float32 if seed % 4 == 0 else np.float64
    sides = {k: [v] * dims if isinstance(v, int) else v for k, v in settings.items()}
    extra = tuple(draw.integer(0, max(s, d) - 1) for s, d in zip(sides["stride"], sides["dilation"], strict=True))
    x, w = array(*results, dtype=dtype), array(*filters, dtype=dtype, seed=1)
    inputs = [x, w] + ([array(images[1], dtype=dtype)] if draw.boolean() else [])
    if min(images[2:]) > 0:
        compare(lambda T, *a: getattr(T.nn.functional, name)(*a, output_padding=extra, **settings), *inputs)


@pytest.mark.parametrize("seed", range(20))
def test_unfold_and_fold_of_drawn_settings(seed):
    (n, c, h, w), filters, results, settings, _ = drawn(seed, 2)
    del settings["groups"]
    kernel = filters[2:]
    compare(lambda T, x: T.nn.functional.unfold(x, kernel, **settings), array(n, c, h, w))
    columns = array(n, c * kernel[0] * kernel[1], results[2] * results[3])
    compare(lambda T, x: T.nn.functional.fold(x, (h, w), kernel, **settings), columns)
    if n:
        compare(lambda T, x: T.nn.functional.unfold(x, kernel, **settings), array(c, h, w))
        compare(lambda T, x: T.nn.functional.fold(x, (h, w), kernel, **settings), columns[0])


@pytest.mark.parametrize("seed", range(12))
@pytest.mark.parametrize("name", ["conv2d", "conv_transpose2d", "conv1d"])
def test_second_order(name, seed):
    images, filters, results, settings, _ = drawn(seed, 1 if name in ONE_D else 2)
    x = array(*(results if "transpose" in name else images))

    def penalty(T, x, w):
        y = getattr(T.nn.functional, name)(x, w, **settings)
        gx, gw = T.autograd.grad((y * y).sum(), (x, w), create_graph=True)
        return (gx * gx).sum() + (gw * gw).sum()

    if x.size:
        compare(penalty, x, array(*filters, seed=1))


LARGER = {  # each takes another way through the kernels
    "first layer": ((4, 1, 28, 28), (6, 1, 5, 5), dict(padding=2)),
    "three channels, stride 2": ((2, 3, 33, 31), (8, 3, 7, 7), dict(stride=2, padding=3)),
    "channels in long runs": ((3, 32, 9, 9), (16, 32, 3, 3), dict(padding=1)),
    "several blocks": ((5, 48, 20, 20), (4, 48, 3, 3), dict(padding=1)),
    "bands of rows": ((1, 16, 96, 96), (4, 16, 3, 3), dict(stride=(1, 2), dilation=(2, 1))),
    "pointwise": ((3, 24, 7, 5), (10, 24, 1, 1), {}),
    "pointwise, stride 2": ((3, 24, 7, 6), (10, 24, 1, 1), dict(stride=2)),
    "pointwise, groups": ((3, 24, 7, 5), (12, 6, 1, 1), dict(groups=4)),
    "depthwise": ((3, 40, 9, 9), (40, 1, 3, 3), dict(padding=1, groups=40)),
    "depthwise, stride 2": ((3, 40, 9, 9), (40, 1, 3, 3), dict(padding=1, groups=40, stride=2)),
    "depthwise, dilated": ((2, 8, 12, 12), (8, 1, 3, 3), dict(padding=2, groups=8, dilation=2)),
    "depthwise, multiplied": ((3, 12, 9, 9), (36, 1, 5, 3), dict(padding=1, groups=12)),
    "grouped": ((3, 32, 9, 9), (64, 4, 3, 3), dict(padding=1, groups=8)),
    "padding larger than the kernel": ((2, 3, 4, 4), (3, 3, 2, 2), dict(padding=5)),
    "stride larger than the kernel": ((2, 3, 11, 11), (3, 3, 2, 2), dict(stride=4)),
}


@pytest.mark.parametrize("layout", ["NCHW", "NHWC"])
@pytest.mark.parametrize("case", LARGER)
def test_larger_shapes(case, layout):
    images, filters, settings = LARGER[case]
    x, w, b = (array(*s, dtype=np.float32, seed=i) for i, s in enumerate((images, filters, filters[:1])))

    def call(T, x, w, b):
        return T.nn.functional.conv2d(x.permute(0, 3, 1, 2) if layout == "NHWC" else x, w, b, **settings)

    if layout == "NHWC":  # memory in the order that our own ops produce
        x = np.ascontiguousarray(x.transpose(0, 2, 3, 1))
    compare(call, x, w, b, rtol=1e-3, atol=1e-3)


FORMS = [
    lambda F, x, w: F.conv2d(x, w, None, 1, 0, 1, 1),
    lambda F, x, w: F.conv2d(input=x, weight=w, bias=None, stride=[2], padding=(1, 0), dilation=1, groups=1),
    lambda F, x, w: F.conv2d(x, w, padding="same"),
    lambda F, x, w: F.conv2d(x, w[:, :, :2], padding="same"),
    lambda F, x, w: F.conv2d(x, w[:, :, :2, :2], padding="same", stride=[1]),
    lambda F, x, w: F.conv2d(x[0], w[:, :, :, :2], padding="same", dilation=(2, 3)),
    lambda F, x, w: F.conv2d(x, w, padding="valid", stride=2),
    lambda F, x, w: F.conv1d(x.reshape(2, 4, 36), w[:, :, 0], padding="same"),
    lambda F, x, w: F.conv1d(x.reshape(2, 4, 36)[0], w[:, :, 0, :2], stride=(1,), padding="same"),
    lambda F, x, w: F.conv_transpose2d(x, w[:4], None, 2, 1, 1, 1, 1),
    lambda F, x, w: F.conv_transpose2d(input=x, weight=w[:4], stride=1, dilation=2, output_padding=1),
    lambda F, x, w: F.conv_transpose2d(x[0], w[:4], stride=(3, 2), output_padding=(2, 0)),
    lambda F, x, w: F.conv_transpose1d(x[:, 0], w[:, 0], stride=(2,), output_padding=(1,)),
    lambda F, x, w: F.conv_transpose1d(x[0, 0], w[:, 0], padding=1),
    lambda F, x, w: F.unfold(x, kernel_size=(2, 3), dilation=(2, 1), padding=1, stride=[2, 1]),
    lambda F, x, w: F.fold(F.unfold(x, 3), output_size=[6, 6], kernel_size=3),
    lambda F, x, w: F.fold(F.unfold(x[0], 2, stride=2), 6, 2, stride=2),
    lambda F, x, w: F.conv2d(x[:0], w),
    lambda F, x, w: F.conv_transpose2d(x[:0], w[:4]),
    lambda F, x, w: F.unfold(x[:0], 2),
]


@pytest.mark.parametrize("form", range(len(FORMS)))
@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
def test_forms(form):
    compare(lambda T, x, w: FORMS[form](T.nn.functional, x, w), array(2, 4, 6, 6), array(6, 4, 3, 3, seed=1))


@pytest.mark.parametrize("name", ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d"])
def test_names_at_the_top(name):
    size = (3,) * (1 if name in ONE_D else 2)
    compare(lambda T, x, w: getattr(T, name)(x, w), array(2, 4, *size), array(4, 4, *size))


@pytest.mark.parametrize("dtype", [np.int64, np.int32, np.float16])
def test_other_dtypes(dtype):
    x, w = (array(2, 3, 5, 5) * 9).astype(dtype), (array(4, 3, 3, 3) * 9).astype(dtype)
    compare(lambda T, x, w: T.nn.functional.conv2d(x, w, padding=1), x, w, backward=False, rtol=5e-3)


X, W = array(2, 4, 6, 6, dtype=np.float32), array(6, 4, 3, 3, dtype=np.float32)
REFUSED = {
    "channels": (lambda F, x, w: F.conv2d(x, w[:, :3]), "to have 3 channels, but got 4"),
    "channels, groups": (lambda F, x, w: F.conv2d(x, w[:, :2], groups=3), "groups=3.*to have 6 channels, but got 4"),
    "groups and filters": (lambda F, x, w: F.conv2d(x, w[:5, :2], groups=2), "be divisible by 2 at dimension 0"),
    "fewer filters than groups": (lambda F, x, w: F.conv2d(x, w[:1, :2], groups=2), "be at least 2 at dimension 0"),
    "no groups": (lambda F, x, w: F.conv2d(x, w, groups=0), "non-positive groups"),
    "negative groups": (lambda F, x, w: F.conv2d(x, w, groups=-1), "non-positive groups"),
    "large kernel": (lambda F, x, w: F.conv2d(x[:, :, :2], w), r"\(2 x 6\). Kernel size: \(3 x 3\)"),
    "large dilation": (lambda F, x, w: F.conv2d(x, w, dilation=3), r"\(6 x 6\). Kernel size: \(7 x 7\)"),
    "no filters": (lambda F, x, w: F.conv2d(x, w[:0]), "at least 1 at dimension 0"),
    "no pixels": (lambda F, x, w: F.conv2d(x[:, :, :0], w), "Kernel size can't be greater"),
    "no pixels but padding": (lambda F, x, w: F.conv2d(x[:, :, :0], w, padding=3), "zero batch or zero channel"),
    "2-D input": (lambda F, x, w: F.conv2d(x[0, 0], w), "3D .unbatched. or 4D .batched. input to conv2d"),
    "5-D input": (lambda F, x, w: F.conv2d(x[None], w), "input to conv2d"),
    "3-D weight": (lambda F, x, w: F.conv2d(x, w[0]), "3-dimensional weight"),
    "3-D weight, same": (lambda F, x, w: F.conv2d(x, w[0], padding="same"), "3-dimensional weight"),
    "stride 0": (lambda F, x, w: F.conv2d(x, w, stride=0), "non-positive stride"),
    "negative padding": (lambda F, x, w: F.conv2d(x, w, padding=-1), "negative padding"),
    "dilation 0": (lambda F, x, w: F.conv2d(x, w, dilation=0), "dilation should be greater than zero"),
    "three strides": (lambda F, x, w: F.conv2d(x, w, stride=(1, 1, 1)), "stride"),
    "no padding": (lambda F, x, w: F.conv2d(x, w, padding=()), "padding"),
    "float stride": (lambda F, x, w: F.conv2d(x, w, stride=1.5), "stride"),
    "stride None": (lambda F, x, w: F.conv2d(x, w, stride=None), "stride"),
    "bool stride": (lambda F, x, w: F.conv2d(x, w, stride=True), "stride"),
    "float groups": (lambda F, x, w: F.conv2d(x, w, groups=1.0), "groups"),
    "weight None": (lambda F, x, w: F.conv2d(x, None), "weight"),
    "input a list": (lambda F, x, w: F.conv2d([1], w), "input"),
    "bias a list": (lambda F, x, w: F.conv2d(x, w, [1.0] * 6), "bias"),
    "bias's length": (lambda F, x, w: F.conv2d(x, w, w[:5, 0, 0, 0]), "1-dimensional with 6 elements"),
    "bias 2-D": (lambda F, x, w: F.conv2d(x, w, w[:, :1, 0, 0]), "1-dimensional with 6 elements"),
    "bias of length 1": (lambda F, x, w: F.conv2d(x, w, w[:1, 0, 0, 0]), "1-dimensional with 6 elements"),
    "double weight": (lambda F, x, w: F.conv2d(x, w.double()), "should be the same"),
    "double bias": (lambda F, x, w: F.conv2d(x, w, w[:, 0, 0, 0].double()), "should be the same"),
    "int input": (lambda F, x, w: F.conv2d(x.long(), w), "should be the same"),
    "int input, float bias": (lambda F, x, w: F.conv2d(x.long(), w.long(), w[:, 0, 0, 0]), "should be the same"),
    "bool": (lambda F, x, w: F.conv2d(x.bool(), w.bool()), "bool"),
    "same with stride": (lambda F, x, w: F.conv2d(x, w, padding="same", stride=2), "strided convolutions"),
    "unknown padding": (lambda F, x, w: F.conv2d(x, w, padding="full"), "Invalid padding string"),
    "1d: channels": (lambda F, x, w: F.conv1d(x[0], w[:, :, 0]), "to have 4 channels, but got 6"),
    "1d: 4-D input": (lambda F, x, w: F.conv1d(x, w[:, :, 0]), "input to conv1d"),
    "1d: 4-D weight": (lambda F, x, w: F.conv1d(x[0], w), "4-dimensional weight"),
    "1d: 2-D weight": (lambda F, x, w: F.conv1d(x[0], w[0, 0]), "weight should have at least three dim"),
    "1d: two strides": (lambda F, x, w: F.conv1d(x[:, 0], w[:, 0], stride=(2, 1)), "stride"),
    "1d: negative stride": (lambda F, x, w: F.conv1d(x[:, 0], w[:, 0], stride=(-1,)), "non-positive stride"),
    "T: channels": (lambda F, x, w: F.conv_transpose2d(x, w), "to have 6 channels, but got 4"),
    "T: groups": (lambda F, x, w: F.conv_transpose2d(x, w[:4], groups=3), "divisible by 3 at dimension 0"),
    "T: bias": (lambda F, x, w: F.conv_transpose2d(x, w[:4], w[:5, 0, 0, 0]), "1-dimensional with 4 elements"),
    "T: output_padding": (lambda F, x, w: F.conv_transpose2d(x, w[:4], stride=2, output_padding=2), "must be smaller"),
    "T: negative output_padding": (
        lambda F, x, w: F.conv_transpose2d(x, w[:4], output_padding=-1),
        "negative output_pa",
    ),
    "T: nothing left": (lambda F, x, w: F.conv_transpose2d(x[:, :, :1, :1], w[:4], padding=2), "too small"),
    "T: no pixels": (lambda F, x, w: F.conv_transpose2d(x[:, :, :0], w[:4]), "zero batch or zero channel"),
    "T: a word": (lambda F, x, w: F.conv_transpose2d(x, w[:4], padding="same"), "padding"),
    "T: dilation 0": (lambda F, x, w: F.conv_transpose2d(x, w[:4], dilation=0), "dilation should be greater"),
    "T: 1d output_padding": (lambda F, x, w: F.conv_transpose1d(x[:, 0], w[:, 0], output_padding=1), "must be smaller"),
    "unfold: large kernel": (lambda F, x, w: F.unfold(x, 9), "at least one"),
    "unfold: stride 0": (lambda F, x, w: F.unfold(x, 2, stride=0), "stride should be greater than zero"),
    "unfold: negative padding": (lambda F, x, w: F.unfold(x, 2, padding=-1), "padding should be non-negative"),
    "unfold: kernel 0": (lambda F, x, w: F.unfold(x, 0), "kernel size should be greater than zero"),
    "unfold: one kernel size": (lambda F, x, w: F.unfold(x, (2,)), "kernel_size equals to 2"),
    "unfold: float kernel": (lambda F, x, w: F.unfold(x, 2.0), "kernel_size"),
    "unfold: int": (lambda F, x, w: F.unfold(x.long(), 2), "not implemented"),
    "unfold: no channels": (lambda F, x, w: F.unfold(x[:, :0], 2), "possibly 0 batch size"),
    "unfold: a list": (lambda F, x, w: F.unfold([1], 2), "must be Tensor, not list"),
    "fold: windows": (lambda F, x, w: F.fold(F.unfold(x, 3)[:, :, 1:], 6, 3), "sliding blocks 4 . 4 = 16, but got"),
    "fold: rows": (lambda F, x, w: F.fold(F.unfold(x, 3)[:, 1:], 6, 3), "divisible by the product of kernel_size"),
    "fold: small output": (lambda F, x, w: F.fold(F.unfold(x, 3), 2, 3), "sliding blocks"),
    "fold: 1-D": (lambda F, x, w: F.fold(x[0, 0, 0], 6, 3), "Expected 2D or 3D"),
    "fold: one output size": (lambda F, x, w: F.fold(F.unfold(x, 3), (6,), 3), "output_size equals to 2"),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refusals(case):
    call, sentence = REFUSED[case]
    compare_error(lambda T, x, w: call(T.nn.functional, x, w), X, W)
    with pytest.raises(tg.errors.TinygradError, match=sentence):
        call(tg.nn.functional, tg.tensor(X), tg.tensor(W))


def test_names_of_the_graph():
    for call in (lambda F, x, w: F.conv2d(x, w), lambda F, x, w: F.conv_transpose2d(x, w[:4], w[0, :, 0, 0])):
        grad_fns = [
            call(T.nn.functional, *(T.tensor(a).requires_grad_() for a in (X, W))).grad_fn.name() for T in (torch, tg)
        ]
        assert grad_fns == ["ConvolutionBackward0"] * 2
    x = tg.tensor(X).requires_grad_()
    columns = tg.nn.functional.unfold(x, 3)
    assert columns.grad_fn.name() == "Im2ColBackward0"
    assert tg.nn.functional.fold(columns, 6, 3).grad_fn.name() == "Col2ImBackward0"


# ------------------------------------------------------------------------------------------------- layers
LAYERS = [
    ("Conv2d", (4, 6, 3), {}, (2, 4, 7, 8)),
    (
        "Conv2d",
        (4, 6, (3, 2)),
        dict(stride=(2, 1), padding=(1, 0), dilation=(1, 2), groups=2, bias=False),
        (2, 4, 7, 8),
    ),
    ("Conv2d", (4, 6, 2, 1, "same"), {}, (4, 7, 8)),
    ("Conv2d", (4, 6, 3), dict(padding="valid", stride=2), (2, 4, 7, 8)),
    ("Conv2d", (4, 4, 3), dict(padding=(2, 1), padding_mode="reflect"), (2, 4, 7, 8)),
    ("Conv2d", (4, 4, 3), dict(padding=1, padding_mode="replicate"), (2, 4, 7, 8)),
    ("Conv2d", (4, 4, (3, 4)), dict(padding="same", padding_mode="circular"), (2, 4, 7, 8)),
    ("Conv1d", (4, 6, 3), dict(padding=2, stride=2, dilation=2), (2, 4, 9)),
    ("Conv1d", (4, 6, 4), dict(padding="same", padding_mode="circular"), (2, 4, 9)),
    ("ConvTranspose2d", (4, 6, 3, 2, 1, 1), {}, (2, 4, 5, 6)),
    ("ConvTranspose2d", (4, 6, (3, 2)), dict(groups=2, dilation=2, bias=False), (4, 5, 6)),
    ("ConvTranspose1d", (4, 6, 3), dict(stride=3, output_padding=2), (2, 4, 5)),
    ("Unfold", (3,), dict(padding=1), (2, 4, 5, 6)),
    ("Fold", ((5, 6), (2, 3)), {}, (2, 12, 16)),
]


@pytest.mark.filterwarnings("ignore:Using padding='same' with even kernel lengths")
@pytest.mark.parametrize("layer", range(len(LAYERS)))
def test_layers(layer):
    name, arguments, settings, shape = LAYERS[layer]
    theirs, ours = (getattr(T.nn, name)(*arguments, **settings) for T in (torch, tg))
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    for mine, its in zip(ours.parameters(), theirs.parameters(), strict=True):
        assert mine.shape == its.shape
        assert mine.detach().numpy().any()
        mine.data[...] = tg.tensor(its.detach().numpy())
    compare(lambda T, x: (theirs if T is torch else ours)(x), array(*shape, dtype=np.float32))


def test_default_values_have_pytorchs_distribution():
    for name in ("Conv2d", "ConvTranspose2d"):
        layer = getattr(tg.nn, name)(8, 64, 5, groups=2)
        bound = 1 / np.sqrt(np.prod(layer.weight.shape[1:]))
        for parameter in layer.parameters():
            values = parameter.detach().numpy()
            assert np.abs(values).max() <= bound
            assert np.isclose(values.std(), bound / np.sqrt(3), rtol=0.2)


@pytest.mark.parametrize(
    ("name", "plain", "shape"),
    [
        ("LazyConv2d", "Conv2d", (2, 4, 7, 8)),
        ("LazyConv2d", "Conv2d", (4, 7, 8)),
        ("LazyConv1d", "Conv1d", (2, 4, 7)),
        ("LazyConvTranspose1d", "ConvTranspose1d", (2, 4, 7)),
        ("LazyConvTranspose2d", "ConvTranspose2d", (2, 4, 7, 8)),
    ],
)
def test_lazy_layers(name, plain, shape):
    theirs, ours = (getattr(T.nn, name)(6, 3, stride=2, groups=2) for T in (torch, tg))
    assert repr(ours) == repr(theirs)
    x = array(*shape, dtype=np.float32)
    their, our = theirs(torch.tensor(x)), ours(tg.tensor(x))
    assert tuple(our.shape) == tuple(their.shape)
    assert type(ours) is getattr(tg.nn, plain)
    assert repr(ours) == repr(theirs)
    assert [(k, tuple(v.shape)) for k, v in ours.state_dict().items()] == [
        (k, tuple(v.shape)) for k, v in theirs.state_dict().items()
    ]


def test_output_size():
    x = array(1, 4, 5, 5, dtype=np.float32)
    theirs, ours = (T.nn.ConvTranspose2d(4, 2, 3, stride=2, padding=1, bias=False) for T in (torch, tg))
    ours.weight.data[...] = tg.tensor(theirs.weight.detach().numpy())
    for size in ((10, 9), [1, 2, 10, 10], (9, 9)):
        compare(lambda T, x, size=size: (theirs if T is torch else ours)(x, output_size=size), x)
    for size in ((11, 9), (8, 9), (9,)):
        compare_error(lambda T, x, size=size: (theirs if T is torch else ours)(x, output_size=size), x)


REFUSED_LAYERS = [
    lambda nn: nn.Conv2d(4, 6, 3, groups=0),
    lambda nn: nn.Conv2d(4, 6, 3, groups=3),
    lambda nn: nn.Conv2d(6, 4, 3, groups=3),
    lambda nn: nn.Conv2d(4, 6, 3, padding="full"),
    lambda nn: nn.Conv2d(4, 6, 3, padding="same", stride=2),
    lambda nn: nn.Conv2d(4, 6, 3, padding_mode="mirror"),
    lambda nn: nn.ConvTranspose2d(4, 6, 3, padding_mode="reflect"),
]


@pytest.mark.parametrize("layer", range(len(REFUSED_LAYERS)))
def test_refused_layers(layer):
    compare_error(lambda T: REFUSED_LAYERS[layer](T.nn))
