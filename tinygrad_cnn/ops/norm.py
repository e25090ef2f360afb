"""Normalisation: batch norm over channels, layer norm over trailing dimensions.

The kernels' gradients are fused; the composites below say the same in simple ops, for second order and for tests.
``nn.functional`` adds running statistics, group norm and instance norm.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import DTYPES, Array, require_floating
from tinygrad_cnn.errors import DTypeError, ShapeError, UnsupportedDTypeError
from tinygrad_cnn.kernels import norm as kernels
from tinygrad_cnn.kernels.rows import images_of, rows_of

__all__: list[str] = []

Gradients = tuple[Array | None, ...]


def _check_parameters(op: str, input: Array, shape: tuple[int, ...], **parameters: Array | None) -> None:
    """Weight, bias and statistics have ``shape`` and the input's dtype, or float32 beside float16."""
    for name, value in parameters.items():
        if value is None:
            continue
        if value.shape != shape:
            raise ShapeError(
                f"{op}: {name} expected shape {shape} for an input of shape {input.shape}, got {value.shape}"
            )
        if value.dtype != input.dtype and not (input.dtype == np.float16 and value.dtype == np.float32):
            raise DTypeError(
                f"{op}: mixed dtype: input is {DTYPES[input.dtype]}, {name} {DTYPES[value.dtype]}; convert one of them"
            )


def channel_dims(ndim: int) -> tuple[int, ...]:
    """All dimensions but the channels': what batch norm reduces over."""
    return (0, *range(2, ndim))


def per_channel(values: Any, ndim: int) -> Any:
    """(C,) as (1,C,1,...), to be broadcast against images."""
    return values.reshape((1, -1, *[1] * (ndim - 2)))


# ------------------------------------------------------------------------------------------- batch norm
@differentiable(residuals=("mean", "var"), grad_name="NativeBatchNormBackward0")
def batch_norm(
    input: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float
) -> tuple[Array, ...]:
    """Normalise each channel of (N,C,*) to mean 0 and variance 1 over the batch, then scale and shift it.

    The residuals are the batch's mean and biased variance. Source: Ioffe and Szegedy 2015, algorithm 1.
    """
    out, mean, var = kernels.batch_norm(rows_of(input), weight, bias, eps)
    return images_of(out, input.shape), mean, var


def _batch_norm_gradients(
    g: Array, input: Array, weight: Array | None, mean: Array, var: Array, eps: float, needs: tuple[bool, ...]
) -> Gradients:
    rows, *rest = kernels.batch_norm_grads(rows_of(g), rows_of(input), weight, mean, var, eps, needs)
    return (None if rows is None else images_of(rows, input.shape), *rest)


batch_norm.fused_gradients(("input", "weight", "bias"), _batch_norm_gradients)
batch_norm.overwrites_gradient = True


@batch_norm.composite
def _(input: Any, weight: Any = None, bias: Any = None, *, eps: float) -> Any:
    dims = channel_dims(input.ndim)
    centred = input - input.mean(dims, True)
    out = centred * ((centred * centred).mean(dims, True) + eps) ** -0.5
    if weight is not None:
        out = out * per_channel(weight, input.ndim)
    return out if bias is None else out + per_channel(bias, input.ndim)


@batch_norm.check
def _(input: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float) -> None:
    require_floating(input, "batch_norm")
    _check_parameters("batch_norm", input, input.shape[1:2], weight=weight, bias=bias)


batch_norm.refuses(
    UnsupportedDTypeError,
    "batch_norm: input expected a floating dtype",
    input=np.ones((2, 3), int),
    weight=np.ones(3, int),
    eps=1e-05,
)
batch_norm.refuses(ShapeError, "batch_norm: weight expected shape (3,)", input=(2, 3), weight=(2,), eps=1e-05)
batch_norm.refuses(
    DTypeError, "mixed dtype: input is torch.float64", input=(2, 3), weight=np.ones(3, np.float32), eps=1e-05
)


def _draw_affine(draw: Any, shape: tuple[int, ...]) -> dict[str, Any]:
    weight = draw.array(shape, 0.5, 1.0) if draw.boolean() else None
    return dict(weight=weight, bias=draw.array(shape) if draw.boolean() else None)


@batch_norm.samples
def _(draw: Any) -> dict[str, Any]:
    shape = (draw.integer(2, 4), draw.integer(1, 3), *draw.shape(max_dims=2, max_side=3))
    far = math.prod(shape) >= 8 * shape[1] and draw.boolean()  # from 0: sums would lose digits
    return dict(
        input=draw.distinct(shape) + 12.0 * far, **_draw_affine(draw, shape[1:2]), eps=draw.choice([1e-5, 1e-2])
    )


def _standardised(values: Array, eps: float) -> Array:
    mean = math.fsum(values.flat) / values.size
    var = math.fsum((x - mean) ** 2 for x in values.flat) / values.size
    return np.vectorize(lambda x: (x - mean) / math.sqrt(var + eps))(values)


