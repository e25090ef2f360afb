"""Module: the base of all layers and models. It knows its parameters, buffers and children by name.

What it consists of stands in ``parts.py``, what is saved and loaded in ``state.py``, what is run around a call in
``hooks.py``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable
from typing import Any, Self

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import as_dtype, device, dtype, require_cpu
from tinygrad_cnn.errors import (
    ArgumentError,
    ArgumentTypeError,
    GraphError,
    TinygradError,
    UnsupportedError,
)
from tinygrad_cnn.nn.hooks import HookedModule, call_with_hooks, everywhere, hook_dictionaries
from tinygrad_cnn.nn.parts import CompositeModule
from tinygrad_cnn.nn.state import StatefulModule
from tinygrad_cnn.ops.convert import is_dtype

__all__ = ["Module"]


class Module(CompositeModule, HookedModule, StatefulModule):
    """The base of all layers and models: assign Parameters and Modules to attributes, and define ``forward``.

    >>> import tinygrad_cnn as tg
    >>> class Net(tg.nn.Module):
    ...     def __init__(self):
    ...         super().__init__()
    ...         self.scale = tg.nn.Parameter(tg.tensor([2.0]))
    ...
    ...     def forward(self, x):
    ...         return x * self.scale
    >>> Net()(tg.tensor([1.0, 3.0]))
    tensor([2., 6.], grad_fn=<MulBackward0>)
    """

    dump_patches: bool = False
    call_super_init: bool = False  # whether __init__ goes on to the next class, for mixins behind Module
    training: bool

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if not self.call_super_init and (args or kwargs):
            got = f"an unexpected keyword argument '{next(iter(kwargs))}'" if kwargs else f"{len(args)} argument(s)"
            raise ArgumentTypeError(f"{type(self).__name__}.__init__() takes only self, got {got}")
        self.__dict__.update(  # not through __setattr__, which needs what is made here
            training=True,
            _parameters={},
            _buffers={},
            _non_persistent_buffers_set=set(),
            _modules={},
            _state_dict_hooks=OrderedDict(),
            _state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_pre_hooks=OrderedDict(),
            _load_state_dict_post_hooks=OrderedDict(),
            **hook_dictionaries(),
        )
        if self.call_super_init:
            super().__init__(*args, **kwargs)

    def forward(self, *args: Any, **kwargs: Any) -> Any:
        """What the module computes. Every subclass defines it; call the module itself, so that hooks run."""
        raise UnsupportedError(f'Module [{type(self).__name__}] is missing the required "forward" function')

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and the hooks around it."""
        try:
            if (
                self._forward_hooks
                or self._forward_pre_hooks
                or self._backward_hooks
                or self._backward_pre_hooks
                or everywhere
            ):
                return call_with_hooks(self, args, kwargs)
            return self.forward(*args, **kwargs)
        except TinygradError as error:
            _locate(error, self)
            raise

    # --------------------------------------------------------------------------------------- changing
    def apply(self, fn: Callable[[Module], Any]) -> Self:
        """Call ``fn`` on every descendant, and at last on the module itself."""
        for module in self.children():
            module.apply(fn)
        fn(self)
        return self

    def _apply(self, fn: Callable[[Tensor], Tensor], recurse: bool = True) -> Self:
        """Replace the values of all parameters, their gradients and all buffers by ``fn`` of them."""
        if recurse:
            for module in self.children():
                module._apply(fn)
        with no_grad():
            for parameter in self._parameters.values():
                if parameter is not None:
                    gradient = parameter.grad
                    parameter.data = fn(parameter)
                    if gradient is not None:
                        parameter.grad = fn(gradient).requires_grad_(gradient.requires_grad)
            for name, buffer in self._buffers.items():
                if buffer is not None:
                    self._buffers[name] = fn(buffer)
        return self

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Convert the floating parameters and buffers, as ``Tensor.to`` does: to a dtype, a device, like a Tensor.

        Integer buffers keep their dtype. ``cpu`` is the only device.
        """
        wanted = _parse_to(*args, **kwargs)
        if wanted is None:
            return self
        if not wanted.is_floating_point:
            raise ArgumentTypeError(
                f"nn.Module.to only accepts floating point or complex dtypes, but got desired dtype={wanted}"
            )
        return self._cast(wanted)

    def _cast(self, wanted: dtype) -> Self:
        return self._apply(lambda t: t.to(wanted) if t.is_floating_point() else t)

    def type(self, dst_type: Any) -> Self:
        """Convert all parameters and buffers to ``dst_type``."""
        return self._apply(lambda t: t.type(dst_type))

    def float(self) -> Self:
        """Convert the floating parameters and buffers to float32."""
        return self._cast(as_dtype("float32"))

    def double(self) -> Self:
        """Convert the floating parameters and buffers to float64."""
        return self._cast(as_dtype("float64"))

    def half(self) -> Self:
        """Convert the floating parameters and buffers to float16."""
        return self._cast(as_dtype("float16"))

    def cpu(self) -> Self:
        """Return the module: it is there."""
        return self

    def cuda(self, device: Any = None) -> Self:
        """Raise: there is no GPU here."""
        raise GraphError("cuda: 'cpu' is the only device of this library; leave the module where it is")

    def train(self, mode: bool = True) -> Self:
        """Set training mode for the module and all descendants (dropout, batch norm)."""
        if not isinstance(mode, bool):
            raise ArgumentError("training mode is expected to be boolean")
        self.training = mode
        for module in self.children():
            module.train(mode)
        return self

    def eval(self) -> Self:
        """Set evaluation mode for the module and all descendants."""
        return self.train(False)

    def requires_grad_(self, requires_grad: bool = True) -> Self:
        """Record what is computed from the parameters, or freeze them."""
        for parameter in self.parameters():
            parameter.requires_grad_(requires_grad)
        return self

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` fill them with zeros."""
        zero_gradients(self.parameters(), set_to_none)

    def compile(self, *args: Any, **kwargs: Any) -> Self:
        """Return the module: NumPy has nothing to compile."""
        return self

    # ------------------------------------------------------------------------------------------- text
    def _get_name(self) -> str:
        return type(self).__name__

    def extra_repr(self) -> str:
        """What stands between the parentheses of ``repr``; subclasses define it."""
        return ""

    def __repr__(self) -> str:
        extra = self.extra_repr()
        extra_lines = extra.split("\n") if extra else []
        child_lines = [f"({name}): {indent(repr(module))}" for name, module in self._modules.items()]
        return layout(self._get_name(), extra_lines, child_lines)


