"""Tools around modules and their parameters: clipping, flattening, fusing, reparametrising."""

# ruff: noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.nn.utils.clip_grad import *
from tinygrad_cnn.nn.utils.convert_parameters import *
from tinygrad_cnn.nn.utils.fusion import *
from tinygrad_cnn.nn.utils.reparametrize import *
