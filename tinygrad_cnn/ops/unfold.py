"""Windows as columns: im2col and its adjoint col2im, each the other's gradient. PyTorch calls them unfold and fold.

These ops are strict: batches of 2-D images, settings as pairs. ``nn.functional.conv`` has PyTorch's forms.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.backend import DTYPES, Array
from tinygrad_cnn.errors import ShapeError, UnsupportedError
from tinygrad_cnn.kernels import windows
from tinygrad_cnn.kernels.windows import Pair
from tinygrad_cnn.ops._samples import or_defaults

__all__: list[str] = []  # the public forms are in nn.functional


@differentiable(grad_name="Im2ColBackward0")
def im2col(
    input: Array, kernel_size: Pair, dilation: Pair = (1, 1), padding: Pair = (0, 0), stride: Pair = (1, 1)
) -> Array:
    """Each window of the images (N,C,H,W) as a column: (N, C*KH*KW, windows)."""
    return windows.im2col(input, kernel_size, stride, padding, dilation)


im2col.gradients(
    input=lambda g, input_shape, kernel_size, dilation, padding, stride: col2im(
        g, input_shape[2:], kernel_size, dilation, padding, stride
    )
)


@differentiable(grad_name="Col2ImBackward0")
def col2im(
    input: Array,
    output_size: Pair,
    kernel_size: Pair,
    dilation: Pair = (1, 1),
    padding: Pair = (0, 0),
    stride: Pair = (1, 1),
) -> Array:
    """Add columns (N, C*KH*KW, windows) up to the images (N,C,*output_size) that im2col would have read them from."""
    return windows.col2im(input, output_size, kernel_size, stride, padding, dilation)


col2im.gradients(
    input=lambda g, kernel_size, dilation, padding, stride: im2col(g, kernel_size, dilation, padding, stride)
)


# ------------------------------------------------------------------------------------------------ refusals
def check_settings(op: str, stride: tuple[int, ...], padding: tuple[int, ...], dilation: tuple[int, ...]) -> None:
    """Raise ShapeError unless strides and dilations are positive and no padding is negative."""
    if min(stride) <= 0:
        raise ShapeError(
            f"{op}: non-positive stride is not supported (stride should be greater than zero), got {stride}"
        )
    if min(padding) < 0:
        raise ShapeError(f"{op}: negative padding is not supported (padding should be non-negative), got {padding}")
    if min(dilation) <= 0:
        raise ShapeError(f"{op}: dilation should be greater than zero, got {dilation}")


def check_windows(op: str, dtype: np.dtype, kernel_size: Pair, stride: Pair, padding: Pair, dilation: Pair) -> None:
    """What im2col and col2im refuse alike."""
    if dtype.kind in "iu":
        raise UnsupportedError(f"{op}: not implemented for {DTYPES[dtype]}; convert with .float()")
    if min(kernel_size) <= 0:
        raise ShapeError(f"{op}: kernel size should be greater than zero, got {kernel_size}")
    check_settings(op, stride, padding, dilation)


@im2col.check
def _(input: Array, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair) -> None:
    check_windows("unfold", input.dtype, kernel_size, stride, padding, dilation)
    if input.ndim != 4 or 0 in input.shape[1:]:
        raise ShapeError(
            "unfold: Expected 3D or 4D (batch mode) tensor with possibly 0 batch size and other non-zero dimensions "
            f"for input, but got: {list(input.shape)}"
        )
    out = windows.output_sizes(input.shape[2:], kernel_size, stride, padding, dilation)
    if min(out) < 1:
        raise ShapeError(
            f"unfold: Given input with spatial size {input.shape[2:]}, kernel_size={kernel_size}, dilation={dilation}, "
            f"padding={padding}, calculated shape of the array of sliding blocks as {out}, but its components must be "
            "at least one"
        )


def _refusals(op: Op, **valid: Any) -> None:
    """What both refuse, each a change of valid arguments."""
    for wrong, changed in (
        ((UnsupportedError, "not implemented for torch.int64"), dict(input=np.ones(valid["input"], int))),
        ((ShapeError, "kernel size should be greater than zero"), dict(kernel_size=(2, 0))),
        ((ShapeError, "non-positive stride"), dict(stride=(0, 1))),
        ((ShapeError, "negative padding"), dict(padding=(0, -1))),
        ((ShapeError, "dilation should be greater than zero"), dict(dilation=(1, 0))),
        ((ShapeError, "non-zero dimensions"), dict(input=(1, 0, *valid["input"][2:]))),
        ((ShapeError, "non-zero dimensions"), dict(input=valid["input"][1:])),
    ):
        op.refuses(*wrong, **{**valid, **changed})


_refusals(im2col, input=(1, 1, 3, 3), kernel_size=(2, 2))
im2col.refuses(ShapeError, "its components must be at least one", input=(1, 1, 1, 3), kernel_size=(2, 2))
im2col.refuses(
    ShapeError, "its components must be at least one", input=(1, 1, 3, 4), kernel_size=(2, 2), dilation=(1, 4)
)


@col2im.check
def _(input: Array, output_size: Pair, kernel_size: Pair, dilation: Pair, padding: Pair, stride: Pair) -> None:
    check_windows("fold", input.dtype, kernel_size, stride, padding, dilation)
    if input.ndim != 3 or 0 in input.shape[1:]:
        raise ShapeError(
            "fold: Expected 2D or 3D (batch mode) tensor for input with possibly 0 batch size and non-zero dimensions "
            f"for input, but got: {list(input.shape)}"
        )
    if input.shape[1] % (kernel_size[0] * kernel_size[1]):
        raise ShapeError(
            "fold: Expected size of input's dimension 1 to be divisible by the product of kernel_size, but got "
            f"input.size(1)={input.shape[1]} and kernel_size={kernel_size}"
        )
    out = windows.output_sizes(output_size, kernel_size, stride, padding, dilation)
    if min(out) < 1 or out[0] * out[1] != input.shape[2]:
        raise ShapeError(
            f"fold: Given output_size={output_size}, kernel_size={kernel_size}, dilation={dilation}, "
            f"padding={padding}, stride={stride}, expected size of input's dimension 2 to match the calculated number "
            f"of sliding blocks {out[0]} * {out[1]} = {out[0] * out[1]}, but got input.size(2)={input.shape[2]}"
        )


_refusals(col2im, input=(1, 4, 4), output_size=(3, 3), kernel_size=(2, 2))
for _sentence, _columns, _size in (
    ("divisible by the product of kernel_size", (1, 5, 4), (3, 3)),
    ("sliding blocks 2 * 2 = 4, but got input.size(2)=3", (1, 4, 3), (3, 3)),
    ("sliding blocks 0 * 2", (1, 4, 0 + 1), (1, 3)),
):
    col2im.refuses(ShapeError, _sentence, input=_columns, output_size=_size, kernel_size=(2, 2))


# ------------------------------------------------------------------------------------ samples and references
def count_windows(size: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """How many windows fit in both dimensions: as many as there are places for the first pixel."""
    starts = [
        len(range(0, s + 2 * p - d * (k - 1), step))
        for s, k, step, p, d in zip(size, kernel, stride, padding, dilation, strict=True)
    ]
    return starts[0], starts[1]


def places(
    size: Pair, out: Pair, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair
) -> Iterator[tuple[Pair, Pair, Pair]]:
    """(result pixel, kernel position, image pixel) wherever a window's position lies on the image."""
    for y, x, i, j in product(range(out[0]), range(out[1]), range(kernel[0]), range(kernel[1])):
        row = y * stride[0] + i * dilation[0] - padding[0]
        column = x * stride[1] + j * dilation[1] - padding[1]
        if 0 <= row < size[0] and 0 <= column < size[1]:
            yield (y, x), (i, j), (row, column)


