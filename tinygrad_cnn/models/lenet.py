"""LeNet-5: as it was in 1998, and as it is built today."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import Weights, register_model, with_weights

__all__ = ["LeNet5", "lenet5", "lenet5_original"]


class LeNet5(nn.Module):
    """Two convolutions and three affine layers on images (N,in_channels,28,28); gives scores (N,num_classes).

    The sizes are those of LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", section II.B
    and figure 2, with all channels connected to all. ``original=True`` has sigmoids and average pooling, weights
    from Xavier's distribution (drawn otherwise, sigmoids hardly learn); else it is ReLU and max pooling.

    >>> import tinygrad_cnn as tg
    >>> LeNet5()(tg.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(self, num_classes: int = 10, in_channels: int = 1, original: bool = False) -> None:
        super().__init__()
        activation: type[nn.Module] = nn.Sigmoid if original else nn.ReLU
        pool = nn.AvgPool2d if original else nn.MaxPool2d
        self.features = nn.Sequential(
            nn.Conv2d(in_channels, 6, 5, padding=2),  # (N,6,28,28)
            activation(),
            pool(2),  # (N,6,14,14)
            nn.Conv2d(6, 16, 5),  # (N,16,10,10)
            activation(),
            pool(2),  # (N,16,5,5)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            activation(),
            nn.Linear(120, 84),
            activation(),
            nn.Linear(84, num_classes),
        )
        if original:
            for layer in self.modules():
                if isinstance(layer, nn.Conv2d | nn.Linear):
                    nn.init.xavier_uniform_(layer.weight)

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        return self.classifier(self.features(x))


@register_model(parameters=61_706)
def lenet5(weights: Weights = None, progress: bool = True, **kwargs: Any) -> LeNet5:
    """LeNet-5 with ReLU and max pooling: 61,706 parameters, images (N,1,28,28)."""
    return with_weights(LeNet5(**kwargs), weights)


@register_model(parameters=61_706)
def lenet5_original(weights: Weights = None, progress: bool = True, **kwargs: Any) -> LeNet5:
    """LeNet-5 with sigmoids and average pooling: 61,706 parameters, images (N,1,28,28)."""
    return with_weights(LeNet5(original=True, **kwargs), weights)
