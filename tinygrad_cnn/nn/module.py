"""Module: the base of all layers and models. It knows its parameters, buffers and children by name.

What is saved and loaded stands in ``state.py``, what is run around a call in ``hooks.py``.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Self

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import as_dtype, device, dtype
from tinygrad_cnn.errors import (
    ArgumentError,
    ArgumentTypeError,
    GraphError,
    MissingAttributeError,
    NameTakenError,
    TinygradError,
    UnsupportedError,
)
from tinygrad_cnn.nn.hooks import HookedModule, call_with_hooks, everywhere, hook_dictionaries
from tinygrad_cnn.nn.parameter import Buffer, Parameter
from tinygrad_cnn.nn.state import StatefulModule

__all__ = ["Module"]


class Module(HookedModule, StatefulModule):
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

    # -------------------------------------------------------------------------------------- attributes
    def __getattr__(self, name: str) -> Any:
        fields = self.__dict__
        if "_modules" in fields:  # __init__ has run
            for place in (fields["_parameters"], fields["_modules"], fields["_buffers"]):
                if name in place:
                    return place[name]
        raise MissingAttributeError(f"'{type(self).__name__}' object has no attribute '{name}'", name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        fields = self.__dict__
        parameters = fields.get("_parameters")
        if isinstance(value, Parameter):
            if parameters is None:
                raise MissingAttributeError("cannot assign parameters before Module.__init__() call")
            self._forget(name, fields, self._buffers, self._modules)
            self.register_parameter(name, value)
        elif parameters is not None and name in parameters:
            if value is not None:
                raise ArgumentTypeError(
                    f"cannot assign '{_typename(value)}' as parameter '{name}' (torch.nn.Parameter or None expected)"
                )
            self.register_parameter(name, None)
        elif isinstance(value, Module):
            if parameters is None:
                raise MissingAttributeError("cannot assign module before Module.__init__() call")
            self._forget(name, fields, self._parameters, self._buffers)
            self._modules[name] = value
        elif parameters is not None and name in self._modules:
            if value is not None:
                raise ArgumentTypeError(
                    f"cannot assign '{_typename(value)}' as child module '{name}' (torch.nn.Module or None expected)"
                )
            self._modules[name] = None
        elif isinstance(value, Buffer):
            self.register_buffer(name, value, value.persistent)
        elif parameters is not None and name in self._buffers:
            if value is not None and not isinstance(value, Tensor):
                raise ArgumentTypeError(
                    f"cannot assign '{_typename(value)}' as buffer '{name}' "
                    "(torch.nn.Buffer, torch.Tensor or None expected)"
                )
            self.register_buffer(name, value, name not in self._non_persistent_buffers_set)
        else:
            super().__setattr__(name, value)

    def _forget(self, name: str, *places: dict[str, Any]) -> None:
        for place in places:
            place.pop(name, None)
        self._non_persistent_buffers_set.discard(name)

    def __delattr__(self, name: str) -> None:
        for place in (self._parameters, self._buffers, self._modules):
            if name in place:
                del place[name]
                self._non_persistent_buffers_set.discard(name)
                return
        if name not in self.__dict__:
            raise MissingAttributeError(f"'{type(self).__name__}' object has no attribute '{name}'")
        super().__delattr__(name)

    def __dir__(self) -> list[str]:
        names = [*dir(type(self)), *self.__dict__, *self._parameters, *self._modules, *self._buffers]
        return sorted(name for name in names if not name[0].isdigit())

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)

    # ------------------------------------------------------------------------------------- registering
    def register_parameter(self, name: str, param: Parameter | None) -> None:
        """Make ``param`` the parameter ``name``; None notes that the module has none of that name."""
        self._check_name(name, "parameter", "_parameters")
        if param is not None and not isinstance(param, Parameter):
            raise ArgumentTypeError(
                f"cannot assign '{_typename(param)}' object to parameter '{name}' (torch.nn.Parameter or None required)"
            )
        if param is not None and not param.is_leaf:
            raise ArgumentError(
                f"Cannot assign non-leaf Tensor to parameter '{name}'. Model parameters must be created explicitly. "
                f"To express '{name}' as a function of another Tensor, compute the value in the forward() method."
            )
        self._parameters[name] = param

    def register_buffer(self, name: str, tensor: Tensor | None, persistent: bool = True) -> None:
        """Make ``tensor`` part of the state without being learned; ``persistent=False``: nor saved."""
        self._check_name(name, "buffer", "_buffers")
        if tensor is not None and not isinstance(tensor, Tensor):
            raise ArgumentTypeError(
                f"cannot assign '{_typename(tensor)}' object to buffer '{name}' (torch Tensor or None required)"
            )
        self._buffers[name] = tensor
        if persistent:
            self._non_persistent_buffers_set.discard(name)
        else:
            self._non_persistent_buffers_set.add(name)

    def add_module(self, name: str, module: Module | None) -> None:
        """Make ``module`` the child ``name``."""
        if module is not None and not isinstance(module, Module):
            raise ArgumentTypeError(f"{_typename(module)} is not a Module subclass")
        self._check_name(name, "module", "_modules")
        self._modules[name] = module

    def register_module(self, name: str, module: Module | None) -> None:
        """Alias for ``add_module``."""
        self.add_module(name, module)

    def _check_name(self, name: str, kind: str, place: str) -> None:
        if place not in self.__dict__:
            raise MissingAttributeError(f"cannot assign {kind} before Module.__init__() call")
        if not isinstance(name, str):
            raise ArgumentTypeError(f"{kind} name should be a string. Got {_typename(name)}")
        if "." in name:
            raise NameTakenError(f'{kind} name can\'t contain ".", got: {name}')
        if name == "":
            raise NameTakenError(f'{kind} name can\'t be empty string ""')
        if name not in self.__dict__[place] and hasattr(self, name):
            raise NameTakenError(f"attribute '{name}' already exists")

    # ---------------------------------------------------------------------------------------- looking
    def get_submodule(self, target: str) -> Module:
        """The module at a dotted path such as ``"features.0"``; ``""`` is the module itself."""
        module: Any = self
        for name in target.split(".") if target else ():
            module = module._get_member(name)
            if not isinstance(module, Module):
                raise MissingAttributeError(f"`{name}` is not an nn.Module")
        return module  # type: ignore[no-any-return]  # checked just above

    def set_submodule(self, target: str, module: Module, strict: bool = False) -> None:
        """Put ``module`` at a dotted path; ``strict=True`` demands that there is one already."""
        if not target:
            raise ArgumentError("Cannot set the submodule without a target name!")
        if not isinstance(module, Module):
            raise ArgumentError(f"`module` is not an nn.Module, found {type(module)}")
        path, _, name = target.rpartition(".")
        parent = self.get_submodule(path)
        if (strict or hasattr(parent, name)) and not isinstance(parent._get_member(name), Module):
            raise MissingAttributeError(f"`{name}` is not an nn.Module")
        setattr(parent, name, module)

    def get_parameter(self, target: str) -> Parameter:
        """The parameter at a dotted path such as ``"features.0.weight"``."""
        path, _, name = target.rpartition(".")
        parameter = self.get_submodule(path)._get_member(name)
        if not isinstance(parameter, Parameter):
            raise MissingAttributeError(f"`{name}` is not an nn.Parameter")
        return parameter

    def get_buffer(self, target: str) -> Tensor:
        """The buffer at a dotted path."""
        path, _, name = target.rpartition(".")
        module = self.get_submodule(path)
        buffer = module._get_member(name)
        if name not in module._buffers:
            raise MissingAttributeError(f"`{name}` is not a buffer")
        return buffer  # type: ignore[no-any-return]  # a registered buffer is a Tensor

    def _get_member(self, name: str) -> Any:
        if not hasattr(self, name):
            raise MissingAttributeError(f"{self._get_name()} has no attribute `{name}`")
        return getattr(self, name)

    def _named_members(
        self,
        get_members_fn: Callable[[Module], Iterable[tuple[str, Any]]],
        prefix: str = "",
        recurse: bool = True,
        remove_duplicate: bool = True,
    ) -> Iterator[tuple[str, Any]]:
        seen: set[Any] = set()
        modules = self.named_modules(prefix=prefix, remove_duplicate=remove_duplicate) if recurse else [(prefix, self)]
        for path, module in modules:
            for name, member in get_members_fn(module):
                if member is None or member in seen:
                    continue
                if remove_duplicate:
                    seen.add(member)
                yield f"{path}.{name}" if path else name, member

    def named_parameters(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Parameter]]:
        """The parameters with their dotted names, those of all descendants included."""
        yield from self._named_members(lambda m: m._parameters.items(), prefix, recurse, remove_duplicate)

    def parameters(self, recurse: bool = True) -> Iterator[Parameter]:
        """The parameters, those of all descendants included."""
        for _, parameter in self.named_parameters(recurse=recurse):
            yield parameter

    def named_buffers(
        self, prefix: str = "", recurse: bool = True, remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Tensor]]:
        """The buffers with their dotted names, those of all descendants included."""
        yield from self._named_members(lambda m: m._buffers.items(), prefix, recurse, remove_duplicate)

    def buffers(self, recurse: bool = True) -> Iterator[Tensor]:
        """The buffers, those of all descendants included."""
        for _, buffer in self.named_buffers(recurse=recurse):
            yield buffer

    def named_children(self) -> Iterator[tuple[str, Module]]:
        """The immediate children with their names."""
        seen: set[Module] = set()
        for name, module in self._modules.items():
            if module is not None and module not in seen:
                seen.add(module)
                yield name, module

    def children(self) -> Iterator[Module]:
        """The immediate children."""
        for _, module in self.named_children():
            yield module

    def named_modules(
        self, memo: set[Module] | None = None, prefix: str = "", remove_duplicate: bool = True
    ) -> Iterator[tuple[str, Module]]:
        """The module itself and all descendants with their dotted names, each once."""
        if memo is None:
            memo = set()
        if self in memo:
            return
        if remove_duplicate:
            memo.add(self)
        yield prefix, self
        for name, module in self._modules.items():
            if module is not None:
                yield from module.named_modules(memo, f"{prefix}.{name}" if prefix else name, remove_duplicate)

    def modules(self, remove_duplicate: bool = True) -> Iterator[Module]:
        """The module itself and all descendants, each once."""
        for _, module in self.named_modules(remove_duplicate=remove_duplicate):
            yield module

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


def _typename(value: Any) -> str:
    """The name of the value's type as PyTorch's errors write it."""
    if isinstance(value, Tensor):
        return "torch.FloatTensor" if type(value) is Tensor else type(value).__name__
    kind = type(value)
    return kind.__name__ if kind.__module__ == "builtins" else f"{kind.__module__}.{kind.__name__}"


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
            device(str(value))
        elif isinstance(value, dtype):
            wanted = value
        elif value is not None and not isinstance(value, bool):
            raise ArgumentTypeError(f"to() received an invalid argument {value!r}; expected a dtype, device or Tensor")
    return wanted
