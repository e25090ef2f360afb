"""Trainer: the loop over epochs and batches, with callbacks at its turns."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from typing import Any

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.nn import Module
from tinygrad_cnn.optim import Optimizer
from tinygrad_cnn.train.metrics import Mean, accuracy

__all__ = ["Callback", "Epoch", "Trainer"]


@dataclass
class Epoch:
    """What one epoch gave. The training values are means over its batches, taken while the weights changed."""

    epoch: int  # the first is 1
    train_loss: float
    train_accuracy: float
    test_loss: float | None  # None without a test loader
    test_accuracy: float | None
    seconds: float

    def row(self) -> dict[str, Any]:
        """The fields by name, for a table."""
        return asdict(self)


class Callback:
    """Something that follows a training. Each method does nothing unless a subclass defines it."""

    def on_fit_begin(self, trainer: Trainer) -> None:
        """Before the first epoch."""

    def on_batch_end(self, trainer: Trainer, loss: float) -> None:
        """After each step; ``loss`` is that of its batch."""

    def on_epoch_end(self, trainer: Trainer, epoch: Epoch) -> None:
        """After each epoch, when it has been evaluated. Setting ``trainer.stop`` ends the training."""

    def on_fit_end(self, trainer: Trainer) -> None:
        """When training ends, also by an exception or Ctrl-C."""


class Trainer:
    """Trains ``model``: for each batch the ``loss`` of its output, backward, and a step of ``optimizer``.

    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(0)
    >>> x = tg.tensor([[-1.0], [1.0]] * 8)
    >>> loader = tg.data.DataLoader(tg.data.TensorDataset(x, (x[:, 0] > 0).long()), batch_size=4)
    >>> model = tg.nn.Linear(1, 2)
    >>> trainer = Trainer(model, tg.nn.CrossEntropyLoss(), tg.optim.SGD(model.parameters(), lr=1.0))
    >>> trainer.fit(loader, loader, epochs=5)[-1].test_accuracy
    1.0
    """

    def __init__(
        self,
        model: Module,
        loss: Callable[[Any, Any], Tensor],
        optimizer: Optimizer,
        callbacks: Iterable[Callback] = (),
    ) -> None:
        self.model = model
        self.loss = loss
        self.optimizer = optimizer
        self.callbacks = list(callbacks)
        self.history: list[Epoch] = []
        self.stop = False
        self.epochs = 0  # how many were asked for, and batches in each; for callbacks
        self.batches = 0

    def fit(self, train_loader: Any, test_loader: Any = None, epochs: int = 1) -> list[Epoch]:
        """Train for ``epochs`` passes over ``train_loader``, evaluating after each; gives what all epochs gave."""
        self.stop = False
        self.epochs, self.batches = epochs, len(train_loader)
        self._tell("on_fit_begin")
        try:
            for _ in range(epochs):
                epoch = self._train_epoch(train_loader, test_loader)
                self.history.append(epoch)
                self._tell("on_epoch_end", epoch)
                if self.stop:
                    break
        finally:
            self._tell("on_fit_end")
        return self.history

    def evaluate(self, loader: Any) -> tuple[float, float]:
        """The mean loss and the accuracy on ``loader``, in eval mode and without recording."""
        was_training = self.model.training
        self.model.eval()
        loss, correct = Mean(), Mean()
        try:
            with no_grad():
                for images, labels in loader:
                    output = self.model(images)
                    loss.add(self.loss(output, labels).item(), len(labels))
                    correct.add(accuracy(output, labels), len(labels))
        finally:
            self.model.train(was_training)
        return loss.value, correct.value

    def _train_epoch(self, train_loader: Any, test_loader: Any) -> Epoch:
        start = time.perf_counter()
        self.model.train()
        mean_loss, correct = Mean(), Mean()
        for images, labels in train_loader:
            output = self.model(images)
            loss = self.loss(output, labels)
            self.optimizer.zero_grad()
            loss.backward()
            self.optimizer.step()
            mean_loss.add(loss.item(), len(labels))
            correct.add(accuracy(output, labels), len(labels))
            self._tell("on_batch_end", loss.item())
        test_loss, test_accuracy = (None, None) if test_loader is None else self.evaluate(test_loader)
        seconds = time.perf_counter() - start
        return Epoch(len(self.history) + 1, mean_loss.value, correct.value, test_loss, test_accuracy, seconds)

    def _tell(self, event: str, *arguments: Any) -> None:
        for callback in self.callbacks:
            getattr(callback, event)(self, *arguments)
