"""ResNet, and its wider relations ResNeXt and Wide ResNet."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, ClassVar

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, UnsupportedError
from tinygrad_cnn.models.registry import Weights, register_model, with_weights

__all__ = [
    "BasicBlock",
    "Bottleneck",
    "ResNet",
    "resnet18",
    "resnet34",
    "resnet50",
    "resnet101",
    "resnet152",
    "resnext50_32x4d",
    "resnext101_32x8d",
    "resnext101_64x4d",
    "wide_resnet50_2",
    "wide_resnet101_2",
]

NormLayer = Callable[..., nn.Module]


def conv3x3(in_planes: int, out_planes: int, stride: int = 1, groups: int = 1, dilation: int = 1) -> nn.Conv2d:
    """A 3 by 3 convolution that keeps the size, but for its stride."""
    return nn.Conv2d(
        in_planes, out_planes, kernel_size=3, stride=stride, padding=dilation, groups=groups, bias=False,
        dilation=dilation,
    )  # fmt: skip


def conv1x1(in_planes: int, out_planes: int, stride: int = 1) -> nn.Conv2d:
    """A 1 by 1 convolution."""
    return nn.Conv2d(in_planes, out_planes, kernel_size=1, stride=stride, bias=False)


class BasicBlock(nn.Module):
    """Two 3 by 3 convolutions and the shortcut around them: (N,inplanes,H,W) to (N,planes,H/stride,W/stride)."""

    expansion: ClassVar[int] = 1

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        if groups != 1 or base_width != 64:
            raise ArgumentError("BasicBlock only supports groups=1 and base_width=64")
        if dilation > 1:
            raise UnsupportedError("Dilation > 1 not supported in BasicBlock")
        self.conv1 = conv3x3(inplanes, planes, stride)
        self.bn1 = norm_layer(planes)
        self.relu = nn.ReLU(inplace=True)
        self.conv2 = conv3x3(planes, planes)
        self.bn2 = norm_layer(planes)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + shortcut(x))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.bn2(self.conv2(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class Bottleneck(nn.Module):
    """1 by 1, 3 by 3, 1 by 1: the middle one has few channels, the last one four times ``planes``.

    The stride is in the 3 by 3 convolution, as in torchvision ("ResNet v1.5"), not in the first as in the paper.
    """

    expansion: ClassVar[int] = 4

    def __init__(
        self,
        inplanes: int,
        planes: int,
        stride: int = 1,
        downsample: nn.Module | None = None,
        groups: int = 1,
        base_width: int = 64,
        dilation: int = 1,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        norm_layer = norm_layer or nn.BatchNorm2d
        width = int(planes * (base_width / 64.0)) * groups
        self.conv1 = conv1x1(inplanes, width)
        self.bn1 = norm_layer(width)
        self.conv2 = conv3x3(width, width, stride, groups, dilation)
        self.bn2 = norm_layer(width)
        self.conv3 = conv1x1(width, planes * self.expansion)
        self.bn3 = norm_layer(planes * self.expansion)
        self.relu = nn.ReLU(inplace=True)
        self.downsample = downsample
        self.stride = stride

    def forward(self, x: Tensor) -> Tensor:
        """relu(F(x) + shortcut(x))."""
        out = self.relu(self.bn1(self.conv1(x)))
        out = self.relu(self.bn2(self.conv2(out)))
        out = self.bn3(self.conv3(out))
        out += x if self.downsample is None else self.downsample(x)
        return self.relu(out)


class ResNet(nn.Module):
    """A stem, four stages of ``layers`` blocks each, and scores (N,num_classes) of images (N,3,224,224).

    Images may be smaller, from 32 pixels on. ``zero_init_residual`` lets each block begin as its shortcut.
    ``replace_stride_with_dilation`` says for the last three stages whether to dilate instead of striding. Sources:
    He et al. 2015, "Deep Residual Learning for Image Recognition", table 1; Xie et al. 2017, "Aggregated Residual
    Transformations for Deep Neural Networks" (``groups``); Zagoruyko and Komodakis 2016, "Wide Residual Networks"
    (``width_per_group``).
    """

    def __init__(
        self,
        block: type[BasicBlock | Bottleneck],
        layers: list[int],
        num_classes: int = 1000,
        zero_init_residual: bool = False,
        groups: int = 1,
        width_per_group: int = 64,
        replace_stride_with_dilation: list[bool] | None = None,
        norm_layer: NormLayer | None = None,
    ) -> None:
        super().__init__()
        self._norm_layer = norm_layer or nn.BatchNorm2d
        self.inplanes = 64
        self.dilation = 1
        self.groups = groups
        self.base_width = width_per_group
        dilate = replace_stride_with_dilation or [False, False, False]
        if len(dilate) != 3:
            raise ArgumentError(
                f"replace_stride_with_dilation should be None or a 3-element tuple, got {replace_stride_with_dilation}"
            )
        self.conv1 = nn.Conv2d(3, self.inplanes, kernel_size=7, stride=2, padding=3, bias=False)
        self.bn1 = self._norm_layer(self.inplanes)
        self.relu = nn.ReLU(inplace=True)
        self.maxpool = nn.MaxPool2d(kernel_size=3, stride=2, padding=1)
        self.layer1 = self._make_layer(block, 64, layers[0])
        self.layer2 = self._make_layer(block, 128, layers[1], stride=2, dilate=dilate[0])
        self.layer3 = self._make_layer(block, 256, layers[2], stride=2, dilate=dilate[1])
        self.layer4 = self._make_layer(block, 512, layers[3], stride=2, dilate=dilate[2])
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.fc = nn.Linear(512 * block.expansion, num_classes)
        self._initialize_weights(zero_init_residual)

    def _make_layer(
        self, block: type[BasicBlock | Bottleneck], planes: int, blocks: int, stride: int = 1, dilate: bool = False
    ) -> nn.Sequential:
        previous_dilation = self.dilation
        if dilate:
            self.dilation *= stride
            stride = 1
        shared = (self.groups, self.base_width)
        downsample = None
        if stride != 1 or self.inplanes != planes * block.expansion:
            downsample = nn.Sequential(
                conv1x1(self.inplanes, planes * block.expansion, stride),
                self._norm_layer(planes * block.expansion),
            )
        layers = [block(self.inplanes, planes, stride, downsample, *shared, previous_dilation, self._norm_layer)]
        self.inplanes = planes * block.expansion
        for _ in range(1, blocks):
            layers.append(block(self.inplanes, planes, 1, None, *shared, self.dilation, self._norm_layer))
        return nn.Sequential(*layers)

    def _initialize_weights(self, zero_init_residual: bool) -> None:
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight, mode="fan_out", nonlinearity="relu")
            elif isinstance(m, nn.BatchNorm2d | nn.GroupNorm) and m.weight is not None and m.bias is not None:
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)
        if zero_init_residual:
            for m in self.modules():
                if isinstance(m, Bottleneck | BasicBlock):
                    last = m.bn3 if isinstance(m, Bottleneck) else m.bn2
                    if last.weight is not None:
                        nn.init.constant_(last.weight, 0)

    def _forward_impl(self, x: Tensor) -> Tensor:
        x = self.maxpool(self.relu(self.bn1(self.conv1(x))))
        x = self.layer4(self.layer3(self.layer2(self.layer1(x))))
        return self.fc(self.avgpool(x).flatten(1))

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        return self._forward_impl(x)


def _resnet(
    block: type[BasicBlock | Bottleneck], layers: list[int], weights: Weights, fixed: dict[str, Any], **kwargs: Any
) -> ResNet:
    """``fixed`` are the arguments that make the network what its name says."""
    for name, value in fixed.items():
        if kwargs.setdefault(name, value) != value:
            raise ArgumentError(f"The parameter {name!r} expected value {value} but got {kwargs[name]} instead.")
    return with_weights(ResNet(block, layers, **kwargs), weights)


_IMAGES: dict[str, Any] = dict(channels=3, min_size=32, digits={"num_classes": 10})


@register_model(parameters=11_689_512, **_IMAGES)
def resnet18(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-18: 11,689,512 parameters, images (N,3,224,224)."""
    return _resnet(BasicBlock, [2, 2, 2, 2], weights, {}, **kwargs)


