"""A recorded graph in its most obvious form: the engine's independent definition. NumPy only, nothing of the library.

Three things are kept apart, each as plain as it can be:

- ``Memory`` is a flat array with a count of the writes to it. A Tensor is a set of places in a Memory, so that views
  need no further rule: whoever holds the same places sees the same values.
- ``Value`` is one immutable value in the history of the program: what it was computed from, how to compute it again,
  and how a gradient is pulled back through it. A gradient is defined by recursion: what starts at a value, plus what
  each of its consumers sends back. Pulling back is itself written in Values, so a derivative has a derivative.
- ``Call`` is one recorded operation: which memories it needs to be untouched, and whether backward has let go of it.

There are only linear moves (``take``, ``scatter``), ``plus``, ``times``, ``scale`` and four functions; all operations
are made of these. ``slope`` computes the same derivative in another way, by the complex step, to check this oracle.
"""

from __future__ import annotations

import weakref
from contextlib import contextmanager

import numpy as np


class NaiveError(Exception):
    """A refusal of the naive library; the kinds below are the ones that the engine has to agree on."""


class Refused(NaiveError):
    """Not allowed at all, as an in-place operation on a recorded leaf."""


class Overwritten(NaiveError):
    """A value that backward needs was written to."""


class Freed(NaiveError):
    """Backward has passed here already, and the graph was not retained."""


class State:
    """The modes, and what the oracle could not decide in the last pass."""

    recording = True
    inference = False
    pass_depends: tuple = ()  # inside a pass with create_graph: what its new values may have saved
    undecided = False  # a derivative's saved value was overwritten: an error and the right result are both fine


state = State()


# ------------------------------------------------------------------------------------------------ values
class Value:
    def __init__(self, array, parents=(), compute=None, pull=None, leaf=False):
        self.array = np.asarray(array, float)
        self.needs = leaf or any(p.needs for p in parents)
        self.parents = tuple(parents)
        self.compute = compute  # arrays of the parents -> array
        self.pull = pull  # (gradient, self, parents) -> gradients of the parents, as Values
        self.is_leaf = leaf or not self.needs
        self.hooks = {}
        self.call = None
        self.owner = None  # of a leaf: the Tensor that gets the gradient
        self.keeper = None  # the Tensor that asked to retain it


def constant(array):
    return Value(np.array(array, float))


def make(compute, pull, *parents, multiplies=False):
    value = Value(compute(*[p.array for p in parents]), parents, compute, pull)
    if multiplies and value.needs and state.pass_depends:
        value.call = Call(maybe=state.pass_depends, keeps=True)
    return value


def take(x, places):
    """The elements of ``x`` at these flat places: every view and every broadcast."""
    shape = x.array.shape
    return make(lambda v: v.reshape(-1)[places], lambda g, out, x: [scatter(g, places, shape)], x)


def scatter(x, places, shape):
    """Add the elements of ``x`` up at these flat places of zeros: the adjoint of ``take``, and every sum."""

    def compute(v):
        out = np.zeros(int(np.prod(shape)), v.dtype)
        np.add.at(out, places, v)
        return out.reshape(shape)

    return make(compute, lambda g, out, x: [take(g, places)], x)


def same(x):
    return make(lambda v: v + 0, lambda g, out, x: [g], x)


def moved(x, array):
    """``x`` with other numbers, written without being recorded: gradients pass as if nothing had happened."""
    offset = array - x.array
    return make(lambda v: v + offset, lambda g, out, x: [g], x)


def plus(a, b):
    return make(lambda x, y: x + y, lambda g, out, a, b: [g, g], a, b)


def scale(a, number):
    return make(lambda x: x * number, lambda g, out, a: [scale(g, number)], a)


def times(a, b):
    def pull(g, out, a, b):
        return [times(g, b) if a.needs else None, times(g, a) if b.needs else None]

    return make(lambda x, y: x * y, pull, a, b, multiplies=True)


def over(a, b):
    def pull(g, out, a, b):
        return [over(g, b) if a.needs else None, scale(times(g, over(over(a, b), b)), -1) if b.needs else None]

    return make(lambda x, y: x / y, pull, a, b, multiplies=True)


def exp(a):
    return make(np.exp, lambda g, out, a: [times(g, out)], a, multiplies=True)


def tanh(a):
    return make(np.tanh, lambda g, out, a: [minus_product(g, out)], a, multiplies=True)


def minus_product(g, out):
    """g · (1 - out²)"""
    return plus(g, scale(times(g, times(out, out)), -1))


