"""Ops with one mistake each, as learners make them: mutations of the library's ops, and of some small ones of our own.

None is registered. ``BROKEN`` holds each with the op that it was made from, and the cause that the kit must name.
"""

from typing import Any, NamedTuple

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.backend import Array, as_dtype
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.ops import registry
from tinygrad_cnn.ops.elementwise import keep
from tinygrad_cnn.ops.reduce import sum as total
from tinygrad_cnn.ops.shape import expand, reshape

conv2d, conv_transpose2d, weight_grad = (registry[n] for n in ("conv2d", "conv_transpose2d", "conv2d_weight_grad"))
im2col, col2im, mm, exp = (registry[n] for n in ("im2col", "col2im", "mm", "exp"))


class Broken(NamedTuple):
    """A mistake: the op that has it, the right one, the expected cause, and the property that fails."""

    mistake: str
    op: Op
    right: Op
    cause: str
    property: str = "first_order"


BROKEN: list[Broken] = []


def variant(base, forward=None, **changes):
    """A copy of an op, not registered, with other formulas, or another forward, composite, or fused rule."""
    op = object.__new__(Op)
    op.__dict__.update(base.__dict__)
    op.formulas, op.refusals, op._plans = dict(base.formulas), list(base.refusals), {}
    op.forward = forward or base.forward
    for name, value in changes.items():
        if name in op.inputs:
            op.gradients(**{name: value})
        elif name == "fused":
            op.fused_gradients(base._fused.inputs, value)
        else:
            setattr(op, name, value)
    return op


def breaks(mistake, base, cause, *, fails="first_order", forward=None, **changes):
    """Note a mutation of ``base`` down."""
    BROKEN.append(Broken(mistake, variant(base, forward, **changes), base, cause, fails))


def declare(forward, samples, reference, **formulas):
    """An op that isn't registered."""
    op = Op(forward)
    op.gradients(**formulas)
    op.samples(samples)
    op.reference(reference)
    return op


# ---------------------------------------------------------------------------------------- convolutions
def without_border(image):
    """Zero the outermost pixels."""
    mask = np.zeros(image.shape)
    mask[..., 1:-1, 1:-1] = 1
    return image * (mask if isinstance(image, np.ndarray) else tg.tensor(mask))


