"""Drawing arguments: the ``draw`` that an op's ``samples`` gets.

Everything is derived from one primitive, an integer in a range, so that hypothesis can shrink a failing case, and
a plain random generator can draw one without hypothesis.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple, Protocol, TypeVar

import numpy as np

T = TypeVar("T")


class Source(Protocol):
    """Where the integers come from."""

    def integer(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        ...


class RandomSource:
    """Integers from a seeded generator.

    >>> Draw(RandomSource(0)).shape() == Draw(RandomSource(0)).shape()
    True
    """

    def __init__(self, seed: int) -> None:
        self.generator = np.random.default_rng(seed)

    def integer(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return int(self.generator.integers(low, high + 1))


class HypothesisSource:
    """Integers drawn by hypothesis, which shrinks them towards ``low``.

    ``data`` is what ``strategies.data()`` gives a test, or the ``draw`` that a composite strategy gets.
    """

    def __init__(self, data: Any) -> None:
        from hypothesis.strategies import integers

        self._draw, self._integers = getattr(data, "draw", data), integers

    def integer(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return int(self._draw(self._integers(low, high)))


class Window(NamedTuple):
    """The settings of a convolution or pooling along one dimension, valid by construction."""

    size: int  # of the input
    kernel: int
    stride: int
    padding: int
    dilation: int
    out: int


class Draw:
    """Draws structure (shapes, settings) and values (arrays away from kinks, without ties)."""

    def __init__(self, source: Source) -> None:
        self.source = source

    def integer(self, low: int, high: int) -> int:
        """An integer from ``low`` to ``high``, both included."""
        return self.source.integer(low, high)

    def boolean(self) -> bool:
        """True or False."""
        return bool(self.integer(0, 1))

    def choice(self, options: Sequence[T]) -> T:
        """One of the options; put the simplest first."""
        return options[self.integer(0, len(options) - 1)]

    def shape(self, min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> tuple[int, ...]:
        """A shape with the given numbers of dimensions and sides."""
        return tuple(self.integer(min_side, max_side) for _ in range(self.integer(min_dims, max_dims)))

    def broadcastable_shapes(self, count: int, max_dims: int = 3) -> list[tuple[int, ...]]:
        """Shapes that broadcast together; the result's shape is not always that of the first."""
        full = self.shape(max_dims=max_dims)
        shapes = []
        for _ in range(count):
            kept = full[self.integer(0, len(full)) :] if self.boolean() else full
            shapes.append(tuple(1 if self.integer(0, 3) == 3 else side for side in kept))
        return shapes

    def _seed(self) -> int:
        return self.integer(0, 10_000)

    def _values(self) -> np.random.Generator:
        return np.random.default_rng(self._seed())

    def _uniform(self, shape: tuple[int, ...], low: float, high: float) -> np.ndarray:
        seed, count = self._seed(), math.prod(shape)
        if seed == 0 and count <= 100:  # where hypothesis shrinks to: short decimals, all of different sizes
            steps = (np.arange(count) * 37 + 70) % 100
            return np.round(low + (high - low) * (steps + 0.3) / 100, 6).reshape(shape)
        return np.asarray(np.random.default_rng(seed).uniform(low, high, shape))

    def array(
        self,
        shape: tuple[int, ...],
        low: float = -1.0,
        high: float = 1.0,
        away_from: Sequence[float] = (),
        margin: float = 0.1,
    ) -> np.ndarray:
        """float64 values in [low, high], at least ``margin`` away from each of the kinks ``away_from``."""
        values = self._uniform(shape, low, high)
        for kink in away_from:
            near = np.abs(values - kink) < margin
            side = np.where(values >= kink, 1.0, -1.0)
            values = np.asarray(np.where(near, kink + side * (margin + np.abs(values - kink)), values))
        return values

    def distinct(self, shape: tuple[int, ...], low: float = -1.0, high: float = 1.0) -> np.ndarray:
        """float64 values in [low, high], well spaced, no two alike: for max, sort, pooling, batch norm."""
        count = int(np.prod(shape))
        return self._values().permutation(np.linspace(low, high, count)).reshape(shape)

    def integers(self, shape: tuple[int, ...], low: int, high: int) -> np.ndarray:
        """An int64 array with elements from ``low`` to ``high``, both included: labels, indices."""
        return np.asarray(self._values().integers(low, high + 1, shape))

    def mask(self, shape: tuple[int, ...]) -> np.ndarray:
        """A boolean array."""
        return np.asarray(self._values().random(shape) < 0.5)

    def dim(self, ndim: int) -> int:
        """A dimension of a tensor with ``ndim`` of them, counted from the front or from the back."""
        return self.integer(0, 2 * ndim - 1) - ndim if ndim else 0

    def window(
        self, max_kernel: int = 3, max_out: int = 3, max_dilation: int = 2, max_padding: int | None = None
    ) -> Window:
        """Settings of a window, built forward from the output's size, so that none needs to be thrown away.

        ``max_padding`` is half the kernel if not given, which is as far as pooling goes.
        """
        kernel = self.integer(1, max_kernel)
        stride = self.integer(1, 3)
        dilation = self.integer(1, max_dilation)
        padding = self.integer(0, kernel // 2 if max_padding is None else max_padding)
        out = self.integer(1, max_out)
        slack = self.integer(0, stride - 1)  # the floor rule leaves these pixels out
        padded = (out - 1) * stride + dilation * (kernel - 1) + 1 + slack
        padding = min(padding, (padded - 1) // 2)  # at least one pixel is the image's own
        return Window(padded - 2 * padding, kernel, stride, padding, dilation, out)
