"""Curves of a training."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tinygrad_cnn.errors import import_extra

__all__ = ["plot_curves"]


def plot_curves(rows: Sequence[Mapping[str, Any]], path: str | Path) -> None:
    """Plot losses and accuracies over epochs into an image file; its ending says which format.

    A row is an epoch, with ``epoch``, ``train_loss``, ``test_loss``, ``train_accuracy`` and ``test_accuracy``; what is
    None is left out. Raises MissingExtraError without matplotlib (extra ``train``).
    """
    figure = import_extra("matplotlib.figure", "train").Figure(figsize=(9, 3.6), layout="constrained")
    for axes, measure in zip(figure.subplots(1, 2), ("loss", "accuracy"), strict=True):
        for split, style in (("train", "--"), ("test", "-")):
            points = [(row["epoch"], row[f"{split}_{measure}"]) for row in rows]
            points = [point for point in points if point[1] is not None]
            if points:
                axes.plot(*zip(*points, strict=True), style, marker=".", label=split)
        axes.set(xlabel="epoch", ylabel=measure)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.grid(alpha=0.3)
        if rows:
            axes.legend()
    figure.savefig(path, dpi=120)
