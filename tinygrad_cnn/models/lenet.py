"""LeNet-5, as it is built today."""

from __future__ import annotations

from tinygrad_cnn import nn
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.models.registry import register_model


@register_model("lenet5")
class LeNet5(nn.Module):
    """Two convolutions and three affine layers on images (N,1,28,28); gives scores (N,output_size).

    The sizes are those of LeCun et al. 1998, "Gradient-Based Learning Applied to Document Recognition", figure 2; as
    in most of today's versions with ReLU, max pooling and full connections in place of sigmoids, trained
    subsampling and the partial table of connections.

    >>> import tinygrad_cnn as tg
    >>> LeNet5()(tg.zeros(2, 1, 28, 28)).shape
    torch.Size([2, 10])
    """

    def __init__(self, output_size: int = 10) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(1, 6, 5, padding=2),  # (N,6,28,28)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N,6,14,14)
            nn.Conv2d(6, 16, 5),  # (N,16,10,10)
            nn.ReLU(),
            nn.MaxPool2d(2),  # (N,16,5,5)
        )
        self.classifier = nn.Sequential(
            nn.Flatten(),
            nn.Linear(16 * 5 * 5, 120),
            nn.ReLU(),
            nn.Linear(120, 84),
            nn.ReLU(),
            nn.Linear(84, output_size),
        )

    def forward(self, x: Tensor) -> Tensor:
        """The scores of each class."""
        return self.classifier(self.features(x))  # type: ignore[no-any-return]  # a Module gives what its forward gives
