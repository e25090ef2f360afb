"""Adam (Kingma and Ba 2014) on NumPy arrays, in place, for libraries that bring none."""

from __future__ import annotations

import numpy as np


class Adam:
    """Changes ``parameters`` by their gradients."""

    def __init__(self, parameters: list[np.ndarray], lr: float = 1e-3) -> None:
        self.parameters, self.lr, self.steps = parameters, lr, 0
        self.means = [np.zeros_like(p) for p in parameters]
        self.squares = [np.zeros_like(p) for p in parameters]

    def step(self, gradients: list[np.ndarray]) -> None:
        self.steps += 1
        mean_scale = self.lr / (1 - 0.9**self.steps)
        square_scale = 1 / (1 - 0.999**self.steps)
        for p, g, m, v in zip(self.parameters, gradients, self.means, self.squares, strict=True):
            m *= 0.9
            m += 0.1 * g
            v *= 0.999
            v += 0.001 * (g * g)
            root = np.sqrt(v * square_scale)
            root += 1e-8
            p -= mean_scale * m / root
