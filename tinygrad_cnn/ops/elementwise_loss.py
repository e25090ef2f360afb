"""Losses that compare each element of an input with the same element of a target, and then reduce.

Input and target have one shape and one dtype; ``nn.functional`` broadcasts, promotes and warns before.
"""

from __future__ import annotations

import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.backend import DTYPES, Array, require_floating
from tinygrad_cnn.errors import DTypeError, ShapeError, UnsupportedDTypeError
from tinygrad_cnn.kernels.elementwise import in_parts
from tinygrad_cnn.ops.activation import hardtanh, logsigmoid, sigmoid
from tinygrad_cnn.ops.elementwise import choose, mul, sub
from tinygrad_cnn.ops.loss import REDUCTIONS, reduce_loss, spread_loss
from tinygrad_cnn.ops.unary import log, log1p

__all__: list[str] = []


def _declare(
    op: Op,
    samples: Callable[[Any], dict[str, Any]],
    reference: Callable[..., float],
    check_values: Callable[[Array, Array], None] | None = None,
) -> None:
    """What these losses share: their check, and a reference from the loss of one element."""

    @op.check
    def _(input: Array, target: Array, *rest: Any, reduction: str, **settings: Any) -> None:
        require_floating(input, op.name)
        for name, value in zip(op.inputs[1:], (target, *rest), strict=False):
            if value is not None and value.dtype != input.dtype:
                raise DTypeError(
                    f"{op.name}: Found dtype {DTYPES[value.dtype]} for {name} but expected {DTYPES[input.dtype]}, "
                    "the input's; convert one of them"
                )
        if input.shape != target.shape:
            raise ShapeError(f"{op.name}: input and target expected one shape, got {input.shape} and {target.shape}")
        if check_values is not None:
            check_values(input, target)

    op.refuses(UnsupportedDTypeError, "expected a floating dtype", input=np.ones(2, int), target=np.ones(2, int))
    op.refuses(DTypeError, "Found dtype torch.float32 for target", input=(2,), target=np.ones(2, np.float32))
    op.refuses(ShapeError, "expected one shape, got (2,) and (1,)", input=(2,), target=(1,))

    @op.samples
    def _(draw: Any) -> dict[str, Any]:
        return dict(**samples(draw), reduction=draw.choice(REDUCTIONS))

    def mean_or_sum(input: Array, *others: Any, reduction: str = "mean", **settings: Any) -> Array:
        each = np.vectorize(lambda *values: reference(*values, **settings), otypes=[float])
        losses = each(input, *(1.0 if other is None else other for other in others))
        if reduction == "none":
            return np.asarray(losses)
        return np.asarray(math.fsum(losses.flat) / (losses.size if reduction == "mean" else 1))

    named = [p for p in inspect.signature(mean_or_sum).parameters.values() if p.kind is not p.VAR_KEYWORD]
    for parameter in inspect.signature(reference).parameters.values():
        if parameter.default is not parameter.empty:
            named.append(parameter.replace(kind=parameter.KEYWORD_ONLY))
    mean_or_sum.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]  # its defaults are compared
    op.reference(mean_or_sum)


def _near_and_far(bound: str, choices: Sequence[float]) -> Callable[[Any], dict[str, Any]]:
    """Input and target whose difference is on either side of ``bound``, and off both it and 0."""

    def samples(draw: Any) -> dict[str, Any]:
        shape, limit = draw.shape(), draw.choice(choices)
        target = draw.array(shape)
        difference = draw.array(shape, -2, 2, away_from=(-limit, 0.0, limit), margin=0.05)
        return {"input": np.asarray(target + difference), "target": target, bound: limit}

    return samples


def _pair(low: float, high: float) -> Callable[[Any], dict[str, Any]]:
    def samples(draw: Any) -> dict[str, Any]:
        shape = draw.shape()
        return dict(input=draw.array(shape, low, high), target=draw.array(shape))

    return samples


