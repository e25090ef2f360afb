"""Training: the loop, its metrics, a progress bar, and the folder of a run."""

from tinygrad_cnn.train.digits import dataset_for_digits, model_for_digits
from tinygrad_cnn.train.metrics import Mean, accuracy
from tinygrad_cnn.train.progress import ProgressBar
from tinygrad_cnn.train.run import RunFolder
from tinygrad_cnn.train.trainer import Callback, Epoch, Trainer

__all__ = [
    "Callback",
    "Epoch",
    "Mean",
    "ProgressBar",
    "RunFolder",
    "Trainer",
    "accuracy",
    "dataset_for_digits",
    "model_for_digits",
]
