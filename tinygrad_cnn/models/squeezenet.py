"""SqueezeNet: AlexNet's accuracy with fifty times fewer parameters."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models.registry import Weights, register_model, with_weights
from tinygrad_cnn.ops.join import cat

__all__ = ["SqueezeNet", "squeezenet1_0", "squeezenet1_1"]


class Fire(nn.Module):
    """Squeeze the channels by a 1 by 1 convolution, expand them by a 1 by 1 and a 3 by 3 one side by side."""

    def __init__(self, inplanes: int, squeeze_planes: int, expand1x1_planes: int, expand3x3_planes: int) -> None:
        super().__init__()
        self.inplanes = inplanes
        self.squeeze = nn.Conv2d(inplanes, squeeze_planes, kernel_size=1)
        self.squeeze_activation = nn.ReLU(inplace=True)
        self.expand1x1 = nn.Conv2d(squeeze_planes, expand1x1_planes, kernel_size=1)
        self.expand1x1_activation = nn.ReLU(inplace=True)
        self.expand3x3 = nn.Conv2d(squeeze_planes, expand3x3_planes, kernel_size=3, padding=1)
        self.expand3x3_activation = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        """(N,inplanes,H,W) to (N,expand1x1_planes+expand3x3_planes,H,W)."""
        x = self.squeeze_activation(self.squeeze(x))
        parts = [self.expand1x1_activation(self.expand1x1(x)), self.expand3x3_activation(self.expand3x3(x))]
        return cat(parts, 1)


class SqueezeNet(nn.Module):
    """Fire modules, and scores (N,num_classes) of images (N,3,224,224), from 32 pixels on.

    Source: Iandola et al. 2016, "SqueezeNet: AlexNet-level accuracy with 50x fewer parameters and <0.5MB model size",
    table 1; version "1_1", of its repository, needs 2.4 times less computation.
    """

    def __init__(self, version: str = "1_0", num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.num_classes = num_classes

        def pool() -> nn.Module:
            return nn.MaxPool2d(kernel_size=3, stride=2, ceil_mode=True)

        if version == "1_0":
            stem = nn.Conv2d(3, 96, kernel_size=7, stride=2)
            fires = [Fire(96, 16, 64, 64), Fire(128, 16, 64, 64), Fire(128, 32, 128, 128), pool()]
            fires += [Fire(256, 32, 128, 128), Fire(256, 48, 192, 192), Fire(384, 48, 192, 192)]
            fires += [Fire(384, 64, 256, 256), pool(), Fire(512, 64, 256, 256)]
        elif version == "1_1":
            stem = nn.Conv2d(3, 64, kernel_size=3, stride=2)
            fires = [Fire(64, 16, 64, 64), Fire(128, 16, 64, 64), pool(), Fire(128, 32, 128, 128)]
            fires += [Fire(256, 32, 128, 128), pool(), Fire(256, 48, 192, 192), Fire(384, 48, 192, 192)]
            fires += [Fire(384, 64, 256, 256), Fire(512, 64, 256, 256)]
        else:
            raise ArgumentError(f"Unsupported SqueezeNet version {version}: 1_0 or 1_1 expected")
        self.features = nn.Sequential(stem, nn.ReLU(inplace=True), pool(), *fires)
        final_conv = nn.Conv2d(512, num_classes, kernel_size=1)
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout), final_conv, nn.ReLU(inplace=True), nn.AdaptiveAvgPool2d((1, 1))
        )
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                if m is final_conv:
                    nn.init.normal_(m.weight, mean=0.0, std=0.01)
                else:
                    nn.init.kaiming_uniform_(m.weight)
                if m.bias is not None:
                    nn.init.constant_(m.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        return self.classifier(self.features(x)).flatten(1)


_IMAGES: dict[str, Any] = dict(channels=3, min_size=32, digits={"num_classes": 10})


@register_model(parameters=1_248_424, **_IMAGES)
def squeezenet1_0(weights: Weights = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet as published: 1,248,424 parameters, images (N,3,224,224)."""
    return with_weights(SqueezeNet("1_0", **kwargs), weights)


@register_model(parameters=1_235_496, **_IMAGES)
def squeezenet1_1(weights: Weights = None, progress: bool = True, **kwargs: Any) -> SqueezeNet:
    """SqueezeNet 1.1, the cheaper one: 1,235,496 parameters, images (N,3,224,224)."""
    return with_weights(SqueezeNet("1_1", **kwargs), weights)
