"""Layers, losses and containers, under PyTorch's names."""

# ruff: noqa: F401, F403  # each file lists its public names in __all__
from tinygrad_cnn.nn import functional, init, utils
from tinygrad_cnn.nn.activation import *
from tinygrad_cnn.nn.batchnorm import *
from tinygrad_cnn.nn.container import *
from tinygrad_cnn.nn.conv import *
from tinygrad_cnn.nn.distance import *
from tinygrad_cnn.nn.dropout import *
from tinygrad_cnn.nn.flatten import *
from tinygrad_cnn.nn.fold import *
from tinygrad_cnn.nn.lazy import *
from tinygrad_cnn.nn.linear import *
from tinygrad_cnn.nn.loss import *
from tinygrad_cnn.nn.module import *
from tinygrad_cnn.nn.norm import *
from tinygrad_cnn.nn.padding import *
from tinygrad_cnn.nn.parallel import *
from tinygrad_cnn.nn.parameter import *
from tinygrad_cnn.nn.parameter_container import *
from tinygrad_cnn.nn.pooling import *
from tinygrad_cnn.nn.sparse import *
from tinygrad_cnn.nn.vision import *
