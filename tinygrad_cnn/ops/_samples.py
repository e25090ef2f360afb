"""Sample families that several ops share. ``draw`` is the kit's drawing tool (see ``tinygrad_cnn.testing``)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.backend import Array

Sampler = Callable[[Any], dict[str, Any]]


def unary(low: float = -1.0, high: float = 1.0, away_from: tuple[float, ...] = (), **settings: Any) -> Sampler:
    """One input of any shape with values in [low, high], at a distance from the kinks ``away_from``."""
    return lambda draw: dict(input=draw.array(draw.shape(), low, high, away_from=away_from), **settings)


def binary(
    first: tuple[float, float] = (-1.0, 1.0),
    second: tuple[float, float] = (-1.0, 1.0),
    names: tuple[str, str] = ("input", "other"),
) -> Sampler:
    """Two inputs whose shapes broadcast together."""

    def sample(draw: Any) -> dict[str, Any]:
        a, b = draw.broadcastable_shapes(2)
        return {names[0]: draw.array(a, *first), names[1]: draw.array(b, *second)}

    return sample


def reduction(distinct: bool = False, single: bool = False, **settings: Any) -> Sampler:
    """One input, the dimensions to reduce (``single``: one or all) and ``keepdim``; ``distinct``: without ties."""

    def sample(draw: Any) -> dict[str, Any]:
        shape = draw.shape()
        one = draw.dim(len(shape))
        dim = draw.choice([one, None] if single or len(shape) < 2 else [one, None, (-1, 0)])
        array = draw.distinct(shape) if distinct else draw.array(shape)
        return dict(input=array, dim=dim, keepdim=draw.boolean(), **settings)

    return sample


def offset_integers(draw: Any, shape: tuple[int, ...], low: int, high: int, offset: float) -> Array:
    """float64 integers plus ``offset``: at a known distance from each jump of floor, and from other offsets."""
    return np.asarray(draw.integers(shape, low, high) + offset)


def or_integers(sample: Sampler) -> Sampler:
    """As ``sample``, but in one case of four integers stand for the floating numbers: none is 0, some are alike."""

    def drawn(draw: Any) -> dict[str, Any]:
        arguments = sample(draw)
        if draw.integer(0, 3) < 3:
            return arguments

        def whole(value: Any) -> Any:
            if isinstance(value, list):
                return [whole(v) for v in value]
            if not isinstance(value, np.ndarray) or value.dtype.kind != "f":
                return value
            return np.asarray(np.take([1, -1, 2, -2, 3, -3], draw.integers(value.shape, 0, 5)))

        return {name: whole(value) for name, value in arguments.items()}

    return drawn


def or_defaults(sample: Sampler, *names: str) -> Sampler:
    """As ``sample``, but in one case of four without these arguments: the reference has defaults of its own."""

    def drawn(draw: Any) -> dict[str, Any]:
        arguments = sample(draw)
        return arguments if draw.integer(0, 3) < 3 else {k: v for k, v in arguments.items() if k not in names}

    return drawn


def or_numbers(sample: Sampler, names: Sequence[str] = ("input", "other")) -> Sampler:
    """As ``sample``, but in one case of four a Python number stands for one of these arrays."""

    def drawn(draw: Any) -> dict[str, Any]:
        arguments = sample(draw)
        if draw.integer(0, 3) == 3:
            name = draw.choice(names)
            if isinstance(arguments[name], np.ndarray):
                arguments[name] = arguments[name].flat[0].item()
        return arguments

    return drawn
