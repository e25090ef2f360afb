"""The ``linalg`` namespace: norms of vectors and matrices."""

from __future__ import annotations

import math
from typing import Any

from tinygrad_cnn.autograd.tensor import check_dim
from tinygrad_cnn.backend import DTYPES, Number, as_dtype
from tinygrad_cnn.errors import DTypeError, LinAlgError, ShapeError
from tinygrad_cnn.ops.create import require_tensor
from tinygrad_cnn.ops.extrema import amax, amin
from tinygrad_cnn.ops.permute import movedim
from tinygrad_cnn.ops.reduce import Dims, sum
from tinygrad_cnn.ops.shape import reshape
from tinygrad_cnn.ops.svd import svdvals
from tinygrad_cnn.ops.unary import abs
from tinygrad_cnn.ops.vector_norm import vector_norm

__all__ = ["LinAlgError", "matrix_norm", "norm", "svdvals", "vector_norm"]


def norm(input: Any, ord: Any = None, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Any:
    """A vector norm along one dimension (or, without ``ord``, of all elements), a matrix norm over two.

    >>> import tinygrad_cnn as tg
    >>> tg.linalg.norm(tg.tensor([[1.0, 2.0], [3.0, 4.0]]), ord=1)
    tensor(6.)
    """
    ndim = require_tensor(input, "linalg.norm", "input").ndim
    if dim is not None:
        dims = (dim,) if isinstance(dim, int) else tuple(dim)
        if len(dims) not in (1, 2):
            raise ShapeError(f"linalg.norm: If dim is specified, it must be of length 1 or 2. Got {list(dims)}")
    elif ord is None:
        return vector_norm(input, 2, None, keepdim, dtype=dtype)
    else:
        if ndim not in (1, 2):
            raise ShapeError(
                f"linalg.norm: If dim is not specified but ord is, the input must be 1D or 2D. Got {ndim}D."
            )
        dims = tuple(range(ndim))
    if ord is None or (len(dims) == 1 and not isinstance(ord, str)):
        return vector_norm(input, 2 if ord is None else ord, dims, keepdim, dtype=dtype)
    return matrix_norm(input, ord, dims, keepdim, dtype=dtype)


def matrix_norm(
    input: Any, ord: Number | str = "fro", dim: Any = (-2, -1), keepdim: bool = False, *, dtype: Any = None
) -> Any:
    """The norm of the matrices in two dimensions.

    "fro": the square root of the sum of squares; 1, -1: the largest, smallest sum of |x| of a column; inf, -inf: of
    a row; 2, -2, "nuc": the largest, the smallest, the sum of the singular values.

    >>> import tinygrad_cnn as tg
    >>> tg.linalg.matrix_norm(tg.tensor([[3.0, 0.0], [0.0, 4.0]]))
    tensor(5.)
    """
    array = require_tensor(input, "linalg.matrix_norm", "input")
    if array.dtype.kind != "f":
        raise DTypeError(
            f"linalg.matrix_norm: Expected a floating point tensor as input. Got {DTYPES[array.dtype]}; use .float()"
        )
    if array.ndim < 2:
        raise ShapeError("linalg.matrix_norm: The input tensor A must have at least 2 dimensions.")
    if not isinstance(dim, tuple | list) or len(dim) != 2:
        raise ShapeError(f"linalg.matrix_norm: dim must be a 2-tuple. Got {dim}")
    rows, columns = (check_dim(d, array.ndim, "linalg.matrix_norm") for d in dim)
    if ord not in ("fro", "nuc", 1, -1, 2, -2, math.inf, -math.inf):
        raise ShapeError(f"linalg.matrix_norm: Order {ord} not supported.")
    if ord == "fro" or rows == columns:
        return vector_norm(input, 2, dim, keepdim, dtype=dtype)  # refuses the same dimension twice
    if dtype is not None:
        input = input.to(as_dtype(dtype))
    if ord in ("nuc", 2, -2):
        values = svdvals(movedim(input, (rows, columns), (-2, -1)))
        found = sum(values, -1) if ord == "nuc" else (_largest if ord == 2 else amin)(values, -1)
        return (
            reshape(found, [1 if d in (rows, columns) else side for d, side in enumerate(input.shape)])
            if keepdim
            else found
        )
    if ord in (math.inf, -math.inf):
        rows, columns = columns, rows
    sums = sum(abs(input), rows, True)
    result = (_largest if ord in (1, math.inf) else amin)(sums, columns, True)
    return result if keepdim else result.squeeze((rows, columns))


def _largest(values: Any, dim: int, keepdim: bool = False) -> Any:
    """The largest along ``dim``; of nothing it is 0."""
    return amax(values, dim, keepdim) if values.shape[dim] else sum(values.detach(), dim, keepdim)
