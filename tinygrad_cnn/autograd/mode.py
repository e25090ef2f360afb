"""Whether operations are recorded: no_grad, enable_grad, inference_mode. Each thread has its own mode."""

from __future__ import annotations

import functools
import inspect
import threading
from collections.abc import Callable
from typing import Any, Self, TypeVar

from tinygrad_cnn.backend import quiet_runner

F = TypeVar("F", bound=Callable[..., Any])


class _Mode(threading.local):
    """The switches of one thread."""

    recording = True
    inference = False
    anomaly = False
    anomaly_check_nan = True

    def __init__(self) -> None:
        self.quietly = quiet_runner()
        self.saved_hooks: list[Any] = []  # of saved_tensors_hooks, the innermost last


mode = _Mode()
_state = mode  # where a parameter has the name `mode`, as in PyTorch


class _Switch:
    """A setting that holds inside a ``with`` block, or inside every call of a decorated function."""

    def __enter__(self) -> Self:
        raise NotImplementedError  # each switch has its own

    def __exit__(self, *exc: object) -> None:
        raise NotImplementedError  # each switch has its own

    def _again(self) -> _Switch:
        """A fresh switch of the same setting, for the next call of a decorated function."""
        return type(self)()

    def __call__(self, function: F) -> F:
        if inspect.isgeneratorfunction(function):

            @functools.wraps(function)
            def generator(*args: Any, **kwargs: Any) -> Any:
                iterator = function(*args, **kwargs)
                while True:
                    with self._again():
                        try:
                            item = next(iterator)
                        except StopIteration as stop:
                            return stop.value
                    yield item

            return generator  # type: ignore[return-value]  # wraps() keeps the signature

        @functools.wraps(function)
        def wrapped(*args: Any, **kwargs: Any) -> Any:
            with self._again():
                return function(*args, **kwargs)

        return wrapped  # type: ignore[return-value]  # wraps() keeps the signature


class set_grad_enabled(_Switch):
    """Record operations or not; as a function, a context manager or a decorator.

    >>> with set_grad_enabled(False):
    ...     is_grad_enabled()
    False
    """

    def __init__(self, mode: bool) -> None:
        self._before = _state.recording
        self._wanted = bool(mode)
        _state.recording = self._wanted

    def __enter__(self) -> Self:
        mode.recording = self._wanted
        return self

    def __exit__(self, *exc: object) -> None:
        mode.recording = self._before

    def _again(self) -> set_grad_enabled:
        return set_grad_enabled(self._wanted)

    def __call__(self, function: F) -> F:
        mode.recording = self._before  # used as a decorator: the setting is for the calls alone
        return super().__call__(function)


class no_grad(_Switch):
    """Nothing inside is recorded, so nothing of it is kept for backward. A context manager or decorator.

    >>> with no_grad():
    ...     is_grad_enabled()
    False
    """

    _recording = False

    def __new__(cls, function: Any = None) -> Any:
        self = super().__new__(cls)
        return self if function is None else self(function)  # @no_grad without parentheses

    def __enter__(self) -> Self:
        self._before = mode.recording
        mode.recording = self._recording
        return self

    def __exit__(self, *exc: object) -> None:
        mode.recording = self._before


class enable_grad(no_grad):
    """Operations inside are recorded again, within a ``no_grad`` block. A context manager or decorator."""

    _recording = True


class inference_mode(_Switch):
    """As ``no_grad``, and what is made inside can't be used in a recorded computation later on.

    >>> with inference_mode():
    ...     is_grad_enabled(), is_inference_mode_enabled()
    (False, True)
    """

    _wanted: bool

    def __new__(cls, mode: Any = True) -> Any:
        self = super().__new__(cls)
        if callable(mode):  # @inference_mode without parentheses
            self._wanted = True
            return self(mode)
        self._wanted = bool(mode)
        return self

    def __enter__(self) -> Self:
        self._before = mode.recording, mode.inference
        mode.inference = self._wanted
        if self._wanted:
            mode.recording = False
        else:
            mode.recording = True
        return self

    def __exit__(self, *exc: object) -> None:
        mode.recording, mode.inference = self._before

    def _again(self) -> inference_mode:
        again: inference_mode = inference_mode(self._wanted)
        return again


def is_grad_enabled() -> bool:
    """Whether operations are being recorded in this thread."""
    return mode.recording


def is_inference_mode_enabled() -> bool:
    """Whether this thread is inside ``inference_mode``."""
    return mode.inference


class set_detect_anomaly(_Switch):
    """Look for NaN in every gradient, and say which op made it and where that was recorded. Slow: for debugging.

    Raises GraphError in ``backward()`` at the first NaN.
    """

    def __init__(self, mode: bool, check_nan: bool = True) -> None:
        self._before = _state.anomaly, _state.anomaly_check_nan
        self._wanted = bool(mode), check_nan
        _state.anomaly, _state.anomaly_check_nan = self._wanted

    def __enter__(self) -> Self:
        mode.anomaly, mode.anomaly_check_nan = self._wanted
        return self

    def __exit__(self, *exc: object) -> None:
        mode.anomaly, mode.anomaly_check_nan = self._before

    def _again(self) -> set_detect_anomaly:
        return type(self)(self._wanted[0], self._wanted[1])


class detect_anomaly(set_detect_anomaly):
    """``set_detect_anomaly(True)`` as a context manager."""

    def __init__(self, check_nan: bool = True) -> None:
        super().__init__(True, check_nan)
        mode.anomaly, mode.anomaly_check_nan = self._before  # the block turns it on, not the call

    def _again(self) -> detect_anomaly:
        return detect_anomaly(self._wanted[1])


def is_anomaly_enabled() -> bool:
    """Whether anomaly detection is on in this thread."""
    return mode.anomaly


class saved_tensors_hooks:
    """Inside, what an op saves for backward goes through ``pack``, and comes back through ``unpack``.

    For keeping activations elsewhere, in a smaller form, or not at all (see ``utils.checkpoint``).
    """

    def __init__(self, pack_hook: Callable[[Any], Any], unpack_hook: Callable[[Any], Any]) -> None:
        self.pack, self.unpack = pack_hook, unpack_hook

    def __enter__(self) -> Self:
        mode.saved_hooks.append(self)
        return self

    def __exit__(self, *exc: object) -> None:
        mode.saved_hooks.pop()
