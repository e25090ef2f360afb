"""Losses over rows of class scores: (M,C) with one label a row."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.rows import blocks, is_one_block, over_shares


def softmax_cross_entropy(
    rows: np.ndarray, labels: np.ndarray, smoothing: float = 0.0
) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax(row)[label] for each row, and the softmax itself, computed without overflow.

    ``smoothing`` is the part of a label that is shared out among all classes.
    """
    losses, probabilities = np.empty(len(rows), rows.dtype), np.empty_like(rows)

    def work(share: slice) -> None:
        for block, _ in blocks(rows, share, 1):
            _softmax_cross_entropy(rows[block], labels[block], smoothing, losses[block], probabilities[block])

    if is_one_block(rows):
        _softmax_cross_entropy(rows, labels, smoothing, losses, probabilities)
    else:
        over_shares(work, rows, 8)
    return losses, probabilities


def _softmax_cross_entropy(
    rows: np.ndarray, labels: np.ndarray, smoothing: float, losses: np.ndarray, softmax: np.ndarray
) -> None:
    np.subtract(rows, np.maximum.reduce(rows, axis=1, keepdims=True, initial=-np.inf), out=softmax)
    picked = softmax[np.arange(len(rows)), labels]
    if smoothing:
        picked = (1 - smoothing) * picked + smoothing / rows.shape[1] * np.add.reduce(softmax, axis=1)
    np.exp(softmax, out=softmax)
    sums = np.add.reduce(softmax, axis=1)
    np.divide(softmax, sums[:, None], out=softmax)
    np.subtract(np.log(sums), picked, out=losses)


def softmax_cross_entropy_grad(
    probabilities: np.ndarray, labels: np.ndarray, factors: np.ndarray, smoothing: float = 0.0
) -> np.ndarray:
    """(softmax - label) times a factor for each row, where a label is one-hot, or smoothed."""
    out = np.empty_like(probabilities)

    def work(share: slice) -> None:
        source = probabilities[share]
        if smoothing:
            source = np.subtract(source, smoothing / out.shape[1], out=out[share])
        np.multiply(source, factors[share, None], out=out[share])

    over_shares(work, out, 2)
    out[np.arange(len(out)), labels] -= (1 - smoothing) * factors if smoothing else factors
    return out
