"""Losses of comparisons: two scores or vectors should differ by at least a margin."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.errors import ArgumentError, DTypeError, ShapeError
from tinygrad_cnn.nn.functional.loss import check_tensors, reduced, reduction_of
from tinygrad_cnn.ops.activation import logsigmoid
from tinygrad_cnn.ops.combine import minimum
from tinygrad_cnn.ops.distance import pairwise_distance
from tinygrad_cnn.ops.elementwise import where
from tinygrad_cnn.ops.loss import check_labels

__all__ = [
    "cosine_embedding_loss",
    "hinge_embedding_loss",
    "margin_ranking_loss",
    "multi_margin_loss",
    "multilabel_margin_loss",
    "multilabel_soft_margin_loss",
    "soft_margin_loss",
    "triplet_margin_loss",
    "triplet_margin_with_distance_loss",
]


def margin_ranking_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, margin - target * (input1 - input2)): a target of 1 wants the first score larger, -1 the second.

    >>> import tinygrad_cnn as tg
    >>> margin_ranking_loss(tg.tensor([2.0]), tg.tensor([3.0]), tg.tensor([1.0]))
    tensor(1.)
    """
    reduction = reduction_of("margin_ranking_loss", reduction, size_average, reduce)
    if not input1.ndim == input2.ndim == target.ndim:
        raise ShapeError(
            "margin_ranking_loss: All input tensors should have same dimension but got sizes: input1: "
            f"{input1.shape}, input2: {input2.shape}, target: {target.shape}"
        )
    return reduced((-target * (input1 - input2) + margin).clamp(min=0), reduction)


