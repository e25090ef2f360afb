"""Lazy layers: they learn the number of their input features from the first input, then become the plain class."""

from __future__ import annotations

import itertools
from typing import Any

import numpy as np

from tinygrad_cnn import backend
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import as_dtype, get_default_dtype
from tinygrad_cnn.errors import GraphError, ShapeError, UnsupportedError
from tinygrad_cnn.nn.parameter import Parameter

__all__ = ["LazyModuleMixin", "UninitializedBuffer", "UninitializedParameter"]


class _Uninitialized(Tensor):
    """A Tensor that has a dtype but no shape until ``materialize`` gives it one."""

    cls_to_become: type[Tensor]

    def _prepare(self, device: object, dtype: object) -> None:
        if device is not None:
            backend.device(device)  # raises unless it is the CPU
        chosen = get_default_dtype() if dtype is None else as_dtype(dtype)
        self._array, self._counter = np.empty(0, chosen.dtype), [0]

    def materialize(self, shape: tuple[int, ...], device: object = None, dtype: object = None) -> None:
        """Get a shape, and undefined values to be initialised."""
        if device is not None:
            backend.device(device)  # raises unless it is the CPU
        chosen = self._array.dtype if dtype is None else as_dtype(dtype).dtype
        self.data = wrap(np.empty(tuple(shape), chosen))
        self.__class__ = self.cls_to_become  # type: ignore[assignment]  # from now on a plain one

    @property
    def shape(self) -> Any:
        """Raise: there is none yet."""
        raise GraphError(
            "Can't access the shape of an uninitialized parameter or buffer. This error usually happens in "
            "`load_state_dict` when trying to load an uninitialized parameter into an initialized module. Call "
            "`forward` to initialize the parameters before accessing their attributes."
        )

    def __repr__(self, *, tensor_contents: None = None) -> str:  # type: ignore[override]  # mypy loses the keyword
        return f"<{type(self).__name__}>"

    __str__ = __repr__  # type: ignore[assignment]  # likewise


class UninitializedParameter(_Uninitialized, Parameter):  # type: ignore[misc]  # __repr__, as above
    """A Parameter whose shape isn't known yet."""

    cls_to_become = Parameter

    def __init__(self, requires_grad: bool = True, device: object = None, dtype: object = None) -> None:
        self._prepare(device, dtype)
        if requires_grad:
            self.requires_grad_()

    def __deepcopy__(self, memo: dict[int, Any]) -> Parameter:
        if id(self) not in memo:
            memo[id(self)] = type(self)(self.requires_grad, dtype=self.dtype)
        return memo[id(self)]


class UninitializedBuffer(_Uninitialized):
    """A buffer whose shape isn't known yet."""

    cls_to_become = Tensor
    _is_buffer = True

    def __init__(
        self, requires_grad: bool = False, device: object = None, dtype: object = None, persistent: bool = True
    ) -> None:
        self._prepare(device, dtype)
        self.persistent = persistent
        if requires_grad:
            self.requires_grad_()


def is_lazy(tensor: object) -> bool:
    """Whether ``tensor`` still waits for its shape."""
    return isinstance(tensor, _Uninitialized)


class LazyModuleMixin:
    """The first base of a lazy layer; its ``initialize_parameters`` is called with the first input.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.LazyLinear(2)
    >>> layer(tg.zeros(5, 3)).shape, type(layer) is tg.nn.Linear
    (torch.Size([5, 2]), True)
    """

    cls_to_become: type[Any] | None = None  # the plain class
    _parameters: dict[str, Any]
    _buffers: dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        module: Any = self  # a Module, by the class that this one is mixed into
        module._load_hook = module._register_load_state_dict_pre_hook(self._lazy_load_hook)
        module._initialize_hook = module.register_forward_pre_hook(self._infer_parameters, with_kwargs=True)

    def initialize_parameters(self, *args: Any, **kwargs: Any) -> None:
        """Materialise the parameters and buffers that fit the input. Every lazy layer defines it."""
        raise UnsupportedError(f"initialize_parameters is not implemented for {type(self).__name__}")

    def has_uninitialized_params(self) -> bool:
        """Whether any parameter or buffer still waits for its shape."""
        return any(map(is_lazy, itertools.chain(self._parameters.values(), self._buffers.values())))

    def _infer_parameters(self, module: Any, args: tuple[Any, ...], kwargs: dict[str, Any] | None = None) -> None:
        module.initialize_parameters(*args, **(kwargs or {}))
        if module.has_uninitialized_params():
            raise GraphError(f"module {type(module).__name__} has not been fully initialized")
        module._initialize_hook.remove()
        module._load_hook.remove()
        del module._initialize_hook, module._load_hook
        if module.cls_to_become is not None:
            module.__class__ = module.cls_to_become

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        own = self._own_state()  # type: ignore[attr-defined]  # of Module
        for name, tensor in own.items():
            destination[prefix + name] = tensor if keep_vars or is_lazy(tensor) else tensor.detach()

    def _lazy_load_hook(self, state_dict: dict[str, Any], prefix: str, *rest: Any) -> None:
        """Take the shapes from a state_dict, before it is loaded."""
        for name, tensor in itertools.chain(self._parameters.items(), self._buffers.items()):
            loaded = state_dict.get(prefix + name)
            if is_lazy(tensor) and isinstance(loaded, Tensor) and not is_lazy(loaded):
                tensor.materialize(loaded.shape)


def check_loaded_size(layer: str, argument: str, expected: int, got: int) -> None:
    """Raise ShapeError if the first input doesn't fit the parameters that a lazy layer was loaded with."""
    if expected != got:
        raise ShapeError(f"{layer}: the {argument} of the input, {got}, isn't that of the loaded weight, {expected}")