def layout(name: str, extra_lines: list[str], child_lines: list[str]) -> str:
    """``Name(...)`` on one line if there is one line and no child, else a line each."""
    if len(extra_lines) == 1 and not child_lines:
        return f"{name}({extra_lines[0]})"
    lines = extra_lines + child_lines
    return f"{name}(\n  " + "\n  ".join(lines) + "\n)" if lines else f"{name}()"


def indent(text: str) -> str:
    """``text`` with all lines but the first moved to the right."""
    return text.replace("\n", "\n  ")


def zero_gradients(parameters: Iterable[Tensor], set_to_none: bool) -> None:
    """Forget the gradients, or fill them with zeros in place."""
    for parameter in parameters:
        gradient = parameter._grad
        if gradient is None:
            continue
        if set_to_none:
            parameter._grad = None
        else:
            gradient.detach_()
            gradient._array[...] = 0
            gradient._counter[0] += 1


def _locate(error: TinygradError, module: Module) -> None:
    """Note on an error that passes ``module`` where below it the error has come from."""
    inner = error.module
    if inner is None:
        error.layer = type(module).__name__
    elif inner is not module:
        name = next((name for name, part in module.named_modules() if part is inner), None)
        if name:
            error.path = f"{name}.{error.path}" if error.path else name
    error.module = module


def _parse_to(*args: Any, **kwargs: Any) -> dtype | None:
    """The dtype in the arguments of ``to``, after a check of the others."""
    unknown = kwargs.keys() - {"dtype", "device", "tensor", "other", "non_blocking", "memory_format"}
    if unknown:
        raise ArgumentTypeError(f"to() received an invalid keyword argument {sorted(unknown)[0]!r}")
    wanted: dtype | None = None
    for value in (*args, *(kwargs[k] for k in ("tensor", "other", "device", "dtype") if k in kwargs)):
        if isinstance(value, Tensor):
            wanted = value.dtype
        elif isinstance(value, str | device):
            require_cpu(value)
        elif is_dtype(value):
            wanted = as_dtype(value)
        elif value is not None and not isinstance(value, bool):
            raise ArgumentTypeError(f"to() received an invalid argument {value!r}; expected a dtype, device or Tensor")
    return wanted
