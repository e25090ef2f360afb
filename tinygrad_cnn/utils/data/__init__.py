"""PyTorch's path to ``tinygrad_cnn.data``."""

from tinygrad_cnn.data import *  # noqa: F403  # exactly the same names
from tinygrad_cnn.data import __all__ as __all__
