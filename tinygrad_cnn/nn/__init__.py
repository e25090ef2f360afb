"""Layers, losses and containers, under PyTorch's names."""

from tinygrad_cnn.nn import functional

__all__ = ["functional"]
