"""AlexNet: torchvision's, and that of 2012."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, register_model, with_weights

__all__ = ["AlexNet", "AlexNet2012", "alexnet", "alexnet_2012"]


class AlexNet(nn.Module):
    """Five convolutions and three affine layers on one GPU, as in torchvision.

    Source: Krizhevsky 2014, "One weird trick for parallelizing convolutional neural networks", section 5.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 64, kernel_size=11, stride=4, padding=2),  # (N,64,55,55) of 224 by 224 pixels
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),  # (N,64,27,27)
            nn.Conv2d(64, 192, kernel_size=5, padding=2),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),  # (N,192,13,13)
            nn.Conv2d(192, 384, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(384, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(256, 256, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=2),  # (N,256,6,6)
        )
        self.avgpool = nn.AdaptiveAvgPool2d((6, 6))
        self.classifier = nn.Sequential(
            nn.Dropout(p=dropout),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(inplace=True),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(inplace=True),
            nn.Linear(4096, num_classes),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = self.avgpool(self.features(x))
        return self.classifier(x.flatten(1))


class AlexNet2012(nn.Module):
    """AlexNet with grouped convolutions, local response normalisation and overlapping pooling.

    Images are (N,3,227,227): the 224 of the paper don't give its 55 by 55 outputs. Source: Krizhevsky, Sutskever and
    Hinton 2012, "ImageNet Classification with Deep Convolutional Neural Networks", sections 3.3-3.5, 4.2 and 5.
    """

    def __init__(self, num_classes: int = 1000, dropout: float = 0.5) -> None:
        super().__init__()

        def normalisation() -> nn.Module:
            # the paper's alpha, 1e-4, is of the sum over five channels; PyTorch's is of their mean
            return nn.LocalResponseNorm(size=5, alpha=5e-4, beta=0.75, k=2.0)

        self.features = nn.Sequential(
            nn.Conv2d(3, 96, kernel_size=11, stride=4),  # (N,96,55,55)
            nn.ReLU(),
            normalisation(),
            nn.MaxPool2d(kernel_size=3, stride=2),  # (N,96,27,27)
            nn.Conv2d(96, 256, kernel_size=5, padding=2, groups=2),  # a group for each of the two GPUs
            nn.ReLU(),
            normalisation(),
            nn.MaxPool2d(kernel_size=3, stride=2),  # (N,256,13,13)
            nn.Conv2d(256, 384, kernel_size=3, padding=1),
            nn.ReLU(),
            nn.Conv2d(384, 384, kernel_size=3, padding=1, groups=2),
            nn.ReLU(),
            nn.Conv2d(384, 256, kernel_size=3, padding=1, groups=2),
            nn.ReLU(),
            nn.MaxPool2d(kernel_size=3, stride=2),  # (N,256,6,6)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(256 * 6 * 6, 4096),
            nn.ReLU(),
            nn.Dropout(p=dropout),
            nn.Linear(4096, 4096),
            nn.ReLU(),
            nn.Dropout(p=dropout),
            nn.Linear(4096, num_classes),
        )
        self._initialize_weights()

    def _initialize_weights(self) -> None:
        """Weights from N(0, 0.01²); biases 1 in the layers that section 5 names, else 0."""
        layers = [layer for layer in self.modules() if isinstance(layer, nn.Conv2d | nn.Linear)]
        for number, layer in enumerate(layers, start=1):
            nn.init.normal_(layer.weight, std=0.01)
            if layer.bias is not None:
                nn.init.constant_(layer.bias, 1.0 if number in (2, 4, 5, 6, 7) else 0.0)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        return self.classifier(self.features(x))


@register_model(parameters=61_100_840, channels=3, min_size=64, digits={"num_classes": 10})
def alexnet(weights: Weights = None, progress: bool = True, **kwargs: Any) -> AlexNet:
    """AlexNet as in torchvision: 61,100,840 parameters, images (N,3,224,224), from 63 pixels on."""
    return with_weights(AlexNet(**kwargs), weights)


@register_model(parameters=60_965_224, channels=3, min_size=227, digits={"num_classes": 10})
def alexnet_2012(weights: Weights = None, progress: bool = True, **kwargs: Any) -> AlexNet2012:
    """AlexNet as published: 60,965,224 parameters, images (N,3,227,227)."""
    return with_weights(AlexNet2012(**kwargs), weights)
