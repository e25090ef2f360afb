"""Schedules that go up and down: CyclicLR, OneCycleLR, CosineAnnealingWarmRestarts."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_cnn.errors import ArgumentError, check_argument
from tinygrad_cnn.optim.lr_scheduler.base import (
    LRScheduler,
    Rate,
    check_optimizer,
    cycles_beta1,
    one_per_group,
    saved_callable,
    set_in_group,
    set_momentum,
)
from tinygrad_cnn.optim.optimizer import Optimizer

__all__ = ["CosineAnnealingWarmRestarts", "CyclicLR", "OneCycleLR"]

PerGroup = float | Sequence[float]


class CosineAnnealingWarmRestarts(LRScheduler):
    """Let the rate fall along half a cosine to ``eta_min``, then start again (SGDR, Loshchilov and Hutter 2017).

    The first fall takes ``T_0`` steps, each further one ``T_mult`` times as many as the one before.
    ``step(epoch)`` goes to any epoch, fractions included.
    """

    def __init__(
        self, optimizer: Optimizer, T_0: int, T_mult: int = 1, eta_min: float = 0.0, last_epoch: int = -1
    ) -> None:
        check_argument(isinstance(T_0, int) and T_0 > 0, f"Expected positive integer T_0, but got {T_0}")
        check_argument(isinstance(T_mult, int) and T_mult >= 1, f"Expected integer T_mult >= 1, but got {T_mult}")
        check_argument(
            isinstance(eta_min, float | int),
            f"Expected float or int eta_min, but got {eta_min} of type {type(eta_min)}",
        )
        self.T_0 = T_0
        self.T_i = T_0  # length of the present fall
        self.T_mult = T_mult
        self.eta_min = eta_min
        self.T_cur: float = last_epoch  # steps since the last restart
        super().__init__(optimizer, last_epoch)

    def get_lr(self) -> list[Rate]:
        """The rates at this point of the fall."""
        self._warn_outside_step()
        height = 1 + math.cos(math.pi * self.T_cur / self.T_i)
        return [self.eta_min + (base - self.eta_min) * height / 2 for base in self.base_lrs]

    def step(self, epoch: float | None = None) -> None:
        """Set the groups' next rates, or those of ``epoch``."""
        if epoch is None and self.last_epoch >= 0:
            epoch = self.last_epoch + 1
            self.T_cur += 1
            if self.T_cur >= self.T_i:
                self.T_cur %= self.T_i
                self.T_i *= self.T_mult
        else:
            epoch = epoch or 0
            check_argument(epoch >= 0, f"Expected non-negative epoch, but got {epoch}")
            self._go_to(epoch)
        self.last_epoch = math.floor(epoch)
        with self._asking_for_lr():
            rates = self.get_lr()
        self._set_rates(rates)

    def _go_to(self, epoch: float) -> None:
        if epoch < self.T_0:
            self.T_cur, self.T_i = epoch, self.T_0
        elif self.T_mult == 1:
            self.T_cur = epoch % self.T_0
        else:
            restarts = int(math.log(epoch / self.T_0 * (self.T_mult - 1) + 1, self.T_mult))
            self.T_cur = epoch - self.T_0 * (self.T_mult**restarts - 1) / (self.T_mult - 1)
            self.T_i = self.T_0 * self.T_mult**restarts


