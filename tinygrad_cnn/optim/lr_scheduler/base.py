"""LRScheduler: counts the steps, asks the schedule for the new rates and gives them to the optimiser's groups."""

from __future__ import annotations

import functools
import types
import warnings
import weakref
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentTypeError, NameTakenError, UnsupportedError, check_argument
from tinygrad_cnn.optim.optimizer import Group, Optimizer

__all__ = ["EPOCH_DEPRECATION_WARNING", "LRScheduler"]

Rate = float | Tensor

EPOCH_DEPRECATION_WARNING = (
    "The epoch parameter in `scheduler.step()` was not necessary and is being deprecated where possible. Please use "
    "`scheduler.step()` to step the scheduler. During the deprecation, if epoch is different from None, the closed "
    "form is used instead of the new chainable form, where available."
)
_ORDER = (
    "`optimizer.step()` before `lr_scheduler.step()`. See more details at "
    "https://pytorch.org/docs/stable/optim.html#how-to-adjust-learning-rate"
)


class LRScheduler:
    """The base of all schedules. A subclass defines ``get_lr``, the rates at ``last_epoch``.

    It may also define ``_get_closed_form_lr``, the rates at ``last_epoch`` whatever came before.
    ``last_epoch``: -1 to begin; the number of steps done to go on, for which the groups need ``"initial_lr"``.
    """

    _step_count: int
    _last_lr: list[Rate]
    _get_lr_called_within_step = False
    _is_initial = False

    def __init__(self, optimizer: Optimizer, last_epoch: int = -1) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        for index, group in enumerate(optimizer.param_groups):
            if last_epoch == -1:
                group.setdefault("initial_lr", copied(group["lr"]))
            elif "initial_lr" not in group:
                raise NameTakenError(
                    f"param 'initial_lr' is not specified in param_groups[{index}] when resuming scheduler with "
                    "last_epoch >= 0; load the optimizer's state first, or begin with last_epoch=-1"
                )
        self.base_lrs: list[Rate] = settings_of(optimizer, "initial_lr")
        self.last_epoch = last_epoch
        _notice_steps(optimizer)
        self._initial_step()

    def _initial_step(self) -> None:
        self._step_count = 0
        self._is_initial = True
        try:
            self.step()
        finally:
            self._is_initial = False

    def state_dict(self) -> dict[str, Any]:
        """All that the schedule holds, except the optimiser."""
        return {key: value for key, value in self.__dict__.items() if key != "optimizer"}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what ``state_dict()`` gave; the optimiser's own state is loaded apart."""
        self.__dict__.update(state_dict)

    def get_last_lr(self) -> list[Rate]:
        """The rates that the schedule has set last, one a group."""
        return self._last_lr

    def get_lr(self) -> list[Rate]:
        """The rates at ``last_epoch``, one a group; for the schedule's own use in ``step``."""
        raise UnsupportedError(f"{type(self).__name__} doesn't define get_lr()")

    def step(self, epoch: int | None = None) -> None:
        """Set the groups' next rates; to be called after the optimiser's ``step``."""
        if self._step_count == 1:
            if not hasattr(self.optimizer.step, "_wrapped_by_lr_sched"):
                warnings.warn(
                    "Seems like `optimizer.step()` has been overridden after learning rate scheduler initialization. "
                    f"Please, make sure to call {_ORDER}",
                    UserWarning,
                    stacklevel=2,
                )
            elif not getattr(self.optimizer, "_opt_called", False):
                warnings.warn(
                    "Detected call of `lr_scheduler.step()` before `optimizer.step()`; the first value of the "
                    f"schedule is skipped. You should call them in the opposite order: {_ORDER}",
                    UserWarning,
                    stacklevel=2,
                )
        self._step_count += 1
        if epoch is not None:
            warnings.warn(EPOCH_DEPRECATION_WARNING, UserWarning, stacklevel=2)
        self._update_lr(epoch)

    def _update_lr(self, epoch: int | None = None) -> None:
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        closed_form = None if epoch is None else getattr(self, "_get_closed_form_lr", None)
        with self._asking_for_lr():
            rates = (closed_form or self.get_lr)()
        self._set_rates(rates)

    def _set_rates(self, rates: list[Rate]) -> None:
        groups = self.optimizer.param_groups
        check_argument(
            len(rates) == len(groups),
            f"{type(self).__name__} gives {len(rates)} learning rates for {len(groups)} parameter groups; make the "
            "schedule after the last group was added",
        )
        for group, rate in zip(groups, rates, strict=True):
            set_in_group(group, "lr", rate)
        self._last_lr = settings_of(self.optimizer, "lr")

    @contextmanager
    def _asking_for_lr(self) -> Iterator[None]:
        self._get_lr_called_within_step = True
        try:
            yield
        finally:
            self._get_lr_called_within_step = False

    def _warn_outside_step(self) -> None:
        """``get_lr`` of a recursive schedule gives the rate after the next step, which is rarely what is meant."""
        if not self._get_lr_called_within_step:
            warnings.warn(
                "To get the last learning rate computed by the scheduler, please use `get_last_lr()`.",
                UserWarning,
                stacklevel=3,
            )


