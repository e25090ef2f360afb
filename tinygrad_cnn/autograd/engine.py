"""The engine: the order in which backward visits the graph's nodes, ``backward()`` and ``grad()``."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.graph import Edge, Gradient, LeafNode, Node, accumulate_grad, own
from tinygrad_cnn.autograd.mode import mode
from tinygrad_cnn.errors import ArgumentTypeError, GraphError, GraphFreedError, ShapeError
from tinygrad_cnn.kernels import spare
from tinygrad_cnn.kernels.elementwise import fill, flat

__all__ = ["backward", "grad"]

_NOTHING_LENT = contextlib.nullcontext()


def run_backward(
    roots: Sequence[tuple[Edge, Gradient]],
    *,
    retain_graph: bool,
    create_graph: bool,
    wanted: Sequence[Edge] | None = None,
) -> dict[Edge, Gradient]:
    """Carry the roots' gradients down the graph, each node once, after all of its consumers.

    Without ``wanted`` the leaves accumulate. With it, only what leads to those edges is visited, and their
    gradients are returned instead.
    """
    pending, needed = _survey([edge[0] for edge, _ in roots], wanted)
    captured: dict[Edge, Gradient] = {}
    wanted_edges = set(wanted or ())
    buffers: dict[Node, list[Gradient]] = {}
    owned: set[Edge] = set()  # edges whose buffer is a sum of ours, or a fresh array: it may be added to
    for edge, gradient in roots:
        _add(buffers, owned, edge, gradient, fresh=False)

    before = mode.recording
    mode.recording = create_graph
    try:
        with np.errstate(all="ignore"):
            ready = [node for node in buffers if pending[node] == 0]
            while ready:
                node = ready.pop()
                gradients = buffers.pop(node, None)
                if gradients is not None:
                    if node.hooks is not None or node.retained is not None:
                        _run_hooks(node, gradients, owned)
                    if wanted is not None:
                        for index in range(len(gradients)):
                            place = (node, index)
                            if place in wanted_edges:
                                captured[place] = own(gradients[index], place in owned)
                                owned.discard(place)
                    if isinstance(node, LeafNode):
                        if wanted is None and gradients[0] is not None:
                            node.accumulate(gradients[0], (node, 0) in owned)
                        continue
                edges = node.edges
                runs = gradients is not None and (needed is None or _leads_on(edges, needed))
                if gradients is None or not runs:
                    results: Sequence[Gradient] = (None,) * len(edges)
                else:
                    lent = node.overwrites and (node, 0) in owned
                    with spare.lend(gradients[0]) if lent else _NOTHING_LENT:
                        results = node.apply(gradients, create_graph)
                    if lent:
                        gradients = []  # a result in the memory of what was lent is nobody else's either
                    if mode.anomaly:
                        _check_anomaly(node, results)
                for link, result in zip(edges, results, strict=True):
                    if link is None:
                        continue
                    parent = link[0]
                    if needed is not None and parent not in needed:
                        continue
                    if result is not None:
                        fresh = False
                        shape, dtype = parent.metadata[link[1]]
                        if result.shape != shape or _dtype_of(result) != dtype:
                            result, fresh = _fit(result, shape, dtype, node), node.gives_fresh
                        elif (
                            not parent.edges
                            or link in wanted_edges
                            or parent in buffers
                            or (parent.overwrites and math.prod(shape) > spare.LEAST)
                        ):
                            # It may be kept, added to or overwritten: is it nobody else's?
                            fresh = node.gives_fresh and _is_fresh(result, node, gradients or (), results)
                        _add(buffers, owned, link, result, fresh)
                    pending[parent] -= 1
                    if pending[parent] == 0:
                        ready.append(parent)
                if runs and not retain_graph:
                    node.release()
    finally:
        mode.recording = before
    return captured


def _survey(roots: Sequence[Node], wanted: Sequence[Edge] | None) -> tuple[dict[Node, int], set[Node] | None]:
    """Count each reachable node's consumers, and find the nodes that lead to the wanted edges."""
    pending: dict[Node, int] = dict.fromkeys(roots, 0)
    consumers: dict[Node, list[Node]] = {}
    stack = list(pending)
    while stack:
        node = stack.pop()
        if node.released and wanted is None:
            raise _freed(node)
        for edge in node.edges:
            if edge is None:
                continue
            parent = edge[0]
            if parent in pending:
                pending[parent] += 1
            else:
                pending[parent] = 1
                stack.append(parent)
            if wanted is not None:
                consumers.setdefault(parent, []).append(node)
    if wanted is None:
        return pending, None
    needed: set[Node] = set()
    stack = [edge[0] for edge in wanted if edge[0] in pending]
    while stack:
        node = stack.pop()
        if node not in needed:
            needed.add(node)
            stack.extend(consumers.get(node, ()))
    for node in needed:
        if node.released and _leads_on(node.edges, needed):
            raise _freed(node)
    for node in pending:  # only needed consumers will report
        pending[node] = 0
    for node in needed:
        for edge in node.edges:
            if edge is not None and edge[0] in needed:
                pending[edge[0]] += 1
    return pending, needed


