"""Modules that are put together from others, under PyTorch's names; and stand-ins for what isn't here."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any, NoReturn

from tinygrad_cnn.errors import MissingAttributeError, UnsupportedError
from tinygrad_cnn.nn import Module


class Facade(types.ModuleType):
    """A module with the names of ``sources``, later ones covering earlier ones, and then those of ``extras``."""

    def __init__(self, name: str, *sources: types.ModuleType, **extras: Any) -> None:
        super().__init__(name, f"What a script finds under the name {name}: see tinygrad_cnn.compat.")
        self.__path__: list[str] = []  # it may have submodules; none are on disk
        self.__file__ = __file__  # which Python names when "from torch import name" finds no such name
        for source in sources:
            own = {name: getattr(source, name) for name in dir(source) if not name.startswith("__")}
            self.__dict__.update({k: v for k, v in own.items() if not _is_foreign(v, source)})
        self.__dict__.update(extras)

    def __getattr__(self, name: str) -> NoReturn:
        raise MissingAttributeError(f"{self.__name__}.{name} isn't part of tinygrad_cnn", name=name, obj=self)


def _is_foreign(value: Any, source: types.ModuleType) -> bool:
    """Whether ``value`` is a module that ``source`` has only imported."""
    return isinstance(value, types.ModuleType) and not value.__name__.startswith(source.__name__)


class Bag(types.ModuleType):
    """A module of settings that change nothing here, such as ``torch.backends.cudnn``; they read as they were set."""

    def __init__(self, name: str, **values: Any) -> None:
        super().__init__(name, "Settings that mean nothing without a GPU: they can be set and read.")
        self.__path__: list[str] = []
        self.__dict__.update(values)


def nothing(*args: Any, **kwargs: Any) -> None:
    """Do nothing, as there is nothing to do without a GPU, a compiler or other processes."""


def no(*args: Any, **kwargs: Any) -> bool:
    """False, whatever is asked."""
    return False


def same(value: Any = None, *args: Any, **kwargs: Any) -> Any:
    """The first argument as it is; without one, or with settings only, the decorator that does that."""
    return same if value is None else value


def refuse(name: str, why: str = "it isn't part of tinygrad_cnn") -> Callable[..., NoReturn]:
    """A function that can be imported, and raises UnsupportedError when it is called."""

    def function(*args: Any, **kwargs: Any) -> NoReturn:
        raise UnsupportedError(f"{name}: can't be honoured: {why}")

    function.__name__ = function.__qualname__ = name.rpartition(".")[2]
    return function


def missing_layer(name: str) -> type[Module]:
    """A class that can be named in ``isinstance`` and imports, and raises UnsupportedError when it is made."""

    def __init__(self: Any, *args: Any, **kwargs: Any) -> None:
        raise UnsupportedError(f"{name}: can't be honoured: it isn't among the layers of tinygrad_cnn")

    return type(name, (Module,), {"__init__": __init__, "__doc__": f"Stands for PyTorch's {name}, which isn't here."})


def missing_class(name: str, why: str = "it isn't part of tinygrad_cnn") -> type:
    """As ``missing_layer``, for what is no layer."""
    refusal = refuse(name, why)
    return type(name.rpartition(".")[2], (), {"__init__": lambda self, *args, **kwargs: refusal()})
