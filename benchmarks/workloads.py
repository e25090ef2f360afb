"""The workloads, each written once: PyTorch's names are ours, so one function serves both libraries.

A workload takes the library and returns a function that does one step.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

Step = Callable[[], object]


def _images(library: Any, batch: int, channels: int, side: int, classes: int = 10) -> tuple[Any, Any]:
    rng = np.random.default_rng(0)
    x = rng.random((batch, channels, side, side), dtype=np.float32)
    return library.from_numpy(x), library.from_numpy(rng.integers(0, classes, batch))


def _training_step(library: Any, model: Any, optimizer: Any, x: Any, t: Any) -> Step:
    def step() -> None:
        optimizer.zero_grad()
        library.nn.functional.cross_entropy(model(x), t).backward()
        optimizer.step()

    return step


def simple_conv_net(library: Any, batch: int = 100) -> Step:
    """The book's network: conv 30 5x5, relu, max pool 2, affine 100, relu, affine 10; Adam."""
    nn = library.nn
    model = nn.Sequential(
        nn.Conv2d(1, 30, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(30 * 12 * 12, 100),
        nn.ReLU(),
        nn.Linear(100, 10),
    )
    x, t = _images(library, batch, 1, 28)
    return _training_step(library, model, library.optim.Adam(model.parameters(), lr=1e-3), x, t)


def lenet5(library: Any, batch: int = 256) -> Step:
    """LeNet-5 with ReLU and max pooling, on 28x28; SGD with momentum."""
    nn = library.nn
    model = nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5),
        nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(400, 120),
        nn.ReLU(),
        nn.Linear(120, 84),
        nn.ReLU(),
        nn.Linear(84, 10),
    )
    x, t = _images(library, batch, 1, 28)
    return _training_step(library, model, library.optim.SGD(model.parameters(), lr=0.01, momentum=0.9), x, t)


def mlp(library: Any, batch: int = 32) -> Step:
    """784-256-128-10; SGD."""
    nn = library.nn
    model = nn.Sequential(nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 128), nn.ReLU(), nn.Linear(128, 10))
    x, t = _images(library, batch, 1, 28)
    return _training_step(library, model, library.optim.SGD(model.parameters(), lr=0.01), x.reshape(batch, -1), t)


WORKLOADS: dict[str, Callable[[Any], Step]] = {
    "simple_conv_net": simple_conv_net,
    "lenet5": lenet5,
    "mlp": mlp,
}


def book_simple_conv_net() -> Step:
    """The same step in the book's own classes (float64, as NumPy makes them)."""
    from benchmarks.book import SimpleConvNet

    net = SimpleConvNet()
    rng = np.random.default_rng(0)
    x, t = rng.random((100, 1, 28, 28)), rng.integers(0, 10, 100)
    return lambda: net.train_step(x, t)