def _leads_on(edges: Sequence[Edge | None], needed: set[Node]) -> bool:
    return any(edge is not None and edge[0] in needed for edge in edges)


def _freed(node: Node) -> GraphFreedError:
    return GraphFreedError(
        f"{node.name()}: Trying to backward through the graph a second time: what backward needs was released "
        "by the first pass. Pass retain_graph=True to the first backward(), or compute the loss anew."
    )


def _add(buffers: dict[Node, list[Gradient]], owned: set[Edge], edge: Edge, gradient: Gradient, fresh: bool) -> None:
    """Add a gradient to what has arrived at ``edge`` so far."""
    node, index = edge
    held = buffers.get(node)
    if held is None:
        buffers[node] = held = [None] * len(node.metadata)
    mine = held[index]
    if mine is None:
        held[index] = gradient
        if fresh and isinstance(gradient, np.ndarray) and flat([gradient]):  # else a leaf gets a copy
            owned.add(edge)
    elif isinstance(mine, np.ndarray):
        target = mine if edge in owned else gradient if fresh else np.empty_like(mine)
        held[index] = fill(target, np.add, mine, gradient, at_once=True)
        owned.add(edge)
    else:
        held[index] = mine + gradient


def _dtype_of(gradient: Gradient) -> np.dtype:
    return gradient.dtype if isinstance(gradient, np.ndarray) else gradient._array.dtype


def _fit(gradient: Gradient, shape: tuple[int, ...], dtype: np.dtype, node: Node) -> Gradient:
    """Undo broadcasting and promotion: the gradient gets the shape and dtype of the Tensor that it is for."""
    if not hasattr(gradient, "reshape"):
        raise ArgumentTypeError(
            f"{node.name()}: a gradient must be an array or a Tensor, got {type(gradient).__name__}"
        )
    if tuple(gradient.shape) != shape:
        if not node.broadcasts or not _expands_to(shape, tuple(gradient.shape)):
            raise ShapeError(
                f"{node.name()}: returned an invalid gradient: its shape is {tuple(gradient.shape)}, expected "
                f"{shape}, the shape of the input that it is for"
            )
        gradient = sum_to(gradient, shape)
    if _dtype_of(gradient) != dtype:
        gradient = gradient.astype(dtype) if isinstance(gradient, np.ndarray) else gradient.to(dtype)
    return gradient


def _expands_to(shape: tuple[int, ...], wide: tuple[int, ...]) -> bool:
    """Whether broadcasting can make ``wide`` of ``shape``."""
    pairs = zip(reversed(shape), reversed(wide), strict=False)
    return len(shape) <= len(wide) and all(side in (1, other) for side, other in pairs)


def sum_to(gradient: Gradient, shape: tuple[int, ...]) -> Gradient:
    """The adjoint of broadcasting ``shape`` to the gradient's shape: sum over what was repeated."""
    added = len(gradient.shape) - len(shape)
    axes = tuple(
        axis for axis, side in enumerate(gradient.shape) if axis < added or (shape[axis - added] == 1 and side != 1)
    )
    summed = (gradient.sum(axes) if axes else gradient).reshape(shape)
    return np.asarray(summed) if isinstance(summed, np.generic) else summed


