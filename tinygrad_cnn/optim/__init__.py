"""Optimisers and learning-rate schedules, under PyTorch's names."""

# ruff: noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.optim.adam import *
from tinygrad_cnn.optim.adaptive import *
from tinygrad_cnn.optim.optimizer import *
from tinygrad_cnn.optim.sgd import *
