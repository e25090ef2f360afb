"""The properties about manners: memory, layouts, empty inputs, recording, repetition, refusals."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import grad, no_grad
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import IndexRangeError, TinygradError
from tinygrad_cnn.testing import layouts as memory_layouts
from tinygrad_cnn.testing.calls import (
    Arguments,
    Place,
    Recorded,
    draw_upstream,
    fitted,
    gradients,
    is_floating,
    map_arrays,
    places,
    run,
)
from tinygrad_cnn.testing.explain import Cause, ConformanceError, Finding, compare, refuse

MANY = 7  # a batch that no sample has


def memory(op: Op, arguments: Arguments) -> None:
    """Nothing that was passed in is changed, and no gradient shares memory with another or with anything else."""
    inputs = places(op, arguments)
    own = map_arrays(op, arguments, np.copy)
    recorded = Recorded(op, own)
    _unchanged(op, arguments, own, inputs, "the forward pass")
    if not op.view:
        for place in inputs:
            for out in recorded.arrays:
                if np.shares_memory(out, place.of(own)):
                    why = "Declare view=True, or return a copy: an in-place write to the result changes the input."
                    refuse(op, arguments, Cause("undeclared view", why), property="memory", argument=str(place))
    if recorded.node is None:
        return
    results = [o.copy() for o in recorded.arrays]
    given = draw_upstream(recorded.arrays)
    before = [g.copy() for g in given]
    first = [None if g is None else np.copy(g) for g in recorded.gradients(given)]
    _unchanged(op, arguments, own, inputs, "backward")
    then: Any
    for now, then in zip(given, before, strict=True):
        why = "A formula writes into `g`, which other formulas use as well; let it make a new array."
        cause = Cause("mutated upstream", why)
        _same(op, arguments, now, then, cause, argument="g")
    for now, then in zip(recorded.arrays, results, strict=True):
        why = "A formula writes into `out`, which the caller holds; let it make a new array."
        _same(op, arguments, now, then, Cause("mutated result", why), argument="out")
    again = recorded.gradients(given)
    for place, now, then in zip(recorded.places, again, first, strict=True):
        if then is not None:
            why = "A formula overwrites what was saved for it, so the second pass over the graph starts from garbage."
            cause = Cause("saved value overwritten in place", why)
            _same(op, arguments, now, then, cause, argument=str(place))
    _unshared(op, arguments, recorded, given)
    _same_everywhere(op, own, recorded)


def _same(op: Op, arguments: Arguments, now: Any, then: Any, cause: Cause, **known: Any) -> None:
    if not np.array_equal(now, then, equal_nan=True):
        exact: dict[str, Any] = dict(property="memory", label="before", rtol=0.0, atol=0.0)
        finding = Finding(np.asarray(now), np.asarray(then), op=op, arguments=arguments, given=cause, **exact | known)
        raise ConformanceError(finding)


def _unchanged(op: Op, arguments: Arguments, own: Arguments, inputs: Sequence[Place], by: str) -> None:
    for place in inputs:
        why = f"It was changed by {by}. Work on a copy: the caller, and other ops that saved it, still use it."
        now, then = place.of(own), place.of(arguments)
        _same(op, arguments, now, then, Cause("mutated input", why), argument=str(place), property="memory")


def _unshared(op: Op, arguments: Arguments, recorded: Recorded, given: Sequence[np.ndarray]) -> None:
    """What reaches ``grad`` belongs to it alone, and a later backward leaves it as it is."""
    roots = [(o, u) for o, u in zip(recorded.outputs, given, strict=True) if o._edge is not None]
    targets, upstream = [o for o, _ in roots], [wrap(u) for _, u in roots]
    found = grad(targets, recorded.leaves, upstream, allow_unused=True, retain_graph=True)
    held = [(str(p), g._array) for p, g in zip(recorded.places, found, strict=True) if g is not None]
    others = [(f"the upstream, {i}", u) for i, u in enumerate(given)]
    others += [(str(p), p.of(recorded.arguments)) for p in places(op, recorded.arguments)]
    others += [("the result", o) for o in recorded.arrays]
    for i, (name, array) in enumerate(held):
        for other, what in [*((f"the gradient of {n}", a) for n, a in held[:i]), *others]:
            if np.shares_memory(array, what):
                why = f"It shares memory with {other}: `x.grad += ...` changes both. Let the formula make a new array."
                refuse(op, arguments, Cause("aliased gradients", why), property="memory", argument=name)
    copies = [a.copy() for _, a in held]
    grad(targets, recorded.leaves, [wrap(np.asarray(-3 * u._array)) for u in upstream], allow_unused=True)
    for (name, now), then in zip(held, copies, strict=True):
        why = "The next backward pass writes into this one's gradient: a buffer is used again that was given away."
        _same(op, arguments, now, then, Cause("aliased gradients", why), argument=name, property="memory")


def _same_everywhere(op: Op, arguments: Arguments, recorded: Recorded) -> None:
    """f(x, x) adds the contributions of both places."""
    same = [p for p in recorded.places if p.of(arguments).shape == recorded.places[0].of(arguments).shape]
    if len(same) < 2:
        return
    first = same[0].of(arguments)
    apart = dict(arguments)
    for place in same:
        apart = place.put(apart, first.copy())
    leaf = wrap(first.copy()).requires_grad_()
    tensors: Arguments = map_arrays(op, arguments, wrap)
    for place in same:
        tensors = place.put(tensors, leaf)
    try:
        outputs = op(**tensors)
        outputs = list(outputs) if isinstance(outputs, tuple | list) else [outputs]
        given = draw_upstream([o._array for o in outputs])
        parts = [g for g, p in zip(gradients(op, apart, given), recorded.places, strict=True) if p in same]
    except TinygradError:
        return  # these inputs can't be the same
    roots = [(o, wrap(u)) for o, u in zip(outputs, given, strict=True) if o._edge is not None]
    (both,) = grad([o for o, _ in roots], [leaf], [u for _, u in roots])
    where = "with the same Tensor for " + " and ".join(f"`{p}`" for p in same)
    known: dict[str, Any] = dict(argument=str(same[0]), where=where, label="sum of both")
    compare(op, apart, both._array, np.asarray(sum(parts)), property="memory", rtol=1e-9, atol=1e-10, **known)


def layouts(op: Op, arguments: Arguments) -> None:
    """Where the inputs' elements lie in memory makes no difference to results and gradients."""
    upstream = draw_upstream(run(op, arguments))
    base = _results(op, map_arrays(op, arguments, np.copy), upstream)
    ndim = max((p.of(arguments).ndim for p in places(op, arguments)), default=0)
    for name in ("strided", "transposed", "channels_last", "reversed")[: 4 if ndim else 0]:
        if ndim < {"transposed": 2, "channels_last": 3}.get(name, 1):
            continue  # the same as contiguous, or transposed
        layout = memory_layouts.LAYOUTS[name]
        given = map_arrays(op, arguments, lambda a: np.asarray(layout(a)))
        _check_layout(op, given, base, upstream, f"with inputs that are {name.replace('_', ' ')} in memory")
    repeated = map_arrays(op, arguments, memory_layouts.broadcast)
    base = _results(op, map_arrays(op, repeated, np.copy), upstream)
    _check_layout(op, repeated, base, upstream, "with inputs of stride 0 (broadcast)")


