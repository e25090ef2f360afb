"""``@differentiable``: how an op is declared, checked, run and recorded; and the registry of all of them.

A declaration holds everything about one op, in one place::

    @differentiable(method=True)
    def scale(input: Array, factor: float) -> Array:
        \"\"\"Multiply by a number.\"\"\"
        return input * factor

    scale.gradients(input=lambda g, factor: scale(g, factor))
    scale.samples(lambda draw: dict(input=draw.array(draw.shape()), factor=2.5))
    scale.reference(lambda input, factor: np.vectorize(lambda x: x * factor)(input))

The forward speaks arrays. A gradient formula speaks ops and operators, so the same formula is the fast first
order on arrays, and records itself on Tensors (``create_graph=True``), which is the second order.
"""

from __future__ import annotations

import inspect
import itertools
import traceback
from collections.abc import Callable, Iterator, Mapping, Sequence
from types import MappingProxyType
from typing import Any, overload

import numpy as np

from tinygrad_cnn.autograd.declaration import REQUIRED, Declaration
from tinygrad_cnn.autograd.explain import translate
from tinygrad_cnn.autograd.graph import Edge, Metadata
from tinygrad_cnn.autograd.methods import (
    NUMPY_NAMES,
    inplace_method,
    op_method,
    tensor_method,
)
from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.autograd.record import VALUE, OpNode, Plan, Slot
from tinygrad_cnn.autograd.tensor import Tensor, as_array, track_view, wrap
from tinygrad_cnn.backend import as_floating, promote
from tinygrad_cnn.errors import (
    ArgumentTypeError,
    DTypeError,
    GraphError,
    IndexRangeError,
    ShapeError,
    TinygradError,
)

_registry: dict[str, Op] = {}
registry: Mapping[str, Op] = MappingProxyType(_registry)  # every declared op, by name


_FROM_NUMPY = (ValueError, TypeError, IndexError, OverflowError, AttributeError, MemoryError)