def hinge_embedding_loss(
    input: Any,
    target: Any,
    margin: float = 1.0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """``input`` (a distance) where ``target`` is 1, max(0, margin - input) where it is -1."""
    reduction = reduction_of("hinge_embedding_loss", reduction, size_average, reduce)
    apart = where(target != 1, (margin - input).clamp(min=0), 0.0)
    return reduced(apart + where(target != -1, input, 0.0), reduction)


def soft_margin_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """log(1 + exp(-target * input)) for targets 1 and -1."""
    reduction = reduction_of("soft_margin_loss", reduction, size_average, reduce)
    return reduced(-logsigmoid(target * input), reduction)


def cosine_embedding_loss(
    input1: Any,
    input2: Any,
    target: Any,
    margin: float = 0,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """1 - cos where ``target`` is 1, max(0, cos - margin) where it is -1; for vectors (N,D) and (N), or (D) and ()."""
    reduction = reduction_of("cosine_embedding_loss", reduction, size_average, reduce)
    if target.ndim > 1:
        raise ShapeError("cosine_embedding_loss: 0D or 1D target tensor expected, multi-target not supported")
    if input1.ndim != target.ndim + 1 or input2.ndim != target.ndim + 1:
        raise ShapeError(
            f"cosine_embedding_loss: {target.ndim}D target tensor expects {target.ndim + 1}D input tensors, but found "
            f"inputs with sizes {tuple(input1.shape)} and {tuple(input2.shape)}."
        )
    lengths = ((input1 * input1).sum(-1) + 1e-12) * ((input2 * input2).sum(-1) + 1e-12)
    cosine = (input1 * input2).sum(-1) / lengths.sqrt()
    alike = where(target == 1, 1 - cosine, 0.0)
    return reduced(alike + where(target == -1, (cosine - margin).clamp(min=0), 0.0), reduction)


def triplet_margin_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    margin: float = 1.0,
    p: float = 2,
    eps: float = 1e-6,
    swap: bool = False,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """max(0, margin + distance(anchor, positive) - distance(anchor, negative)), with p-norm distances.

    ``swap`` takes the distance of positive and negative if that is less. Source: Balntas et al. 2016.
    """
    reduction = reduction_of("triplet_margin_loss", reduction, size_average, reduce)

    def distance(x1: Any, x2: Any) -> Any:
        return pairwise_distance(x1, x2, p, eps)

    return triplet_margin_with_distance_loss(
        anchor, positive, negative, distance_function=distance, margin=margin, swap=swap, reduction=reduction
    )


def triplet_margin_with_distance_loss(
    anchor: Any,
    positive: Any,
    negative: Any,
    *,
    distance_function: Callable[[Any, Any], Any] | None = None,
    margin: float = 1.0,
    swap: bool = False,
    reduction: str = "mean",
) -> Any:
    """``triplet_margin_loss`` with any distance of two batches of vectors."""
    reduction = reduction_of("triplet_margin_with_distance_loss", reduction)
    if margin <= 0:
        raise ArgumentError(f"triplet_margin_loss: margin must be greater than 0, got {margin}")
    if not anchor.ndim == positive.ndim == negative.ndim:
        raise ShapeError(
            "triplet_margin_loss: The anchor, positive, and negative tensors are expected to have the same number of "
            f"dimensions, but got: anchor {anchor.ndim}D, positive {positive.ndim}D, and negative {negative.ndim}D"
        )
    distance = distance_function or pairwise_distance
    near, far = distance(anchor, positive), distance(anchor, negative)
    if swap:
        far = minimum(far, distance(positive, negative))
    return reduced((margin + near - far).clamp(min=0), reduction)


def multi_margin_loss(
    input: Any,
    target: Any,
    p: int = 1,
    margin: float = 1.0,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """The sum over the other classes of max(0, margin - score of the label + score) ** p, over the number of classes.

    For scores (N,C) or (C), labels (N) or (), and a weight for each class.
    """
    reduction = reduction_of("multi_margin_loss", reduction, size_average, reduce)
    check_tensors("multi_margin_loss", input=input, target=target)
    if p not in (1, 2):
        raise ArgumentError(f"multi_margin_loss: only p == 1 and p == 2 supported, got {p}")
    if weight is not None and weight.ndim != 1:
        raise ArgumentError(f"multi_margin_loss: weight must be one-dimensional, got {weight.ndim} dimensions")
    lone = input.ndim <= 1
    scores, labels = input.reshape((1, -1)) if lone else input, target.reshape((-1,))
    if labels.shape[0] != scores.shape[0]:
        raise ShapeError(f"multi_margin_loss: inconsistent target size {tuple(target.shape)} for {tuple(input.shape)}")
    _check_class_labels("multi_margin_loss", scores, labels, weight)
    own = scores.gather(1, labels.unsqueeze(1))
    excess = (margin - own + scores).relu() ** p
    if weight is not None:
        excess = excess * weight[labels].unsqueeze(1)
    others = labels._array[:, None] != np.arange(scores.shape[1])
    losses = where(wrap(others), excess, 0.0).sum(1) / scores.shape[1]
    return losses.reshape(()) if lone and target.ndim == 0 else reduced(losses, reduction)


def _check_class_labels(op: str, scores: Any, labels: Any, weight: Any) -> None:
    if labels._array.dtype != np.int64:
        raise DTypeError(f"{op}: target expected labels of dtype int64, got {labels.dtype}; convert with .long()")
    weights = None if weight is None else weight._array
    check_labels(op, scores._array, labels._array, weights, ignore_index=-1 << 62)


def multilabel_margin_loss(
    input: Any, target: Any, size_average: bool | None = None, reduce: bool | None = None, reduction: str = "mean"
) -> Any:
    """The sum over labels and other classes of max(0, 1 - score of the label + score), over the number of classes.

    Scores (N,C) or (C); the target has their shape, and lists labels up to a -1.
    """
    reduction = reduction_of("multilabel_margin_loss", reduction, size_average, reduce)
    check_tensors("multilabel_margin_loss", input=input, target=target)
    if target.shape != input.shape or input.ndim > 2:
        raise ShapeError(
            f"multilabel_margin_loss: target expected the input's shape (N,C) or (C), got {tuple(target.shape)} for "
            f"{tuple(input.shape)}"
        )
    if target._array.dtype != np.int64:
        raise DTypeError(f"multilabel_margin_loss: target expected labels of dtype int64, got {target.dtype}")
    classes = input.shape[-1] if input.ndim else 1
    scores, labels = input.reshape((-1, classes)), target._array.reshape(-1, classes)
    listed = np.logical_and.accumulate(labels >= 0, axis=1)
    if (labels[listed] >= classes).any():
        raise ShapeError(f"multilabel_margin_loss: target out of range: {labels.max()} for {classes} classes")
    picks = np.where(listed, labels, 0)
    wanted = (listed[:, :, None] & (picks[:, :, None] == np.arange(classes))).any(axis=1)
    pairs = listed[:, :, None] & ~wanted[:, None, :]
    excess = (1 - scores.gather(1, wrap(picks)).unsqueeze(2) + scores.unsqueeze(1)).relu()
    losses = where(wrap(pairs), excess, 0.0).sum((1, 2)) / classes
    return losses.reshape(()) if input.ndim < 2 else reduced(losses, reduction)


def multilabel_soft_margin_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """Binary cross entropy of each class's score, averaged over the classes, the last dimension."""
    reduction = reduction_of("multilabel_soft_margin_loss", reduction, size_average, reduce)
    check_tensors("multilabel_soft_margin_loss", input=input, target=target)
    losses = -(target * logsigmoid(input) + (1 - target) * logsigmoid(-input))
    return reduced((losses if weight is None else losses * weight).mean(-1), reduction)
