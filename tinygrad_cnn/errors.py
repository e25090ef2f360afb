"""The errors of the library. Each is a subclass of what PyTorch raises in the same place.

A message names the op or the layer's path, the argument, what was expected, what came and what to do.
A layer's path is added on the way up, by every ``Module`` that the error passes through.
"""

from __future__ import annotations

import importlib
import pickle
from types import ModuleType
from typing import Any


class TinygradError(Exception):
    """The common base, so that ``except TinygradError`` catches everything that the library raises itself."""

    path: str = ""  # dotted path of the module that was running, e.g. "classifier.1"
    layer: str = ""  # its class, e.g. "Linear"
    module: Any = None  # the module that the error has passed last on its way up

    def __str__(self) -> str:
        message = super().__str__()
        if not self.path:
            return message
        return f"{self.path}: {message}" if message.startswith(self.layer) else f"{self.path} ({self.layer}): {message}"


class ShapeError(TinygradError, RuntimeError):
    """An array has a shape that the op can't take."""


class DTypeError(TinygradError, RuntimeError):
    """An array has a dtype that the op can't take."""


class UnsupportedDTypeError(DTypeError, NotImplementedError):
    """An array has a dtype that the op isn't defined for, such as integers in a loss."""


class ArgumentError(TinygradError, ValueError):
    """A setting is outside the values that the op or layer understands."""


class ContradictionError(TinygradError, AssertionError):
    """A setting lies outside what another one allows, in the places where PyTorch asserts it."""


class ArgumentTypeError(TinygradError, TypeError):
    """An argument is of a type that the op or layer doesn't take."""


class IndexRangeError(TinygradError, IndexError):
    """An index, label or dimension lies outside its range."""


class MissingAttributeError(TinygradError, AttributeError):
    """A module has no such attribute, or isn't ready to take one."""


class NameTakenError(TinygradError, KeyError):
    """A name can't be given to a parameter, buffer or module, or isn't known."""


class StateError(TinygradError, RuntimeError):
    """A state_dict doesn't fit the module or optimizer that it is loaded into."""


class DivisionError(TinygradError, RuntimeError, ZeroDivisionError):
    """An integer was divided by zero."""


class IndexValueError(IndexRangeError, RuntimeError):
    """An element of a tensor of indices lies outside its range, where PyTorch raises RuntimeError (gather, ...)."""


class LinAlgError(TinygradError, RuntimeError):
    """A decomposition of a matrix doesn't exist or can't be found."""


class GraphError(TinygradError, RuntimeError):
    """The graph can't do what was asked of it: no gradient is recorded, a root isn't a scalar, ..."""


class GraphFreedError(GraphError):
    """A backward pass went over a graph that an earlier backward pass has released."""


class InPlaceError(GraphError):
    """A value that backward needs was overwritten, or a leaf was overwritten while it was being recorded."""


class UnsupportedError(TinygradError, NotImplementedError):
    """The argument exists in PyTorch, means something, and can't be honoured here."""


class DataError(TinygradError, RuntimeError):
    """Data can't be read or drawn: a file is missing, truncated or not what its name says, samples don't fit, ..."""


class CheckpointError(DataError, pickle.UnpicklingError):
    """A pickled checkpoint is damaged, or names something that isn't a tensor, a container or a number."""


class DatasetError(TinygradError, AssertionError):
    """Tensors or datasets that can't be put together into one dataset."""


class MissingExtraError(TinygradError, ImportError):  # type: ignore[misc]  # its path is the layer's, not a file's
    """A package of an optional extra is not installed."""


class MissingModuleError(TinygradError, ModuleNotFoundError):  # type: ignore[misc]  # likewise
    """A module of PyTorch's has no counterpart here."""


def import_extra(module: str, extra: str) -> ModuleType:
    """The module, or a MissingExtraError that says which extra of the distribution to install."""
    try:
        return importlib.import_module(module)
    except ImportError as error:
        raise MissingExtraError(
            f'{module.partition(".")[0]} is not installed; install it with: pip install "tinygrad-cnn[{extra}]"'
        ) from error


def check_argument(condition: object, message: str) -> None:
    """Raise ``ArgumentError(message)`` unless ``condition`` holds."""
    if not condition:
        raise ArgumentError(message)
