"""Convolutions in PyTorch's forms: one or two dimensions, with or without a batch, settings as ints, pairs or words."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentTypeError, ShapeError
from tinygrad_cnn.nn.functional.pool import ints
from tinygrad_cnn.ops import conv as ops
from tinygrad_cnn.ops.shape import squeeze, unsqueeze
from tinygrad_cnn.ops.unfold import col2im, im2col

__all__ = ["conv1d", "conv2d", "conv_transpose1d", "conv_transpose2d", "fold", "unfold"]

Ints = int | Sequence[int]


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: str | Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate signals (N,C,L) or (C,L) with filters (F, C/groups, K) -> (N,F,OL) or (F,OL).

    The settings are those of ``conv2d``.

    >>> import tinygrad_cnn as tg
    >>> conv1d(tg.tensor([[1.0, 2.0, 4.0]]), tg.tensor([[[-1.0, 1.0]]]))
    tensor([[1., 2.]])
    """
    return _convolve("conv1d", 1, input, weight, bias, stride, padding, dilation, groups)


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: str | Ints = 0,
    dilation: Ints = 1,
    groups: int = 1,
) -> Tensor:
    """Cross-correlate images (N,C,H,W) or (C,H,W) with filters (F, C/groups, KH, KW) -> (N,F,OH,OW) or (F,OH,OW).

    OH = (H + 2*padding - dilation*(KH-1) - 1) // stride + 1. ``padding="same"`` keeps H and W (stride 1 only; the odd
    pixel of an even kernel goes right and below), "valid" is 0. ShapeError if channels, groups or sizes don't fit.

    >>> import tinygrad_cnn as tg
    >>> conv2d(tg.ones(1, 3, 8, 8), tg.ones(16, 3, 3, 3), stride=2, padding=1).shape
    torch.Size([1, 16, 4, 4])
    """
    return _convolve("conv2d", 2, input, weight, bias, stride, padding, dilation, groups)


