"""The text of a Tensor, as PyTorch prints it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from tinygrad_cnn.backend import DTYPES, bool_, get_default_dtype, int64

if TYPE_CHECKING:
    from tinygrad_cnn.autograd.tensor import Tensor


def tensor_text(tensor: Tensor) -> str:
    """``tensor([1., 2.], requires_grad=True)`` and the like."""
    array = tensor._array
    body = np.array2string(array, separator=", ", prefix="tensor(", precision=4, floatmode="maxprec")
    parts = [body]
    dtype = DTYPES[array.dtype]
    if dtype not in (get_default_dtype(), int64, bool_):
        parts.append(f"dtype={dtype}")
    if tensor.grad_fn is not None:
        parts.append(f"grad_fn=<{tensor.grad_fn.name()}>")
    elif tensor.requires_grad:
        parts.append("requires_grad=True")
    return f"tensor({', '.join(parts)})"
