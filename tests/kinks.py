"""The policy at kinks: what the gradient is where there is no single one. Written as docs/kinks.md by
``python -m tests.kinks``; each row is proven by tests/test_kinks.py, and against PyTorch by tests/parity."""

from collections.abc import Iterator
from math import inf, nan
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

PAGE = Path(__file__).parents[1] / "docs" / "kinks.md"


class Kink(NamedTuple):
    expression: str  # of the float64 tensor x; t makes another one, i one of integers
    point: Any  # x
    gradient: Any  # of the expression's sum, as this library gives it
    left: Any  # the slope along each element of x just below the point; None: not defined there
    right: Any  # just above it
    remark: str = ""  # required where the gradient isn't between the two slopes
    pytorch: Any = None  # PyTorch's gradient where it differs, or the words of its refusal


KINKS = {
    "Activations": [
        Kink("relu(x)", 0, 0, 0, 1),
        Kink("F.relu6(x)", [0, 6], [0, 0], [0, 1], [1, 0]),
        Kink("F.leaky_relu(x, 0.1)", 0, 0.1, 0.1, 1),
        Kink("F.leaky_relu(x, -0.5)", 0, -0.5, -0.5, 1),
        Kink("F.prelu(x, t([0.25]))", [0], [0.25], [0.25], [1]),
        Kink("F.prelu(t([0.0]), x)", [0.25], [0], [0], [0]),
        Kink("F.rrelu(x, 0.25, 0.25)", 0, 0.25, 0.25, 1),
        Kink("F.elu(x)", 0, 1, 1, 1),
        Kink("F.elu(x, 0.5)", 0, 0.5, 0.5, 1),
        Kink("F.selu(x)", 0, 1.7581, 1.7581, 1.0507),
        Kink("F.celu(x, 2.0)", 0, 1, 1, 1),
        Kink("F.hardtanh(x)", [-1, 1], [0, 0], [0, 1], [1, 0]),
        Kink("F.hardsigmoid(x)", [-3, 3], [0, 0], [0, 1 / 6], [1 / 6, 0]),
        Kink("F.hardswish(x)", [-3, 3], [0, 1], [0, 1.5], [-0.5, 1]),
        Kink("F.hardshrink(x)", [-0.5, 0.5], [0, 0], [1, 0], [0, 1]),
        Kink("F.hardshrink(x, 0.0)", 0, 0, 1, 1, "zero counts as shrunk, also by nothing"),
        Kink("F.softshrink(x)", [-0.5, 0.5], [0, 0], [1, 0], [0, 1]),
        Kink("F.threshold(x, 1.0, 1.0)", 1, 0, 0, 1),
        Kink("F.threshold(x, 1.0, 0.0)", 1, 0, 0, 1),
        Kink("F.softplus(x, 1.0, 2.0)", 2, 0.8808, 0.8808, 1),
        Kink("F.logsigmoid(x)", 0, 0.5, 0.5, 0.5),
    ],
    "Clamping": [
        Kink("clamp(x, -1, 1)", [-1, 1], [1, 1], [0, 1], [1, 0]),
        Kink("clamp(x, min=0)", 0, 1, 0, 1),
        Kink("clamp(x, max=0)", 0, 1, 1, 0),
        Kink("clamp(x, 1, 1)", 1, 1, 0, 0, "a bound counts as inside, also where nothing else is"),
        Kink("clamp(x, t([0.0, 0.0]), t([1.0, 1.0]))", [0, 1], [1, 1], [0, 1], [1, 0]),
        Kink("clamp(t([0.0]), x)", [0], [0], [0], [1]),
        Kink("clamp(t([1.0]), max=x)", [1], [0], [1], [0]),
    ],
    "Absolute values, signs, steps": [
        Kink("abs(x)", 0, 0, -1, 1),
        Kink("sign(x)", 0, 0, 0, 0),
        Kink("sgn(x)", 0, 0, 0, 0),
        Kink("floor(x)", 1, 0, 0, 0),
        Kink("ceil(x)", 1, 0, 0, 0),
        Kink("round(x)", 0.5, 0, 0, 0),
        Kink("trunc(x)", [-1, 0, 1], [0, 0, 0], [0, 0, 0], [0, 0, 0]),
        Kink("frac(x)", [-1, 0, 1], [1, 1, 1], [1, 1, 1], [1, 1, 1]),
        Kink("where(x > 0, x, 2 * x)", 0, 2, 2, 1),
        Kink("nan_to_num(x, 0.0, 1.0, -1.0)", [inf, -inf, nan], [0, 0, 0], [0, 0, 0], [0, 0, 0]),
    ],
    "Division with remainder": [
        Kink("fmod(x, 2.0)", [-2, 0, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]),
        Kink("fmod(t([4.0]), x)", [2], [-2], [-2], [-1]),
        Kink("remainder(x, 2.0)", [-2, 0, 2], [1, 1, 1], [1, 1, 1], [1, 1, 1]),
        Kink("remainder(t([4.0]), x)", [2], [-2], [-2], [-1]),
        Kink("floor_divide(x, 2.0)", 2, 0, 0, 0, "", "derivative for aten::floor_divide is not implemented"),
        Kink("div(x, 2.0, rounding_mode='floor')", 2, 0, 0, 0),
        Kink("div(x, 2.0, rounding_mode='trunc')", 2, 0, 0, 0),
        Kink("x % 1", 1, 1, 1, 1),
    ],
    "Powers, roots, logarithms": [
        Kink("sqrt(x)", 0, inf, None, inf),
        Kink("rsqrt(x)", 0, -inf, None, -inf),
        Kink("reciprocal(x)", 0, -inf, -inf, -inf),
        Kink("x ** 0", 0, 0, 0, 0),
        Kink("x ** 0.5", 0, inf, None, inf),
        Kink("x ** 1", 0, 1, 1, 1),
        Kink("x ** 1.5", 0, 0, None, 0),
        Kink("x ** -1", 0, -inf, -inf, -inf),
        Kink("x ** t([0.0])", [0], [0], [0], [0]),
        Kink("x ** t([0.5])", [0], [inf], [None], [inf]),
        Kink("t([0.0]) ** x", [0], [0], [None], [0]),
        Kink("0.0 ** x", 1, 0, 0, 0),
        Kink("log(x)", 0, inf, None, inf),
        Kink("log1p(x)", -1, inf, None, inf),
        Kink("xlogy(x, t([0.0]))", [0], [0], [None], [None], "x·log(0) is 0 at 0 alone, infinite beside it"),
        Kink("xlogy(t([0.0]), x)", [0], [nan], [0], [0], "the formula's 0 / 0"),
        Kink("logit(x, 0.1)", [0.1, 0.9], [100 / 9, 100 / 9], [0, 100 / 9], [100 / 9, 0]),
        Kink("acos(x)", [-1, 1], [-inf, -inf], [None, -inf], [-inf, None]),
        Kink("asin(x)", [-1, 1], [inf, inf], [None, inf], [inf, None]),
        Kink("acosh(x)", 1, inf, None, inf),
        Kink("atanh(x)", 1, inf, inf, None),
        Kink("atan2(x, t([0.0]))", [0], [0], [0], [0]),
        Kink("atan2(t([0.0]), x)", [0], [0], [0], [0]),
        Kink("hypot(x, t([0.0]))", [0], [nan], [-1], [1], "the formula's 0 / 0; `norm` is the one that is safe"),
    ],
    "Infinite arguments": [
        Kink("logsumexp(x, 0)", [-inf, 0], [0, 1], [0, 1], [0, 1]),
        Kink("logsumexp(x, 0)", [-inf, -inf], [nan, nan], [None, None], [None, None], "the formula's -inf - -inf"),
        Kink("logsumexp(x, 0)", [inf, 0], [nan, 0], [None, None], [None, None], "the formula's inf - inf"),
        Kink("logaddexp(x, t([-inf]))", [-inf], [nan], [None], [None], "the formula's -inf - -inf"),
        Kink("softmax(x, 0)[0]", [-inf, 0], [0, 0], [0, 0], [0, 0]),
        Kink("F.log_softmax(x, 0)[1]", [-inf, 0], [0, 0], [0, 0], [0, 0]),
    ],
    "Ties": [
        Kink("maximum(x, t([1.0]))", [1], [0.5], [0], [1]),
        Kink("minimum(x, t([1.0]))", [1], [0.5], [1], [0]),
        Kink("fmax(x, t([1.0]))", [1], [1], [0], [1]),
        Kink("fmin(x, t([1.0]))", [1], [1], [1], [0]),
        Kink("max(x)", [1, 1, 0], [0.5, 0.5, 0], [0, 0, 0], [1, 1, 0]),
        Kink("min(x)", [1, 0, 0], [0, 0.5, 0.5], [0, 1, 1], [0, 0, 0]),
        Kink("amax(x, 0)", [1, 1, 0], [0.5, 0.5, 0], [0, 0, 0], [1, 1, 0]),
        Kink("amin(x, 0)", [1, 0, 0], [0, 0.5, 0.5], [0, 1, 1], [0, 0, 0]),
        Kink("aminmax(x)[0]", [0, 0, 1], [0.5, 0.5, 0], [1, 1, 0], [0, 0, 0]),
        Kink("max(x, 0)[0]", [1, 1, 0], [1, 0, 0], [0, 0, 0], [1, 1, 0]),
        Kink("min(x, 0)[0]", [1, 0, 0], [0, 1, 0], [0, 1, 1], [0, 0, 0]),
        Kink("sort(x)[0][0]", [1, 1], [1, 0], [1, 1], [0, 0]),
        Kink("nanmedian(x)", [1, nan, 1], [0.5, 0, 0.5], [1, 0, 1], [0, 0, 0]),
        Kink("median(x)", [1, 1, 1], [1 / 3, 1 / 3, 1 / 3], [0, 0, 0], [0, 0, 0], "one alone doesn't move it"),
        Kink("median(x, 0)[0]", [1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], "one alone doesn't move it"),
        Kink("mode(x, 0)[0]", [1, 1, 0], [0, 1, 0], [0, 0, 0], [0, 0, 0], "it stays with the returned index"),
        Kink("topk(x, 1)[0]", [1, 1], [0, 1], [0, 0], [1, 1], "", [1, 0]),
        Kink("kthvalue(x, 2)[0]", [1, 1, 1], [0, 1, 0], [0, 0, 0], [0, 0, 0], "one alone doesn't move it", [1, 0, 0]),
    ],
    "Pooling": [
        Kink("F.max_pool1d(x[None], 2)", [1, 1], [1, 0], [0, 0], [1, 1]),
        Kink("F.max_pool2d(x[None], 2)", [[1, 1], [1, 1]], [[1, 0], [0, 0]], [[0, 0], [0, 0]], [[1, 1], [1, 1]]),
        Kink("F.max_pool1d(x[None], 2)", [-inf, -inf], [1, 0], [None, None], [None, None], "the first, as elsewhere"),
        Kink("F.max_pool1d(x[None], 3)", [0, nan, 1], [0, 1, 0], [None] * 3, [None] * 3, "NaN wins, as a value does"),
        Kink("F.max_pool2d(x[None], 2, 1, 1)", [[-1]], [[4]], [[4]], [[4]], "padding never wins"),
        Kink("F.max_pool1d(x[None], 2, 1)", [0, 1, 0], [0, 2, 0], [0, 2, 0], [0, 2, 0], "windows that overlap add up"),
        Kink("F.adaptive_max_pool1d(x[None], 1)", [1, 1], [1, 0], [0, 0], [1, 1]),
        Kink(
            "F.adaptive_max_pool2d(x[None], 1)", [[0, 1], [1, 0]], [[0, 1], [0, 0]], [[0, 0], [0, 0]], [[0, 1], [1, 0]]
        ),
        Kink("F.adaptive_max_pool1d(x[None], 1)", [0, nan], [0, 1], [None, None], [None, None], "NaN wins"),
        Kink("F.lp_pool1d(x[None], 2, 2)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("F.lp_pool1d(x[None], 1, 2)", [0, 0], [0, 0], [1, 1], [1, 1], "it passes sign and relu, both 0 at 0"),
        Kink("F.lp_pool2d(x[None], 2, 1)", [[0]], [[0]], [[-1]], [[1]]),
    ],
    "Norms and distances": [
        Kink("norm(x)", 0, 0, -1, 1),
        Kink("norm(x)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("norm(x, 1)", [0, 1], [0, 1], [-1, 1], [1, 1]),
        Kink("norm(x, 3)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("norm(x, 0.5)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("norm(x, inf)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("norm(x, inf)", [1, 1], [0.5, 0.5], [0, 0], [1, 1]),
        Kink("norm(x, inf)", [1, -1], [0.5, -0.5], [0, -1], [1, 0]),
        Kink("norm(x, -inf)", [1, 1], [0.5, 0.5], [1, 1], [0, 0]),
        Kink("linalg.vector_norm(x)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("F.normalize(x, dim=0)[0]", [0, 0], [1e12, 0], [0, 0], [0, 0], "1 / eps, near zero"),
        Kink("dist(x, t([1.0, 1.0]))", [1, 1], [0, 0], [-1, -1], [1, 1]),
        Kink("dist(x, t([1.0, 1.0]), 1)", [1, 0], [0, -1], [-1, -1], [1, -1]),
        Kink("dist(x, t([1.0, 1.0]), inf)", [2, 2], [0.5, 0.5], [0, 0], [1, 1]),
        Kink("cdist(x[None], t([[0.0, 0.0]]))", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("cdist(x[None], t([[0.0, 0.0]]), 1.0)", [0, 1], [0, 1], [-1, 1], [1, 1]),
        Kink("cdist(x[None], t([[0.0, 0.0]]), 1.5)", [0, 1], [0, 1], [0, 1], [0, 1]),
        Kink(
            "cdist(x[None], t([[0.0, 0.0]]), inf)", [1, 1], [0.5, 0.5], [0, 0], [1, 1], "divided, as elsewhere", [1, 1]
        ),
        Kink("F.pdist(x)", [[0, 0], [0, 0]], [[0, 0], [0, 0]], [[-1, -1], [-1, -1]], [[1, 1], [1, 1]]),
        Kink("F.pairwise_distance(x, t([0.0, 0.0]), eps=0.0)", [0, 0], [0, 0], [-1, -1], [1, 1]),
        Kink("F.cosine_similarity(x, t([1.0, 0.0]), 0)", [0, 0], [1e8, 0], [0, 0], [0, 0], "1 / eps, near zero"),
        Kink("std(x, 0)", [1, 1], [0, 0], [-(0.5**0.5), -(0.5**0.5)], [0.5**0.5, 0.5**0.5]),
        Kink("var(x, 0)", [1, 1], [0, 0], [0, 0], [0, 0]),
        Kink("std(x, 0)", [1], [nan], [None], [None], "one element has no unbiased deviation"),
        Kink("var(x, 0)", [1], [nan], [None], [None], "one element has no unbiased variance"),
        Kink("std(x, 0, correction=0)", [1], [0], [0], [0]),
        Kink("var(x, 0, correction=0)", [1], [0], [0], [0]),
    ],
    "Products with zeros": [
        Kink("prod(x)", [0, 2, 3], [6, 0, 0], [6, 0, 0], [6, 0, 0]),
        Kink("prod(x)", [0, 0, 3], [0, 0, 0], [0, 0, 0], [0, 0, 0]),
        Kink("prod(x, 0)", [0, 2, 3], [6, 0, 0], [6, 0, 0], [6, 0, 0]),
        Kink("cumprod(x, 0)[2]", [0, 2, 3], [6, 0, 0], [6, 0, 0], [6, 0, 0]),
    ],
    "Losses": [
        Kink("F.l1_loss(x, t([0.0]))", [0], [0], [-1], [1]),
        Kink("F.smooth_l1_loss(x, t([0.0]))", [1], [1], [1], [1]),
        Kink("F.smooth_l1_loss(x, t([0.0]), beta=0.0)", [0], [0], [-1], [1]),
        Kink("F.huber_loss(x, t([0.0]))", [1], [1], [1], [1]),
        Kink("F.hinge_embedding_loss(x, t([-1.0]))", [1], [-1], [-1], [0]),
        Kink("F.margin_ranking_loss(x, t([0.0]), t([1.0]))", [0], [-1], [-1], [0]),
        Kink("F.multi_margin_loss(x, i(1))", [0, 1, -1], [0, 0, 0], [0, -1 / 3, 0], [1 / 3, 0, 0]),
        Kink("F.multilabel_margin_loss(x, i([0, -1, -1]))", [1, 0, -1], [0, 0, 0], [-1 / 3, 0, 0], [0, 1 / 3, 0]),
        Kink("F.soft_margin_loss(x, t([1.0]))", [0], [-0.5], [-0.5], [-0.5]),
        Kink("F.triplet_margin_loss(x[None], t([[0.0]]), t([[1.0]]), eps=0.0)", [1], [1], [2], [0]),
        Kink("F.cosine_embedding_loss(x[None], t([[1.0, 0.0]]), t([-1.0]))", [0, 1], [1, 0], [0, 0], [1, 0]),
        Kink("F.binary_cross_entropy(x, t([0.0]))", [0], [0], [None], [1], "x·(1 - x) is 0 in the formula"),
        Kink("F.binary_cross_entropy(x, t([1.0]))", [0], [-1e12], [None], [-inf], "1 / eps: large, but finite"),
        Kink("F.binary_cross_entropy_with_logits(x, t([0.0]))", [0], [0.5], [0.5], [0.5]),
        Kink("F.kl_div(t([0.0]), x, reduction='sum')", [0], [nan], [None], [-inf], "the formula's 0 / 0"),
        Kink("F.poisson_nll_loss(x, t([0.0]), log_input=False)", [0], [1], [None], [1]),
    ],
    "Sampling an image between pixels": [
        Kink(
            "F.grid_sample(t([[[[1.0, 3.0, 4.0]]]]), x.reshape(1, 1, 1, 2), align_corners=True)",
            *([0, 0], [1, 0], [2, 0], [1, 0]),
        ),
        Kink(
            "F.grid_sample(t([[[[1.0, 3.0, 4.0]]]]), x.reshape(1, 1, 1, 2), padding_mode='border', align_corners=True)",
            *([1, 0], [0, 0], [1, 0], [0, 0]),
        ),
    ],
}
ROWS = [row for rows in KINKS.values() for row in rows]


def evaluate(library: Any, expression: str, x: Any) -> Any:
    """The expression on a library, ours or PyTorch."""
    names: dict[str, Any] = {name: getattr(library, name) for name in dir(library) if not name.startswith("_")}
    names |= dict(F=library.nn.functional, t=lambda v: library.tensor(v, dtype=library.float64), i=library.tensor)
    return eval(expression, {**names, "x": x, "inf": inf})


def gradient(library: Any, row: Kink) -> np.ndarray:
    """The gradient of the sum of the row's expression at its point."""
    x = library.tensor(row.point, dtype=library.float64, requires_grad=True)
    (found,) = library.autograd.grad(evaluate(library, row.expression, x).sum(), x)
    return np.asarray((found + 0).tolist(), dtype=np.float64)  # + 0: PyTorch's zeros without memory get one


def slope(library: Any, row: Kink, place: tuple[int, ...], side: int) -> float:
    """The slope along one element of x on one side (-1, 1) of the point; NaN where there is none."""
    steps = []
    for h in (1e-5, 1e-7):
        values = []
        for distance in (h, 2 * h):  # never at the point itself, where steps jump
            moved = np.array(row.point, dtype=np.float64)
            moved[place] += side * distance
            try:
                values.append(float(evaluate(library, row.expression, library.tensor(moved)).sum()))
            except (ValueError, RuntimeError):  # outside the domain
                return nan
        steps.append(side * (values[1] - values[0]) / h)
    grows = abs(steps[1]) - abs(steps[0]) > 1  # as that of sqrt and log does
    return inf if grows and steps[1] > 0 else -inf if grows else steps[1]


def verdict(row: Kink) -> str:
    """What the gradient is beside the two slopes; "" where it is neither one of them nor between them."""
    kinds = set()
    table = (_floats(v) for v in (row.gradient, row.left, row.right))
    for here, left, right in zip(*(v.flat for v in table), strict=True):
        sides = [s for s in (left, right) if s == s]
        if not sides or not min(sides) <= here <= max(sides):
            return ""
        kinds.add("the slope" if left == right else "a subgradient" if len(sides) == 2 else "the only slope")
    return next(kind for kind in ("a subgradient", "the only slope", "the slope") if kind in kinds)


def _floats(value: Any) -> np.ndarray:
    return np.array(value, dtype=np.float64)  # None is NaN


def _text(value: Any) -> str:
    if isinstance(value, list):
        return f"[{', '.join(map(_text, value))}]"
    return "none" if value is None else f"{value:.4g}"


def _row(row: Kink) -> str:
    about = "; ".join(part for part in (verdict(row), row.remark) if part)
    if row.pytorch is not None:
        about += f"; PyTorch: {row.pytorch if isinstance(row.pytorch, str) else _text(row.pytorch)}"
    cells = [f"`{row.expression}`", *map(_text, row[1:5]), about]
    return "| " + " | ".join(cells) + " |"


def _lines() -> Iterator[str]:
    yield "# Gradients at kinks, ties and jumps"
    yield ""
    yield "<!-- Generated by `python -m tests.kinks`: change the table there. -->"
    yield ""
    yield (
        f"Where a function has a kink, a tie or a jump, or is infinite, there is more than one gradient to choose, or "
        f"none. These {len(ROWS)} rows say which one is given. It is PyTorch's (2.13), unless the last column says "
        "otherwise."
    )
    yield ""
    yield (
        "The gradient is that of the sum of the expression, by the float64 tensor `x`. *Left* and *right* are the "
        "slopes along each element of `x`, the others held, just below and just above the point; *none*: the function "
        "isn't defined or not finite there, so there is no slope. The last column compares: **the slope**, "
        "where both are the same; **a subgradient**, one of the two or between them; **the only slope**, where the "
        "function ends. Where it is none of these, the column says why."
    )
    yield ""
    yield (
        "`t` makes another float64 tensor, `i` one of integers, `F` is `nn.functional`. `tests/test_kinks.py` proves "
        "the gradients, and the slopes by differences; `tests/parity/test_kinks.py` holds them to PyTorch's."
    )
    for title, rows in KINKS.items():
        yield from ("", f"## {title}", "", "| expression | x | gradient | left | right | |", "| --- " * 6 + "|")
        yield from map(_row, rows)


def page() -> str:
    """The text of docs/kinks.md."""
    return "\n".join(_lines()) + "\n"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