def sample_settings(draw: Any) -> tuple[dict[str, Any], dict[str, Pair]]:
    """Settings of windows, drawn for both dimensions apart, and the sizes that go with them."""
    both = draw.window(max_out=2), draw.window(max_out=2)

    def pair(name: str) -> Pair:
        return getattr(both[0], name), getattr(both[1], name)

    settings = {name: pair(name) for name in ("stride", "padding", "dilation")}
    return settings, {name: pair(name) for name in ("size", "kernel", "out")}


def _im2col_sample(draw: Any) -> dict[str, Any]:
    settings, pairs = sample_settings(draw)
    images = draw.array((draw.integer(1, 2), draw.integer(1, 2), *pairs["size"]))
    return dict(input=images, kernel_size=pairs["kernel"], **settings)


im2col.samples(or_defaults(_im2col_sample, "dilation", "stride"))


@col2im.samples
def _(draw: Any) -> dict[str, Any]:
    settings, pairs = sample_settings(draw)
    (kh, kw), (oh, ow) = pairs["kernel"], pairs["out"]
    columns = draw.array((draw.integer(1, 2), draw.integer(1, 2) * kh * kw, oh * ow))
    return dict(input=columns, output_size=pairs["size"], kernel_size=(kh, kw), **settings)


@im2col.reference
def _(input: Array, kernel_size: Pair, dilation: Pair = (1, 1), padding: Pair = (0, 0), stride: Pair = (1, 1)) -> Array:
    size = (input.shape[2], input.shape[3])
    out = count_windows(size, kernel_size, stride, padding, dilation)
    columns = np.zeros((*input.shape[:2], *kernel_size, *out))
    for (y, x), (i, j), (row, column) in places(size, out, kernel_size, stride, padding, dilation):
        columns[:, :, i, j, y, x] = input[:, :, row, column]
    return columns.reshape(len(input), -1, out[0] * out[1])


@col2im.reference
def _(
    input: Array,
    output_size: Pair,
    kernel_size: Pair,
    dilation: Pair = (1, 1),
    padding: Pair = (0, 0),
    stride: Pair = (1, 1),
) -> Array:
    out = count_windows(output_size, kernel_size, stride, padding, dilation)
    columns = input.reshape(len(input), -1, *kernel_size, *out)
    images = np.zeros((*columns.shape[:2], *output_size))
    for (y, x), (i, j), (row, column) in places(output_size, out, kernel_size, stride, padding, dilation):
        images[:, :, row, column] += columns[:, :, i, j, y, x]
    return images
