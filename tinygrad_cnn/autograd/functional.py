"""Derivatives of functions: jacobian, hessian, and products with vectors (``torch.autograd.functional``)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.engine import grad
from tinygrad_cnn.autograd.mode import enable_grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, GraphError, ShapeError

Function = Callable[..., Any]


def _tuple(value: Any) -> tuple[Any, ...]:
    return tuple(value) if isinstance(value, tuple | list) else (value,)


def _evaluate(
    func: Function, inputs: Any, name: str, create_graph: bool
) -> tuple[tuple[Tensor, ...], tuple[Tensor, ...]]:
    """Fresh inputs that require grad, and the outputs of ``func`` on them."""
    for x in _tuple(inputs):
        if not isinstance(x, Tensor):
            raise ArgumentTypeError(f"{name}: inputs must be Tensors, got {type(x).__name__}")
    own = tuple(
        x.view_as(x) if create_graph and x.requires_grad else x.detach().requires_grad_() for x in _tuple(inputs)
    )
    outputs = _tuple(func(*own))
    for out in outputs:
        if not isinstance(out, Tensor):
            raise ArgumentTypeError(f"{name}: the function must return Tensors, got {type(out).__name__}")
    return own, outputs


def _gradients(
    outputs: Any, inputs: Any, upstream: Any, name: str, strict: bool, create_graph: bool
) -> tuple[Tensor, ...]:
    recorded = [(o, v) for o, v in zip(outputs, upstream, strict=True) if o.requires_grad]
    found: tuple[Tensor | None, ...] = (None,) * len(inputs)
    if recorded:
        found = grad(
            [o for o, _ in recorded], inputs, [v for _, v in recorded],
            allow_unused=True, create_graph=create_graph, retain_graph=True,
        )  # fmt: skip
    for position, result in enumerate(found):
        if result is None and strict:
            raise GraphError(
                f"{name}: the output is independent of input {position}; this is not allowed in strict mode"
            )
    return tuple(
        wrap(np.zeros(x._array.shape, x._array.dtype)) if f is None else f for f, x in zip(found, inputs, strict=True)
    )


def _like(value: Any, parts: tuple[Any, ...]) -> Any:
    """``parts`` as a tuple if ``value`` was one, else the only part."""
    return parts if isinstance(value, tuple | list) else parts[0]


def _vector(v: Any, like: tuple[Tensor, ...], name: str) -> tuple[Tensor, ...]:
    if v is None:
        if len(like) != 1 or like[0].numel() != 1:
            raise GraphError(f"{name}: the vector v can only be None if there is one result with one element")
        return (wrap(np.ones_like(like[0]._array)),)
    vectors = _tuple(v)
    for a, b in zip(vectors, like, strict=True):
        if a._array.shape != b._array.shape:
            raise ShapeError(f"{name}: v expected shape {b._array.shape}, got {a._array.shape}")
    return vectors


def vjp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs, and ``v`` times the Jacobian: what backward computes.

    >>> import tinygrad_cnn as tg
    >>> vjp(lambda x: x * x, tg.tensor([1.0, 2.0]), tg.tensor([1.0, 1.0]))[1]
    tensor([2., 4.])
    """
    with enable_grad():
        own, outputs = _evaluate(func, inputs, "vjp", create_graph)
        found = _gradients(outputs, own, _vector(v, outputs, "vjp"), "vjp", strict, create_graph)
        result = func(*_tuple(inputs)) if create_graph else _like(outputs, tuple(o.detach() for o in outputs))
    if not create_graph and len(outputs) == 1 and not isinstance(result, Tensor):
        result = result[0]
    return result, _like(inputs, found)


def jvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The outputs, and the Jacobian times ``v``, by differentiating backward with respect to its upstream."""
    with enable_grad():
        own, outputs = _evaluate(func, inputs, "jvp", create_graph)
        vectors = _vector(v, own, "jvp")
        upstream = tuple(wrap(np.zeros_like(o._array)).requires_grad_() for o in outputs)
        first = _gradients(outputs, own, upstream, "jvp", strict, True)
        found = _gradients(first, upstream, vectors, "jvp", False, create_graph)
    shown = tuple(o if create_graph else o.detach() for o in outputs)
    single = len(outputs) == 1
    return (shown[0] if single else shown), (found[0] if single else found)


def jacobian(
    func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
    strategy: str = "reverse-mode",
) -> Any:  # fmt: skip
    """The derivative of every output element by every input element: shape ``out.shape + in.shape``.

    >>> import tinygrad_cnn as tg
    >>> jacobian(lambda x: x * x, tg.tensor([1.0, 2.0]))
    tensor([[2., 0.],
            [0., 4.]])
    """
    if strategy != "reverse-mode":
        raise GraphError(f"jacobian: strategy expected 'reverse-mode', the only one here, got {strategy!r}")
    with enable_grad():
        own, outputs = _evaluate(func, inputs, "jacobian", create_graph)
        table = []
        for out in outputs:
            rows: list[tuple[Tensor, ...]] = []
            for position in range(out.numel()):
                upstream = np.zeros(out._array.size, out._array.dtype)
                upstream[position] = 1
                unit = (wrap(upstream.reshape(out._array.shape)),)
                rows.append(_gradients((out,), own, unit, "jacobian", strict, create_graph))
            table.append(tuple(_stack([r[i] for r in rows], out, x) for i, x in enumerate(own)))
    blocks = tuple(_like(inputs, row) for row in table)
    return blocks[0] if len(outputs) == 1 else blocks


def _stack(rows: list[Tensor], out: Tensor, x: Tensor) -> Tensor:
    from tinygrad_cnn.autograd.op import registry

    shape = out._array.shape + x._array.shape
    if not rows:
        return wrap(np.zeros(shape, x._array.dtype))
    return registry["cat"]([row.reshape((-1,)) for row in rows]).reshape(shape)


def hessian(func: Function, inputs: Any, create_graph: bool = False, strict: bool = False, vectorize: bool = False,
            outer_jacobian_strategy: str = "reverse-mode") -> Any:  # fmt: skip
    """The second derivatives of a scalar function: the Jacobian of its gradient.

    >>> import tinygrad_cnn as tg
    >>> hessian(lambda x: (x * x * x).sum(), tg.tensor([1.0, 2.0]))
    tensor([[ 6.,  0.],
            [ 0., 12.]])
    """

    def gradient(*xs: Tensor) -> Any:
        out = func(*xs)
        _check_scalar(out, "hessian")
        return _like(inputs, _gradients((out,), xs, (wrap(np.ones_like(out._array)),), "hessian", strict, True))

    return jacobian(gradient, inputs, create_graph=create_graph, strategy=outer_jacobian_strategy)


def _check_scalar(out: Any, name: str) -> None:
    if not isinstance(out, Tensor) or out.numel() != 1:
        raise GraphError(f"{name}: the function must return a single Tensor with one element")


def vhp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function, and ``v`` times its Hessian."""
    with enable_grad():
        own, outputs = _evaluate(func, inputs, "vhp", create_graph)
        _check_scalar(outputs[0], "vhp")
        first = _gradients(outputs, own, (wrap(np.ones_like(outputs[0]._array)),), "vhp", strict, True)
        found = _gradients(first, own, _vector(v, own, "vhp"), "vhp", strict, create_graph)
    return outputs[0] if create_graph else outputs[0].detach(), _like(inputs, found)


def hvp(
    func: Function, inputs: Any, v: Any = None, create_graph: bool = False, strict: bool = False
) -> tuple[Any, Any]:
    """The value of a scalar function, and its Hessian times ``v``: the same as ``vhp``, for a Hessian is symmetric."""
    return vhp(func, inputs, v, create_graph, strict)
