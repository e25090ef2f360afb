"""The networks of the literature, written with ``nn`` alone."""

from tinygrad_cnn.models.lenet import LeNet5
from tinygrad_cnn.models.registry import get_model, list_models, register_model
from tinygrad_cnn.models.simple_conv_net import SimpleConvNet

__all__ = ["LeNet5", "SimpleConvNet", "get_model", "list_models", "register_model"]
