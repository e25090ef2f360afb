"""Dropout: random zeros in training, and the rest scaled so that the expectation stays."""

from __future__ import annotations

import math
import warnings
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.backend import DTYPES, default_generator
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError

__all__ = ["alpha_dropout", "dropout", "dropout1d", "dropout2d", "dropout3d", "feature_alpha_dropout"]

_SELU_FLOOR = -1.7580993408473766  # what selu tends to at minus infinity


def dropout(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """In training, zero each element with probability ``p`` and divide the others by ``1 - p``.

    Raises ValueError for ``p`` outside [0, 1]. Source: Srivastava et al. 2014.

    >>> import tinygrad_cnn as tg
    >>> dropout(tg.ones(3), p=1.0), dropout(tg.ones(3), training=False)
    (tensor([0., 0., 0.]), tensor([1., 1., 1.]))
    """
    if _is_idle("dropout", input, p, training):
        return input
    return _multiply(input, _kept(_in_memory_order(input._array), p, 1.0), inplace)


def alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """Dropout for SELU networks: it sets elements to SELU's floor and keeps mean and variance.

    Source: Klambauer et al. 2017.
    """
    if _is_idle("alpha_dropout", input, p, training):
        return input
    return _alpha(input, tuple(input.shape), p, inplace)


def dropout1d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N,C,L) or (C,L). Source: Tompson et al. 2015."""
    _check_probability("dropout1d", p)
    if input.ndim not in (2, 3):
        raise ShapeError(f"dropout1d: Expected 2D or 3D input (N,C,L) or (C,L), but received a {input.ndim}D input.")
    return _drop_channels("dropout1d", input, p, training, inplace, batched=input.ndim == 3)


def dropout2d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N,C,H,W). As in PyTorch (N,C,L) is taken too, not (C,H,W), with a warning."""
    _check_probability("dropout2d", p)
    if input.ndim == 3:
        warnings.warn(
            "dropout2d: Received a 3D input to dropout2d and assuming that channel-wise 1D dropout behavior is desired "
            "- input is interpreted as shape (N, C, L), where C is the channel dim. Use dropout1d instead.",
            stacklevel=3,
        )
    elif input.ndim != 4:
        warnings.warn(
            f"dropout2d: Received a {input.ndim}-D input to dropout2d, which is deprecated and will result in an error "
            "in a future release. Use dropout instead.",
            stacklevel=3,
        )
    return _drop_channels("dropout2d", input, p, training, inplace)


def dropout3d(input: Any, p: float = 0.5, training: bool = True, inplace: bool = False) -> Any:
    """Dropout of whole channels of (N,C,D,H,W) or (C,D,H,W)."""
    _check_probability("dropout3d", p)
    if input.ndim not in (4, 5):
        warnings.warn(
            f"dropout3d: Received a {input.ndim}-D input to dropout3d, which is deprecated and will result in an error "
            "in a future release. Use dropout instead.",
            stacklevel=3,
        )
    return _drop_channels("dropout3d", input, p, training, inplace, batched=input.ndim == 5)


def feature_alpha_dropout(input: Any, p: float = 0.5, training: bool = False, inplace: bool = False) -> Any:
    """``alpha_dropout`` of whole channels of (N,C,*)."""
    if _is_idle("feature_alpha_dropout", input, p, training):
        return input
    return _alpha(input, _channel_shape("feature_alpha_dropout", input), p, inplace)


def _check_probability(op: str, p: float) -> None:
    if not 0.0 <= p <= 1.0:
        raise ArgumentError(f"{op}: dropout probability has to be between 0 and 1, but got {p}")


def _is_idle(op: str, input: Any, p: float, training: bool) -> bool:
    """Whether nothing is to be done; raise on what can't be dropped from."""
    _check_probability(op, p)
    if not training or p == 0 or not input.numel():
        return True
    if not input.is_floating_point():
        raise DTypeError(f"{op}: expected a floating input, got {DTYPES[input._array.dtype]}; convert with .float()")
    return False


def _kept(mask: np.ndarray, p: float, value: float) -> np.ndarray:
    """Fill ``mask`` with ``value / (1 - p)``, or with 0 in a share ``p`` of the elements; return it."""
    if p == 1:
        mask[...] = 0
        return mask
    uniform = default_generator.numpy.random(mask.size, np.float32 if mask.itemsize <= 4 else np.float64)
    axes = np.argsort([-stride for stride in mask.strides], kind="stable")  # from the slowest to the fastest
    in_memory = mask.transpose(axes)
    np.greater_equal(uniform.reshape(in_memory.shape), p, out=in_memory)
    mask *= mask.dtype.type(value / (1 - p))
    return mask


def _in_memory_order(array: np.ndarray) -> np.ndarray:
    """An empty array with the shape and layout of ``array``, so that multiplying by it runs along memory."""
    return np.empty_like(array)


def _multiply(input: Any, mask: np.ndarray, inplace: bool) -> Any:
    return input.mul_(wrap(mask)) if inplace else input * wrap(mask)


def _channel_shape(op: str, input: Any) -> tuple[int, ...]:
    """(N,C,1,...): one random number for each channel of each sample."""
    if input.ndim < 2:
        raise ShapeError(f"{op}: Feature dropout requires at least 2 dimensions in the input, got {input.ndim}")
    return (*input.shape[:2], *[1] * (input.ndim - 2))


def _drop_channels(op: str, input: Any, p: float, training: bool, inplace: bool, batched: bool = True) -> Any:
    if _is_idle(op, input, p, training):
        return input
    shape = _channel_shape(op, input) if batched else (input.shape[0], *[1] * (input.ndim - 1))
    return _multiply(input, _kept(np.empty(shape, input._array.dtype), p, 1.0), inplace)


def _alpha(input: Any, shape: tuple[int, ...], p: float, inplace: bool) -> Any:
    mask = _kept(np.empty(shape, input._array.dtype), p, 1 - p)
    if p == 1:
        return _multiply(input, mask, inplace)
    scale = 1 / math.sqrt((_SELU_FLOOR**2 * p + 1) * (1 - p))
    shift = (1 - mask) * mask.dtype.type(_SELU_FLOOR * scale) - mask.dtype.type(_SELU_FLOOR * scale * p)
    out = _multiply(input, mask * mask.dtype.type(scale), inplace)
    return out.add_(wrap(shift)) if inplace else out + wrap(shift)
