"""Losses in PyTorch's forms: labels or probabilities, weights, reductions, with or without a batch."""

from __future__ import annotations

import math
import warnings
from typing import Any

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import promote
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError, DTypeError, GraphError, ShapeError
from tinygrad_cnn.ops import elementwise_loss as elementwise, loss as ops
from tinygrad_cnn.ops.shape import broadcast_tensors
from tinygrad_cnn.ops.softmax import log_softmax

__all__ = [
    "binary_cross_entropy",
    "binary_cross_entropy_with_logits",
    "cross_entropy",
    "gaussian_nll_loss",
    "huber_loss",
    "kl_div",
    "l1_loss",
    "mse_loss",
    "nll_loss",
    "poisson_nll_loss",
    "smooth_l1_loss",
]


# --------------------------------------------------------------------------------------------- reductions
def reduction_of(
    op: str, reduction: str, size_average: bool | None = None, reduce: bool | None = None, more: tuple[str, ...] = ()
) -> str:
    """The reduction to use, from PyTorch's ``reduction`` or from its older flags, which win and warn."""
    if size_average is not None or reduce is not None:
        average, reduced = size_average is not False, reduce is not False
        reduction = ("mean" if average else "sum") if reduced else "none"
        warnings.warn(
            f"size_average and reduce args will be deprecated, please use reduction='{reduction}' instead.",
            stacklevel=4,
        )
    if reduction not in (*ops.REDUCTIONS, *more):
        raise ArgumentError(f"{op}: {reduction} is not a valid value for reduction; use 'mean', 'sum' or 'none'")
    return reduction


def reduced(losses: Any, reduction: str) -> Any:
    """The mean, the sum, or each element's loss."""
    if reduction == "none":
        return losses
    return losses.mean() if reduction == "mean" else losses.sum()


def check_tensors(op: str, **arguments: Any) -> None:
    """Raise ArgumentTypeError for an argument that is no Tensor."""
    for name, value in arguments.items():
        if not isinstance(value, Tensor):
            raise ArgumentTypeError(f"{op}(): argument '{name}' must be Tensor, not {type(value).__name__}")


def _paired(op: str, input: Any, target: Any) -> tuple[Any, Any]:
    """Input and target in one shape, with a warning if they had two, and in one dtype."""
    check_tensors(op, input=input, target=target)
    if input.shape != target.shape:
        warnings.warn(
            f"Using a target size ({target.shape}) that is different to the input size ({input.shape}). This will "
            "likely lead to incorrect results due to broadcasting. Please ensure they have the same size.",
            stacklevel=4,
        )
        input, target = broadcast_tensors(input, target)
    if input.dtype != target.dtype:
        dtype = promote((input._array, target._array))
        input, target = input.to(dtype), target.to(dtype)
    return input, target


def _check_weight(op: str, input: Any, weight: Any) -> None:
    check_tensors(op, weight=weight)
    if weight.shape != input.shape:
        raise ArgumentError(
            f"{op}: Weights and input must have the same size; got {tuple(weight.shape)} and {tuple(input.shape)}."
        )


def _weighted_mean(losses: Any, weight: Any, reduction: str) -> Any:
    """The reduction whose mean divides by the sum of the weights."""
    losses = losses * weight
    return losses.sum() / weight.sum() if reduction == "mean" else reduced(losses, reduction)


# ----------------------------------------------------------------------------------------------- classes
def cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
    label_smoothing: float = 0.0,
) -> Any:
    """Softmax and negative log-likelihood of scores (N,C,*) or (C) against labels (N,*) or ().

    A target of the scores' own shape holds class probabilities. The mean divides by the sum of the weights of the
    labels that aren't ``ignore_index``. Raises IndexError for a label out of range, ValueError where batch sizes
    differ, RuntimeError for labels that aren't int64 or uint8.

    >>> import tinygrad_cnn as tg
    >>> cross_entropy(tg.tensor([[0.0, 0.0], [0.0, 0.0]]), tg.tensor([0, 1]))
    tensor(0.6931)
    """
    reduction = reduction_of("cross_entropy", reduction, size_average, reduce)
    check_tensors("cross_entropy_loss", input=input, target=target)
    if not 0.0 <= label_smoothing <= 1.0:
        raise GraphError(f"cross_entropy: label_smoothing must be between 0.0 and 1.0. Got: {label_smoothing}")
    if input.shape == target.shape:
        return _cross_entropy_of_probabilities(input, target, weight, ignore_index, reduction, label_smoothing)
    input, target, lone = _batched("cross_entropy", input, target)
    settings: dict[str, Any] = dict(ignore_index=ignore_index, reduction=reduction)
    if label_smoothing and weight is not None:
        loss = _smoothed_cross_entropy(input, target, weight, label_smoothing, **settings)
    else:
        loss = ops.cross_entropy(input, target, weight, label_smoothing=float(label_smoothing), **settings)
    return loss.reshape(()) if lone and reduction == "none" else loss


