"""SimpleConvNet: the convolutional network of the book "Deep Learning from Scratch"."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, register_model, with_weights

__all__ = ["SimpleConvNet", "simple_conv_net"]


class SimpleConvNet(nn.Module):
    """conv - relu - max pool - affine - relu - affine, on images (N,C,H,W); gives scores (N,output_size).

    Weights are drawn from N(0, ``weight_init_std``²), biases are 0. Source: K. Saitoh, "Deep Learning from Scratch"
    (O'Reilly Japan, 2016), section 7.5.

    >>> import tinygrad_cnn as tg
    >>> SimpleConvNet()(tg.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(
        self,
        input_dim: tuple[int, int, int] = (1, 28, 28),
        filter_num: int = 30,
        filter_size: int = 5,
        hidden_size: int = 100,
        output_size: int = 10,
        weight_init_std: float = 0.01,
    ) -> None:
        super().__init__()
        channels, height, width = input_dim
        pooled = ((height - filter_size + 1) // 2) * ((width - filter_size + 1) // 2)
        self.conv1 = nn.Conv2d(channels, filter_num, filter_size)
        self.relu1 = nn.ReLU()
        self.pool1 = nn.MaxPool2d(2)
        self.flatten = nn.Flatten()
        self.affine1 = nn.Linear(filter_num * pooled, hidden_size)
        self.relu2 = nn.ReLU()
        self.affine2 = nn.Linear(hidden_size, output_size)
        for layer in (self.conv1, self.affine1, self.affine2):
            nn.init.normal_(layer.weight, std=weight_init_std)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        x = self.pool1(self.relu1(self.conv1(x)))  # (N,30,12,12)
        x = self.relu2(self.affine1(self.flatten(x)))  # (N,100)
        return self.affine2(x)


@register_model(parameters=433_890)
def simple_conv_net(weights: Weights = None, progress: bool = True, **kwargs: Any) -> SimpleConvNet:
    """SimpleConvNet of the book: 433,890 parameters, images (N,1,28,28)."""
    return with_weights(SimpleConvNet(**kwargs), weights)