def _results(op: Op, arguments: Arguments, upstream: Sequence[np.ndarray]) -> tuple[list[Place], list[Any]] | None:
    try:
        recorded = Recorded(op, arguments)
    except TinygradError as error:
        if error.__cause__ is None:
            return None  # values of this kind are refused
        raise
    if [a.shape for a in recorded.arrays] != [u.shape for u in upstream]:
        return recorded.places, recorded.arrays
    return recorded.places, [*recorded.arrays, *recorded.gradients(upstream)]


def _check_layout(
    op: Op,
    arguments: Arguments,
    base: tuple[list[Place], list[Any]] | None,
    upstream: Sequence[np.ndarray],
    where: str,
) -> None:
    if base is None:
        return
    found = _results(op, arguments, upstream)
    assert found is not None, f"{op.name} refuses {where}"
    arrays = len(base[1]) - len(base[0]) if len(base[1]) > len(base[0]) else len(base[1])
    names: list[Place | None] = [*[None] * arrays, *base[0]]
    for place, now, then in zip(names, found[1], base[1], strict=False):
        if now is None or then is None or np.array_equal(now, then):
            continue
        size = float(np.abs(then[np.isfinite(then)]).max(initial=0.0)) if is_floating(np.asarray(then)) else 0.0
        known: dict[str, Any] = dict(argument="" if place is None else str(place), place=place, where=where)
        known.update(label="contiguous", upstream=upstream if place else ())
        compare(op, arguments, now, then, property="layouts", rtol=1e-9, atol=1e-10 * (1 + size), **known)


