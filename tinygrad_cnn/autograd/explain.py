"""What Python or NumPy raise inside the library's functions, as errors of ours."""

from __future__ import annotations

import functools
import inspect
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from types import FunctionType
from typing import Any

import numpy as np

from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, IndexRangeError, ShapeError, TinygradError

_OURS = str(Path(__file__).parents[1])
_LIBRARIES = (_OURS, str(Path(np.__file__).parent))
_KINDS: tuple[tuple[type[Exception], type[TinygradError]], ...] = (
    (AttributeError, ArgumentTypeError),
    (TypeError, ArgumentTypeError),
    (IndexError, IndexRangeError),
    (ArithmeticError, ArgumentError),
    (KeyError, ArgumentError),
    (ValueError, ArgumentError),
)
_RAISED = tuple(theirs for theirs, _ in _KINDS)


def translate(name: str, given: Iterable[tuple[str, Any]], error: Exception) -> TinygradError:
    """What Python or NumPy raised as an error of ours, which names the function and what it was given."""
    given = list(given)
    if isinstance(error, AttributeError) and not hasattr(error.obj, "shape"):
        suspects = " or ".join(f"'{parameter}'" for parameter, value in given if value is error.obj)  # several are None
        if suspects:
            return ArgumentTypeError(f"{name}(): argument {suspects} must be Tensor, not {type(error.obj).__name__}")
    kind = next(ours for theirs, ours in _KINDS if isinstance(error, theirs))
    if isinstance(error, ValueError) and "shape" in str(error):
        kind = ShapeError
    told = ", ".join(f"{parameter} {_shown(value)}" for parameter, value in given)
    text = str(error)
    return kind(f"{text if text.startswith(f'{name}()') else f'{name}(): {text}'}; got {told}")


def _shown(value: Any) -> str:
    """A value in a few words: the shape of an array or Tensor, a number or string itself, else the type."""
    if hasattr(value, "shape"):
        return f"{type(value).__name__} {tuple(value.shape)}"
    return repr(value)[:60] if isinstance(value, bool | int | float | str | tuple | None) else type(value).__name__


def explained(function: Callable[..., Any]) -> Callable[..., Any]:
    """``function``, raising errors of ours where what it was given makes Python or NumPy raise theirs inside it."""

    @functools.wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        try:
            return function(*args, **kwargs)
        except TinygradError:
            raise
        except _RAISED as error:
            if not _is_raised_in_library(error):
                raise  # by a function that was passed in
            try:
                given = inspect.signature(function).bind_partial(*args, **kwargs).arguments.items()
            except TypeError:  # more than it takes
                given = {f"argument {i}": value for i, value in enumerate(args, 1)}.items()
            raise translate(function.__name__, given, error) from error

    return call


def _is_raised_in_library(error: Exception) -> bool:
    step = error.__traceback__
    while step is not None and step.tb_next is not None:
        step = step.tb_next
    file = step.tb_frame.f_code.co_filename if step is not None else ""
    return file.startswith(_LIBRARIES) or file.endswith(".pyx")  # NumPy's compiled files


def explain_all(namespace: dict[str, Any], room: str) -> None:
    """Put ``explained`` around a room's public functions in ``namespace``, and where they are defined."""
    for name, function in list(namespace.items()):
        if not isinstance(function, FunctionType) or name.startswith("_") or not function.__module__.startswith(room):
            continue
        home, own = vars(sys.modules[function.__module__]), function.__name__
        better = explained(function)
        namespace[name] = better
        if home.get(own) is function:
            home[own] = better  # where pickle looks for it
