"""Dive into Deep Learning, chapter "Residual Networks": the block, and ResNet-18 made of it."""

import tinygrad_cnn as torch
from tinygrad_cnn import nn
from tinygrad_cnn.nn import functional as F


class Residual(nn.Module):
    """The Residual block of ResNet models."""

    def __init__(self, num_channels, use_1x1conv=False, strides=1):
        super().__init__()
        self.conv1 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1, stride=strides)
        self.conv2 = nn.LazyConv2d(num_channels, kernel_size=3, padding=1)
        if use_1x1conv:
            self.conv3 = nn.LazyConv2d(num_channels, kernel_size=1, stride=strides)
        else:
            self.conv3 = None
        self.bn1 = nn.LazyBatchNorm2d()
        self.bn2 = nn.LazyBatchNorm2d()

    def forward(self, X):
        """relu(F(X) + shortcut(X))."""
        Y = F.relu(self.bn1(self.conv1(X)))
        Y = self.bn2(self.conv2(Y))
        if self.conv3:
            X = self.conv3(X)
        Y += X
        return F.relu(Y)


blk = Residual(3)
X = torch.randn(4, 3, 6, 6)
assert blk(X).shape == torch.Size([4, 3, 6, 6])

blk = Residual(6, use_1x1conv=True, strides=2)
assert blk(X).shape == torch.Size([4, 6, 3, 3])


def block(num_residuals, num_channels, first_block=False):
    """A stage of the network."""
    blk = []
    for i in range(num_residuals):
        if i == 0 and not first_block:
            blk.append(Residual(num_channels, use_1x1conv=True, strides=2))
        else:
            blk.append(Residual(num_channels))
    return nn.Sequential(*blk)


net = nn.Sequential(
    nn.Sequential(
        nn.LazyConv2d(64, kernel_size=7, stride=2, padding=3), nn.LazyBatchNorm2d(), nn.ReLU(),
        nn.MaxPool2d(kernel_size=3, stride=2, padding=1),
    )
)  # fmt: skip
for i, b in enumerate(((2, 64), (2, 128), (2, 256), (2, 512))):
    net.add_module(f"b{i + 2}", block(*b, first_block=(i == 0)))
net.add_module("last", nn.Sequential(nn.AdaptiveAvgPool2d((1, 1)), nn.Flatten(), nn.LazyLinear(10)))

X = torch.rand(1, 1, 96, 96)
shapes = []
for layer in net:
    X = layer(X)
    shapes.append(tuple(X.shape))
    print(layer.__class__.__name__, "output shape:\t", X.shape)
assert shapes == [(1, 64, 24, 24), (1, 64, 24, 24), (1, 128, 12, 12), (1, 256, 6, 6), (1, 512, 3, 3), (1, 10)]
X.sum().backward()
assert all(parameter.grad is not None for parameter in net.parameters())
