"""Slow, obvious definitions to hold a fast one against: ``oracle.conv2d(...)`` is the op's own declared reference.

Every registered op, yours included, has its definition here under the op's name, with the op's arguments and
defaults. Definitions are loops over NumPy arrays; they know nothing of the kernels, nor of gradients.

>>> import numpy as np
>>> from tinygrad_cnn.testing import oracle
>>> oracle.conv2d(np.ones((1, 1, 3, 3)), np.ones((1, 1, 2, 2)), stride=(1, 2))
array([[[[4.],
         [4.]]]])
"""

from __future__ import annotations

import difflib
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.ops import registry


def __getattr__(name: str) -> Callable[..., Any]:
    op = registry.get(name)
    if op is None:
        close = difflib.get_close_matches(name, registry, n=3)
        hint = f"; did you mean {' or '.join(close)}?" if close else ""
        raise AttributeError(f"oracle: no op is registered under the name {name!r}{hint} dir(oracle) lists them")
    if op._reference is None:
        raise AttributeError(f"oracle: the op {name!r} declares no definition; declare one with {name}.reference(...)")
    return _definition(op, op._reference)


def __dir__() -> list[str]:
    return sorted(name for name, op in registry.items() if op._reference is not None)


def _definition(op: Op, reference: Callable[..., Any]) -> Callable[..., Any]:
    def definition(*args: Any, **kwargs: Any) -> Any:
        values = op._bind(args, kwargs)
        for index in op._input_indices:
            values[index] = _as_arrays(values[index], op.variadic)
        if op._check is not None:
            op.call(op._check, values)
        return op.call(reference, values)

    definition.__name__ = definition.__qualname__ = op.name
    definition.__doc__ = f"{op.__doc__}\n\nThe definition that the op {op.name!r} is held against, on arrays."
    parameters = [p for p in op.signature.parameters.values() if p.name in op.parameters]
    definition.__signature__ = op.signature.replace(parameters=parameters)  # type: ignore[attr-defined]  # inspect reads it
    return definition


def _as_arrays(value: Any, many: bool = False) -> Any:
    """The array of a Tensor or of nested lists; numbers and None stay what they are."""
    if many:
        return [_as_arrays(item) for item in value]
    if isinstance(value, Tensor):
        return value._array
    return np.asarray(value) if isinstance(value, list | tuple) else value
