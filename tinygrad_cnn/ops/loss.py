"""Losses over class scores: cross entropy, negative log-likelihood, and the picking of one class a position.

Scores are (N,C,*), labels (N,*). ``nn.functional`` adds PyTorch's signatures, smoothing with class weights, and class
probabilities.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.backend import DTYPES, Array, require_floating
from tinygrad_cnn.errors import (
    ArgumentError,
    DTypeError,
    IndexRangeError,
    ShapeError,
    UnsupportedDTypeError,
    UnsupportedError,
)
from tinygrad_cnn.kernels import loss as kernels
from tinygrad_cnn.kernels.rows import images_of, rows_of
from tinygrad_cnn.ops.reduce import mean
from tinygrad_cnn.ops.shape import expand
from tinygrad_cnn.ops.softmax import log_softmax

__all__: list[str] = []

REDUCTIONS = ("mean", "sum", "none")


def spread_loss(g: Any, reduction: str, shape: tuple[int, ...]) -> Any:
    """The gradient of each element's loss, from that of the reduced loss (it may still have to be broadcast)."""
    return g * (1 / max(math.prod(shape), 1)) if reduction == "mean" else g


def reduce_loss(losses: Array, reduction: str) -> Array:
    """The mean, the sum, or each element's loss as it is."""
    if reduction == "none":
        return losses
    total = np.asarray(losses.sum())
    return total if reduction == "sum" else total / losses.dtype.type(losses.size)


def check_labels(op: str, input: Array, target: Array, weight: Array | None, ignore_index: int) -> None:
    """Labels are integers in range, one for each position of the scores; weights one for each class."""
    expected = (input.shape[0], *input.shape[2:])
    if target.shape != expected:
        if target.shape[:1] != expected[:1]:
            raise ArgumentError(
                f"{op}: Expected input batch_size ({input.shape[0]}) to match target batch_size "
                f"({target.shape[0] if target.ndim else 'none'})."
            )
        raise ShapeError(
            f"{op}: size mismatch: scores of shape {input.shape} expect target of shape {expected}, got {target.shape}"
        )
    if target.dtype not in (np.int64, np.uint8):
        raise DTypeError(
            f"{op}: target expected class indices of dtype int64 or uint8, got {DTYPES[target.dtype]}; convert with "
            ".long(), or pass class probabilities of the scores' shape"
        )
    if weight is not None:
        if weight.shape != input.shape[1:2]:
            raise ShapeError(
                f"{op}: weight tensor should be defined either for all {input.shape[1]} classes or no classes "
                f"but got weight tensor of shape: {list(weight.shape)}"
            )
        if weight.dtype != input.dtype:
            raise DTypeError(
                f"{op}: weight expected the scores' dtype {DTYPES[input.dtype]}, got {DTYPES[weight.dtype]}"
            )
    unsigned = target.view(np.uint64) if target.dtype == np.int64 else target  # what is negative becomes large
    if np.maximum.reduce(unsigned, axis=None, initial=0) >= input.shape[1]:
        wrong = target[((target >= input.shape[1]) | (target < 0)) & (target != ignore_index)]
        if wrong.size:
            raise IndexRangeError(f"{op}: Target {wrong[0]} is out of bounds. There are {input.shape[1]} classes.")


def _label_shares(
    target: Array, weight: Array | None, ignore_index: int, reduction: str, dtype: Any
) -> tuple[Array, Array]:
    """The labels as one row (0 where ignored) and what each position's loss counts (0 where ignored)."""
    labels = target.reshape(-1).astype(np.int64, copy=False)
    kept = labels != ignore_index
    all_kept = np.count_nonzero(kept) == len(labels)
    if not all_kept:
        labels = np.where(kept, labels, 0)
    if weight is None and all_kept:
        shares = np.empty(len(labels), dtype)
        shares.fill(1 / max(len(labels), 1) if reduction == "mean" else 1)
        return labels, shares
    shares = kept.astype(dtype) if weight is None else weight[labels] * kept
    if reduction == "mean":
        shares = np.divide(shares, shares.sum(), out=shares, where=kept)
    return labels, shares


def _reduce_shares(losses: Array, shares: Array, reduction: str, shape: tuple[int, ...]) -> Array:
    counted = losses * shares
    kept = np.count_nonzero(shares)
    if kept < len(shares):
        counted = np.where(shares == 0, shares, counted)  # an ignored position counts 0 even if it is infinite
    if reduction == "none":
        return counted.reshape(shape)
    if reduction == "mean" and not kept:
        return np.asarray(np.nan, losses.dtype)  # the mean of no losses
    return np.asarray(np.add.reduce(counted))


