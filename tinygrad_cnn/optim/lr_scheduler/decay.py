"""Schedules that multiply or anneal the rate step by step: StepLR, LinearLR, CosineAnnealingLR and others.

They are recursive, each rate following from the group's present one, so that several of them can be chained.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from tinygrad_cnn.errors import ArgumentTypeError, check_argument
from tinygrad_cnn.optim.lr_scheduler.base import LRScheduler, Rate, saved_callable, settings_of
from tinygrad_cnn.optim.optimizer import Optimizer

__all__ = [
    "ConstantLR",
    "CosineAnnealingLR",
    "ExponentialLR",
    "LambdaLR",
    "LinearLR",
    "MultiStepLR",
    "MultiplicativeLR",
    "PolynomialLR",
    "StepLR",
]

Function = Callable[[int], float]


class _MultipliedLR(LRScheduler):
    """A schedule whose step ``t`` multiplies the rates by ``_factor(t)``; ``_product(t)`` is that of steps 0 to t."""

    def _factor(self, t: int) -> float:
        raise NotImplementedError  # each schedule has its own

    def _product(self, t: int) -> float:
        raise NotImplementedError  # each schedule has its own

    def get_lr(self) -> list[Rate]:
        """The groups' rates, multiplied by this step's factor."""
        self._warn_outside_step()
        factor = self._factor(self.last_epoch)
        return [rate * factor for rate in settings_of(self.optimizer, "lr")]

    def _get_closed_form_lr(self) -> list[Rate]:
        product = self._product(self.last_epoch)
        return [base * product for base in self.base_lrs]


class StepLR(_MultipliedLR):
    """Multiply the rate by ``gamma`` every ``step_size`` steps.

    >>> import tinygrad_cnn as tg
    >>> optimizer = tg.optim.SGD([tg.zeros(1)], lr=1.0)
    >>> scheduler = tg.optim.lr_scheduler.StepLR(optimizer, step_size=2, gamma=0.5)
    >>> for _ in range(4):
    ...     print(scheduler.get_last_lr())
    ...     optimizer.step()
    ...     scheduler.step()
    [1.0]
    [1.0]
    [0.5]
    [0.5]
    """

    def __init__(self, optimizer: Optimizer, step_size: int, gamma: float = 0.1, last_epoch: int = -1) -> None:
        self.step_size = step_size
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return self.gamma if t != 0 and t % self.step_size == 0 else 1.0

    def _product(self, t: int) -> float:
        return self.gamma ** (t // self.step_size)


class MultiStepLR(_MultipliedLR):
    """Multiply the rate by ``gamma`` at each of the ``milestones``, numbers of steps."""

    def __init__(
        self, optimizer: Optimizer, milestones: Iterable[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        self.milestones = Counter(milestones)
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return float(self.gamma ** self.milestones[t])

    def _product(self, t: int) -> float:
        return float(self.gamma ** bisect_right(sorted(self.milestones.elements()), t))


class ConstantLR(_MultipliedLR):
    """Multiply the rate by ``factor`` for the first ``total_iters`` steps."""

    def __init__(
        self, optimizer: Optimizer, factor: float = 1.0 / 3, total_iters: int = 5, last_epoch: int = -1
    ) -> None:
        check_argument(0 <= factor <= 1.0, "Constant multiplicative factor expected to be between 0 and 1.")
        self.factor = factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        if t == 0:
            return self.factor
        return 1.0 / self.factor if t == self.total_iters else 1.0

    def _product(self, t: int) -> float:
        return self.factor if t < self.total_iters else 1.0


class LinearLR(_MultipliedLR):
    """Multiply the rate by a factor that goes from ``start_factor`` to ``end_factor`` in ``total_iters`` steps."""

    def __init__(
        self,
        optimizer: Optimizer,
        start_factor: float = 1.0 / 3,
        end_factor: float = 1.0,
        total_iters: int = 5,
        last_epoch: int = -1,
    ) -> None:
        check_argument(
            0 < start_factor <= 1.0,
            "Starting multiplicative factor expected to be greater than 0 and less or equal to 1.",
        )
        check_argument(0 <= end_factor <= 1.0, "Ending multiplicative factor expected to be between 0 and 1.")
        self.start_factor = start_factor
        self.end_factor = end_factor
        self.total_iters = total_iters
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        if t == 0:
            return self.start_factor
        if self._is_initial or t > self.total_iters:
            return 1.0
        difference = self.end_factor - self.start_factor
        return 1.0 + difference / (self.total_iters * self.start_factor + (t - 1) * difference)

    def _product(self, t: int) -> float:
        done = min(self.total_iters, t)
        return self.start_factor + (self.end_factor - self.start_factor) * done / self.total_iters


class ExponentialLR(_MultipliedLR):
    """Multiply the rate by ``gamma`` at every step."""

    def __init__(self, optimizer: Optimizer, gamma: float, last_epoch: int = -1) -> None:
        self.gamma = gamma
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        return 1.0 if self._is_initial else self.gamma

    def _product(self, t: int) -> float:
        return float(self.gamma**t)


class PolynomialLR(_MultipliedLR):
    """Let the rate fall to zero as ``(1 - t / total_iters) ** power``."""

    def __init__(self, optimizer: Optimizer, total_iters: int = 5, power: float = 1.0, last_epoch: int = -1) -> None:
        self.total_iters = total_iters
        self.power = power
        super().__init__(optimizer, last_epoch)

    def _factor(self, t: int) -> float:
        if self._is_initial or t > self.total_iters:
            return 1.0
        return float(((1.0 - t / self.total_iters) / (1.0 - (t - 1) / self.total_iters)) ** self.power)

    def _product(self, t: int) -> float:
        return float((1.0 - min(self.total_iters, t) / self.total_iters) ** self.power)


class CosineAnnealingLR(LRScheduler):
    """Let the rate fall along half a cosine to ``eta_min`` in ``T_max`` steps (Loshchilov and Hutter 2017).

    It rises again in the ``T_max`` steps after them, and so on.
    """

    def __init__(self, optimizer: Optimizer, T_max: int, eta_min: float = 0.0, last_epoch: int = -1) -> None:
        self.T_max = T_max
        self.eta_min = eta_min
        super().__init__(optimizer, last_epoch)

    def _height(self, t: int) -> float:
        return 1 + math.cos(math.pi * t / self.T_max)

    def get_lr(self) -> list[Rate]:
        """The groups' rates, brought nearer to ``eta_min`` or away from it."""
        self._warn_outside_step()
        t = self.last_epoch
        rates = settings_of(self.optimizer, "lr")
        if self._is_initial:
            return rates
        if self._step_count == 1 and t > 0:
            return self._get_closed_form_lr()
        if (t - 1 - self.T_max) % (2 * self.T_max) == 0:  # from the lowest point no factor leads up again
            rise = (1 - math.cos(math.pi / self.T_max)) / 2
            return [rate + (base - self.eta_min) * rise for rate, base in zip(rates, self.base_lrs, strict=True)]
        factor = self._height(t) / self._height(t - 1)
        return [factor * (rate - self.eta_min) + self.eta_min for rate in rates]

    def _get_closed_form_lr(self) -> list[Rate]:
        height = self._height(self.last_epoch)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]


