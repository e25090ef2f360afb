"""The properties that every op must have, a function each: it raises ConformanceError unless ``op`` has it here.

``arguments`` are one set of valid ones, as the op's samples draw them.
"""

from __future__ import annotations

from collections.abc import Callable

from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.testing.calls import Arguments
from tinygrad_cnn.testing.derivatives import first_order, second_order, upstream, value
from tinygrad_cnn.testing.dtypes import dtypes, float32
from tinygrad_cnn.testing.manners import empty, layouts, memory, refusals, repeat, without_grad
from tinygrad_cnn.testing.nonfinite import nan

Property = Callable[[Op, Arguments], None]

PROPERTIES: dict[str, Property] = {  # in the order in which one explains another
    "memory": memory,
    "repeat": repeat,
    "value": value,
    "first_order": first_order,
    "second_order": second_order,
    "upstream": upstream,
    "float32": float32,
    "dtypes": dtypes,
    "layouts": layouts,
    "empty": empty,
    "nan": nan,
    "no_grad": without_grad,
    "refusals": refusals,
}
