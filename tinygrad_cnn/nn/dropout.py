"""Dropout layers: they act in training only."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.nn.module import Module

__all__ = ["AlphaDropout", "Dropout", "Dropout1d", "Dropout2d", "Dropout3d", "FeatureAlphaDropout"]


class _Dropout(Module):
    _function: Any  # of nn.functional

    def __init__(self, p: float = 0.5, inplace: bool = False) -> None:
        super().__init__()
        check_argument(0 <= p <= 1, f"dropout probability has to be between 0 and 1, but got {p}")
        self.p = p
        self.inplace = inplace

    def forward(self, input: Tensor) -> Any:
        """The input with random zeros in training; the input itself in evaluation."""
        return type(self)._function(input, self.p, self.training, self.inplace)

    def extra_repr(self) -> str:
        """The settings."""
        return f"p={self.p}, inplace={self.inplace}"


class Dropout(_Dropout):
    """Zero each element with probability ``p``, divide the others by ``1 - p``. Source: Srivastava et al. 2014.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.Dropout(0.2)
    >>> layer.eval()(tg.ones(3))
    tensor([1., 1., 1.])
    """

    _function = staticmethod(F.dropout)


class Dropout1d(_Dropout):
    """Zero whole channels of (N,C,L) or (C,L) with probability ``p``."""

    _function = staticmethod(F.dropout1d)


class Dropout2d(_Dropout):
    """Zero whole channels of (N,C,H,W) with probability ``p``. Source: Tompson et al. 2015."""

    _function = staticmethod(F.dropout2d)


class Dropout3d(_Dropout):
    """Zero whole channels of (N,C,D,H,W) or (C,D,H,W) with probability ``p``."""

    _function = staticmethod(F.dropout3d)


class AlphaDropout(_Dropout):
    """Set elements to SELU's floor with probability ``p``, keep mean and variance. Source: Klambauer et al. 2017."""

    _function = staticmethod(F.alpha_dropout)


class FeatureAlphaDropout(_Dropout):
    """``AlphaDropout`` of whole channels."""

    _function = staticmethod(F.feature_alpha_dropout)
