"""The small modules around ``torch``: hub, distributed, testing, and helpers of ``torch.nn.modules``."""

from __future__ import annotations

import collections.abc
import itertools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import urlparse as urlparse

import numpy as np

from tinygrad_cnn import serialization
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import DataError, GraphError


# ------------------------------------------------------------------------------------------------ hub
def _get_torch_home() -> str:
    cache = os.environ.get("XDG_CACHE_HOME", str(Path.home() / ".cache"))
    return os.environ.get("TORCH_HOME", os.path.join(cache, "torch"))


def get_dir() -> str:
    """The folder that PyTorch's downloads are in: ``$TORCH_HOME/hub``, or ``~/.cache/torch/hub``."""
    return _hub_dir or os.path.join(_get_torch_home(), "hub")


_hub_dir = ""
HASH_REGEX = re.compile(r"-([a-f0-9]*)\.")  # the hash in a checkpoint's name


def set_dir(d: str | os.PathLike[str]) -> None:
    """Look for downloads in another folder."""
    global _hub_dir
    _hub_dir = os.path.expanduser(d)


def load_state_dict_from_url(
    url: str,
    model_dir: str | None = None,
    map_location: Any = None,
    progress: bool = True,
    check_hash: bool = False,
    file_name: str | None = None,
    weights_only: bool = True,
) -> Any:
    """The checkpoint that PyTorch has downloaded from ``url`` before. DataError if it isn't there."""
    return serialization.load(checkpoint_of(url, model_dir, file_name), map_location, weights_only=weights_only)


def checkpoint_of(url: str, model_dir: str | None = None, file_name: str | None = None) -> Path:
    """The file that PyTorch has downloaded from ``url`` before. DataError if it isn't there."""
    path = Path(model_dir or os.path.join(get_dir(), "checkpoints")) / (file_name or url.rpartition("/")[2])
    if not path.exists():
        raise DataError(f"load_state_dict_from_url: nothing is downloaded here; put {url} at {path}")
    return path


# ---------------------------------------------------------------------------------------- distributed
def no_process_group(*args: Any, **kwargs: Any) -> Any:
    """Raise as PyTorch does before ``init_process_group``, which can't be called here."""
    raise GraphError("Default process group has not been initialized; there is one process, and no distributed package")


# -------------------------------------------------------------------------------------------- testing
def assert_close(
    actual: Any, expected: Any, *, rtol: float | None = None, atol: float | None = None, equal_nan: bool = False,
    check_dtype: bool = True, **settings: Any,
) -> None:  # fmt: skip
    """AssertionError unless tensors (or numbers, or lists of them) are equal but for rounding."""
    if isinstance(actual, collections.abc.Sequence) and isinstance(expected, collections.abc.Sequence):
        for pair in zip(actual, expected, strict=True):
            assert_close(*pair, rtol=rtol, atol=atol, equal_nan=equal_nan, check_dtype=check_dtype)
        return
    ours, theirs = (x.numpy(force=True) if isinstance(x, Tensor) else np.asarray(x) for x in (actual, expected))
    if check_dtype and isinstance(actual, Tensor) and isinstance(expected, Tensor) and ours.dtype != theirs.dtype:
        raise AssertionError(f"The values for attribute 'dtype' do not match: {actual.dtype} != {expected.dtype}.")
    if ours.shape != theirs.shape:
        raise AssertionError(f"The values for attribute 'shape' do not match: {ours.shape} != {theirs.shape}.")
    wide = np.result_type(ours, theirs) == np.float64
    default = {"f": (1e-7, 1e-7) if wide else (1.3e-6, 1e-5)}.get(ours.dtype.kind, (0.0, 0.0))
    np.testing.assert_allclose(
        ours, theirs, default[0] if rtol is None else rtol, default[1] if atol is None else atol, equal_nan
    )


# --------------------------------------------------------------------------- torch.nn.modules.utils
def _ntuple(n: int, name: str = "parse") -> Callable[[Any], Any]:
    """A function that repeats a number ``n`` times, and makes a tuple of anything that is several already."""

    def parse(x: Any) -> Any:
        return tuple(x) if isinstance(x, collections.abc.Iterable) else tuple(itertools.repeat(x, n))

    parse.__name__ = name
    return parse


_single, _pair, _triple, _quadruple = _ntuple(1, "_single"), _ntuple(2, "_pair"), _ntuple(3, "_triple"), _ntuple(4)


def _reverse_repeat_tuple(t: tuple[int, ...], n: int) -> tuple[int, ...]:
    return tuple(x for x in reversed(t) for _ in range(n))


def consume_prefix_in_state_dict_if_present(state_dict: dict[str, Any], prefix: str) -> None:
    """Remove ``prefix`` from the front of the keys, in place; ``"module."`` is what DataParallel adds."""
    for key in [key for key in state_dict if key.startswith(prefix)]:
        state_dict[key.removeprefix(prefix)] = state_dict.pop(key)
    metadata: dict[str, Any] = getattr(state_dict, "_metadata", {})
    for key in list(metadata):
        if key.startswith(prefix.rstrip(".")):
            metadata[key.removeprefix(prefix) if key.startswith(prefix) else ""] = metadata.pop(key)
