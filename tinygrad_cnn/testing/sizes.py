"""Small arrays treated as large ones, so that the kit's cases reach the kernels that are chosen for size."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator
from dataclasses import replace

from tinygrad_cnn.kernels import (
    arrange,
    choice,
    columns,
    conv,
    depthwise,
    elementwise,
    parallel,
    pool,
    product,
    reduce,
    resize,
    rows,
    spare,
    winograd,
)

# Where another way begins, or a block ends: so low that arrays of a few elements get there.
_LOW = (
    (arrange, "_LEAST", 0),
    (columns, "FEW", 0),
    (columns, "BLOCK_BYTES", 256),
    (conv, "SMALL", 0),
    (depthwise, "BLOCK_BYTES", 256),
    (elementwise, "PART", 4),
    (elementwise, "_BRIEF", 1),
    (elementwise, "_SHARED", 1),
    (elementwise, "_LEAST", 2),
    (parallel, "LEAST_SHARE", 1),
    (pool, "_CHUNK", 64),
    (pool, "_FEW", 0),
    (product, "_ALONE", 0),
    (product, "_QUICK", 64),
    (product, "_SHORTEST", 1),
    (reduce, "_WORTHWHILE", 2),
    (reduce, "_LONGEST_PRODUCT", 3),
    (reduce, "_ALONE", 0),
    (reduce, "_BLOCK", 2),
    (resize, "_BAND", 2),
    (rows, "WIDTH", 4),
    (rows, "BLOCK", 64),
    (spare, "LEAST", 0),
    (winograd, "BLOCK_BYTES", 256),
)


@contextlib.contextmanager
def as_if_large(threads: int = 2) -> Iterator[None]:
    """Let the kernels cut arrays of any size into blocks, share them among threads, and use Winograd's filters.

    >>> import tinygrad_cnn as tg
    >>> with as_if_large():
    ...     tg.testing.check_op(tg.ops.registry["sum"], examples=3)
    """
    before = [(module, name, getattr(module, name)) for module, name, _ in _LOW]
    rule, count = choice.rule(), parallel.get_num_threads()
    for module, name, low in _LOW:
        setattr(module, name, low)
    choice.use(replace(rule, winograd_below=math.inf, transform_weight=0))  # square ones where they fit
    parallel.set_num_threads(threads)
    try:
        yield
    finally:
        for module, name, value in before:
            setattr(module, name, value)
        choice.use(rule)
        parallel.set_num_threads(count)
