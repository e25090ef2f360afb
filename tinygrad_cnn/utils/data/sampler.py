"""PyTorch's path to ``tinygrad_cnn.data.sampler``."""

from tinygrad_cnn.data.sampler import *  # noqa: F403  # exactly the same names
from tinygrad_cnn.data.sampler import __all__ as __all__
