"""A progress bar in the terminal, from the extra ``train``."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.errors import import_extra
from tinygrad_cnn.train.trainer import Callback, Epoch, Trainer

__all__ = ["ProgressBar"]


class ProgressBar(Callback):
    """Epoch, loss and time left on stderr; a line an epoch on stdout. Raises MissingExtraError without tqdm."""

    def __init__(self) -> None:
        self._tqdm = import_extra("tqdm", "train").tqdm
        self._bar: Any = None

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Draw the bar."""
        self._bar = self._tqdm(total=trainer.epochs * trainer.batches, unit="step", mininterval=0.5)
        self._describe(trainer)

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        """Move on."""
        self._bar.set_postfix(loss=f"{loss:.4f}", refresh=False)
        self._bar.update()

    def on_epoch_end(self, trainer: Trainer, epoch: Epoch) -> None:
        """Print the epoch's line above the bar."""
        text = f"epoch {epoch.epoch:{len(str(trainer.epochs))}}  loss {epoch.train_loss:.4f}"
        text += f"  train accuracy {epoch.train_accuracy:.4f}"
        if epoch.test_accuracy is not None:
            text += f"  test accuracy {epoch.test_accuracy:.4f}"
        self._tqdm.write(f"{text}  {epoch.seconds:.1f} s")
        self._describe(trainer)

    def on_fit_end(self, trainer: Trainer) -> None:
        """Leave the bar as it is."""
        self._bar.close()

    def _describe(self, trainer: Trainer) -> None:
        present = min(len(trainer.history) + 1, trainer.epochs)
        self._bar.set_description(f"epoch {present}/{trainer.epochs}", refresh=False)