# ------------------------------------------------------------------------------- differences of two values
@differentiable(grad_name="MseLossBackward0")
def mse_loss(input: Array, target: Array, *, reduction: str = "mean") -> Array:
    """The squared difference."""
    difference = sub(input, target)
    if reduction == "none":
        return np.asarray(difference * difference)
    flat = difference.reshape(-1) if difference.flags.c_contiguous else difference.ravel("K")
    return np.asarray(np.dot(flat, flat) / input.dtype.type(input.size if reduction == "mean" else 1))


mse_loss.gradients(
    input=lambda g, input, target, reduction, input_shape: mul(
        sub(input, target), spread_loss(g * 2.0, reduction, input_shape)
    ),
    target=lambda g, input, target, reduction, input_shape: mul(
        sub(target, input), spread_loss(g * 2.0, reduction, input_shape)
    ),
)
_declare(mse_loss, _pair(-1, 1), lambda x, t: (x - t) ** 2)


@in_parts
def _huber(input: Array, target: Array, bound: float, factor: float) -> Array:
    """``factor`` times half the squared difference; from ``bound`` on it goes on as a straight line."""
    size = np.abs(input - target)
    near = size.clip(0, bound)
    return (size - near * 0.5) * (near * factor)


@differentiable(grad_name="SmoothL1LossBackward0")
def smooth_l1_loss(input: Array, target: Array, *, reduction: str = "mean", beta: float = 1.0) -> Array:
    """Half the squared difference over ``beta``; from ``beta`` on the absolute difference less ``beta / 2``."""
    return reduce_loss(_huber(input, target, beta, 1 / beta), reduction)


smooth_l1_loss.gradients(
    input=lambda g, input, target, reduction, beta, input_shape: mul(
        hardtanh(sub(input, target), -beta, beta), spread_loss(g * (1 / beta), reduction, input_shape)
    ),
    target=lambda g, input, target, reduction, beta, input_shape: mul(
        hardtanh(sub(target, input), -beta, beta), spread_loss(g * (1 / beta), reduction, input_shape)
    ),
)
_declare(
    smooth_l1_loss,
    _near_and_far("beta", (1.0, 0.5)),
    lambda x, t, beta=1.0: (x - t) ** 2 / beta / 2 if math.fabs(x - t) < beta else math.fabs(x - t) - beta / 2,
)


@differentiable(grad_name="HuberLossBackward0")
def huber_loss(input: Array, target: Array, *, reduction: str = "mean", delta: float = 1.0) -> Array:
    """Half the squared difference; from ``delta`` on ``delta`` times (the absolute difference less ``delta / 2``)."""
    return reduce_loss(_huber(input, target, delta, 1.0), reduction)


huber_loss.gradients(
    input=lambda g, input, target, reduction, delta, input_shape: mul(
        hardtanh(sub(input, target), -delta, delta), spread_loss(g, reduction, input_shape)
    ),
    target=lambda g, input, target, reduction, delta, input_shape: mul(
        hardtanh(sub(target, input), -delta, delta), spread_loss(g, reduction, input_shape)
    ),
)
_declare(
    huber_loss,
    _near_and_far("delta", (1.0, 0.5)),
    lambda x, t, delta=1.0: (x - t) ** 2 / 2 if math.fabs(x - t) < delta else delta * (math.fabs(x - t) - delta / 2),
)


# ------------------------------------------------------------------------------------ binary cross entropy
@differentiable(grad_name="BinaryCrossEntropyBackward0")
def binary_cross_entropy(input: Array, target: Array, weight: Array | None = None, *, reduction: str = "mean") -> Array:
    """-(target log input + (1 - target) log(1 - input)) for probabilities, each logarithm at least -100."""
    losses = (target - 1) * np.maximum(np.log1p(-input), -100) - target * np.maximum(np.log(input), -100)
    return reduce_loss(losses if weight is None else losses * weight, reduction)


