"""ASGD: gradient descent that also keeps the average of its path."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.optim.elementwise import (
    Array,
    ElementwiseOptimizer,
    Rule,
    advance,
    move_towards,
    number,
    zeros_like,
)
from tinygrad_cnn.optim.optimizer import Group, scalar

__all__ = ["ASGD"]


class ASGD(ElementwiseOptimizer):
    """Gradient descent with falling steps; ``state[w]["ax"]`` is the average from step ``t0`` on (Polyak 1992).

    The step is ``lr / (1 + lambd * lr * t) ** alpha``, the weights shrink by ``lambd`` times the step.
    """

    may_be_negative = ("lambd", "alpha", "t0")

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lambd: float = 1e-4,
        alpha: float = 0.75,
        t0: float = 1e6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                lambd=lambd,
                alpha=alpha,
                t0=t0,
                weight_decay=weight_decay,
                foreach=foreach,
                maximize=maximize,
                differentiable=differentiable,
                capturable=capturable,
            ),
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for held in self.state.values():
            for name in ("eta", "mu"):
                if name in held and not isinstance(held[name], Tensor):
                    held[name] = scalar(float(held[name]))

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        lr, lambd = number(group["lr"]), group["lambd"]
        if not state:
            state["step"], state["eta"], state["mu"] = scalar(0.0), scalar(lr), scalar(1.0)
            state["ax"] = zeros_like(like)
        step = advance(state)
        eta, mu = float(state["eta"]._array), float(state["mu"]._array)
        # rounded to the precision of a scalar, even where a loaded state holds more
        state["eta"]._array[...] = scalar(lr / (1 + lambd * lr * step) ** group["alpha"])._array
        state["mu"]._array[...] = scalar(1 / max(1, step - group["t0"]))._array

        def update(value: Array, grad: Array, average: Array) -> None:
            value *= 1 - lambd * eta
            value -= eta * grad
            if mu == 1:
                average[...] = value
            else:
                move_towards(average, value, mu)

        return update, (state["ax"],)