def _is_fresh(result: Gradient, node: Node, gradients: Sequence[Gradient], results: Sequence[Gradient]) -> bool:
    """Whether the memory of ``result`` belongs to it alone, whole, so that it may be kept, or added to."""
    if not isinstance(result, np.ndarray) or not result.flags.writeable:
        return False
    owner = result if result.base is None else result.base
    if not isinstance(owner, np.ndarray) or owner.base is not None or owner.size != result.size:
        return False  # of windows that overlap, the base is not an array
    copies = 0
    for others in (gradients, node.saved_arrays(), results):
        for other in others:
            if other is result and others is results:
                copies += 1
            elif isinstance(other, np.ndarray) and (other is owner or other.base is owner):
                return False
    return copies == 1


def _run_hooks(node: Node, gradients: list[Gradient], owned: set[Edge]) -> None:
    """Run the hooks of the outputs whose gradient is complete; then keep it where ``retain_grad`` asked."""
    from tinygrad_cnn.autograd.tensor import Tensor, as_array, wrap

    for index, gradient in enumerate(gradients):
        if gradient is None:
            continue
        for hook in tuple((node.hooks or {}).get(index, {}).values()):
            shown = wrap(gradient) if isinstance(gradient, np.ndarray) else gradient
            replaced = hook(shown)
            owned.discard((node, index))  # the hook may have kept what it was shown
            if replaced is not None:
                if not isinstance(replaced, Tensor):
                    raise ArgumentTypeError(
                        f"{node.name()}: a hook must return a Tensor or None, got {type(replaced).__name__}"
                    )
                gradient = as_array(replaced) if isinstance(gradient, np.ndarray) else replaced
                if tuple(gradient.shape) != node.metadata[index][0]:
                    raise ShapeError(
                        f"{node.name()}: a hook returned a gradient of shape {tuple(gradient.shape)}, "
                        f"expected {node.metadata[index][0]}"
                    )
        gradients[index] = gradient
        keeper = (node.retained or {}).get(index)
        tensor = keeper() if keeper is not None else None
        if tensor is not None:
            accumulate_grad(tensor, gradient, owned=False)


def _check_anomaly(node: Node, results: Sequence[Gradient]) -> None:
    """Under anomaly detection: name the op whose gradient has a NaN, and where it was recorded."""
    if not mode.anomaly_check_nan:
        return
    for position, result in enumerate(results):
        if result is None:
            continue
        array = result if isinstance(result, np.ndarray) else result._array
        if np.isnan(array).any():
            where = f" Recorded at:\n{node.trace}" if node.trace else ""
            raise GraphError(f"Function '{node.name()}' returned nan values in its {position}th output.{where}")


# ------------------------------------------------------------------------------------------ public entry
def _as_sequence(value: Any) -> list[Any]:
    return list(value) if isinstance(value, tuple | list) else [value]


def _roots(tensors: Sequence[Any], gradients: Sequence[Any], create_graph: bool) -> list[tuple[Edge, Gradient]]:
    """Each tensor's edge with the gradient to start from: ones for a scalar, else what was given, checked."""
    from tinygrad_cnn.autograd.tensor import Tensor, wrap

    if len(gradients) != len(tensors):
        raise GraphError(f"backward: got {len(tensors)} tensors and {len(gradients)} gradients")
    roots = []
    for tensor, gradient in zip(tensors, gradients, strict=True):
        if not isinstance(tensor, Tensor):
            raise ArgumentTypeError(f"backward: expected a Tensor, got {type(tensor).__name__}")
        if tensor._edge is None:
            raise GraphError(
                "backward: element 0 of tensors does not require grad and does not have a grad_fn: nothing that led to "
                "it requires a gradient, or it was computed under no_grad() or detached. Set requires_grad=True "
                "on an input or a parameter, and compute it with recording on."
            )
        if gradient is None:
            if tensor._array.size != 1:
                raise GraphError(
                    "backward: grad can be implicitly created only for scalar outputs, got shape "
                    f"{tensor._array.shape}; reduce it first, e.g. with .sum() or .mean(), or pass gradient="
                )
            gradient = wrap(np.ones(tensor._array.shape, tensor._array.dtype))
        elif not isinstance(gradient, Tensor):
            raise ArgumentTypeError(f"backward: gradient expected a Tensor or None, got {type(gradient).__name__}")
        elif gradient._array.shape != tensor._array.shape:
            raise ShapeError(
                f"backward: Mismatch in shape: the gradient has shape {gradient._array.shape}, "
                f"the tensor {tensor._array.shape}; they must be equal"
            )
        if gradient._array.dtype != tensor._array.dtype:
            gradient = gradient.to(tensor._array.dtype)
        roots.append((tensor._edge, gradient if create_graph else gradient._array))
    return roots


