"""Matrix products over our own threads."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.parallel import one_blas_thread, run, shares

_ALONE = 1 << 18  # multiplications up to which BLAS libraries don't use their own threads either


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
            run(lambda rows: np.matmul(a[rows], b, out=out[rows]), shares(len(a), count / 16))
        else:
            run(lambda columns: np.matmul(a, b[:, columns], out=out[:, columns]), shares(b.shape[1], count / 16))
        return out
