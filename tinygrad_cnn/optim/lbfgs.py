"""L-BFGS: a quasi-Newton method for smooth losses of the whole data set."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.mode import enable_grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ContradictionError, GraphError, check_argument
from tinygrad_cnn.optim.elementwise import Array, number
from tinygrad_cnn.optim.line_search import Point, strong_wolfe
from tinygrad_cnn.optim.optimizer import Optimizer

__all__ = ["LBFGS"]


class LBFGS(Optimizer):
    """Newton's method with the curvature of the last ``history_size`` steps (Liu and Nocedal 1989).

    A ``step`` makes up to ``max_iter`` iterations and about ``max_eval`` calls of its closure. It ends when no
    gradient exceeds ``tolerance_grad`` or when neither loss nor weights change by ``tolerance_change``.
    ``line_search_fn``: None for steps of length ``lr``, or "strong_wolfe".

    >>> import tinygrad_cnn as tg
    >>> w = tg.tensor([3.0, -2.0], requires_grad=True)
    >>> optimizer = tg.optim.LBFGS([w], line_search_fn="strong_wolfe")
    >>> def closure():
    ...     optimizer.zero_grad()
    ...     loss = ((w - 1) ** 2).sum()
    ...     loss.backward()
    ...     return loss
    >>> optimizer.step(closure)  # the loss before the step
    tensor(13., grad_fn=<SumBackward0>)
    >>> [round(value, 3) for value in w.tolist()]
    [1.0, 1.0]
    """

    def __init__(
        self,
        params: Iterable[Any],
        lr: float | Tensor = 1,
        max_iter: int = 20,
        max_eval: int | None = None,
        tolerance_grad: float = 1e-7,
        tolerance_change: float = 1e-9,
        history_size: int = 100,
        line_search_fn: str | None = None,
    ) -> None:
        check_argument(not isinstance(lr, Tensor) or lr.numel() == 1, "Tensor lr must be 1-element")
        check_argument(number(lr) >= 0.0, f"Invalid learning rate: {lr}")
        defaults = dict(
            lr=lr,
            max_iter=max_iter,
            max_eval=max_iter * 5 // 4 if max_eval is None else max_eval,
            tolerance_grad=tolerance_grad,
            tolerance_change=tolerance_change,
            history_size=history_size,
            line_search_fn=line_search_fn,
        )
        super().__init__(params, defaults)
        check_argument(len(self.param_groups) == 1, "LBFGS doesn't support per-parameter options (parameter groups)")

    # ------------------------------------------------- all parameters as one vector
    @property
    def _params(self) -> list[Tensor]:
        return list(self.param_groups[0]["params"])

    def _gradient(self) -> Array:
        return np.concatenate(
            [
                np.zeros(p._array.size, p._array.dtype) if p._grad is None else p._grad._array.reshape(-1)
                for p in self._params
            ]
        )

    def _move(self, step: float, direction: Array) -> None:
        start = 0
        for p in self._params:
            p._array[...] += step * direction[start : start + p._array.size].reshape(p._array.shape)
            p._counter[0] += 1
            start += p._array.size

    # --------------------------------------------------------------------- stepping
    def step(self, closure: Callable[[], Any]) -> Any:  # type: ignore[override]  # it needs the closure
        """Go towards a minimum; ``closure`` computes the loss anew, with its gradients. Returns the first loss."""
        if len(self.param_groups) != 1:
            raise ContradictionError(f"Expected exactly one param_group, but got {len(self.param_groups)}")
        group = self.param_groups[0]
        lr = number(group["lr"])
        if group["line_search_fn"] not in (None, "strong_wolfe"):
            raise GraphError("only 'strong_wolfe' is supported")
        state = self.state[self._params[0]]
        state.setdefault("func_evals", 0)
        state.setdefault("n_iter", 0)

        with enable_grad():
            first_loss = closure()
        loss, grad, evaluations = float(first_loss), self._gradient(), 1
        if np.abs(grad).max() <= group["tolerance_grad"]:
            state["func_evals"] += 1
            return first_loss

        for iteration in range(1, group["max_iter"] + 1):
            state["n_iter"] += 1
            direction = self._direction(state, grad, group["history_size"])
            step = lr if state["n_iter"] > 1 else min(1.0, 1.0 / float(np.abs(grad).sum())) * lr
            state.update(d=wrap(direction), t=step, prev_flat_grad=wrap(grad), prev_loss=loss)
            slope = float(grad @ direction)
            if slope > -group["tolerance_change"]:
                break
            if group["line_search_fn"]:
                budget = group["max_eval"] - evaluations
                point, used = self._search(closure, Point(0.0, loss, grad, slope), step, direction, budget)
                state["t"] = step = point.step
                loss, grad = point.loss, point.grad
                self._move(step, direction)
                evaluations += used
            else:
                self._move(step, direction)
                if iteration < group["max_iter"]:  # after the last one nobody asks for the loss
                    with enable_grad():
                        loss = float(closure())
                    grad = self._gradient()
                    evaluations += 1
            if (
                evaluations >= group["max_eval"]
                or np.abs(grad).max() <= group["tolerance_grad"]
                or np.abs(direction * step).max() <= group["tolerance_change"]
                or abs(loss - state["prev_loss"]) < group["tolerance_change"]
            ):
                break
        state["func_evals"] += evaluations
        return first_loss

    def _direction(self, state: dict[str, Any], grad: Array, history_size: int) -> Array:
        """The gradient times the inverse Hessian that the last steps suggest (two-loop recursion)."""
        if state["n_iter"] == 1:
            state.update(old_dirs=[], old_stps=[], ro=[], H_diag=1)
            return -grad
        changes, steps, inverses = state["old_dirs"], state["old_stps"], state["ro"]
        change = grad - state["prev_flat_grad"]._array
        step = state["d"]._array * number(state["t"])
        curvature = float(change @ step)
        if curvature > 1e-10:
            if len(changes) == history_size:
                for history in (changes, steps, inverses):
                    history.pop(0)
            changes.append(wrap(change))
            steps.append(wrap(step))
            inverses.append(1.0 / curvature)
            state["H_diag"] = curvature / float(change @ change)
        history = [(y._array, s._array, number(r)) for y, s, r in zip(changes, steps, inverses, strict=True)]
        direction = -grad
        weights = []
        for y, s, inverse in reversed(history):
            weights.append(float(s @ direction) * inverse)
            direction -= weights[-1] * y
        direction *= number(state["H_diag"])
        for (y, s, inverse), weight in zip(history, reversed(weights), strict=True):
            direction += (weight - float(y @ direction) * inverse) * s
        return direction

    def _search(
        self, closure: Callable[[], Any], start: Point, step: float, direction: Array, budget: int
    ) -> tuple[Point, int]:
        origin = [p._array.copy() for p in self._params]

        def evaluate(step: float) -> Point:
            self._move(step, direction)
            with enable_grad():
                loss = float(closure())
            grad = self._gradient()
            for p, array in zip(self._params, origin, strict=True):
                p._array[...] = array
                p._counter[0] += 1
            return Point(step, loss, grad, float(grad @ direction))

        extent = float(np.abs(direction).max())
        tolerance = self.param_groups[0]["tolerance_change"]
        return strong_wolfe(evaluate, start, step, extent, budget, tolerance)
