"""float16: stored in half the memory, but computed in float32, as NumPy has no fast and exact enough sums of it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np


def in_single(function: Callable[..., Any]) -> Callable[..., Any]:
    """Compute in float32 what is asked for in float16; the first argument decides.

    Of several results the first is float16 again; the others, statistics that gradients start from, stay exact.
    """

    def compute(first: np.ndarray, *arguments: Any) -> Any:
        if first.dtype != np.float16:
            return function(first, *arguments)
        wide = [a.astype(np.float32) if isinstance(a, np.ndarray) else a for a in (first, *arguments)]
        result = function(*wide)
        if isinstance(result, tuple):
            return (None if result[0] is None else result[0].astype(np.float16), *result[1:])
        return result.astype(np.float16)

    return compute
