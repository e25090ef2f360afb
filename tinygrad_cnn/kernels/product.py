"""Matrix products over our own threads."""

from __future__ import annotations

import math

import numpy as np

from tinygrad_cnn.kernels.parallel import one_blas_thread, run, shares
from tinygrad_cnn.kernels.workspace import workspace

_ALONE = 1 << 18  # multiplications up to which BLAS libraries don't use their own threads either
_A_BYTE = 4  # multiplications that take as long as going through a byte
_FEW_ROWS = 64
_QUICK = 10**6  # multiplications up to which OpenBLAS (on AVX-512) packs nothing, which is up to 1.6 times as fast
_SHORTEST = 100  # rows of a piece, below which pieces cost more than they gain


def matmul(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None = None) -> np.ndarray:
    """``a @ b`` for two matrices or two stacks of them; rows, columns or matrices of a stack are shared out.

    To products of two matrices a bias is added, one for each column or for all, by the threads that have them at hand.
    """
    stack = np.broadcast_shapes(a.shape[:-2], b.shape[:-2])
    count = math.prod(stack) * a.shape[-2] * a.shape[-1] * b.shape[-1]
    if count <= _ALONE or a.dtype.kind != "f" or a.dtype.itemsize == 2:
        out = np.asarray(np.matmul(a, b))
        return out if bias is None else np.add(out, bias, out=out)
    with one_blas_thread():
        out = np.empty((*stack, a.shape[-2], b.shape[-1]), a.dtype)
        cost = count / _A_BYTE
        if stack:
            axis = int(np.argmax(stack))
            ways = [np.broadcast_to(x, (*stack, *x.shape[-2:])).swapaxes(0, axis) for x in (a, b)]
            into = out.swapaxes(0, axis)
            run(lambda some: np.matmul(ways[0][some], ways[1][some], out=into[some]), shares(stack[axis], cost))
        elif 2 * len(b) >= out.size:  # few results of long sums: a part of each sum for each thread
            parts = run(lambda rows: _sum_of_products(a[:, rows], b[rows]), shares(len(b), cost))
            np.add.reduce(parts, out=out)
            if bias is not None:
                out += bias
        elif len(a) > b.shape[1]:
            run(lambda rows: _multiply(a[rows], b, bias, out[rows]), shares(len(a), cost))
        else:
            wide = None if bias is None else np.broadcast_to(bias, b.shape[1])
            run(
                lambda some: _multiply(a, b[:, some], None if wide is None else wide[some], out[:, some]),
                shares(b.shape[1], cost),
            )
        return out


def _sum_of_products(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    total = np.zeros((1, len(a), b.shape[1]), a.dtype)
    add_products(a.T[None, None], b[None, None], total)
    return total[0]


def _multiply(a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, out: np.ndarray) -> None:
    """Write ``a @ b``, plus the bias, to ``out``.

    A few rows times a matrix that lies transposed are a product of that one and columns: so BLAS needn't turn the
    larger matrix around, which takes up to half of the time.
    """
    if len(a) <= _FEW_ROWS and 4 * len(a) <= b.shape[1] and b.flags.f_contiguous:
        np.add(np.matmul(b.T, a.T).T, 0 if bias is None else bias, out=out)
    else:
        multiply_rows(a, b, out)
        if bias is not None:
            out += bias


def _pieces(rows: int, others: int) -> int:
    """Into how many quick products to cut one that sums or gives so many rows, with so many multiplications each."""
    most = _QUICK // max(others, 1)
    return -(-rows // most) if _SHORTEST <= most < rows else 1


def _cut(matrices: np.ndarray, pieces: int) -> np.ndarray:
    """(..., M, K) as (..., pieces, rows, K), a view, without what is left over."""
    *lying, rows, k = matrices.shape
    return matrices[..., : rows - rows % pieces, :].reshape(*lying, pieces, rows // pieces, k)


def multiply_rows(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Write ``a @ b`` to ``out`` for stacks of tall matrices (..., M, K) and (..., K, N), in quick pieces."""
    pieces = _pieces(a.shape[-2], b.shape[-2] * b.shape[-1])
    if pieces == 1:
        np.matmul(a, b, out=out)
        return
    b = np.ascontiguousarray(b)  # small, and a transposed one isn't as quick
    np.matmul(_cut(a, pieces), b[..., None, :, :], out=_cut(out, pieces))
    if over := a.shape[-2] % pieces:
        np.matmul(a[..., -over:, :], b, out=out[..., -over:, :])


def add_products(a: np.ndarray, b: np.ndarray, total: np.ndarray) -> None:
    """Add to ``total`` (P,F,K) the products of a (P,S,M,F), transposed, and b (P,S,M,K), over S, in quick pieces."""
    (count, f, k), rows = total.shape, a.shape[2]
    pieces = _pieces(rows, f * k)
    over = rows % pieces
    for first, last, n in ((0, rows - over, pieces), (rows - over, rows, 1)):
        if first < last:
            product = workspace("product", (count, a.shape[1], n, f, k), total.dtype)
            columns, runs = _cut(a[:, :, first:last], n), _cut(b[:, :, first:last], n)
            np.matmul(columns.swapaxes(3, 4), runs, out=product)
            parts = product.reshape(count, a.shape[1] * n, f, k)
            if n > 1:
                parts = np.add.reduce(parts, axis=1, keepdims=True)
            for i in range(parts.shape[1]):
                total += parts[:, i]
