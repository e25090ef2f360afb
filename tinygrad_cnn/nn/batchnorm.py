"""Batch norm and instance norm layers: each channel normalised, with running statistics."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F, init
from tinygrad_cnn.nn.lazy import LazyModuleMixin, UninitializedBuffer, UninitializedParameter
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter, new_parameter
from tinygrad_cnn.ops.inplace import write

__all__ = [
    "BatchNorm1d",
    "BatchNorm2d",
    "BatchNorm3d",
    "InstanceNorm1d",
    "InstanceNorm2d",
    "InstanceNorm3d",
    "LazyBatchNorm1d",
    "LazyBatchNorm2d",
    "LazyBatchNorm3d",
    "LazyInstanceNorm1d",
    "LazyInstanceNorm2d",
    "LazyInstanceNorm3d",
]


def _new_buffer(shape: tuple[int, ...], value: float, device: Any, dtype: Any) -> Tensor:
    buffer = new_parameter(shape, device, dtype).detach()
    buffer._array.fill(value)
    return buffer


class _NormBase(Module):
    """What batch norm and instance norm share: scale, shift and running statistics, one a channel."""

    _version = 2  # version 1 had no num_batches_tracked
    num_features: int
    weight: Parameter | None
    bias: Parameter | None
    running_mean: Tensor | None
    running_var: Tensor | None
    num_batches_tracked: Tensor | None
    _ndims: tuple[int, ...] = ()  # the numbers of dimensions that an input may have

    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.num_features = num_features
        self.eps = eps
        self.momentum = momentum
        self.affine = affine
        self.track_running_stats = track_running_stats
        shape, tracked = (num_features,), track_running_stats
        self.register_parameter("weight", new_parameter(shape, device, dtype) if affine else None)
        self.register_parameter("bias", new_parameter(shape, device, dtype) if affine and bias else None)
        self.register_buffer("running_mean", _new_buffer(shape, 0, device, dtype) if tracked else None)
        self.register_buffer("running_var", _new_buffer(shape, 1, device, dtype) if tracked else None)
        self.register_buffer("num_batches_tracked", wrap(np.zeros((), np.int64)) if tracked else None)
        self.reset_parameters()

    def reset_running_stats(self) -> None:
        """Start the running statistics again: mean 0, variance 1, no batches."""
        if self.running_mean is not None and self.running_var is not None and self.num_batches_tracked is not None:
            init.zeros_(self.running_mean)
            init.ones_(self.running_var)
            init.zeros_(self.num_batches_tracked)

    def reset_parameters(self) -> None:
        """Scale 1, shift 0, and new running statistics."""
        self.reset_running_stats()
        if self.weight is not None:
            init.ones_(self.weight)
        if self.bias is not None:
            init.zeros_(self.bias)

    def _check_input_dim(self, input: Tensor) -> None:
        if input.ndim not in self._ndims:
            expected = " or ".join(f"{ndim}D" for ndim in self._ndims)
            raise ArgumentError(f"{type(self).__name__} expected {expected} input (got {input.ndim}D input)")

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"{self.num_features}, eps={self.eps}, momentum={self.momentum}, affine={self.affine}, "
            f"bias={self.bias is not None}, track_running_stats={self.track_running_stats}"
        )

    def _load_from_state_dict(
        self, state_dict: dict[str, Any], prefix: str, local_metadata: dict[str, Any], *rest: Any
    ) -> None:
        key = prefix + "num_batches_tracked"
        if (local_metadata.get("version") or 1) < 2 and self.track_running_stats and key not in state_dict:
            state_dict[key] = (
                wrap(np.zeros((), np.int64)) if self.num_batches_tracked is None else self.num_batches_tracked
            )
        super()._load_from_state_dict(state_dict, prefix, local_metadata, *rest)


# ------------------------------------------------------------------------------------------- batch norm
class _BatchNorm(_NormBase):
    def forward(self, input: Tensor) -> Any:
        """Normalise each channel, by the batch in training, by the running statistics in evaluation."""
        self._check_input_dim(input)
        momentum = self.momentum or 0.0
        if self.training and self.num_batches_tracked is not None and self.track_running_stats:
            write(self.num_batches_tracked, ..., self.num_batches_tracked._array + 1)
            if self.momentum is None:
                momentum = 1.0 / float(self.num_batches_tracked)  # the average over all batches
        mean, var = self.running_mean, self.running_var
        by_batch = self.training or (mean is None and var is None)
        if self.training and not self.track_running_stats:
            mean = var = None
        return F.batch_norm(input, mean, var, self.weight, self.bias, by_batch, momentum, self.eps)


class BatchNorm1d(_BatchNorm):
    """Batch norm of features (N,C) or signals (N,C,L). Source: Ioffe and Szegedy 2015.

    ``momentum`` weighs the new batch; None averages over all batches since the start.
    """

    _ndims = (2, 3)


class BatchNorm2d(_BatchNorm):
    """Batch norm of images (N,C,H,W). Source: Ioffe and Szegedy 2015.

    ``momentum`` weighs the new batch in the running statistics; None averages over all batches since the start.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.BatchNorm2d(3)
    >>> layer(tg.randn(4, 3, 8, 8)).shape, layer.num_batches_tracked
    (torch.Size([4, 3, 8, 8]), tensor(1))
    """

    _ndims = (4,)


class BatchNorm3d(_BatchNorm):
    """Batch norm of volumes (N,C,D,H,W)."""

    _ndims = (5,)


class _LazyNormBase(LazyModuleMixin, _NormBase):
    """Takes ``num_features`` from the first input's dimension 1."""

    def __init__(
        self,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = True,
        track_running_stats: bool = True,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(0, eps, momentum, False, False)
        self.affine = affine
        self.track_running_stats = track_running_stats
        if affine:
            self.weight = UninitializedParameter(device=device, dtype=dtype)
            self.bias = UninitializedParameter(device=device, dtype=dtype) if bias else None
        if track_running_stats:
            self.running_mean = UninitializedBuffer(device=device, dtype=dtype)
            self.running_var = UninitializedBuffer(device=device, dtype=dtype)
            self.num_batches_tracked = wrap(np.zeros((), np.int64))

    def reset_parameters(self) -> None:
        """As the plain layer does, once the number of channels is known."""
        if self.num_features != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor) -> None:
        """Take the number of channels from ``input``."""
        if not self.has_uninitialized_params():
            return
        self.num_features = input.shape[1]
        for tensor in (self.weight, self.bias, self.running_mean, self.running_var):
            if isinstance(tensor, UninitializedParameter | UninitializedBuffer):
                tensor.materialize((self.num_features,))
        self.reset_parameters()


