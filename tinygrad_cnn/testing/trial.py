"""One module in one mode, run again and again from the same state; its derivatives against numerical ones."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import enable_grad, grad, no_grad, set_grad_enabled
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import Generator, default_generator
from tinygrad_cnn.ops.random import manual_seed
from tinygrad_cnn.testing.explain import explain

EPS = 1e-6


def flatten(result: Any) -> list[Tensor]:
    """The Tensors of an output: of tuples, lists and dicts as well."""
    if isinstance(result, dict):
        result = list(result.values())
    if isinstance(result, list | tuple):
        return [tensor for part in result for tensor in flatten(part)]
    return [result] if isinstance(result, Tensor) else []


def named_arrays(named: Iterable[tuple[str, Tensor]]) -> dict[str, np.ndarray]:
    """Copies of named parameters or buffers."""
    return {name: tensor._array.copy() for name, tensor in named}


class Trial:
    """A module that is set back before each run: buffers, attributes, generators of its own, the default generator."""

    def __init__(self, module: Any, inputs: tuple[Any, ...], seed: int) -> None:
        self.module, self.seed = module, seed
        names = [
            p.name for p in inspect.signature(module.forward).parameters.values() if p.kind <= p.POSITIONAL_OR_KEYWORD
        ]
        weights = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.inputs: dict[str, Any] = {}  # Tensors by the names of forward's parameters, copies of what was given
        for i, value in enumerate(inputs):
            name = names[i] if i < len(names) and names[i] not in weights else f"input {i}"
            self.inputs[name] = wrap(value.copy()) if isinstance(value, np.ndarray) else value
        floats = {name: x for name, x in self.inputs.items() if isinstance(x, Tensor) and x.is_floating_point()}
        self.leaves: dict[str, Tensor] = {name: x.requires_grad_() for name, x in floats.items()} | weights
        manual_seed(seed)
        self._seeded = default_generator.get_state_bytes()
        self._state = [
            (
                part,
                dict(vars(part)),
                {name: None if b is None else b.detach().clone() for name, b in part._buffers.items()},
                [(g, g.get_state_bytes()) for g in vars(part).values() if isinstance(g, Generator)],
            )
            for part in module.modules()
        ]

    def _reset(self) -> None:
        for part, fields, buffers, generators in self._state:
            vars(part).clear()
            vars(part).update(fields)
            part._buffers.update({name: None if b is None else b.clone() for name, b in buffers.items()})
            for generator, state in generators:
                generator.set_state_bytes(state)
        manual_seed(self.seed)

    # ------------------------------------------------------------------------------------------- running
    def run(self, clone: bool = True) -> list[Tensor]:
        """The outputs. ``clone``: of copies of the inputs, as forward may overwrite no leaf."""
        self._reset()
        inputs = [x.clone() if clone and isinstance(x, Tensor) else x for x in self.inputs.values()]
        return flatten(self.module(*inputs))

    def outputs(self) -> list[np.ndarray]:
        """The outputs' arrays."""
        with no_grad():
            return [out._array.copy() for out in self.run()]

    def draws(self) -> bool:
        """Whether a run draws random numbers."""
        self.outputs()
        generators = [(g, state) for *_, own in self._state for g, state in own]
        return any(g.get_state_bytes() != state for g, state in (*generators, (default_generator, self._seeded)))

    def _upstream(self, outputs: list[Tensor]) -> list[Tensor]:
        rng = np.random.default_rng(self.seed)  # the same in each run
        return [wrap(_away_from_zero(rng, o._array.shape).astype(o._array.dtype)) for o in outputs]

    def gradients(self) -> tuple[dict[str, np.ndarray], bool]:
        """The gradient of each leaf that gets one, as ``backward`` leaves it, and whether the upstream survived."""
        for leaf in self.leaves.values():
            leaf.grad = None
        with enable_grad():
            outputs = [o for o in self.run() if o.requires_grad]
            upstream = self._upstream(outputs)
            before = [u._array.copy() for u in upstream]
            for i, (out, u) in enumerate(zip(outputs, upstream, strict=True)):
                out.backward(u, retain_graph=i < len(outputs) - 1)
        kept = all(np.array_equal(u._array, b) for u, b in zip(upstream, before, strict=True))
        return {name: leaf.grad._array for name, leaf in self.leaves.items() if leaf.grad is not None}, kept

    # --------------------------------------------------------------------------------------- derivatives
    def scalar(self, order: int, create_graph: bool) -> Any:
        """What is differentiated: the outputs, or for order 2 the leaves' gradients, weighted at random and added."""
        outputs = [o for o in self.run() if o.is_floating_point()]
        total = sum((o * u).sum() for o, u in zip(outputs, self._upstream(outputs), strict=True))
        if order == 1 or not isinstance(total, Tensor) or not total.requires_grad:
            return total
        leaves = list(self.leaves.values())
        found = grad(total, leaves, create_graph=create_graph, allow_unused=True)
        pairs = [(f, u) for f, u in zip(found, self._upstream(leaves), strict=True) if f is not None]
        return sum((f * u).sum() for f, u in pairs)

    def value(self, order: int) -> float:
        """The scalar as a number."""
        with set_grad_enabled(order > 1):
            return float(self.scalar(order, create_graph=False))

    def analytic(self, order: int) -> tuple[float, dict[str, np.ndarray]]:
        """The scalar, and its gradient by each leaf: zeros where it doesn't depend on it."""
        with enable_grad():
            total = self.scalar(order, create_graph=True)
        found: Any = [None] * len(self.leaves)
        if isinstance(total, Tensor) and total.requires_grad:
            found = grad(total, list(self.leaves.values()), allow_unused=True)
        return float(total), {
            name: np.zeros(leaf.shape) if f is None else f._array
            for (name, leaf), f in zip(self.leaves.items(), found, strict=True)
        }

    def check_derivatives(self, order: int, claimed: dict[str, np.ndarray], elements: int, **known: Any) -> None:
        """Raise the explanation of the first leaf whose claimed gradient isn't the numerical one."""
        rng = np.random.default_rng(self.seed + 1)
        limits = dict(rtol=known["rtol"], atol=known["atol"])
        for argument, analytic in claimed.items():
            expected = self._numerical(order, self.leaves[argument], analytic, elements, rng, **limits)
            if not np.allclose(analytic, expected, equal_nan=True, **limits):
                raise explain(analytic, expected, argument=argument, **known)

    def _numerical(
        self, order: int, leaf: Tensor, analytic: np.ndarray, elements: int, rng: Any, rtol: float, atol: float
    ) -> np.ndarray:
        """The analytic gradient with the elements that were measured put in their place."""
        expected = analytic.copy()
        places = list(np.ndindex(*leaf.shape))
        chosen = places
        if len(places) > elements:
            chosen = [places[i] for i in rng.choice(len(places), elements, replace=False)]
            direction = rng.normal(size=leaf.shape)
            measured = self._difference(order, leaf, direction * EPS)
            claimed = float((analytic * direction).sum())
            scale = float(np.abs(analytic * direction).sum())
            if not np.isclose(claimed, measured, rtol=rtol, atol=atol + rtol * scale):
                chosen = places  # one of them is wrong, or at a kink: find it
        for place in chosen:
            step = np.zeros(leaf.shape)
            step[place] = EPS
            slope = self._difference(order, leaf, step)
            if not np.isclose(analytic[place], slope, rtol=rtol, atol=atol):
                slope = self._subgradient(order, leaf, step, float(analytic[place]), slope, rtol, atol)
            expected[place] = slope if not np.isclose(analytic[place], slope, rtol=rtol, atol=atol) else analytic[place]
        return expected

    def _moved(self, order: int, leaf: Tensor, step: np.ndarray) -> float:
        kept = leaf._array.copy()
        leaf._array[...] += step
        try:
            return self.value(order)
        finally:
            leaf._array[...] = kept

    def _difference(self, order: int, leaf: Tensor, step: np.ndarray) -> float:
        return (self._moved(order, leaf, step) - self._moved(order, leaf, -step)) / (2 * EPS)

    def _subgradient(
        self, order: int, leaf: Tensor, step: np.ndarray, analytic: float, slope: float, rtol: float, atol: float
    ) -> float:
        """The analytic slope if this is a kink whose two slopes it lies between, else the numerical one."""
        here = self.value(order)
        left, right = ((self._moved(order, leaf, s * step) - here) / (s * EPS) for s in (-1, 1))
        bend = abs(right - left)
        is_kink = bend > 1e-3 * max(1.0, abs(left), abs(right))
        inside = min(left, right) - rtol * bend - atol <= analytic <= max(left, right) + rtol * bend + atol
        return analytic if is_kink and inside else slope


def _away_from_zero(rng: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Random weights of both signs, none small."""
    return np.asarray(rng.uniform(0.5, 1.5, shape) * rng.choice([-1.0, 1.0], shape))
