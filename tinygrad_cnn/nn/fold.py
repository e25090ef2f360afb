"""Windows as columns, as layers: im2col and col2im."""

from __future__ import annotations

from collections.abc import Sequence

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.nn.module import Module

__all__ = ["Fold", "Unfold"]

Ints = int | Sequence[int]


class Unfold(Module):
    """Write each window of images as a column: (N,C,H,W) -> (N, C*KH*KW, windows). See ``functional.unfold``."""

    def __init__(self, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """im2col."""
        return F.unfold(input, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, dilation={self.dilation}, padding={self.padding}, stride={self.stride}"


class Fold(Module):
    """Add columns up to images: (N, C*KH*KW, windows) -> (N, C, *output_size). See ``functional.fold``."""

    def __init__(
        self, output_size: Ints, kernel_size: Ints, dilation: Ints = 1, padding: Ints = 0, stride: Ints = 1
    ) -> None:
        super().__init__()
        self.output_size = output_size
        self.kernel_size = kernel_size
        self.dilation = dilation
        self.padding = padding
        self.stride = stride

    def forward(self, input: Tensor) -> Tensor:
        """col2im."""
        return F.fold(input, self.output_size, self.kernel_size, self.dilation, self.padding, self.stride)

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"output_size={self.output_size}, kernel_size={self.kernel_size}, dilation={self.dilation}, "
            f"padding={self.padding}, stride={self.stride}"
        )
