"""MobileNet: convolutions taken apart into a depthwise and a pointwise one."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, register_model, with_weights

__all__ = ["MobileNetV1", "mobilenet_v1"]


def conv_bn(in_channels: int, out_channels: int, kernel_size: int, stride: int = 1, groups: int = 1) -> nn.Sequential:
    """Convolution, batch normalisation, ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding=kernel_size // 2, groups=groups, bias=False),
        nn.BatchNorm2d(out_channels),
        nn.ReLU(),
    )


class DepthwiseSeparable(nn.Module):
    """A 3 by 3 convolution of each channel by itself, then a 1 by 1 convolution of them all."""

    def __init__(self, in_channels: int, out_channels: int, stride: int = 1) -> None:
        super().__init__()
        self.depthwise = conv_bn(in_channels, in_channels, kernel_size=3, stride=stride, groups=in_channels)
        self.pointwise = conv_bn(in_channels, out_channels, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """(N,in_channels,H,W) to (N,out_channels,H/stride,W/stride)."""
        return self.pointwise(self.depthwise(x))


class MobileNetV1(nn.Module):
    """A convolution and 13 depthwise separable ones; scores (N,num_classes) of images (N,in_channels,224,224).

    ``width_mult`` (the paper's α) multiplies all channels. Images may be smaller, from 32 pixels on. Source: Howard et
    al. 2017, "MobileNets: Efficient Convolutional Neural Networks for Mobile Vision Applications", table 1.
    """

    def __init__(
        self, num_classes: int = 1000, width_mult: float = 1.0, dropout: float = 0.001, in_channels: int = 3
    ) -> None:
        super().__init__()
        channels = [64, 128, 128, 256, 256, 512, 512, 512, 512, 512, 512, 1024, 1024]
        strides = [1, 2, 1, 2, 1, 2, 1, 1, 1, 1, 1, 2, 1]
        width, *widths = [max(8, int(c * width_mult)) for c in (32, *channels)]
        layers: list[nn.Module] = [conv_bn(in_channels, width, kernel_size=3, stride=2)]
        for out, stride in zip(widths, strides, strict=True):
            layers.append(DepthwiseSeparable(width, out, stride))
            width = out
        self.features = nn.Sequential(*layers)
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.classifier = nn.Sequential(nn.Dropout(p=dropout), nn.Linear(width, num_classes))
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out")

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


@register_model(parameters=4_231_976, channels=3, min_size=32, digits={"num_classes": 10})
def mobilenet_v1(weights: Weights = None, progress: bool = True, **kwargs: Any) -> MobileNetV1:
    """MobileNet: 4,231,976 parameters, images (N,3,224,224)."""
    return with_weights(MobileNetV1(**kwargs), weights)
