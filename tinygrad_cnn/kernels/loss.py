"""Losses over rows of class scores: (M,C) with one label a row."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.rows import blocks, is_one_block, over_shares


def softmax_cross_entropy(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax(row)[label] for each row, and the softmax itself, computed without overflow."""
    losses, probabilities = np.empty(len(rows), rows.dtype), np.empty_like(rows)

    def work(share: slice) -> None:
        for block, _ in blocks(rows, share, 1):
            _softmax_cross_entropy(rows[block], labels[block], losses[block], probabilities[block])

    if is_one_block(rows):
        _softmax_cross_entropy(rows, labels, losses, probabilities)
    else:
        over_shares(work, rows, 8)
    return losses, probabilities


def _softmax_cross_entropy(rows: np.ndarray, labels: np.ndarray, losses: np.ndarray, softmax: np.ndarray) -> None:
    np.subtract(rows, np.maximum.reduce(rows, axis=1, keepdims=True, initial=-np.inf), out=softmax)
    picked = softmax[np.arange(len(rows)), labels]
    np.exp(softmax, out=softmax)
    sums = np.add.reduce(softmax, axis=1)
    np.divide(softmax, sums[:, None], out=softmax)
    np.subtract(np.log(sums), picked, out=losses)


def softmax_cross_entropy_grad(probabilities: np.ndarray, labels: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(softmax - one-hot) times a factor for each row."""
    out = np.empty_like(probabilities)
    over_shares(lambda share: np.multiply(probabilities[share], factors[share, None], out=out[share]), out, 2)
    out[np.arange(len(out)), labels] -= factors
    return out