def sin(a, shift=0.0):
    return make(
        lambda x: np.sin(x + shift), lambda g, out, a: [times(g, sin(a, shift + np.pi / 2))], a, multiplies=True
    )


def places_of(shape):
    return np.arange(int(np.prod(shape))).reshape(shape)


def expand(x, shape):
    return x if x.array.shape == shape else take(x, np.broadcast_to(places_of(x.array.shape), shape))


def matmul(a, b):
    (n, k), (_, m) = a.array.shape, b.array.shape
    rows, inner, columns = np.indices((n, k, m))
    product = times(take(a, rows * k + inner), take(b, inner * m + columns))
    return scatter(product, rows * m + columns, (n, m))


def overwritten(base, new, places):
    """``base`` with ``new`` at these places."""
    kept = np.ones(base.array.size)
    kept[places] = 0
    kept = kept.reshape(base.array.shape)
    remains = make(
        lambda v: v * kept, lambda g, out, x: [overwritten(g, constant(np.zeros(places.shape)), places)], base
    )
    return plus(remains, scatter(new, places, base.array.shape))


def recompute(value, arrays):
    """``value`` once more, from other arrays (complex ones too) at some of its ancestors."""
    if value not in arrays:
        arrays[value] = value.compute(*[recompute(p, arrays) for p in value.parents]) if value.parents else value.array
    return arrays[value]


def slope(value, leaf, direction, upstream):
    """The derivative of ``sum(value * upstream)`` along ``direction`` at ``leaf``, by the complex step."""
    moved_array = recompute(value, {leaf: leaf.array + 1e-30j * direction})
    return float((np.imag(moved_array) * upstream).sum() / 1e-30)


# ------------------------------------------------------------------------------------------------ passes
class Call:
    """One recorded operation."""

    def __init__(self, saved=(), keeps=None, maybe=()):
        self.saved = [(memory, memory.version) for memory in saved]
        self.maybe = maybe  # may have been saved, in a form that the oracle does not know
        self.keeps = bool(self.saved) if keeps is None else keeps
        self.freed = False
        self.node = None  # a weak reference to what the library under test made of it


def ancestors(roots, inside=None):
    """All recorded values behind ``roots``, consumers first."""
    found, order = set(), []

    def visit(value):
        if value in found or not value.needs:
            return
        found.add(value)
        for parent in value.parents:
            visit(parent)
        order.append(value)

    for root in roots:
        visit(root)
    return order[::-1]


def run_pass(root, seed, retain, create, wanted=None):
    """Carry ``seed`` from ``root`` to all leaves, or to the ``wanted`` values only; return the gradients by value."""
    reached = ancestors([root])
    if wanted is None:
        running = set(reached)
    else:
        asked = {value.call for value in wanted} - {None}
        wanted = {v for v in reached if v in wanted or v.call in asked}  # all outputs of a call, if one
        running = set()
        for value in reversed(reached):  # parents first
            if any(p in running or p in wanted for p in value.parents if p.needs):
                running.add(value)
    calls = {value.call for value in running if value.call is not None}
    if any(call.freed for call in calls):
        raise Freed
    stale = any(m.version != v for call in calls for m, v in call.saved)
    state.undecided = any(m.version != v for call in calls for m, v in call.maybe)
    if stale and wanted is not None:
        state.undecided = True  # it may be needed for what nobody wants only
    elif stale:
        raise Overwritten

    consumers = {}
    for value in running:
        for position, parent in enumerate(value.parents):
            if parent.needs:
                consumers.setdefault(parent, []).append((value, position))
    before, pulled, gradients = (state.recording, state.pass_depends), {}, {}
    state.recording = create
    if create:
        depends = [entry for call in calls for entry in (*call.saved, *call.maybe)]
        state.pass_depends = tuple(depends) or ((Memory(np.zeros(1)), 0),)

    def gradient_of(value):
        if value not in gradients:
            total = seed if value is root else None
            for consumer, position in consumers.get(value, ()):
                if consumer not in pulled:
                    g = gradient_of(consumer)
                    pulled[consumer] = (
                        [None] * len(consumer.parents)
                        if g is None
                        else list(consumer.pull(g, consumer, *consumer.parents))
                    )
                part = pulled[consumer][position]
                if part is not None:
                    total = part if total is None else plus(total, part)
            if total is not None:
                total = total if create else constant(total.array)
                for hook in list(value.hooks.values()):
                    replaced = hook(Tensor.of(total))
                    total = total if replaced is None else read(replaced)
                keeper = value.keeper() if value.keeper else None
                if keeper is not None:
                    accumulate(keeper, total, create)
            gradients[value] = total
        return gradients[value]

    targets = reached if wanted is None else [v for v in reached if v is root or v in wanted or v in running]
    try:
        for value in targets:
            gradient_of(value)
        if wanted is None:
            for value in targets:
                deliver(value, gradients[value], create)
    finally:
        state.recording, state.pass_depends = before
    if not retain:
        for call in calls:
            call.freed = call.keeps
    return gradients