def backward(
    tensors: Any,
    grad_tensors: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    inputs: Any = None,
) -> None:
    """Add the gradients of ``tensors`` to the ``grad`` of the leaves, or of ``inputs`` only.

    Raises GraphError for a tensor without a graph or a non-scalar without gradient, GraphFreedError for a
    second pass over a graph that was not retained.
    """
    tensors = _as_sequence(tensors)
    gradients = [None] * len(tensors) if grad_tensors is None else _as_sequence(grad_tensors)
    roots = _roots(tensors, gradients, create_graph)
    retain = create_graph if retain_graph is None else retain_graph
    if inputs is None:
        run_backward(roots, retain_graph=retain, create_graph=create_graph)
        return
    inputs = _as_sequence(inputs)
    if not inputs:
        raise GraphError("backward: inputs is empty; leave it out to reach every leaf")
    edges = _edges_of(inputs, "backward")
    captured = run_backward(roots, retain_graph=retain, create_graph=create_graph, wanted=edges)
    for tensor, edge in zip(inputs, edges, strict=True):
        if captured.get(edge) is None:
            continue
        if isinstance(edge[0], LeafNode):
            edge[0].accumulate(captured[edge], owned=False)
        else:
            accumulate_grad(tensor, captured[edge], owned=False)


def grad(
    outputs: Any,
    inputs: Any,
    grad_outputs: Any = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    only_inputs: bool = True,
    allow_unused: bool | None = None,
    is_grads_batched: bool = False,
    materialize_grads: bool = False,
) -> tuple[Any, ...]:
    """The gradients of ``outputs`` with respect to ``inputs``, returned; no ``grad`` is touched.

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor(3.0, requires_grad=True)
    >>> (slope,) = grad(x**2, x, create_graph=True)
    >>> slope.item(), grad(slope, x)[0].item()
    (6.0, 2.0)
    """
    from tinygrad_cnn.autograd.tensor import wrap

    if is_grads_batched:
        raise GraphError("grad: is_grads_batched=True is not supported; call grad() once for each gradient")
    if allow_unused is False and materialize_grads:
        raise GraphError("grad: allow_unused=False and materialize_grads=True contradict each other")
    outputs, inputs = _as_sequence(outputs), _as_sequence(inputs)
    gradients = [None] * len(outputs) if grad_outputs is None else _as_sequence(grad_outputs)
    edges = _edges_of(inputs, "grad")
    captured = run_backward(
        _roots(outputs, gradients, create_graph),
        retain_graph=create_graph if retain_graph is None else retain_graph,
        create_graph=create_graph,
        wanted=edges,
    )
    results = []
    for position, (tensor, edge) in enumerate(zip(inputs, edges, strict=True)):
        result = captured.get(edge)
        if result is None:
            if materialize_grads:
                result = np.zeros(tensor._array.shape, tensor._array.dtype)
            elif not allow_unused:
                raise GraphError(
                    f"grad: One of the differentiated Tensors appears to not have been used in the graph: "
                    f"inputs[{position}]. Set allow_unused=True to get None for it."
                )
        results.append(wrap(result) if isinstance(result, np.ndarray) else result)
    return tuple(results)


def _edges_of(tensors: Sequence[Any], caller: str) -> list[Edge]:
    edges = []
    for position, tensor in enumerate(tensors):
        edge = getattr(tensor, "_edge", None)
        if edge is None:
            raise GraphError(
                f"{caller}: One of the differentiated Tensors does not require grad: inputs[{position}]; "
                "set requires_grad=True on it before it is used"
            )
        edges.append(edge)
    return edges
