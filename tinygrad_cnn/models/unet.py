"""U-Net: a class for every pixel."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, register_model, with_weights
from tinygrad_cnn.ops.join import cat

__all__ = ["UNet", "unet"]


def double_conv(in_channels: int, out_channels: int) -> nn.Sequential:
    """Two 3 by 3 convolutions that keep the size, each with batch normalisation and ReLU."""
    layers: list[nn.Module] = []
    for channels in (in_channels, out_channels):
        layers.append(nn.Conv2d(channels, out_channels, kernel_size=3, padding=1, bias=False))
        layers += [nn.BatchNorm2d(out_channels), nn.ReLU()]
    return nn.Sequential(*layers)


class UNet(nn.Module):
    """Down by pooling, up by transposed convolutions, with bridges: (N,in_channels,H,W) to (N,num_classes,H,W).

    H and W are at least 2**depth; sizes that pooling halves unevenly are restored. Source: Ronneberger et al. 2015,
    "U-Net: Convolutional Networks for Biomedical Image Segmentation", figure 1; smaller, padded instead of cropped,
    with batch normalisation.
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 2, width: int = 16, depth: int = 3) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.down = nn.ModuleList(double_conv(a, b) for a, b in zip([in_channels, *widths], widths, strict=False))
        self.pool = nn.MaxPool2d(2)
        self.up = nn.ModuleList(nn.ConvTranspose2d(2 * w, w, kernel_size=2, stride=2) for w in reversed(widths[:-1]))
        self.merge = nn.ModuleList(double_conv(2 * w, w) for w in reversed(widths[:-1]))
        self.head = nn.Conv2d(width, num_classes, kernel_size=1)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class at each pixel."""
        bridges = []
        for level, block in enumerate(self.down):
            x = block(x if level == 0 else self.pool(x))
            bridges.append(x)
        for up, merge, bridge in zip(self.up, self.merge, reversed(bridges[:-1]), strict=True):
            x = up(x, output_size=bridge.shape[-2:])
            x = merge(cat([bridge, x], 1))
        return self.head(x)


@register_model(parameters=482_466, min_size=8, digits={"num_classes": 11}, per_pixel=True)
def unet(weights: Weights = None, progress: bool = True, **kwargs: Any) -> UNet:
    """A small U-Net: 482,466 parameters, images (N,1,H,W) from 8 pixels on."""
    return with_weights(UNet(**kwargs), weights)
