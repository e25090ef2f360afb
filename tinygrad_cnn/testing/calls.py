"""An op on one set of arguments: its results, its gradients as the declaration gives them, its numerical Jacobian."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd import enable_grad, no_grad
from tinygrad_cnn.autograd.engine import sum_to
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.record import OUT, SHAPE, VALUE, OpNode
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.testing.numerical import Differences, differences, differences_along, join

Arguments = dict[str, Any]
EPS = 1e-6  # the step of central differences


class Place(NamedTuple):
    """An input that has a gradient: a parameter's name and, in a sequence of arrays, a position."""

    name: str
    position: int | None = None

    def __str__(self) -> str:
        return self.name if self.position is None else f"{self.name}[{self.position}]"

    def of(self, arguments: Mapping[str, Any]) -> Any:
        """The array there."""
        value = arguments[self.name]
        return value if self.position is None else value[self.position]

    def put(self, arguments: Mapping[str, Any], array: Any) -> Arguments:
        """The arguments with another array there."""
        if self.position is None:
            return {**arguments, self.name: array}
        items = list(arguments[self.name])
        items[self.position] = array
        return {**arguments, self.name: items}


def is_floating(value: Any) -> bool:
    """Whether it is an array of floating-point numbers."""
    return isinstance(value, np.ndarray) and value.dtype.kind == "f"


def map_arrays(op: Op, arguments: Mapping[str, Any], change: Callable[[np.ndarray], Any]) -> Arguments:
    """The arguments with ``change`` applied to each input array, those in a sequence included."""
    changed = dict(arguments)
    for name in op.inputs:
        value = arguments.get(name)
        if isinstance(value, np.ndarray):
            changed[name] = change(value)
        elif isinstance(value, list | tuple):
            changed[name] = [change(v) if isinstance(v, np.ndarray) else v for v in value]
    return changed


def places(op: Op, arguments: Mapping[str, Any]) -> list[Place]:
    """Every input array of the call."""
    found = []
    for name in op.inputs:
        value = arguments.get(name)
        if isinstance(value, np.ndarray):
            found.append(Place(name))
        elif isinstance(value, list | tuple):
            found += [Place(name, i) for i, v in enumerate(value) if isinstance(v, np.ndarray)]
    return found


def differentiable_places(op: Op, arguments: Mapping[str, Any]) -> list[Place]:
    """The input arrays of this call that hold floating-point numbers and aren't declared to be constants."""
    if not op.is_differentiable:
        return []
    return [p for p in places(op, arguments) if is_floating(p.of(arguments)) and p.name not in op.exemptions]


def as_arrays(result: Any) -> list[np.ndarray]:
    """The result, or the results in a tuple or list, as arrays."""
    results = result if isinstance(result, tuple | list) else [result]
    return [np.asarray(r._array if isinstance(r, Tensor) else r) for r in results]


def flat(arrays: Sequence[np.ndarray]) -> np.ndarray:
    """Every element of the arrays of floating-point numbers, in one array."""
    return np.concatenate([a.reshape(-1) for a in arrays if a.dtype.kind in "fc"] or [np.empty(0)])


def run(op: Op, arguments: Mapping[str, Any], function: Callable[..., Any] | None = None) -> list[np.ndarray]:
    """The results on plain arrays: of the op's forward, or of a function with its signature.

    For arguments that are left out, the function's own defaults are taken if it has any, so that they are compared.
    """
    with np.errstate(all="ignore"), no_grad():
        values = op._bind((), dict(arguments))
        if function is not None:
            for name, default in defaults(function).items():
                if name in op.parameters and name not in arguments:
                    values[op.parameters.index(name)] = default
            return as_arrays(op.call(function, values))
        result = op.call(op.forward, values, **({"recording": False} if op._takes_recording else {}))
        return as_arrays(result[0] if op.residuals else result)


def defaults(function: Callable[..., Any]) -> dict[str, Any]:
    """The defaults of a function's arguments, or of the one that ``np.vectorize`` was given."""
    try:
        parameters = inspect.signature(getattr(function, "pyfunc", function)).parameters.values()
    except ValueError:  # some of Python's own functions tell nothing
        return {}
    return {p.name: p.default for p in parameters if p.default is not p.empty}


def draw_upstream(outputs: Sequence[np.ndarray], seed: int = 0) -> list[np.ndarray]:
    """A random gradient for each result, of short decimals away from 0."""
    return [array.copy() for array in _decimals(tuple([o.shape for o in outputs]), seed)]


@functools.lru_cache(4096)
def _decimals(shapes: tuple[tuple[int, ...], ...], seed: int) -> list[np.ndarray]:
    rng = np.random.default_rng(seed)
    signs = [rng.integers(0, 2, shape) * 2 - 1 for shape in shapes]
    return [
        np.asarray(np.round(rng.uniform(0.5, 1.5, shape), 2) * sign) for shape, sign in zip(shapes, signs, strict=True)
    ]


