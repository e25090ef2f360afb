"""Optimizer: the base of all optimisers. It knows parameters in groups, each with its settings, and their state.

``ElementwiseOptimizer`` beside it runs the rules of this package; a user's own optimiser may derive from either.
"""

from __future__ import annotations

import functools
import itertools
import warnings
from collections import OrderedDict, defaultdict
from collections.abc import Callable, Iterable
from copy import deepcopy
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.graph import HookHandle
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import get_default_dtype
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, GraphError, UnsupportedError, check_argument
from tinygrad_cnn.nn.module import zero_gradients

__all__ = ["Optimizer"]

Hook = Callable[..., Any]
Group = dict[str, Any]


class _Required:
    """Marks a setting without default: every group must give it."""

    def __repr__(self) -> str:
        return "<required parameter>"


required = _Required()
_step_hooks: dict[str, OrderedDict[int, Hook]] = {"pre": OrderedDict(), "post": OrderedDict()}  # of all optimisers
_HOOKS = (
    "_optimizer_step_pre_hooks",
    "_optimizer_step_post_hooks",
    "_optimizer_state_dict_pre_hooks",
    "_optimizer_state_dict_post_hooks",
    "_optimizer_load_state_dict_pre_hooks",
    "_optimizer_load_state_dict_post_hooks",
)


class Optimizer:
    """The base of all optimisers. A subclass gives the default settings and defines ``step``.

    params: Tensors, or (name, Tensor) pairs, or dicts with ``"params"`` and settings that hold for them alone.
    """

    state: defaultdict[Any, dict[str, Any]]
    param_groups: list[Group]
    _optimizer_step_pre_hooks: OrderedDict[int, Hook]
    _optimizer_step_post_hooks: OrderedDict[int, Hook]
    _optimizer_state_dict_pre_hooks: OrderedDict[int, Hook]
    _optimizer_state_dict_post_hooks: OrderedDict[int, Hook]
    _optimizer_load_state_dict_pre_hooks: OrderedDict[int, Hook]
    _optimizer_load_state_dict_post_hooks: OrderedDict[int, Hook]

    def __init__(self, params: Iterable[Any], defaults: dict[str, Any]) -> None:
        self.defaults = defaults
        for hooks in _HOOKS:
            setattr(self, hooks, OrderedDict())
        if isinstance(params, Tensor):
            raise ArgumentTypeError(
                "params argument given to the optimizer should be an iterable of Tensors or dicts, but got "
                f"{type(params).__name__}"
            )
        self.state = defaultdict(dict)
        self.param_groups = []
        groups = list(params)
        check_argument(groups, "optimizer got an empty parameter list")
        if not isinstance(groups[0], dict):
            groups = [{"params": groups}]
        for group in groups:
            self.add_param_group(group)

    def __init_subclass__(cls, **kwargs: Any) -> None:
        super().__init_subclass__(**kwargs)
        if "step" in cls.__dict__:
            cls.step = _with_step_hooks(cls.step)  # type: ignore[method-assign]  # the same with hooks around it

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "state": self.state, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        for hooks in _HOOKS:
            self.__dict__.setdefault(hooks, OrderedDict())

    def __repr__(self) -> str:
        text = f"{type(self).__name__} ("
        for number, group in enumerate(self.param_groups):
            text += f"\nParameter Group {number}\n"
            text += "".join(f"    {key}: {group[key]}\n" for key in sorted(group) if key != "params")
        return text + ")"

    # --------------------------------------------------------------------------------------- stepping
    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Change the parameters by their gradients; every optimiser defines it.

        ``closure`` computes the loss anew, with its gradients; its value is returned.
        """
        raise UnsupportedError(f"{type(self).__name__} doesn't define step()")

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Forget the gradients of all parameters, or with ``set_to_none=False`` fill them with zeros."""
        for group in self.param_groups:
            zero_gradients(group["params"], set_to_none)

    def add_param_group(self, param_group: Group) -> None:
        """Take on further parameters, with settings of their own where the dict gives any."""
        if not isinstance(param_group, dict):
            raise ArgumentTypeError(f"param_group must be a dict, but got {type(param_group)}")
        _normalise(param_group)
        params = param_group["params"]
        for param in params:
            if not isinstance(param, Tensor):
                raise ArgumentTypeError(
                    f"optimizer can only optimize Tensors, but one of the params is {type(param).__name__}"
                )
            check_argument(param.is_leaf or param.retains_grad, "can't optimize a non-leaf Tensor")
        for name, default in self.defaults.items():
            check_argument(
                default is not required or name in param_group,
                f"parameter group didn't specify a value of required optimization parameter {name}",
            )
            param_group.setdefault(name, default)
        if len(params) != len(set(params)):
            warnings.warn(
                "optimizer contains a parameter group with duplicate parameters; in future, this will cause an error",
                stacklevel=3,
            )
        held: set[Tensor] = set()
        for group in self.param_groups:
            held.update(group["params"])
            named = "param_names" in param_group
            check_argument(
                named == ("param_names" in group),
                "all optimizer param groups should be with/without names. cannot add param group "
                f"{'with' if named else 'without'} names to the optimizer",
            )
        check_argument(held.isdisjoint(params), "some parameters appear in more than one parameter group")
        self.param_groups.append(param_group)

    # ------------------------------------------------------------------------------ saving and loading
    def state_dict(self) -> dict[str, Any]:
        """The state by the parameters' numbers, and the groups with these numbers, in PyTorch's format."""
        for hook in self._optimizer_state_dict_pre_hooks.values():
            hook(self)
        numbers: dict[int, int] = {}
        groups = []
        start = 0
        for group in self.param_groups:
            for number, param in enumerate(group["params"], start):
                numbers.setdefault(id(param), number)
            start += len(group["params"])
            packed = {key: value for key, value in group.items() if key != "params"}
            packed["params"] = [numbers[id(param)] for param in group["params"]]
            groups.append(packed)
        state = {numbers[id(key)] if isinstance(key, Tensor) else key: value for key, value in self.state.items()}
        state_dict: dict[str, Any] = {"state": state, "param_groups": groups}
        for hook in self._optimizer_state_dict_post_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        return state_dict

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Continue from what ``state_dict()`` gave; the groups must have as many parameters (ArgumentError)."""
        state_dict = state_dict.copy()
        for hook in self._optimizer_load_state_dict_pre_hooks.values():
            changed = hook(self, state_dict)
            if changed is not None:
                state_dict = changed
        groups, loaded = self.param_groups, deepcopy(state_dict["param_groups"])
        check_argument(
            len(groups) == len(loaded),
            f"loaded state dict has a different number of parameter groups: {len(loaded)}, not {len(groups)}",
        )
        check_argument(
            all(len(a["params"]) == len(b["params"]) for a, b in zip(groups, loaded, strict=True)),
            "loaded state dict contains a parameter group that doesn't match the size of optimizer's group",
        )
        params = dict(zip(_all_params(loaded), _all_params(groups), strict=True))
        state: defaultdict[Any, dict[str, Any]] = defaultdict(dict)
        for key, value in state_dict["state"].items():
            if key in params:
                state[params[key]] = _fitted(value, params[key])
            else:
                state[key] = value
        for group, new in zip(groups, loaded, strict=True):
            new["params"] = group["params"]
            if "param_names" in group:
                new.setdefault("param_names", group["param_names"])
        self.__setstate__({"state": state, "param_groups": loaded})
        for hook in self._optimizer_load_state_dict_post_hooks.values():
            hook(self)

    # ------------------------------------------------------------------------------------------ hooks
    def register_step_pre_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` before ``step``; it may return other (args, kwargs)."""
        return _register(self._optimizer_step_pre_hooks, hook)

    def register_step_post_hook(self, hook: Hook) -> HookHandle:
        """Call ``hook(optimizer, args, kwargs)`` after ``step``."""
        return _register(self._optimizer_step_post_hooks, hook)

    def register_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer)`` before ``state_dict``."""
        return _register(self._optimizer_state_dict_pre_hooks, hook, prepend)

    def register_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` after ``state_dict``; it may return another one."""
        return _register(self._optimizer_state_dict_post_hooks, hook, prepend)

    def register_load_state_dict_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer, state_dict)`` before ``load_state_dict``; it may return another one."""
        return _register(self._optimizer_load_state_dict_pre_hooks, hook, prepend)

    def register_load_state_dict_post_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(optimizer)`` after ``load_state_dict``."""
        return _register(self._optimizer_load_state_dict_post_hooks, hook, prepend)


