"""Adafactor: adaptive steps that remember rows and columns of squared gradients, not every element's."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.optim.elementwise import Array, ParameterwiseOptimizer, advance, move_towards, number, zeros_like
from tinygrad_cnn.optim.optimizer import Group, scalar

__all__ = ["Adafactor"]


class Adafactor(ParameterwiseOptimizer):
    """Steps relative to the parameter's own size, with the second moment in factors (Shazeer and Stern 2018).

    ``beta2_decay``: the mean of squares is moved by ``t ** beta2_decay``; ``eps``: the least square (None: the
    dtype's precision) and the least size of a parameter; ``d``: the largest root mean square of an update.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-2,
        beta2_decay: float = -0.8,
        eps: tuple[float | None, float] = (None, 1e-3),
        d: float = 1.0,
        weight_decay: float = 0.0,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
    ) -> None:
        check_argument(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check_argument(number(lr) >= 0, f"Learning rate should be >= 0 but is: {lr}")
        check_argument(beta2_decay <= 0, f"beta2_decay should be <= 0 but is: {beta2_decay}")
        check_argument(eps[0] is None or eps[0] >= 0, f"epsilon1 should be >= 0 but is: {eps[0]}")
        check_argument(eps[1] >= 0, f"epsilon2 should be >= 0 but is: {eps[1]}")
        check_argument(d >= 1, f"Clipping threshold d should be >= 1 but is: {d}")
        check_argument(weight_decay >= 0, f"weight_decay should be >= 0 but is: {weight_decay}")
        super().__init__(
            params,
            dict(
                lr=lr,
                beta2_decay=beta2_decay,
                eps=eps,
                d=d,
                weight_decay=weight_decay,
                foreach=foreach,
                maximize=maximize,
            ),
        )

    def _step_one(self, parameter: Tensor, group: Group) -> None:
        assert parameter._grad is not None  # the caller has seen to it
        value, grad = parameter._array, parameter._grad._array
        if group["maximize"]:
            grad = -grad
        state = self.state[parameter]
        if not state:
            state["step"] = scalar(0.0)
            if grad.ndim > 1:
                state["row_var"] = wrap(np.zeros_like(grad[..., :1]))
                state["col_var"] = wrap(np.zeros_like(grad[..., :1, :]))
            else:
                state["variance"] = zeros_like(grad)
        step, lr = advance(state), number(group["lr"])
        least, smallest = group["eps"]
        least = float(np.finfo(value.dtype).eps) if least is None else least
        step_size = max(smallest, _size(value)) * min(lr, step**-0.5)
        if group["weight_decay"]:
            value *= 1 - lr * group["weight_decay"]
        square = self._second_moment(state, grad, step ** group["beta2_decay"], least)
        update = grad / np.sqrt(np.maximum(square, least * least))
        update *= step_size / max(1.0, _size(update) / group["d"])
        value -= update
        parameter._counter[0] += 1

    def _second_moment(self, state: dict[str, Any], grad: Array, weight: float, least: float) -> Array:
        if grad.ndim <= 1:
            variance: Array = state["variance"]._array
            variance[...] += weight * (grad * grad - variance)
            return variance
        square = grad * grad
        rows, columns = state["row_var"]._array, state["col_var"]._array
        move_towards(rows, square.mean(-1, keepdims=True), weight)
        move_towards(columns, square.mean(-2, keepdims=True), weight)
        return np.asarray(rows * columns / np.maximum(rows.mean(-2, keepdims=True), least))


def _size(array: Array) -> float:
    """The root mean square."""
    return float(np.linalg.norm(array.reshape(-1))) / math.sqrt(array.size) if array.size else 0.0
