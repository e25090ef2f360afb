"""The singular value decomposition, for the norms of matrices that need it."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import DTYPES, Array
from tinygrad_cnn.errors import DTypeError, LinAlgError
from tinygrad_cnn.ops.elementwise import choose, keep
from tinygrad_cnn.ops.matmul import matmul
from tinygrad_cnn.ops.permute import transpose


@differentiable(outputs="many", grad_name="LinalgSvdBackward0")
def svd(input: Array) -> tuple[Array, Array, Array]:
    """Matrices (...,M,N) as U (...,M,K), the singular values S (...,K) and V transposed (...,K,N), K = min(M,N)."""
    u, s, vh = np.linalg.svd(input, full_matrices=False)
    return u, s, vh


def _inverse(x: Any) -> Any:
    """1 / x, and 0 for 0: what belongs to equal singular values has no derivative of its own."""
    return keep(1.0 / choose(x == 0, 1.0, x), x != 0)


def _skew(x: Any) -> Any:
    return x - transpose(x, -2, -1)


def _svd_gradient(g: Any, input: Any) -> Any:
    """Giles, "Collected matrix derivative results for forward and reverse mode AD" (2008), section 3."""
    g_u, g_s, g_vh = g
    u, s, vh = svd(input)
    uh, v, g_v = transpose(u, -2, -1), transpose(vh, -2, -1), transpose(g_vh, -2, -1)
    row, column = s[..., None, :], s[..., :, None]
    gaps = _inverse((row - column) * (row + column))
    inner = _skew(matmul(uh, g_u)) * gaps * row + column * (_skew(matmul(vh, g_v)) * gaps)
    inner = inner + g_s[..., None, :] * np.eye(s.shape[-1], dtype=input.dtype)
    beside_u = (g_u - matmul(u, matmul(uh, g_u))) * _inverse(row)
    beside_v = (g_v - matmul(v, matmul(vh, g_v))) * _inverse(row)
    return matmul(matmul(u, inner) + beside_u, vh) + matmul(u, transpose(beside_v, -2, -1))


svd.gradients(input=_svd_gradient)
svd.exempt(ties="singular vectors of equal singular values are not unique")


@differentiable(grad_name="LinalgSvdBackward0")
def svdvals(A: Array) -> Array:
    """The singular values of matrices (...,M,N) -> (...,min(M,N)), the largest first.

    >>> import tinygrad_cnn as tg
    >>> tg.linalg.svdvals(tg.tensor([[0.0, 2.0], [3.0, 0.0]]))
    tensor([3., 2.])
    """
    return np.asarray(np.linalg.svd(A, compute_uv=False))


for _op in (svd, svdvals):

    @_op.check
    def _(input: Array) -> None:
        if input.dtype.kind != "f" or input.itemsize < 4:
            raise DTypeError(
                "linalg.svd: Expected a floating point tensor as input, and of no low precision. "
                f"Got {DTYPES[input.dtype]}; use .float()"
            )
        if not np.isfinite(input).all():  # LAPACK may never return
            raise LinAlgError(
                "linalg.svd: the algorithm can't converge, because the input has NaN or infinite elements"
            )

    _op.refuses(LinAlgError, "NaN or infinite", **{_op.inputs[0]: np.diag([1.0, np.inf])})
    for _dtype in (int, np.float16):
        _op.refuses(DTypeError, "Expected a floating point tensor", **{_op.inputs[0]: np.ones((2, 2), _dtype)})


def _svdvals_gradient(g: Any, A: Any) -> Any:
    u, _, vh = svd(A)
    return matmul(u * g[..., None, :], vh)


svdvals.gradients(A=_svdvals_gradient)


def _matrices(name: str) -> Any:
    def sample(draw: Any) -> dict[str, Any]:
        shape = (draw.integer(1, 3), draw.integer(1, 3))
        return {name: np.eye(*shape) * [3.0, 2.0, 1.0][: shape[1]] + 0.2 * draw.array(shape)}  # well apart

    return sample


svd.samples(_matrices("input"))
svdvals.samples(_matrices("A"))


def _values_by_roots(A: Array) -> Array:
    """The square roots of the eigenvalues of A's smaller product with itself."""
    product = A @ A.T if A.shape[0] <= A.shape[1] else A.T @ A
    return np.sqrt(np.sort(np.roots(np.poly(product)).real)[::-1])


svdvals.reference(_values_by_roots)


@svd.reference
def _(input: Array) -> tuple[Array, Array, Array]:
    """U and V up to their signs, which are those of the decomposition itself."""
    values, k = _values_by_roots(input), min(input.shape)
    u = np.stack([np.linalg.svd(input @ input.T - s**2 * np.eye(len(input)))[2][-1] for s in values], 1)
    u *= np.sign((u * np.linalg.svd(input)[0][:, :k]).sum(0))
    return u, values, (u.T @ input) / values[:, None]