def register_optimizer_step_pre_hook(hook: Hook) -> HookHandle:
    """Call ``hook(optimizer, args, kwargs)`` before the ``step`` of every optimiser."""
    return _register(_step_hooks["pre"], hook)


def register_optimizer_step_post_hook(hook: Hook) -> HookHandle:
    """Call ``hook(optimizer, args, kwargs)`` after the ``step`` of every optimiser."""
    return _register(_step_hooks["post"], hook)


def _register(hooks: OrderedDict[int, Hook], hook: Hook, prepend: bool = False) -> HookHandle:
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def _with_step_hooks(step: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(step)
    def hooked(*args: Any, **kwargs: Any) -> Any:
        self: Optimizer = args[0]
        if getattr(type(self).step, "__wrapped__", None) is not step:  # called by a subclass's step: it has run them
            return step(*args, **kwargs)
        for hook in (*_step_hooks["pre"].values(), *self._optimizer_step_pre_hooks.values()):
            changed = hook(self, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise GraphError(
                        f"{step} must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                    )
                args, kwargs = changed
        result = step(*args, **kwargs)
        for hook in (*self._optimizer_step_post_hooks.values(), *_step_hooks["post"].values()):
            hook(self, args, kwargs)
        return result

    return hooked


def _normalise(group: Group) -> None:
    """Make ``group["params"]`` a list of Tensors, and note their names if they have any."""
    params = group["params"]
    if isinstance(params, set):
        raise ArgumentTypeError(
            "optimizer parameters need to be organized in ordered collections, but the ordering of tensors in sets "
            "will change between runs. Please use a list instead."
        )
    params = [params] if isinstance(params, Tensor) else list(params)
    names = [param[0] for param in params if isinstance(param, tuple)]
    group["params"] = [param[1] if isinstance(param, tuple) else param for param in params]
    if names:
        if len(names) != len(params):
            raise ArgumentError("all optimizer params should be with/without names. Some param names are missing")
        group["param_names"] = names


def _all_params(groups: list[Group]) -> Iterable[Any]:
    return itertools.chain.from_iterable(group["params"] for group in groups)


def _fitted(value: Any, param: Tensor, key: object = None) -> Any:
    """A loaded state in memory of its own, in the dtype of its parameter; the count of steps keeps its dtype."""
    if isinstance(value, Tensor):
        keep = key == "step" or not param.is_floating_point()
        return wrap(value._array.astype(value._array.dtype if keep else param._array.dtype))
    if isinstance(value, dict):
        return {k: _fitted(v, param, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return type(value)(_fitted(v, param) for v in value)
    return value


def scalar(value: float) -> Tensor:
    """A 0-d Tensor as the optimisers' state holds counts: float32, or float64 if that is the default dtype."""
    return wrap(np.array(value, np.float64 if get_default_dtype().name == "float64" else np.float32))
