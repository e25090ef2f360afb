"""Every differentiable op, one family a file. ``registry`` maps their names to their declarations."""

from tinygrad_cnn.autograd.op import Op, differentiable, operation, registry
from tinygrad_cnn.ops import (  # noqa: F401  # importing a family declares its ops and the Tensor methods
    activation,
    combine,
    compare,
    conv,
    convert,
    create,
    elementwise,
    elementwise_loss,
    extrema,
    index,
    inplace,
    join,
    layout,
    linalg,
    loss,
    matmul,
    norm,
    pad,
    pool,
    random,
    reduce,
    resize,
    scan,
    shape,
    sort,
    statistics,
    unary,
)

__all__ = ["Op", "differentiable", "operation", "registry"]
