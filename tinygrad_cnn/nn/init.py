"""Initial values: each function fills its tensor in place, outside the graph, and returns it."""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Generator, default_generator
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.ops import random_fill
from tinygrad_cnn.ops.inplace import write

__all__ = [
    "calculate_gain",
    "constant_",
    "dirac_",
    "eye_",
    "kaiming_normal_",
    "kaiming_uniform_",
    "normal_",
    "ones_",
    "orthogonal_",
    "sparse_",
    "trunc_normal_",
    "uniform_",
    "xavier_normal_",
    "xavier_uniform_",
    "zeros_",
]


def _fill(tensor: Tensor, values: Any) -> Tensor:
    write(tensor, ..., values)
    return tensor


def _random(generator: Generator | None) -> np.random.Generator:
    return (default_generator if generator is None else generator).numpy


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with numbers that are equally likely anywhere in [a, b)."""
    return _fill(tensor, random_fill.uniform_(tensor.shape, tensor._array.dtype, generator, a, b))


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Fill with normally distributed numbers."""
    return _fill(tensor, random_fill.normal_(tensor.shape, tensor._array.dtype, generator, mean, std))


def trunc_normal_(
    tensor: Tensor,
    mean: float = 0.0,
    std: float = 1.0,
    a: float = -2.0,
    b: float = 2.0,
    generator: Generator | None = None,
) -> Tensor:
    """Fill with normally distributed numbers of which those outside [a, b] are drawn again.

    The bounds are values, not multiples of ``std``.
    """
    if mean < a - 2 * std or mean > b + 2 * std:
        warnings.warn(
            "mean is more than 2 std from [a, b] in nn.init.trunc_normal_. "
            "The distribution of values may be incorrect.",
            stacklevel=2,
        )
    source = _random(generator)
    values = np.empty(tensor.numel())
    left = np.arange(values.size)
    likely = _normal_cdf((b - mean) / std) - _normal_cdf((a - mean) / std) > 0.3
    peak = max(a, min(mean, b))  # where the density within the bounds is highest
    while left.size:
        if likely:
            drawn = source.normal(mean, std, left.size)
            accepted = (drawn >= a) & (drawn <= b)
        else:  # far in the tail: draw uniformly, and accept in proportion to the density
            drawn = source.uniform(a, b, left.size)
            log_density = ((peak - mean) ** 2 - (drawn - mean) ** 2) / (2 * std**2)
            accepted = np.log1p(-source.random(left.size)) <= log_density
        values[left[accepted]] = drawn[accepted]
        left = left[~accepted]
    return _fill(tensor, np.clip(values.reshape(tensor.shape).astype(tensor._array.dtype), a, b))


def _normal_cdf(x: float) -> float:
    return (1.0 + math.erf(x / math.sqrt(2.0))) / 2.0


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with ``val``."""
    return _fill(tensor, val)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with ones."""
    return _fill(tensor, 1)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with zeros."""
    return _fill(tensor, 0)


def eye_(tensor: Tensor) -> Tensor:
    """Make a matrix the identity."""
    check_argument(tensor.ndim == 2, f"Only tensors with 2 dimensions are supported, got {tensor.ndim}")
    return _fill(tensor, np.eye(*tensor.shape))


def dirac_(tensor: Tensor, groups: int = 1) -> Tensor:
    """Make convolution filters pass on their input channels unchanged, as far as there are channels."""
    check_argument(tensor.ndim in (3, 4, 5), "Only tensors with 3, 4, or 5 dimensions are supported")
    filters, channels, *window = tensor.shape
    check_argument(filters % groups == 0, "dim 0 must be divisible by groups")
    values = np.zeros(tensor.shape)
    center = tuple(side // 2 for side in window)
    per_group = filters // groups
    for group in range(groups):
        for channel in range(min(per_group, channels)):
            values[(group * per_group + channel, channel, *center)] = 1
    return _fill(tensor, values)


# ------------------------------------------------------------------------------- scaled to the layer's size
def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """By how much a nonlinearity's layer must be scaled up so that the values keep their variance.

    >>> calculate_gain("relu") ** 2
    2.0000000000000004
    """
    if nonlinearity == "tanh":
        return 5.0 / 3
    if nonlinearity == "relu":
        return math.sqrt(2.0)
    if nonlinearity == "selu":
        return 3.0 / 4  # found empirically; the layer's own gain is in the activation
    if nonlinearity == "leaky_relu":
        valid = param is None or (isinstance(param, int | float) and not isinstance(param, bool))
        check_argument(valid, f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1 + (0.01 if param is None else param) ** 2))
    linear = nonlinearity.startswith(("conv1d", "conv2d", "conv3d", "conv_transpose"))
    check_argument(linear or nonlinearity in ("linear", "sigmoid"), f"Unsupported nonlinearity {nonlinearity}")
    return 1


def _calculate_fan_in_and_fan_out(tensor: Tensor) -> tuple[int, int]:
    """How many values each output is computed from, and how many outputs each input goes into."""
    check_argument(tensor.ndim >= 2, "Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    filters, channels, *window = tensor.shape
    return channels * math.prod(window), filters * math.prod(window)


def _calculate_correct_fan(tensor: Tensor, mode: str) -> int:
    mode = mode.lower()
    check_argument(mode in ("fan_in", "fan_out"), f"Mode {mode} not supported, please use one of ['fan_in', 'fan_out']")
    return _calculate_fan_in_and_fan_out(tensor)[mode == "fan_out"]


def xavier_uniform_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Uniform with variance gain² * 2 / (fan_in + fan_out) (Glorot and Bengio 2010, eq. 16)."""
    bound = math.sqrt(3.0) * gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    return uniform_(tensor, -bound, bound, generator)