@batch_norm.reference
def _(input: Array, weight: Array | None = None, bias: Array | None = None, *, eps: float) -> Array:
    out = np.empty(input.shape)
    for c in range(input.shape[1]):
        out[:, c] = _standardised(input[:, c], eps) * (1 if weight is None else weight[c])
        out[:, c] += 0 if bias is None else bias[c]
    return out


@differentiable(grad_name="NativeBatchNormBackward0")
def scale_channels(input: Array, scale: Array, shift: Array | None = None) -> Array:
    """``input * scale + shift`` with one scale and one shift for each channel of (N,C,*): batch norm in evaluation."""
    return images_of(kernels.scale_shift(rows_of(input), scale, shift), input.shape)


scale_channels.gradients(
    input=lambda g, scale: scale_channels(g, scale),
    scale=lambda g, input, input_shape: (g * input).sum(channel_dims(len(input_shape))),
    shift=lambda g, input_shape: g.sum(channel_dims(len(input_shape))),
)


@scale_channels.check
def _(input: Array, scale: Array, shift: Array | None = None) -> None:
    require_floating(input, "scale_channels")
    _check_parameters("scale_channels", input, input.shape[1:2], scale=scale, shift=shift)


scale_channels.refuses(
    UnsupportedDTypeError,
    "scale_channels: input expected a floating dtype",
    input=np.ones((2, 3), int),
    scale=np.ones(3, int),
)
scale_channels.refuses(ShapeError, "scale_channels: scale expected shape (3,)", input=(2, 3), scale=(2,))
scale_channels.refuses(DTypeError, "mixed dtype: input is torch.float64", input=(2, 3), scale=np.ones(3, np.float32))


@scale_channels.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=2, max_dims=4, max_side=3)
    shift = draw.array(shape[1:2]) if draw.boolean() else None
    return dict(input=draw.array(shape), scale=draw.array(shape[1:2]), shift=shift)


@scale_channels.reference
def _(input: Array, scale: Array, shift: Array | None = None) -> Array:
    out = np.empty(input.shape)
    for index in np.ndindex(*input.shape):
        out[index] = input[index] * scale[index[1]] + (0 if shift is None else shift[index[1]])
    return out


# ------------------------------------------------------------------------------------------- layer norm
@differentiable(residuals=("mean", "var"), grad_name="NativeLayerNormBackward0")
def layer_norm(
    input: Array, weight: Array | None = None, bias: Array | None = None, *, dims: int, eps: float
) -> tuple[Array, ...]:
    """Normalise over the last ``dims`` dimensions to mean 0 and variance 1, then scale and shift each element.

    The residuals are mean and biased variance, one for each normalised group. Source: Ba, Kiros and Hinton 2016.
    """
    out, mean, var = kernels.layer_norm(_group_rows(input, dims), _flat(weight), _flat(bias), eps)
    return out.reshape(input.shape), mean, var


def _group_rows(input: Array, dims: int) -> Array:
    """The elements that are normalised together as one row each."""
    width = math.prod(input.shape[input.ndim - dims :])
    return np.ascontiguousarray(input).reshape(math.prod(input.shape[: input.ndim - dims]), width)


def _flat(parameter: Array | None) -> Array | None:
    return None if parameter is None else parameter.reshape(-1)


def _layer_norm_gradients(
    g: Array,
    input: Array,
    weight: Array | None,
    mean: Array,
    var: Array,
    dims: int,
    eps: float,
    needs: tuple[bool, ...],
) -> Gradients:
    found = kernels.layer_norm_grads(
        _group_rows(g, dims), _group_rows(input, dims), _flat(weight), mean, var, eps, needs
    )
    shapes = (input.shape, input.shape[input.ndim - dims :], input.shape[input.ndim - dims :])
    return tuple(None if v is None else v.reshape(shape) for v, shape in zip(found, shapes, strict=True))


layer_norm.fused_gradients(("input", "weight", "bias"), _layer_norm_gradients)


@layer_norm.composite
def _(input: Any, weight: Any = None, bias: Any = None, *, dims: int, eps: float) -> Any:
    last = tuple(range(-dims, 0))
    centred = input - input.mean(last, True)
    out = centred * ((centred * centred).mean(last, True) + eps) ** -0.5
    if weight is not None:
        out = out * weight
    return out if bias is None else out + bias


@layer_norm.check
def _(input: Array, weight: Array | None = None, bias: Array | None = None, *, dims: int, eps: float) -> None:
    require_floating(input, "layer_norm")
    _check_parameters("layer_norm", input, input.shape[input.ndim - dims :], weight=weight, bias=bias)


