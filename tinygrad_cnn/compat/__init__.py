"""Running what was written for PyTorch on this library, without a change to it.

    python -m tinygrad_cnn.compat script.py ARGS

runs a script in which ``import torch`` and ``import torchvision`` give this library; ``install_as_torch()`` does that
inside a process. Beside the library's own names, the modules have those that stand in many sources but mean nothing
here: ``torch.jit``, ``torch.cuda.is_available()`` (False), ``torch.compile(m)`` (m), autocast (no change), ... What
can't be honoured can be imported, and raises UnsupportedError when it is used.
"""

from __future__ import annotations

import importlib.abc
import importlib.machinery
import os
import runpy
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import ModuleType

from tinygrad_cnn.errors import MissingModuleError, StateError

__all__ = ["install_as_torch", "installed_as_torch", "run_script", "uninstall"]

_installed: dict[str, ModuleType] = {}


class _Finder(importlib.abc.MetaPathFinder):
    """Says of modules that aren't in the tree that they aren't, in place of Python's "not found"."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        if fullname.startswith(("torch.", "torchvision.")):
            raise MissingModuleError(f"{fullname} isn't part of tinygrad_cnn.compat", name=fullname)
        return None


_finder = _Finder()


def install_as_torch() -> None:
    """Make ``import torch`` and ``import torchvision`` give this library, until ``uninstall()``.

    StateError if the real ones are imported already: a program can't work with both under one name.
    """
    if _installed:
        return
    real = [name for name in ("torch", "torchvision") if name in sys.modules]
    if real:
        raise StateError(
            f"install_as_torch: the real {' and '.join(real)} is imported already; call it first, or in another process"
        )
    from tinygrad_cnn.compat.tree import build  # it imports everything, which few programs need

    _installed.update(build())
    sys.modules.update(_installed)
    sys.meta_path.insert(0, _finder)


def uninstall() -> None:
    """Let ``import torch`` mean PyTorch again. Names that were imported before stay what they are."""
    if _installed:
        sys.meta_path.remove(_finder)
    for name, module in _installed.items():
        if sys.modules.get(name) is module:
            del sys.modules[name]
    _installed.clear()


@contextmanager
def installed_as_torch() -> Iterator[None]:
    """A context in which ``import torch`` gives this library."""
    install_as_torch()
    try:
        yield
    finally:
        uninstall()


def run_script(path: str, arguments: Sequence[str] = ()) -> None:
    """Run a Python file as a program with these arguments, in which ``import torch`` gives this library."""
    sys.argv = [path, *arguments]
    sys.path[0] = os.path.dirname(os.path.abspath(path))  # as Python does for a script
    with installed_as_torch():
        runpy.run_path(path, run_name="__main__")