# --------------------------------------------------------------------------------------------- analytical
class Recorded:
    """A recorded call. ``gradients`` are what the formulas return, before the engine fits them to the inputs."""

    def __init__(self, op: Op, arguments: Mapping[str, Any], leaves: Sequence[Place] | None = None) -> None:
        self.op, self.arguments = op, arguments
        self.places = differentiable_places(op, arguments) if leaves is None else list(leaves)
        tensors: Arguments = map_arrays(op, arguments, wrap)
        self.leaves: list[Tensor] = []
        for place in self.places:
            leaf = wrap(place.of(arguments)).requires_grad_()
            self.leaves.append(leaf)
            tensors = place.put(tensors, leaf)
        with enable_grad():
            result = op(**tensors)
        self.outputs: list[Tensor] = list(result) if isinstance(result, tuple | list) else [result]
        self.arrays = [o._array for o in self.outputs]

    @property
    def node(self) -> OpNode | None:
        """The node that was recorded, if any."""
        edges = [o._edge for o in self.outputs if o._edge is not None]
        return edges[0][0] if edges else None  # type: ignore[return-value]  # a call of an op records an OpNode

    def gradients(self, upstream: Sequence[Any], create_graph: bool = False) -> list[Any]:
        """One gradient for each of ``places``; None where the formula gives none."""
        node = self.node
        if node is None:
            return [None] * len(self.places)
        with np.errstate(all="ignore"), enable_grad() if create_graph else no_grad():
            found = iter(node.apply(list(upstream), create_graph))
            by_place = dict(zip(places(self.op, self.arguments), self._present(found), strict=False))
        return [by_place.get(place) for place in self.places]

    def _present(self, found: Iterator[Any]) -> Iterator[Any]:
        """The gradients of the inputs that are arrays: a node has one for each input."""
        if self.op.variadic:
            yield from found
            return
        for name, gradient in zip(self.op.inputs, found, strict=True):
            if isinstance(self.arguments.get(name), np.ndarray):
                yield gradient


def fitted(op: Op, gradient: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A formula's result as the engine hands it on: zeros for None, and for elementwise ops summed to ``shape``."""
    if gradient is None:
        return np.zeros(shape)
    array = np.asarray(gradient._array if isinstance(gradient, Tensor) else gradient)
    if array.shape != shape and op.elementwise is not None:
        wide = np.broadcast_shapes(array.shape, shape) if array.ndim >= len(shape) else None
        if wide == array.shape:
            return np.asarray(sum_to(array, shape))
    return array


def gradients(op: Op, arguments: Mapping[str, Any], upstream: Sequence[np.ndarray]) -> list[np.ndarray]:
    """The op's gradients of all its differentiable inputs."""
    recorded = Recorded(op, arguments)
    found = recorded.gradients(upstream)
    return [fitted(op, g, p.of(arguments).shape) for g, p in zip(found, recorded.places, strict=True)]


def formula_result(
    recorded: Recorded, place: Place, upstream: Sequence[np.ndarray], changes: Mapping[str, Any]
) -> np.ndarray | None:
    """What the formula for ``place`` returns with some of the values that it names replaced; None without a formula."""
    op, node = recorded.op, recorded.node
    formula = op.formulas.get(place.name)
    if formula is None or node is None or place.position is not None:
        return None
    known: Arguments = {"g": changes.get("g", upstream[0] if op.outputs == 1 else tuple(upstream))}
    for slot, value in zip(node.plan.slots, node.saved, strict=True):
        if slot.source == SHAPE:
            base = changes.get(slot.name.removesuffix("_shape"))
            known[slot.name] = value if base is None else base.shape
        elif slot.source in (VALUE, OUT):
            known[slot.name] = changes.get(slot.name, value)
        else:
            known[slot.name] = value
    with np.errstate(all="ignore"), no_grad():
        result = formula(*[known[name] for name in inspect.signature(formula).parameters])
    return None if result is None else fitted(op, result, place.of(recorded.arguments).shape)


# ---------------------------------------------------------------------------------------------- numerical
class Slopes:
    """The numerical derivatives of an op's forward, or of a function with its signature, at one set of arguments."""

    def __init__(
        self, op: Op, arguments: Mapping[str, Any], inputs: Sequence[Place], function: Callable[..., Any] | None = None
    ) -> None:
        self.inputs = list(inputs)
        self.arrays = [p.of(arguments).astype(np.float64) for p in self.inputs]  # copies: they are moved in place
        moved = dict(arguments)
        for place, array in zip(self.inputs, self.arrays, strict=True):
            moved = place.put(moved, array)
        self.arguments = moved
        self.evaluate: Callable[[], np.ndarray] = lambda: flat(run(op, moved, function)).astype(np.float64)
        self.base = self.evaluate()

    @property
    def size(self) -> int:
        """The number of elements that can move."""
        return sum(a.size for a in self.arrays)

    def each(self, eps: float = EPS) -> Differences:
        """Every element moved alone: the Jacobian, a row an input element, a column an output element."""
        return join([differences(self.evaluate, a, eps, self.base) for a in self.arrays], self.base)

    def along(self, direction: Sequence[np.ndarray], eps: float = EPS) -> Differences:
        """All elements moved at once: one row."""
        return differences_along(self.evaluate, self.arrays, direction, eps, self.base)

    def split(self, rows: np.ndarray) -> list[np.ndarray]:
        """A flat array over the input elements as one array an input."""
        parts = np.split(rows, np.cumsum([a.size for a in self.arrays])[:-1])
        return [part.reshape(a.shape) for part, a in zip(parts, self.arrays, strict=True)]


def numerical_gradient(
    op: Op,
    arguments: Mapping[str, Any],
    place: Place,
    upstream: np.ndarray,
    function: Callable[..., Any] | None = None,
) -> np.ndarray:
    """The numerical gradient of one input, for a flat upstream."""
    slopes = Slopes(op, arguments, [place], function)
    return slopes.split(slopes.each().central @ upstream)[0]
