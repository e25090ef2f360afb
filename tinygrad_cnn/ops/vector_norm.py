"""Norms of vectors: of all elements of a tensor, or along some of its dimensions."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import numpy_names, tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import DTYPES, Array, Number, as_dtype
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, ShapeError
from tinygrad_cnn.kernels import reduce as kernels
from tinygrad_cnn.kernels.half import in_single
from tinygrad_cnn.ops._samples import reduction
from tinygrad_cnn.ops.elementwise import choose, keep
from tinygrad_cnn.ops.extrema import shared_by_ties
from tinygrad_cnn.ops.reduce import Dims, axes_of, reduce_by_loop, spread
from tinygrad_cnn.ops.unary import abs, sign

__all__ = ["dist", "norm"]


@differentiable(grad_name="LinalgVectorNormBackward0")
def vector_norm(x: Array, ord: Number = 2, dim: Dims = None, keepdim: bool = False, *, dtype: Any = None) -> Array:
    """(sum of |x|^ord)^(1/ord) over some dimensions, or over all; for ord = inf the largest |x|, for 0 their count.

    >>> import tinygrad_cnn as tg
    >>> tg.linalg.vector_norm(tg.tensor([3.0, -4.0])), tg.linalg.vector_norm(tg.tensor([3.0, -4.0]), ord=1)
    (tensor(5.), tensor(7.))
    """
    if dtype is not None:
        x = x.astype(as_dtype(dtype).dtype)
    return np.asarray(_length(x, ord, dim, keepdim))


@in_single
def _length(x: Array, ord: Number, dim: Dims, keepdim: bool) -> Any:
    axes = axes_of(dim, x.ndim, keepdim, "vector_norm")
    if ord == 2:
        if len(axes) == x.ndim and not keepdim:
            flat = x.ravel(order="K")
            return np.sqrt(np.dot(flat, flat))
        return np.sqrt(kernels.total(np.square(x), axes, keepdim))
    if ord == 0:
        return kernels.total((x != 0).astype(x.dtype), axes, keepdim)
    sizes = np.abs(x)
    if math.isinf(ord):
        return kernels.reduce(np.maximum if ord > 0 else np.minimum, sizes, axes, keepdim)
    if ord == 1:
        return kernels.total(sizes, axes, keepdim)
    return kernels.total(sizes**ord, axes, keepdim) ** x.dtype.type(1 / ord)


def _gradient(g: Any, x: Any, out: Any, ord: Number, dim: Dims, keepdim: bool) -> Any:
    """0 where the norm or the element is 0, whatever the limit."""
    if ord == 0:
        return None
    if ord == 1:
        return spread(g, x.shape, dim, keepdim) * sign(x)
    if math.isinf(ord):
        return shared_by_ties(g, abs(x), out, dim, keepdim, nan=True) * sign(x)
    length = choose(out == 0, 1.0, out)
    scale = keep(g / (length if ord == 2 else length ** (ord - 1)), out != 0)
    power = x if ord == 2 else keep(choose(x == 0, 1.0, abs(x)) ** (ord - 1), x != 0) * sign(x)
    return spread(scale, x.shape, dim, keepdim) * power


vector_norm.gradients(x=_gradient)


@vector_norm.check
def _(x: Array, ord: Number, dim: Dims, keepdim: bool, dtype: Any) -> None:
    if isinstance(ord, str) or ord is None:
        raise ArgumentTypeError(f"linalg.vector_norm(): argument 'ord' must be Number, not {type(ord).__name__}")
    if x.dtype.kind != "f":
        raise DTypeError(
            f"linalg.vector_norm: Expected a floating point tensor as input. Got {DTYPES[x.dtype]}; use .float()"
        )
    axes = axes_of(dim, x.ndim, keepdim, "linalg.vector_norm")
    if (ord < 0 or math.isinf(ord)) and 0 in [x.shape[d] for d in axes]:
        raise ShapeError(
            f"linalg.vector_norm cannot compute the {ord} norm on an empty tensor of shape {x.shape} "
            "because the operation does not have an identity"
        )


vector_norm.refuses(ArgumentTypeError, "argument 'ord' must be Number, not str", x=(2,), ord="fro")
vector_norm.refuses(ArgumentTypeError, "argument 'ord' must be Number, not NoneType", x=(2,), ord=None)
vector_norm.refuses(DTypeError, "Expected a floating point tensor", x=np.ones(2, int))
for _ord in (-1, -math.inf, math.inf):
    vector_norm.refuses(ShapeError, "on an empty tensor", x=(2, 0), ord=_ord, dim=1)


@vector_norm.samples
def _(draw: Any) -> dict[str, Any]:
    arguments = reduction()(draw)
    shape = arguments.pop("input").shape
    sizes = np.abs(draw.distinct(shape, 0.5, 2.0))  # away from 0, no two alike
    x = np.where(draw.mask(shape), sizes, -sizes)
    return {**arguments, "x": x, "ord": draw.choice([2, 1, 2, 3, 2, 1.5, 2, math.inf, -math.inf, -1, 0.5, 0])}


@vector_norm.reference
def _(x: Array, ord: Number = 2, dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Array:
    def length(values: list[float]) -> float:
        sizes = [math.fabs(value) for value in values]
        if math.isinf(ord):
            return max(sizes) if ord > 0 else min(sizes)
        return float(math.fsum(size**ord for size in sizes) ** (1 / ord)) if ord else float(len(sizes))

    return reduce_by_loop(x, dim, keepdim, length)


@tensor_method
@numpy_names
def norm(input: Any, p: Any = "fro", dim: Dims = None, keepdim: bool = False, dtype: Any = None) -> Any:
    """The ``p``-norm of all elements, or along some dimensions; ``p="fro"`` is 2.

    >>> import tinygrad_cnn as tg
    >>> tg.tensor([[3.0, 4.0], [6.0, 8.0]]).norm(dim=1)
    tensor([ 5., 10.])
    """
    if isinstance(p, str) and p != "fro":
        from tinygrad_cnn.ops.linalg import matrix_norm  # imports this file

        return matrix_norm(input, p, (-2, -1) if dim is None else dim, keepdim, dtype=dtype)
    return vector_norm(input, 2 if p in (None, "fro") else p, dim, keepdim, dtype=dtype)


@tensor_method
def dist(input: Any, other: Any, p: Number = 2) -> Any:
    """The ``p``-norm of the difference of two tensors."""
    return vector_norm(input - other, p)
