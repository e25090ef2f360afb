"""Rprop: steps of a length of their own for every weight, by the gradient's sign alone."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.optim.elementwise import Array, ElementwiseOptimizer, Rule, advance, number, zeros_like
from tinygrad_cnn.optim.optimizer import Group, scalar

__all__ = ["Rprop"]


class Rprop(ElementwiseOptimizer):
    """Resilient backpropagation (Riedmiller and Braun 1993), for gradients of the whole data set.

    A weight's step grows by ``etas[1]`` while its gradient keeps the sign and shrinks by ``etas[0]`` when it turns,
    within ``step_sizes``; ``lr`` is the first step.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        etas: tuple[float, float] = (0.5, 1.2),
        step_sizes: tuple[float, float] = (1e-6, 50),
        *,
        capturable: bool = False,
        foreach: bool | None = None,
        maximize: bool = False,
        differentiable: bool = False,
    ) -> None:
        check_argument(0.0 < etas[0] < 1.0 < etas[1], f"Invalid eta values: {etas[0]}, {etas[1]}")
        super().__init__(
            params,
            dict(
                lr=lr,
                etas=etas,
                step_sizes=step_sizes,
                foreach=foreach,
                maximize=maximize,
                differentiable=differentiable,
                capturable=capturable,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        if not state:
            state["step"] = scalar(0.0)
            state["prev"] = zeros_like(like)
            state["step_size"] = wrap(np.full_like(like, number(group["lr"])))
        advance(state)
        shrink, grow = group["etas"]
        shortest, longest = group["step_sizes"]

        def update(value: Array, grad: Array, previous: Array, size: Array) -> None:
            turn = grad * previous
            size[turn > 0] *= grow
            size[turn < 0] *= shrink
            np.clip(size, shortest, longest, out=size)
            previous[...] = grad
            previous[turn < 0] = 0  # where the gradient has turned, the weight waits for one step
            value -= np.sign(previous) * size

        return update, (state["prev"], state["step_size"])
