"""Keeping gradients small: the norm of all together, or each element."""

from __future__ import annotations

import math
import types
import warnings
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import get_default_dtype
from tinygrad_cnn.errors import GraphError

__all__ = ["clip_grad_norm", "clip_grad_norm_", "clip_grad_value_", "clip_grads_with_norm_", "get_total_norm"]

# ``foreach`` chooses among PyTorch's implementations of the same arithmetic; there is one here.


def clip_grad_norm_(
    parameters: Tensor | Iterable[Tensor],
    max_norm: float,
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """Scale all gradients, as if they were one vector, to a norm of at most ``max_norm``; return the old norm.

    >>> import tinygrad_cnn as tg
    >>> w = tg.tensor([0.0, 0.0], requires_grad=True)
    >>> w.grad = tg.tensor([3.0, 4.0])
    >>> clip_grad_norm_(w, max_norm=1.0), w.grad
    (tensor(5.), tensor([0.6000, 0.8000]))
    """
    is_generator = isinstance(parameters, types.GeneratorType)
    parameters = _listed(parameters)
    if is_generator and not parameters:
        warnings.warn("`parameters` is an empty generator, no gradient clipping will occur.", stacklevel=2)
    total_norm = get_total_norm(_gradients(parameters), norm_type, error_if_nonfinite)
    clip_grads_with_norm_(parameters, max_norm, total_norm)
    return total_norm


def clip_grad_norm(*args: Any, **kwargs: Any) -> Tensor:
    """Deprecated name of ``clip_grad_norm_``."""
    warnings.warn(
        "`torch.nn.utils.clip_grad_norm` is now deprecated in favor of `torch.nn.utils.clip_grad_norm_`.",
        FutureWarning,
        stacklevel=2,
    )
    return clip_grad_norm_(*args, **kwargs)


def get_total_norm(
    tensors: Tensor | Iterable[Tensor],
    norm_type: float = 2.0,
    error_if_nonfinite: bool = False,
    foreach: bool | None = None,
) -> Tensor:
    """The norm of all tensors as if they were one vector, as a 0-d Tensor."""
    arrays = [tensor._array for tensor in _listed(tensors)]
    norm_type = float(norm_type)
    if not arrays:
        return wrap(np.zeros((), get_default_dtype().dtype))
    with np.errstate(all="ignore"):
        norms = np.array([_norm(array, norm_type) for array in arrays], arrays[0].dtype)
        total = np.asarray(_norm(norms, norm_type), arrays[0].dtype)
    if error_if_nonfinite and not np.isfinite(total):
        raise GraphError(
            f"The total norm of order {norm_type} for gradients from `parameters` is non-finite, so it cannot be "
            "clipped. To disable this error and scale the gradients by the non-finite norm anyway, set "
            "`error_if_nonfinite=False`"
        )
    return wrap(total)


def _norm(array: np.ndarray, order: float) -> Any:
    flat = array.reshape(-1)
    if order == 2.0:
        return np.sqrt(np.dot(flat, flat))
    size = np.abs(flat)
    if math.isinf(order):
        return size.max() if order > 0 else size.min()
    if order == 0:
        return np.count_nonzero(flat)
    return (size**order).sum() ** (1.0 / order)


def clip_grads_with_norm_(
    parameters: Tensor | Iterable[Tensor], max_norm: float, total_norm: Tensor, foreach: bool | None = None
) -> None:
    """Scale all gradients by ``max_norm / total_norm`` if that is less than one."""
    with np.errstate(all="ignore"):
        factor = np.minimum(float(max_norm) / (total_norm._array + 1e-6), 1.0)  # keeps a nan
        for gradient in _gradients(_listed(parameters)):
            np.multiply(gradient._array, factor, out=gradient._array, casting="same_kind")
            gradient._counter[0] += 1


def clip_grad_value_(parameters: Tensor | Iterable[Tensor], clip_value: float, foreach: bool | None = None) -> None:
    """Limit each element of the gradients to [-clip_value, clip_value]."""
    limit = float(clip_value)
    for gradient in _gradients(_listed(parameters)):
        np.clip(gradient._array, -limit, limit, out=gradient._array)
        gradient._counter[0] += 1


def _listed(tensors: Tensor | Iterable[Tensor]) -> list[Tensor]:
    return [tensors] if isinstance(tensors, Tensor) else list(tensors)


def _gradients(parameters: list[Tensor]) -> list[Tensor]:
    return [parameter.grad for parameter in parameters if parameter.grad is not None]
