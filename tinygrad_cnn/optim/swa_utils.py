"""Averages of a model's weights over training (SWA, EMA), and the schedule that goes with them."""

from __future__ import annotations

import copy
import itertools
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ContradictionError, check_argument
from tinygrad_cnn.nn.batchnorm import _BatchNorm
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.ops.combine import lerp
from tinygrad_cnn.ops.create import tensor
from tinygrad_cnn.optim.lr_scheduler.base import LRScheduler, Rate, one_per_group
from tinygrad_cnn.optim.optimizer import Group, Optimizer

__all__ = [
    "SWALR",
    "AveragedModel",
    "get_ema_avg_fn",
    "get_ema_multi_avg_fn",
    "get_swa_avg_fn",
    "get_swa_multi_avg_fn",
    "update_bn",
]

Average = Callable[[Tensor, Tensor, Any], Tensor]  # (the average, the new value, how many it averages) -> the average
MultiAverage = Callable[[Sequence[Tensor], Sequence[Tensor], Any], None]  # the same for lists, in place


def get_ema_avg_fn(decay: float = 0.999) -> Average:
    """The exponential moving average, ``decay * average + (1 - decay) * value``; for ``avg_fn``."""
    _check_decay(decay)

    def ema_update(ema_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return decay * ema_param + (1 - decay) * current_param

    return ema_update


def get_swa_avg_fn() -> Average:
    """The mean of all values; for ``avg_fn``."""

    def swa_update(averaged_param: Tensor, current_param: Tensor, num_averaged: Any) -> Tensor:
        with no_grad():
            return averaged_param + (current_param - averaged_param) / (num_averaged + 1)

    return swa_update


def get_ema_multi_avg_fn(decay: float = 0.999) -> MultiAverage:
    """The exponential moving average of a list of Tensors, in place; for ``multi_avg_fn``."""
    _check_decay(decay)

    def ema_update(ema_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Any) -> None:
        _move_towards(ema_param_list, current_param_list, 1 - decay)

    return ema_update


def get_swa_multi_avg_fn() -> MultiAverage:
    """The mean of a list of Tensors, in place; for ``multi_avg_fn``."""

    def swa_update(
        averaged_param_list: Sequence[Tensor], current_param_list: Sequence[Tensor], num_averaged: Any
    ) -> None:
        _move_towards(averaged_param_list, current_param_list, 1 / (float(num_averaged) + 1))

    return swa_update


def _move_towards(averages: Sequence[Tensor], values: Sequence[Tensor], share: float) -> None:
    with no_grad():
        for average, value in zip(averages, values, strict=True):
            if average.is_floating_point():
                average.copy_(lerp(average, value, share))
            else:  # integers: a fraction is cut off in the end
                average.copy_(average + (value - average) * share)


def _check_decay(decay: float) -> None:
    check_argument(0.0 <= decay <= 1.0, f"Invalid decay value {decay} provided. Please provide a value in [0,1] range.")


class AveragedModel(Module):
    """A copy of ``model`` whose weights are the average of those it is shown (SWA: Izmailov et al. 2018).

    ``avg_fn(average, value, n_averaged)`` gives the new average of one Tensor, ``multi_avg_fn`` writes those of a
    list; without either, it is the mean. The first ``update_parameters`` copies. Buffers are copied every time, or
    averaged with ``use_buffers=True``.

    >>> import tinygrad_cnn as tg
    >>> model = tg.nn.Linear(1, 1, bias=False)
    >>> averaged = tg.optim.swa_utils.AveragedModel(model)
    >>> for value in (1.0, 2.0, 6.0):
    ...     _ = tg.nn.init.constant_(model.weight, value)
    ...     averaged.update_parameters(model)
    >>> averaged.module.weight.item(), averaged.n_averaged
    (3.0, tensor(3))
    """

    n_averaged: Tensor

    def __init__(
        self,
        model: Module,
        device: Any = None,
        avg_fn: Average | None = None,
        multi_avg_fn: MultiAverage | None = None,
        use_buffers: bool = False,
    ) -> None:
        super().__init__()
        if avg_fn is not None and multi_avg_fn is not None:
            raise ContradictionError("Only one of avg_fn and multi_avg_fn should be provided")
        self.module = copy.deepcopy(model)
        if device is not None:
            self.module = self.module.to(device)
        self.register_buffer("n_averaged", tensor(0, device=device))
        self.avg_fn = avg_fn
        self.multi_avg_fn = multi_avg_fn
        self.use_buffers = use_buffers

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the averaged module makes of the arguments."""
        return self.module(*args, **kwargs)

    def update_parameters(self, model: Module) -> None:
        """Take the weights of ``model`` into the average."""
        averages, values = self._averaged(self.module), self._averaged(model)
        if self.n_averaged == 0:
            _copy(averages, values)
        elif self.avg_fn is not None:
            _copy(averages, [self.avg_fn(*pair, self.n_averaged) for pair in zip(averages, values, strict=True)])
        else:
            update = self.multi_avg_fn or get_swa_multi_avg_fn()
            for dtype in dict.fromkeys(average.dtype for average in averages):
                chosen = [index for index, average in enumerate(averages) if average.dtype == dtype]
                update([averages[i] for i in chosen], [values[i] for i in chosen], self.n_averaged)
        if not self.use_buffers:
            _copy(self.module.buffers(), model.buffers())
        self.n_averaged += 1

    def _averaged(self, model: Module) -> list[Tensor]:
        buffers = model.buffers() if self.use_buffers else ()
        return [held.detach() for held in itertools.chain(model.parameters(), buffers)]


def _copy(averages: Iterable[Tensor], values: Iterable[Tensor]) -> None:
    for average, value in zip(averages, values, strict=True):
        average.copy_(value)


def update_bn(loader: Iterable[Any], model: Module, device: Any = None) -> None:
    """Compute the statistics of all batch norms anew, as the means over the loader's batches.

    The statistics of averaged weights aren't the average of the statistics. A batch is a Tensor, or a list or tuple
    that begins with one.
    """
    momenta = {module: module.momentum for module in model.modules() if isinstance(module, _BatchNorm)}
    if not momenta:
        return
    was_training = model.training
    model.train()
    for module in momenta:
        module.reset_running_stats()
        module.momentum = None  # the mean of all batches
    with no_grad():
        for batch in loader:
            input = batch[0] if isinstance(batch, list | tuple) else batch
            model(input if device is None else input.to(device))
    for module, momentum in momenta.items():
        module.momentum = momentum
    model.train(was_training)


class SWALR(LRScheduler):
    """Bring the rate to ``swa_lr`` in ``anneal_epochs`` steps, along half a cosine ("cos") or "linear"."""

    def __init__(
        self,
        optimizer: Optimizer,
        swa_lr: float | Sequence[float],
        anneal_epochs: int = 10,
        anneal_strategy: str = "cos",
        last_epoch: int = -1,
    ) -> None:
        for rate, group in zip(one_per_group("swa_lr", optimizer, swa_lr), optimizer.param_groups, strict=True):
            group["swa_lr"] = rate
        check_argument(
            anneal_strategy in ("cos", "linear"),
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}",
        )
        check_argument(
            isinstance(anneal_epochs, int) and anneal_epochs >= 0,
            f"anneal_epochs must be equal or greater than 0, got {anneal_epochs}",
        )
        self._anneal_strategy = anneal_strategy
        self.anneal_epochs = anneal_epochs
        super().__init__(optimizer, last_epoch)

    def _share(self, step: int) -> float:
        """How far the rate has come at a step, from 0 to 1."""
        done = max(0.0, min(1.0, step / max(1, self.anneal_epochs)))
        return done if self._anneal_strategy == "linear" else (1 - math.cos(math.pi * done)) / 2

    def get_lr(self) -> list[Rate]:
        """The groups' rates, brought nearer to ``swa_lr``."""
        self._warn_outside_step()
        step = self._step_count - 1
        if self.anneal_epochs == 0:
            step = max(1, step)
        before, now = self._share(step - 1), self._share(step)

        def next_rate(group: Group) -> Rate:
            target = group["swa_lr"]
            begin = target if before == 1 else (group["lr"] - before * target) / (1 - before)
            rate: Rate = target * now + begin * (1 - now)
            return rate

        return [next_rate(group) for group in self.optimizer.param_groups]
