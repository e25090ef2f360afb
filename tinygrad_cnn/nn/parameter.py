"""Parameter and Buffer: the Tensors that a Module knows as its own."""

from __future__ import annotations

from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError
from tinygrad_cnn.ops.create import empty

__all__ = ["Buffer", "Parameter"]


class Parameter(Tensor):
    """A Tensor that is learned: assigned to an attribute of a Module, it is among its ``parameters()``.

    It shares the memory of ``data``. An integer Tensor needs ``requires_grad=False``.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.Parameter(tg.tensor([1.0, 2.0]))
    Parameter containing:
    tensor([1., 2.], requires_grad=True)
    """

    def __init__(self, data: Tensor | None = None, requires_grad: bool = True) -> None:
        _share(self, data)
        if requires_grad:
            self.requires_grad_()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) in memo:
            return memo[id(self)]
        copied = type(self)(wrap(self._array.copy(order="K")), self.requires_grad)
        memo[id(self)] = copied
        return copied

    def __repr__(self, *, tensor_contents: None = None) -> str:  # type: ignore[override]  # mypy loses the keyword
        return "Parameter containing:\n" + super().__repr__()

    __str__ = __repr__  # type: ignore[assignment]  # likewise


class _BufferType(type):
    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and getattr(instance, "_is_buffer", False)


class Buffer(Tensor, metaclass=_BufferType):
    """A Tensor that belongs to a Module's state but isn't learned, as batch norm's running mean.

    Assigned to an attribute, it is registered; ``persistent=False`` keeps it out of the ``state_dict``. What is
    made is a plain Tensor with a mark.
    """

    persistent: bool

    def __new__(cls, data: Tensor | None = None, *, persistent: bool = True) -> Any:
        """A new leaf on the memory of ``data``."""
        buffer: Any = Tensor.__new__(Tensor)
        _share(buffer, data)
        buffer._is_buffer, buffer.persistent = True, persistent
        return buffer.requires_grad_() if data is not None and data.requires_grad else buffer


def _share(tensor: Tensor, data: Tensor | None) -> None:
    """Make ``tensor`` a new leaf on the memory of ``data``."""
    if data is None:
        data = empty(0)
    if not isinstance(data, Tensor):
        raise ArgumentTypeError(f"{type(tensor).__name__}: data expected a Tensor, got {type(data).__name__}")
    tensor._array, tensor._counter = data._array, data._counter


def new_parameter(shape: tuple[int, ...], device: object = None, dtype: object = None) -> Parameter:
    """A Parameter of this shape without defined values, for a layer to initialise."""
    return Parameter(empty(shape, dtype=dtype, device=device))
