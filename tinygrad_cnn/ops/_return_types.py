"""The named pairs that ``max(dim)``, ``sort``, ``topk`` and others return, printed as PyTorch prints them."""

from __future__ import annotations

from collections import namedtuple
from typing import Any


def return_type(name: str, *fields: str) -> Any:
    """A tuple class with named fields.

    >>> return_type("sort", "values", "indices")(1, 2).indices
    2
    """

    class Result(namedtuple(name, fields)):  # type: ignore[misc]  # the fields are an argument
        __slots__ = ()

        def __repr__(self) -> str:
            parts = ",\n".join(f"{field}={value!r}" for field, value in zip(fields, tuple(self), strict=True))
            return f"torch.return_types.{name}(\n{parts})"

    Result.__name__ = Result.__qualname__ = name
    return Result
