"""HIPS autograd: the convolution as a product, since its own is far slower.

The windows of the images are gathered in NumPy, which is possible in the first layer only: it needs no gradient.
"""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.peers.adam import Adam


def step(parameters: dict[str, np.ndarray], images: np.ndarray, labels: list[np.ndarray], threads: int) -> Any:
    import autograd.numpy as anp
    from autograd import value_and_grad
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    p = [value.copy() for value in parameters.values()]
    n, rows = len(images), np.arange(len(images))

    def loss(p: Any, windows: Any, t: Any) -> Any:
        w0, b0, w4, b4, w6, b6 = p
        x = anp.dot(windows, anp.reshape(w0, (30, 25)).T) + b0  # (N*24*24,30)
        x = anp.maximum(anp.max(anp.reshape(x, (n, 12, 2, 12, 2, 30)), axis=(2, 4)), 0)
        x = anp.reshape(anp.transpose(x, (0, 3, 1, 2)), (n, -1))
        x = anp.maximum(anp.dot(x, w4.T) + b4, 0)
        x = anp.dot(x, w6.T) + b6
        x = x - anp.max(x, axis=1, keepdims=True)
        return -anp.mean(x[rows, t] - anp.log(anp.sum(anp.exp(x), axis=1)))

    gradient = value_and_grad(loss)
    optimizer = Adam(p)
    targets = cycle(labels)

    def run() -> Any:
        windows = np.lib.stride_tricks.sliding_window_view(images[:, 0], (5, 5), (1, 2)).reshape(-1, 25)
        value, gradients = gradient(p, windows, next(targets))
        optimizer.step(gradients)
        return value

    return run
