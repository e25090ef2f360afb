"""Normalisation in PyTorch's forms, with running statistics."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Array, float16, float32, require_floating
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError
from tinygrad_cnn.nn.functional.pool import avg_pool2d
from tinygrad_cnn.ops import norm as ops
from tinygrad_cnn.ops.info import finfo
from tinygrad_cnn.ops.inplace import is_recorded, write
from tinygrad_cnn.ops.pad import constant_pad_nd

__all__ = [
    "batch_norm",
    "group_norm",
    "instance_norm",
    "layer_norm",
    "local_response_norm",
    "normalize",
    "rms_norm",
]


# ------------------------------------------------------------------------------------------- batch norm
def batch_norm(
    input: Any,
    running_mean: Any,
    running_var: Any,
    weight: Any = None,
    bias: Any = None,
    training: bool = False,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of (N,C,*): by the batch's statistics in training, else by the running ones.

    In training the running mean and the running unbiased variance move by ``momentum`` towards the batch's.
    Raises ValueError if there is one value a channel to take statistics of. Source: Ioffe and Szegedy 2015.

    >>> import tinygrad_cnn as tg
    >>> batch_norm(tg.tensor([[0.0], [2.0]]), None, None, training=True)
    tensor([[-1.0000],
            [ 1.0000]])
    """
    if not input.numel():  # nothing to take statistics of
        return _through_empty(input, weight, bias)
    _check_running("batch_norm", input, running_mean, running_var)
    _check_affine("batch_norm", input, weight, bias)
    if not training:
        if eps < 0:
            raise ArgumentError(f"batch_norm eps must be non-negative, but got {eps}")
        if running_mean is None:
            raise GraphError("batch_norm: running_mean must be defined in evaluation mode")
        return _by_running_statistics(input, running_mean, running_var, weight, bias, eps)
    count = input.numel() // input.shape[1]
    if count == 1:
        raise ArgumentError(
            f"batch_norm: Expected more than 1 value per channel when training, got input size {input.shape}; use a "
            "larger batch, or eval()"
        )
    if eps <= 0:
        raise ArgumentError(f"batch_norm eps must be positive during training, but got {eps}")
    if running_mean is None:
        return ops.batch_norm(input, weight, bias, eps=eps)
    out, mean, var = ops.batch_norm.with_residuals(input, weight, bias, eps=eps)
    _move_towards(running_mean, mean._array, momentum)
    _move_towards(running_var, var._array * (count / (count - 1)), momentum)
    return out


def _through_empty(input: Any, weight: Any, bias: Any) -> Any:
    """An input without elements as it is, but with weight and bias in its graph."""
    out = input.clone()
    out = out if weight is None else out * weight.sum()
    return out if bias is None else out + bias.sum()


def _check_running(op: str, input: Any, running_mean: Any, running_var: Any) -> None:
    require_floating(input._array, op)
    if input.ndim < 2:
        raise ShapeError(f"{op}: expected an input (N,C,*) of at least 2 dimensions, got {tuple(input.shape)}")
    if (running_mean is None) != (running_var is None):
        raise ArgumentError(f"{op}: running_mean and running_var must either both be None or neither be None")
    for name, value in (("running_mean", running_mean), ("running_var", running_var)):
        if value is not None and value._array.shape != input._array.shape[1:2]:
            raise ShapeError(
                f"{op}: {name} should contain {input.shape[1]} elements, one for each channel of the input "
                f"{tuple(input.shape)}, not {value.numel()}"
            )
        if value is not None and value._array.dtype != input._array.dtype:
            raise DTypeError(f"{op}: mixed dtype: input is {input.dtype}, {name} {value.dtype}; convert one of them")


def _check_affine(op: str, input: Any, weight: Any, bias: Any) -> None:
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and value._array.shape != input._array.shape[1:2]:
            raise ShapeError(
                f"{op}: {name} expected one element for each channel of the input {tuple(input.shape)}, got shape "
                f"{tuple(value.shape)}"
            )


