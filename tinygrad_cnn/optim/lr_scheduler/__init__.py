"""Learning-rate schedules, under PyTorch's names.

A schedule sets every group's ``lr`` when it is made and at every ``step()``, which follows the optimiser's.
"""

# ruff: noqa: F403  # each file lists its public names in __all__
from tinygrad_cnn.optim.lr_scheduler.base import *
from tinygrad_cnn.optim.lr_scheduler.base import _LRScheduler as _LRScheduler
from tinygrad_cnn.optim.lr_scheduler.combined import *
from tinygrad_cnn.optim.lr_scheduler.cyclic import *
from tinygrad_cnn.optim.lr_scheduler.decay import *
from tinygrad_cnn.optim.lr_scheduler.plateau import *
