"""MyGrad: its own convolution, pooling and loss; Adam in NumPy, since MyGrad has no optimisers."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np

from benchmarks.peers.adam import Adam


def step(parameters: dict[str, np.ndarray], images: np.ndarray, labels: list[np.ndarray], threads: int) -> Any:
    import mygrad as mg
    from mygrad.nnet.activations import relu
    from mygrad.nnet.layers import conv_nd, max_pool
    from mygrad.nnet.losses import softmax_crossentropy
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)
    mg.turn_memory_guarding_off()  # as its documentation advises for speed
    p = {name: mg.tensor(value.copy()) for name, value in parameters.items()}
    optimizer = Adam([tensor.data for tensor in p.values()])
    targets = cycle(labels)

    def run() -> Any:
        x = conv_nd(images, p["0.weight"], stride=1) + p["0.bias"].reshape(1, -1, 1, 1)
        x = max_pool(relu(x), (2, 2), 2)
        x = relu(x.reshape(len(images), -1) @ p["4.weight"].T + p["4.bias"])
        loss = softmax_crossentropy(x @ p["6.weight"].T + p["6.bias"], next(targets))
        loss.backward()
        optimizer.step([tensor.grad for tensor in p.values()])
        for tensor in p.values():
            tensor.null_grad()
        return loss.item()

    return run
