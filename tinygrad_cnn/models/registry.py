"""Models by name: for the command line, for configuration files, and for weights from a file."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import Module
from tinygrad_cnn.serialization import load

__all__ = ["ModelInfo", "get_model", "list_models", "model_info", "register_model"]

F = TypeVar("F", bound=Callable[..., Module])
M = TypeVar("M", bound=Module)
Weights = str | os.PathLike[str] | None


@dataclass(frozen=True)
class ModelInfo:
    """A model that has a name, and what one must know to train it on images."""

    build: Callable[..., Module]
    parameters: int | None = None  # how many numbers it learns as it is by default; None if nobody has counted
    channels: int = 1  # of its images
    min_size: int = 1  # the height and width below which images should be enlarged
    digits: Mapping[str, Any] = field(default_factory=dict)  # the arguments that fit it to the ten digits
    per_pixel: bool = False  # it scores every pixel, rather than the image


_models: dict[str, ModelInfo] = {}


def register_model(name: str | None = None, **info: Any) -> Callable[[F], F]:
    """A decorator that makes a model class, or a function that builds a model, known under ``name``.

    The name is by default the function's; ``info`` are the fields of ModelInfo.
    """

    def register(builder: F) -> F:
        key = (name or builder.__name__).lower()
        if key in _models:
            raise ArgumentError(f"register_model: {key!r} is taken by {_models[key].build}; choose another name")
        _models[key] = ModelInfo(builder, **info)
        return builder

    return register


def model_info(name: str) -> ModelInfo:
    """What is known of the model of this name. ArgumentError if there is none."""
    if name.lower() not in _models:
        raise ArgumentError(f"get_model: unknown model {name!r}; known: {', '.join(list_models())}")
    return _models[name.lower()]


def get_model(name: str, **config: Any) -> Module:
    """A new model by its name, built with ``config``. ArgumentError if there is none.

    >>> sum(parameter.numel() for parameter in get_model("resnet18", num_classes=10).parameters())
    11181642
    """
    return model_info(name).build(**config)


def list_models() -> list[str]:
    """The names that ``get_model`` knows, in alphabetical order.

    >>> "simple_conv_net" in list_models()
    True
    """
    return sorted(_models)


def with_weights(model: M, weights: Weights) -> M:
    """The model itself, with the state_dict of the file ``weights`` loaded into it; as it is if that is None."""
    if weights is not None:
        model.load_state_dict(load_weights(weights))
    return model


def load_weights(weights: str | os.PathLike[str]) -> dict[str, Any]:
    """The state_dict that a file holds. ArgumentError if there is no such file: nothing is ever downloaded."""
    if not isinstance(weights, str | os.PathLike) or not Path(weights).is_file():
        raise ArgumentError(
            f"weights: expected None or the path of a checkpoint, got {weights!r}, which is no file; there is no hub "
            "to download weights by name from, so download the checkpoint and pass its path"
        )
    state: dict[str, Any] = load(weights)
    return state