def _by_running_statistics(input: Any, *parameters: Any) -> Any:
    if is_recorded(*parameters):
        return ops.scale_channels(input, *_scale_and_shift(*parameters))
    arrays = [p._array if isinstance(p, Tensor) else p for p in parameters]  # six ops less
    return ops.scale_channels(input, *mode.quietly(_scale_and_shift, *arrays))


def _scale_and_shift(mean: Any, var: Any, weight: Any, bias: Any, eps: float) -> tuple[Any, Any]:
    """What batch norm by given statistics multiplies each channel by, and what it adds."""
    scale = (1.0 if weight is None else weight) / (var + eps) ** 0.5  # a root; NumPy takes its time for other powers
    shift = -mean * scale
    return scale, shift if bias is None else shift + bias


def _move_towards(running: Tensor, new: Array, momentum: float) -> None:
    """running = (1 - momentum) * running + momentum * new, in place."""
    with np.errstate(all="ignore"):  # a diverging network has infinite statistics
        write(running, ..., (1 - momentum) * running._array + momentum * new)


# --------------------------------------------------------------------------------------- other statistics
def layer_norm(
    input: Any, normalized_shape: Sequence[int], weight: Any = None, bias: Any = None, eps: float = 1e-5
) -> Any:
    """Normalise over the trailing dimensions ``normalized_shape``; ``weight`` and ``bias`` have that shape.

    >>> import tinygrad_cnn as tg
    >>> layer_norm(tg.tensor([[0.0, 2.0]]), (2,))
    tensor([[-1.0000,  1.0000]])
    """
    shape = _normalized_shape("layer_norm", input, normalized_shape, weight=weight, bias=bias)
    return ops.layer_norm(input, weight, bias, dims=len(shape), eps=eps)


def _normalized_shape(op: str, input: Any, shape: Sequence[int], **parameters: Any) -> tuple[int, ...]:
    """``shape`` as a tuple; raise unless the input ends with it and the parameters have it."""
    if isinstance(shape, int):
        raise ArgumentTypeError(f"{op}(): argument 'normalized_shape' (position 2) must be tuple of ints, not int")
    shape = tuple(shape)
    if not shape:
        raise ShapeError(f"{op}: Expected normalized_shape to be at least 1-dimensional, but got normalized_shape = []")
    for name, value in parameters.items():
        if value is not None and tuple(value.shape) != shape:
            raise ShapeError(
                f"{op}: Expected {name} to be of same shape as normalized_shape, but got {name} of shape "
                f"{list(value.shape)} and normalized_shape = {list(shape)}"
            )
    if tuple(input.shape)[-len(shape) :] != shape:
        raise ShapeError(
            f"{op}: Given normalized_shape={list(shape)}, expected input with shape [*, {str(list(shape))[1:-1]}], "
            f"but got input of size {list(input.shape)}"
        )
    return shape


def group_norm(input: Any, num_groups: int, weight: Any = None, bias: Any = None, eps: float = 1e-5) -> Any:
    """Normalise each group of channels of each sample of (N,C,*); ``weight`` and ``bias`` are one a channel.

    Source: Wu and He 2018.
    """
    if input.ndim < 2:
        raise ShapeError(f"group_norm: Expected at least 2 dimensions for input tensor but received {input.ndim}")
    channels = input.shape[1]
    if num_groups <= 0 or channels % num_groups:
        raise ShapeError(
            "group_norm: Expected number of channels in input to be divisible by num_groups, but got input of shape "
            f"{list(input.shape)} and num_groups={num_groups}"
        )
    if input.numel() == input.shape[0] * channels == num_groups:
        raise ArgumentError(
            f"group_norm: Expected more than 1 value per channel when training, got input size {list(input.shape)}"
        )
    return _by_groups("group_norm", input, num_groups, weight, bias, eps)[0]


