"""Losses over rows of class scores: (M,C) with one label a row."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.rows import blocks, over_shares


def softmax_cross_entropy(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax(row)[label] for each row, and the softmax itself, computed without overflow."""
    losses, probabilities = np.empty(len(rows), rows.dtype), np.empty_like(rows)

    def work(share: slice) -> None:
        for block, _ in blocks(rows, share, 1):
            part = probabilities[block]
            np.subtract(rows[block], np.maximum.reduce(rows[block], axis=1, keepdims=True, initial=-np.inf), out=part)
            picked = part[np.arange(len(part)), labels[block]]
            np.exp(part, out=part)
            sums = np.add.reduce(part, axis=1)
            np.divide(part, sums[:, None], out=part)
            np.subtract(np.log(sums), picked, out=losses[block])

    over_shares(work, rows, 8)
    return losses, probabilities


def softmax_cross_entropy_grad(probabilities: np.ndarray, labels: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(softmax - one-hot) times a factor for each row."""
    out = np.empty_like(probabilities)

    def work(share: slice) -> None:
        np.multiply(probabilities[share], factors[share, None], out=out[share])

    over_shares(work, out, 2)
    out[np.arange(len(out)), labels] -= factors
    return out