class Op(Declaration):
    """A registered operation. Called with Tensors it checks, runs and records; with arrays it just runs."""

    takes_numbers = False  # whether it may be called without any Tensor, as add and mul may

    def __init__(self, forward: Callable[..., Any], **settings: Any) -> None:
        super().__init__(forward, **settings)
        self._plans: dict[tuple[bool, ...], Plan] = {}
        simple = self._positional == len(self.parameters) and not (self.variadic or self.residuals)
        self._plain = len(self.parameters) if simple and not self._takes_recording else -1

    def gradients(self, **formulas: Callable[..., Any]) -> None:
        super().gradients(**formulas)
        self._plans.clear()

    # ------------------------------------------------------------------------------------- calling
    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        if len(args) == self._plain and type(args[0]) is np.ndarray and not kwargs:  # as in most gradients
            for arg in args:
                if isinstance(arg, Tensor):
                    break
            else:
                return self.forward(*args)
        values = self._bind(args, kwargs)
        tensors = self._unwrap(values)
        if tensors is None:
            if self.elementwise is not None and self._take_numbers(values):
                return self._run([None] * len(self.inputs), values)[0]
            try:
                result = self.call(self.forward, values, **({"recording": False} if self._takes_recording else {}))
            except TinygradError:
                raise
            except _FROM_NUMPY as error:
                raise self._explain(error, values) from error
            return result[0] if self.residuals else result
        return self._run(tensors, values)[0]

    def call(self, function: Callable[..., Any], values: Sequence[Any], **extra: Any) -> Any:
        """Call the forward, or a function with its signature, with the arguments in the signature's order."""
        count = self._positional
        if count == len(values):
            return function(*values, **extra)
        return function(*values[:count], **dict(zip(self.parameters[count:], values[count:], strict=True)), **extra)

    def with_residuals(self, *args: Any, **kwargs: Any) -> tuple[Any, ...]:
        """Call on Tensors and return the result with the residuals (indices, statistics) as Tensors."""
        values = self._bind(args, kwargs)
        tensors = self._unwrap(values)
        out, residuals = self._run(tensors or [None] * len(self.inputs), values, keep=True)
        return (out, *(wrap(np.asarray(r)) for r in residuals))

    def _bind(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> list[Any]:
        """The arguments in the order of the signature, with the defaults filled in."""
        given = len(args)
        if given > self._positional:
            raise ArgumentTypeError(
                f"{self.name}() takes {self._positional} positional arguments but {given} were given: "
                f"{self.name}({', '.join(self.parameters)})"
            )
        values = [*args, *self._defaults[given:]]
        for keyword, value in kwargs.items():
            index = self._index.get(keyword)
            if index is None:
                index = self._index.get(NUMPY_NAMES.get(keyword, ""))
            if index is None or index < given:
                problem = "got multiple values for" if index is not None else "got an unexpected keyword"
                raise ArgumentTypeError(
                    f"{self.name}() {problem} argument '{keyword}': {self.name}({', '.join(self.parameters)})"
                )
            values[index] = value
        for index in self._required:
            if index >= given and values[index] is REQUIRED:
                raise ArgumentTypeError(
                    f"{self.name}() missing argument '{self.parameters[index]}': "
                    f"{self.name}({', '.join(self.parameters)})"
                )
        return values

    def _unwrap(self, values: list[Any]) -> list[Tensor | None] | None:
        """Put the Tensors' arrays into ``values``; return the Tensors, one an input, or None if there are none."""
        if self.variadic:
            index = self._input_indices[0]
            items = values[index]
            if not isinstance(items, list | tuple):
                raise ArgumentTypeError(
                    f"{self.name}(): argument '{self.parameters[index]}' must be a list or tuple of Tensors, "
                    f"not {type(items).__name__}"
                )
            tensors = [item if isinstance(item, Tensor) else None for item in items]
            values[index] = [as_array(item) for item in items]
            return tensors if any(t is not None for t in tensors) else None
        tensors, found = [], False
        for index in self._input_indices:
            value = values[index]
            if isinstance(value, Tensor):
                values[index] = value._array
                tensors.append(value)
                found = True
            else:
                tensors.append(None)
        return tensors if found else None

    def _run(self, tensors: list[Tensor | None], values: list[Any], keep: bool = False) -> tuple[Any, tuple[Any, ...]]:
        """Check, run the forward, and record a node if an input needs a gradient."""
        edges: list[Edge | None] | None = None
        if mode.recording and self.is_differentiable:
            edges = [None if t is None else t._edge for t in tensors]
            if not any(edges):
                edges = None
        recording = {"recording": edges is not None or keep} if self._takes_recording else {}
        try:
            if self._check is not None:
                self.call(self._check, values)
            if self.elementwise is not None:
                self._promote(values)
            if self._positional == len(values):  # what ``call`` does, without a frame of its own
                result = mode.quietly(self.forward, *values, **recording)
            else:
                result = mode.quietly(self.call, self.forward, values, **recording)
        except TinygradError:
            raise
        except _FROM_NUMPY as error:
            raise self._explain(error, values) from error
        residuals: tuple[Any, ...] = ()
        if self.residuals:
            result, *rest = result
            residuals = tuple(rest)
        if self.outputs != 1:
            return self._wrap_many(tensors, values, edges, result, residuals), residuals
        if not isinstance(result, np.ndarray):
            result = np.asarray(result)
        out = wrap(result)
        if edges is not None and result.dtype.kind == "f":
            node = self._record(tensors, values, edges, ((result.shape, result.dtype),))
            node.fill(values, result, out._counter, residuals)
            out._edge = (node, 0)
        if self.view:
            self._track(out, tensors[0], values, None)
        return out, residuals

    def _wrap_many(
        self,
        tensors: list[Tensor | None],
        values: list[Any],
        edges: list[Edge | None] | None,
        results: Sequence[np.ndarray],
        residuals: tuple[Any, ...],
    ) -> tuple[Tensor, ...]:
        outs = tuple(wrap(np.asarray(result)) for result in results)
        if edges is not None and outs:
            node = self._record(tensors, values, edges, tuple((o._array.shape, o._array.dtype) for o in outs))
            node.fill(values, None, None, residuals)
            for index, out in enumerate(outs):
                out._edge = (node, index)
        if self.view:
            for index, out in enumerate(outs):
                self._track(out, tensors[0], values, index)
        return outs

    def _track(self, out: Tensor, source: Tensor | None, values: list[Any], output: int | None) -> None:
        if source is not None and (not out._array.size or np.may_share_memory(source._array, out._array)):
            track_view(out, source, self, values[1:], output)

    def _record(
        self, tensors: list[Tensor | None], values: list[Any], edges: list[Edge | None], metadata: tuple[Metadata, ...]
    ) -> OpNode:
        flags = (True,) if self.variadic else tuple([edge is not None for edge in edges])
        plan = self._plans.get(flags)
        if plan is None:
            self._plans[flags] = plan = self._make_plan(flags)
        name = self.grad_name if isinstance(self.grad_name, str) else self.grad_name(values[self._named_by])
        node = OpNode(self, plan, edges, metadata, name)
        counters = node.counters
        for i, tensor in enumerate(tensors):
            if tensor is None:
                counters.append(None)
                continue
            counters.append((tensor._counter, tensor._counter[0]))
            if tensor._inference:
                self._check_unsaved(plan, 0 if self.variadic else i)
        if mode.anomaly:
            node.trace = "".join(traceback.format_stack(limit=12)[:-2])
        return node

    def _check_unsaved(self, plan: Plan, input: int) -> None:
        """Raise GraphError if backward would need this input, which was made under ``inference_mode``."""
        if any(slot.source == VALUE and slot.position == self._input_indices[input] for slot in plan.slots):
            raise GraphError(
                f"{self.name}: Inference tensors cannot be saved for backward. To work around you can make a clone "
                "to get a normal tensor and use it in autograd."
            )

    def _take_numbers(self, values: list[Any]) -> bool:
        """Whether all inputs of an elementwise op are numbers, the first of which then becomes an array."""
        inputs = [values[i] for i in self._input_indices]
        if any(isinstance(x, np.ndarray | np.generic) for x in inputs):
            return False
        if not self.takes_numbers or not all(isinstance(x, bool | int | float) for x in inputs):
            raise ArgumentTypeError(
                f"{self.name}(): argument '{self.inputs[0]}' must be Tensor, not {type(inputs[0]).__name__}"
            )
        values[self._input_indices[0]] = np.asarray(inputs[0], promote(inputs))
        return True

    def _promote(self, values: list[Any]) -> None:
        """Bring the inputs of an elementwise op to one dtype, and integers to floating where it needs that."""
        first, mixed, numbers = None, False, False
        for index in self._promoted_indices:
            value = values[index]
            if isinstance(value, np.generic):  # NumPy's scalars count as Python's, as in PyTorch
                values[index] = value = value.item()
            if isinstance(value, np.ndarray):
                if first is None:
                    first = value.dtype
                elif value.dtype != first:
                    mixed = True
            elif isinstance(value, bool | int | float):
                numbers = True
            elif value is not None:
                raise ArgumentTypeError(
                    f"{self.name}(): argument '{self.parameters[index]}' must be Tensor or a number, "
                    f"not {type(value).__name__}"
                )
        if first is None or (not mixed and first.kind == "f"):
            return
        present = [values[i] for i in self._promoted_indices if values[i] is not None]
        dtype = promote(present) if mixed or numbers else first
        for index in self._promoted_indices:
            value = values[index]
            if isinstance(value, np.ndarray):
                value = value if value.dtype == dtype else value.astype(dtype)
                values[index] = as_floating(value, self.name) if self.elementwise == "float" else value
            elif type(value) is int and dtype.kind in "iu" and self.elementwise == "arithmetic":
                values[index] = np.int64(value).astype(dtype)  # wraps around, where NumPy would refuse

    def _explain(self, error: Exception, values: list[Any]) -> TinygradError:
        """NumPy's exception as one of ours, with the op's name and the shapes."""
        got = ", ".join(
            f"{name} {tuple(v.shape)}" for name, v in zip(self.parameters, values, strict=True) if hasattr(v, "shape")
        )
        if self.elementwise is not None and isinstance(error, ValueError):
            shapes = [values[i].shape for i in self._input_indices if isinstance(values[i], np.ndarray)]
            return ShapeError(f"{self.name}: {_broadcast_problem(shapes)}; got {got}")
        if isinstance(error, AttributeError):
            return translate(self.name, zip(self.parameters, values, strict=True), error)
        kind: type[TinygradError] = ShapeError
        if isinstance(error, IndexError):
            kind = IndexRangeError
        elif isinstance(error, TypeError):
            kind = ArgumentTypeError
        return kind(f"{self.name}: {error}; got {got}")

    # ------------------------------------------------------------------------------------ planning
    def _make_plan(self, flags: tuple[bool, ...]) -> Plan:
        slots: list[Slot] = []

        def positions(function: Callable[..., Any]) -> tuple[int, ...]:
            found = []
            for name in inspect.signature(function).parameters:
                if name == "g":
                    found.append(-1)
                    continue
                slot = self._slot(name)
                if slot not in slots:
                    slots.append(slot)
                found.append(slots.index(slot))
            return tuple(found)

        formulas: list[tuple[Callable[..., Any], tuple[int, ...]] | None] = []
        if self._composite is not None:  # create_graph runs it on the inputs themselves
            slots.extend(self._slot(name) for name in self.parameters)
        defined = self.formulas if self._fused is None else self._fused.inputs
        for name, needed in zip(self.inputs, flags, strict=True):
            if needed and name not in defined:
                raise DTypeError(
                    f"{self.name}: the derivative with respect to '{name}' is not defined; pass it as a Tensor that "
                    "doesn't require grad (detach() it)"
                )
        if self._fused is not None:
            known = {"g": -1, "needs": -2, **{slot.name: i for i, slot in enumerate(slots)}}
            for name in self._fused.names:
                if name not in known:
                    known[name] = len(slots)
                    slots.append(self._slot(name))
            return Plan(tuple(slots), (), flags, tuple(known[name] for name in self._fused.names))
        for name, needed in zip(self.inputs, flags, strict=True):
            formulas.append((self.formulas[name], positions(self.formulas[name])) if needed else None)
        return Plan(tuple(slots), tuple(formulas), flags)

    def __repr__(self) -> str:
        return f"<op {self.name}({', '.join(self.parameters)})>"

    def __reduce__(self) -> str | tuple[Any, ...]:
        return _find_op, (self.name,)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        return self  # an op held as a class attribute isn't bound


def _find_op(name: str) -> Op:
    return registry[name]


def _broadcast_problem(shapes: Sequence[tuple[int, ...]]) -> str:
    """PyTorch's sentence about the first dimension, from the right, in which two shapes differ."""
    for a, b in itertools.pairwise(shapes):
        for back in range(1, min(len(a), len(b)) + 1):
            if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
                return (
                    f"The size of tensor a ({a[-back]}) must match the size of tensor b ({b[-back]}) at "
                    f"non-singleton dimension {max(len(a), len(b)) - back}"
                )
    return "the shapes can't be broadcast to one"


# -------------------------------------------------------------------------------------------- declaring
@overload
def differentiable(function: Callable[..., Any], /) -> Op: ...
@overload
def differentiable(function: None = None, **settings: Any) -> Callable[[Callable[..., Any]], Op]: ...
def differentiable(  # type: ignore[misc]  # the settings above are those named here
    function: Callable[..., Any] | None = None,
    *,
    name: str | None = None,
    elementwise: str | None = None,
    method: bool | str | Sequence[str] = (),
    inplace: bool | str | Sequence[str] = (),
    reflected: str | None = None,
    view: bool = False,
    residuals: Sequence[str] = (),
    outputs: int | str = 1,
    grad_name: str | Callable[[Any], str] | None = None,
    has_gradient: bool = True,
) -> Any:
    """Register a function on arrays as an op. Declare its gradients, samples and reference next.

    elementwise: "arithmetic", "float" (integers become floating) or "compare": the inputs are broadcast and
        promoted, and gradients are summed back, without a word in the formulas.
    method: the names of the Tensor methods (True: the op's own name); inplace: those of the in-place forms;
        reflected: the operator with the operands exchanged, e.g. ``__rsub__``.
    view: the result may share the memory of the first input.
    residuals: what the forward returns after its result, for formulas to name (an argmax, statistics). A forward
        with a keyword ``recording`` is told whether anybody will.
    outputs: "many" for a tuple of differentiable results; ``g`` is then a tuple.
    grad_name: the name that ``grad_fn`` prints, or a function that makes it of the argument that it names.
    """

    def declare(forward: Callable[..., Any]) -> Op:
        op = Op(
            forward,
            name=name,
            differentiable=has_gradient,
            elementwise=elementwise,
            view=view,
            residuals=residuals,
            outputs=outputs,
            grad_name=grad_name,
        )
        existing = _registry.get(op.name)
        if existing is not None and existing.__module__ != op.__module__:
            raise ValueError(f"an op named {op.name!r} is already registered, by {existing.__module__}")
        _registry[op.name] = op
        for method_name in _names(method, op.name):
            op_method(op, method_name)
        for method_name in _names(inplace, op.name + "_"):
            inplace_method(op, method_name)
        if reflected is not None:
            tensor_method(lambda self, other: op(other, self), reflected)
        return op

    return declare if function is None else declare(function)


@overload
def operation(function: Callable[..., Any], /) -> Op: ...
@overload
def operation(function: None = None, **settings: Any) -> Callable[[Callable[..., Any]], Op]: ...
def operation(function: Callable[..., Any] | None = None, **settings: Any) -> Any:
    """Register a function on arrays that has no gradient: a comparison, an argmax, a rounding to indices."""
    declare = differentiable(has_gradient=False, **settings)
    return declare if function is None else declare(function)


def _names(wanted: bool | str | Sequence[str], own: str) -> Iterator[str]:
    if wanted is True:
        yield own
    elif isinstance(wanted, str):
        yield wanted
    elif wanted:
        yield from wanted
