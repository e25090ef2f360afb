"""Hooks of modules: what may be run before and after a module's forward, and on its gradients.

A module without hooks never comes here. ``HookedModule`` is the part of ``Module`` that registers them.
"""

from __future__ import annotations

import itertools
import warnings
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd.graph import Edge, HookHandle, Node
from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.autograd.tensor import Tensor, as_array, as_tensor, wrap
from tinygrad_cnn.errors import GraphError

Hook = Callable[..., Any]
Hooks = OrderedDict[int, Hook]


class _Everywhere(NamedTuple):
    """A hook that every module runs."""

    kind: str
    hook: Hook
    with_kwargs: bool = False
    always_call: bool = False


everywhere: dict[int, _Everywhere] = {}  # by handle; a module's call looks whether it is empty


class HookedModule:
    """The hooks of one module."""

    _forward_hooks: Hooks
    _forward_hooks_with_kwargs: dict[int, bool]
    _forward_hooks_always_called: dict[int, bool]
    _forward_pre_hooks: Hooks
    _forward_pre_hooks_with_kwargs: dict[int, bool]
    _backward_hooks: Hooks
    _backward_pre_hooks: Hooks

    def register_forward_pre_hook(self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False) -> HookHandle:
        """Call ``hook(module, args)`` before forward; what it returns, if anything, replaces the arguments.

        ``with_kwargs=True`` makes it ``hook(module, args, kwargs)``, which may return both.
        """
        handle = _add(self._forward_pre_hooks, hook, prepend)
        if with_kwargs:
            self._forward_pre_hooks_with_kwargs[handle.id] = True
        return handle

    def register_forward_hook(
        self, hook: Hook, *, prepend: bool = False, with_kwargs: bool = False, always_call: bool = False
    ) -> HookHandle:
        """Call ``hook(module, args, output)`` after forward; what it returns, if anything, replaces the output.

        ``with_kwargs=True`` makes it ``hook(module, args, kwargs, output)``; ``always_call=True`` has it called
        even when forward raises.
        """
        handle = _add(self._forward_hooks, hook, prepend)
        if with_kwargs:
            self._forward_hooks_with_kwargs[handle.id] = True
        if always_call:
            self._forward_hooks_always_called[handle.id] = True
        return handle

    def register_full_backward_pre_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(module, grad_output)`` before the module's backward; it may return other gradients."""
        return _add(self._backward_pre_hooks, hook, prepend)

    def register_full_backward_hook(self, hook: Hook, prepend: bool = False) -> HookHandle:
        """Call ``hook(module, grad_input, grad_output)`` when the gradients of the inputs are known.

        It may return gradients that replace ``grad_input``.
        """
        return _add(self._backward_hooks, hook, prepend)

    def register_backward_hook(self, hook: Hook) -> HookHandle:
        """The old name of ``register_full_backward_hook``, and here the same.

        In PyTorch its ``grad_input`` is that of the module's last operation; ``grad_output`` agrees.
        """
        return self.register_full_backward_hook(hook)


def _add(hooks: Hooks, hook: Hook, prepend: bool) -> HookHandle:
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    if prepend:
        hooks.move_to_end(handle.id, last=False)
    return handle


def register_module_forward_pre_hook(hook: Hook) -> HookHandle:
    """Call ``hook(module, args)`` before the forward of every module."""
    return _add_everywhere(_Everywhere("forward_pre", hook))


def register_module_forward_hook(hook: Hook, *, with_kwargs: bool = False, always_call: bool = False) -> HookHandle:
    """Call ``hook(module, args, output)`` after the forward of every module."""
    return _add_everywhere(_Everywhere("forward", hook, with_kwargs, always_call))


def register_module_full_backward_pre_hook(hook: Hook) -> HookHandle:
    """Call ``hook(module, grad_output)`` before the backward of every module."""
    return _add_everywhere(_Everywhere("backward_pre", hook))


def register_module_full_backward_hook(hook: Hook) -> HookHandle:
    """Call ``hook(module, grad_input, grad_output)`` after the backward of every module."""
    return _add_everywhere(_Everywhere("backward", hook))


