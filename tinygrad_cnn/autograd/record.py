"""What a recorded op keeps for backward, and how it calls the gradient formulas."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np

from tinygrad_cnn.autograd import engine
from tinygrad_cnn.autograd.graph import Edge, Metadata, Node
from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.autograd.tensor import Tensor, as_tensor, wrap
from tinygrad_cnn.errors import InPlaceError

if TYPE_CHECKING:
    from tinygrad_cnn.autograd.op import Op

# What a slot of a node's saved values is taken from.
VALUE, SHAPE, OUT, RESIDUAL = range(4)
_NOTHING: list[Any] = []  # what every released node has saved


class Slot(NamedTuple):
    """One saved value: where it comes from, and the name that formulas call it by."""

    source: int
    position: int
    name: str
    input: int = -1  # which input it is, if it is one


class Plan(NamedTuple):
    """What a node has to save, and how to call the formulas, when a given set of inputs needs gradients."""

    slots: tuple[Slot, ...]
    formulas: tuple[tuple[Callable[..., Any], tuple[int, ...]] | None, ...]  # one an input; -1 stands for g
    needs: tuple[bool, ...]
    fused: tuple[int, ...] = ()  # what the fused rule takes: slots, -1 for g, -2 for which of its inputs need gradients


class FusedRule(NamedTuple):
    """One rule on raw arrays for the gradients of several inputs."""

    inputs: tuple[str, ...]
    rule: Callable[..., Any]
    names: tuple[str, ...]  # of the rule's parameters


class SavedHooks(Protocol):
    """What ``saved_tensors_hooks`` puts in force: how a saved tensor is packed and unpacked."""

    pack: Callable[[Tensor], Any]
    unpack: Callable[[Any], Tensor]


class _Packed(NamedTuple):
    """A saved array in the form that a pack hook gave it."""

    hooks: SavedHooks
    value: Any

    def unpack(self) -> np.ndarray:
        return self.hooks.unpack(self.value)._array


class OpNode(Node):
    """A recorded call of an op."""

    __slots__ = ("broadcasts", "counters", "keeps", "label", "op", "overwrites", "packed", "plan", "saved")

    def __init__(
        self, op: Op, plan: Plan, edges: Sequence[Edge | None], metadata: tuple[Metadata, ...], label: str
    ) -> None:
        super().__init__(edges, metadata)
        self.op = op
        self.plan = plan
        self.label = label
        self.broadcasts = op.elementwise is not None
        self.overwrites = op.overwrites_gradient
        self.keeps = False  # whether it saved an operand, a result or a residual, for release() to let go of
        self.packed = False  # whether hooks keep what is saved
        self.saved: list[Any] = []
        self.counters: list[tuple[list[int], int] | None] = []

    def fill(self, values: list[Any], out: Any, counter: list[int] | None, residuals: tuple[Any, ...]) -> None:
        """Save what the plan names; note the version of each saved Tensor, so that an overwrite is noticed."""
        versions: list[tuple[list[int], int] | None] = []
        saved = self.saved
        for source, index, _, input in self.plan.slots:
            version = None
            if source == VALUE:
                value = values[index]
                saved.append(value)
                if input >= 0:
                    self.keeps = self.keeps or value is not None
                    if self.op.variadic:
                        versions.extend(self.counters)
                    else:
                        version = self.counters[input]
            elif source == SHAPE:
                value = values[index]
                saved.append([v.shape for v in value] if self.op.variadic else getattr(value, "shape", ()))
            elif source == OUT:
                saved.append(out)
                self.keeps = True
                version = None if counter is None else (counter, counter[0])
            else:
                saved.append(residuals[index])
                self.keeps = True
            versions.append(version)
        self.counters = versions
        if mode.saved_hooks:
            self._pack(mode.saved_hooks[-1])

    def _pack(self, hooks: SavedHooks) -> None:
        """Let ``saved_tensors_hooks`` keep the saved arrays in its own way."""
        for position, (slot, value) in enumerate(zip(self.plan.slots, self.saved, strict=True)):
            if isinstance(value, np.ndarray) and slot.source != RESIDUAL:
                self.saved[position] = _Packed(hooks, hooks.pack(wrap(value)))
        self.packed = True
        self.counters = []  # from here on the hooks answer for the values

    def name(self) -> str:
        return self.label

    def saved_arrays(self) -> Sequence[Any]:
        return self.saved

    def release(self) -> None:
        if self.keeps:
            self.saved = self.counters = _NOTHING
            self.released = True

    def apply(self, gradients: list[Any], create_graph: bool) -> Sequence[Any]:
        for version in self.counters:
            if version is not None and version[0][0] != version[1]:
                raise InPlaceError(
                    f"{self.name()}: one of the variables needed for gradient computation has been modified by an "
                    f"inplace operation: it is at version {version[0][0]}; expected version {version[1]} instead. "
                    "Compute a new tensor instead of overwriting this one (x = x + 1, not x += 1 under no_grad)."
                )
        op, plan = self.op, self.plan
        g = gradients[0] if op.outputs == 1 else self._complete(gradients, create_graph)
        if self.packed:
            self.saved = [v.unpack() if isinstance(v, _Packed) else v for v in self.saved]
        saved = self._saved_tensors() if create_graph else self.saved
        if create_graph and op._composite is not None:
            return self._apply_composite(saved, g)
        if op._fused is not None:
            return self._apply_fused(op._fused, saved, g)
        results: list[Any] = []
        for formula in plan.formulas:
            if formula is None:
                results.append(None)
                continue
            function, positions = formula
            result = function(*[g if p < 0 else saved[p] for p in positions])
            if type(result) is np.ndarray and not create_graph:
                results.append(result)
            elif op.variadic:
                results.extend(_as_gradient(r, create_graph) for r in result)
            else:
                results.append(_as_gradient(result, create_graph))
        return results

    def _complete(self, gradients: list[Any], create_graph: bool) -> tuple[Any, ...]:
        """The gradients of several outputs, with zeros for those that nothing was computed from."""
        zeros = (None if g is not None else np.zeros(*m) for g, m in zip(gradients, self.metadata, strict=True))
        return tuple(
            g if z is None else (wrap(z) if create_graph else z) for g, z in zip(gradients, zeros, strict=True)
        )

    def _saved_tensors(self) -> list[Any]:
        """What was saved, with the inputs and the output as Tensors in their old places in the graph."""
        tensors, versions = [], iter(self.counters)
        for slot, value in zip(self.plan.slots, self.saved, strict=True):
            if slot.input >= 0:
                if self.op.variadic:
                    value = [_restored(v, e, next(versions, None)) for v, e in zip(value, self.edges, strict=True)]
                    next(versions, None)
                else:
                    edge, version = self.edges[slot.input], next(versions, None)
                    value = _restored(value, edge, version) if isinstance(value, np.ndarray) else value
            else:
                version = next(versions, None)
                value = _restored(value, (self, 0), version) if slot.source == OUT else value
            tensors.append(value)
        return tensors

    def _apply_fused(self, fused: FusedRule, saved: list[Any], g: Any) -> list[Any]:
        op, needs = self.op, self.plan.needs
        wanted = needs if fused.inputs == op.inputs else tuple(needs[op.inputs.index(name)] for name in fused.inputs)
        found = fused.rule(*[saved[p] if p >= 0 else g if p == -1 else wanted for p in self.plan.fused])
        by_name = dict(zip(fused.inputs, found, strict=True))
        results = [by_name.get(name) for name in op.inputs]
        return [_as_gradient(r, False) if needed else None for r, needed in zip(results, needs, strict=True)]

    def _apply_composite(self, saved: list[Any], g: Any) -> list[Any]:
        """Second order of a fused rule: differentiate the same mathematics in simple ops."""
        assert self.op._composite is not None
        arguments = saved[: len(self.op.parameters)]
        inputs = [saved[i] for i in self.op._input_indices]
        wanted = [x for x, needed in zip(inputs, self.plan.needs, strict=True) if needed]
        aliases = {id(x): x.view_as(x) for x in wanted}  # the derivative stops here, not at their parents
        out = self.op.call(self.op._composite, [aliases.get(id(a), a) for a in arguments])
        found = iter(engine.grad(out, [aliases[id(x)] for x in wanted], g, create_graph=True, allow_unused=True))
        return [next(found) if needed else None for needed in self.plan.needs]


def _restored(array: np.ndarray, edge: Edge | None, version: tuple[list[int], int] | None) -> Tensor:
    """A saved array as a Tensor in its old place in the graph; that it is overwritten is noticed from here on too."""
    tensor = wrap(array, edge)
    if version is not None:
        tensor._counter = version[0]
    return tensor


def _as_gradient(result: Any, create_graph: bool) -> Any:
    """A formula's result in the form that travels: an array, or under ``create_graph`` a Tensor."""
    if create_graph:
        return None if result is None else as_tensor(result)
    if isinstance(result, np.ndarray) or result is None:
        return result
    return result._array if isinstance(result, Tensor) else np.asarray(result)
