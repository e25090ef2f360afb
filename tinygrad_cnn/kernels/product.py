"""Matrix products over our own threads."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.parallel import one_blas_thread, run, shares

_ALONE = 1 << 18  # multiplications up to which BLAS libraries don't use their own threads either
_FEW_ROWS = 64


def matmul(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """``a @ b`` for two matrices or two equally large stacks of them; rows, columns or matrices are shared out."""
    count = a.size * b.shape[-1]
    if count <= _ALONE:
        return np.asarray(np.matmul(a, b))
    with one_blas_thread():
        if a.ndim != 2 or b.ndim != 2 or a.dtype.kind != "f" or a.dtype.itemsize == 2:
            return np.asarray(np.matmul(a, b))
        out = np.empty((len(a), b.shape[1]), a.dtype)
        if len(a) >= b.shape[1]:
            run(lambda rows: _multiply(a[rows], b, out[rows]), shares(len(a), count / 16))
        else:
            run(lambda columns: _multiply(a, b[:, columns], out[:, columns]), shares(b.shape[1], count / 16))
        return out


def _multiply(a: np.ndarray, b: np.ndarray, out: np.ndarray) -> None:
    """Write ``a @ b`` to ``out``. A few rows times a matrix that lies transposed are a product of that one and columns:
    so BLAS needn't turn the larger matrix around, which takes up to half of the time.
    """
    if len(a) <= _FEW_ROWS and 4 * len(a) <= b.shape[1] and b.flags.f_contiguous:
        np.copyto(out, np.matmul(b.T, a.T).T)
    else:
        np.matmul(a, b, out=out)
