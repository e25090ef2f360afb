"""The named pairs that ``max(dim)``, ``sort``, ``topk`` and others return, printed as PyTorch prints them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def return_type(name: str, *fields: str) -> Any:
    """A tuple class with named fields.

    >>> return_type("sort", "values", "indices")(1, 2).indices
    2
    """

    base: Any = namedtuple(name, fields)  # type: ignore[misc]  # the names are arguments

    class Result(base):
        __slots__ = ()

        def __repr__(self) -> str:
            parts = ",\n".join(f"{field}={getattr(self, field)!r}" for field in fields)
            return f"torch.return_types.{name}(\n{parts})"

    Result.__name__ = Result.__qualname__ = name
    return Result