class CyclicLR(LRScheduler):
    """Let the rate go between ``base_lr`` and ``max_lr`` and back, in straight lines (Smith 2017).

    The way up takes ``step_size_up`` steps. The height is scaled by ``scale_fn`` of the cycle's number or of the step
    (``scale_mode``), or by ``mode``: "triangular" keeps it, "triangular2" halves it every cycle, "exp_range"
    multiplies it by ``gamma`` every step. The momentum goes the other way, unless ``cycle_momentum=False``.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        base_lr: PerGroup,
        max_lr: PerGroup,
        step_size_up: int = 2000,
        step_size_down: int | None = None,
        mode: str = "triangular",
        gamma: float = 1.0,
        scale_fn: Callable[[float], float] | None = None,
        scale_mode: str = "cycle",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.8,
        max_momentum: PerGroup = 0.9,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        base_lrs = one_per_group("base_lr", optimizer, base_lr)
        if last_epoch == -1:
            for rate, group in zip(base_lrs, optimizer.param_groups, strict=True):
                set_in_group(group, "lr", rate)
        self.max_lrs = one_per_group("max_lr", optimizer, max_lr)
        up = float(step_size_up)
        self.total_size = up + (up if step_size_down is None else float(step_size_down))
        self.step_ratio = up / self.total_size
        check_argument(
            mode in ("triangular", "triangular2", "exp_range") or scale_fn is not None,
            "mode is invalid and scale_fn is None",
        )
        self.mode = mode
        self.gamma = gamma
        self._scale_fn_custom: Any = scale_fn
        self.scale_mode = scale_mode
        if scale_fn is None:
            self.scale_mode = "iterations" if mode == "exp_range" else "cycle"
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = cycles_beta1(optimizer)
            self.base_momentums = one_per_group("base_momentum", optimizer, base_momentum)
            self.max_momentums = one_per_group("max_momentum", optimizer, max_momentum)
            if last_epoch == -1:
                _set_momenta(optimizer, self.base_momentums, self.max_momentums, self.use_beta1)
        super().__init__(optimizer, last_epoch)
        self.base_lrs = base_lrs

    def scale_fn(self, x: float) -> float:
        """The height's factor in cycle ``x``, or at step ``x`` with ``scale_mode="iterations"``."""
        if self._scale_fn_custom is not None:
            return float(self._scale_fn_custom(x))
        if self.mode == "exp_range":
            return float(self.gamma**x)
        return 1.0 if self.mode == "triangular" else 1 / 2.0 ** (x - 1)

    def get_lr(self) -> list[Rate]:
        """The rates at this point of the cycle; sets the momenta as well."""
        self._warn_outside_step()
        cycle = math.floor(1 + self.last_epoch / self.total_size)
        x = 1.0 + self.last_epoch / self.total_size - cycle
        height = x / self.step_ratio if x <= self.step_ratio else (x - 1) / (self.step_ratio - 1)
        height *= self.scale_fn(cycle if self.scale_mode == "cycle" else self.last_epoch)
        if self.cycle_momentum:
            for group, low, high in zip(
                self.optimizer.param_groups, self.base_momentums, self.max_momentums, strict=True
            ):
                set_momentum(group, high - (high - low) * height, self.use_beta1)
        return [low + (high - low) * height for low, high in zip(self.base_lrs, self.max_lrs, strict=True)]

    def state_dict(self) -> dict[str, Any]:
        """All that the schedule holds, except the optimiser; of ``scale_fn``, the attributes of a callable object."""
        return {**super().state_dict(), "_scale_fn_custom": saved_callable(self._scale_fn_custom)}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what ``state_dict()`` gave; ``scale_fn`` stays, the attributes of a callable object are set."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "_scale_fn_custom"})
        if state_dict["_scale_fn_custom"] is not None:
            self._scale_fn_custom.__dict__.update(state_dict["_scale_fn_custom"])


