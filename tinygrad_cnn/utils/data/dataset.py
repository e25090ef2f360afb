"""PyTorch's path to ``tinygrad_cnn.data.dataset``."""

from tinygrad_cnn.data.dataset import *  # noqa: F403  # exactly the same names
from tinygrad_cnn.data.dataset import __all__ as __all__
