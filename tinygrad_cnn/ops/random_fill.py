"""Filling tensors with random numbers in place: ``x.normal_()`` and its family."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.tensor import Tensor, as_array, check_overwritable, wrap
from tinygrad_cnn.backend import Generator, as_dtype
from tinygrad_cnn.errors import DTypeError, ShapeError
from tinygrad_cnn.ops.inplace import is_recorded, write
from tinygrad_cnn.ops.random import draw_bernoulli, draw_integers, draw_normal, draw_uniform, overwrite, source_of


def _filler(draw: Callable[..., np.ndarray]) -> Callable[..., np.ndarray]:
    """Make ``draw(shape, dtype, generator, ...)`` a Tensor method that overwrites the tensor with what is drawn."""
    name = draw.__name__

    def method(self: Tensor, *args: Any, generator: Generator | None = None, **settings: Any) -> Tensor:
        recorded, array = is_recorded(self), self._array
        if "from" in settings:  # a keyword of Python, so it comes as random_(**{"from": 1})
            settings["from_"] = settings.pop("from")
        if recorded:
            check_overwritable(self, name)
        values = draw(array.shape, array.dtype, generator, *args, **settings)
        if recorded:
            values = np.asarray(values).astype(array.dtype, copy=False)
            return self._assign(overwrite, name, (wrap(values),), {})
        write(self, ..., values)
        return self

    method.__name__, method.__doc__ = name, draw.__doc__
    tensor_method(method)
    return draw


@_filler
def uniform_(shape: Any, dtype: Any, generator: Any, from_: float = 0.0, to: float = 1.0) -> np.ndarray:
    """Overwrite with uniform numbers in [from, to)."""
    if from_ > to:
        raise ShapeError(f"uniform_ expects to return a [from, to) range, but found from={from_} > to={to}")
    drawn = draw_uniform(shape, dtype, generator)
    drawn *= to - from_
    drawn += from_
    return drawn


@_filler
def normal_(shape: Any, dtype: Any, generator: Any, mean: float = 0.0, std: float = 1.0) -> np.ndarray:
    """Overwrite with normal numbers."""
    if std < 0:
        raise ShapeError(f"normal_ expects std >= 0.0, but found std {std}")
    drawn = draw_normal(shape, dtype, generator)
    drawn *= std
    drawn += mean
    return drawn


@_filler
def log_normal_(shape: Any, dtype: Any, generator: Any, mean: float = 1.0, std: float = 2.0) -> np.ndarray:
    """Overwrite with e to the power of normal numbers."""
    if std <= 0:
        raise ShapeError(f"log_normal_ expects std > 0.0, but found std={std}")
    return np.asarray(np.exp(normal_(shape, dtype, generator, mean, std)))


@_filler
def bernoulli_(shape: Any, dtype: Any, generator: Any, p: Any = 0.5) -> np.ndarray:
    """Overwrite with 1 with probability ``p`` (a number, or a Tensor that broadcasts), else 0."""
    return draw_bernoulli(as_array(p), shape, generator, "bernoulli_")


@_filler
def exponential_(shape: Any, dtype: Any, generator: Any, lambd: float = 1.0) -> np.ndarray:
    """Overwrite with numbers of the exponential distribution with rate ``lambd``."""
    if lambd <= 0:
        raise ShapeError(f"exponential_ expects lambda > 0.0, but found lambda={lambd}")
    if dtype.kind != "f":
        raise DTypeError(f"exponential_: expected a floating tensor, got {as_dtype(dtype)}")
    wide = np.float64 if dtype.itemsize == 8 else np.float32
    return np.asarray(source_of(generator, "exponential_").standard_exponential(shape, wide) / wide(lambd))


@_filler
def cauchy_(shape: Any, dtype: Any, generator: Any, median: float = 0.0, sigma: float = 1.0) -> np.ndarray:
    """Overwrite with numbers of the Cauchy distribution."""
    if sigma <= 0:
        raise ShapeError(f"cauchy_ expects sigma > 0.0, but found sigma={sigma}")
    if dtype.kind != "f":
        raise DTypeError(f"cauchy_: expected a floating tensor, got {as_dtype(dtype)}")
    return np.asarray(median + sigma * source_of(generator, "cauchy_").standard_cauchy(shape))


@_filler
def geometric_(shape: Any, dtype: Any, generator: Any, p: float) -> np.ndarray:
    """Overwrite with the number of trials up to the first success, each succeeding with probability ``p``."""
    if not 0 < p < 1:
        raise ShapeError(f"geometric_ expects p to be in (0, 1), but got p={p}")
    return np.asarray(source_of(generator, "geometric_").geometric(p, shape))


@_filler
def random_(shape: Any, dtype: Any, generator: Any, from_: int | None = None, to: int | None = None) -> np.ndarray:
    """Overwrite with integers: ``random_(to)``, ``random_(from, to)``, or any that the dtype holds exactly."""
    if to is None and from_ is not None:
        from_, to = None, from_
    if to is None:
        to = (
            2 ** (np.finfo(dtype).nmant + 1) + 1
            if dtype.kind == "f"
            else 2
            if dtype.kind == "b"
            else np.iinfo(dtype).max
        )
    return draw_integers(from_ or 0, to, shape, dtype, generator, "random_")