def empty(op: Op, arguments: Arguments) -> None:
    """A batch without elements gives a result without elements, or is refused in words; so for 0-d elementwise."""
    failures = [_failure(op, cut) for cut in _without_rows(op, arguments)]
    if failures and None not in failures:
        raise failures[0]  # type: ignore[misc]  # None is not among them
    if op.elementwise is not None and all(p.of(arguments).size for p in places(op, arguments)):
        error = _failure(op, map_arrays(op, arguments, lambda a: np.asarray(a.flat[0])), "with 0-d inputs")
        if error is not None:
            raise error


def _without_rows(op: Op, arguments: Arguments) -> list[Arguments]:
    """The arguments with no elements along dimension 0: of the first input, and of all that are as long.

    Only those that the op would take with many times as many: else the length is bound to other arguments.
    """
    inputs = [p for p in places(op, arguments) if p.of(arguments).ndim]
    if not inputs or op.variadic:
        return []
    length = len(inputs[0].of(arguments))
    as_long = [p for p in inputs if len(p.of(arguments)) == length]
    alike = [p for p in as_long if p.of(arguments).ndim == inputs[0].of(arguments).ndim]
    found = []
    for cut in unique(inputs[:1], alike, as_long):
        none = more = dict(arguments)
        for place in cut:
            array = place.of(arguments)
            none, more = place.put(none, array[:0]), place.put(more, np.concatenate([array] * MANY))
        try:
            longer = Recorded(op, more)
            longer.gradients(draw_upstream(longer.arrays))
        except Exception:
            continue
        found.append(none)
    return found


def unique(*items: Any) -> list[Any]:
    """The items without repetitions."""
    found: list[Any] = []
    for item in items:
        if item not in found:
            found.append(item)
    return found


def _failure(op: Op, arguments: Arguments, where: str = "with a batch of 0") -> ConformanceError | None:
    """What is wrong with the op on these arguments; nothing if it refuses them in words."""
    try:
        recorded = Recorded(op, arguments)
        results = recorded.gradients(draw_upstream(recorded.arrays))
    except IndexRangeError:
        return None  # there is no such index in nothing
    except Exception as error:
        if isinstance(error, TinygradError) and error.__cause__ is None:
            return None
        why = f"It fails in NumPy ({type(error).__name__}: {error}). Handle it, or refuse it in the op's check."
        cause = Cause("zero-size input", why)
        return ConformanceError(Finding(property="empty", op=op, arguments=arguments, given=cause, where=where))
    try:
        for place, gradient in zip(recorded.places, results, strict=True):
            shape = place.of(arguments).shape
            known = dict(property="empty", argument=str(place), label="its input's", where=where)
            compare(op, arguments, np.zeros(fitted(op, gradient, shape).shape), np.zeros(shape), **known)
        for found, want in zip(recorded.arrays, _defined(op, arguments, recorded.arrays), strict=True):
            compare(op, arguments, found, want, property="empty", label="reference", where=where, rtol=1e-9, atol=1e-10)
    except ConformanceError as error:
        return error
    return None