def deliver(leaf, gradient, create):
    """Add a gradient to the leaf's Tensor, and run the hooks that wait for it."""
    tensor = leaf.owner() if leaf.owner else None
    if tensor is None or gradient is None or tensor.value is not leaf:
        return
    accumulate(tensor, gradient, create)
    for hook in list(tensor.after_hooks.values()):
        hook(tensor)


def accumulate(tensor, gradient, create):
    held = tensor.grad
    if held is None:
        tensor.grad = Tensor.of(same(gradient) if create else constant(gradient.array))
    elif create:
        tensor.grad = Tensor.of(plus(read(held), gradient))
    elif tensor.is_leaf:
        held.write(read(held).array + gradient.array)
    else:
        tensor.grad = Tensor.of(constant(read(held).array + gradient.array))


# ----------------------------------------------------------------------------------------------- tensors
class Memory:
    def __init__(self, array, version=0):
        self.array = np.array(array, float).reshape(-1)
        self.version = version
        self.holders = weakref.WeakSet()


class Tensor:
    def __init__(self, memory, places, value, base=None, lender=None):
        self.memory, self.places, self.value = memory, places, value
        self.base = base  # of a view: where its gradient goes
        self.lender = lender  # of a detached alias: the Tensor whose memory it is
        self.inference = state.inference if base is None and lender is None else (base or lender).inference
        self.grad = None
        self.leaf = None  # its place as a leaf, kept while requires_grad is off
        self.retains_grad = False
        self.after_hooks = {}
        memory.holders.add(self)

    @classmethod
    def of(cls, value):
        return cls(Memory(value.array), places_of(value.array.shape), value)

    # ---- what the comparison looks at
    def numpy(self):
        return self.memory.array[self.places]

    @property
    def shape(self):
        return self.places.shape

    @property
    def requires_grad(self):
        return self.value.needs

    @property
    def is_leaf(self):
        return self.value.is_leaf

    @property
    def _version(self):
        return self.memory.version

    # ---- the graph
    def requires_grad_(self, wanted=True):
        if wanted and not self.value.needs:
            if self.inference and not state.inference:
                raise Refused
            if self.leaf is None:
                self.leaf = Value(self.numpy(), leaf=True)
                self.leaf.owner = weakref.ref(self)
            self.value = self.leaf
        elif not wanted:
            if not self.is_leaf:
                raise Refused
            self.value = constant(self.numpy())
        return self

    def detach(self):
        return Tensor(self.memory, self.places, constant(self.numpy()), lender=self.base or self)

    def retain_grad(self):
        if not self.requires_grad:
            raise Refused
        if not self.is_leaf:
            self.retains_grad = True
            self.value.keeper = weakref.ref(self)

    def register_hook(self, hook):
        if not self.requires_grad:
            raise Refused
        return Handle(self.value.hooks, hook)

    def register_post_accumulate_grad_hook(self, hook):
        if not (self.requires_grad and self.is_leaf):
            raise Refused
        return Handle(self.after_hooks, hook)

    def backward(self, gradient=None, retain_graph=None, create_graph=False, inputs=None):
        root, seed, retain = start(self, gradient, retain_graph, create_graph)
        if inputs is None:
            run_pass(root, seed, retain, create_graph)
            return
        if not all(t.requires_grad for t in inputs):
            raise Refused
        for tensor in inputs:
            tensor.retain_grad()
        found = run_pass(root, seed, retain, create_graph, [t.value for t in inputs])
        for value in {t.value for t in inputs}:
            if value.is_leaf:
                deliver(value, found.get(value), create_graph)

    # ---- in place
    def write(self, array):
        self.memory.array[self.places] = array
        self.memory.version += 1

    def check_places(self):
        if np.unique(self.places).size < self.places.size:
            raise Refused

    def assign(self, function, others=(), saved=(), saves_out=False, keeps=None):
        """Give this Tensor the value ``function(its value, the others' values)``."""
        tensors = (self, *others)
        if not (state.recording and any(t.requires_grad for t in tensors)):
            if self.inference and not state.inference:
                raise Refused
            self.check_places()
            self.write(function(*[constant(t.numpy()) for t in tensors]).array)
            return self
        for root in (self, self.base):
            if root is not None and root.is_leaf and root.requires_grad:
                raise Refused
        self.check_places()
        refuse_inference(saved)
        if self.inference and not state.inference:
            raise Refused
        new = function(*[read(t) for t in tensors])
        new.call = Call(saved, keeps)
        base = self.base or self
        if base.lender is not None:  # the memory is another Tensor's as well: it sees the numbers
            places = relative(self, base)
            base_new = new if self is base else overwritten(read(base), new, places)
            self.write(new.array)
            memory = self.memory
        else:
            base_new = new if self is base else overwritten(read(base), new, self.places)
            memory = Memory(base_new.array, base.memory.version + 1)
        if self is base and saves_out:
            new.call = Call([*saved, memory])
        elif saves_out:
            new.call = Call([*saved, Memory(new.array)])
        if base_new.call is None:
            base_new.call = Call()
        if memory is not self.memory:
            for holder in list(self.memory.holders):
                holder.memory = memory
                memory.holders.add(holder)
        base.place_at(base_new)
        for view in list(memory.holders):
            if view.base is base:
                view_new = take(base_new, relative(view, base))
                view_new.call = Call()
                view.place_at(view_new)
        return self

    def place_at(self, value):
        if self.retains_grad and self.value.keeper is not None:
            self.value.keeper = None
            value.keeper = weakref.ref(self) if value.needs else None
        self.value = value