class _LRScheduler(LRScheduler):
    """LRScheduler by its old name."""


def _notice_steps(optimizer: Optimizer) -> None:
    """Make the optimiser remember that it has stepped, so that the wrong order of the two steps can be told."""
    if hasattr(optimizer.step, "_wrapped_by_lr_sched"):
        return
    function = optimizer.step.__func__  # type: ignore[attr-defined]  # mypy takes the method for a plain function
    reference = weakref.ref(optimizer)  # an optimiser that holds itself would be freed late

    @functools.wraps(function)
    def step(*args: Any, **kwargs: Any) -> Any:
        owner: Any = reference()
        owner._opt_called = True
        return function(owner, *args, **kwargs)

    step._wrapped_by_lr_sched = True  # type: ignore[attr-defined]  # a mark on the function
    optimizer.step = step  # type: ignore[method-assign]  # the same, noticed


# ------------------------------------------------------------------------- what several schedules share
def check_optimizer(optimizer: object) -> None:
    """Refuse what is no optimiser."""
    if not isinstance(optimizer, Optimizer):
        raise ArgumentTypeError(f"{type(optimizer).__name__} is not an Optimizer")


def copied(value: Any) -> Any:
    """The value, in memory of its own where it is a Tensor: the groups' Tensors are written to."""
    return value.clone() if isinstance(value, Tensor) else value


def settings_of(optimizer: Optimizer, key: str) -> list[Any]:
    """A setting of every group."""
    return [copied(group[key]) for group in optimizer.param_groups]


def set_in_group(group: Group, key: str, value: Any) -> None:
    """Change a setting; one that is a Tensor is written to, so that all who hold it see the new value."""
    if isinstance(group[key], Tensor):
        group[key].fill_(float(value))
    else:
        group[key] = value


def one_per_group(name: str, optimizer: Optimizer, value: Any) -> list[Any]:
    """A value for every group: a list gives one each, anything else holds for all."""
    count = len(optimizer.param_groups)
    values = list(value) if isinstance(value, list | tuple) else [value] * count
    check_argument(
        len(values) == count,
        f"{name} must have the same length as optimizer.param_groups. {name} has {len(values)} values, param_groups "
        f"has {count}.",
    )
    return [copied(value) for value in values]


def saved_callable(function: Callable[..., Any] | None) -> dict[str, Any] | None:
    """What a state_dict keeps of a user's function: the attributes of a callable object, nothing of a plain one."""
    plain = function is None or isinstance(function, types.FunctionType | types.BuiltinFunctionType)
    return None if plain else function.__dict__.copy()


def cycles_beta1(optimizer: Optimizer) -> bool:
    """Whether the momentum that a schedule moves is the first of ``betas``; without any, it can't move one."""
    check_argument(
        "momentum" in optimizer.defaults or "betas" in optimizer.defaults,
        "optimizer must support momentum or beta1 with `cycle_momentum` option enabled",
    )
    return "betas" in optimizer.defaults


def set_momentum(group: Group, value: float, as_beta1: bool) -> None:
    """Change the momentum, or Adam's first beta."""
    if as_beta1:
        group["betas"] = (value, *group["betas"][1:])
    else:
        group["momentum"] = value