def assigning_col2im(input, output_size, kernel_size, dilation, padding, stride):
    (n, _, _), (h, w), (kh, kw) = input.shape, output_size, kernel_size
    padded = np.zeros((n, input.shape[1] // (kh * kw), h + 2 * padding[0], w + 2 * padding[1]), input.dtype)
    rows = (padded.shape[2] - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    columns = (padded.shape[3] - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    parts = input.reshape(n, padded.shape[1], kh, kw, rows, columns)
    for i in range(kh):
        for j in range(kw):
            top, left = i * dilation[0], j * dilation[1]
            below, right = top + rows * stride[0], left + columns * stride[1]
            padded[:, :, top : below : stride[0], left : right : stride[1]] = parts[:, :, i, j]
    return padded[:, :, padding[0] : padding[0] + h, padding[1] : padding[1] + w].copy()


broken_col2im = variant(col2im, assigning_col2im)


def input_gradient(g, weight, input_shape, stride, padding, dilation, groups):
    """conv2d's gradient by its images: the filters' columns, put back with a col2im that assigns."""
    if groups > 1:
        return conv_transpose2d(g, weight, None, input_shape[2:], stride, padding, dilation, groups)
    n, f = g.shape[0], g.shape[1]
    rows = weight.reshape((f, input_shape[1] * weight.shape[2] * weight.shape[3]))
    columns = registry["transpose"](rows, 0, 1) @ g.reshape((n, f, g.shape[2] * g.shape[3]))
    return broken_col2im(columns, input_shape[2:], weight.shape[2:], dilation, padding, stride)


def floor_size(g, weight, stride, padding, dilation):
    """The size of the images if no pixels were left over."""
    sides = zip(g.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    return tuple([(out - 1) * s + d * (k - 1) + 1 - 2 * p for out, k, s, p, d in sides])


def rounding_up(input, weight, bias, stride, padding, dilation, groups):
    sides = zip(input.shape[2:], weight.shape[2:], stride, padding, dilation, strict=True)
    short = [-(size + 2 * p - d * (k - 1) - 1) % s for size, k, s, p, d in sides]
    padded = np.pad(input, ((0, 0), (0, 0), (0, short[0]), (0, short[1])))
    return conv2d.forward(padded, weight, bias, stride, padding, dilation, groups)


breaks(
    "the border's pixels get no gradient",
    conv2d,
    "border: padding",
    input=lambda g, weight, input_shape, stride, padding, dilation, groups: without_border(
        conv_transpose2d(g, weight, None, input_shape[2:], stride, padding, dilation, groups)
    ),
)
breaks("conv2d's col2im assigns", conv2d, "overlap: assigned, not added", input=input_gradient)
breaks(
    "im2col's adjoint assigns",
    im2col,
    "overlap: assigned, not added",
    input=lambda g, input_shape, kernel_size, dilation, padding, stride: broken_col2im(
        g, input_shape[2:], kernel_size, dilation, padding, stride
    ),
)
breaks("col2im assigns", col2im, "overlap: assigned, not added", fails="value", forward=assigning_col2im)
breaks(
    "dilation is forgotten in backward",
    conv2d,
    "`dilation` ignored",
    weight=lambda g, input, weight_shape, stride, padding, dilation, groups: weight_grad(
        input, g, weight_shape[2:], stride, padding, (1, 1), groups
    ),
)
breaks(
    "padding is forgotten in backward",
    conv2d,
    "`padding` ignored",
    weight=lambda g, input, weight_shape, stride, dilation, groups: weight_grad(
        input, g, weight_shape[2:], stride, (0, 0), dilation, groups
    ),
)
breaks(
    "stride is forgotten",
    conv2d,
    "`stride` ignored",
    fails="value",
    forward=lambda input, weight, bias, stride, padding, dilation, groups: conv2d.forward(
        input, weight, bias, (1, 1), padding, dilation, groups
    ),
)
breaks(
    "height and width of the padding are exchanged",
    conv2d,
    "`padding`: sides exchanged",
    fails="value",
    forward=lambda input, weight, bias, stride, padding, dilation, groups: conv2d.forward(
        input, weight, bias, stride, padding[::-1], dilation, groups
    ),
)
breaks("the floor rule rounds up", conv2d, "floor rule off by one", fails="value", forward=rounding_up)
breaks(
    "pixels that no window reaches are forgotten",
    conv2d,
    "floor rule: left-over pixels missing",
    input=lambda g, weight, stride, padding, dilation, groups: conv_transpose2d(
        g, weight, None, floor_size(g, weight, stride, padding, dilation), stride, padding, dilation, groups
    ),
)
breaks(
    "convolution for correlation",
    conv2d,
    "flipped kernel",
    fails="value",
    forward=lambda input, weight, *rest: conv2d.forward(input, np.flip(weight, (2, 3)), *rest),
)
breaks(
    "the kernel is flipped once too often in backward",
    conv2d,
    "flipped kernel",
    input=lambda g, weight, input_shape, stride, padding, dilation, groups: conv_transpose2d(
        g, registry["flip"](weight, (2, 3)), None, input_shape[2:], stride, padding, dilation, groups
    ),
)
breaks(
    "each group gets the gradient through another's filters",
    conv2d,
    "groups mixed up",
    input=lambda g, weight, weight_shape, input_shape, stride, padding, dilation, groups: conv_transpose2d(
        g,
        registry["roll"](weight, (weight_shape[0] // groups,), (0,)),
        None,
        input_shape[2:],
        stride,
        padding,
        dilation,
        groups,
    ),
)
breaks("bias by one pixel", conv2d, "bias gradient not summed over pixels", bias=lambda g: g.sum(0)[:, 0, 0])
breaks("bias by batch alone", conv2d, "bias gradient not summed over batch and pixels", bias=lambda g: g.sum(0))


# --------------------------------------------------------------------------------- reductions, products
def matrices(draw):
    n, k, m = (draw.integer(1, 3) for _ in range(3))
    return dict(input=draw.array((n, k)), mat2=draw.array((k, m)))


def affine(input: Array, weight: Array, bias: Array) -> Array:
    """Rows (N,K) times weight (K,M), plus bias (M,)."""
    return input @ weight + bias


right_affine = declare(
    affine,
    lambda draw: dict(zip(("input", "weight"), matrices(draw).values(), strict=True), bias=draw.array((1,))),
    lambda input, weight, bias: np.array([[sum(x * w) + bias[0] for w in weight.T] for x in input]),
    input=lambda g, weight: g @ registry["transpose"](weight, 0, 1),
    weight=lambda g, input: registry["transpose"](input, 0, 1) @ g,
    bias=lambda g: g.sum((0, 1)).reshape((1,)),
)
mean, softmax, amax, maximum = (registry[n] for n in ("mean", "softmax", "amax", "maximum"))
mse_loss, cumsum, permute, sub, mul = (registry[n] for n in ("mse_loss", "cumsum", "permute", "sub", "mul"))

breaks("weight is not transposed", mm, "transposed", input=lambda g, mat2: g @ mat2)
breaks("the wrong operand is transposed", mm, "transposed", mat2=lambda g, input: input @ g)
breaks("bias is not summed", right_affine, "bias gradient not summed", bias=lambda g: g)
breaks(
    "the mean is a sum in backward",
    mean,
    "a missing mean",
    input=lambda g, input_shape, dim, keepdim: registry["sum"].formulas["input"](g, input_shape, dim, keepdim),
)
breaks("softmax lacks the sum", softmax, "a missing term", input=lambda g, out: g * out)
breaks(
    "softmax sums over the wrong dimension",
    softmax,
    "wrong axis",
    input=lambda g, out: out * (g - total(g * out, 0, True)),
)
breaks(
    "each tie gets everything",
    amax,
    "ties counted twice",
    input=lambda g, input, out, dim, keepdim: keep(
        registry["sum"].formulas["input"](g, input.shape, dim, keepdim),
        input == registry["sum"].formulas["input"](out, input.shape, dim, keepdim),
    ),
)
breaks(
    "both get a tie",
    maximum,
    "ties counted twice",
    input=lambda g, input, other: keep(g, input >= other),
    other=lambda g, input, other: keep(g, input <= other),
)
breaks(
    "the running sum leaves its own element out",
    cumsum,
    "a missing term",
    input=lambda g, dim: cumsum.formulas["input"](g, dim) - g,
)
breaks(
    "the running sum is off by one",
    cumsum,
    "off-by-one index",
    input=lambda g, dim, input_shape: (
        registry["roll"](cumsum.formulas["input"](g, dim), (1,), (dim,)) if input_shape else g
    ),
)
breaks(
    "reshape for transpose",
    permute,
    "right values in the wrong places",
    input=lambda g, input_shape: reshape(g, input_shape),
)
breaks(
    "keepdim is forgotten",
    amax,
    "`keepdim` ignored",
    fails="value",
    forward=lambda input, dim, keepdim: amax.forward(input, dim, False),
)
breaks("minus is forgotten", sub, "sign", other=lambda g, alpha: g * alpha)
breaks("alpha is forgotten", registry["add"], "`alpha` ignored", other=lambda g: g)
breaks(
    "the operands are exchanged",
    registry["atan2"],
    "arguments exchanged",
    fails="value",
    forward=lambda input, other: np.arctan2(other, input),
)
breaks("one operand has no gradient", mul, "no gradient", other=lambda g: g * 0.0)
breaks("the wrong operand", mul, "arguments exchanged", input=lambda g, input: g * input)


# -------------------------------------------------------------------------------------------- elementwise
sin, silu, leaky_relu, relu, log = (registry[n] for n in ("sin", "silu", "leaky_relu", "relu", "log"))


def square(input: Array) -> Array:
    """x²."""
    return input * input


def positive_root(input: Array) -> Array:
    """The square root of what is positive, else 0."""
    return np.sqrt(np.maximum(input, 0))


def unary(draw):
    return dict(input=draw.array(draw.shape(), away_from=(0,)))


right_square = declare(square, unary, np.vectorize(lambda x: x * x, otypes="d"), input=lambda g, input: 2 * g * input)
right_root = declare(
    positive_root,
    unary,
    np.vectorize(lambda x: max(x, 0) ** 0.5, otypes="d"),
    input=lambda g, input: keep(g * 0.5 * (input * input) ** -0.25, input > 0),
)
BUFFER = np.zeros(1)


def in_buffer(g, other):
    global BUFFER
    if not isinstance(g, np.ndarray):
        return g * other
    shape = np.broadcast_shapes(g.shape, np.shape(other))
    if BUFFER.shape != shape:
        BUFFER = np.empty(shape)
    np.multiply(g, other, out=BUFFER)
    return BUFFER


def overwriting(g, out):
    out *= out
    return g * (1 - out)


def doubling(g, input):
    g *= 2
    return g * input


def in_place(input):
    input *= input > 0
    return input.copy()


def relu_or_itself(input):
    return input.clip(0) if (input < 0).any() else input


breaks("the upstream is ignored", exp, "upstream ignored", input=lambda out: out * 1.0)
breaks("the upstream comes twice", exp, "a factor `g` too many", input=lambda g, out: g * g * out)
breaks("the 2 of the power is forgotten", right_square, "constant factor 1/2", input=lambda g, input: g * input)
breaks("abs without the sign", registry["abs"], "sign of some", input=lambda g: g)
breaks(
    "the slope of the negative side",
    leaky_relu,
    "wrong where `input` is negative",
    input=lambda g, input, negative_slope: keep(g, input > 0) + keep(0.3 * negative_slope * g, input <= 0),
)
breaks("0 * inf", right_root, "NaN", input=lambda g, input: 0.5 * g * input**-0.5 * (input > 0))
breaks(
    "float64 in the forward",
    sin,
    "upcast to float64",
    fails="float32",
    forward=lambda input: np.sin(input) * np.float64(1.0),
)
breaks(
    "float64 in the formula",
    right_square,
    "upcast to float64",
    fails="float32",
    input=lambda g, input: g * input * (np.array(2.0) if isinstance(g, np.ndarray) else 2.0),
)
breaks(
    "float64 from integers",
    registry["hardtanh"],
    "mixed dtypes",
    fails="dtypes",
    forward=lambda input, min_val, max_val: np.minimum(np.maximum(input, min_val), max_val),
)
breaks("the input is changed", relu, "mutated input", fails="memory", forward=in_place)
breaks("the upstream is changed", right_square, "mutated upstream", fails="memory", input=doubling)
breaks("the result is changed", registry["tanh"], "mutated result", fails="memory", input=overwriting)
breaks(
    "a buffer is handed out",
    mul,
    "aliased gradients",
    fails="memory",
    input=in_buffer,
    other=lambda g, input: g * input,
)
breaks(
    "the input itself is returned",
    relu,
    "undeclared view",
    fails="memory",
    forward=lambda input: input.clip(0) if (input < 0).any() else input,
)
breaks(
    "random rounding",
    exp,
    "nondeterministic",
    fails="repeat",
    forward=lambda input: np.exp(input) * (1 + 1e-13 * np.random.random()),
)
breaks(
    "values in the order of storage",
    sin,
    "memory layout",
    fails="layouts",
    forward=lambda input: np.sin(input.ravel("K").reshape(input.shape)),
)
breaks(
    "eps of the dtype",
    log,
    "a constant that depends on the dtype",
    fails="float32",
    forward=lambda input: np.log(input) + 1e4 * np.finfo(input.dtype).eps,
)

breaks(
    "NaN taken for a negative number",
    relu,
    "NaN is lost",
    fails="nan",
    forward=lambda input: np.where(input > 0, input, 0).astype(input.dtype),
)


def leaky(input: Array, slope: float = 0.1) -> Array:
    """A leaky ReLU, whose slope has another default than in its reference."""
    return np.where(input > 0, input, slope * input)


right_leaky = declare(
    leaky,
    lambda draw: dict(unary(draw), slope=0.3),
    np.vectorize(lambda input, slope=0.1: input if input > 0 else slope * input, otypes="d"),
    input=lambda g, input, slope: keep(g, input > 0) + keep(g * slope, input <= 0),
)
wrong_leaky = variant(right_leaky)
wrong_leaky.reference(np.vectorize(lambda input, slope=0.01: input if input > 0 else slope * input, otypes="d"))
BROKEN.append(Broken("another slope when it is left out", wrong_leaky, right_leaky, "another default", "value"))


# ------------------------------------------------------------------- dropout, normalisation, statistics
def dropout(input: Array, mask: Array, p: float) -> Array:
    """What the mask keeps, divided by the probability of being kept."""
    return input * mask / (1 - p)


def drop_samples(draw):
    shape = draw.shape(min_dims=1)
    return dict(input=draw.array(shape, 0.5, 1.0), mask=draw.mask(shape), p=draw.choice([0.25, 0.6]))


def by_its_length(input: Array) -> tuple[Array, Array]:
    """Each element times the sum of squares."""
    norm = np.asarray((input * input).sum())
    return input * norm, norm


def norm_gradient(g, input):
    squares, products = ((a * input).sum(tuple(range(input.ndim))) for a in (input, g))
    return g * squares + 2 * input * products


def evaluated(input: Array, mean: Array, var: Array) -> Array:
    """Batch norm in evaluation: (N,C) less the running mean, by the running variance."""
    return (input - mean) / np.sqrt(var + 1e-5)


def train_gradient(g, input, var):
    scale = (var + 1e-5) ** -0.5
    count = input.shape[0]
    centred = g - g.sum(0) / count
    spread = input - input.sum(0) / count
    share = (spread * g).sum(0) / ((spread * spread).sum(0) + 1e-9)
    return scale * (centred - spread * share)


def deviations(input: Array) -> Array:
    """The squared deviations from the mean, summed."""
    return np.asarray(((input - input.mean()) ** 2).sum())


right_dropout = declare(
    dropout, drop_samples, lambda input, mask, p: input * mask / (1 - p), input=lambda g, mask, p: g * mask / (1 - p)
)
right_length = Op(by_its_length, residuals=("norm",))
right_length.gradients(input=norm_gradient)
right_length.samples(lambda draw: dict(input=draw.array(draw.shape(min_dims=1))))
right_length.reference(lambda input: input * sum(x * x for x in input.flat))
right_evaluated = declare(
    evaluated,
    lambda draw: dict(input=draw.array((draw.integer(1, 4), 2)), mean=draw.array((2,)), var=draw.array((2,), 0.5, 1.0)),
    lambda input, mean, var: np.array([[(r[c] - mean[c]) / (var[c] + 1e-5) ** 0.5 for c in range(2)] for r in input]),
    input=lambda g, var: g * (var + 1e-5) ** -0.5,
)
right_evaluated.exempt(mean="a running statistic", var="a running statistic")
right_var = declare(
    deviations,
    lambda draw: dict(input=draw.array((draw.integer(2, 5),), 99.0, 101.0)),
    lambda input: sum((x - sum(input) / len(input)) ** 2 for x in input),
    input=lambda g, input: 2 * g * (input - input.sum(0) / input.shape[0]),
)
right_var.exempt(empty="nothing has no mean")
batch_norm, logsumexp = registry["batch_norm"], registry["logsumexp"]


def as_in_evaluation(g, input, weight, mean, var, eps, needs):
    right = batch_norm._fused.rule(g, input, weight, mean, var, eps, needs)
    scale = (var + eps) ** -0.5 * (1 if weight is None else weight)
    return (g * scale.reshape(-1, *[1] * (input.ndim - 2)), *right[1:])


breaks("dropout is not scaled in backward", right_dropout, "unscaled dropout", input=lambda g, mask: g * mask)
breaks(
    "a residual is taken for a constant",
    right_length,
    "wrong second order: a saved value is taken for a constant",
    fails="second_order",
    input=lambda g, input, norm: g * norm + 2 * input * (g * input).sum(tuple(range(input.ndim))),
)
breaks(
    "batch norm's statistics are taken for constants",
    batch_norm,
    "batch norm's evaluation gradient in training",
    fused=as_in_evaluation,
)
breaks(
    "batch norm's training gradient in evaluation",
    right_evaluated,
    "batch norm's training gradient in evaluation",
    input=train_gradient,
)
breaks(
    "the variance as a difference of large numbers",
    right_var,
    "float32 accuracy lost",
    fails="float32",
    forward=lambda input: np.asarray((input * input).sum() - input.sum() ** 2 / input.size),
)


def large(draw):
    return dict(input=draw.array(draw.shape(min_dims=1), 90.0, 100.0), dim=-1, keepdim=False)


breaks(
    "exp of large numbers",
    variant(logsumexp, _samples=large),
    "infinity in float32",
    fails="float32",
    forward=lambda input, dim, keepdim: np.log(np.exp(input).sum(dim, keepdims=keepdim)),
)


def in_numpy(g, input):
    return g * np.cos(input) if isinstance(g, np.ndarray) else g * np.cos(input.detach().numpy())


def numpy_alone(g, input):
    return np.multiply(g, np.cos(input, dtype=np.float64), dtype=np.float64)


def in_storage_order(g, input):
    return reshape(g.ravel("K"), input.shape) * 2 * input if isinstance(g, np.ndarray) else 2 * g * input


def clipped(g, input):
    return 2 * input * registry["clamp"](g, -1.7, 1.7)


def g_size(g):
    return g.size if isinstance(g, np.ndarray) else g.numel()


def share_squared(g, input, out, dim, keepdim):
    spread = registry["sum"].formulas["input"]
    hit = input == spread(out, input.shape, dim, keepdim)
    count = total(hit, dim, True)
    return keep(spread(g, input.shape, dim, keepdim), hit) / (count * count)


def without_first(g, input_shape, dim):
    right = cumsum.formulas["input"](g, dim)
    if not input_shape:
        return right
    mask = np.ones(input_shape)
    mask[(*[slice(None)] * (dim % len(input_shape)), -1)] = 0
    return right * (mask if isinstance(g, np.ndarray) else tg.tensor(mask))


mish, elu, hardtanh = (registry[n] for n in ("mish", "elu", "hardtanh"))
breaks(
    "the formula leaves the graph",
    sin,
    "wrong second order: the formula leaves the graph",
    fails="second_order",
    input=in_numpy,
)
breaks(
    "the formula is in NumPy",
    sin,
    "wrong second order: a formula takes arrays alone",
    fails="second_order",
    input=numpy_alone,
)
breaks(
    "the upstream in the order of storage",
    right_square,
    "memory layout of the upstream",
    fails="upstream",
    input=in_storage_order,
)
breaks("the upstream is clipped", right_square, "not linear in the upstream", fails="upstream", input=clipped)
breaks("the last element is left out", cumsum, "off by one: the last index", input=without_first)
breaks("a constant is nearly right", sin, "constant factor", input=lambda g, input: g * registry["cos"](input) * 1.001)
breaks(
    "scaled twice",
    right_dropout,
    "dropout scaled twice",
    input=lambda g, mask, p: g * mask / ((1 - p) * (1 - p)),
)
breaks(
    "the mean is taken twice",
    mean,
    "a mean too many",
    input=lambda g, input_shape, dim, keepdim: (
        mean.formulas["input"](g, input_shape, dim, keepdim) / max(1, np.prod(input_shape) // max(1, g_size(g)))
    ),
)
breaks(
    "the argument is forgotten",
    right_square,
    "a missing factor `input`",
    input=lambda g: 2 * g,
)
breaks(
    "the composite says something else",
    batch_norm,
    "composite differs",
    fails="value",
    _composite=lambda *arrays, eps: 2 * batch_norm._composite(*arrays, eps=eps),
)
breaks(
    "ties lose their share",
    amax,
    "ties lose a share",
    input=share_squared,
)


# ----------------------------------------------------------------------------------- the remaining manners
def largest_first(input: Array) -> Array:
    """Less the largest element."""
    return input - input.max(initial=-np.inf)


right_less = declare(
    largest_first,
    lambda draw: dict(input=draw.distinct(draw.shape(min_dims=1))),
    lambda input: np.vectorize(lambda x: x - max(input.flat), otypes="d")(input),
    input=lambda g, out, input_shape: (
        g - keep(expand(reshape(total(g), (1,) * len(input_shape)), input_shape), out == 0)
    ),
)
right_less.exempt(ties="the largest is one of them")


def other_path(input: Array, *, recording: bool = False) -> Array:
    """exp, by another way when nobody differentiates."""
    return np.exp(input) if recording else np.exp(input / 2) ** 2


def refused(input: Array) -> Array:
    """Twice a matrix."""
    return input * 2


right_other = declare(other_path, unary, np.vectorize(np.exp, otypes="d"), input=lambda g, out: g * out)
right_refused = declare(
    refused,
    lambda draw: dict(input=draw.array(draw.shape(min_dims=2, max_dims=2))),
    lambda input: input + input,
    input=lambda g: 2 * g,
)


@right_refused.check
def _(input):
    if input.ndim != 2:
        raise ShapeError(f"refused: expected a matrix, got shape {input.shape}")


right_refused.refuses(ShapeError, "expected a matrix", input=(2,))


def total_in(input: Array, *, dtype: Any = None) -> Array:
    """The sum, in ``dtype``."""
    return np.asarray(np.sum(input, dtype=input.dtype if dtype is None else as_dtype(dtype).dtype))


right_total = declare(
    total_in,
    unary,
    lambda input, dtype=None: sum(input.flat, 0.0),
    input=lambda g, input_shape: expand(reshape(g, (1,) * len(input_shape)), input_shape),
)
breaks(
    "dtype is forgotten",
    right_total,
    "dtype is ignored",
    fails="dtypes",
    forward=lambda input, dtype=None: np.asarray(np.sum(input, dtype=input.dtype)),
)
breaks(
    "dtype comes too late",
    right_total,
    "",
    fails="dtypes",
    forward=lambda input, dtype=None: np.sum(input, dtype=input.dtype).astype(
        input.dtype if dtype is None else as_dtype(dtype).dtype
    ),
)
breaks("an empty batch fails", right_less, "zero-size input", fails="empty", forward=lambda input: input - input.max())
breaks(
    "another result without recording",
    variant(right_other, lambda input, recording=False: np.exp(input)),
    "another result without recording",
    fails="no_grad",
    forward=other_path,
)
breaks(
    "the wrong sentence",
    right_refused,
    "another sentence",
    fails="refusals",
    _check=lambda input: (_ for _ in ()).throw(ShapeError("wrong")) if input.ndim != 2 else None,
)
breaks("nothing is refused", right_refused, "not refused", fails="refusals", _check=None)
breaks(
    "the wrong error",
    right_refused,
    "another error type",
    fails="refusals",
    _check=lambda input: (_ for _ in ()).throw(TypeError("refused: expected a matrix")) if input.ndim != 2 else None,
)