def _add_everywhere(entry: _Everywhere) -> HookHandle:
    handle = HookHandle(everywhere)
    everywhere[handle.id] = entry
    return handle


def _all_hooks(kind: str, own: Hooks) -> list[tuple[int, Hook]]:
    """The hooks of one kind: first those of all modules, then a module's own."""
    return [*((id, entry.hook) for id, entry in everywhere.items() if entry.kind == kind), *own.items()]


# ---------------------------------------------------------------------------------------------- running
def call_with_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
    """``module.forward(*args, **kwargs)`` with all hooks around it."""
    with_kwargs = module._forward_hooks_with_kwargs.keys() | {id for id, e in everywhere.items() if e.with_kwargs}
    always = module._forward_hooks_always_called.keys() | {id for id, e in everywhere.items() if e.always_call}
    result: Any = None
    called: set[int] = set()

    def run_after(id: int, hook: Hook) -> None:
        nonlocal result
        called.add(id)
        output = hook(module, args, kwargs, result) if id in with_kwargs else hook(module, args, result)
        if output is not None:
            result = output

    try:
        args, kwargs = _run_pre_hooks(module, args, kwargs)
        boundary = None
        backward_hooks = [hook for _, hook in _all_hooks("backward", module._backward_hooks)]
        backward_pre_hooks = [hook for _, hook in _all_hooks("backward_pre", module._backward_pre_hooks)]
        if backward_hooks or backward_pre_hooks:
            boundary = _BackwardHooks(module, backward_hooks, backward_pre_hooks)
            args = boundary.at_input(args)
        result = module.forward(*args, **kwargs)
        for id, hook in _all_hooks("forward", module._forward_hooks):
            run_after(id, hook)
        return result if boundary is None else boundary.at_output(result)
    except Exception:
        for id, hook in _all_hooks("forward", module._forward_hooks):
            if id in always and id not in called:
                try:
                    run_after(id, hook)
                except Exception as error:
                    warnings.warn(
                        "module forward hook with ``always_call=True`` raised an exception that was silenced as "
                        f"another error was raised in forward: {error}",
                        stacklevel=2,
                    )
        raise


