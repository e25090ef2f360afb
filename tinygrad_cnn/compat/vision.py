"""What of torchvision stands in the sources of models and scripts, beside its datasets and transforms."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.data.transforms import Normalize, ToTensor
from tinygrad_cnn.errors import ArgumentTypeError
from tinygrad_cnn.ops.create import ones, zeros


class SqueezeExcitation(nn.Module):
    """Weights for channels, from what they hold on average (Hu et al. 2018, "Squeeze-and-Excitation Networks")."""

    def __init__(
        self,
        input_channels: int,
        squeeze_channels: int,
        activation: Callable[..., nn.Module] = nn.ReLU,
        scale_activation: Callable[..., nn.Module] = nn.Sigmoid,
    ) -> None:
        super().__init__()
        self.avgpool = nn.AdaptiveAvgPool2d(1)
        self.fc1 = nn.Conv2d(input_channels, squeeze_channels, 1)
        self.fc2 = nn.Conv2d(squeeze_channels, input_channels, 1)
        self.activation = activation()
        self.scale_activation = scale_activation()

    def forward(self, input: Tensor) -> Tensor:
        """The channels, weighted."""
        scale = self.fc2(self.activation(self.fc1(self.avgpool(input))))
        return self.scale_activation(scale) * input


class StochasticDepth(nn.Module):
    """Drops whole samples ("row") or all of a batch (Huang et al. 2016, "Deep Networks with Stochastic Depth")."""

    def __init__(self, p: float, mode: str) -> None:
        super().__init__()
        self.p = p
        self.mode = mode

    def forward(self, input: Tensor) -> Tensor:
        """The input, with zeros for what is dropped, in training."""
        if not self.training or self.p == 0.0:
            return input
        sides = [input.shape[0] if self.mode == "row" else 1] + [1] * (input.ndim - 1)
        noise: Any = input.new_empty(sides).bernoulli_(1.0 - self.p)
        return input * (noise / (1.0 - self.p) if self.p < 1.0 else noise)


class FrozenBatchNorm2d(nn.Module):
    """Batch normalisation whose statistics, weights and biases are constants."""

    def __init__(self, num_features: int, eps: float = 1e-5) -> None:
        super().__init__()
        self.eps = eps
        self.register_buffer("weight", ones(num_features))
        self.register_buffer("bias", zeros(num_features))
        self.register_buffer("running_mean", zeros(num_features))
        self.register_buffer("running_var", ones(num_features))

    def forward(self, x: Tensor) -> Tensor:
        """(N,C,H,W), normalised."""
        return nn.functional.batch_norm(x, self.running_mean, self.running_var, self.weight, self.bias, eps=self.eps)

    def extra_repr(self) -> str:
        """What stands in the parentheses of its ``repr``."""
        return f"{self.weight.shape[0]}, eps={self.eps}"


def to_tensor(pic: Any) -> Tensor:
    """``ToTensor()(pic)``."""
    return ToTensor()(pic)


def normalize(tensor: Tensor, mean: Sequence[float], std: Sequence[float], inplace: bool = False) -> Tensor:
    """``Normalize(mean, std, inplace)(tensor)``."""
    return Normalize(mean, std, inplace)(tensor)


def make_divisible(v: float, divisor: int, min_value: int | None = None) -> int:
    """``v`` rounded to a multiple of ``divisor``, and no more than 10 % down."""
    rounded = max(divisor if min_value is None else min_value, int(v + divisor / 2) // divisor * divisor)
    return rounded + divisor if rounded < 0.9 * v else rounded


def make_grid(
    tensor: Tensor | Sequence[Tensor],
    nrow: int = 8,
    padding: int = 2,
    normalize: bool = False,
    value_range: tuple[float, float] | None = None,
    scale_each: bool = False,
    pad_value: float = 0.0,
) -> Tensor:
    """Images (N,C,H,W), or several (C,H,W), side by side in one (3,H',W'), ``nrow`` in a row."""
    if not isinstance(tensor, Tensor) and not all(isinstance(image, Tensor) for image in tensor):
        raise ArgumentTypeError(f"make_grid: tensor or list of tensors expected, got {type(tensor).__name__}")
    images = tensor.numpy(force=True) if isinstance(tensor, Tensor) else np.stack([t.numpy(force=True) for t in tensor])
    images = images.reshape((1,) * (4 - images.ndim) + images.shape) if images.ndim < 4 else images
    images = np.repeat(images, 3, axis=1) if images.shape[1] == 1 else images
    if normalize:
        images = images.copy()
        for part in images if scale_each else [images]:
            low, high = value_range or (float(part.min()), float(part.max()))
            part[...] = (np.clip(part, low, high) - low) / max(high - low, 1e-5)
    if len(images) == 1:
        return wrap(images[0])
    count, channels, height, width = images.shape
    columns = min(nrow, count)
    rows = math.ceil(count / columns)
    height, width = height + padding, width + padding
    grid = np.full((channels, height * rows + padding, width * columns + padding), pad_value, images.dtype)
    for index, image in enumerate(images):
        top, left = index // columns * height + padding, index % columns * width + padding
        grid[:, top : top + image.shape[1], left : left + image.shape[2]] = image
    return wrap(grid)
