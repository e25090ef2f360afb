"""Containers: modules of modules."""

from __future__ import annotations

import operator
from collections import OrderedDict
from collections.abc import ItemsView, Iterable, Iterator, KeysView, Mapping, ValuesView
from itertools import groupby
from typing import Any, Self

from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, IndexRangeError, check_argument
from tinygrad_cnn.nn.module import Module, indent, layout

__all__ = ["ModuleDict", "ModuleList", "Sequential"]


class _Numbered(Module):
    """Children in a row, as in a list."""

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[Any]:
        return iter(self._modules.values())

    def _name_at(self, index: Any) -> str:
        return list(self._modules)[position(index, len(self))]

    def __getitem__(self, idx: Any) -> Any:
        raise NotImplementedError  # Sequential keeps the names of a slice, ModuleList numbers it anew

    def __setitem__(self, idx: int, module: Module) -> None:
        setattr(self, self._name_at(idx), module)

    def __delitem__(self, idx: Any) -> None:
        for name in list(self._modules)[idx] if isinstance(idx, slice) else [self._name_at(idx)]:
            delattr(self, name)
        self._modules = {str(number): module for number, module in enumerate(self)}

    def append(self, module: Module) -> Self:
        """Add ``module`` at the end."""
        self.add_module(str(len(self)), module)
        return self

    def pop(self, key: Any) -> Any:
        """Take out a module, or a slice of them, and return it."""
        taken = self[key]
        del self[key]
        return taken

    def _insert(self, index: int, module: Module) -> None:
        for number in range(len(self), index, -1):
            self._modules[str(number)] = self._modules[str(number - 1)]
        self._modules[str(index)] = module


class Sequential(_Numbered):
    """Modules run one after the other, numbered or, from an OrderedDict, named.

    >>> from tinygrad_cnn import nn
    >>> nn.Sequential(nn.Flatten(), nn.Linear(4, 2))[1]
    Linear(in_features=4, out_features=2, bias=True)
    """

    def __init__(self, *args: Any) -> None:
        super().__init__()
        named = args[0].items() if len(args) == 1 and isinstance(args[0], OrderedDict) else enumerate(args)
        for name, module in named:
            self.add_module(str(name), module)

    def forward(self, input: Any) -> Any:
        """Run the modules one after the other."""
        for module in self._modules.values():
            input = module(input)
        return input

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(OrderedDict(list(self._modules.items())[idx]))
        return self._modules[self._name_at(idx)]

    def insert(self, index: int, module: Module) -> Self:
        """Put ``module`` before the one at ``index``."""
        if not isinstance(module, Module):
            raise AssertionError(f"module should be of type: {Module}")
        count = len(self)
        if not -count <= index <= count:
            raise IndexRangeError(f"Index out of range: {index}")
        self._insert(index + count if index < 0 else index, module)
        return self

    def extend(self, sequential: Iterable[Module]) -> Self:
        """Add the modules of ``sequential`` at the end."""
        for module in sequential:
            self.append(module)
        return self

    def __add__(self, other: Any) -> Sequential:
        return Sequential(*self).__iadd__(other)

    def __iadd__(self, other: Any) -> Self:
        if not isinstance(other, Sequential):
            raise ArgumentError(f"add operator supports only objects of Sequential class, but {type(other)} is given.")
        return self.extend(list(other))

    def __mul__(self, other: int) -> Sequential:
        self._check_factor(other)
        return Sequential(*(list(self) * other))

    __rmul__ = __mul__

    def __imul__(self, other: int) -> Self:
        self._check_factor(other)
        return self.extend(list(self) * (other - 1))

    def _check_factor(self, factor: int) -> None:
        if not isinstance(factor, int):
            raise ArgumentTypeError(f"unsupported operand type(s) for *: {type(self)} and {type(factor)}")
        check_argument(factor > 0, f"Non-positive multiplication factor {factor} for {type(self)}")


