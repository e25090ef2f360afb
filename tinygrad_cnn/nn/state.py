"""Saving and loading: ``state_dict``, ``load_state_dict``, and what models may override or hook into."""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from tinygrad_cnn.autograd.graph import HookHandle
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentTypeError, GraphError, StateError, UnsupportedError
from tinygrad_cnn.nn.parameter import Parameter
from tinygrad_cnn.ops.inplace import write

Hook = Callable[..., Any]


class IncompatibleKeys(NamedTuple):
    """What ``load_state_dict`` returns: the keys that were missing, and those that nothing was known of."""

    missing_keys: list[str]
    unexpected_keys: list[str]

    def __repr__(self) -> str:
        if not self.missing_keys and not self.unexpected_keys:
            return "<All keys matched successfully>"
        return f"_IncompatibleKeys(missing_keys={self.missing_keys}, unexpected_keys={self.unexpected_keys})"


class StatefulModule:
    """The part of a Module that is saved and loaded."""

    _version: int = 1  # of the layout of the state; ``_load_from_state_dict`` may convert older ones
    _parameters: dict[str, Parameter | None]
    _buffers: dict[str, Tensor | None]
    _modules: dict[str, Any]
    _non_persistent_buffers_set: set[str]
    _state_dict_hooks: OrderedDict[int, Hook]
    _state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _load_state_dict_post_hooks: OrderedDict[int, Hook]

    # ------------------------------------------------------------------------------------------ saving
    def state_dict(self, *args: Any, destination: Any = None, prefix: str = "", keep_vars: bool = False) -> Any:
        """All parameters and persistent buffers by dotted name, sharing memory with the module.

        ``keep_vars=True`` gives the parameters themselves rather than detached Tensors.
        """
        if args:
            warnings.warn("state_dict: Positional args are being deprecated, use kwargs instead.", FutureWarning, 2)
            destination, prefix, keep_vars = (*args, *(destination, prefix, keep_vars)[len(args) :])[:3]
        if destination is None:
            destination = OrderedDict()
            destination._metadata = OrderedDict()
        metadata = {"version": self._version}
        if hasattr(destination, "_metadata"):
            destination._metadata[prefix[:-1]] = metadata
        for hook in self._state_dict_pre_hooks.values():
            hook(self, prefix, keep_vars)
        self._save_to_state_dict(destination, prefix, keep_vars)
        for name, module in self._modules.items():
            if module is not None:
                module.state_dict(destination=destination, prefix=f"{prefix}{name}.", keep_vars=keep_vars)
        for hook in self._state_dict_hooks.values():
            result = hook(self, destination, prefix, metadata)
            if result is not None:
                if getattr(hook, "_from_public_api", False):
                    raise GraphError("state_dict post-hook must return None")
                destination = result
        return destination

    def _save_to_state_dict(self, destination: Any, prefix: str, keep_vars: bool) -> None:
        """Put this module's own state, without that of its children, into ``destination``."""
        for name, tensor in self._own_state().items():
            destination[prefix + name] = tensor if keep_vars else tensor.detach()
        if type(self).get_extra_state is not StatefulModule.get_extra_state:
            destination[prefix + "_extra_state"] = self.get_extra_state()

    def _own_state(self) -> dict[str, Tensor]:
        persistent = (item for item in self._buffers.items() if item[0] not in self._non_persistent_buffers_set)
        return {name: t for name, t in itertools.chain(self._parameters.items(), persistent) if t is not None}

    def get_extra_state(self) -> Any:
        """Override together with ``set_extra_state`` to save more than parameters and buffers."""
        raise UnsupportedError("get_extra_state: override it to save an extra state")

    def set_extra_state(self, state: Any) -> None:
        """Override to take what ``get_extra_state`` gave."""
        raise UnsupportedError("set_extra_state: override it to load an extra state")

    # ----------------------------------------------------------------------------------------- loading
    def load_state_dict(
        self, state_dict: Mapping[str, Any], strict: bool = True, assign: bool = False
    ) -> IncompatibleKeys:
        """Copy parameters and buffers from ``state_dict``; return the missing and the unexpected keys.

        ``strict=True`` raises on either (StateError, a RuntimeError); a wrong shape always does. ``assign=True``
        takes the given Tensors themselves instead of copying their values.
        """
        if not isinstance(state_dict, Mapping):
            raise ArgumentTypeError(f"Expected state_dict to be dict-like, got {type(state_dict)}.")
        missing: list[str] = []
        unexpected: list[str] = []
        errors: list[str] = []
        metadata = getattr(state_dict, "_metadata", None)
        state: Any = OrderedDict(state_dict)  # _load_from_state_dict may change it
        if metadata is not None:
            state._metadata = metadata

        def load(module: Any, own: Any, prefix: str) -> None:
            about = {} if metadata is None else metadata.get(prefix[:-1], {})
            if assign:
                about["assign_to_params_buffers"] = assign
            module._load_from_state_dict(own, prefix, about, True, missing, unexpected, errors)
            for name, child in module._modules.items():
                if child is not None:
                    inner = f"{prefix}{name}."
                    load(child, {k: v for k, v in own.items() if k.startswith(inner)}, inner)
            keys = IncompatibleKeys(missing, unexpected)
            for hook in module._load_state_dict_post_hooks.values():
                if hook(module, keys) is not None:
                    raise StateError(
                        "Hooks registered with ``register_load_state_dict_post_hook`` are not expected to return new "
                        "values, if incompatible_keys need to be modified, it should be done inplace."
                    )

        load(self, state, "")
        if strict:
            for kind, names in (("Unexpected", unexpected), ("Missing", missing)):
                if names:
                    listed = ", ".join(f'"{name}"' for name in names)
                    errors.insert(0, f"{kind} key(s) in state_dict: {listed}. ")
        if errors:
            problems = "\n\t".join(errors)
            raise StateError(f"Error(s) in loading state_dict for {type(self).__name__}:\n\t{problems}")
        return IncompatibleKeys(missing, unexpected)

    def _load_from_state_dict(
        self,
        state_dict: dict[str, Any],
        prefix: str,
        local_metadata: dict[str, Any],
        strict: bool,
        missing_keys: list[str],
        unexpected_keys: list[str],
        error_msgs: list[str],
    ) -> None:
        """Load this module's own state. Models override it to read the layouts of older versions."""
        for hook in self._load_state_dict_pre_hooks.values():
            hook(state_dict, prefix, local_metadata, strict, missing_keys, unexpected_keys, error_msgs)
        own = self._own_state()
        for name, tensor in own.items():
            key = prefix + name
            if key in state_dict:
                problem = self._load_tensor(name, tensor, key, state_dict[key], local_metadata)
                if problem:
                    error_msgs.append(problem)
            elif strict:
                missing_keys.append(key)

        extra = prefix + "_extra_state"
        if type(self).set_extra_state is not StatefulModule.set_extra_state:
            if extra in state_dict:
                self.set_extra_state(state_dict[extra])
            elif strict:
                missing_keys.append(extra)
        elif strict and extra in state_dict:
            unexpected_keys.append(extra)

        if strict:
            for key in state_dict:
                if key.startswith(prefix) and key != extra:
                    name, _, rest = key[len(prefix) :].partition(".")
                    if name not in (self._modules if rest else own):
                        unexpected_keys.append(key)

    def _load_tensor(
        self, name: str, tensor: Tensor, key: str, value: Any, local_metadata: dict[str, Any]
    ) -> str | None:
        """Copy ``value`` into one parameter or buffer, or assign it; return what is wrong with it, if anything."""
        if not isinstance(value, Tensor):
            return (
                f'While copying the parameter named "{key}", expected torch.Tensor or Tensor-like object from '
                f"checkpoint but received {type(value)}"
            )
        if tensor.ndim == 0 and tuple(value.shape) == (1,):
            value = value[0]  # PyTorch 0.3 had no 0-d tensors
        if value.shape != tensor.shape:
            return (
                f"size mismatch for {key}: copying a param with shape {value.shape} from checkpoint, the shape in "
                f"current model is {tensor.shape}."
            )
        if not local_metadata.get("assign_to_params_buffers", False):
            write(tensor, ..., value._array)
        elif not isinstance(tensor, Parameter):
            setattr(self, name, value)
        elif isinstance(value, Parameter):
            setattr(self, name, value.requires_grad_(tensor.requires_grad))
        else:
            setattr(self, name, Parameter(value, tensor.requires_grad))
        return None

    # ------------------------------------------------------------------------------------------- hooks
    def register_state_dict_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, prefix, keep_vars)`` before the state is saved."""
        return _add(self._state_dict_pre_hooks, hook)

    def register_state_dict_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, state_dict, prefix, local_metadata)`` after it was saved; it may change the dict."""
        hook._from_public_api = True  # type: ignore[attr-defined]  # a function takes attributes
        return _add(self._state_dict_hooks, hook)

    def _register_state_dict_hook(self, hook: Hook) -> HookHandle:
        """As ``register_state_dict_post_hook``; the dict that it returns, if any, replaces the other."""
        if getattr(hook, "_from_public_api", False):
            raise GraphError(
                "Cannot register the same function as the state dict post hook that was previously registered via "
                "register_state_dict_post_hook"
            )
        return _add(self._state_dict_hooks, hook)

    def register_load_state_dict_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, ...)`` with the arguments of ``_load_from_state_dict`` before loading."""
        return self._register_load_state_dict_pre_hook(hook, with_module=True)

    def _register_load_state_dict_pre_hook(self, hook: Hook, with_module: bool = False) -> HookHandle:
        return _add(self._load_state_dict_pre_hooks, _WithModule(hook, self) if with_module else hook)

    def register_load_state_dict_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(module, incompatible_keys)`` after loading; it may change the lists of keys."""
        return _add(self._load_state_dict_post_hooks, hook)


class _WithModule:
    """A hook that gets its module as first argument; a copy of the module copies this with it."""

    def __init__(self, hook: Hook, module: StatefulModule) -> None:
        self.hook = hook
        self.module = module

    def __call__(self, *args: Any) -> Any:
        return self.hook(self.module, *args)


def _add(hooks: OrderedDict[int, Hook], hook: Hook) -> HookHandle:
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    return handle
