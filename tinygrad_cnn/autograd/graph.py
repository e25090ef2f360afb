"""The graph: its nodes and their hooks. How backward visits them is ``autograd/engine.py``.

A Tensor points at the edge ``(node, output index)`` that made it, a node at its parents' edges. A node never
holds its output, and a leaf's node holds its Tensor weakly: a forgotten graph dies by reference count alone.

The gradients that travel are plain arrays, or, under ``create_graph=True``, Tensors, which record themselves.
"""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_cnn.autograd.mode import saved_tensors_hooks
from tinygrad_cnn.kernels.elementwise import fill

if TYPE_CHECKING:
    from tinygrad_cnn.autograd.tensor import Tensor

__all__ = ["Node", "saved_tensors_hooks"]

Gradient = Any  # an array, a Tensor (create_graph), or None: no gradient arrived
Edge = tuple["Node", int]
Metadata = tuple[tuple[int, ...], np.dtype]  # shape and dtype of one output


class Node:
    """One recorded operation: its parents, what its gradient formulas need, the form of its outputs."""

    __slots__ = ("__weakref__", "edges", "hooks", "metadata", "released", "retained", "trace")

    broadcasts = False  # whether an input may be smaller than the gradient that comes back for it
    overwrites = False  # whether the formula takes the upstream gradient's memory for its result, if it may
    gives_fresh = True  # whether returned gradients share memory with nothing but what the node saved

    def __init__(self, edges: Sequence[Edge | None], metadata: tuple[Metadata, ...]) -> None:
        self.edges = edges
        self.metadata = metadata
        self.hooks: dict[int, dict[int, Callable[[Any], Any]]] | None = None  # by output, then by handle
        self.retained: dict[int, weakref.ref[Tensor]] | None = None  # outputs that keep their gradient
        self.released = False
        self.trace: str | None = None  # where it was recorded, under anomaly detection

    def apply(self, gradients: list[Gradient], create_graph: bool) -> Sequence[Gradient]:
        """The gradients of the inputs, one an edge, from those of the outputs."""
        raise NotImplementedError  # each kind of node has its own

    def saved_arrays(self) -> Sequence[Any]:
        """What the node keeps alive: a gradient that is one of these is not fresh."""
        return ()

    def release(self) -> None:
        """Let go of what was saved. A node that saved nothing can be passed again, as in PyTorch."""

    def name(self) -> str:
        """The name that ``grad_fn`` prints."""
        return type(self).__name__

    @property
    def next_functions(self) -> tuple[tuple[Node | None, int], ...]:
        """The edges to the parents; ``(None, 0)`` for an input that needs no gradient."""
        return tuple((None, 0) if edge is None else edge for edge in self.edges)

    def register_prehook(self, hook: Callable[[tuple[Any, ...]], Any]) -> HookHandle:
        """Call ``hook(gradient)`` before this node runs, as a Tensor's hook does (single output)."""
        return add_hook(self, 0, lambda gradient: _only(hook((gradient,))))

    def __repr__(self) -> str:
        return f"<{self.name()}>"


def _only(result: Any) -> Any:
    return result[0] if isinstance(result, tuple) else result


class LeafNode(Node):
    """The end of the graph at a leaf: adds what arrives to the Tensor's ``grad``."""

    __slots__ = ("after_hooks", "tensor")

    def __init__(self, tensor: Tensor) -> None:
        super().__init__((), ((tensor._array.shape, tensor._array.dtype),))
        self.tensor = weakref.ref(tensor)
        self.after_hooks: dict[int, Callable[[Any], Any]] | None = None

    def name(self) -> str:
        return "AccumulateGrad"

    @property
    def variable(self) -> Tensor | None:
        """The leaf, or None when it is gone."""
        return self.tensor()

    def accumulate(self, gradient: Gradient, owned: bool) -> None:
        """Add ``gradient`` to the leaf's ``grad``; ``owned`` says that its memory may be kept."""
        tensor = self.tensor()
        if tensor is None or tensor._edge is None or tensor._edge[0] is not self:
            return  # it is gone, or no leaf that requires grad any more
        accumulate_grad(tensor, gradient, owned)
        for hook in tuple((self.after_hooks or {}).values()):
            hook(tensor)


def accumulate_grad(tensor: Tensor, gradient: Gradient, owned: bool) -> None:
    """Add ``gradient`` to ``tensor.grad``."""
    held = tensor._grad
    if not isinstance(gradient, np.ndarray):  # create_graph: stays differentiable
        tensor._grad = gradient.clone() if held is None else held + gradient
    elif held is None:
        if not gradient.flags.c_contiguous and gradient.strides != tensor._array.strides:
            gradient, owned = gradient.copy(order="C"), True  # optimisers like memory of one order
        tensor._grad = tensor._wrap(own(gradient, owned))
    elif tensor.is_leaf:
        fill(held._array, np.add, held._array, gradient, at_once=True)
        held._counter[0] += 1
    else:
        tensor._grad = tensor._wrap(np.asarray(held._array + gradient))


def own(gradient: Gradient, owned: bool) -> Gradient:
    """``gradient`` in memory of its own, to be handed out."""
    return gradient if owned or not isinstance(gradient, np.ndarray) else gradient.copy(order="K")


class HookHandle:
    """What ``register_hook`` returns: ``remove()`` takes the hook away; also a context manager."""

    _ids = itertools.count()

    def __init__(self, hooks: dict[int, Any]) -> None:
        self.hooks = hooks
        self.id = next(HookHandle._ids)

    def remove(self) -> None:
        """Take the hook away. Doing so twice is fine."""
        self.hooks.pop(self.id, None)

    def __enter__(self) -> HookHandle:
        return self

    def __exit__(self, *exc: object) -> None:
        self.remove()


def add_hook(node: Node, index: int, hook: Callable[[Any], Any]) -> HookHandle:
    """Call ``hook(gradient)`` on the complete gradient of one output; what it returns, if anything, replaces it."""
    if node.hooks is None:
        node.hooks = {}
    hooks = node.hooks.setdefault(index, {})
    handle = HookHandle(hooks)
    hooks[handle.id] = hook
    return handle
