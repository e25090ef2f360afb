"""Losses over rows of class scores: (M,C) with one label a row."""

from __future__ import annotations

import numpy as np


def softmax_cross_entropy(rows: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """-log softmax(row)[label] for each row, and the softmax itself, computed without overflow."""
    shifted = rows - rows.max(axis=1, keepdims=True, initial=-np.inf)
    picked = shifted[np.arange(len(rows)), labels]
    probabilities = np.exp(shifted, out=shifted)
    sums = probabilities @ np.ones(rows.shape[1], rows.dtype)
    probabilities /= sums[:, None]
    return np.log(sums) - picked, probabilities


def softmax_cross_entropy_grad(probabilities: np.ndarray, labels: np.ndarray, factors: np.ndarray) -> np.ndarray:
    """(softmax - one-hot) times a factor for each row."""
    out: np.ndarray = probabilities * factors[:, None]
    out[np.arange(len(out)), labels] -= factors
    return out
