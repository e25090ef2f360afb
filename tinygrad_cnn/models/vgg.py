"""VGG: deep networks of nothing but 3 by 3 convolutions."""

from __future__ import annotations

from typing import Any, Literal

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, register_model, with_weights

__all__ = ["VGG", "vgg11", "vgg11_bn", "vgg13", "vgg13_bn", "vgg16", "vgg16_bn", "vgg19", "vgg19_bn"]

Config = list[int | Literal["M"]]
# the channels of each convolution, "M" for max pooling; the letters are the columns of the paper's table 1
cfgs: dict[str, Config] = {
    "A": [64, "M", 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "B": [64, 64, "M", 128, 128, "M", 256, 256, "M", 512, 512, "M", 512, 512, "M"],
    "D": [64, 64, "M", 128, 128, "M", *[256] * 3, "M", *[512] * 3, "M", *[512] * 3, "M"],
    "E": [64, 64, "M", 128, 128, "M", *[256] * 4, "M", *[512] * 4, "M", *[512] * 4, "M"],
}


class VGG(nn.Module):
    """``features``, three affine layers, and scores (N,num_classes) of images (N,3,224,224), from 32 pixels on.

    Source: Simonyan and Zisserman 2015, "Very Deep Convolutional Networks for Large-Scale Image Recognition",
    section 2; batch normalisation as in torchvision.
    """

    def __init__(
        self, features: nn.Module, num_classes: int = 1000, init_weights: bool = True, dropout: float = 0.5
    ) -> None:
        super().__init__()
        self.features = features
        self.avgpool = nn.AdaptiveAvgPool2d((7, 7))
        self.classifier = nn.Sequential(
            nn.Linear(512 * 7 * 7, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        if init_weights:
            self._initialize_weights()

    def _initialize_weights(self) -> None:
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.Linear):
                nn.init.normal_(m.weight, 0, 0.01)
            if isinstance(m, nn.Conv2d | nn.Linear) and m.bias is not None:
                nn.init.constant_(m.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


def make_layers(cfg: Config, batch_norm: bool = False) -> nn.Sequential:
    """The convolutions and poolings that ``cfg`` lists."""
    layers: list[nn.Module] = []
    in_channels = 3
    for v in cfg:
        if v == "M":
            layers.append(nn.MaxPool2d(kernel_size=2, stride=2))
            continue
        layers.append(nn.Conv2d(in_channels, v, kernel_size=3, padding=1))
        if batch_norm:
            layers.append(nn.BatchNorm2d(v))
        layers.append(nn.ReLU(inplace=True))
        in_channels = v
    return nn.Sequential(*layers)


def _vgg(cfg: str, batch_norm: bool, weights: Weights, **kwargs: Any) -> VGG:
    if weights is not None:
        kwargs["init_weights"] = False
    return with_weights(VGG(make_layers(cfgs[cfg], batch_norm), **kwargs), weights)


_IMAGES: dict[str, Any] = dict(channels=3, min_size=32, digits={"num_classes": 10})


@register_model(parameters=132_863_336, **_IMAGES)
def vgg11(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 (column A): 132,863,336 parameters, images (N,3,224,224)."""
    return _vgg("A", False, weights, **kwargs)


@register_model(parameters=132_868_840, **_IMAGES)
def vgg11_bn(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-11 with batch normalisation (column A): 132,868,840 parameters, images (N,3,224,224)."""
    return _vgg("A", True, weights, **kwargs)


@register_model(parameters=133_047_848, **_IMAGES)
def vgg13(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 (column B): 133,047,848 parameters, images (N,3,224,224)."""
    return _vgg("B", False, weights, **kwargs)


@register_model(parameters=133_053_736, **_IMAGES)
def vgg13_bn(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-13 with batch normalisation (column B): 133,053,736 parameters, images (N,3,224,224)."""
    return _vgg("B", True, weights, **kwargs)


@register_model(parameters=138_357_544, **_IMAGES)
def vgg16(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 (column D): 138,357,544 parameters, images (N,3,224,224)."""
    return _vgg("D", False, weights, **kwargs)


@register_model(parameters=138_365_992, **_IMAGES)
def vgg16_bn(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-16 with batch normalisation (column D): 138,365,992 parameters, images (N,3,224,224)."""
    return _vgg("D", True, weights, **kwargs)


@register_model(parameters=143_667_240, **_IMAGES)
def vgg19(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 (column E): 143,667,240 parameters, images (N,3,224,224)."""
    return _vgg("E", False, weights, **kwargs)


@register_model(parameters=143_678_248, **_IMAGES)
def vgg19_bn(weights: Weights = None, progress: bool = True, **kwargs: Any) -> VGG:
    """VGG-19 with batch normalisation (column E): 143,678,248 parameters, images (N,3,224,224)."""
    return _vgg("E", True, weights, **kwargs)
