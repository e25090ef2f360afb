"""DeZero, the framework of "Deep Learning from Scratch 3" (K. Saitoh, O'Reilly Japan 2020)."""

from __future__ import annotations

from itertools import cycle
from typing import Any

import numpy as np


def step(parameters: dict[str, np.ndarray], images: np.ndarray, labels: list[np.ndarray], threads: int) -> Any:
    np.int = int  # a name that DeZero 0.0.13 uses and NumPy dropped in 1.24
    import dezero.functions as F
    import dezero.layers as L
    from dezero import Model, optimizers
    from threadpoolctl import threadpool_limits

    threadpool_limits(threads)

    class Net(Model):
        def __init__(self) -> None:
            super().__init__()
            self.conv = L.Conv2d(30, 5, in_channels=1)
            self.hidden = L.Linear(100, in_size=4320)
            self.last = L.Linear(10, in_size=100)

        def forward(self, x: Any) -> Any:
            x = F.pooling(F.relu(self.conv(x)), 2, 2)
            return self.last(F.relu(self.hidden(F.reshape(x, (len(x), -1)))))

    net = Net()
    for layer, name in ((net.conv, "0"), (net.hidden, "4"), (net.last, "6")):
        weight = parameters[f"{name}.weight"]
        layer.W.data = (weight if weight.ndim == 4 else weight.T).copy()
        layer.b.data = parameters[f"{name}.bias"].copy()
    optimizer = optimizers.Adam(alpha=1e-3).setup(net)
    targets = cycle(labels)

    def run() -> Any:
        loss = F.softmax_cross_entropy(net(images), next(targets))
        net.cleargrads()
        loss.backward()
        optimizer.update()
        return loss.data

    return run
