"""DenseNet: every layer takes the outputs of all before it."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, load_weights, register_model
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.ops.join import cat
from tinygrad_cnn.utils.checkpoint import checkpoint

__all__ = ["DenseNet", "densenet121", "densenet161", "densenet169", "densenet201"]


class _DenseLayer(nn.Module):
    """``growth_rate`` new channels from all that were made before."""

    def __init__(
        self, num_input_features: int, growth_rate: int, bn_size: int, drop_rate: float, memory_efficient: bool = False
    ) -> None:
        super().__init__()
        self.norm1 = nn.BatchNorm2d(num_input_features)
        self.relu1 = nn.ReLU(inplace=True)
        self.conv1 = nn.Conv2d(num_input_features, bn_size * growth_rate, kernel_size=1, stride=1, bias=False)
        self.norm2 = nn.BatchNorm2d(bn_size * growth_rate)
        self.relu2 = nn.ReLU(inplace=True)
        self.conv2 = nn.Conv2d(bn_size * growth_rate, growth_rate, kernel_size=3, stride=1, padding=1, bias=False)
        self.drop_rate = float(drop_rate)
        self.memory_efficient = memory_efficient

    def bn_function(self, *inputs: Tensor) -> Tensor:
        """Join, normalise and narrow: what is cheap to compute, and large to keep."""
        return self.conv1(self.relu1(self.norm1(cat(inputs, 1))))

    def forward(self, input: Tensor | list[Tensor]) -> Tensor:
        """(N,num_input_features,H,W), possibly in parts, to (N,growth_rate,H,W)."""
        parts = [input] if isinstance(input, Tensor) else input
        if self.memory_efficient and any(part.requires_grad for part in parts):
            x = checkpoint(self.bn_function, *parts, use_reentrant=False)
        else:
            x = self.bn_function(*parts)
        x = self.conv2(self.relu2(self.norm2(x)))
        return F.dropout(x, p=self.drop_rate, training=self.training) if self.drop_rate > 0 else x


class _DenseBlock(nn.ModuleDict):
    def __init__(
        self,
        num_layers: int,
        num_input_features: int,
        bn_size: int,
        growth_rate: int,
        drop_rate: float,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        for i in range(num_layers):
            inputs = num_input_features + i * growth_rate
            layer = _DenseLayer(inputs, growth_rate, bn_size, drop_rate, memory_efficient)
            self.add_module(f"denselayer{i + 1}", layer)

    def forward(self, init_features: Tensor) -> Tensor:
        """(N,C,H,W) to (N,C+num_layers*growth_rate,H,W)."""
        features = [init_features]
        for layer in self.values():
            features.append(layer(features))
        return cat(features, 1)


class _Transition(nn.Sequential):
    """Fewer channels, and half the size."""

    def __init__(self, num_input_features: int, num_output_features: int) -> None:
        super().__init__()
        self.norm = nn.BatchNorm2d(num_input_features)
        self.relu = nn.ReLU(inplace=True)
        self.conv = nn.Conv2d(num_input_features, num_output_features, kernel_size=1, stride=1, bias=False)
        self.pool = nn.AvgPool2d(kernel_size=2, stride=2)


class DenseNet(nn.Module):
    """Dense blocks, and scores (N,num_classes) of images (N,3,224,224), from 32 pixels on.

    ``memory_efficient`` computes each layer's first half again in backward, instead of keeping it. Source: Huang et
    al. 2017, "Densely Connected Convolutional Networks", table 1.
    """

    def __init__(
        self,
        growth_rate: int = 32,
        block_config: tuple[int, ...] = (6, 12, 24, 16),
        num_init_features: int = 64,
        bn_size: int = 4,
        drop_rate: float = 0,
        num_classes: int = 1000,
        memory_efficient: bool = False,
    ) -> None:
        super().__init__()
        features: dict[str, nn.Module] = {
            "conv0": nn.Conv2d(3, num_init_features, kernel_size=7, stride=2, padding=3, bias=False),
            "norm0": nn.BatchNorm2d(num_init_features),
            "relu0": nn.ReLU(inplace=True),
            "pool0": nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
        }
        channels = num_init_features
        for i, layers in enumerate(block_config, start=1):
            block = _DenseBlock(layers, channels, bn_size, growth_rate, drop_rate, memory_efficient)
            features[f"denseblock{i}"] = block
            channels += layers * growth_rate
            if i != len(block_config):
                features[f"transition{i}"] = _Transition(channels, channels // 2)
                channels //= 2
        features["norm5"] = nn.BatchNorm2d(channels)
        self.features = nn.Sequential()
        for name, module in features.items():
            self.features.add_module(name, module)
        self.classifier = nn.Linear(channels, num_classes)
        for m in self.modules():
            if isinstance(m, nn.Conv2d):
                nn.init.kaiming_normal_(m.weight)
            elif isinstance(m, nn.Linear) and m.bias is not None:
                nn.init.constant_(m.bias, 0)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = F.relu(self.features(x), inplace=True)
        return self.classifier(F.adaptive_avg_pool2d(x, (1, 1)).flatten(1))


def _current_keys(state_dict: Mapping[str, Any]) -> dict[str, Any]:
    """The keys of checkpoints before PyTorch 0.4, as in ``denselayer1.norm.1.weight``, without the inner dot."""
    return {re.sub(r"(denselayer\d+\.(?:norm|relu|conv))\.([12]\.)", r"\1\2", key): v for key, v in state_dict.items()}


def _densenet(
    growth_rate: int, block_config: tuple[int, ...], num_init_features: int, weights: Weights, **kwargs: Any
) -> DenseNet:
    model = DenseNet(growth_rate, block_config, num_init_features, **kwargs)
    if weights is not None:
        model.load_state_dict(_current_keys(load_weights(weights)))
    return model


_IMAGES: dict[str, Any] = dict(channels=3, min_size=32, digits={"num_classes": 10})


@register_model(parameters=7_978_856, **_IMAGES)
def densenet121(weights: Weights = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-121: 7,978,856 parameters, images (N,3,224,224)."""
    return _densenet(32, (6, 12, 24, 16), 64, weights, **kwargs)


@register_model(parameters=28_681_000, **_IMAGES)
def densenet161(weights: Weights = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-161: 28,681,000 parameters, images (N,3,224,224)."""
    return _densenet(48, (6, 12, 36, 24), 96, weights, **kwargs)


@register_model(parameters=14_149_480, **_IMAGES)
def densenet169(weights: Weights = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-169: 14,149,480 parameters, images (N,3,224,224)."""
    return _densenet(32, (6, 12, 32, 32), 64, weights, **kwargs)


@register_model(parameters=20_013_928, **_IMAGES)
def densenet201(weights: Weights = None, progress: bool = True, **kwargs: Any) -> DenseNet:
    """DenseNet-201: 20,013,928 parameters, images (N,3,224,224)."""
    return _densenet(32, (6, 12, 48, 32), 64, weights, **kwargs)
