"""GoogLeNet: the first Inception network."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.models.registry import Weights, load_weights, register_model
from tinygrad_cnn.nn import functional as F
from tinygrad_cnn.ops.join import cat

__all__ = ["GoogLeNet", "GoogLeNetOutputs", "googlenet"]

Block = Callable[..., nn.Module]


class GoogLeNetOutputs(NamedTuple):
    """The scores, and those of the auxiliary classifiers: None if there are none."""

    logits: Tensor
    aux_logits2: Tensor | None
    aux_logits1: Tensor | None


class GoogLeNet(nn.Module):
    """Nine Inception modules, and scores (N,num_classes) of images (N,3,224,224), from 32 pixels on.

    With ``aux_logits``, training gives GoogLeNetOutputs; the paper adds 0.3 of each auxiliary loss. ``transform_input``
    takes images normalised as for torchvision's other networks. Source: Szegedy et al. 2015, "Going Deeper with
    Convolutions", table 1; with batch normalisation, and 3 by 3 in place of 5 by 5, as in torchvision.
    """

    def __init__(
        self,
        num_classes: int = 1000,
        aux_logits: bool = True,
        transform_input: bool = False,
        init_weights: bool | None = None,
        blocks: Sequence[Block] | None = None,
        dropout: float = 0.2,
        dropout_aux: float = 0.7,
    ) -> None:
        super().__init__()
        blocks = [BasicConv2d, Inception, InceptionAux] if blocks is None else blocks
        if len(blocks) != 3:
            raise ArgumentError(f"blocks length should be 3 instead of {len(blocks)}")
        conv_block, inception_block, inception_aux_block = blocks
        self.aux_logits = aux_logits
        self.transform_input = transform_input
        self.conv1 = conv_block(3, 64, kernel_size=7, stride=2, padding=3)
        self.maxpool1 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.conv2 = conv_block(64, 64, kernel_size=1)
        self.conv3 = conv_block(64, 192, kernel_size=3, padding=1)
        self.maxpool2 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception3a = inception_block(192, 64, 96, 128, 16, 32, 32)
        self.inception3b = inception_block(256, 128, 128, 192, 32, 96, 64)
        self.maxpool3 = nn.MaxPool2d(3, stride=2, ceil_mode=True)
        self.inception4a = inception_block(480, 192, 96, 208, 16, 48, 64)
        self.inception4b = inception_block(512, 160, 112, 224, 24, 64, 64)
        self.inception4c = inception_block(512, 128, 128, 256, 24, 64, 64)
        self.inception4d = inception_block(512, 112, 144, 288, 32, 64, 64)
        self.inception4e = inception_block(528, 256, 160, 320, 32, 128, 128)
        self.maxpool4 = nn.MaxPool2d(2, stride=2, ceil_mode=True)
        self.inception5a = inception_block(832, 256, 160, 320, 32, 128, 128)
        self.inception5b = inception_block(832, 384, 192, 384, 48, 128, 128)
        self.aux1 = inception_aux_block(512, num_classes, dropout=dropout_aux) if aux_logits else None
        self.aux2 = inception_aux_block(528, num_classes, dropout=dropout_aux) if aux_logits else None
        self.avgpool = nn.AdaptiveAvgPool2d((1, 1))
        self.dropout = nn.Dropout(p=dropout)
        self.fc = nn.Linear(1024, num_classes)
        if init_weights or init_weights is None:
            self._initialize_weights()

    def _initialize_weights(self) -> None:
        for m in self.modules():
            if isinstance(m, nn.Conv2d | nn.Linear):
                nn.init.trunc_normal_(m.weight, mean=0.0, std=0.01, a=-2, b=2)
            elif isinstance(m, nn.BatchNorm2d) and m.weight is not None and m.bias is not None:
                nn.init.constant_(m.weight, 1)
                nn.init.constant_(m.bias, 0)

    def _transform_input(self, x: Tensor) -> Tensor:
        """From torchvision's mean and deviation of each channel to 0.5 and 0.5, with which the weights were trained."""
        if not self.transform_input:
            return x
        red = x[:, 0:1] * (0.229 / 0.5) + (0.485 - 0.5) / 0.5
        green = x[:, 1:2] * (0.224 / 0.5) + (0.456 - 0.5) / 0.5
        blue = x[:, 2:3] * (0.225 / 0.5) + (0.406 - 0.5) / 0.5
        return cat((red, green, blue), 1)

    def _forward(self, x: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        """The scores, and in training those of the second and of the first auxiliary classifier."""
        x = self.maxpool1(self.conv1(x))  # (N,64,56,56)
        x = self.maxpool2(self.conv3(self.conv2(x)))  # (N,192,28,28)
        x = self.maxpool3(self.inception3b(self.inception3a(x)))  # (N,480,14,14)
        x = self.inception4a(x)  # (N,512,14,14)
        aux1 = self.aux1(x) if self.aux1 is not None and self.training else None
        x = self.inception4d(self.inception4c(self.inception4b(x)))  # (N,528,14,14)
        aux2 = self.aux2(x) if self.aux2 is not None and self.training else None
        x = self.maxpool4(self.inception4e(x))  # (N,832,7,7)
        x = self.inception5b(self.inception5a(x))  # (N,1024,7,7)
        x = self.dropout(self.avgpool(x).flatten(1))
        return self.fc(x), aux2, aux1

    def forward(self, x: Tensor) -> Tensor | GoogLeNetOutputs:
        """The scores of each class; in training with auxiliary classifiers, GoogLeNetOutputs."""
        scores, aux2, aux1 = self._forward(self._transform_input(x))
        return GoogLeNetOutputs(scores, aux2, aux1) if self.training and self.aux_logits else scores


class Inception(nn.Module):
    """Four branches side by side: 1 by 1; 3 by 3; another 3 by 3, where the paper has 5 by 5; pooling."""

    def __init__(
        self,
        in_channels: int,
        ch1x1: int,
        ch3x3red: int,
        ch3x3: int,
        ch5x5red: int,
        ch5x5: int,
        pool_proj: int,
        conv_block: Block | None = None,
    ) -> None:
        super().__init__()
        conv_block = conv_block or BasicConv2d
        self.branch1 = conv_block(in_channels, ch1x1, kernel_size=1)
        self.branch2 = nn.Sequential(
            conv_block(in_channels, ch3x3red, kernel_size=1),
            conv_block(ch3x3red, ch3x3, kernel_size=3, padding=1),
        )
        self.branch3 = nn.Sequential(
            conv_block(in_channels, ch5x5red, kernel_size=1),
            conv_block(ch5x5red, ch5x5, kernel_size=3, padding=1),
        )
        self.branch4 = nn.Sequential(
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1, ceil_mode=True),
            conv_block(in_channels, pool_proj, kernel_size=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """(N,in_channels,H,W) to (N,ch1x1+ch3x3+ch5x5+pool_proj,H,W)."""
        return cat([self.branch1(x), self.branch2(x), self.branch3(x), self.branch4(x)], 1)


class InceptionAux(nn.Module):
    """A classifier in the middle of the network, which brings gradients there."""

    def __init__(
        self, in_channels: int, num_classes: int, conv_block: Block | None = None, dropout: float = 0.7
    ) -> None:
        super().__init__()
        conv_block = conv_block or BasicConv2d
        self.conv = conv_block(in_channels, 128, kernel_size=1)
        self.fc1 = nn.Linear(2048, 1024)
        self.fc2 = nn.Linear(1024, num_classes)
        self.dropout = nn.Dropout(p=dropout)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = self.conv(F.adaptive_avg_pool2d(x, (4, 4)))  # (N,128,4,4)
        x = F.relu(self.fc1(x.flatten(1)), inplace=True)
        return self.fc2(self.dropout(x))


class BasicConv2d(nn.Module):
    """Convolution, batch normalisation, ReLU."""

    def __init__(self, in_channels: int, out_channels: int, **kwargs: Any) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, out_channels, bias=False, **kwargs)
        self.bn = nn.BatchNorm2d(out_channels, eps=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """(N,in_channels,H,W) to (N,out_channels,OH,OW)."""
        return F.relu(self.bn(self.conv(x)), inplace=True)


@register_model(parameters=13_004_888, channels=3, min_size=32, digits={"num_classes": 10, "aux_logits": False})
def googlenet(weights: Weights = None, progress: bool = True, **kwargs: Any) -> GoogLeNet:
    """GoogLeNet: 13,004,888 parameters, 6,624,904 without the auxiliary classifiers; images (N,3,224,224).

    With ``weights``, as in torchvision, ``transform_input`` is True and ``aux_logits`` False unless they are given.
    """
    if weights is None:
        return GoogLeNet(**kwargs)
    state = load_weights(weights)
    aux_logits = kwargs.pop("aux_logits", False)
    has_aux = any(key.startswith("aux1.") for key in state)
    settings = {"transform_input": True, **kwargs, "init_weights": False}
    model = GoogLeNet(aux_logits=aux_logits or has_aux, **settings)
    model.load_state_dict(state)
    if not aux_logits:
        model.aux_logits, model.aux1, model.aux2 = False, None, None
    return model
