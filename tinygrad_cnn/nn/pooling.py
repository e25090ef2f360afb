"""Pooling layers. They hold the settings of the functions in ``nn.functional``, which document them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.nn.module import Module

__all__ = [
    "AdaptiveAvgPool1d", "AdaptiveAvgPool2d", "AdaptiveMaxPool1d", "AdaptiveMaxPool2d", "AvgPool1d", "AvgPool2d",
    "LPPool1d", "LPPool2d", "MaxPool1d", "MaxPool2d", "MaxUnpool1d", "MaxUnpool2d",
]  # fmt: skip

Ints = int | Sequence[int]
Sides = int | None | Sequence[int | None]


def _each(value: Ints, dims: int) -> tuple[int, ...]:
    """A setting for each dimension."""
    return tuple(value) if isinstance(value, list | tuple) else (value,) * dims  # type: ignore[return-value]  # an int


# ------------------------------------------------------------------------------------------ max pooling
class _MaxPoolNd(Module):
    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        dilation: Ints = 1,
        return_indices: bool = False,
        ceil_mode: bool = False,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.dilation = dilation
        self.return_indices = return_indices
        self.ceil_mode = ceil_mode

    def _settings(self) -> dict[str, Any]:
        return dict(
            kernel_size=self.kernel_size,
            stride=self.stride,
            padding=self.padding,
            dilation=self.dilation,
            ceil_mode=self.ceil_mode,
            return_indices=self.return_indices,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}, "
            f"dilation={self.dilation}, ceil_mode={self.ceil_mode}"
        )


class MaxPool1d(_MaxPoolNd):
    """The largest element of each window of a signal: ``max_pool1d``, (N, C, L) -> (N, C, OL)."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, L) or (C, L) -> the same with OL; a pair with the indices if ``return_indices``."""
        return F.max_pool1d(input, **self._settings())


class MaxPool2d(_MaxPoolNd):
    """The largest element of each window of an image: ``max_pool2d``, (N, C, H, W) -> (N, C, OH, OW).

    >>> import tinygrad_cnn as tg
    >>> tg.nn.MaxPool2d(3, stride=2, padding=1)(tg.zeros(1, 8, 28, 28)).shape
    torch.Size([1, 8, 14, 14])
    """

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) or (C, H, W) -> the same with OH, OW; a pair with the indices if ``return_indices``."""
        return F.max_pool2d(input, **self._settings())


class _MaxUnpoolNd(Module):
    dims: int

    def __init__(self, kernel_size: Ints, stride: Ints | None = None, padding: Ints = 0) -> None:
        super().__init__()
        self.kernel_size = _each(kernel_size, self.dims)
        self.stride = _each(kernel_size if stride is None else stride, self.dims)
        self.padding = _each(padding, self.dims)

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class MaxUnpool1d(_MaxUnpoolNd):
    """Put maxima back where ``MaxPool1d(..., return_indices=True)`` found them, among zeros."""

    dims = 1

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, C, OL) or (C, OL) -> the same with L."""
        return F.max_unpool1d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


class MaxUnpool2d(_MaxUnpoolNd):
    """Put maxima back where ``MaxPool2d(..., return_indices=True)`` found them, among zeros."""

    dims = 2

    def forward(self, input: Tensor, indices: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """(N, C, OH, OW) or (C, OH, OW) -> the same with H, W."""
        return F.max_unpool2d(input, indices, self.kernel_size, self.stride, self.padding, output_size)


# ----------------------------------------------------------------------------- average and p-norm pooling
class AvgPool1d(Module):
    """The mean of each window of a signal: ``avg_pool1d``, (N, C, L) -> (N, C, OL)."""

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
    ) -> None:
        super().__init__()
        self.kernel_size = _each(kernel_size, 1)
        self.stride = _each(kernel_size if stride is None else stride, 1)
        self.padding = _each(padding, 1)
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L) -> the same with OL."""
        return F.avg_pool1d(input, self.kernel_size, self.stride, self.padding, self.ceil_mode, self.count_include_pad)

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class AvgPool2d(Module):
    """The mean of each window of an image: ``avg_pool2d``, (N, C, H, W) -> (N, C, OH, OW)."""

    def __init__(
        self,
        kernel_size: Ints,
        stride: Ints | None = None,
        padding: Ints = 0,
        ceil_mode: bool = False,
        count_include_pad: bool = True,
        divisor_override: int | None = None,
    ) -> None:
        super().__init__()
        self.kernel_size = kernel_size
        self.stride = kernel_size if stride is None else stride
        self.padding = padding
        self.ceil_mode = ceil_mode
        self.count_include_pad = count_include_pad
        self.divisor_override = divisor_override

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W) -> the same with OH, OW."""
        return F.avg_pool2d(
            input,
            self.kernel_size,
            self.stride,
            self.padding,
            self.ceil_mode,
            self.count_include_pad,
            self.divisor_override,
        )

    def extra_repr(self) -> str:
        """The settings."""
        return f"kernel_size={self.kernel_size}, stride={self.stride}, padding={self.padding}"