# ------------------------------------------------------------------------------------- picking a class
@differentiable
def pick_class(input: Array, labels: Array) -> Array:
    """For scores (N,C,*) and as many labels as positions, in one row: the scores of the labels, in one row."""
    rows = rows_of(input)
    return np.asarray(rows[np.arange(len(rows)), labels])


@differentiable
def put_class(input: Array, labels: Array, shape: tuple[int, ...]) -> Array:
    """Zeros of ``shape`` (N,C,*) with the values ``input`` at the labels: the adjoint of ``pick_class``."""
    rows = np.zeros((len(labels), shape[1]), input.dtype)
    rows[np.arange(len(rows)), labels] = input
    return images_of(rows, shape)


pick_class.gradients(input=lambda g, labels, input_shape: put_class(g, labels, input_shape))
put_class.gradients(input=lambda g, labels: pick_class(g, labels))


def _draw_scores(draw: Any) -> tuple[tuple[int, ...], int]:
    shape = (draw.integer(1, 3), draw.integer(1, 4), *draw.shape(max_dims=2, max_side=2))
    return shape, math.prod(shape) // shape[1]


@pick_class.samples
def _(draw: Any) -> dict[str, Any]:
    shape, positions = _draw_scores(draw)
    return dict(input=draw.array(shape), labels=draw.integers((positions,), 0, shape[1] - 1))


@put_class.samples
def _(draw: Any) -> dict[str, Any]:
    shape, positions = _draw_scores(draw)
    return dict(input=draw.array((positions,)), labels=draw.integers((positions,), 0, shape[1] - 1), shape=shape)


def _positions(shape: tuple[int, ...]) -> list[tuple[int, ...]]:
    """The indices of (N,C,*) without that of the channel."""
    return list(np.ndindex(shape[0], *shape[2:]))


@pick_class.reference
def _(input: Array, labels: Array) -> Array:
    places = zip(_positions(input.shape), labels, strict=True)
    return np.array([input[n, label, *rest] for (n, *rest), label in places])


@put_class.reference
def _(input: Array, labels: Array, shape: tuple[int, ...]) -> Array:
    out = np.zeros(shape)
    for (n, *rest), label, value in zip(_positions(shape), labels, input, strict=True):
        out[n, label, *rest] = value
    return out


# ------------------------------------------------------------------------------ nll_loss, cross_entropy
def _grad_name(input: Array) -> str:
    return "NllLossBackward0" if input.ndim <= 2 else "NllLoss2DBackward0"


