"""The random programs of ``tests/engine_steps.py`` on PyTorch: values, gradients, flags, versions, hooks, and errors.

PyTorch refuses more: where a recorded in-place operation gives a tensor a new value here, it overwrites memory there,
and it forbids writing to some views. The comparison of a program ends where PyTorch says one of ``STRICTER``.
"""

import random
import warnings

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.engine_steps import KINDS, Chooser, Torchlike, World
from tests.parity.compare import torch

STRICTER = [
    "modified by an inplace operation",  # by a recorded one
    "is the output of a function that returns multiple views",
    "This view is the output of a function",
    "A view was created in no_grad mode",
    "A view was created in inference mode",
    "through the graph a second time",  # there a write to a view can be passed once only, though it saves nothing
    "moved into the graph interior",  # a leaf that was switched off and overwritten, while its graph was still there
    "INTERNAL ASSERT FAILED",
    "a view of a leaf Variable",  # of one that requires no gradient any more
    "some elements of the input tensor and the written-to tensor",  # both are views of one memory
]


def outcome(world, step):
    """Run a step; the error, or None."""
    try:
        world.run(step)
    except (RuntimeError, TypeError, IndexError, ValueError) as error:
        return error
    return None


def run(seed, length=30):
    """The number of steps that agreed. Hooks are for the even programs: with several inputs grad() skips some there."""
    draw = random.Random(seed).randrange
    ours, theirs = World(Torchlike(tg), True), World(Torchlike(torch), True)
    choices = Chooser(ours, most_inputs=1 + seed % 2)
    program = []
    for number in range(length):
        kind = "leaf" if number < 2 else KINDS[draw(len(KINDS))]
        step = None if kind == "add_hook" and seed % 2 else choices.choose(kind, draw)
        if step is None:
            continue
        program.append(step)
        switched = any(earlier[0] == "set_requires_grad" for earlier in program)
        if switched and step[0] in ("backward", "grad") and step[6]:
            break  # with create_graph, PyTorch counts a saved leaf that was switched on since then
        try:
            if not same_step(ours, theirs, step):
                break
        except AssertionError as error:
            raise AssertionError(f"program {seed}: {error}\n" + "\n".join(map(str, program))) from None
    return len(program)


def same_step(ours, theirs, step):
    """Run a step on both and compare everything; False where the programs part, as they may."""
    their_error, our_error = outcome(theirs, step), outcome(ours, step)
    if their_error is not None and our_error is None:
        assert any(reason in str(their_error) for reason in STRICTER), f"PyTorch refuses: {their_error}"
        return False
    if our_error is not None and "single memory location" in str(our_error):
        return False  # PyTorch only warns, or looks at the part of an expanded tensor that is written to
    if our_error is not None:
        assert their_error is not None, f"refused: {our_error}"
        assert isinstance(our_error, type(their_error)), f"{our_error!r}, PyTorch: {their_error!r}"
        return step[0] not in ("backward", "grad") and "nference" not in str(their_error)  # PyTorch has done a part
    if step[0] in ("overwrite", "assign") and step[-1] in ("no_grad", "inference_mode") and has_views(theirs, step):
        return False  # PyTorch gives the views a new place in the graph, which forgets retain_grad and hooks
    if step[0] == "operate" and any(theirs.tensors[i].is_inference() for i in step[2]):
        theirs.uncounted.append(theirs.tensors[-1])  # PyTorch counts a write that made it
    for position, (our, their) in enumerate(zip(ours.tensors, theirs.tensors, strict=True)):
        try:
            if their._is_view() and their._base.requires_grad and not our.requires_grad:
                return False  # made under no_grad, or when the base did not: says that it requires grad, but gets none
            flags = (their.requires_grad, their.is_leaf, their.grad_fn is None, their.is_inference())
        except RuntimeError:  # a view that may not be used any more
            return False
        found = (our.requires_grad, our.is_leaf, our.grad_fn is None, our.is_inference())
        assert found == flags, f"tensor {position} (requires_grad, leaf, no grad_fn, inference): {found}, {flags}"
        close(our, their, f"tensor {position}")
        if counts(theirs, their):
            assert our._version == their._version, f"version of tensor {position}: {our._version}, {their._version}"
        if their.is_leaf or their.retains_grad:
            assert (our.grad is None) == (their.grad is None), f"grad of tensor {position}: {our.grad}, {their.grad}"
            if our.grad is not None:
                close(our.grad, their.grad, f"grad of tensor {position}")
                assert our.grad.requires_grad == their.grad.requires_grad, f"grad of tensor {position}: recorded?"
    for hook, shown in theirs.seen.items():
        seen = ours.seen[hook]
        assert len(seen) == len(shown), f"hook {hook} ran {len(seen)} times, in PyTorch {len(shown)}"
        for (our, recorded), (their, expected) in zip(seen, shown, strict=True):
            np.testing.assert_allclose(our, their, rtol=1e-9, atol=1e-9)
            assert recorded == expected, f"hook {hook}: recorded?"
    return True


def has_views(world, step):
    """Whether a recorded view shares the memory of the tensor that a step has written to."""
    target = world.tensors[step[2][0] if step[0] == "overwrite" else step[1]].untyped_storage().data_ptr()
    return any(t._is_view() and t.requires_grad and t.untyped_storage().data_ptr() == target for t in world.tensors)


def counts(world, tensor):
    """Whether the version of a PyTorch tensor is told: not so under inference_mode, nor of gradients."""
    memory = [t.untyped_storage().data_ptr() for t in world.uncounted]
    return not tensor.is_inference() and tensor.untyped_storage().data_ptr() not in memory


def close(our, their, what):
    expected = their.detach().numpy()
    scale = max(1.0, np.abs(expected).max(initial=0))
    np.testing.assert_allclose(our.detach().numpy(), expected, rtol=1e-9, atol=1e-9 * scale, err_msg=what)


@pytest.mark.parametrize("start", range(0, 400, 100))
def test_programs(start):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # PyTorch warns of gradients with create_graph, and of some views
        lengths = [run(seed) for seed in range(start, start + 100)]
    assert np.mean(lengths) > 12, "most programs should be compared for a good while"
