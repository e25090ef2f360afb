"""The engine against the naive graph: random programs, compared after every step.

Everything that a user can see has to agree: values, ``requires_grad``, ``is_leaf``, ``grad_fn``, ``_version``, every
gradient, what each hook was shown, which calls are refused and with which error. And what a user can't see: a node is
alive exactly as long as something needs it, without help of the cycle collector.
"""

import gc
import random
import weakref

import numpy as np
import pytest
from hypothesis import note, settings, strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule

import tinygrad_cnn as tg
from tests import naive_graph
from tests.engine_steps import KINDS, Chooser, Naive, Torchlike, World
from tinygrad_cnn.errors import GraphError, GraphFreedError, InPlaceError, TinygradError

ERRORS = {naive_graph.Freed: GraphFreedError, naive_graph.Overwritten: InPlaceError, naive_graph.Refused: GraphError}


def close(ours, naive, what):
    assert ours.shape == naive.shape, f"{what}: shape {ours.shape}, expected {naive.shape}"
    tolerance = 1e-9 * max(1.0, np.abs(naive).max(initial=0))
    assert (np.abs(ours - naive) <= tolerance).all(), f"{what}: {ours}, expected {naive}"


class Pair:
    """One program, on the engine and on the naive graph."""

    def __init__(self):
        self.ours = World(Torchlike(tg))
        self.naive = World(Naive())
        self.calls = weakref.WeakSet()
        self.program = []
        self.has_derivatives = False
        self.choices = Chooser(self.ours)

    def do(self, kind, draw):
        """Draw a step of this kind and run it."""
        step = self.choices.choose(kind, draw)
        if step is not None:
            self.same(step)

    def same(self, step):
        """Run a step on both, and compare the outcome."""
        self.program.append(step)
        untouched = self.ours.untouched()
        expected, found = outcome(self.naive, step), outcome(self.ours, step)
        undecided, naive_graph.state.undecided = naive_graph.state.undecided, False
        if undecided and found is InPlaceError:
            expected = naive_graph.Overwritten
        if expected is None:
            assert found is None, f"refused with {found.__name__}, but the naive graph allows it"
        else:
            assert found is not None, f"allowed, but the naive graph says {expected.__name__}"
            assert issubclass(found, ERRORS[expected]), f"{found.__name__} for {expected.__name__}"
        if expected is naive_graph.Overwritten:
            self.ours.recover(untouched)
            self.naive.recover(untouched)
        self.has_derivatives |= step[0] in ("grad", "backward") and step[6]
        for ours, naive in zip(self.ours.tensors, self.naive.tensors, strict=True):
            call = naive.value.call
            if call is not None and call.node is None and ours.grad_fn is not None:
                call.node = weakref.ref(ours.grad_fn)
                self.calls.add(call)

    def differentiate_everything(self):
        """Take the gradients of every tensor with respect to all leaves, which are the end of every program."""
        for position in range(len(self.ours.tensors)):
            leaves = [i for i, t in enumerate(self.ours.tensors) if t.is_leaf and t.requires_grad]
            if leaves and position < len(self.ours.tensors) and self.ours.tensors[position].requires_grad:
                upstream = np.ones(self.ours.tensors[position].shape)
                self.same(("grad", position, leaves, upstream, False, True, False, True))
                self.check()

    def check(self):
        """Everything that can be seen agrees, and nothing is kept that can't be reached."""
        for position, (ours, naive) in enumerate(zip(self.ours.tensors, self.naive.tensors, strict=True)):
            compare(ours, naive, f"tensor {position}")
            assert (ours.grad is None) == (naive.grad is None), f"tensor {position}: grad {ours.grad}, {naive.grad}"
            if ours.grad is not None:
                compare(ours.grad, naive.grad, f"grad of tensor {position}")
        assert self.ours.seen.keys() == self.naive.seen.keys()
        for number, shown in self.naive.seen.items():
            seen = self.ours.seen[number]
            assert len(seen) == len(shown), f"hook {number} ran {len(seen)} times, expected {len(shown)}"
            for (ours, recorded), (naive, expected) in zip(seen, shown, strict=True):
                close(ours, naive, f"hook {number}")
                assert recorded == expected
        if not self.has_derivatives:  # what a recorded derivative holds on to is its own affair
            needed = {value.call for value in alive(self.naive.tensors)}
            for call in list(self.calls):
                if call in needed:
                    assert call.node() is not None
                else:
                    assert call.node() is None, f"{call.node()} is kept, but nothing can reach it"


