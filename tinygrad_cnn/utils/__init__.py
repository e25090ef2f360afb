"""What PyTorch keeps in ``torch.utils``: ``utils.data`` and ``utils.checkpoint``."""

from tinygrad_cnn.utils import checkpoint, data

__all__ = ["checkpoint", "data"]