def _batched(op: str, input: Any, target: Any) -> tuple[Any, Any, bool]:
    """Scores and labels with a batch dimension, and whether it was added."""
    if input.ndim == 0:
        raise ArgumentError(f"{op}: Expected 1 or more dimensions (got 0)")
    if input.ndim > 1:
        return input, target, False
    if target.ndim > 1 or target.numel() != 1:
        raise ShapeError(f"{op}: scores of shape {tuple(input.shape)} expect one label, got {tuple(target.shape)}")
    return input.reshape((1, -1)), target.reshape((1,)), True


def _per_class(weight: Any, ndim: int, dim: int) -> Any:
    return weight.reshape(tuple(-1 if d == dim else 1 for d in range(ndim)))


def _smoothed_cross_entropy(
    input: Any, target: Any, weight: Any, smoothing: float, ignore_index: int, reduction: str
) -> Any:
    """With weights: they weigh the label's loss, the other classes' losses, and the mean."""
    logs = log_softmax(input, 1)
    likelihood = ops.nll_loss(logs, target, weight, ignore_index=ignore_index, reduction=reduction)
    kept = target != ignore_index
    uniform = -(logs * _per_class(weight, input.ndim, 1)).sum(1).masked_fill(kept.logical_not(), 0.0)
    if reduction == "mean":
        uniform = uniform.sum() / weight[target[kept]].sum()
    elif reduction == "sum":
        uniform = uniform.sum()
    return likelihood * (1 - smoothing) + uniform * (smoothing / input.shape[1])


def _cross_entropy_of_probabilities(
    input: Any, target: Any, weight: Any, ignore_index: int, reduction: str, smoothing: float
) -> Any:
    if not target.is_floating_point():
        raise DTypeError(
            f"cross_entropy: Expected floating point type for target with class probabilities, got {target.dtype}"
        )
    if ignore_index >= 0:
        raise GraphError("cross_entropy: ignore_index is not supported for floating point target")
    dim = 0 if input.ndim == 1 else 1
    classes = input.shape[dim]
    logs = log_softmax(input, dim)
    if weight is not None:
        if tuple(weight.shape) != (classes,):
            raise ShapeError(
                f"cross_entropy: weight tensor should be defined either for all {classes} classes or no classes "
                f"but got weight tensor of shape: {list(weight.shape)}"
            )
        logs = logs * _per_class(weight, input.ndim, dim)
    if smoothing:
        target = target * (1 - smoothing) + smoothing / classes
    losses = -(logs * target)
    if reduction == "none":
        return losses.sum(dim)
    total = losses.sum()
    return total if reduction == "sum" or not input.numel() else total / (input.numel() / classes)