def conv_transpose1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The adjoint of ``conv1d``: (N,C,L) or (C,L) with filters (C, F/groups, K) -> (N,F,OL) or (F,OL).

    >>> import tinygrad_cnn as tg
    >>> conv_transpose1d(tg.tensor([[1.0, 2.0]]), tg.tensor([[[1.0, 10.0]]]), stride=2)
    tensor([[ 1., 10.,  2., 20.]])
    """
    return _transpose("conv_transpose1d", 1, input, weight, bias, stride, padding, output_padding, groups, dilation)


def conv_transpose2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Ints = 1,
    padding: Ints = 0,
    output_padding: Ints = 0,
    groups: int = 1,
    dilation: Ints = 1,
) -> Tensor:
    """The adjoint of ``conv2d``: (N,C,H,W) or (C,H,W) with filters (C, F/groups, KH, KW) -> (N,F,OH,OW) or (F,OH,OW).

    OH = (H-1)*stride - 2*padding + dilation*(KH-1) + 1 + output_padding, which chooses among the sizes that conv2d
    would bring to H. ShapeError unless output_padding is smaller than stride or dilation.

    >>> import tinygrad_cnn as tg
    >>> conv_transpose2d(tg.ones(1, 16, 4, 4), tg.ones(16, 3, 3, 3), stride=2, padding=1, output_padding=1).shape
    torch.Size([1, 3, 8, 8])
    """
    return _transpose("conv_transpose2d", 2, input, weight, bias, stride, padding, output_padding, groups, dilation)


def unfold(input: Tensor, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> Tensor:
    """Each window of images (N,C,H,W) or (C,H,W) as a column: (N, C*KH*KW, windows) or (C*KH*KW, windows): im2col.

    >>> import tinygrad_cnn as tg
    >>> unfold(tg.tensor([[[1.0, 2.0, 3.0]]]), (1, 2))
    tensor([[1., 2.],
            [2., 3.]])
    """
    _check_tensors("unfold", input=input)
    settings = _window_settings("unfold", kernel_size, dilation, padding, stride)
    columns: Tensor = im2col(unsqueeze(input, 0) if input.ndim == 3 else input, *settings)
    return squeeze(columns, 0) if input.ndim == 3 else columns


def fold(
    input: Tensor, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
) -> Tensor:
    """Add columns (N, C*KH*KW, windows), or without N, up to images (N, C, *output_size): col2im, unfold's adjoint.

    >>> import tinygrad_cnn as tg
    >>> fold(tg.ones(2, 2), (1, 3), (1, 2))
    tensor([[[1., 2., 1.]]])
    """
    _check_tensors("fold", input=input)
    settings = _window_settings("fold", kernel_size, dilation, padding, stride)
    size = _exactly_two("fold", "output_size", output_size)
    images: Tensor = col2im(unsqueeze(input, 0) if input.ndim == 2 else input, size, *settings)
    return squeeze(images, 0) if input.ndim == 2 else images


# ------------------------------------------------------------------------------------------------- helpers
def _check_tensors(op: str, **tensors: Any) -> None:
    for name, value in tensors.items():
        if not isinstance(value, Tensor) and not (value is None and name == "bias"):
            raise ArgumentTypeError(f"{op}(): argument '{name}' must be Tensor, not {type(value).__name__}")


def _check_groups(op: str, groups: Any) -> None:
    if isinstance(groups, bool) or not hasattr(groups, "__index__"):
        raise ArgumentTypeError(f"{op}(): argument 'groups' must be int, not {type(groups).__name__}")


def _is_batch(op: str, input: Tensor, dims: int) -> bool:
    if input.ndim not in (dims + 1, dims + 2):
        raise ShapeError(
            f"{op}: Expected {dims + 1}D (unbatched) or {dims + 2}D (batched) input to {op}, but got input of size: "
            f"{list(input.shape)}"
        )
    return input.ndim == dims + 2


def _convolve(
    op: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: str | Ints,
    dilation: Ints,
    groups: int,
) -> Tensor:
    _check_tensors(op, input=input, weight=weight, bias=bias)
    _check_groups(op, groups)
    steps, gaps = ints(stride, dims, op, "stride"), ints(dilation, dims, op, "dilation")
    odd = (0,) * dims  # by how much the padding after the image exceeds the one before
    if isinstance(padding, str):
        sides, odd = _named_padding(op, padding, weight.shape[2 : dims + 2], steps, gaps)
    else:
        sides = ints(padding, dims, op, "padding")
    batched = _is_batch(op, input, dims)
    if not batched:
        input = unsqueeze(input, 0)
    if dims == 1:
        check_arrays = (input._array, weight._array, None if bias is None else bias._array)
        ops.check_convolution(op, *check_arrays, steps, sides, gaps, groups)
        out = _one_row(ops.conv2d, input, weight, bias, (1, *steps), (0, *sides), (1, *gaps), groups)
    else:
        out = ops.conv2d(input, weight, bias, steps, sides, gaps, groups)
    if any(odd):  # computed with the larger padding on both sides: the first windows are one too many
        out = out[(..., *(slice(extra, None) for extra in odd))]
    return out if batched else squeeze(out, 0)


def _named_padding(
    op: str, name: str, kernel: Sequence[int], stride: tuple[int, ...], dilation: tuple[int, ...]
) -> tuple[tuple[int, ...], tuple[int, ...]]:
    """What 'valid' or 'same' means: the padding after the image, and how much less there is before it."""
    if name == "valid":
        return (0,) * len(stride), (0,) * len(stride)
    if name != "same":
        raise ShapeError(f"{op}: Invalid padding string: {name!r}; expected 'same', 'valid' or ints")
    if any(s != 1 for s in stride):
        raise ShapeError(f"{op}: padding='same' is not supported for strided convolutions, got stride={stride}")
    totals = tuple(d * (k - 1) for d, k in zip(dilation, kernel, strict=False))
    totals += (0,) * (len(stride) - len(totals))  # a weight of too few dimensions is refused later
    return tuple((t + 1) // 2 for t in totals), tuple(t % 2 for t in totals)


def _transpose(
    op: str,
    dims: int,
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None,
    stride: Ints,
    padding: Ints,
    output_padding: Ints,
    groups: int,
    dilation: Ints,
) -> Tensor:
    _check_tensors(op, input=input, weight=weight, bias=bias)
    _check_groups(op, groups)
    steps, sides = ints(stride, dims, op, "stride"), ints(padding, dims, op, "padding")
    gaps, extras = ints(dilation, dims, op, "dilation"), ints(output_padding, dims, op, "output_padding")
    batched = _is_batch(op, input, dims)
    if not batched:
        input = unsqueeze(input, 0)
    check_arrays = (input._array, weight._array, None if bias is None else bias._array)
    ops.check_convolution(op, *check_arrays, steps, sides, gaps, groups, transposed=True)
    if min(extras) < 0:
        raise ShapeError(f"{op}: negative output_padding is not supported, got {extras}")
    if any(e >= s and e >= d for e, s, d in zip(extras, steps, gaps, strict=True)):
        raise ShapeError(
            f"{op}: output padding must be smaller than either stride or dilation, but got output_padding={extras}, "
            f"stride={steps}, dilation={gaps}"
        )
    size = tuple(
        (i - 1) * s - 2 * p + d * (k - 1) + 1 + e
        for i, s, p, d, k, e in zip(input.shape[2:], steps, sides, gaps, weight.shape[2:], extras, strict=True)
    )
    if dims == 1:
        out = _one_row(
            ops.conv_transpose2d, input, weight, bias, (1, *size), (1, *steps), (0, *sides), (1, *gaps), groups
        )
    else:
        out = ops.conv_transpose2d(input, weight, bias, size, steps, sides, gaps, groups)
    return out if batched else squeeze(out, 0)


def _one_row(op: Any, input: Tensor, weight: Tensor, bias: Tensor | None, *settings: Any) -> Tensor:
    """A convolution in one dimension is one of images with a single row."""
    out: Tensor = squeeze(op(unsqueeze(input, 2), unsqueeze(weight, 2), bias, *settings), 2)
    return out


def _exactly_two(op: str, name: str, value: Ints) -> tuple[int, ...]:
    if isinstance(value, list | tuple) and len(value) != 2:
        raise ShapeError(f"{op}: It is expected {name} equals to 2, but got size {len(value)}; pass an int or a pair")
    return ints(value, 2, op, name)


def _window_settings(op: str, kernel_size: Ints, dilation: Ints, padding: Ints, stride: Ints) -> list[tuple[int, ...]]:
    named = dict(kernel_size=kernel_size, dilation=dilation, padding=padding, stride=stride)
    return [_exactly_two(op, name, value) for name, value in named.items()]