class _LPPoolNd(Module):
    def __init__(
        self, norm_type: float, kernel_size: Ints, stride: Ints | None = None, ceil_mode: bool = False
    ) -> None:
        super().__init__()
        self.norm_type = norm_type
        self.kernel_size = kernel_size
        self.stride = stride
        self.ceil_mode = ceil_mode

    def extra_repr(self) -> str:
        """The settings."""
        return (
            f"norm_type={self.norm_type}, kernel_size={self.kernel_size}, stride={self.stride}, "
            f"ceil_mode={self.ceil_mode}"
        )


class LPPool1d(_LPPoolNd):
    """The p-norm of each window of a signal: ``lp_pool1d``."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L) -> the same with OL."""
        return F.lp_pool1d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


class LPPool2d(_LPPoolNd):
    """The p-norm of each window of an image: ``lp_pool2d``."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W) -> the same with OH, OW."""
        return F.lp_pool2d(input, float(self.norm_type), self.kernel_size, self.stride, self.ceil_mode)


# --------------------------------------------------------------------------------------- adaptive pooling
class _AdaptivePoolNd(Module):
    def __init__(self, output_size: Sides) -> None:
        super().__init__()
        self.output_size: Any = output_size

    def extra_repr(self) -> str:
        """The size of the result."""
        return f"output_size={self.output_size}"


class AdaptiveAvgPool1d(_AdaptivePoolNd):
    """The means of ``output_size`` parts of a signal of any length: ``adaptive_avg_pool1d``."""

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, L) or (C, L) -> the same with ``output_size``."""
        return F.adaptive_avg_pool1d(input, self.output_size)


class AdaptiveAvgPool2d(_AdaptivePoolNd):
    """The means of ``output_size`` areas of an image of any size: ``adaptive_avg_pool2d``.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.AdaptiveAvgPool2d((1, None))(tg.zeros(2, 8, 7, 5)).shape
    torch.Size([2, 8, 1, 5])
    """

    def forward(self, input: Tensor) -> Tensor:
        """(N, C, H, W) or (C, H, W) -> the same with ``output_size``."""
        return F.adaptive_avg_pool2d(input, self.output_size)


class _AdaptiveMaxPoolNd(_AdaptivePoolNd):
    def __init__(self, output_size: Sides, return_indices: bool = False) -> None:
        super().__init__(output_size)
        self.return_indices = return_indices


class AdaptiveMaxPool1d(_AdaptiveMaxPoolNd):
    """The maxima of ``output_size`` parts of a signal of any length: ``adaptive_max_pool1d``."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, L) or (C, L) -> the same with ``output_size``; a pair with the indices if ``return_indices``."""
        return F.adaptive_max_pool1d(input, self.output_size, self.return_indices)


class AdaptiveMaxPool2d(_AdaptiveMaxPoolNd):
    """The maxima of ``output_size`` areas of an image of any size: ``adaptive_max_pool2d``."""

    def forward(self, input: Tensor) -> Any:
        """(N, C, H, W) or (C, H, W) -> the same with ``output_size``; with the indices if ``return_indices``."""
        return F.adaptive_max_pool2d(input, self.output_size, self.return_indices)
