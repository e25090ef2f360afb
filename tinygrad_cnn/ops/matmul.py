"""Matrix products."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import inplace_method, tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_dim
from tinygrad_cnn.backend import DTYPES, Array, Number
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, ShapeError
from tinygrad_cnn.kernels import product
from tinygrad_cnn.ops._samples import or_integers
from tinygrad_cnn.ops.permute import transpose
from tinygrad_cnn.ops.shape import broadcast_shapes, reshape, sum_to

__all__ = ["addbmm", "addmm", "addmv", "addr", "baddbmm", "bmm", "chain_matmul", "dot", "ger", "inner", "matmul", "mm",
           "mv", "outer", "tensordot", "vdot"]  # fmt: skip


def _check_dtypes(op: str, a: Array, b: Array) -> None:
    if a.dtype != b.dtype:
        raise DTypeError(
            f"{op}: expected m1 and m2 to have the same dtype, but got: {DTYPES[a.dtype]} != {DTYPES[b.dtype]}; "
            "convert one of them with .to()"
        )


def _check_product(op: str, a: Array, b: Array) -> None:
    if a.shape[-1] != b.shape[-2]:
        raise ShapeError(
            f"{op}: mat1 and mat2 shapes cannot be multiplied ({_by(a)} and {_by(b)}): the last dimension of the "
            f"first, {a.shape[-1]}, must equal the last but one of the second, {b.shape[-2]}"
        )
    _check_dtypes(op, a, b)


def _by(x: Array) -> str:
    return "x".join(map(str, x.shape))


# ---------------------------------------------------------------------------------------------- products
@differentiable(method=True)
def mm(input: Array, mat2: Array) -> Array:
    """The product of two matrices, (N, K) and (K, M) -> (N, M)."""
    return product.matmul(input, mat2)


@mm.check
def _(input: Array, mat2: Array) -> None:
    for name, x in (("input", input), ("mat2", mat2)):
        if x.ndim != 2:
            raise ShapeError(f"mm: {name} must be a matrix, got shape {x.shape}; use matmul for other dimensions")
    _check_product("mm", input, mat2)


mm.refuses(ShapeError, "mm: input must be a matrix, got shape (3,)", input=(3,), mat2=(3, 2))
mm.refuses(ShapeError, "mm: mat2 must be a matrix, got shape (1, 3, 2)", input=(2, 3), mat2=(1, 3, 2))


mm.gradients(
    input=lambda g, mat2: mm(g, transpose(mat2, 0, 1)),
    mat2=lambda g, input: mm(transpose(input, 0, 1), g),
)


@mm.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    n, k, m = (draw.integer(0, 4) for _ in range(3))
    return dict(input=draw.array((n, k)), mat2=draw.array((k, m)))


@mm.reference
def _mm_reference(input: Array, mat2: Array) -> Array:
    out = np.zeros((input.shape[0], mat2.shape[1]))
    for i, j in np.ndindex(*out.shape):
        out[i, j] = sum(input[i, k] * mat2[k, j] for k in range(input.shape[1]))
    return out


@differentiable(grad_name="BmmBackward0")
def batched_mm(input: Array, mat2: Array) -> Array:
    """The products of the matrices in the last two dimensions; the dimensions before them are broadcast."""
    return product.matmul(input, mat2)


@batched_mm.check
def _(input: Array, mat2: Array) -> None:
    _check_product("matmul", input, mat2)
    ours, theirs = input.shape[:-2], mat2.shape[:-2]
    for a, b in zip(reversed(ours), reversed(theirs), strict=False):
        if a != b and a != 1 and b != 1:
            raise ShapeError(
                f"matmul: the batches can't be broadcast: expected equal sides or 1 in {ours} and {theirs}, the "
                f"dimensions before the last two of shapes {input.shape} and {mat2.shape}"
            )


batched_mm.refuses(ShapeError, "the batches can't be broadcast", input=(2, 1, 1), mat2=(3, 1, 1))


for _op in (mm, batched_mm):
    _op.refuses(ShapeError, "cannot be multiplied (2x3 and 2x3)", input=(2, 3), mat2=(2, 3))
    _op.refuses(DTypeError, "to have the same dtype", input=(2, 3), mat2=np.ones((3, 2), np.float32))


batched_mm.gradients(
    input=lambda g, input_shape, mat2: sum_to(batched_mm(g, transpose(mat2, -2, -1)), input_shape),
    mat2=lambda g, input, mat2_shape: sum_to(batched_mm(transpose(input, -2, -1), g), mat2_shape),
)


@batched_mm.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    a, b = draw.broadcastable_shapes(2, max_dims=2)
    n, k, m = (draw.integer(1, 3) for _ in range(3))
    return dict(input=draw.array((*a, n, k)), mat2=draw.array((*b, k, m)))


batched_mm.reference(np.vectorize(_mm_reference, signature="(n,k),(k,m)->(n,m)"))


@tensor_method
def bmm(input: Tensor, mat2: Tensor) -> Tensor:
    """The products of two batches of matrices, (B, N, K) and (B, K, M) -> (B, N, M)."""
    for name, x in (("batch1", input), ("batch2", mat2)):
        if x._array.ndim != 3:
            raise ShapeError(f"bmm: {name} must be a 3D tensor, got shape {x._array.shape}; use matmul")
    if len(input._array) != len(mat2._array):
        raise ShapeError(f"bmm: expected batches of equal size, got {input._array.shape} and {mat2._array.shape}")
    return batched_mm(input, mat2)


@tensor_method
def matmul(input: Any, other: Any) -> Any:
    """The matrix product of tensors with one dimension (vectors) or more; dimensions before the last two broadcast.

    >>> import tinygrad_cnn as tg
    >>> tg.matmul(tg.ones(2, 5, 3), tg.ones(3)).shape
    torch.Size([2, 5])
    """
    if not isinstance(other, Tensor | np.ndarray):
        raise ArgumentTypeError(f"matmul(): argument 'other' must be Tensor, not {type(other).__name__}")
    a, b = input.shape, other.shape
    if not a or not b:
        raise ShapeError(
            f"matmul: both arguments to matmul need to be at least 1D, but they are {len(a)}D and {len(b)}D"
        )
    if len(b) == 1:
        columns = matmul(input, reshape(other, (b[0], 1)))
        return reshape(columns, columns.shape[:-1])
    if len(a) == 1:
        rows = matmul(reshape(input, (1, a[0])), other)
        return reshape(rows, (*rows.shape[:-2], rows.shape[-1]))
    if len(b) > 2:
        return batched_mm(input, other)
    if len(a) == 2:
        return mm(input, other)
    return reshape(mm(reshape(input, (math.prod(a[:-1]), a[-1])), other), (*a[:-1], b[-1]))  # one product for the batch


tensor_method(lambda self, other: matmul(self, other) if isinstance(other, Tensor) else NotImplemented, "__matmul__")


@tensor_method
def mv(input: Tensor, vec: Tensor) -> Tensor:
    """The product of a matrix and a vector."""
    if input._array.ndim != 2 or vec._array.ndim != 1:
        raise ShapeError(f"mv: expected a matrix and a vector, got shapes {input._array.shape} and {vec._array.shape}")
    return matmul(input, vec)


@tensor_method
def dot(input: Tensor, tensor: Tensor) -> Tensor:
    """The sum of the products of two vectors of equal size."""
    a, b = input._array, tensor._array
    if a.ndim != 1 or b.ndim != 1 or len(a) != len(b):
        raise ShapeError(f"dot: expected 1D tensors of the same size, got shapes {a.shape} and {b.shape}")
    return matmul(input, tensor)


vdot = tensor_method(dot, "vdot")


@tensor_method
def outer(input: Tensor, vec2: Tensor) -> Tensor:
    """The products of each element of one vector with each of another, (N), (M) -> (N, M)."""
    if input._array.ndim != 1 or vec2._array.ndim != 1:
        raise ShapeError(f"outer: expected 1D tensors, got shapes {input._array.shape} and {vec2._array.shape}")
    return reshape(input, (len(input), 1)) * vec2


ger = tensor_method(outer, "ger")


# ------------------------------------------------------------------------------------ products and sums
def _plus(input: Tensor, product: Tensor, beta: Number, alpha: Number) -> Any:
    """``beta * input + alpha * product`` in their dtype; with ``beta=0`` the input's NaNs don't count."""
    _check_dtypes("addmm", input._array, product._array)
    if broadcast_shapes(input._array.shape, product._array.shape) != product._array.shape:
        raise ShapeError(f"addmm: input of shape {input._array.shape} can't be expanded to {product._array.shape}")
    dtype = product._array.dtype
    if dtype.kind != "f":
        beta, alpha = int(beta), int(alpha)
    product = product if alpha == 1 else product * alpha
    if beta != 0:
        product = (input if beta == 1 else input * beta) + product
    return product.to(dtype)


@tensor_method
def addmm(input: Tensor, mat1: Tensor, mat2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Any:
    """``beta * input + alpha * (mat1 @ mat2)`` for matrices."""
    return _plus(input, mm(mat1, mat2), beta, alpha)


@tensor_method
def addmv(input: Tensor, mat: Tensor, vec: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Any:
    """``beta * input + alpha * (mat @ vec)`` for a matrix and a vector."""
    return _plus(input, mv(mat, vec), beta, alpha)


@tensor_method
def addr(input: Tensor, vec1: Tensor, vec2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Any:
    """``beta * input + alpha * outer(vec1, vec2)``."""
    return _plus(input, outer(vec1, vec2), beta, alpha)


@tensor_method
def baddbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Any:
    """``beta * input + alpha * (batch1 @ batch2)`` for batches of matrices."""
    return _plus(input, bmm(batch1, batch2), beta, alpha)


@tensor_method
def addbmm(input: Tensor, batch1: Tensor, batch2: Tensor, *, beta: Number = 1, alpha: Number = 1) -> Any:
    """``beta * input + alpha * sum over the batch of (batch1 @ batch2)``."""
    return _plus(input, bmm(batch1, batch2).sum(0, dtype=batch1.dtype), beta, alpha)


for _function in (addmm, addmv, addr, baddbmm, addbmm):
    inplace_method(_function, _function.__name__ + "_")


# ------------------------------------------------------------------------------------ chosen dimensions
@tensor_method
def inner(input: Tensor, other: Tensor) -> Any:
    """The sums of products over the last dimension of both; with a scalar, the product."""
    a, b = input._array, other._array
    if not a.ndim or not b.ndim:
        return input * other
    if a.shape[-1] != b.shape[-1]:
        raise ShapeError(f"inner: the last dimension must match on both input tensors, got {a.shape} and {b.shape}")
    return tensordot(input, other, ([-1], [-1]))


def tensordot(a: Tensor, b: Tensor, dims: Any = 2) -> Tensor:
    """The sums of products over some dimensions: the last ``dims`` of ``a`` with the first of ``b``, or two lists.

    >>> import tinygrad_cnn as tg
    >>> tg.tensordot(tg.ones(2, 3, 4), tg.ones(4, 3), dims=([1, 2], [1, 0])).shape
    torch.Size([2])
    """
    p, q = a._array.ndim, b._array.ndim
    if isinstance(dims, Tensor):
        dims = dims.tolist()
    if isinstance(dims, int):
        if dims < 0 or dims > min(p, q):
            raise ShapeError(f"tensordot: expects dims from 0 to {min(p, q)}, got {dims}")
        dims = (range(p - dims, p), range(dims))
    over_a, over_b = ([check_dim(d, n, "tensordot") for d in group] for group, n in zip(dims, (p, q), strict=True))
    shape_a, shape_b = a._array.shape, b._array.shape
    if any(len({1, shape_a[i], shape_b[j]}) > 2 for i, j in zip(over_a, over_b, strict=True)):
        raise ShapeError(
            f"tensordot: contracted dimensions need to match, got {shape_a} over {over_a} and {shape_b} over {over_b}"
        )
    for i, j in zip(over_a, over_b, strict=True):  # a side of 1 meets any other
        if a._array.shape[i] == 1:
            b = b.sum(j, keepdim=True, dtype=b.dtype)
        elif b._array.shape[j] == 1:
            a = a.sum(i, keepdim=True, dtype=a.dtype)
    shape_a, shape_b = a._array.shape, b._array.shape
    rest_a, rest_b = [d for d in range(p) if d not in over_a], [d for d in range(q) if d not in over_b]
    kept = math.prod(shape_a[d] for d in over_a)
    left = a.permute(*rest_a, *over_a).reshape(math.prod(shape_a[d] for d in rest_a), kept)
    right = b.permute(*over_b, *rest_b).reshape(kept, math.prod(shape_b[d] for d in rest_b))
    return reshape(mm(left, right), tuple([shape_a[d] for d in rest_a] + [shape_b[d] for d in rest_b]))


def chain_matmul(*matrices: Tensor) -> Any:
    """The product of several matrices, from left to right."""
    product = matrices[0]
    for matrix in matrices[1:]:
        product = mm(product, matrix)
    return product


# --------------------------------------------------------------------------------------------- linear layer
def rows(x: Any) -> Any:
    """``x`` as a matrix: the dimensions before the last merged into one."""
    return x if x.ndim == 2 else reshape(x, (math.prod(x.shape[:-1]), x.shape[-1]))


@differentiable(grad_name="AddmmBackward0")
def linear(input: Array, weight: Array, bias: Array | None = None) -> Array:
    """``input @ weight.T + bias``: features (..., I), weight (O, I) and bias (O) -> (..., O).

    >>> import tinygrad_cnn as tg
    >>> tg.nn.functional.linear(tg.ones(2, 3), tg.ones(4, 3), tg.ones(4)).shape
    torch.Size([2, 4])
    """
    out = product.matmul(rows(input), weight.T, bias)
    return out.reshape((*input.shape[:-1], len(weight)))


@linear.check
def _(input: Array, weight: Array, bias: Array | None) -> None:
    if weight.ndim != 2:
        raise ShapeError(f"linear: weight expected shape (out_features, in_features), got {weight.shape}")
    features = input.shape[-1] if input.ndim else 0
    if features != weight.shape[1]:
        raise ShapeError(
            f"linear: expected {weight.shape[1]} features, got {features} in the last dimension of input shape "
            f"{input.shape}; use in_features={features} or LazyLinear"
        )
    _check_dtypes("linear", input, weight)
    if bias is not None:
        if bias.shape not in ((), (1,), (len(weight),)):
            raise ShapeError(f"linear: bias expected shape ({len(weight)},), got {bias.shape}")
        _check_dtypes("linear", input, bias)


for _wrong, _input, _weight, _bias in (
    ((ShapeError, "weight expected shape (out_features, in_features), got (3,)"), (2, 3), (3,), None),
    ((ShapeError, "expected 3 features, got 2"), (3, 2), (4, 3), None),
    ((ShapeError, "expected 3 features, got 0"), (), (4, 3), None),
    ((DTypeError, "same dtype"), (2, 3), np.ones((4, 3), np.float32), None),
    ((ShapeError, "bias expected shape (4,), got (3,)"), (2, 3), (4, 3), (3,)),
    ((DTypeError, "same dtype"), (2, 3), (4, 3), np.ones(4, np.float32)),
):
    linear.refuses(*_wrong, input=_input, weight=_weight, bias=_bias)


linear.gradients(
    input=lambda g, weight: mm(g, weight) if g.ndim == 2 else matmul(g, weight),
    weight=lambda g, input: mm(rows(g).T, rows(input)),
    bias=lambda g, bias_shape: sum_to(rows(g), bias_shape),
)


@linear.samples
@or_integers
def _(draw: Any) -> dict[str, Any]:
    shape, features = draw.shape(min_dims=1), draw.integer(1, 3)
    bias = draw.choice([None, draw.array((features,))])
    return dict(input=draw.array(shape), weight=draw.array((features, shape[-1])), bias=bias)


@linear.reference
def _(input: Array, weight: Array, bias: Array | None = None) -> Array:
    out = np.zeros((*input.shape[:-1], len(weight)))
    for *place, o in np.ndindex(*out.shape):
        out[(*place, o)] = sum(x * w for x, w in zip(input[tuple(place)], weight[o], strict=True))
    return out if bias is None else out + bias