class OneCycleLR(LRScheduler):
    """Let the rate rise from ``max_lr / div_factor`` to ``max_lr`` and fall far below (Smith and Topin 2018).

    The rise takes ``pct_start`` of all steps. ``three_phase=True`` lets the rate first fall as it has risen. Lines are
    bent ("cos") or straight ("linear"). The momentum goes the other way, unless ``cycle_momentum=False``.
    ``total_steps``: or ``epochs`` times ``steps_per_epoch``; a step beyond raises ArgumentError.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        max_lr: PerGroup,
        total_steps: int | None = None,
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        pct_start: float = 0.3,
        anneal_strategy: str = "cos",
        cycle_momentum: bool = True,
        base_momentum: PerGroup = 0.85,
        max_momentum: PerGroup = 0.95,
        div_factor: float = 25.0,
        final_div_factor: float = 1e4,
        three_phase: bool = False,
        last_epoch: int = -1,
    ) -> None:
        check_optimizer(optimizer)
        self.optimizer = optimizer
        self.total_steps = _total_steps(total_steps, epochs, steps_per_epoch)
        check_argument(
            isinstance(pct_start, float) and 0 <= pct_start <= 1,
            f"Expected float between 0 and 1 pct_start, but got {pct_start}",
        )
        check_argument(
            anneal_strategy in ("cos", "linear"),
            f"anneal_strategy must be one of 'cos' or 'linear', instead got {anneal_strategy}",
        )
        top = pct_start * self.total_steps - 1
        last = self.total_steps - 1
        self._schedule_phases = [_phase(top, ("initial_lr", "max_lr"), ("max_momentum", "base_momentum"))]
        if three_phase:
            self._schedule_phases += [
                _phase(
                    2 * pct_start * self.total_steps - 2, ("max_lr", "initial_lr"), ("base_momentum", "max_momentum")
                ),
                _phase(last, ("initial_lr", "min_lr"), ("max_momentum", "max_momentum")),
            ]
        else:
            self._schedule_phases += [_phase(last, ("max_lr", "min_lr"), ("base_momentum", "max_momentum"))]
        self._anneal_func_type = anneal_strategy
        max_lrs = one_per_group("max_lr", optimizer, max_lr)
        if last_epoch == -1:
            for group, highest in zip(optimizer.param_groups, max_lrs, strict=True):
                group["initial_lr"] = highest / div_factor
                group["max_lr"] = highest
                group["min_lr"] = group["initial_lr"] / final_div_factor
        self.cycle_momentum = cycle_momentum
        if cycle_momentum:
            self.use_beta1 = cycles_beta1(optimizer)
            highs = one_per_group("max_momentum", optimizer, max_momentum)
            lows = one_per_group("base_momentum", optimizer, base_momentum)
            if last_epoch == -1:
                _set_momenta(optimizer, lows, highs, self.use_beta1)
        super().__init__(optimizer, last_epoch)

    def _anneal(self, start: Any, end: Any, done: float) -> Any:
        if self._anneal_func_type == "linear":
            return (end - start) * done + start
        return end + (start - end) / 2.0 * (math.cos(math.pi * done) + 1)

    def get_lr(self) -> list[Rate]:
        """The rates at this point of the cycle; sets the momenta as well."""
        self._warn_outside_step()
        step = self.last_epoch
        check_argument(
            step <= self.total_steps,
            f"Tried to step {step} times. The specified number of total steps is {self.total_steps}",
        )
        begin = 0.0
        for phase in self._schedule_phases:
            if step <= phase["end_step"] or phase is self._schedule_phases[-1]:
                break
            begin = phase["end_step"]
        done = (step - begin) / (phase["end_step"] - begin)
        rates = []
        for group in self.optimizer.param_groups:
            rates.append(self._anneal(group[phase["start_lr"]], group[phase["end_lr"]], done))
            if self.cycle_momentum:
                ends = group[phase["start_momentum"]], group[phase["end_momentum"]]
                set_momentum(group, self._anneal(*ends, done), self.use_beta1)
        return rates


def _total_steps(total_steps: int | None, epochs: int | None, steps_per_epoch: int | None) -> int:
    def check(name: str, value: Any) -> int:
        check_argument(isinstance(value, int) and value > 0, f"Expected positive integer {name}, but got {value}")
        return int(value)

    if total_steps is not None:
        return check("total_steps", total_steps)
    if epochs is None or steps_per_epoch is None:
        raise ArgumentError("You must define either total_steps OR (epochs AND steps_per_epoch)")
    return check("epochs", epochs) * check("steps_per_epoch", steps_per_epoch)


def _phase(end_step: float, rates: tuple[str, str], momenta: tuple[str, str]) -> dict[str, Any]:
    """A stretch of the schedule: the settings of a group between which it goes. It is part of the state_dict."""
    return {
        "end_step": end_step,
        "start_lr": rates[0],
        "end_lr": rates[1],
        "start_momentum": momenta[0],
        "end_momentum": momenta[1],
    }


def _set_momenta(optimizer: Optimizer, lows: list[float], highs: list[float], as_beta1: bool) -> None:
    for group, low, high in zip(optimizer.param_groups, lows, highs, strict=True):
        set_momentum(group, high, as_beta1)
        group["max_momentum"] = high
        group["base_momentum"] = low
