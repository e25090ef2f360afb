"""Ready datasets: MNIST, the part of it that comes with the package, and sets in its format."""

from tinygrad_cnn.data.datasets.mnist import KMNIST, MNIST, FashionMNIST, ImageDataset, MNIST5k

__all__ = ["KMNIST", "MNIST", "FashionMNIST", "ImageDataset", "MNIST5k"]