def xavier_normal_(tensor: Tensor, gain: float = 1.0, generator: Generator | None = None) -> Tensor:
    """Normal with variance gain² * 2 / (fan_in + fan_out) (Glorot and Bengio 2010)."""
    std = gain * math.sqrt(2.0 / float(sum(_calculate_fan_in_and_fan_out(tensor))))
    return normal_(tensor, 0.0, std, generator)


def kaiming_uniform_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Uniform with variance gain² / fan (He et al. 2015, section 2.2); ``a`` is the leaky ReLU's slope."""
    if _is_empty(tensor):
        return tensor
    bound = math.sqrt(3.0) * calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return uniform_(tensor, -bound, bound, generator)


def kaiming_normal_(
    tensor: Tensor,
    a: float = 0,
    mode: str = "fan_in",
    nonlinearity: str = "leaky_relu",
    generator: Generator | None = None,
) -> Tensor:
    """Normal with variance gain² / fan (He et al. 2015, section 2.2); ``a`` is the leaky ReLU's slope."""
    if _is_empty(tensor):
        return tensor
    std = calculate_gain(nonlinearity, a) / math.sqrt(_calculate_correct_fan(tensor, mode))
    return normal_(tensor, 0.0, std, generator)


def _is_empty(tensor: Tensor) -> bool:
    if 0 in tensor.shape:
        warnings.warn("Initializing zero-element tensors is a no-op", stacklevel=3)
        return True
    return False


def orthogonal_(tensor: Tensor, gain: float = 1, generator: Generator | None = None) -> Tensor:
    """Make the rows, or the columns if there are fewer, orthonormal times ``gain`` (Saxe et al. 2013)."""
    check_argument(tensor.ndim >= 2, "Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows = tensor.shape[0]
    drawn = _random(generator).normal(size=(rows, tensor.numel() // rows))
    wide = drawn.shape[0] < drawn.shape[1]
    q, r = np.linalg.qr(drawn.T if wide else drawn)
    q = q * np.sign(np.diagonal(r))  # makes it uniform among all orthogonal matrices (Mezzadri 2006)
    return _fill(tensor, gain * (q.T if wide else q).reshape(tensor.shape))


def sparse_(tensor: Tensor, sparsity: float, std: float = 0.01, generator: Generator | None = None) -> Tensor:
    """Normal values of which in each column the fraction ``sparsity`` is zero (Martens 2010)."""
    check_argument(tensor.ndim == 2, f"Only tensors with 2 dimensions are supported, got {tensor.ndim}")
    source = _random(generator)
    rows, columns = tensor.shape
    values = source.normal(0, std, (rows, columns))
    order = source.permuted(np.tile(np.arange(rows)[:, None], columns), axis=0)
    values[order < math.ceil(sparsity * rows)] = 0
    return _fill(tensor, values)


def _deprecated(function: Callable[..., Tensor]) -> Callable[..., Tensor]:
    new = function.__name__
    old = new.removesuffix("_")

    def renamed(*args: Any, **kwargs: Any) -> Tensor:
        warnings.warn(f"`nn.init.{old}` is now deprecated in favor of `nn.init.{new}`.", FutureWarning, stacklevel=2)
        return function(*args, **kwargs)

    renamed.__name__, renamed.__doc__ = old, f"Deprecated name of ``{new}``."
    return renamed


uniform = _deprecated(uniform_)
normal = _deprecated(normal_)
constant = _deprecated(constant_)
eye = _deprecated(eye_)
dirac = _deprecated(dirac_)
xavier_uniform = _deprecated(xavier_uniform_)
xavier_normal = _deprecated(xavier_normal_)
kaiming_uniform = _deprecated(kaiming_uniform_)
kaiming_normal = _deprecated(kaiming_normal_)
orthogonal = _deprecated(orthogonal_)
sparse = _deprecated(sparse_)
