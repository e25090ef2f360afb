"""Convolutions.

conv2d, conv_transpose2d and conv2d_weight_grad are linear in each input, and each is the gradient of the others: the
sum over all places where a filter lies on an image of pixel * filter value * upstream, seen from three sides. So
derivatives of any order stay in the family.

These ops are strict: batches of 2-D images, settings as pairs. ``nn.functional.conv`` has PyTorch's forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import DTYPES, Array
from tinygrad_cnn.errors import DTypeError, ShapeError, UnsupportedError
from tinygrad_cnn.kernels import conv as kernels
from tinygrad_cnn.kernels.windows import Pair
from tinygrad_cnn.ops._samples import or_integers
from tinygrad_cnn.ops.shape import expand, reshape
from tinygrad_cnn.ops.unfold import check_settings, count_windows, places, sample_settings

__all__: list[str] = []  # the public forms are in nn.functional


# --------------------------------------------------------------------------------------------- convolution
@differentiable(grad_name="ConvolutionBackward0")
def conv2d(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """Cross-correlate images (N,C,H,W) with filters (F,C/groups,KH,KW) -> (N,F,OH,OW)."""
    return kernels.conv2d(input, weight, bias, stride, padding, dilation, groups)


conv2d.gradients(
    input=lambda g, weight, input_shape, stride, padding, dilation, groups: conv_transpose2d(
        g, weight, None, input_shape[2:], stride, padding, dilation, groups
    ),
    weight=lambda g, input, weight_shape, stride, padding, dilation, groups: conv2d_weight_grad(
        input, g, weight_shape[2:], stride, padding, dilation, groups
    ),
    bias=lambda g: pixel_sum(g),
)


@differentiable(grad_name="ConvolutionBackward0")
def conv_transpose2d(
    input: Array,
    weight: Array,
    bias: Array | None,
    size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """The adjoint of conv2d in its images: (N,F,OH,OW) and filters (F,C/groups,KH,KW) -> images (N,C,*size)."""
    return kernels.conv2d_input_grad(input, weight, bias, size, stride, padding, dilation, groups)


conv_transpose2d.gradients(
    input=lambda g, weight, input_shape, stride, padding, dilation, groups: _crop(
        conv2d(g, weight, None, stride, padding, dilation, groups), input_shape[2:]
    ),
    weight=lambda g, input, weight_shape, stride, padding, dilation, groups: conv2d_weight_grad(
        g, input, weight_shape[2:], stride, padding, dilation, groups
    ),
    bias=lambda g: pixel_sum(g),
)


@differentiable(grad_name="ConvolutionBackwardBackward0")
def conv2d_weight_grad(
    input: Array,
    upstream: Array,
    kernel_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    """The adjoint of conv2d in its filters: images (N,C,H,W) and upstream (N,F,OH,OW) -> (F,C/groups,*kernel_size)."""
    return kernels.conv2d_weight_grad(upstream, input, kernel_size, stride, padding, dilation, groups)


conv2d_weight_grad.gradients(
    input=lambda g, upstream, input_shape, stride, padding, dilation, groups: conv_transpose2d(
        upstream, g, None, input_shape[2:], stride, padding, dilation, groups
    ),
    upstream=lambda g, input, upstream_shape, stride, padding, dilation, groups: _crop(
        conv2d(input, g, None, stride, padding, dilation, groups), upstream_shape[2:]
    ),
)


@differentiable
def pixel_sum(input: Array) -> Array:
    """``input.sum((0, 2, 3))``, (N,C,H,W) -> (C,), at the speed of channels-last memory."""
    return kernels.pixel_sum(input)


pixel_sum.gradients(input=lambda g, input_shape: expand(reshape(g, (1, -1, 1, 1)), input_shape))
pixel_sum.samples(lambda draw: dict(input=draw.array(draw.shape(min_dims=4, max_dims=4, max_side=3))))
pixel_sum.reference(lambda input: np.array([image.sum() for image in input.swapaxes(0, 1)]))


def _crop(x: Any, size: Pair) -> Any:
    """Drop the windows that only a large output_padding made room for."""
    return x if tuple(x.shape[2:]) == tuple(size) else x[:, :, : size[0], : size[1]]


# ------------------------------------------------------------------------------------------------ refusals
def check_convolution(
    op: str,
    input: Array,
    weight: Array,
    bias: Array | None,
    stride: tuple[int, ...],
    padding: tuple[int, ...],
    dilation: tuple[int, ...],
    groups: int,
    transposed: bool = False,
) -> None:
    """Raise ShapeError, DTypeError or UnsupportedError unless a convolution in any number of dimensions can run."""
    for name, array in (("weight", weight), ("bias", bias)):
        if array is not None and array.dtype != input.dtype:
            raise DTypeError(
                f"{op}: Input type ({DTYPES[input.dtype]}) and {name} type ({DTYPES[array.dtype]}) should be the same; "
                "convert one with .to(dtype)"
            )
    if input.dtype.kind == "b":
        raise UnsupportedError(f"{op}: not implemented for torch.bool; convert with .float()")
    check_settings(op, stride, padding, dilation)
    if groups <= 0:
        raise ShapeError(f"{op}: non-positive groups is not supported, got groups={groups}")
    shape, sizes, dims = list(weight.shape), list(input.shape), len(stride)
    if weight.ndim < 3:
        raise ShapeError(f"{op}: weight should have at least three dimensions, got {shape}")
    if weight.ndim != dims + 2 or input.ndim != dims + 2:
        raise ShapeError(
            f"{op}: Expected {weight.ndim}-dimensional input for {weight.ndim}-dimensional weight {shape}, but got "
            f"{input.ndim}-dimensional input of size {sizes} instead; {op} takes a weight of {dims + 2} dimensions"
        )
    if len(weight) < groups:
        raise ShapeError(
            f"{op}: Given groups={groups}, expected weight to be at least {groups} at dimension 0, but got weight of "
            f"size {shape} instead"
        )
    if len(weight) % groups:
        raise ShapeError(
            f"{op}: Given groups={groups}, expected weight to be divisible by {groups} at dimension 0, but got weight "
            f"of size {shape} instead"
        )
    given = f"Given transposed=1, groups={groups}" if transposed else f"Given groups={groups}"
    takes, gives = shape[1] * groups, shape[0]
    if transposed:
        takes, gives = gives, takes
    if sizes[1] != takes:
        raise ShapeError(
            f"{op}: {given}, weight of size {shape}, expected input{sizes} to have {takes} channels, but got "
            f"{sizes[1]} channels instead; a layer for this input has in_channels={sizes[1]}, or is lazy"
        )
    if bias is not None and bias.shape != (gives,):
        raise ShapeError(
            f"{op}: {given}, weight of size {shape}, expected bias to be 1-dimensional with {gives} elements, but got "
            f"bias of size {list(bias.shape)} instead"
        )
    if 0 in shape[2:]:
        raise ShapeError(f"{op}: kernel size should be greater than zero, got weight of size {shape}")
    if transposed or all(
        s + 2 * p > d * (k - 1) for s, p, d, k in zip(sizes[2:], padding, dilation, shape[2:], strict=True)
    ):
        if 0 in sizes[2:]:
            raise ShapeError(f"{op}: Only zero batch or zero channel inputs are supported, but got input shape {sizes}")
        return
    padded = " x ".join(str(s + 2 * p) for s, p in zip(sizes[2:], padding, strict=True))
    extent = " x ".join(str(d * (k - 1) + 1) for d, k in zip(dilation, shape[2:], strict=True))
    raise ShapeError(
        f"{op}: Calculated padded input size per channel: ({padded}). Kernel size: ({extent}), dilation included. "
        "Kernel size can't be greater than actual input size; pad the input or use a smaller kernel"
    )


@conv2d_weight_grad.check
def _(input: Array, upstream: Array, *settings: Any) -> None:
    if input.dtype != upstream.dtype:
        raise DTypeError(f"conv2d_weight_grad: expected inputs of one dtype, got {input.dtype} and {upstream.dtype}")


@conv2d.check
def _(
    input: Array, weight: Array, bias: Array | None, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> None:
    check_convolution("conv2d", input, weight, bias, stride, padding, dilation, groups)


@conv_transpose2d.check
def _(
    input: Array,
    weight: Array,
    bias: Array | None,
    size: Pair,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
) -> None:
    check_convolution("conv_transpose2d", input, weight, bias, stride, padding, dilation, groups, transposed=True)
    if min(size) <= 0:
        raise ShapeError(
            f"conv_transpose2d: calculated output size {size} is too small for an input of size {list(input.shape)} "
            f"with padding={padding}"
        )


for _op, _valid, _dtypes in (
    (conv2d, dict[str, Any](input=(1, 4, 5, 5), weight=(2, 2, 3, 3), groups=2), ("weight", "bias")),
    (
        conv_transpose2d,
        dict[str, Any](input=(1, 2, 3, 3), weight=(2, 2, 3, 3), groups=2, bias=None, size=(5, 5)),
        ("weight", "bias"),
    ),
):
    _channels = 2 if _op is conv2d else 4  # that it gives
    for _wrong, _changed in (
        ((DTypeError, "and weight type (torch.float32) should be the same"), dict(weight=np.ones((2, 2, 3, 3), "f4"))),
        ((DTypeError, "and bias type (torch.float32) should be the same"), dict(bias=np.ones(_channels, "f4"))),
        (
            (UnsupportedError, "not implemented for torch.bool"),
            dict(input=np.ones((1, 1), bool), weight=np.ones((1, 1), bool)),
        ),
        ((ShapeError, "non-positive stride"), dict(stride=(1, 0))),
        ((ShapeError, "negative padding"), dict(padding=(-1, 0))),
        ((ShapeError, "dilation should be greater than zero"), dict(dilation=(0, 1))),
        ((ShapeError, "non-positive groups"), dict(groups=0)),
        ((ShapeError, "at least three dimensions"), dict(weight=(2, 2))),
        ((ShapeError, "Expected 3-dimensional input for 3-dimensional weight"), dict(weight=(2, 2, 3))),
        ((ShapeError, "but got 3-dimensional input"), dict(input=(2, 5, 5))),
        ((ShapeError, "expected weight to be at least 3 at dimension 0"), dict(groups=3)),
        ((ShapeError, "expected weight to be divisible by 2 at dimension 0"), dict(weight=(3, 2, 3, 3))),
        ((ShapeError, "channels, but got 3 channels instead"), dict(input=(1, 3, 5, 5))),
        ((ShapeError, f"expected bias to be 1-dimensional with {_channels} elements"), dict(bias=(3,))),
        ((ShapeError, "kernel size should be greater than zero"), dict(weight=(2, 2, 0, 3))),
        (
            (ShapeError, "Only zero batch or zero channel inputs"),
            dict(input=(1, _valid["input"][1], 0, 5), padding=(2, 2)),
        ),
    ):
        _op.refuses(*_wrong, **{**_valid, **_changed})
conv2d.refuses(
    ShapeError,
    "(4 x 7). Kernel size: (5 x 3)",
    input=(1, 1, 4, 5),
    weight=(1, 1, 3, 3),
    padding=(0, 1),
    dilation=(2, 1),
)
conv_transpose2d.refuses(
    ShapeError, "output size (0, 1) is too small", input=(1, 1, 1, 1), weight=(1, 1, 1, 1), bias=None, size=(0, 1)
)


# ------------------------------------------------------------------------------------ samples and references
Index = tuple[int, ...]


def _sample_settings(draw: Any) -> tuple[dict[str, Any], dict[str, Index]]:
    """Settings, and the shapes of images, filters and results that go with them."""
    settings, pairs = sample_settings(draw)
    groups, n, c, f = (draw.integer(1, 2) for _ in range(4))
    kind = draw.choice(["any", "any", "depthwise", "commonest"])  # the last two have kernels of their own
    if kind == "depthwise":
        c, groups, settings["dilation"] = 1, draw.integer(2, 3), draw.choice([(1, 1), settings["dilation"]])
        f = draw.choice([1, f])
    elif kind == "commonest":
        (h, w), padding = (draw.integer(1, 6), draw.integer(1, 5)), draw.integer(0, 1)
        (kh, kw), across = draw.choice([(3, 3), (3, 3), (3, 2), (5, 3)]), draw.choice([1, 1, 2])
        around = (padding, padding * (kw - 2))
        settings, groups = dict(stride=(1, across), padding=around, dilation=(1, 1)), 1
        n = draw.integer(1, 3)  # of two images, each may go to a thread of its own
        f = draw.choice([f, 5])  # more filters than windows, where a result has 1 to 25
        size = (h + kh - 1 - 2 * around[0], (w - 1) * across + kw - 2 * around[1])
        pairs = dict(size=size, kernel=(kh, kw), out=(h, w))
    shapes: dict[str, Index] = dict(
        images=(n, groups * c, *pairs["size"]),
        filters=(groups * f, c, *pairs["kernel"]),
        results=(n, groups * f, *pairs["out"]),
    )
    return dict(**settings, groups=groups), shapes


@conv2d.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    settings, shapes = _sample_settings(draw)
    bias = draw.array(shapes["filters"][:1]) if draw.boolean() else None
    return dict(input=draw.array(shapes["images"]), weight=draw.array(shapes["filters"]), bias=bias, **settings)


@conv_transpose2d.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    settings, shapes = _sample_settings(draw)
    size = shapes["images"][2:]
    if draw.boolean():  # an output_padding as large as PyTorch allows, beyond the stride
        size = tuple(s + d for s, d in zip(size, settings["dilation"], strict=True))
    bias = draw.array(shapes["images"][1:2]) if draw.boolean() else None
    results, filters = draw.array(shapes["results"]), draw.array(shapes["filters"])
    return dict(input=results, weight=filters, bias=bias, size=size, **settings)


@conv2d_weight_grad.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    settings, shapes = _sample_settings(draw)
    images, results = draw.array(shapes["images"]), draw.array(shapes["results"])
    return dict(input=images, upstream=results, kernel_size=shapes["filters"][2:], **settings)


def _meetings(
    images: Index, filters: Index, results: Index, stride: Pair, padding: Pair, dilation: Pair, groups: int
) -> Iterator[tuple[Index, Index, Index]]:
    """The index in the images, filters and results of every product that a convolution sums, from their shapes."""
    size, out, kernel = ((shape[2], shape[3]) for shape in (images, results, filters))
    for n, f, c in product(range(images[0]), range(filters[0]), range(filters[1])):
        group = f // (filters[0] // groups)
        for pixel, position, place in places(size, out, kernel, stride, padding, dilation):
            yield (n, group * filters[1] + c, *place), (f, c, *position), (n, f, *pixel)


@conv2d.reference
def _(
    input: Array,
    weight: Array,
    bias: Array | None = None,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    (n, _, h, w), (f, _, kh, kw) = input.shape, weight.shape
    out = np.zeros((n, f, *count_windows((h, w), (kh, kw), stride, padding, dilation)))
    for i, k, o in _meetings(input.shape, weight.shape, out.shape, stride, padding, dilation, groups):
        out[o] += input[i] * weight[k]
    return out if bias is None else out + bias.reshape(-1, 1, 1)


@conv_transpose2d.reference
def _(
    input: Array,
    weight: Array,
    bias: Array | None,
    size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    out = np.zeros((len(input), weight.shape[1] * groups, *size))
    for o, k, i in _meetings(out.shape, weight.shape, input.shape, stride, padding, dilation, groups):
        out[o] += input[i] * weight[k]
    return out if bias is None else out + bias.reshape(-1, 1, 1)


@conv2d_weight_grad.reference
def _(
    input: Array,
    upstream: Array,
    kernel_size: Pair,
    stride: Pair = (1, 1),
    padding: Pair = (0, 0),
    dilation: Pair = (1, 1),
    groups: int = 1,
) -> Array:
    out = np.zeros((upstream.shape[1], input.shape[1] // groups, *kernel_size))
    for i, k, o in _meetings(input.shape, out.shape, upstream.shape, stride, padding, dilation, groups):
        out[k] += input[i] * upstream[o]
    return out