layer_norm.refuses(
    UnsupportedDTypeError,
    "layer_norm: input expected a floating dtype",
    input=np.ones((2, 3), int),
    weight=np.ones(3, int),
    dims=1,
    eps=1e-05,
)
layer_norm.refuses(ShapeError, "layer_norm: weight expected shape (3,)", input=(2, 3), weight=(2,), dims=1, eps=1e-05)
layer_norm.refuses(
    DTypeError, "mixed dtype: input is torch.float64", input=(2, 3), weight=np.ones(3, np.float32), dims=1, eps=1e-05
)


@layer_norm.samples
def _(draw: Any) -> dict[str, Any]:
    shape = (*draw.shape(max_dims=2, max_side=3), draw.integer(2, 4))
    dims = draw.integer(1, len(shape))
    affine = _draw_affine(draw, shape[len(shape) - dims :])
    return dict(input=draw.distinct(shape), **affine, dims=dims, eps=draw.choice([1e-5, 1e-2]))


@layer_norm.reference
def _(input: Array, weight: Array | None = None, bias: Array | None = None, *, dims: int, eps: float) -> Array:
    out = np.empty(input.shape)
    for index in np.ndindex(*input.shape[: input.ndim - dims]):
        out[index] = _standardised(input[index], eps) * (1 if weight is None else weight)
        out[index] += 0 if bias is None else bias
    return out


# --------------------------------------------------------------------------------------------- group norm
@differentiable(residuals=("mean", "var"), grad_name="NativeGroupNormBackward0")
def group_norm(
    input: Array, weight: Array | None = None, bias: Array | None = None, *, groups: int, eps: float
) -> tuple[Array, ...]:
    """Normalise each group of channels of each sample of (N,C,*), then scale and shift each channel.

    The residuals are the groups' means and biased variances, (N,groups). Source: Wu and He 2018, section 3.
    """
    out, mean, var = kernels.group_norm(_by_sample(input), weight, bias, groups, eps)
    return images_of(out, input.shape), mean, var


def _by_sample(images: Array) -> Array:
    """(N,C,*) as (N,P,C)."""
    return rows_of(images).reshape(images.shape[0], math.prod(images.shape[2:]), images.shape[1])


def _group_norm_gradients(
    g: Array,
    input: Array,
    weight: Array | None,
    mean: Array,
    var: Array,
    groups: int,
    eps: float,
    needs: tuple[bool, ...],
) -> Gradients:
    images, *rest = kernels.group_norm_grads(_by_sample(g), _by_sample(input), weight, mean, var, groups, eps, needs)
    return (None if images is None else images_of(images, input.shape), *rest)


group_norm.fused_gradients(("input", "weight", "bias"), _group_norm_gradients)


@group_norm.composite
def _(input: Any, weight: Any = None, bias: Any = None, *, groups: int, eps: float) -> Any:
    shape = tuple(input.shape)
    split = input.reshape((shape[0], groups, math.prod(shape[1:]) // groups))
    centred = split - split.mean(-1, True)
    out = (centred * ((centred * centred).mean(-1, True) + eps) ** -0.5).reshape(shape)
    if weight is not None:
        out = out * per_channel(weight, input.ndim)
    return out if bias is None else out + per_channel(bias, input.ndim)


@group_norm.check
def _(input: Array, weight: Array | None = None, bias: Array | None = None, *, groups: int, eps: float) -> None:
    require_floating(input, "group_norm")
    _check_parameters("group_norm", input, input.shape[1:2], weight=weight, bias=bias)


group_norm.refuses(
    UnsupportedDTypeError, "input expected a floating dtype", input=np.ones((2, 4), int), groups=2, eps=1e-5
)
group_norm.refuses(ShapeError, "weight expected shape (4,)", input=(2, 4), weight=(2,), groups=2, eps=1e-5)
group_norm.refuses(DTypeError, "mixed dtype", input=(2, 4), bias=np.ones(4, np.float32), groups=2, eps=1e-5)


@group_norm.samples
def _(draw: Any) -> dict[str, Any]:
    groups, width, pixels = draw.integer(1, 2), draw.integer(1, 2), draw.shape(max_dims=2, max_side=3)
    shape = (draw.integer(1, 3), groups * width, *(pixels if width > 1 else (2, *pixels[:1])))
    affine = _draw_affine(draw, shape[1:2])
    return dict(input=draw.distinct(shape), **affine, groups=groups, eps=draw.choice([1e-5, 1e-2]))


@group_norm.reference
def _(input: Array, weight: Array | None = None, bias: Array | None = None, *, groups: int, eps: float) -> Array:
    out, width = np.empty(input.shape), input.shape[1] // groups
    for n, k in np.ndindex(len(input), groups):
        group = slice(k * width, (k + 1) * width)
        out[n, group] = _standardised(input[n, group], eps)
    for n, c in np.ndindex(*input.shape[:2]):
        out[n, c] = out[n, c] * (1 if weight is None else weight[c]) + (0 if bias is None else bias[c])
    return out