def _by_groups(op: str, input: Any, groups: int, weight: Any, bias: Any, eps: float) -> tuple[Any, Any, Any]:
    """Each group of channels normalised, and its mean and biased variance, one a sample and group."""
    channels = input.shape[1]
    for name, value in (("weight", weight), ("bias", bias)):
        if value is not None and tuple(value.shape) != (channels,):
            raise ShapeError(
                f"{op}: Expected {name} to be a vector of size equal to the number of channels in input, but got "
                f"{name} of shape {list(value.shape)} and input of shape {list(input.shape)}"
            )
    return ops.group_norm.with_residuals(input, weight, bias, groups=groups, eps=eps)


def instance_norm(
    input: Any,
    running_mean: Any = None,
    running_var: Any = None,
    weight: Any = None,
    bias: Any = None,
    use_input_stats: bool = True,
    momentum: float = 0.1,
    eps: float = 1e-5,
) -> Any:
    """Normalise each channel of each sample of (N,C,*): by its own statistics, or else by the running ones.

    Source: Ulyanov, Vedaldi and Lempitsky 2016.
    """
    _check_running("instance_norm", input, running_mean, running_var)
    _check_affine("instance_norm", input, weight, bias)
    if not use_input_stats:
        if running_mean is None:
            raise GraphError(
                "instance_norm: Expected running_mean and running_var to be defined when use_input_stats is false"
            )
        return _by_running_statistics(input, running_mean, running_var, weight, bias, eps)
    samples, channels = input.shape[:2]
    size = math.prod(input.shape[2:])
    if size == 1:
        raise ArgumentError(
            f"instance_norm: Expected more than 1 spatial element when training, got input size {input.shape}"
        )
    out, mean, var = _by_groups("instance_norm", input, max(channels, 1), weight, bias, eps)
    if running_mean is not None:
        _move_towards(running_mean, mean._array.reshape(samples, channels).mean(0), momentum)
        biased = var._array.reshape(samples, channels).mean(0)
        _move_towards(running_var, biased * (size / (size - 1)) if size else biased, momentum)
    return out


# ------------------------------------------------------------------------------------ without a mean
def rms_norm(input: Any, normalized_shape: Sequence[int], weight: Any = None, eps: float | None = None) -> Any:
    """Divide by the root of the mean square over the trailing dimensions. Source: Zhang and Sennrich 2019."""
    require_floating(input._array, "rms_norm")
    shape = _normalized_shape("rms_norm", input, normalized_shape, weight=weight)
    wide = input.to(float32) if input.dtype is float16 else input  # squares of float16 overflow
    eps = finfo(wide.dtype).eps if eps is None else eps
    mean_square = (wide * wide).mean(tuple(range(-len(shape), 0)), True)
    out = (wide * (mean_square + eps) ** -0.5).to(input.dtype)
    return out if weight is None else out * weight


def local_response_norm(input: Any, size: int, alpha: float = 1e-4, beta: float = 0.75, k: float = 1.0) -> Any:
    """Divide (N,C,*) by (k + alpha * the mean square over ``size`` neighbouring channels) ** beta.

    Source: Krizhevsky, Sutskever and Hinton 2012, section 3.3.
    """
    if input.ndim < 3:
        raise ArgumentError(
            f"local_response_norm: Expected 3D or higher dimensionality input (got {input.ndim} dimensions)"
        )
    if not input.numel():
        return input
    shape = tuple(input.shape)
    squares = (input * input).reshape((shape[0], 1, shape[1], math.prod(shape[2:])))
    mean = avg_pool2d(constant_pad_nd(squares, (0, 0, size // 2, (size - 1) // 2)), (size, 1), stride=1).reshape(shape)
    return input / (mean * alpha + k) ** beta


def normalize(input: Any, p: float = 2.0, dim: Any = 1, eps: float = 1e-12, out: Any = None) -> Any:
    """Divide by the p-norm over ``dim``, which counts at least ``eps``.

    >>> import tinygrad_cnn as tg
    >>> normalize(tg.tensor([[3.0, 4.0]]))
    tensor([[0.6000, 0.8000]])
    """
    scaled = input / input.norm(p, dim, keepdim=True).clamp(min=eps)
    return scaled if out is None else out.copy_(scaled)
