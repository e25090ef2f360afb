"""Padding layers over ``nn.functional.pad``: (left, right) of signals, (left, right, top, bottom) of images."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.nn.module import Module

__all__ = [
    "CircularPad1d", "CircularPad2d", "ConstantPad1d", "ConstantPad2d", "ReflectionPad1d", "ReflectionPad2d",
    "ReplicationPad1d", "ReplicationPad2d", "ZeroPad1d", "ZeroPad2d",
]  # fmt: skip

Ints = int | Sequence[int]


class _PadNd(Module):
    """Pad ``dims`` dimensions; one number stands for all sides."""

    dims: int
    mode: str

    def __init__(self, padding: Ints) -> None:
        super().__init__()
        self.padding = (padding,) * (2 * self.dims) if isinstance(padding, int) else tuple(padding)

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return F.pad(input, self.padding, self.mode)

    def extra_repr(self) -> str:
        """The padding."""
        return f"{self.padding}"


class _ConstantPadNd(_PadNd):
    def __init__(self, padding: Ints, value: float) -> None:
        super().__init__(padding)
        self.value = value

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        return F.pad(input, self.padding, "constant", self.value)

    def extra_repr(self) -> str:
        """The padding and its value."""
        return f"padding={self.padding}, value={self.value}"


class ConstantPad1d(_ConstantPadNd):
    """Pad signals with ``value``: ``padding`` is (left, right)."""

    dims = 1


class ConstantPad2d(_ConstantPadNd):
    """Pad images with ``value``: ``padding`` is (left, right, top, bottom)."""

    dims = 2


class ZeroPad1d(ConstantPad1d):
    """Pad signals with zeros: ``padding`` is (left, right)."""

    def __init__(self, padding: Ints) -> None:
        super().__init__(padding, 0.0)

    extra_repr = _PadNd.extra_repr


class ZeroPad2d(ConstantPad2d):
    """Pad images with zeros: ``padding`` is (left, right, top, bottom).

    >>> import tinygrad_cnn as tg
    >>> tg.nn.ZeroPad2d((1, 0, 0, 0))(tg.ones(1, 2, 2))
    tensor([[[0., 1., 1.],
             [0., 1., 1.]]])
    """

    def __init__(self, padding: Ints) -> None:
        super().__init__(padding, 0.0)

    extra_repr = _PadNd.extra_repr


class ReflectionPad1d(_PadNd):
    """Pad signals with their mirror image, without repeating the edge."""

    dims, mode = 1, "reflect"


class ReflectionPad2d(_PadNd):
    """Pad images with their mirror image, without repeating the edge."""

    dims, mode = 2, "reflect"


class ReplicationPad1d(_PadNd):
    """Pad signals with their first and last element."""

    dims, mode = 1, "replicate"


class ReplicationPad2d(_PadNd):
    """Pad images with the pixels of their edges."""

    dims, mode = 2, "replicate"


class _CircularPadNd(_PadNd):
    mode = "circular"

    def forward(self, input: Tensor) -> Tensor:
        """The padded input."""
        if input.ndim not in (self.dims + 1, self.dims + 2):
            expected = f"{self.dims + 1}D or {self.dims + 2}D input"
            raise ArgumentError(f"{type(self).__name__} expected {expected} (got {input.ndim}D input)")
        return super().forward(input)


class CircularPad1d(_CircularPadNd):
    """Pad signals with their other end."""

    dims = 1


class CircularPad2d(_CircularPadNd):
    """Pad images with their opposite sides."""

    dims = 2
