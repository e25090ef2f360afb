"""``profile``: a context in which every op, backward node and optimiser step is timed.

While a profile runs, ``Op.__call__``, ``Op.with_residuals`` and ``OpNode.apply`` are replaced by forms that keep the
time, and hooks of all modules tell which layer an op belongs to. Afterwards the old ones are put back, so a program
that is not profiled pays nothing.
"""

from __future__ import annotations

import contextlib
import enum
import functools
import json
import math
import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Self

import numpy as np

from tinygrad_cnn.autograd.graph import HookHandle
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.record import OpNode
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import GraphError, UnsupportedError
from tinygrad_cnn.nn.hooks import register_module_forward_hook, register_module_forward_pre_hook
from tinygrad_cnn.optim.optimizer import register_optimizer_step_post_hook, register_optimizer_step_pre_hook
from tinygrad_cnn.profiler.tables import AverageList, Event, by_module, by_op

Shape = tuple[int, ...]

# The multiplications and additions of the ops that are sums of products, from the shapes of arguments and result.
FLOPS: dict[str, Callable[[dict[str, Shape], Shape], int]] = {
    "conv2d": lambda a, out: 2 * math.prod(out) * math.prod(a["weight"][1:]),
    "conv_transpose2d": lambda a, out: 2 * math.prod(a["input"]) * math.prod(a["weight"][1:]),
    "conv2d_weight_grad": lambda a, out: 2 * math.prod(a["upstream"]) * math.prod(out[1:]),
    "linear": lambda a, out: 2 * math.prod(out) * a["weight"][1],
    "mm": lambda a, out: 2 * math.prod(out) * a["input"][1],
    "batched_mm": lambda a, out: 2 * math.prod(out) * a["input"][-1],
}

_active: profile | None = None


class ProfilerActivity(enum.Enum):
    """What can be profiled. There is the CPU alone; PyTorch's other names are here so that programs can ask."""

    CPU = 0
    CUDA = 2


