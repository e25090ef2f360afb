"""A function on Tensors at one point: recorded once for backward, evaluated many times nearby for differences."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import enable_grad, grad, no_grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, ContradictionError, GraphError
from tinygrad_cnn.testing.numerical import (
    ComplexStepError,
    Differences,
    complex_jacobian,
    differences,
    differences_along,
    join,
)


def as_tuple(value: Any) -> tuple[Any, ...]:
    """The items of a tuple or list; anything else alone in a tuple."""
    return tuple(value) if isinstance(value, tuple | list) else (value,)


class Probe:
    """``func`` at ``inputs``. Jacobians have a row for each element of an input that requires grad, in order, and a
    column for each element of an output that does.

    The inputs themselves are moved, in place, and put back, as PyTorch does it: a function that reaches them another
    way, as ``lambda *_: model(x)`` reaches the model's parameters, is checked too.
    """

    def __init__(self, func: Callable[..., Any], inputs: tuple[Any, ...]) -> None:
        self.func, self.inputs = func, inputs
        self.wanted = [i for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
        self.tensors: list[Tensor] = [inputs[i] for i in self.wanted]
        self.arrays = [x._array for x in self.tensors]
        before = [a.copy() for a in self.arrays]
        with enable_grad():
            results = self._call(inputs)
        for i, array, held in zip(self.wanted, self.arrays, before, strict=True):
            if not np.array_equal(array, held, equal_nan=True):
                raise GraphError(f"gradcheck: the function overwrites its input {i}; let it work on a clone()")
        self.places = [i for i, out in enumerate(results) if out.requires_grad]
        self.outputs = [results[i] for i in self.places]
        self._seen = self.places or [i for i, out in enumerate(results) if out.is_floating_point()]
        self._forms = [(out._array.shape, out._array.dtype) for out in results]
        self.base = self._flat([r._array for r in results]).astype(np.float64)
        self._versions = [x._counter[0] for x in self.tensors]
        self._evaluations = 0
        self._recording = False
        self._recording = not self._agrees_unrecorded()

    def _call(self, inputs: Sequence[Any]) -> tuple[Any, ...]:
        results = as_tuple(self.func(*inputs))
        for result in results:
            if not isinstance(result, Tensor):
                raise ArgumentTypeError(
                    f"gradcheck: the function must return a Tensor or a tuple of Tensors, got {type(result).__name__}"
                )
        return results

    def _agrees_unrecorded(self) -> bool:
        """Whether the differences may do without recording: not for a function that calls backward itself."""
        try:
            return np.array_equal(self.evaluate(), self.base, equal_nan=True)
        except Exception:  # whatever it is: recording, it has just worked
            return False

    def _flat(self, arrays: Sequence[np.ndarray]) -> np.ndarray:
        return np.concatenate([arrays[i].reshape(-1) for i in self._seen] or [np.empty(0)])

    def evaluate(self) -> np.ndarray:
        """Every output element, of what the inputs hold now."""
        self._evaluations += 1
        for tensor, version in zip(self.tensors, self._versions, strict=True):
            tensor._counter[0] = version + self._evaluations  # for whoever keeps something made of the values
        try:
            with enable_grad() if self._recording else no_grad():
                results = self._call(self.inputs)
        finally:
            for tensor, version in zip(self.tensors, self._versions, strict=True):
                tensor._counter[0] = version
        for result, (shape, dtype) in zip(results, self._forms, strict=True):
            for name, before, now in (("shape", shape, result._array.shape), ("dtype", dtype, result._array.dtype)):
                if before != now:
                    raise ContradictionError(
                        f"Expected `func` to return outputs with the same {name} when inputs are perturbed, but got: "
                        f"{name}s {before} and {now}."
                    )
        return self._flat([r._array for r in results]).astype(np.float64)

    # ---- numerical
    def differences(self, eps: float) -> Differences:
        """Each element of each input moved by ``eps``, both ways."""
        return join([differences(self.evaluate, a, eps, self.base) for a in self.arrays], self.base)

    def differences_at(self, rows: np.ndarray, eps: float) -> Differences:
        """As ``differences``, for these rows alone."""
        parts = []
        for array, start in zip(self.arrays, self.starts, strict=True):
            own = rows[(rows >= start) & (rows < start + array.size)] - start
            parts.append(differences(self.evaluate, array, eps, self.base, own.tolist()))
        return join(parts, self.base)

    def differences_along(self, direction: np.ndarray, eps: float) -> Differences:
        """All elements moved at once, by ``eps`` times ``direction``: one row."""
        ways = [
            direction[start : start + a.size].reshape(a.shape)
            for a, start in zip(self.arrays, self.starts, strict=True)
        ]
        return differences_along(self.evaluate, self.arrays, ways, eps, self.base)

    def complex_jacobian(self, real: Differences) -> np.ndarray:
        """The Jacobian by the complex step, on plain arrays or on Tensors, whichever the function takes.

        Raises ComplexStepError if it takes complex numbers neither way, or isn't analytic.
        """
        arrays = [a.astype(np.complex128) for a in self.arrays]
        plain = [x._array if isinstance(x, Tensor) else x for x in self.inputs]
        for i, array in zip(self.wanted, arrays, strict=True):
            plain[i] = array

        def on_arrays() -> np.ndarray:
            return self._flat([np.asarray(r) for r in as_tuple(self.func(*plain))])

        def on_tensors() -> np.ndarray:
            try:
                for tensor, array in zip(self.tensors, arrays, strict=True):
                    tensor._array = array
                return self._flat([r._array for r in as_tuple(self.func(*self.inputs))])
            finally:
                for tensor, array in zip(self.tensors, self.arrays, strict=True):
                    tensor._array = array

        with no_grad(), np.errstate(all="ignore"):
            try:
                return complex_jacobian(on_arrays, arrays, real)
            except ComplexStepError:
                return complex_jacobian(on_tensors, arrays, real)

    @contextmanager
    def moved(self, direction: np.ndarray) -> Iterator[None]:
        """All inputs moved by ``direction``, for the differences inside."""
        held = [a.copy() for a in self.arrays]
        try:
            for array, start in zip(self.arrays, self.starts, strict=True):
                array += direction[start : start + array.size].reshape(array.shape)
            yield
        finally:
            for array, before in zip(self.arrays, held, strict=True):
                array[...] = before

    # ---- analytical
    def backward(self, upstream: Sequence[np.ndarray | None]) -> np.ndarray:
        """The gradients of all inputs, flat, for one upstream an output; None sends nothing through that output."""
        chosen = [(o, v) for o, v in zip(self.outputs, upstream, strict=True) if v is not None]
        found = grad(
            [o for o, _ in chosen],
            self.tensors,
            [wrap(v.astype(o._array.dtype)) for o, v in chosen],
            allow_unused=True,
            retain_graph=True,
        )
        return np.concatenate(
            [
                np.zeros(x._array.size) if g is None else g._array.reshape(-1)
                for g, x in zip(found, self.tensors, strict=True)
            ]
        ).astype(np.float64)

    def jacobian(self) -> np.ndarray:
        """The analytical Jacobian: one backward pass an output element."""
        columns = []
        for position, out in enumerate(self.outputs):
            upstream: list[np.ndarray | None] = [None] * len(self.outputs)
            for element in range(out._array.size):
                unit = np.zeros(out._array.size)
                unit[element] = 1
                upstream[position] = unit.reshape(out._array.shape)
                columns.append(self.backward(upstream))
        return np.array(columns).reshape(len(columns), sum(a.size for a in self.arrays)).T

    def split(self, flat: np.ndarray) -> list[np.ndarray]:
        """A flat upstream as one array an output."""
        ends = np.cumsum([out._array.size for out in self.outputs])[:-1]
        parts = np.split(flat, ends)
        return [part.reshape(out._array.shape) for part, out in zip(parts, self.outputs, strict=True)]

    # ---- places
    @property
    def starts(self) -> list[int]:
        """The first row of each input."""
        return [0, *np.cumsum([a.size for a in self.arrays]).tolist()][: len(self.arrays)]

    def row_place(self, row: int) -> tuple[int, tuple[int, ...]]:
        """The input, as an index of ``inputs``, and the index in it, that a row stands for."""
        position = int(np.searchsorted(self.starts, row, side="right")) - 1
        index = np.unravel_index(row - self.starts[position], self.arrays[position].shape)
        return self.wanted[position], tuple(int(i) for i in index)

    def column_place(self, column: int) -> tuple[int, tuple[int, ...]]:
        """The output, and the index in it, that a column stands for."""
        ends = np.cumsum([out._array.size for out in self.outputs])
        position = int(np.searchsorted(ends, column, side="right"))
        array = self.outputs[position]._array
        index = np.unravel_index(column - (ends[position] - array.size), array.shape)
        return self.places[position], tuple(int(i) for i in index)
