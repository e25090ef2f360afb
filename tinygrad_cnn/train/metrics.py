"""Measures of how well a model does."""

from __future__ import annotations

from tinygrad_cnn.autograd.tensor import Tensor

__all__ = ["Mean", "accuracy"]


def accuracy(output: Tensor, target: Tensor) -> float:
    """The share of the rows of scores (N,C) whose highest is at the label of ``target`` (N,).

    >>> import tinygrad_cnn as tg
    >>> accuracy(tg.tensor([[0.1, 0.9], [0.8, 0.2]]), tg.tensor([1, 1]))
    0.5
    """
    predicted = output.numpy(force=True).argmax(1)
    return float((predicted == target.numpy()).mean())


class Mean:
    """The mean of values that come one after the other, each standing for ``count`` samples.

    >>> mean = Mean()
    >>> mean.add(1.0, count=3)
    >>> mean.add(5.0)
    >>> mean.value
    2.0
    """

    def __init__(self) -> None:
        self.total = 0.0
        self.count = 0

    def add(self, value: float, count: int = 1) -> None:
        """Take in one more value."""
        self.total += value * count
        self.count += count

    @property
    def value(self) -> float:
        """The mean so far; nan if nothing came yet."""
        return self.total / self.count if self.count else float("nan")