class _Place(threading.local):
    """Where a thread is: in which events, and in which layers."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.layers: list[str] = []
        self.paths: dict[int, str] = {}  # of the modules in the outermost one that is running, by id


class profile:
    """Time every op forward and backward, every layer and every optimiser step inside a ``with`` block.

    All threads are recorded. The program runs a few microseconds an op slower inside, and as before outside.
    ``record_shapes``, ``with_flops`` and ``with_modules`` are always on. UnsupportedError for what can't be
    recorded here (``profile_memory``, ``with_stack``, ``schedule``). As ``torch.profiler.profile``.

    >>> import tinygrad_cnn as tg
    >>> layer = tg.nn.Linear(3, 2)
    >>> with profile() as prof:
    ...     layer(tg.ones(4, 3)).sum().backward()
    >>> [row.key for row in prof.key_averages() if row.phase == "forward"]
    ['linear', 'sum']
    >>> [(row.key, row.count) for row in prof.modules()][0]
    ('Linear', 2)
    >>> print(prof.key_averages().table(sort_by="cpu_time_total"))  # doctest: +ELLIPSIS
    -...
    """

    def __init__(
        self,
        *,
        activities: Iterable[Any] | None = None,
        schedule: Callable[[int], Any] | None = None,
        on_trace_ready: Callable[[profile], Any] | None = None,
        record_shapes: bool = True,
        profile_memory: bool = False,
        with_stack: bool = False,
        with_flops: bool = True,
        with_modules: bool = True,
        enabled: bool = True,
    ) -> None:
        refused = dict(schedule=schedule, profile_memory=profile_memory, with_stack=with_stack)
        for name, value in refused.items():
            if value:
                raise UnsupportedError(f"profile: {name} can't be honoured; leave it out")
        self.activities = tuple(activities or (ProfilerActivity.CPU,))
        self.enabled = enabled
        self.on_trace_ready = on_trace_ready
        self._events: list[Event] = []
        self._place = _Place()
        self._origins: dict[int, tuple[str, int]] = {}  # a node's layer and FLOPs, by its id
        self._undo = contextlib.ExitStack()
        self._start = self._stop = 0.0

    # ------------------------------------------------------------------------------------- recording
    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin to record. GraphError while another profile runs."""
        global _active
        if not self.enabled:
            return
        if _active is not None:
            raise GraphError("profile: Profiler is already enabled; end the other profile first")
        _active = self
        self._replace(Op, "__call__", self._watch_op)
        self._replace(Op, "with_residuals", self._watch_op)
        self._replace(OpNode, "apply", self._watch_node)
        self._hook(register_module_forward_pre_hook(self._enter_layer))
        self._hook(register_module_forward_hook(self._leave_layer, always_call=True))
        self._hook(register_optimizer_step_pre_hook(self._enter_step))
        self._hook(register_optimizer_step_post_hook(self._leave_step))
        self._start = _now()

    def stop(self) -> None:
        """End the recording, and call ``on_trace_ready``."""
        global _active
        if _active is not self:
            return
        self._stop = _now()
        self._undo.close()
        self._origins.clear()
        _active = None
        if self.on_trace_ready is not None:
            self.on_trace_ready(self)

    def step(self) -> None:
        """Mark the end of a step of the program. Without a schedule it has no effect, as in PyTorch."""

    def _replace(self, owner: type, name: str, watch: Callable[[Any], Any]) -> None:
        before = getattr(owner, name)
        setattr(owner, name, watch(before))
        self._undo.callback(setattr, owner, name, before)

    def _hook(self, handle: HookHandle) -> None:
        self._undo.callback(handle.remove)

    def enter(self, name: str, phase: str, module: str = "") -> Event:
        """Begin an event in this thread."""
        place = self._place
        event = Event(name, phase, module, threading.get_ident(), any(e.phase != "user" for e in place.events))
        place.events.append(event)
        event.start = _now()
        return event

    def leave(self, event: Event) -> None:
        """End an event, and those within it that an exception has left open."""
        event.stop = _now()
        events = self._place.events
        while events.pop() is not event:
            pass
        if events:
            events[-1].inner += event.cpu_time_total
        self._events.append(event)

    def _watch_op(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def call(op: Op, *args: Any, **kwargs: Any) -> Any:
            events, layers = self._place.events, self._place.layers
            around = next((e for e in reversed(events) if e.phase != "user"), None)
            phase = "forward" if around is None else around.phase
            event = self.enter(op.name, phase, around.module if around else layers[-1] if layers else "")
            try:
                out = original(op, *args, **kwargs)
            finally:
                self.leave(event)
            self._describe(event, op, args, kwargs, out)
            if around is not None:
                around.inner_flops += event.flops
            return out

        return call

    def _describe(self, event: Event, op: Op, args: tuple[Any, ...], kwargs: dict[str, Any], out: Any) -> None:
        """Note the shapes, bytes and FLOPs of an op's call, and what its backward node belongs to."""
        inputs, results = list(_arrays((args, *kwargs.values()))), list(_arrays((out,)))
        event.shapes = tuple(array.shape for array in inputs)
        event.nbytes = 0 if op.view else sum(array.nbytes for array in (*inputs, *results))
        event.flops = event.inner_flops
        if op.name in FLOPS:
            values = zip(op.parameters, op._bind(args, kwargs), strict=True)
            event.flops = FLOPS[op.name](
                {name: tuple(x.shape) for name, x in values if hasattr(x, "shape")}, results[0].shape
            )
        for tensor in out if isinstance(out, tuple) else (out,):
            if isinstance(tensor, Tensor) and tensor._edge is not None:
                self._origins[id(tensor._edge[0])] = event.module, event.flops

    def _watch_node(self, original: Callable[..., Any]) -> Callable[..., Any]:
        @functools.wraps(original)
        def apply(node: OpNode, gradients: list[Any], create_graph: bool) -> Sequence[Any]:
            module, flops = self._origins.get(id(node), ("", 0))
            saved = list(_arrays(node.saved))
            event = self.enter(node.name(), "backward", module)
            try:
                results = original(node, gradients, create_graph)
            finally:
                self.leave(event)
            event.shapes = tuple(array.shape for array in _arrays(gradients))
            if not node.op.view:
                event.nbytes = sum(array.nbytes for array in (*saved, *_arrays(gradients), *_arrays(results)))
            # one product of the forward's size for each factor, unless ops inside have told their own
            factors = sum(n for name, n in zip(node.op.inputs, node.plan.needs, strict=False) if name != "bias")
            event.flops = event.inner_flops or flops * factors
            return results

        return apply

    def _enter_layer(self, module: Any, args: Any) -> None:
        place = self._place
        if not place.layers:
            root = type(module).__name__
            place.paths = {id(m): f"{root}.{name}" if name else root for name, m in module.named_modules()}
        place.layers.append(place.paths.get(id(module)) or f"{place.layers[-1]}.{type(module).__name__}")

    def _leave_layer(self, module: Any, args: Any, output: Any) -> None:
        if self._place.layers:
            self._place.layers.pop()

    def _enter_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        self.enter(f"Optimizer.step#{type(optimizer).__name__}.step", "optimizer")

    def _leave_step(self, optimizer: Any, args: Any, kwargs: Any) -> None:
        step = next((e for e in reversed(self._place.events) if e.phase == "optimizer"), None)
        if step is not None:
            self.leave(step)

    # --------------------------------------------------------------------------------------- results
    def events(self) -> list[Event]:
        """Every event, in the order in which they ended."""
        return self._events

    def key_averages(self, group_by_input_shape: bool = False) -> AverageList:
        """The events added up by op, forward and backward apart; ``.table()`` prints them."""
        return by_op(self._events, self._stop - self._start, group_by_input_shape)

    def modules(self) -> AverageList:
        """The events added up by layer, an op that is called outside of any under its own name."""
        return by_module(self._events, self._stop - self._start)

    def export_chrome_trace(self, path: str | os.PathLike[str]) -> None:
        """Write the events as JSON that ``chrome://tracing`` and Perfetto show on a time line."""
        trace = [
            dict(ph="X", name=e.name, cat=e.phase, ts=e.start, dur=e.cpu_time_total, pid=os.getpid(), tid=e.thread,
                 args={"module": e.module, "flops": e.flops, "bytes": e.nbytes, "Input Dims": e.shapes})
            for e in self._events
        ]  # fmt: skip
        with open(path, "w", encoding="utf-8") as file:
            json.dump({"traceEvents": trace, "displayTimeUnit": "ms"}, file)


class record_function(contextlib.ContextDecorator):
    """A ``with`` block or function that appears in a running profile under ``name``.

    >>> with profile() as prof, record_function("half"):
    ...     pass
    >>> prof.events()[0].name
    'half'
    """

    def __init__(self, name: str, args: str | None = None) -> None:
        self.name = name if args is None else f"{name}({args})"
        self._open: list[tuple[profile, Event] | None] = []

    def __enter__(self) -> Self:
        self._open.append(None if _active is None else (_active, _active.enter(self.name, "user")))
        return self

    def __exit__(self, *exc: object) -> None:
        opened = self._open.pop()
        if opened is not None:
            opened[0].leave(opened[1])


def _now() -> float:
    return time.perf_counter_ns() / 1e3


def _arrays(values: Iterable[Any]) -> Iterator[np.ndarray]:
    """The arrays among values, of Tensors too, and in lists and tuples."""
    for value in values:
        if isinstance(value, Tensor):
            yield value._array
        elif isinstance(value, np.ndarray):
            yield value
        elif isinstance(value, list | tuple):
            yield from _arrays(value)
