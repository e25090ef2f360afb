"""Models by name, for the command line and for configuration files."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import Module

__all__ = ["get_model", "list_models", "register_model"]

F = TypeVar("F", bound=Callable[..., Module])
_models: dict[str, Callable[..., Module]] = {}


def register_model(name: str) -> Callable[[F], F]:
    """A decorator that makes a model class, or a function that builds a model, known under ``name``."""

    def register(builder: F) -> F:
        if name in _models:
            raise ArgumentError(f"register_model: {name!r} is taken by {_models[name]}; choose another name")
        _models[name] = builder
        return builder

    return register


def get_model(name: str, **config: Any) -> Module:
    """A new model by its name, built with ``config``. ArgumentError if there is none.

    >>> len(list(get_model("lenet5", output_size=5).parameters()))
    10
    """
    if name.lower() not in _models:
        raise ArgumentError(f"get_model: unknown model {name!r}; known: {', '.join(list_models())}")
    return _models[name.lower()](**config)


def list_models() -> list[str]:
    """The names that ``get_model`` knows, in alphabetical order.

    >>> "simple_conv_net" in list_models()
    True
    """
    return sorted(_models)
