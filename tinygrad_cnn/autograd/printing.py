"""The text of a Tensor, as PyTorch prints it (the rules are those of torch/_tensor_str.py)."""

from __future__ import annotations

import contextlib
import dataclasses
import math
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from tinygrad_cnn.backend import DTYPES, bool_, get_default_dtype, int64
from tinygrad_cnn.errors import check_argument

if TYPE_CHECKING:
    from tinygrad_cnn.autograd.tensor import Tensor

__all__ = ["get_printoptions", "printoptions", "set_printoptions"]


@dataclasses.dataclass
class _Options:
    precision: int = 4
    threshold: float = 1000
    edgeitems: int = 3
    linewidth: int = 80
    sci_mode: bool | None = None


_options = _Options()
_PROFILES: dict[str, dict[str, Any]] = {
    "default": dict(precision=4, threshold=1000, edgeitems=3, linewidth=80),
    "short": dict(precision=2, threshold=1000, edgeitems=2, linewidth=80),
    "full": dict(precision=4, threshold=math.inf, edgeitems=3, linewidth=80),
}


def set_printoptions(
    precision: int | None = None,
    threshold: float | None = None,
    edgeitems: int | None = None,
    linewidth: int | None = None,
    profile: str | None = None,
    sci_mode: bool | None = None,
) -> None:
    """How tensors are printed: digits, the number of elements from which a summary is shown, its edges, the width.

    ``profile`` is "default", "short" or "full"; ``sci_mode=None`` lets the values decide.

    >>> import tinygrad_cnn as tg
    >>> tg.set_printoptions(precision=2)
    >>> tg.tensor([1.2345])
    tensor([1.23])
    >>> tg.set_printoptions(profile="default")
    """
    if profile is not None:
        check_argument(
            profile in _PROFILES, f"set_printoptions: profile expected one of {list(_PROFILES)}, got {profile!r}"
        )
    given = dict(precision=precision, threshold=threshold, edgeitems=edgeitems, linewidth=linewidth)
    chosen = _PROFILES.get(profile or "", {}) | {name: value for name, value in given.items() if value is not None}
    for name, value in chosen.items():
        setattr(_options, name, value)
    _options.sci_mode = sci_mode


def get_printoptions() -> dict[str, Any]:
    """The current settings, as ``set_printoptions`` takes them."""
    return dataclasses.asdict(_options)


@contextlib.contextmanager
def printoptions(**settings: Any) -> Iterator[None]:
    """``set_printoptions`` for the length of a ``with`` block."""
    before = get_printoptions()
    set_printoptions(**settings)
    try:
        yield
    finally:
        set_printoptions(**before)


class _Formatter:
    """One width and one notation for all elements that are shown."""

    def __init__(self, array: np.ndarray) -> None:
        self.floating = array.dtype.kind == "f"
        self.integral, self.scientific, self.width = True, False, 1
        if not self.floating:
            self.width = max([1, *(len(str(value)) for value in array.ravel().tolist())])
            return
        wide = array.astype(np.float64).ravel()
        values = wide[np.isfinite(wide) & (wide != 0)]
        if not values.size:
            return
        sizes = np.abs(values)
        self.integral = bool((values == np.ceil(values)).all())
        self.scientific = _options.sci_mode if _options.sci_mode is not None else _is_extreme(sizes.min(), sizes.max())
        if self.scientific:
            self.width = max(len(f"{value:.{_options.precision}e}") for value in values.tolist())
        elif self.integral:
            self.width = max(len(f"{value:.0f}") + 1 for value in values.tolist())  # the point that floats end with
        else:
            self.width = max(len(f"{value:.{_options.precision}f}") for value in values.tolist())

    def __call__(self, value: Any) -> str:
        if not self.floating:
            text = str(value)
        elif self.scientific:
            text = f"{value:.{_options.precision}e}"
        elif self.integral:
            text = f"{value:.0f}" + ("." if math.isfinite(value) else "")
        else:
            text = f"{value:.{_options.precision}f}"
        return text.rjust(self.width)


def _is_extreme(smallest: float, largest: float) -> bool:
    return bool(largest / smallest > 1000.0 or largest > 1.0e8 or smallest < 1.0e-4)


def _edges(array: np.ndarray) -> np.ndarray:
    """The elements that a summary shows."""
    edge = _options.edgeitems
    for axis, side in enumerate(array.shape):
        if side > 2 * edge:
            array = np.take(array, [*range(edge), *range(side - edge, side)], axis)
    return array


def _body(array: np.ndarray, indent: int, summarize: bool, formatter: _Formatter) -> str:
    if array.ndim == 0:
        return formatter(array.item())
    edge = _options.edgeitems
    cut = summarize and len(array) > 2 * edge
    if array.ndim == 1:
        return _line(array, indent, cut, formatter)
    rows = [*range(edge), None, *range(len(array) - edge, len(array))] if cut else range(len(array))
    parts = ["..." if row is None else _body(array[row], indent + 1, summarize, formatter) for row in rows]
    return "[" + ("," + "\n" * (array.ndim - 1) + " " * (indent + 1)).join(parts) + "]"


def _line(array: np.ndarray, indent: int, cut: bool, formatter: _Formatter) -> str:
    per_line = max(1, (_options.linewidth - indent) // (formatter.width + 2))
    edge = _options.edgeitems
    if cut and not edge:
        items = ["..."]
    elif cut:
        items = [*map(formatter, array[:edge].tolist()), " ...", *map(formatter, array[-edge:].tolist())]
    else:
        items = list(map(formatter, array.tolist()))
    lines = [", ".join(items[i : i + per_line]) for i in range(0, len(items), per_line)]
    return "[" + (",\n" + " " * (indent + 1)).join(lines) + "]"


def _with_suffixes(text: str, suffixes: list[str], indent: int) -> str:
    """The text with its suffixes, each on a new line if it wouldn't fit on the last one."""
    length = len(text) - text.rfind("\n") + 1
    for suffix in suffixes:
        if length + len(suffix) + 2 > _options.linewidth:
            text += ",\n" + " " * indent + suffix
            length = indent + len(suffix)
        else:
            text += ", " + suffix
            length += len(suffix) + 2
    return text + ")"


def tensor_text(tensor: Tensor) -> str:
    """``tensor([1., 2.], requires_grad=True)`` and the like."""
    array, name = tensor._array, type(tensor).__name__
    prefix = "tensor(" if name in ("Tensor", "Parameter") else f"{name}("
    dtype, suffixes = DTYPES[array.dtype], []
    if not array.size:
        body = "[]"
        if array.ndim != 1:
            suffixes.append(f"size={array.shape}")
        if dtype is not get_default_dtype():  # no element tells integers from floats
            suffixes.append(f"dtype={dtype}")
    else:
        summarize = array.size > _options.threshold
        body = _body(array, len(prefix), summarize, _Formatter(_edges(array) if summarize else array))
        if not _options.edgeitems:
            suffixes.append(f"size={array.shape}")
        if dtype not in (get_default_dtype(), int64, bool_):
            suffixes.append(f"dtype={dtype}")
    if tensor.grad_fn is not None:
        suffixes.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        suffixes.append("requires_grad=True")
    return _with_suffixes(prefix + body, suffixes, len(prefix))
