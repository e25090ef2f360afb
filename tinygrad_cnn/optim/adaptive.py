"""Optimisers that divide by a mean of the gradient's size: RMSprop, Adagrad, Adadelta."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.optim.elementwise import (
    Array,
    ElementwiseOptimizer,
    Rule,
    accumulate_square,
    advance,
    move_towards,
    number,
    subtract_ratio,
    zeros_like,
)
from tinygrad_cnn.optim.optimizer import Group, scalar

__all__ = ["Adadelta", "Adagrad", "RMSprop"]


class RMSprop(ElementwiseOptimizer):
    """Divide the gradient by a moving root mean square (Hinton's lecture 6); ``centered``: Graves 2013."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        alpha: float = 0.99,
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                momentum=momentum,
                alpha=alpha,
                eps=eps,
                centered=centered,
                weight_decay=weight_decay,
                capturable=capturable,
                foreach=foreach,
                maximize=maximize,
                differentiable=differentiable,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        lr, alpha, eps, momentum = number(group["lr"]), group["alpha"], group["eps"], group["momentum"]
        centered = group["centered"]
        moments = ["square_avg", *(["grad_avg"] if centered else []), *(["momentum_buffer"] if momentum > 0 else [])]
        if not state:
            state["step"] = scalar(0.0)
            state.update((moment, zeros_like(like)) for moment in moments)
        advance(state)

        def update(value: Array, grad: Array, square: Array, *rest: Array) -> None:
            accumulate_square(square, grad, alpha)
            if centered:
                mean = rest[0]
                move_towards(mean, grad, 1 - alpha)
                square = square - mean * mean  # the variance
            denominator = np.sqrt(square)
            denominator += eps
            if momentum > 0:
                velocity = rest[-1]
                velocity *= momentum
                velocity += np.divide(grad, denominator, out=denominator)
                value -= lr * velocity
            else:
                subtract_ratio(value, lr, grad, denominator)

        return update, tuple(state[moment] for moment in moments)


class Adagrad(ElementwiseOptimizer):
    """Divide the gradient by the root of the sum of all squares so far (Duchi, Hazan and Singer 2011)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        lr_decay: float = 0,
        weight_decay: float = 0,
        initial_accumulator_value: float = 0,
        eps: float = 1e-10,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                lr_decay=lr_decay,
                eps=eps,
                weight_decay=weight_decay,
                initial_accumulator_value=initial_accumulator_value,
                foreach=foreach,
                maximize=maximize,
                differentiable=differentiable,
                fused=fused,
            ),
        )
        for group in self.param_groups:
            for parameter in group["params"]:
                self._start(self.state[parameter], parameter._array)

    def _start(self, state: dict[str, Any], like: Array) -> None:
        state["step"] = scalar(0.0)
        state["sum"] = wrap(np.full_like(like, self.defaults["initial_accumulator_value"]))

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        if not state:  # of a parameter that was added later
            self._start(state, like)
        step = advance(state)
        eps = group["eps"]
        step_size = number(group["lr"]) / (1 + (step - 1) * group["lr_decay"])

        def update(value: Array, grad: Array, total: Array) -> None:
            total += grad * grad
            denominator = np.sqrt(total)
            denominator += eps
            subtract_ratio(value, step_size, grad, denominator)

        return update, (state["sum"],)


class Adadelta(ElementwiseOptimizer):
    """Steps in the unit of the parameter: the ratio of two moving root mean squares (Zeiler 2012)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1.0,
        rho: float = 0.9,
        eps: float = 1e-6,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        capturable: bool = False,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_argument(0.0 <= rho <= 1.0, f"Invalid rho value: {rho}")
        super().__init__(
            params,
            dict(
                lr=lr,
                rho=rho,
                eps=eps,
                weight_decay=weight_decay,
                maximize=maximize,
                capturable=capturable,
                foreach=foreach,
                differentiable=differentiable,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        if not state:
            state["step"] = scalar(0.0)
            state["square_avg"], state["acc_delta"] = zeros_like(like), zeros_like(like)
        advance(state)
        lr, rho, eps = number(group["lr"]), group["rho"], group["eps"]

        def update(value: Array, grad: Array, square: Array, travelled: Array) -> None:
            accumulate_square(square, grad, rho)
            delta = np.sqrt(travelled + eps)
            delta /= np.sqrt(square + eps)
            delta *= grad
            accumulate_square(travelled, delta, rho)
            delta *= lr
            value -= delta

        return update, (state["square_avg"], state["acc_delta"])
