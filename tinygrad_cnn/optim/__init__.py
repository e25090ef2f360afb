"""Optimisers, learning-rate schedules and averaged models, under PyTorch's names."""

# ruff: noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.optim import lr_scheduler as lr_scheduler, swa_utils as swa_utils
from tinygrad_cnn.optim.adafactor import *
from tinygrad_cnn.optim.adam import *
from tinygrad_cnn.optim.adaptive import *
from tinygrad_cnn.optim.averaged_sgd import *
from tinygrad_cnn.optim.lbfgs import *
from tinygrad_cnn.optim.optimizer import *
from tinygrad_cnn.optim.rprop import *
from tinygrad_cnn.optim.sgd import *
