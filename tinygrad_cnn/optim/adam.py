"""Adam and its relatives with two moments: AdamW, NAdam, RAdam, Adamax."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import check_argument
from tinygrad_cnn.kernels.workspace import workspace
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

__all__ = ["Adam", "AdamW", "Adamax", "NAdam", "RAdam"]

Betas = tuple[float, float]


def _start(state: dict[str, Any], like: Array, *moments: str) -> None:
    if not state:
        state["step"] = scalar(0.0)
        for moment in moments:
            state[moment] = zeros_like(like)


class Adam(ElementwiseOptimizer):
    """Steps of about ``lr``, whatever the gradient's scale (Kingma and Ba 2015); ``amsgrad``: Reddi et al. 2018.

    ``weight_decay`` is added to the gradient; for AdamW's, which isn't, ``decoupled_weight_decay=True``.
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        amsgrad: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
        decoupled_weight_decay: bool = False,
    ) -> None:
        for setting, value in (("lr", lr), ("betas[0]", betas[0]), ("betas[1]", betas[1])):
            check_argument(
                not (foreach and isinstance(value, Tensor)),
                f"{setting} as a Tensor is not supported for capturable=False and foreach=True",
            )
        kinds = {Tensor if isinstance(beta, Tensor) else type(beta) for beta in betas}
        check_argument(kinds in ({float}, {Tensor}), "betas must be either both floats or both Tensors")
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=tuple(map(number, betas)),
                eps=eps,
                weight_decay=weight_decay,
                amsgrad=amsgrad,
                maximize=maximize,
                foreach=foreach,
                capturable=capturable,
                differentiable=differentiable,
                fused=fused,
                decoupled_weight_decay=decoupled_weight_decay,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        moments = ("exp_avg", "exp_avg_sq", "max_exp_avg_sq")[: 3 if group["amsgrad"] else 2]
        _start(state, like, *moments)
        step = advance(state)
        (beta1, beta2), eps = group["betas"], group["eps"]
        step_size = number(group["lr"]) / (1 - beta1**step)
        correction = math.sqrt(1 - beta2**step)

        def update(value: Array, grad: Array, mean: Array, square: Array, largest: Array | None = None) -> None:
            move_towards(mean, grad, 1 - beta1)
            accumulate_square(square, grad, beta2)
            if largest is not None:
                square = np.maximum(largest, square, out=largest)
            denominator = np.sqrt(square, out=workspace("denominator", square.shape, square.dtype))
            denominator += eps * correction
            subtract_ratio(value, step_size * correction, mean, denominator)

        return update, tuple(state[moment] for moment in moments)


class AdamW(Adam):
    """Adam whose weight decay shrinks the weights directly (Loshchilov and Hutter 2019)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
        amsgrad: bool = False,
        *,
        maximize: bool = False,
        foreach: bool | None = None,
        capturable: bool = False,
        differentiable: bool = False,
        fused: bool | None = None,
    ) -> None:
        super().__init__(
            params,
            lr,
            betas,
            eps,
            weight_decay,
            amsgrad,
            foreach=foreach,
            maximize=maximize,
            capturable=capturable,
            differentiable=differentiable,
            fused=fused,
            decoupled_weight_decay=True,
        )

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        for group in self.param_groups:  # a checkpoint of Adam doesn't turn it into one
            group["decoupled_weight_decay"] = True


class NAdam(ElementwiseOptimizer):
    """Adam with Nesterov momentum (Dozat 2016)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        momentum_decay: float = 4e-3,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                momentum_decay=momentum_decay,
                decoupled_weight_decay=decoupled_weight_decay,
                maximize=maximize,
                foreach=foreach,
                capturable=capturable,
                differentiable=differentiable,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        if not state:
            state["step"] = scalar(0.0)
            state["mu_product"] = scalar(1.0)
            state["exp_avg"], state["exp_avg_sq"] = zeros_like(like), zeros_like(like)
        step = advance(state)
        lr, eps, decay = number(group["lr"]), group["eps"], group["momentum_decay"]
        beta1, beta2 = group["betas"]
        mu = beta1 * (1.0 - 0.5 * 0.96 ** (step * decay))
        mu_next = beta1 * (1.0 - 0.5 * 0.96 ** ((step + 1) * decay))
        state["mu_product"]._array *= mu
        product = float(state["mu_product"]._array)
        correction = 1 - beta2**step

        def update(value: Array, grad: Array, mean: Array, square: Array) -> None:
            move_towards(mean, grad, 1 - beta1)
            accumulate_square(square, grad, beta2)
            denominator = np.sqrt(square / correction)
            denominator += eps
            ahead = (lr * (1.0 - mu) / (1.0 - product)) * grad
            ahead += (lr * mu_next / (1.0 - product * mu_next)) * mean
            subtract_ratio(value, 1.0, ahead, denominator)

        return update, (state["exp_avg"], state["exp_avg_sq"])


class RAdam(ElementwiseOptimizer):
    """Adam that waits with adapting until the second moment is known well enough (Liu et al. 2020)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        decoupled_weight_decay: bool = False,
        *,
        foreach: bool | None = None,
        maximize: bool = False,
        capturable: bool = False,
        differentiable: bool = False,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                maximize=maximize,
                foreach=foreach,
                capturable=capturable,
                decoupled_weight_decay=decoupled_weight_decay,
                differentiable=differentiable,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        _start(state, like, "exp_avg", "exp_avg_sq")
        step = advance(state)
        lr, eps = number(group["lr"]), group["eps"]
        beta1, beta2 = group["betas"]
        correction1, correction2 = 1 - beta1**step, 1 - beta2**step
        longest = 2 / (1 - beta2) - 1  # the lengths of the average that the second moment amounts to
        length = longest - 2 * step * beta2**step / correction2
        adapts = length > 5.0
        if adapts:
            rectified = (length - 4) * (length - 2) * longest / ((longest - 4) * (longest - 2) * length)
            factor = lr / correction1 * math.sqrt(rectified * correction2)

        def update(value: Array, grad: Array, mean: Array, square: Array) -> None:
            move_towards(mean, grad, 1 - beta1)
            accumulate_square(square, grad, beta2)
            if adapts:
                denominator = np.sqrt(square)
                denominator += eps
                subtract_ratio(value, factor, mean, denominator)
            else:
                value -= (lr / correction1) * mean

        return update, (state["exp_avg"], state["exp_avg_sq"])


class Adamax(ElementwiseOptimizer):
    """Adam with the largest gradient in place of the mean square (Kingma and Ba 2015, section 7.1)."""

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 2e-3,
        betas: Betas = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        foreach: bool | None = None,
        *,
        maximize: bool = False,
        differentiable: bool = False,
        capturable: bool = False,
    ) -> None:
        super().__init__(
            params,
            dict(
                lr=lr,
                betas=betas,
                eps=eps,
                weight_decay=weight_decay,
                foreach=foreach,
                maximize=maximize,
                differentiable=differentiable,
                capturable=capturable,
            ),
        )

    def _rule(self, group: Group, state: dict[str, Any], like: Array) -> tuple[Rule, tuple[Tensor, ...]]:
        _start(state, like, "exp_avg", "exp_inf")
        step = advance(state)
        (beta1, beta2), eps = group["betas"], group["eps"]
        step_size = number(group["lr"]) / (1 - beta1**step)

        def update(value: Array, grad: Array, mean: Array, largest: Array) -> None:
            move_towards(mean, grad, 1 - beta1)
            largest *= beta2
            np.maximum(largest, np.abs(grad) + eps, out=largest)
            value -= step_size * mean / largest

        return update, (state["exp_avg"], state["exp_inf"])
