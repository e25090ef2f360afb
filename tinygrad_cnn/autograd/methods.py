"""How ops and plain functions become methods of Tensor."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar, overload

import numpy as np

from tinygrad_cnn.autograd.explain import explained
from tinygrad_cnn.autograd.tensor_methods import TensorMethods

if TYPE_CHECKING:
    from tinygrad_cnn.autograd.op import Op

F = TypeVar("F", bound=Callable[..., Any])
_OPERANDS = (TensorMethods, bool, int, float, np.ndarray, np.generic)
NUMPY_NAMES = {"axis": "dim", "keepdims": "keepdim", "x": "input", "x1": "input", "x2": "other"}  # PyTorch has both


@overload
def tensor_method(function: str) -> Callable[[F], F]: ...
@overload
def tensor_method(function: F, name: str | None = None) -> F: ...
def tensor_method(function: Any, name: str | None = None) -> Any:
    """Make a function whose first parameter is a Tensor a method of Tensor, under its own name or another."""
    if isinstance(function, str):
        return lambda actual: tensor_method(actual, function)
    name = name or function.__name__
    setattr(TensorMethods, name, function if name.startswith("__") else explained(function))
    return function


def op_method(op: Op, name: str) -> None:
    """Make an op the method ``name`` of Tensor."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return op(self, *args, **kwargs)

    def operator(self: Any, *others: Any) -> Any:
        if others and not isinstance(others[0], _OPERANDS):
            return NotImplemented  # an operand of another class: it may know what to do
        return op(self, *others)

    function = operator if name.startswith("__") and op.elementwise is not None else method
    function.__doc__, function.__name__, function.__qualname__ = op.__doc__, name, f"Tensor.{name}"
    function.__wrapped__ = op.forward  # type: ignore[attr-defined]  # inspect reads the signature there
    setattr(TensorMethods, name, function)


def numpy_names(function: Callable[..., Any]) -> Callable[..., Any]:
    """Let a plain function take NumPy's argument names too (``axis``, ``keepdims``, ...), as ops and PyTorch do."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        if kwargs:
            kwargs = {NUMPY_NAMES.get(name, name): value for name, value in kwargs.items()}
        return function(*args, **kwargs)

    return call


def inplace_method(function: Callable[..., Any], name: str) -> None:
    """Make ``name`` the method of Tensor that gives a Tensor the value ``function(tensor, ...)``."""

    def method(self: Any, *args: Any, **kwargs: Any) -> Any:
        return self._assign(function, name, args, kwargs)

    method.__name__, method.__doc__ = name, f"In-place form of ``{function.__name__}``. {function.__doc__ or ''}"
    setattr(TensorMethods, name, method)