class ModuleList(_Numbered):
    """A list of modules that a model calls by itself.

    >>> from tinygrad_cnn import nn
    >>> nn.ModuleList([nn.Linear(2, 2) for _ in range(3)])
    ModuleList(
      (0-2): 3 x Linear(in_features=2, out_features=2, bias=True)
    )
    """

    def __init__(self, modules: Iterable[Module] | None = None) -> None:
        super().__init__()
        if modules is not None:
            self.extend(modules)

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, slice):
            return type(self)(list(self)[idx])
        return self._modules[self._name_at(idx)]

    def insert(self, index: int, module: Module) -> None:
        """Put ``module`` before the one at ``index``."""
        self._insert(index, module)

    def extend(self, modules: Iterable[Module]) -> Self:
        """Add the modules at the end."""
        if not isinstance(modules, Iterable):
            raise ArgumentTypeError(
                f"ModuleList.extend should be called with an iterable, but got {type(modules).__name__}"
            )
        for module in list(modules):
            self.append(module)
        return self

    def __iadd__(self, modules: Iterable[Module]) -> Self:
        return self.extend(modules)

    def __add__(self, other: Iterable[Module]) -> ModuleList:
        return ModuleList([*self, *other])

    def __repr__(self) -> str:
        lines = []
        first = 0
        for text, group in groupby(map(repr, self)):  # equal neighbours share a line
            count = len(list(group))
            place = f"({first}-{first + count - 1}): {count} x " if count > 1 else f"({first}): "
            lines.append(indent(place + text))
            first += count
        return layout(self._get_name(), [], lines)


class ModuleDict(Module):
    """A dictionary of modules that a model calls by itself."""

    def __init__(self, modules: Any = None) -> None:
        super().__init__()
        if modules is not None:
            self.update(modules)

    def __getitem__(self, key: str) -> Any:
        return self._modules[key]

    def __setitem__(self, key: str, module: Module) -> None:
        self.add_module(key, module)

    def __delitem__(self, key: str) -> None:
        del self._modules[key]

    def __len__(self) -> int:
        return len(self._modules)

    def __iter__(self) -> Iterator[str]:
        return iter(self._modules)

    def __contains__(self, key: str) -> bool:
        return key in self._modules

    def clear(self) -> None:
        """Take all modules out."""
        self._modules.clear()

    def pop(self, key: str) -> Any:
        """Take one module out and return it."""
        return self._modules.pop(key)

    def keys(self) -> KeysView[str]:
        """The names."""
        return self._modules.keys()

    def items(self) -> ItemsView[str, Any]:
        """The names with the modules."""
        return self._modules.items()

    def values(self) -> ValuesView[Any]:
        """The modules."""
        return self._modules.values()

    def update(self, modules: Any) -> None:
        """Add the modules of a mapping or of (name, module) pairs."""
        for key, module in pairs_of(modules, "ModuleDict"):
            self[key] = module


def position(index: Any, count: int) -> int:
    """``index`` counted from the front; IndexRangeError if there is nothing."""
    index = operator.index(index)
    if not -count <= index < count:
        raise IndexRangeError(f"index {index} is out of range")
    return int(index) % count


def pairs_of(entries: Any, owner: str) -> list[tuple[str, Any]]:
    """The pairs of a mapping, of a module that is one, or of a sequence of pairs."""
    if not isinstance(entries, Iterable):
        raise ArgumentTypeError(
            f"{owner}.update should be called with an iterable of key/value pairs, but got {type(entries).__name__}"
        )
    if isinstance(entries, Mapping) or (isinstance(entries, Module) and hasattr(entries, "items")):
        return list(entries.items())
    pairs = list(entries)
    for number, pair in enumerate(pairs):
        if not isinstance(pair, Iterable):
            raise ArgumentTypeError(
                f"{owner} update sequence element #{number} should be Iterable; is {type(pair).__name__}"
            )
        length = len(list(pair))
        check_argument(length == 2, f"{owner} update sequence element #{number} has length {length}; 2 is required")
    return [(key, value) for key, value in pairs]