class _FunctionLR(LRScheduler):
    """A schedule by a user's function of the step, or a list of functions, one a group."""

    def __init__(self, optimizer: Optimizer, lr_lambda: Function | Sequence[Function], last_epoch: int = -1) -> None:
        count = len(optimizer.param_groups)
        functions = list(lr_lambda) if isinstance(lr_lambda, list | tuple) else [lr_lambda] * count
        check_argument(len(functions) == count, f"Expected {count} lr_lambdas, but got {len(functions)}")
        for function in functions:
            if not callable(function):
                raise ArgumentTypeError(f"lr_lambda should be a function, but got {type(function).__name__}")
        self.lr_lambdas: list[Any] = functions
        super().__init__(optimizer, last_epoch)

    def _factors(self) -> list[float]:
        return [function(self.last_epoch) for function in self.lr_lambdas]

    def state_dict(self) -> dict[str, Any]:
        """All that the schedule holds, except the optimiser; of the functions, the attributes of callable objects."""
        return {**super().state_dict(), "lr_lambdas": [saved_callable(function) for function in self.lr_lambdas]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what ``state_dict()`` gave; the functions stay, the attributes of callable objects are set."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "lr_lambdas"})
        for function, attributes in zip(self.lr_lambdas, state_dict["lr_lambdas"], strict=True):
            if attributes is not None:
                function.__dict__.update(attributes)


class LambdaLR(_FunctionLR):
    """Set the rate to the first one times ``lr_lambda(t)``."""

    def get_lr(self) -> list[Rate]:
        """The first rates times the functions' values."""
        self._warn_outside_step()
        return [base * factor for base, factor in zip(self.base_lrs, self._factors(), strict=True)]


class MultiplicativeLR(_FunctionLR):
    """Multiply the rate by ``lr_lambda(t)`` at every step."""

    def get_lr(self) -> list[Rate]:
        """The groups' rates times the functions' values."""
        self._warn_outside_step()
        rates = settings_of(self.optimizer, "lr")
        if self._is_initial:
            return rates
        return [rate * factor for rate, factor in zip(rates, self._factors(), strict=True)]
