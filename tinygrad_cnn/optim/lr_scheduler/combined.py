"""Schedules made of schedules: one after another, or all at once."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, check_argument
from tinygrad_cnn.optim.lr_scheduler.base import LRScheduler, set_in_group, settings_of
from tinygrad_cnn.optim.lr_scheduler.plateau import ReduceLROnPlateau
from tinygrad_cnn.optim.optimizer import Optimizer

__all__ = ["ChainedScheduler", "SequentialLR"]


class _CombinedLR(LRScheduler):
    """Schedules of one optimiser, saved and loaded together."""

    _schedulers: Sequence[LRScheduler]

    def state_dict(self) -> dict[str, Any]:
        """All that the schedule and its parts hold, except the optimiser."""
        return {**super().state_dict(), "_schedulers": [part.state_dict() for part in self._schedulers]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what ``state_dict()`` gave."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_schedulers"})
        for part, state in zip(self._schedulers, state_dict["_schedulers"], strict=True):
            part.load_state_dict(state)

    def _check_parts(self, optimizer: Optimizer, parts: Sequence[Any]) -> None:
        name = type(self).__name__
        for index, part in enumerate(parts):
            if not hasattr(part, "optimizer"):
                raise ArgumentTypeError(f"{name} at index {index} should have `optimizer` as its attribute.")
            if isinstance(part, ReduceLROnPlateau):
                raise ArgumentError(
                    f"{name} does not support `ReduceLROnPlateau` scheduler as it requires additional kwargs to be "
                    "specified when calling `step`, but got one at index "
                    f"{index} in the given schedulers sequence."
                )
            check_argument(
                optimizer is part.optimizer,
                f"{name} expects all schedulers to belong to the same optimizer, but got scheduler "
                f"{type(part).__name__} at index {index} has {part.optimizer}, which is different from "
                f"{type(optimizer).__name__}.",
            )


class SequentialLR(_CombinedLR):
    """Follow the first schedule up to the first of the ``milestones``, then the second, and so on.

    Each begins at its own step 0. ``milestones``: numbers of steps, one fewer than schedules.
    """

    def __init__(
        self, optimizer: Optimizer, schedulers: list[LRScheduler], milestones: list[int], last_epoch: int = -1
    ) -> None:
        check_argument(schedulers, f"{type(self).__name__} expects at least one scheduler, but got no scheduler.")
        self._check_parts(optimizer, schedulers)
        check_argument(
            len(milestones) == len(schedulers) - 1,
            "Sequential Schedulers expects number of schedulers provided to be one more than the number of milestone "
            f"points, but got number of schedulers {len(schedulers)} and the number of milestones to be equal to "
            f"{len(milestones)}",
        )
        self._schedulers = schedulers
        self._milestones = milestones
        self.last_epoch = last_epoch + 1
        self.optimizer = optimizer
        # all parts have changed the rates when they were made; only the first is meant to
        for group in optimizer.param_groups:
            set_in_group(group, "lr", group["initial_lr"])
        self.recursive_undo()
        first = schedulers[bisect_right(milestones, 0)]
        first._initial_step()
        self._last_lr = first.get_last_lr()

    def recursive_undo(self, sched: Any = None) -> None:
        """Take back the count of the step that the parts, and theirs, have made in the beginning."""
        scheduler = self if sched is None else sched
        if hasattr(scheduler, "_schedulers"):
            for part in scheduler._schedulers:
                self.recursive_undo(part)
        elif hasattr(scheduler, "last_epoch"):
            scheduler.last_epoch -= 1

    def step(self) -> None:  # type: ignore[override]  # PyTorch's: there is no epoch to jump to
        """Step the schedule whose turn it is."""
        self.last_epoch += 1
        index = bisect_right(self._milestones, self.last_epoch)
        scheduler = self._schedulers[index]
        if index > 0 and self._milestones[index - 1] == self.last_epoch:
            scheduler._update_lr(0)
        else:
            scheduler.step()
        self._last_lr = scheduler.get_last_lr()


class ChainedScheduler(_CombinedLR):
    """Step several schedules at once, each changing the rates that the one before has set."""

    def __init__(self, schedulers: Sequence[LRScheduler], optimizer: Optimizer | None = None) -> None:
        check_argument(
            schedulers, f"{type(self).__name__} expects at least one scheduler to be chained, but got no scheduler."
        )
        optimizer = optimizer or schedulers[0].optimizer
        self._check_parts(optimizer, schedulers)
        self._schedulers = schedulers
        self.optimizer = optimizer
        self._last_lr = settings_of(optimizer, "lr")

    def step(self) -> None:  # type: ignore[override]  # PyTorch's: there is no epoch to jump to
        """Step all schedules."""
        for scheduler in self._schedulers:
            scheduler.step()
        self._last_lr = settings_of(self.optimizer, "lr")
