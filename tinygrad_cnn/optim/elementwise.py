"""How the optimisers of this package step: each gives a rule on arrays, which is run part by part."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.mode import enable_grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import GraphError, UnsupportedError, check_argument
from tinygrad_cnn.kernels.elementwise import fill, flat
from tinygrad_cnn.kernels.workspace import workspace
from tinygrad_cnn.optim.optimizer import Group, Optimizer, scalar

Array = np.ndarray
Rule = Callable[..., None]  # changes a part of the value, given those of the gradient and the moments, in place


class ParameterwiseOptimizer(Optimizer):
    """An optimiser that steps one parameter after another, each by ``_step_one``.

    ``foreach`` and ``fused`` choose among PyTorch's implementations of the same update; there is one here.
    """

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:
            for name, default in self.defaults.items():  # settings that an older version didn't know
                group.setdefault(name, default)
        for held in self.state.values():
            if "step" in held and not isinstance(held["step"], Tensor):
                held["step"] = scalar(float(held["step"]))

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters by their gradients.

        ``closure`` computes the loss anew, with its gradients; its value is returned.
        """
        loss = None
        if closure is not None:
            with enable_grad():
                loss = closure()
        with np.errstate(all="ignore"):  # inf and nan are values
            for group in self.param_groups:
                for parameter in group["params"]:
                    if parameter._grad is not None:
                        self._step_one(parameter, group)
        return loss

    def _step_one(self, parameter: Tensor, group: Group) -> None:
        raise NotImplementedError  # each optimiser has its own


class ElementwiseOptimizer(ParameterwiseOptimizer):
    """An optimiser whose rule treats every element alike.

    A subclass defines ``_rule``. Here are weight decay and ``maximize``, in PyTorch's order.
    """

    may_be_negative: tuple[str, ...] = ()  # of the settings

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        _check_settings(type(self).__name__, defaults, self.may_be_negative)
        super().__init__(params, defaults)

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        """The rule for one parameter in this step, and the moments in the order in which the rule takes them."""
        raise NotImplementedError  # each optimiser has its own

    def _step_one(self, parameter: Tensor, group: Group) -> None:
        state = self.state.get(parameter, {})
        rule, moments = self._rule(group, state, parameter._array)
        if state:
            self.state[parameter] = state
        decay, maximize = number(group.get("weight_decay", 0)), group["maximize"]
        shrink = 1 - number(group["lr"]) * decay if decay and group.get("decoupled_weight_decay") else None
        assert parameter._grad is not None  # the caller has seen to it
        arrays = [parameter._array, parameter._grad._array, *(moment._array for moment in moments)]
        if not arrays[0].ndim:  # NumPy's functions turn 0-d arrays into scalars, which can't be written to
            arrays = [array.reshape(1) for array in arrays]

        def update(grad: Array, *moments: Array, out: Array) -> None:
            if maximize:
                grad = -grad
            if shrink is not None:
                out *= shrink
            elif decay:
                grad = grad + decay * out
            rule(out, grad, *moments)

        if flat(arrays):
            fill(arrays[0], update, *arrays[1:])
        else:  # laid out differently, so that moments, which are written to, would be copied
            update(*arrays[1:], out=arrays[0])
        parameter._counter[0] += 1


def number(value: Any) -> float:
    """A setting as a Python float, so that it doesn't change the dtype of the arrays that it meets."""
    return float(value)


def zeros_like(array: Array) -> Tensor:
    """A moment to start with."""
    return wrap(np.zeros_like(array))


def advance(state: dict[str, Any]) -> float:
    """Count a step of one parameter."""
    state["step"]._array += 1
    return float(state["step"]._array)


def _scratch(like: Array) -> Array:
    return workspace("optimizer", like.shape, like.dtype)


def move_towards(moment: Array, target: Array, weight: float) -> None:
    """``moment += weight * (target - moment)``: an exponential moving average."""
    difference = np.subtract(target, moment, out=_scratch(moment))
    difference *= weight
    moment += difference


def accumulate_square(moment: Array, grad: Array, keep: float) -> None:
    """``moment = keep * moment + (1 - keep) * grad**2``."""
    square = np.multiply(grad, grad, out=_scratch(moment))
    square *= 1 - keep
    moment *= keep
    moment += square


def subtract_ratio(value: Array, factor: float, numerator: Array, denominator: Array) -> None:
    """``value -= factor * numerator / denominator``; the denominator's memory is used up."""
    np.divide(numerator, denominator, out=denominator)
    denominator *= factor
    value -= denominator


def _check_settings(name: str, defaults: dict[str, Any], may_be_negative: tuple[str, ...]) -> None:
    """Refuse settings that have no meaning, with PyTorch's sentences."""
    called = {"lr": "learning rate", "eps": "epsilon value"}
    for setting, value in defaults.items():
        if setting == "betas":
            for index, beta in enumerate(value):
                check_argument(0.0 <= beta < 1.0, f"Invalid beta parameter at index {index}: {beta}")
        elif isinstance(value, Tensor):
            check_argument(value.numel() == 1, f"Tensor {setting} must be 1-element")
        if isinstance(value, int | float | Tensor) and not isinstance(value, bool) and setting not in may_be_negative:
            check_argument(number(value) >= 0.0, f"Invalid {called.get(setting, setting + ' value')}: {value}")
    if defaults.get("fused") and defaults.get("foreach"):
        raise GraphError("`fused` and `foreach` cannot be `True` together.")
    for setting, reason in (
        ("differentiable", "the updates are not recorded"),
        ("capturable", "there is no GPU whose work could be captured"),
    ):
        if defaults.get(setting):
            raise UnsupportedError(f"{name}: {setting}=True can't be honoured: {reason}")