class LazyBatchNorm1d(_LazyNormBase, _BatchNorm):
    """A BatchNorm1d that takes ``num_features`` from its first input, and then is a BatchNorm1d."""

    cls_to_become = BatchNorm1d
    _ndims = BatchNorm1d._ndims


class LazyBatchNorm2d(_LazyNormBase, _BatchNorm):
    """A BatchNorm2d that takes ``num_features`` from its first input, and then is a BatchNorm2d."""

    cls_to_become = BatchNorm2d
    _ndims = BatchNorm2d._ndims


class LazyBatchNorm3d(_LazyNormBase, _BatchNorm):
    """A BatchNorm3d that takes ``num_features`` from its first input, and then is a BatchNorm3d."""

    cls_to_become = BatchNorm3d
    _ndims = BatchNorm3d._ndims


# ---------------------------------------------------------------------------------------- instance norm
class _InstanceNorm(_NormBase):
    def __init__(
        self,
        num_features: int,
        eps: float = 1e-5,
        momentum: float | None = 0.1,
        affine: bool = False,
        track_running_stats: bool = False,
        device: Any = None,
        dtype: Any = None,
        *,
        bias: bool = True,
    ) -> None:
        super().__init__(num_features, eps, momentum, affine, track_running_stats, device, dtype, bias=bias)

    def forward(self, input: Tensor) -> Any:
        """Normalise each channel of each sample; an input without a batch dimension is one sample."""
        self._check_input_dim(input)
        unbatched = input.ndim == min(self._ndims)
        channels = input.shape[0 if unbatched else 1]
        if channels != self.num_features:
            dim = 0 if unbatched else 1
            if self.affine:
                raise ArgumentError(
                    f"expected input's size at dim={dim} to match num_features ({self.num_features}), got: {channels}."
                )
            warnings.warn(
                f"input's size at dim={dim} does not match num_features. You can silence this warning by not passing "
                "in num_features, which is not used because affine=False",
                stacklevel=2,
            )
        out = F.instance_norm(
            input.unsqueeze(0) if unbatched else input,
            self.running_mean,
            self.running_var,
            self.weight,
            self.bias,
            self.training or not self.track_running_stats,
            self.momentum or 0.0,
            self.eps,
        )
        return out.squeeze(0) if unbatched else out

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        if local_metadata.get("version") is None and not self.track_running_stats:
            old = [prefix + name for name in ("running_mean", "running_var") if prefix + name in state_dict]
            if old:
                error_msgs.append(
                    f"Unexpected running stats buffer(s) {' and '.join(map(repr, old))} for {type(self).__name__} with "
                    "track_running_stats=False; remove them from the state_dict, or set track_running_stats=True"
                )
            for key in old:
                state_dict.pop(key)
        super()._load_from_state_dict(
            state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs
        )


class InstanceNorm1d(_InstanceNorm):
    """Instance norm of signals (N,C,L) or (C,L). Source: Ulyanov, Vedaldi and Lempitsky 2016."""

    _ndims = (2, 3)


class InstanceNorm2d(_InstanceNorm):
    """Instance norm of images (N,C,H,W) or (C,H,W). Source: Ulyanov, Vedaldi and Lempitsky 2016."""

    _ndims = (3, 4)


class InstanceNorm3d(_InstanceNorm):
    """Instance norm of volumes (N,C,D,H,W) or (C,D,H,W)."""

    _ndims = (4, 5)


class LazyInstanceNorm1d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm1d that takes ``num_features`` from its first input, and then is an InstanceNorm1d."""

    cls_to_become = InstanceNorm1d
    _ndims = InstanceNorm1d._ndims


class LazyInstanceNorm2d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm2d that takes ``num_features`` from its first input, and then is an InstanceNorm2d."""

    cls_to_become = InstanceNorm2d
    _ndims = InstanceNorm2d._ndims


class LazyInstanceNorm3d(_LazyNormBase, _InstanceNorm):
    """An InstanceNorm3d that takes ``num_features`` from its first input, and then is an InstanceNorm3d."""

    cls_to_become = InstanceNorm3d
    _ndims = InstanceNorm3d._ndims
