"""Numerical derivatives, and ``gradcheck`` / ``gradgradcheck``, which compare with them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import enable_grad, grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import GraphError


class GradcheckError(RuntimeError):
    """A derivative differs from the numerical one."""


def _outputs(result: Any) -> list[Tensor]:
    outputs = list(result) if isinstance(result, tuple | list) else [result]
    return [o for o in outputs if isinstance(o, Tensor) and o.is_floating_point()]


def _projected(func: Callable[..., Any], inputs: Sequence[Any], upstream: Sequence[np.ndarray]) -> float:
    """The scalar ``sum of upstream * outputs``."""
    outputs = _outputs(func(*inputs))
    return float(sum((o._array.astype(np.float64) * v).sum() for o, v in zip(outputs, upstream, strict=True)))


def numerical_gradient(
    func: Callable[..., Any], inputs: Sequence[Any], index: int, upstream: Sequence[np.ndarray], eps: float
) -> np.ndarray:
    """The gradient of ``sum(upstream * func(*inputs))`` for one input, by central differences."""
    source = inputs[index]._array
    result = np.zeros(source.shape)
    for position in np.ndindex(*source.shape):
        values = []
        for step in (eps, -eps):
            moved = source.copy()
            moved[position] += step
            arguments = list(inputs)
            arguments[index] = wrap(moved).requires_grad_()
            values.append(_projected(func, arguments, upstream))
        result[position] = (values[0] - values[1]) / (2 * eps)
    return result


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the gradients of ``func`` at ``inputs`` (float64) agree with central differences.

    The outputs are weighted with random numbers, so a formula that ignores its upstream gradient is found.

    >>> import tinygrad_cnn as tg
    >>> gradcheck(lambda x: x * x, tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True))
    True
    """
    inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise GraphError("gradcheck: expects at least one input with requires_grad=True")
    for i in wanted:
        if inputs[i]._array.dtype != np.float64:
            raise GraphError(f"gradcheck: input {i} expected float64 (differences need it), got {inputs[i].dtype}")
    rng = np.random.default_rng(seed)
    # Fresh contiguous leaves, so that in-place work inside func can't reach the caller's tensors.
    leaves = [wrap(x._array.copy()).requires_grad_() if i in wanted else x for i, x in enumerate(inputs)]
    with enable_grad():
        outputs = _outputs(func(*leaves))
        recorded = [o for o in outputs if o.requires_grad]
        upstream = [
            np.asarray(rng.uniform(0.5, 1.5, o._array.shape) * rng.choice([-1.0, 1.0], o._array.shape)) for o in outputs
        ]
        if recorded:
            found = grad(
                recorded,
                [leaves[i] for i in wanted],
                [wrap(v) for o, v in zip(outputs, upstream, strict=True) if o.requires_grad],
                allow_unused=True,
                retain_graph=True,
            )
        else:
            found = (None,) * len(wanted)
        for i, analytic in zip(wanted, found, strict=True):
            expected = numerical_gradient(func, leaves, i, upstream, eps)
            actual = np.zeros(expected.shape) if analytic is None else analytic._array
            bad = ~np.isclose(actual, expected, rtol=rtol, atol=atol)
            if bad.any():
                if not raise_exception:
                    return False
                where = np.argwhere(bad)[:5].tolist()
                pairs = [f"{tuple(w)}: {actual[tuple(w)]:.6g} != {expected[tuple(w)]:.6g}" for w in where]
                raise GradcheckError(
                    f"gradcheck: input {i} (shape {expected.shape}): {int(bad.sum())} of {bad.size} gradients differ "
                    f"from the numerical ones (index: yours != numerical): " + "; ".join(pairs)
                )
    return True


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the second derivatives of ``func`` agree with differences of its first ones.

    >>> import tinygrad_cnn as tg
    >>> gradgradcheck(lambda x: x * x * x, tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True))
    True
    """
    inputs = tuple(inputs) if isinstance(inputs, tuple | list) else (inputs,)
    count = len(inputs)
    with enable_grad():
        outputs = [o for o in _outputs(func(*inputs)) if o.requires_grad]
    if not outputs:
        return True
    if grad_outputs is None:
        rng = np.random.default_rng(seed + 1)
        grad_outputs = [wrap(np.asarray(rng.uniform(-1, 1, o._array.shape))).requires_grad_() for o in outputs]
    elif isinstance(grad_outputs, Tensor):
        grad_outputs = [grad_outputs]

    def first_order(*arguments: Any) -> Any:
        own, upstream = arguments[:count], arguments[count:]
        results = [o for o in _outputs(func(*own)) if o.requires_grad]
        wanted = [x for x in own if isinstance(x, Tensor) and x.requires_grad]
        found = grad(results, wanted, upstream, create_graph=True, allow_unused=True)
        return tuple(f for f in found if f is not None)

    return gradcheck(
        first_order,
        (*inputs, *grad_outputs),
        eps=eps,
        atol=atol,
        rtol=rtol,
        raise_exception=raise_exception,
        seed=seed,
    )