class Engine(RuleBasedStateMachine):
    """A ``Pair``, step by step. One rule for all kinds: programs that lack a kind altogether would test little."""

    def __init__(self):
        super().__init__()
        gc.disable()
        self.pair = Pair()
        self.failed = False

    def attempt(self, action):
        try:
            action()
        except AssertionError:
            self.failed = True
            note("\n".join(map(str, self.pair.program)))
            raise

    @initialize(data=st.data())
    def begin(self, data):
        self.step(data, "leaf")
        self.step(data, "leaf")

    @rule(data=st.data(), kind=st.sampled_from(KINDS))
    def step(self, data, kind):
        self.attempt(lambda: self.pair.do(kind, lambda n: data.draw(st.integers(0, n - 1))))
        self.attempt(self.pair.check)

    def teardown(self):
        gc.enable()
        if not self.failed:
            self.attempt(self.pair.differentiate_everything)
        naive_graph.state.recording, naive_graph.state.inference = True, False


TestEngine = Engine.TestCase
TestEngine.settings = settings(stateful_step_count=30)


@pytest.mark.parametrize("part", range(5))
def test_programs(part):
    """The same with plain random numbers, which spread further than hypothesis in the same time."""
    count = settings().max_examples
    for seed in range(part * count, (part + 1) * count):
        draw = random.Random(seed).randrange
        pair = Pair()
        try:
            for kind in ["leaf", "leaf", *[KINDS[draw(len(KINDS))] for _ in range(30)]]:
                pair.do(kind, draw)
                pair.check()
            pair.differentiate_everything()
        except AssertionError as error:
            raise AssertionError(f"program {seed}: {error}\n" + "\n".join(map(str, pair.program))) from None


def alive(tensors):
    """All values that the tensors can reach, through bases and gradients."""
    found, stack, seen = set(), list(tensors), set()
    while stack:
        tensor = stack.pop()
        if tensor in seen:
            continue
        seen.add(tensor)
        stack += [t for t in (tensor.base, tensor.lender, tensor.grad) if t is not None]
        values = [tensor.value]
        while values:
            value = values.pop()
            if value not in found and value.needs:
                found.add(value)
                values += value.parents
    return found


def outcome(world, step):
    """Run a step; the type of its error, or None."""
    try:
        world.run(step)
    except (naive_graph.NaiveError, TinygradError) as error:
        return type(error)
    return None


def compare(ours, naive, what):
    close(ours.detach().numpy(), naive.numpy(), what)
    assert ours.requires_grad == naive.requires_grad, f"{what}: requires_grad is {ours.requires_grad}"
    assert ours.is_leaf == naive.is_leaf, f"{what}: is_leaf is {ours.is_leaf}"
    assert (ours.grad_fn is None) == naive.is_leaf, what
    assert ours._version == naive._version, f"{what}: _version is {ours._version}, expected {naive._version}"


@pytest.mark.parametrize("seed", range(20))
def test_the_naive_graph_agrees_with_the_complex_step(seed):
    """The oracle is held to another definition: evaluate the program again, a tiny imaginary step away."""
    draw = random.Random(seed).randrange
    pair = Pair()
    for kind in ["leaf", "leaf", *[KINDS[draw(10)] for _ in range(20)]]:
        pair.do(kind, draw)
    leaves = [t.value for t in pair.naive.tensors if t.is_leaf and t.requires_grad]
    random_like = np.random.default_rng(seed).uniform
    for tensor in pair.naive.tensors:
        if not tensor.requires_grad or tensor.is_leaf:
            continue
        upstream = random_like(-1, 1, tensor.shape)
        seeds = naive_graph.constant(upstream)
        try:
            first = naive_graph.run_pass(tensor.value, seeds, retain=True, create=True)
        except naive_graph.Overwritten:
            continue
        for leaf in leaves:
            direction = random_like(-1, 1, leaf.array.shape)
            gradient = first.get(leaf)
            expected = naive_graph.slope(tensor.value, leaf, direction, upstream)
            found = 0.0 if gradient is None else (gradient.array * direction).sum()
            assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
            if gradient is not None and gradient.needs:
                second = naive_graph.run_pass(gradient, naive_graph.constant(direction), True, False, leaves)
                found = sum((g.array * direction).sum() for v, g in second.items() if v is leaf)
                expected = naive_graph.slope(gradient, leaf, direction, direction)
                assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)


TestEngine = Engine.TestCase
TestEngine.settings = settings(stateful_step_count=30)