def _weighted(slope: Any, g: Any, weight: Any, reduction: str, shape: tuple[int, ...]) -> Any:
    slope = slope * spread_loss(g, reduction, shape)
    return slope if weight is None else slope * weight


def _at_least(value: Any, bound: float) -> Any:
    return choose(value > bound, value, bound)


binary_cross_entropy.gradients(
    input=lambda g, input, target, weight, reduction, input_shape: _weighted(
        (input - target) / _at_least(input * (1 - input), 1e-12), g, weight, reduction, input_shape
    ),
    target=lambda g, input, weight, reduction, input_shape: _weighted(
        _at_least(log1p(-input), -100.0) - _at_least(log(input), -100.0), g, weight, reduction, input_shape
    ),
)
binary_cross_entropy.exempt(weight="PyTorch defines no derivative by it")


def _check_probabilities(input: Array, target: Array) -> None:
    for name, value in (("input", input), ("target", target)):
        if not ((value >= 0) & (value <= 1)).all():  # a nan fails as well
            raise ShapeError(
                f"binary_cross_entropy: all elements of {name} should be between 0 and 1; for scores use "
                "binary_cross_entropy_with_logits"
            )


def _draw_weighted(draw: Any, low: float, high: float, *names: str) -> dict[str, Any]:
    shape = draw.shape()
    weights = {name: draw.array(shape[-1:], 0.5, 2.0) if draw.boolean() else None for name in names}
    return dict(input=draw.array(shape, low, high), target=draw.array(shape, 0.1, 0.9), **weights)


_declare(
    binary_cross_entropy,
    lambda draw: _draw_weighted(draw, 0.1, 0.9, "weight"),
    lambda x, t, w: -w * (t * math.log(x) + (1 - t) * math.log(1 - x)),
    _check_probabilities,
)
for _input, _target in (((2,), np.full(2, 1.5)), (np.full(2, -0.5), (2,))):
    binary_cross_entropy.refuses(ShapeError, "should be between 0 and 1", input=_input, target=_target)


@differentiable(grad_name="BinaryCrossEntropyWithLogitsBackward0")
def binary_cross_entropy_with_logits(
    input: Array,
    target: Array,
    weight: Array | None = None,
    pos_weight: Array | None = None,
    *,
    reduction: str = "mean",
) -> Array:
    """Binary cross entropy of sigmoid(input), stable for large scores; ``pos_weight`` multiplies the target's part."""
    part = logsigmoid(input)
    if pos_weight is not None:
        part = part * (1 + (pos_weight - 1) * target)
    losses = (1 - target) * input - part
    return reduce_loss(losses if weight is None else losses * weight, reduction)


def _logits_slope(input: Any, target: Any, pos_weight: Any) -> Any:
    if pos_weight is None:
        return sigmoid(input) - target
    positive = pos_weight * target
    return (positive + 1 - target) * sigmoid(input) - positive


binary_cross_entropy_with_logits.gradients(
    input=lambda g, input, target, weight, pos_weight, reduction, input_shape: _weighted(
        _logits_slope(input, target, pos_weight), g, weight, reduction, input_shape
    ),
    target=lambda g, input, weight, pos_weight, reduction, input_shape: _weighted(
        -input if pos_weight is None else (1 - pos_weight) * logsigmoid(input) - input,
        g,
        weight,
        reduction,
        input_shape,
    ),
)
binary_cross_entropy_with_logits.exempt(
    weight="PyTorch defines no derivative by it", pos_weight="PyTorch defines no derivative by it"
)


def _loss_of_score(x: float, t: float, w: float, pos_weight: float) -> float:
    p = 1 / (1 + math.exp(-x))
    return -w * (pos_weight * t * math.log(p) + (1 - t) * math.log(1 - p))


_declare(
    binary_cross_entropy_with_logits,
    lambda draw: _draw_weighted(draw, -2, 2, "weight", "pos_weight"),
    _loss_of_score,
)