def _defined(op: Op, arguments: Arguments, results: list[np.ndarray]) -> list[np.ndarray]:
    """What the reference gives. Only for results without elements: else its loops needn't be defined, or end."""
    if op._reference is None or any(r.size for r in results):
        return results
    try:
        defined = run(op, arguments, op._reference)
    except Exception:
        return results
    return [d if d.ndim == r.ndim else r for d, r in zip(defined, results, strict=True)]  # np.array([]) has one


def without_grad(op: Op, arguments: Arguments) -> None:
    """Under ``no_grad``, and for inputs that need no gradient, nothing is recorded and the values are the same."""
    recorded = Recorded(op, arguments)
    plain = op(**map_arrays(op, arguments, wrap))
    leaves: Arguments = dict(map_arrays(op, arguments, wrap))
    for place in recorded.places:
        leaves = place.put(leaves, wrap(place.of(arguments)).requires_grad_())
    with no_grad():
        quiet = op(**leaves)
    for where, result in (("under no_grad", quiet), ("for inputs that need no gradient", plain)):
        results: list[Tensor] = list(result) if isinstance(result, tuple | list) else [result]
        for out, want in zip(results, recorded.arrays, strict=True):
            if out.requires_grad or out.grad_fn is not None:
                why = "Nobody will ask for a gradient here, and what is recorded is kept in memory."
                refuse(op, arguments, Cause("recorded under no_grad", why), property="no_grad", where=where)
            known = dict(property="no_grad", label="recorded", where=where, rtol=0.0, atol=0.0)
            compare(op, arguments, out._array, want, **known)


def repeat(op: Op, arguments: Arguments) -> None:
    """Two runs on the same values agree bit for bit."""
    runs = []
    for _ in range(2):
        recorded = Recorded(op, map_arrays(op, arguments, np.copy))
        results = [a.copy() for a in recorded.arrays]
        runs.append((results, [None if g is None else np.copy(g) for g in recorded.gradients(draw_upstream(results))]))
    why = "Two runs on the same values differ: it draws random numbers without a seed of its own, or keeps a state."
    cause = Cause("nondeterministic", why)
    (first, first_gradients), (second, second_gradients) = runs
    for now, before in zip(second, first, strict=True):
        _same(op, arguments, now, before, cause, property="repeat", label="first run")
    for place, later, earlier in zip(recorded.places, second_gradients, first_gradients, strict=True):
        if earlier is not None:
            _same(op, arguments, later, earlier, cause, property="repeat", label="first run", argument=str(place))


def refusals(op: Op, arguments: Arguments | None = None) -> None:
    """Each call that the op declares to refuse raises the declared error, with the declared sentence."""
    for error, sentence, declared in op.refusals:
        given = dict(declared)
        for name in op.inputs:
            if isinstance(given.get(name), tuple):
                given[name] = np.ones(given[name])
            elif isinstance(given.get(name), list):
                given[name] = [np.ones(v) if isinstance(v, tuple) else v for v in given[name]]
        known: dict[str, Any] = dict(property="refusals")
        expected = f"{error.__name__}: ...{sentence}..."
        try:
            op(**map_arrays(op, given, wrap))
        except Exception as raised:
            if not isinstance(raised, error):
                why = f"Declared: {expected} Raised: {type(raised).__name__}: {raised}"
                refuse(op, given, Cause("another error type", why), **known)
            if sentence not in str(raised):
                why = f"Declared: {expected} Raised: {type(raised).__name__}: {raised}"
                refuse(op, given, Cause("another sentence", why), **known)
            if raised.__cause__ is not None:
                why = f"NumPy fails ({raised.__cause__}) before the op's check speaks."
                refuse(op, given, Cause("refused by NumPy", why), **known)
        else:
            why = f"Declared: {expected} Nothing was raised: the op's check lets these arguments pass."
            refuse(op, given, Cause("not refused", why), **known)
