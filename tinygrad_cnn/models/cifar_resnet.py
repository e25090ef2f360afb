"""The small ResNets for CIFAR-10."""

from __future__ import annotations

from typing import Any, Literal

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models.registry import Weights, register_model, with_weights
from tinygrad_cnn.nn import functional as F

__all__ = ["CifarResNet", "resnet20", "resnet32", "resnet44", "resnet56", "resnet110"]

Option = Literal["A", "B"]


class PadShortcut(nn.Module):
    """Option A: every second pixel, and channels of zeros around the old ones; nothing to learn."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.channels = channels  # of zeros, on each side

    def forward(self, x: Tensor) -> Tensor:
        """(N,C,H,W) to (N,C+2*channels,H/2,W/2)."""
        return F.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))


class CifarBlock(nn.Module):
    """Two 3 by 3 convolutions and the shortcut around them."""

    def __init__(self, in_planes: int, planes: int, stride: int = 1, option: Option = "A") -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_planes, planes, kernel_size=3, stride=stride, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(planes)
        self.conv2 = nn.Conv2d(planes, planes, kernel_size=3, padding=1, bias=False)
        self.bn2 = nn.BatchNorm2d(planes)
        self.shortcut: nn.Module = nn.Sequential()
        if stride != 1 and option == "A":
            self.shortcut = PadShortcut((planes - in_planes) // 2)
        elif stride != 1:
            convolution = nn.Conv2d(in_planes, planes, kernel_size=1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(convolution, nn.BatchNorm2d(planes))

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + shortcut(x))."""
        out = F.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        return F.relu(out + self.shortcut(x))


class CifarResNet(nn.Module):
    """6 * ``blocks`` + 2 layers: a stem and three stages of 16, 32 and 64 channels, on images (N,in_channels,32,32).

    Images of other sizes will do. ``option`` "A" pads the shortcuts that change size with channels of zeros, as the
    paper does here, "B" projects them. Source: He et al. 2015, "Deep Residual Learning for Image Recognition",
    section 4.2; initial values of He et al. 2015, "Delving Deep into Rectifiers".
    """

    def __init__(self, blocks: int, num_classes: int = 10, option: Option = "A", in_channels: int = 3) -> None:
        super().__init__()
        if option not in ("A", "B"):
            raise ArgumentError(f"CifarResNet: option expected 'A' (padding) or 'B' (projection), got {option!r}")
        self.conv1 = nn.Conv2d(in_channels, 16, kernel_size=3, padding=1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = nn.Sequential(*[CifarBlock(16, 16) for _ in range(blocks)])
        self.layer2 = nn.Sequential(CifarBlock(16, 32, 2, option), *[CifarBlock(32, 32) for _ in range(blocks - 1)])
        self.layer3 = nn.Sequential(CifarBlock(32, 64, 2, option), *[CifarBlock(64, 64) for _ in range(blocks - 1)])
        self.linear = nn.Linear(64, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(m.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = F.relu(self.bn1(self.conv1(x)))
        x = self.layer3(self.layer2(self.layer1(x)))  # (N,64,H/4,W/4)
        return self.linear(x.mean((2, 3)))


@register_model(parameters=269_722, channels=3, min_size=8)
def resnet20(weights: Weights = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """ResNet-20 for CIFAR-10: 269,722 parameters, images (N,3,32,32)."""
    return with_weights(CifarResNet(3, **kwargs), weights)


@register_model(parameters=464_154, channels=3, min_size=8)
def resnet32(weights: Weights = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """ResNet-32 for CIFAR-10: 464,154 parameters, images (N,3,32,32)."""
    return with_weights(CifarResNet(5, **kwargs), weights)


@register_model(parameters=658_586, channels=3, min_size=8)
def resnet44(weights: Weights = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """ResNet-44 for CIFAR-10: 658,586 parameters, images (N,3,32,32)."""
    return with_weights(CifarResNet(7, **kwargs), weights)


@register_model(parameters=853_018, channels=3, min_size=8)
def resnet56(weights: Weights = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """ResNet-56 for CIFAR-10: 853,018 parameters, images (N,3,32,32)."""
    return with_weights(CifarResNet(9, **kwargs), weights)


@register_model(parameters=1_727_962, channels=3, min_size=8)
def resnet110(weights: Weights = None, progress: bool = True, **kwargs: Any) -> CifarResNet:
    """ResNet-110 for CIFAR-10: 1,727,962 parameters, images (N,3,32,32)."""
    return with_weights(CifarResNet(18, **kwargs), weights)