class Handle:
    def __init__(self, hooks, hook):
        self.hooks = hooks
        hooks[self] = hook

    def remove(self):
        self.hooks.pop(self, None)


def relative(view, base):
    """The places of a view's elements among those of its base."""
    where = {place: i for i, place in enumerate(base.places.reshape(-1).tolist())}
    return np.array([where[p] for p in view.places.reshape(-1).tolist()], int).reshape(view.places.shape)


def start(tensor, gradient, retain, create):
    if not tensor.requires_grad:
        raise Refused
    if gradient is None and tensor.places.size != 1:
        raise Refused
    seed = constant(np.ones(tensor.shape)) if gradient is None else read(gradient)
    return tensor.value, seed if create else constant(seed.array), create if retain is None else retain


def grad(output, inputs, gradient=None, retain_graph=None, create_graph=False, allow_unused=False):
    root, seed, retain = start(output, gradient, retain_graph, create_graph)
    if not all(t.requires_grad for t in inputs):
        raise Refused
    found = run_pass(root, seed, retain, create_graph, [t.value for t in inputs])
    values = [found.get(t.value) for t in inputs]
    if not allow_unused and any(v is None for v in values):
        raise Refused
    return [None if v is None else Tensor.of(v if create_graph else constant(v.array)) for v in values]


# ------------------------------------------------------------------------------------------- operations
def read(tensor):
    """What a computation with ``tensor`` starts from now: its place in the graph with the numbers in memory."""
    if np.array_equal(tensor.value.array, tensor.numpy()):
        return tensor.value
    return moved(tensor.value, tensor.numpy())


def refuse_inference(memories):
    for memory in memories:
        if any(holder.inference for holder in memory.holders):
            raise Refused


def call(function, *tensors, saved=(), keeps=None, saves_out=False):
    """A new Tensor, recorded if it has to be."""
    if not (state.recording and any(t.requires_grad for t in tensors)):
        return Tensor.of(constant(function(*[constant(t.numpy()) for t in tensors]).array))
    refuse_inference(saved)
    value = function(*[read(t) for t in tensors])
    out = Tensor.of(value)
    value.call = Call([*saved, *([out.memory] if saves_out else [])], keeps)
    return out


def view(tensor, places, shared=None):
    """The view of ``tensor`` that has these of its elements."""
    if state.recording and tensor.requires_grad:
        value = take(read(tensor), places)
        value.call = shared or Call()
    else:
        value = constant(tensor.numpy().reshape(-1)[places])
    base = tensor if tensor.base is None else tensor.base
    return Tensor(tensor.memory, tensor.places.reshape(-1)[places], value, base=base)


def needed(a, b, for_a, for_b):
    """What a function of two Tensors saves: ``for_a`` for the gradient of ``a``, if that one needs it, and so on."""
    return [t.memory for t, owner in ((for_a, a), (for_b, b)) if owner.requires_grad and t is not None]


@contextmanager
def mode(name):
    before = state.recording, state.inference
    state.recording = name in ("plain", "enable_grad")
    state.inference = name == "inference_mode"
    try:
        yield
    finally:
        state.recording, state.inference = before
