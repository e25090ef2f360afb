"""``autograd.Function``: an operation in PyTorch's class form, for users who know it.

Registering an op (``@differentiable``) is shorter, gets second order without further work, and is tested by the kit.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.graph import Edge, Node
from tinygrad_cnn.autograd.mode import mode, no_grad
from tinygrad_cnn.autograd.tensor import Tensor, as_array, check_overwritable, wrap
from tinygrad_cnn.errors import ArgumentTypeError, GraphError, GraphFreedError, InPlaceError


class FunctionNode(Node):
    """The node of a ``Function``, and the ``ctx`` that its ``forward`` and ``backward`` get."""

    gives_fresh = False
    broadcasts = True

    needs_input_grad: tuple[bool, ...]
    _function: type[Function]
    _to_save: tuple[Tensor | None, ...] = ()
    _saved: list[tuple[np.ndarray, Edge | int | None, list[int], int] | None]
    _non_differentiable: tuple[int, ...] = ()
    _dirty: tuple[int, ...] = ()
    _materialize = True

    def __init__(self, function: type[Function], needs: tuple[bool, ...]) -> None:
        super().__init__((), ())
        self._function = function
        self.needs_input_grad = needs
        self._saved = []

    # ---- what forward and setup_context may call
    def save_for_backward(self, *tensors: Tensor | None) -> None:
        """Keep inputs or outputs for ``backward``, where they are ``ctx.saved_tensors``."""
        for tensor in tensors:
            if tensor is not None and not isinstance(tensor, Tensor):
                raise ArgumentTypeError(
                    f"save_for_backward can only save variables, but argument is of type {type(tensor).__name__}; "
                    "keep other things as attributes of ctx"
                )
        self._to_save = tensors

    def mark_dirty(self, *tensors: Tensor) -> None:
        """Say which inputs ``forward`` has overwritten in place."""
        self._dirty = tuple(id(t) for t in tensors)

    def mark_non_differentiable(self, *tensors: Tensor) -> None:
        """Say which outputs have no gradient."""
        self._non_differentiable = tuple(id(t) for t in tensors)

    def set_materialize_grads(self, value: bool) -> None:
        """Whether ``backward`` gets zeros (True, the default) or None for outputs that nothing was computed from."""
        self._materialize = value

    # ---- what backward may read
    @property
    def saved_tensors(self) -> tuple[Tensor | None, ...]:
        """What ``save_for_backward`` was given."""
        if self.released:
            raise GraphFreedError(
                f"{self.name()}: Trying to backward through the graph a second time: the saved tensors were released. "
                "Pass retain_graph=True to the first backward()."
            )
        unpacked: list[Tensor | None] = []
        for entry in self._saved:
            if entry is None:
                unpacked.append(None)
                continue
            array, edge, counter, version = entry
            if counter[0] != version:
                raise InPlaceError(
                    f"{self.name()}: one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: it is at version {counter[0]}; expected version {version} instead"
                )
            tensor = wrap(array, (self, edge) if isinstance(edge, int) else edge)
            tensor._counter = counter
            unpacked.append(tensor)
        return tuple(unpacked)

    # ---- the graph's side
    def name(self) -> str:
        return self._function.__name__ + "Backward"

    def release(self) -> None:
        if self._saved:
            self._saved = []
            self.released = True

    def keep(self, outputs: Sequence[Any]) -> None:
        """Turn what was saved into arrays with edges: a node must not hold its outputs."""
        index_of = {id(o): i for i, o in enumerate(outputs)}
        for tensor in self._to_save:
            if tensor is None:
                self._saved.append(None)
            else:
                edge = index_of.get(id(tensor), tensor._edge)
                self._saved.append((tensor._array, edge, tensor._counter, tensor._counter[0]))
        self._to_save = ()

    def apply(self, gradients: list[Any], create_graph: bool) -> Sequence[Any]:
        shown = [wrap(g) if isinstance(g, np.ndarray) else g for g in gradients]
        if self._materialize:
            shown = [wrap(np.zeros(*m)) if g is None else g for g, m in zip(shown, self.metadata, strict=True)]
        results = self._function.backward(self, *shown)
        found = list(results) if isinstance(results, tuple | list) else [results]
        while len(found) > len(self.edges) and found[-1] is None:
            found.pop()
        if len(found) != len(self.edges):
            raise GraphError(
                f"function {self.name()} returned an incorrect number of gradients (expected {len(self.edges)}, "
                f"got {len(found)}); return one for each argument of forward, None where there is none"
            )
        for position, (result, edge) in enumerate(zip(found, self.edges, strict=True)):
            if result is not None and not isinstance(result, Tensor):
                raise ArgumentTypeError(
                    f"function {self.name()} returned a gradient of type {type(result).__name__} at index {position}; "
                    "expected a Tensor or None"
                )
            if result is None or edge is None:
                found[position] = None
            elif not create_graph:
                found[position] = as_array(result)
        return found


FunctionCtx = FunctionNode  # the name that PyTorch's users annotate ``ctx`` with


class Function:
    """Define ``forward(ctx, ...)`` and ``backward(ctx, *grad_outputs)`` as static methods; call ``apply``.

    ``forward`` may also leave ``ctx`` out, with a ``setup_context(ctx, inputs, output)`` beside it.

    >>> import tinygrad_cnn as tg
    >>> class Square(Function):
    ...     @staticmethod
    ...     def forward(ctx, x):
    ...         ctx.save_for_backward(x)
    ...         return x * x
    ...
    ...     @staticmethod
    ...     def backward(ctx, grad_output):
    ...         (x,) = ctx.saved_tensors
    ...         return 2 * x * grad_output
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> Square.apply(x).backward()
    >>> x.grad
    tensor(6.)
    """

    @staticmethod
    def forward(*args: Any, **kwargs: Any) -> Any:
        """Compute the output or outputs. Nothing inside is recorded."""
        raise NotImplementedError("You must implement the forward function for custom autograd.Function.")

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Any, ...], output: Any) -> None:
        """Save what ``backward`` needs, when ``forward`` is written without ``ctx``."""
        raise NotImplementedError("setup_context is not implemented.")

    @staticmethod
    def backward(ctx: Any, *grad_outputs: Any) -> Any:
        """The gradient of each argument of ``forward``, None where there is none."""
        raise NotImplementedError(
            "You must implement either the backward or vjp method for your custom autograd.Function to use it "
            "with backward mode AD."
        )

    vjp = backward

    @classmethod
    def apply(cls, *args: Any, **kwargs: Any) -> Any:
        """Run ``forward`` and record it."""
        tensors = [a if isinstance(a, Tensor) else None for a in args]
        edges = [None if t is None or not mode.recording else t._edge for t in tensors]
        node = FunctionNode(cls, tuple(edge is not None for edge in edges))
        with no_grad():
            if cls.setup_context is not Function.setup_context:
                result = cls.forward(*args, **kwargs)
                cls.setup_context(node, args, result)
            else:
                result = cls.forward(node, *args, **kwargs)
        outputs = list(result) if isinstance(result, tuple) else [result]
        inputs = {id(t): t for t in tensors if t is not None}
        if not any(edges):
            return result
        node.edges = edges
        recorded = [isinstance(o, Tensor) and o.is_floating_point() for o in outputs]
        node.metadata = tuple(
            (o._array.shape, o._array.dtype) if isinstance(o, Tensor) else ((), np.dtype("float32")) for o in outputs
        )
        node.keep(outputs)
        for index, (output, differentiable) in enumerate(zip(outputs, recorded, strict=True)):
            if not differentiable or id(output) in node._non_differentiable:
                continue
            if id(output) in node._dirty:
                check_overwritable(output, cls.__name__)
            elif id(output) in inputs:
                outputs[index] = output = wrap(output._array)  # returned as it is: the output is another Tensor
            output._edge = (node, index)
        return tuple(outputs) if isinstance(result, tuple) else outputs[0]


class _OnceNode(Node):
    """Stands where a once-differentiable backward would have to be differentiated."""

    def apply(self, gradients: list[Any], create_graph: bool) -> Sequence[Any]:
        raise GraphError("trying to differentiate twice a function that was marked with @once_differentiable")


def once_differentiable(backward: Callable[..., Any]) -> Callable[..., Any]:
    """Decorate a ``Function.backward`` that can't be differentiated itself; doing so raises GraphError."""

    @functools.wraps(backward)
    def wrapped(ctx: Any, *gradients: Any) -> Any:
        with no_grad():
            results = backward(ctx, *gradients)
        parents = [g._edge for g in gradients if isinstance(g, Tensor) and g._edge is not None]
        if not mode.recording or not parents:
            return results
        found = list(results) if isinstance(results, tuple) else [results]
        marked = []
        for result in found:
            if isinstance(result, Tensor):
                node = _OnceNode(parents, ((result._array.shape, result._array.dtype),))
                result = wrap(result._array, (node, 0))
            marked.append(result)
        return tuple(marked) if isinstance(results, tuple) else marked[0]

    return wrapped
