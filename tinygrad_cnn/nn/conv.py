"""Convolution layers."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, ShapeError, check_argument
from tinygrad_cnn.nn import functional as F, init
from tinygrad_cnn.nn.lazy import LazyModuleMixin, UninitializedParameter, check_loaded_size
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter, new_parameter

__all__ = [
    "Conv1d",
    "Conv2d",
    "ConvTranspose1d",
    "ConvTranspose2d",
    "LazyConv1d",
    "LazyConv2d",
    "LazyConvTranspose1d",
    "LazyConvTranspose2d",
]

Ints = int | Sequence[int]
PADDING_MODES = ("zeros", "reflect", "replicate", "circular")


class _ConvNd(Module):
    """What the convolution layers share. Weight and bias are drawn from ±1/sqrt(fan_in), uniformly."""

    dims: int  # of an image, without batch and channels
    transposed = False
    in_channels: int
    out_channels: int
    kernel_size: tuple[int, ...]
    stride: tuple[int, ...]
    padding: str | tuple[int, ...]
    dilation: tuple[int, ...]
    output_padding: tuple[int, ...]
    groups: int
    padding_mode: str
    weight: Parameter
    bias: Parameter | None

    def _set_up(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints,
        padding: str | Ints,
        output_padding: Ints,
        dilation: Ints,
        groups: int,
        bias: bool,
        padding_mode: str,
        device: Any,
        dtype: Any,
    ) -> None:
        check_argument(groups > 0, f"groups must be a positive integer, got {groups}")
        check_argument(in_channels % groups == 0, f"in_channels must be divisible by groups: {in_channels}, {groups}")
        check_argument(
            out_channels % groups == 0, f"out_channels must be divisible by groups: {out_channels}, {groups}"
        )
        check_argument(
            padding_mode in PADDING_MODES,
            f"padding_mode must be one of {PADDING_MODES}, but got padding_mode={padding_mode!r}",
        )
        self.in_channels = in_channels
        self.out_channels = out_channels
        self.kernel_size = self._each(kernel_size)
        self.stride = self._each(stride)
        self.padding = padding if isinstance(padding, str) else self._each(padding)
        self.dilation = self._each(dilation)
        self.output_padding = self._each(output_padding)
        self.groups = groups
        self.padding_mode = padding_mode
        if isinstance(padding, str):
            check_argument(
                padding in ("same", "valid"), f"Invalid padding string {padding!r}, should be 'same' or 'valid'"
            )
            check_argument(
                padding == "valid" or set(self.stride) == {1},
                f"padding='same' is not supported for strided convolutions, got stride={self.stride}",
            )
        self._reversed_padding_repeated_twice = self._sides()
        self.weight = new_parameter(self._weight_shape(), device, dtype)
        if bias:
            self.bias = new_parameter((out_channels,), device, dtype)
        else:
            self.register_parameter("bias", None)
        self.reset_parameters()

    def _each(self, value: Ints) -> tuple[int, ...]:
        """A setting for each dimension."""
        return tuple(value) if isinstance(value, Iterable) else (value,) * self.dims

    def _weight_shape(self) -> tuple[int, ...]:
        leading = (self.in_channels, self.out_channels) if self.transposed else (self.out_channels, self.in_channels)
        return (leading[0], leading[1] // self.groups, *self.kernel_size)

    def _sides(self) -> list[int]:
        """The padding as ``F.pad`` takes it: before and after, from the last dimension to the first."""
        if self.padding == "valid":
            return [0] * (2 * self.dims)
        if self.padding == "same":
            totals = [d * (k - 1) for d, k in zip(self.dilation, self.kernel_size, strict=False)]
            return [side for total in reversed(totals) for side in (total // 2, total - total // 2)]
        return [side for side in reversed(self._each(self.padding)) for _ in range(2)]  # type: ignore[arg-type]  # no str

    def reset_parameters(self) -> None:
        """Draw weight and bias uniformly from ±1/sqrt(fan_in), where fan_in = C/groups*KH*KW."""
        init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        fan_in = math.prod(self.weight.shape[1:])
        if self.bias is not None:
            bound = 1 / math.sqrt(fan_in) if fan_in > 0 else 0
            init.uniform_(self.bias, -bound, bound)

    def extra_repr(self) -> str:
        """The settings that aren't the default's."""
        text = f"{self.in_channels}, {self.out_channels}, kernel_size={self.kernel_size}, stride={self.stride}"
        none = (0,) * self.dims
        if self.padding != none:
            text += f", padding={self.padding}"
        if self.dilation != (1,) * self.dims:
            text += f", dilation={self.dilation}"
        if self.output_padding != none:
            text += f", output_padding={self.output_padding}"
        if self.groups != 1:
            text += f", groups={self.groups}"
        if self.bias is None:
            text += ", bias=False"
        if self.padding_mode != "zeros":
            text += f", padding_mode={self.padding_mode}"
        return text


class _Conv(_ConvNd):
    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        self._set_up(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            0,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def _conv_forward(self, input: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        convolve = F.conv1d if self.dims == 1 else F.conv2d
        if self.padding_mode == "zeros":
            return convolve(input, weight, bias, self.stride, self.padding, self.dilation, self.groups)
        input = F.pad(input, self._reversed_padding_repeated_twice, mode=self.padding_mode)
        return convolve(input, weight, bias, self.stride, 0, self.dilation, self.groups)

    def forward(self, input: Tensor) -> Tensor:
        """Convolve a batch, or a single image."""
        return self._conv_forward(input, self.weight, self.bias)


class Conv1d(_Conv):
    """Convolve signals: (N, in_channels, L) -> (N, out_channels, OL), or without N. See ``functional.conv1d``.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.Conv1d(2, 4, 3, padding="same")(tg.ones(1, 2, 10)).shape
    torch.Size([1, 4, 10])
    """

    dims = 1


class Conv2d(_Conv):
    """Convolve images: (N, in_channels, H, W) -> (N, out_channels, OH, OW), or without N. See ``functional.conv2d``.

    ``padding_mode`` "reflect", "replicate" or "circular" pads with the image's own pixels instead of zeros.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.Conv2d(1, 6, 5, padding=2)
    Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))
    """

    dims = 2


class _ConvTranspose(_ConvNd):
    transposed = True

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__()
        check_argument(
            padding_mode == "zeros",
            f'Only "zeros" padding mode is supported for {type(self).__name__}, got {padding_mode!r}',
        )
        self._set_up(
            in_channels,
            out_channels,
            kernel_size,
            stride,
            padding,
            output_padding,
            dilation,
            groups,
            bias,
            padding_mode,
            device,
            dtype,
        )

    def forward(self, input: Tensor, output_size: Sequence[int] | None = None) -> Tensor:
        """Convolve; ``output_size`` chooses among the sizes that the stride leaves open (ValueError for another)."""
        extra = self.output_padding if output_size is None else self._output_padding(input, output_size)
        convolve = F.conv_transpose1d if self.dims == 1 else F.conv_transpose2d
        assert not isinstance(self.padding, str)
        return convolve(input, self.weight, self.bias, self.stride, self.padding, extra, self.groups, self.dilation)

    def _output_padding(self, input: Tensor, output_size: Sequence[int]) -> tuple[int, ...]:
        """The output_padding that leads to ``output_size``."""
        leading = 2 if input.ndim == self.dims + 2 else 1
        wanted = tuple(output_size)[leading:] if len(output_size) == leading + self.dims else tuple(output_size)
        if len(wanted) != self.dims:
            raise ArgumentError(
                f"{type(self).__name__}: for {input.ndim}D input, output_size must have {self.dims} or "
                f"{leading + self.dims} elements (got {len(wanted)})"
            )
        assert not isinstance(self.padding, str)
        least = tuple(
            (i - 1) * s - 2 * p + d * (k - 1) + 1
            for i, s, p, d, k in zip(
                input.shape[leading:], self.stride, self.padding, self.dilation, self.kernel_size, strict=True
            )
        )
        most = tuple(low + s - 1 for low, s in zip(least, self.stride, strict=True))
        if not all(low <= size <= high for low, size, high in zip(least, wanted, most, strict=True)):
            raise ArgumentError(
                f"{type(self).__name__}: requested an output size of {wanted}, but valid sizes range from {least} to "
                f"{most} (for an input of {tuple(input.shape[leading:])})"
            )
        return tuple(size - low for size, low in zip(wanted, least, strict=True))


class ConvTranspose1d(_ConvTranspose):
    """The adjoint of Conv1d: (N, in_channels, L) -> (N, out_channels, OL), or without N.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.ConvTranspose1d(4, 2, 3, stride=2)(tg.ones(1, 4, 5)).shape
    torch.Size([1, 2, 11])
    """

    dims = 1


class ConvTranspose2d(_ConvTranspose):
    """The adjoint of Conv2d, which grows images: (N, in_channels, H, W) -> (N, out_channels, OH, OW), or without N.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.ConvTranspose2d(4, 2, 4, stride=2, padding=1)(tg.ones(1, 4, 5, 5)).shape
    torch.Size([1, 2, 10, 10])
    """

    dims = 2


# ------------------------------------------------------------------------------------------- lazy layers
class _Lazy(LazyModuleMixin, _ConvNd):
    """Takes ``in_channels`` from its first input, and then is the plain layer."""

    def _postpone(self, out_channels: int, bias: bool, device: Any, dtype: Any) -> None:
        self.out_channels = out_channels
        self.weight = UninitializedParameter(device=device, dtype=dtype)
        if bias:
            self.bias = UninitializedParameter(device=device, dtype=dtype)

    def reset_parameters(self) -> None:
        """Draw weight and bias as the plain layer does, once their shape is known."""
        if self.in_channels != 0 and not self.has_uninitialized_params():
            super().reset_parameters()

    def initialize_parameters(self, input: Tensor, *args: Any, **kwargs: Any) -> None:
        """Take ``in_channels`` from the channels of ``input``."""
        name = type(self).__name__
        if input.ndim not in (self.dims + 1, self.dims + 2):
            raise ShapeError(
                f"{name}: Expected {self.dims + 1}D (unbatched) or {self.dims + 2}D (batched) input, got input of "
                f"size {list(input.shape)}"
            )
        channels = input.shape[-self.dims - 1]
        if isinstance(self.weight, UninitializedParameter):
            check_argument(
                channels % self.groups == 0,
                f"{name}: in_channels must be divisible by groups, got {channels} channels and groups={self.groups}",
            )
            self.in_channels = channels
            self.weight.materialize(self._weight_shape())
            if isinstance(self.bias, UninitializedParameter):
                self.bias.materialize((self.out_channels,))
            self.reset_parameters()
        elif self.in_channels == 0:  # the weight came from a state_dict
            loaded = self.weight.shape[0] if self.transposed else self.weight.shape[1] * self.groups
            check_loaded_size(name, "channels", loaded, channels)
            self.in_channels = channels


class _LazyConv(_Lazy, _Conv):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: str | Ints = 0,
        dilation: Ints = 1,
        groups: int = 1,
        bias: bool = True,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, dilation, groups, False, padding_mode)
        self._postpone(out_channels, bias, device, dtype)


class _LazyConvTranspose(_Lazy, _ConvTranspose):
    def __init__(
        self,
        out_channels: int,
        kernel_size: Ints,
        stride: Ints = 1,
        padding: Ints = 0,
        output_padding: Ints = 0,
        groups: int = 1,
        bias: bool = True,
        dilation: Ints = 1,
        padding_mode: str = "zeros",
        device: Any = None,
        dtype: Any = None,
    ) -> None:
        super().__init__(0, 0, kernel_size, stride, padding, output_padding, groups, False, dilation, padding_mode)
        self._postpone(out_channels, bias, device, dtype)


class LazyConv1d(_LazyConv, Conv1d):
    """A Conv1d that takes ``in_channels`` from its first input, and then is a Conv1d."""

    cls_to_become = Conv1d


class LazyConv2d(_LazyConv, Conv2d):
    """A Conv2d that takes ``in_channels`` from its first input, and then is a Conv2d.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.LazyConv2d(6, kernel_size=5)
    >>> layer(tg.zeros(1, 3, 8, 8)).shape, type(layer) is tg.nn.Conv2d
    (torch.Size([1, 6, 4, 4]), True)
    """

    cls_to_become = Conv2d


class LazyConvTranspose1d(_LazyConvTranspose, ConvTranspose1d):
    """A ConvTranspose1d that takes ``in_channels`` from its first input, and then is a ConvTranspose1d."""

    cls_to_become = ConvTranspose1d


class LazyConvTranspose2d(_LazyConvTranspose, ConvTranspose2d):
    """A ConvTranspose2d that takes ``in_channels`` from its first input, and then is a ConvTranspose2d."""

    cls_to_become = ConvTranspose2d