@differentiable(residuals=("labels", "shares"), grad_name=_grad_name)
def nll_loss(
    input: Array, target: Array, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> tuple[Array, ...]:
    """-input at each position's label, weighted by class; the mean divides by the sum of the weights."""
    labels, shares = _label_shares(target, weight, ignore_index, reduction, input.dtype)
    rows = rows_of(input)
    losses = -rows[np.arange(len(rows)), labels]
    return _reduce_shares(losses, shares, reduction, target.shape), labels, shares


nll_loss.gradients(
    input=lambda g, labels, shares, input_shape: put_class(
        -(g.reshape((-1,)) * shares),  # one gradient for all, or one a position
        labels,
        input_shape,
    )
)
nll_loss.exempt(weight="PyTorch defines no derivative by it")


@differentiable(residuals=("labels", "shares", "probabilities"), grad_name=_grad_name)
def cross_entropy(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> tuple[Array, ...]:
    """``nll_loss(log_softmax(input))`` in one pass; what it keeps for backward is the softmax.

    ``label_smoothing`` mixes labels with the mean over the classes (Szegedy et al. 2015, "Rethinking the Inception
    Architecture", section 7); not together with weights.
    """
    labels, shares = _label_shares(target, weight, ignore_index, reduction, input.dtype)
    losses, probabilities = kernels.softmax_cross_entropy(rows_of(input), labels, label_smoothing)
    return _reduce_shares(losses, shares, reduction, target.shape), labels, shares, probabilities


def _cross_entropy_gradients(
    g: Array,
    input_shape: tuple[int, ...],
    labels: Array,
    shares: Array,
    probabilities: Array,
    label_smoothing: float,
) -> tuple[Array]:
    rows = kernels.softmax_cross_entropy_grad(probabilities, labels, g.reshape(-1) * shares, label_smoothing)
    return (images_of(rows, input_shape),)


cross_entropy.fused_gradients(("input",), _cross_entropy_gradients)
cross_entropy.exempt(weight="PyTorch defines no derivative by it")


@cross_entropy.composite
def _(
    input: Any,
    target: Any,
    weight: Any = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    logs, settings = log_softmax(input, 1), dict(ignore_index=ignore_index, reduction=reduction)
    loss = nll_loss(logs, target, weight, **settings)
    if label_smoothing:
        uniform = nll_loss(expand(mean(logs, 1, True), input.shape), target, **settings)
        loss = loss * (1 - label_smoothing) + uniform * label_smoothing
    return loss


@nll_loss.check
def _(input: Array, target: Array, weight: Array | None = None, *, ignore_index: int, reduction: str) -> None:
    require_floating(input, "nll_loss")
    check_labels("nll_loss", input, target, weight, ignore_index)


@cross_entropy.check
def _(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int,
    reduction: str,
    label_smoothing: float,
) -> None:
    require_floating(input, "cross_entropy")
    check_labels("cross_entropy", input, target, weight, ignore_index)
    if label_smoothing and weight is not None:
        raise UnsupportedError("cross_entropy: label_smoothing expects no weight; use nn.functional.cross_entropy")


cross_entropy.refuses(
    UnsupportedError,
    "label_smoothing expects no weight",
    input=(2, 3),
    target=np.zeros(2, int),
    weight=(3,),
    label_smoothing=0.1,
)

for _op in (nll_loss, cross_entropy):
    for _wrong, _target, _weight in (
        ((ArgumentError, "batch_size (2) to match target batch_size (3)"), np.zeros(3, int), None),
        ((ArgumentError, "target batch_size (none)"), np.zeros((), int), None),
        ((ShapeError, "expect target of shape (2,), got (2, 1)"), np.zeros((2, 1), int), None),
        ((DTypeError, "expected class indices of dtype int64 or uint8"), (2,), None),
        ((ShapeError, "for all 3 classes or no classes"), np.zeros(2, int), (2,)),
        ((DTypeError, "weight expected the scores' dtype"), np.zeros(2, int), np.ones(3, np.float32)),
        ((IndexRangeError, "Target 3 is out of bounds. There are 3 classes"), np.array([0, 3]), None),
        ((IndexRangeError, "Target -1 is out of bounds"), np.array([-1, 0]), None),
    ):
        _op.refuses(*_wrong, input=(2, 3), target=_target, weight=_weight)
    _op.refuses(UnsupportedDTypeError, "expected a floating dtype", input=np.ones((2, 3), int), target=np.zeros(2, int))

    @_op.samples
    def _(draw: Any, smooths: bool = _op is cross_entropy) -> dict[str, Any]:
        shape, _ = _draw_scores(draw)
        target = draw.integers((shape[0], *shape[2:]), 0, shape[1] - 1)
        target.flat[0] = 0  # at least one is not ignored
        weight = draw.array(shape[1:2], 0.5, 1.0) if draw.boolean() else None
        settings = dict(ignore_index=draw.choice([-100, 1]), reduction=draw.choice(REDUCTIONS))
        if smooths and weight is None:
            settings["label_smoothing"] = draw.choice([0.0, 0.1, 1.0])
        return dict(input=draw.array(shape), target=target, weight=weight, **settings)


def _loop_loss(input: Array, target: Array, weight: Array | None, ignore_index: int, reduction: str) -> Array:
    losses, weights = np.zeros(target.shape), np.zeros(target.shape)
    for n, *rest in _positions(input.shape):
        label = target[n, *rest]
        if label != ignore_index:
            weights[n, *rest] = 1.0 if weight is None else weight[label]
            losses[n, *rest] = -input[n, label, *rest] * weights[n, *rest]
    if reduction == "none":
        return losses
    return np.asarray(losses.sum() / (weights.sum() if reduction == "mean" else 1))


@nll_loss.reference
def _(
    input: Array, target: Array, weight: Array | None = None, *, ignore_index: int = -100, reduction: str = "mean"
) -> Array:
    return _loop_loss(input, target, weight, ignore_index, reduction)


@cross_entropy.reference
def _(
    input: Array,
    target: Array,
    weight: Array | None = None,
    *,
    ignore_index: int = -100,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Array:
    logs = np.empty(input.shape)
    for n, *rest in _positions(input.shape):
        scores = [input[n, c, *rest] for c in range(input.shape[1])]
        for c, score in enumerate(scores):
            logs[n, c, *rest] = score - math.log(math.fsum(map(math.exp, scores)))
    loss = _loop_loss(logs, target, weight, ignore_index, reduction)
    uniform = np.broadcast_to(logs.mean(1, keepdims=True), logs.shape)
    smoothed = _loop_loss(uniform, target, weight, ignore_index, reduction)
    return loss * (1 - label_smoothing) + smoothed * label_smoothing
