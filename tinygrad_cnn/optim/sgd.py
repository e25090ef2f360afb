"""Stochastic gradient descent."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.optim.elementwise import Array, ElementwiseOptimizer, Rule, number, zeros_like
from tinygrad_cnn.optim.optimizer import Group

__all__ = ["SGD"]


class SGD(ElementwiseOptimizer):
    """Gradient descent with momentum (Sutskever et al. 2013): ``v = momentum * v + g``, ``w -= lr * v``.

    >>> import tinygrad_cnn as tg
    >>> w = tg.tensor([1.0], requires_grad=True)
    >>> optimizer = tg.optim.SGD([w], lr=0.5)
    >>> (w * w).sum().backward()
    >>> optimizer.step()
    >>> w
    tensor([0.], requires_grad=True)
    """

    may_be_negative = ("dampening",)

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        check_argument(
            not nesterov or (momentum > 0 and dampening == 0),
            "Nesterov momentum requires a momentum and zero dampening",
        )
        super().__init__(
            params,
            dict(
                lr=lr,
                momentum=momentum,
                dampening=dampening,
                weight_decay=weight_decay,
                nesterov=nesterov,
                maximize=maximize,
                foreach=foreach,
                differentiable=differentiable,
                fused=fused,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        lr, momentum, nesterov = number(group["lr"]), group["momentum"], group["nesterov"]
        if momentum == 0:

            def descend(value: Array, grad: Array) -> None:
                value -= lr * grad

            return descend, ()

        gain = 1 - group["dampening"]
        if state.get("momentum_buffer") is None:
            state["momentum_buffer"] = zeros_like(like)
            gain = 1  # the first gradient isn't dampened

        def update(value: Array, grad: Array, velocity: Array) -> None:
            velocity *= momentum
            velocity += grad if gain == 1 else gain * grad
            value -= lr * (grad + momentum * velocity if nesterov else velocity)

        return update, (state["momentum_buffer"],)