def nll_loss(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    ignore_index: int = -100,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-input at the label, for log-probabilities (N,C,*) or (C) and labels (N,*) or ().

    The mean divides by the sum of the weights of the labels that aren't ``ignore_index``. Errors as cross_entropy's.

    >>> import tinygrad_cnn as tg
    >>> nll_loss(tg.tensor([[-1.0, -2.0], [-3.0, -4.0]]), tg.tensor([0, 1]))
    tensor(2.5000)
    """
    reduction = reduction_of("nll_loss", reduction, size_average, reduce)
    check_tensors("nll_loss_nd", input=input, target=target)
    input, target, lone = _batched("nll_loss", input, target)
    loss = ops.nll_loss(input, target, weight, ignore_index=ignore_index, reduction=reduction)
    return loss.reshape(()) if lone and reduction == "none" else loss


def kl_div(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    log_target: bool = False,
) -> Any:
    """target * (log target - input): ``input`` holds log-probabilities, ``target`` probabilities or their logarithms.

    ``reduction="batchmean"`` divides the sum by the first dimension: the mathematical definition.

    >>> import tinygrad_cnn as tg
    >>> kl_div(tg.tensor([[-1.0, -2.0]]), tg.tensor([[0.5, 0.5]]), reduction="batchmean")
    tensor(0.8069)
    """
    if reduction == "mean" and size_average is None and reduce is None:
        warnings.warn(
            "reduction: 'mean' divides the total loss by both the batch size and the support size."
            "'batchmean' divides only by the batch size, and aligns with the KL div math definition."
            "'mean' will be changed to behave the same as 'batchmean' in the next major release.",
            stacklevel=3,
        )
    reduction = reduction_of("kl_div", reduction, size_average, reduce, ("batchmean",))
    check_tensors("kl_div", input=input, target=target)
    if not (input.is_floating_point() and target.is_floating_point()):
        raise DTypeError(f"kl_div: Integral inputs not supported, got {input.dtype} and {target.dtype}.")
    if log_target:
        losses = target.exp() * (target - input)
    else:
        losses = target.xlogy(target) - target * input
    if reduction != "batchmean":
        return reduced(losses, reduction)
    return losses.sum() / input.shape[0] if input.ndim else losses.sum()


# ----------------------------------------------------------------------------------------------- differences
def mse_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The squared difference. Warns if the shapes differ, and broadcasts; RuntimeError if they can't be.

    >>> import tinygrad_cnn as tg
    >>> mse_loss(tg.tensor([1.0, 2.0]), tg.tensor([0.0, 0.0]))
    tensor(2.5000)
    """
    reduction = reduction_of("mse_loss", reduction, size_average, reduce)
    size, (input, target) = input, _paired("mse_loss", input, target)
    if weight is None:
        return elementwise.mse_loss(input, target, reduction=reduction)
    _check_weight("mse_loss", size, weight)
    return _weighted_mean(elementwise.mse_loss(input, target, reduction="none"), weight, reduction)


def l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    weight: Any = None,
) -> Any:
    """The absolute difference. Shapes as in ``mse_loss``.

    >>> import tinygrad_cnn as tg
    >>> l1_loss(tg.tensor([1.0, -2.0]), tg.tensor([0.0, 0.0]))
    tensor(1.5000)
    """
    reduction = reduction_of("l1_loss", reduction, size_average, reduce)
    size, (input, target) = input, _paired("l1_loss", input, target)
    losses = (input - target).abs()
    if weight is None:
        return reduced(losses, reduction)
    _check_weight("l1_loss", size, weight)
    return _weighted_mean(losses, weight, reduction)


def smooth_l1_loss(
    input: Any,
    target: Any,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    beta: float = 1.0,
) -> Any:
    """Half the squared difference over ``beta``; from ``beta`` on, the absolute difference less ``beta / 2``."""
    reduction = reduction_of("smooth_l1_loss", reduction, size_average, reduce)
    input, target = _paired("smooth_l1_loss", input, target)
    if beta < 0:
        raise GraphError(f"smooth_l1_loss does not support negative values for beta, got {beta}")
    if beta == 0:
        return reduced((input - target).abs(), reduction)
    return elementwise.smooth_l1_loss(input, target, reduction=reduction, beta=beta)


def huber_loss(input: Any, target: Any, reduction: str = "mean", delta: float = 1.0, weight: Any = None) -> Any:
    """Half the squared difference; from ``delta`` on, ``delta`` times (the absolute difference less ``delta / 2``)."""
    reduction = reduction_of("huber_loss", reduction)
    size, (input, target) = input, _paired("huber_loss", input, target)
    if delta <= 0:
        raise GraphError(f"huber_loss does not support non-positive values for delta, got {delta}")
    if weight is None:
        return elementwise.huber_loss(input, target, reduction=reduction, delta=delta)
    _check_weight("huber_loss", size, weight)
    return reduced(elementwise.huber_loss(input, target, reduction="none", delta=delta) * weight, reduction)


