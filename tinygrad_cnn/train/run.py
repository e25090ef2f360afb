"""The folder in which a training leaves what it was and what it gave."""

from __future__ import annotations

import csv
import dataclasses
import json
from datetime import datetime
from pathlib import Path
from typing import Any

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.serialization import save_npz
from tinygrad_cnn.train.trainer import Callback, Epoch, Trainer
from tinygrad_cnn.viz import plot_curves

__all__ = ["RunFolder"]


class RunFolder(Callback):
    """A folder with config.json, metrics.csv (a row an epoch), weights.npz (the state_dict) and curves.png.

    ArgumentError if the folder holds anything already, or can't be made. The plot needs the extra ``train``.
    """

    def __init__(self, path: str | Path | None, config: dict[str, Any]) -> None:
        self.path = _fresh_folder() if path is None else Path(path)
        self.config = config
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            if any(self.path.iterdir()):
                raise ArgumentError(f"output folder {self.path} is not empty; choose another, or empty it")
            (self.path / "config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
        except OSError as error:
            raise ArgumentError(f"output folder {self.path} can't be used: {error.strerror or error}") from None

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Begin the table."""
        names = [field.name for field in dataclasses.fields(Epoch)]
        self._append(names, mode="w")

    def on_epoch_end(self, trainer: Trainer, epoch: Epoch) -> None:
        """Add a row to the table."""
        self._append(["" if value is None else value for value in epoch.row().values()])

    def on_fit_end(self, trainer: Trainer) -> None:
        """Save the weights as they are now, and plot the epochs so far."""
        save_npz(trainer.model.state_dict(), self.path / "weights.npz")
        plot_curves([epoch.row() for epoch in trainer.history], self.path / "curves.png")

    def _append(self, row: list[Any], mode: str = "a") -> None:
        with open(self.path / "metrics.csv", mode, newline="", encoding="utf-8") as file:
            csv.writer(file).writerow(row)


def _fresh_folder() -> Path:
    """A folder in ``runs`` named after the present time that isn't there yet."""
    name = datetime.now().strftime("%Y-%m-%d_%H-%M-%S")
    candidates = (Path("runs") / (name if n == 1 else f"{name}_{n}") for n in range(1, 1000))
    return next(path for path in candidates if not path.exists())
