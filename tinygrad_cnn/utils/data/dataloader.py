"""PyTorch's path to ``tinygrad_cnn.data.loader``."""

from tinygrad_cnn.data import DataLoader, default_collate, get_worker_info

__all__ = ["DataLoader", "default_collate", "get_worker_info"]
