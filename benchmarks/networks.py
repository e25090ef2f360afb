"""The networks that are measured, written once: PyTorch's names are ours, so ``T`` may be either library."""

from __future__ import annotations

from typing import Any


def simple_conv_net(T: Any) -> Any:
    """The book's network on (N,1,28,28): conv 30 5x5, relu, max pool 2, affine 100, relu, affine 10."""
    nn = T.nn
    return nn.Sequential(
        nn.Conv2d(1, 30, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(30 * 12 * 12, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )


def lenet5(T: Any) -> Any:
    """LeNet-5 on (N,1,28,28), with ReLU and max pooling."""
    nn = T.nn
    return nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )


def small_vgg(T: Any) -> Any:
    """3x3 convolutions 64-M-128-M-256-256-M on (N,3,32,32), and one affine layer."""
    nn = T.nn
    layers, channels = [], 3
    for width in (64, "M", 128, "M", 256, 256, "M"):
        if width == "M":
            layers.append(nn.MaxPool2d(2))
        else:
            layers += [nn.Conv2d(channels, width, 3, padding=1), nn.ReLU()]
            channels = width
    return nn.Sequential(*layers, nn.Flatten(), nn.Linear(256 * 4 * 4, 10))


def mlp(T: Any) -> Any:
    """784-256-128-10 on (N,1,28,28)."""
    nn = T.nn
    return nn.Sequential(
        nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10)
    )


def mobilenet(T: Any) -> Any:
    """Five depthwise separable blocks (Howard et al. 2017) on (N,3,32,32)."""
    nn = T.nn

    def conv_bn(before: int, after: int, kernel: int, stride: int = 1, groups: int = 1) -> list[Any]:
        convolution = nn.Conv2d(before, after, kernel, stride, padding=kernel // 2, groups=groups, bias=False)
        return [convolution, nn.BatchNorm2d(after), nn.ReLU()]

    layers, channels = conv_bn(3, 32, 3), 32
    for width, stride in ((64, 1), (128, 2), (128, 1), (256, 2), (256, 1)):
        layers += conv_bn(channels, channels, 3, stride, groups=channels)
        layers += conv_bn(channels, width, 1)
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(channels, 10))


def _block(T: Any, before: int, after: int, stride: int, shortcut: Any) -> Any:
    """The basic block of He et al. 2015: two 3x3 convolutions and a shortcut."""
    nn = T.nn

    class Block(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.conv1 = nn.Conv2d(before, after, 3, stride, padding=1, bias=False)
            self.bn1 = nn.BatchNorm2d(after)
            self.relu = nn.ReLU(inplace=True)
            self.conv2 = nn.Conv2d(after, after, 3, padding=1, bias=False)
            self.bn2 = nn.BatchNorm2d(after)
            self.shortcut = shortcut

        def forward(self, x: Any) -> Any:
            out = self.relu(self.bn1(self.conv1(x)))
            return self.relu(self.bn2(self.conv2(out)) + self.shortcut(x))

    return Block()


def resnet20(T: Any) -> Any:
    """The ResNet of depth 20 for CIFAR, (N,3,32,32), with padded shortcuts (He et al. 2015, section 4.2)."""
    nn = T.nn

    class Pad(nn.Module):
        def __init__(self, channels: int) -> None:
            super().__init__()
            self.channels = channels

        def forward(self, x: Any) -> Any:
            return nn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.channels, self.channels))

    layers, channels = [nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(inplace=True)], 16
    for width, stride in ((16, 1), (16, 1), (16, 1), (32, 2), (32, 1), (32, 1), (64, 2), (64, 1), (64, 1)):
        shortcut = Pad((width - channels) // 2) if stride == 2 else nn.Identity()
        layers.append(_block(T, channels, width, stride, shortcut))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10))


def resnet18(T: Any) -> Any:
    """The ResNet of depth 18 for ImageNet, (N,3,224,224), with projected shortcuts (He et al. 2015, table 1)."""
    nn = T.nn
    layers = [nn.Conv2d(3, 64, 7, 2, padding=3, bias=False), nn.BatchNorm2d(64), nn.ReLU(inplace=True)]
    layers.append(nn.MaxPool2d(3, 2, padding=1))
    channels = 64
    for width, stride in ((64, 1), (64, 1), (128, 2), (128, 1), (256, 2), (256, 1), (512, 2), (512, 1)):
        shortcut = nn.Identity()
        if stride == 2:
            shortcut = nn.Sequential(nn.Conv2d(channels, width, 1, 2, bias=False), nn.BatchNorm2d(width))
        layers.append(_block(T, channels, width, stride, shortcut))
        channels = width
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(512, 1000))