# ------------------------------------------------------------------------------------------ probabilities
def binary_cross_entropy(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """-(target log input + (1 - target) log(1 - input)), each logarithm at least -100.

    Raises ValueError where the shapes differ, RuntimeError for values outside [0, 1].

    >>> import tinygrad_cnn as tg
    >>> binary_cross_entropy(tg.tensor([0.5, 0.5]), tg.tensor([0.0, 1.0]))
    tensor(0.6931)
    """
    reduction = reduction_of("binary_cross_entropy", reduction, size_average, reduce)
    _check_same_shape("binary_cross_entropy", input, target)
    return elementwise.binary_cross_entropy(input, target, weight, reduction=reduction)


def binary_cross_entropy_with_logits(
    input: Any,
    target: Any,
    weight: Any = None,
    size_average: bool | None = None,
    reduce: bool | None = None,
    reduction: str = "mean",
    pos_weight: Any = None,
) -> Any:
    """Binary cross entropy of sigmoid(input), stable for large scores; ``pos_weight`` multiplies the positives' part.

    >>> import tinygrad_cnn as tg
    >>> binary_cross_entropy_with_logits(tg.tensor([0.0, 1000.0]), tg.tensor([0.0, 1.0]))
    tensor(0.3466)
    """
    reduction = reduction_of("binary_cross_entropy_with_logits", reduction, size_average, reduce)
    _check_same_shape("binary_cross_entropy_with_logits", input, target)
    return elementwise.binary_cross_entropy_with_logits(input, target, weight, pos_weight, reduction=reduction)


def _check_same_shape(op: str, input: Any, target: Any) -> None:
    check_tensors(op, input=input, target=target)
    if input.shape != target.shape:
        raise ArgumentError(f"{op}: Target size ({target.shape}) must be the same as input size ({input.shape})")


def poisson_nll_loss(
    input: Any,
    target: Any,
    log_input: bool = True,
    full: bool = False,
    size_average: bool | None = None,
    eps: float = 1e-8,
    reduce: bool | None = None,
    reduction: str = "mean",
) -> Any:
    """exp(input) - target * input, or input - target * log(input + eps): Poisson with the (log) rate ``input``.

    ``full`` adds Stirling's approximation of log(target!) for targets over 1.
    """
    reduction = reduction_of("poisson_nll_loss", reduction, size_average, reduce)
    check_tensors("poisson_nll_loss", input=input, target=target)
    losses = input.exp() - target * input if log_input else input - target * (input + eps).log()
    if full:
        stirling = target * target.log() - target + 0.5 * (2 * math.pi * target).log()
        losses = losses + stirling.masked_fill(target <= 1, 0)
    return reduced(losses, reduction)


def gaussian_nll_loss(
    input: Any, target: Any, var: Any, full: bool = False, eps: float = 1e-6, reduction: str = "mean"
) -> Any:
    """(log var + (input - target)² / var) / 2: a Gaussian with mean ``input`` and variance ``var``, at least ``eps``.

    ``var`` has the input's shape, that shape without its last dimension, or one side of 1. ``full`` adds log(2π)/2.
    """
    reduction = reduction_of("gaussian_nll_loss", reduction)
    check_tensors("gaussian_nll_loss", input=input, target=target)
    if isinstance(var, float):
        var = input.detach() * 0 + var
    check_tensors("gaussian_nll_loss", var=var)
    if (var < 0).any():
        raise ArgumentError("gaussian_nll_loss: var has negative entry/entries")
    if var.shape != input.shape:
        if input.shape[:-1] == var.shape:
            var = var.unsqueeze(-1)
        elif input.ndim != var.ndim or sum(v for i, v in zip(input.shape, var.shape, strict=True) if i != v) != 1:
            raise ArgumentError(
                f"gaussian_nll_loss: var is of incorrect size {tuple(var.shape)} for input {tuple(input.shape)}"
            )
    with no_grad():
        raised = (var.clamp(min=eps) - var).detach()
    var = var + raised  # at least eps, with the gradient of var itself, as in PyTorch
    losses = 0.5 * (var.log() + (input - target) ** 2 / var)
    return reduced(losses + 0.5 * math.log(2 * math.pi) if full else losses, reduction)