@register_model(parameters=21_797_672, **_IMAGES)
def resnet34(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-34: 21,797,672 parameters, images (N,3,224,224)."""
    return _resnet(BasicBlock, [3, 4, 6, 3], weights, {}, **kwargs)


@register_model(parameters=25_557_032, **_IMAGES)
def resnet50(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-50: 25,557,032 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, {}, **kwargs)


@register_model(parameters=44_549_160, **_IMAGES)
def resnet101(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-101: 44,549,160 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, {}, **kwargs)


@register_model(parameters=60_192_808, **_IMAGES)
def resnet152(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-152: 60,192,808 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 8, 36, 3], weights, {}, **kwargs)


@register_model(parameters=25_028_904, **_IMAGES)
def resnext50_32x4d(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-50, 32 groups of width 4: 25,028,904 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, {"groups": 32, "width_per_group": 4}, **kwargs)


@register_model(parameters=88_791_336, **_IMAGES)
def resnext101_32x8d(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-101, 32 groups of width 8: 88,791,336 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, {"groups": 32, "width_per_group": 8}, **kwargs)


@register_model(parameters=83_455_272, **_IMAGES)
def resnext101_64x4d(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNeXt-101, 64 groups of width 4: 83,455,272 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, {"groups": 64, "width_per_group": 4}, **kwargs)


@register_model(parameters=68_883_240, **_IMAGES)
def wide_resnet50_2(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-50 with inner layers twice as wide: 68,883,240 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 6, 3], weights, {"width_per_group": 128}, **kwargs)


@register_model(parameters=126_886_696, **_IMAGES)
def wide_resnet101_2(weights: Weights = None, progress: bool = True, **kwargs: Any) -> ResNet:
    """ResNet-101 with inner layers twice as wide: 126,886,696 parameters, images (N,3,224,224)."""
    return _resnet(Bottleneck, [3, 4, 23, 3], weights, {"width_per_group": 128}, **kwargs)