def _run_pre_hooks(module: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> tuple[Any, Any]:
    for id, hook in _all_hooks("forward_pre", module._forward_pre_hooks):
        if id in module._forward_pre_hooks_with_kwargs:
            changed = hook(module, args, kwargs)
            if changed is not None:
                if not (isinstance(changed, tuple) and len(changed) == 2):
                    raise GraphError(
                        f"forward pre-hook must return None or a tuple of (new_args, new_kwargs), but got {changed}."
                    )
                args, kwargs = changed
        else:
            changed = hook(module, args)
            if changed is not None:
                args = changed if isinstance(changed, tuple) else (changed,)
    return args, kwargs


# -------------------------------------------------------------------------------------------- gradients
class _Boundary(Node):
    """An identity in the graph at a module's edge, which shows the gradients that pass it to ``watch``."""

    __slots__ = ("complete", "watch")

    gives_fresh = False  # what goes in comes out

    def __init__(
        self, tensors: Sequence[Tensor], watch: Callable[[tuple[Any, ...]], Sequence[Any]], complete: bool
    ) -> None:
        edges: list[Edge | None] = [t._edge for t in tensors]
        super().__init__(edges, tuple((t._array.shape, t._array.dtype) for t in tensors))
        self.watch = watch
        self.complete = complete  # whether a gradient that didn't arrive is shown as zeros, as PyTorch has it

    def name(self) -> str:
        return "BackwardHookFunctionBackward"

    def apply(self, gradients: list[Any], create_graph: bool) -> Sequence[Any]:
        if self.complete:
            gradients = [np.zeros(*m) if g is None else g for g, m in zip(gradients, self.metadata, strict=True)]
        seen = self.watch(tuple(None if g is None else as_tensor(g) for g in gradients))
        return [g if create_graph or g is None else as_array(g) for g in seen]


class _BackwardHooks:
    """Joins what arrives at a module's outputs with what leaves at its inputs, for one call of the module."""

    def __init__(self, module: Any, hooks: list[Hook], pre_hooks: list[Hook]) -> None:
        self.module = module
        self.hooks = hooks
        self.pre_hooks = pre_hooks
        self.inputs: list[int] | None = None  # which arguments are Tensors; None: no gradient goes there
        self.outputs: list[int] = []
        self.count = 0
        self.grad_output: tuple[Any, ...] | None = None

    def at_input(self, args: tuple[Any, ...]) -> tuple[Any, ...]:
        self.count = len(args)
        args, self.inputs = _watch(args, self.leave, complete=True)
        return args

    def at_output(self, result: Any) -> Any:
        if not isinstance(result, Tensor | tuple):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                f"but received {type(result)}",
                stacklevel=4,
            )
        results = result if isinstance(result, tuple) else (result,)
        length = len(results)
        results, outputs = _watch(results, lambda gradients: self.enter(gradients, length), complete=False)
        self.outputs = outputs or []
        return results if isinstance(result, tuple) else results[0]

    def enter(self, gradients: tuple[Any, ...], length: int) -> Sequence[Any]:
        """The gradients of the outputs have come."""
        grad_output = _spread(self.outputs, gradients, length)
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_output)
            if changed is not None:
                grad_output = _same_length(changed, grad_output, "Backward pre hook", "grad_output")
        self.grad_output = grad_output
        if self.inputs is None:
            self._finish_without_inputs()
        return [grad_output[i] for i in self.outputs]

    def _finish_without_inputs(self) -> None:
        warnings.warn(
            "Full backward hook is firing when gradients are computed with respect to module outputs since no "
            "inputs require gradients.",
            stacklevel=2,
        )
        for hook in self.hooks:
            changed = hook(self.module, (None,) * self.count, self.grad_output)
            if changed is not None and not (isinstance(changed, tuple) and all(g is None for g in changed)):
                raise GraphError(
                    "Backward hook for Modules where no input requires gradient should always return None or None "
                    "for all gradients."
                )
        self.grad_output = None

    def leave(self, gradients: tuple[Any, ...]) -> Sequence[Any]:
        """The gradients of the inputs are known."""
        if self.grad_output is None or self.inputs is None:  # a gradient that didn't come through the outputs
            return gradients
        grad_input = _spread(self.inputs, gradients, self.count)
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = _same_length(changed, grad_input, "Backward hook", "grad_input")
        self.grad_output = None
        return [grad_input[i] for i in self.inputs]


def _watch(
    values: tuple[Any, ...], watch: Callable[[tuple[Any, ...]], Sequence[Any]], complete: bool
) -> tuple[tuple[Any, ...], list[int] | None]:
    """The values with their Tensors behind a boundary; and where those are, unless none requires a gradient."""
    places = [i for i, value in enumerate(values) if isinstance(value, Tensor)]
    tensors = [values[i] for i in places]
    if not mode.recording or all(t._edge is None for t in tensors):
        return values, None
    node = _Boundary(tensors, watch, complete)
    watched = list(values)
    for index, (place, tensor) in enumerate(zip(places, tensors, strict=True)):
        watched[place] = wrap(tensor._array, None if tensor._edge is None else (node, index))
        watched[place]._counter = tensor._counter
    if type(values) is tuple:
        return tuple(watched), places
    return type(values)(*watched), places  # a namedtuple


def _spread(places: Sequence[int], gradients: Sequence[Any], length: int) -> tuple[Any, ...]:
    spread = [None] * length
    for place, gradient in zip(places, gradients, strict=True):
        spread[place] = gradient
    return tuple(spread)


def _same_length(changed: Any, before: tuple[Any, ...], what: str, which: str) -> tuple[Any, ...]:
    changed = changed if isinstance(changed, tuple | list) else tuple(changed)
    if len(changed) != len(before):
        raise GraphError(
            f"{what} returned an invalid number of {which}, got {len(changed)}, but expected {len(before)}"
        )
    return tuple(changed)


def hook_dictionaries() -> dict[str, Any]:
    """The empty hook dictionaries of a new module."""
    ordered = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
    flags = ("_forward_hooks_with_kwargs", "_forward_hooks_always_called", "_forward_pre_hooks_with_kwargs")
    return dict(itertools.chain(((n, OrderedDict()) for n in ordered), ((n, {}) for n in flags)))
