"""What ``gradcheck`` checks at one point: the Jacobian, and the manners of the backward that computes it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd.graph import LeafNode, Node
from tinygrad_cnn.errors import TinygradError
from tinygrad_cnn.testing.explain import explain
from tinygrad_cnn.testing.kinks import Kinks, examine, suspicious
from tinygrad_cnn.testing.numerical import ComplexStepError, Differences
from tinygrad_cnn.testing.probe import Probe

COMPLEX_RTOL, COMPLEX_ATOL = 1e-9, 1e-10  # for what method="auto" finds by the complex step
PROJECTIONS = 3  # of fast_mode
SHOWN = 5  # elements in a message


class GradcheckError(TinygradError, RuntimeError):
    """A derivative isn't what it should be. The attributes say the same as the message, for programs."""

    def __init__(
        self,
        message: str,
        *,
        input: int | None = None,
        name: str = "",
        output: int | None = None,
        indices: Sequence[tuple[tuple[int, ...], tuple[int, ...]]] = (),
        analytical: Sequence[float] = (),
        numerical: Sequence[float] = (),
        cause: str = "",
    ) -> None:
        super().__init__(message)
        self.input, self.name, self.output = input, name, output
        self.indices = list(indices)  # of the elements that differ: (index in the output, index in the input)
        self.analytical, self.numerical = list(analytical), list(numerical)  # the derivatives there
        self.cause = cause


class Options(NamedTuple):
    """The settings of one check, as ``gradcheck`` describes them."""

    eps: float
    atol: float
    rtol: float
    nondet_tol: float
    check_undefined_grad: bool
    check_grad_dtypes: bool
    fast_mode: bool
    masked: bool
    method: str
    projections: int | None
    subgradients: bool
    seed: int


def check(probe: Probe, names: Sequence[str], options: Options) -> None:
    """Raise GradcheckError for the first thing that is wrong; ``names`` are those of the inputs, as far as known."""
    if not probe.outputs:
        if np.any(probe.differences(options.eps).central != 0):
            raise GradcheckError(
                "Numerical gradient for function expected to be zero: no output requires grad, but moving the inputs "
                "changes them. Is the result detached, or made of the inputs' numbers?"
            )
        return
    rng = np.random.default_rng(options.seed)
    upstream = _draw(rng, probe.base.size)
    gradient = probe.backward(probe.split(upstream))
    _check_repeats(gradient, probe.backward(probe.split(upstream)), options.nondet_tol)
    if options.check_undefined_grad and len(probe.outputs) > 1:
        _check_undefined(probe, upstream)
    if not (options.fast_mode and options.method == "central" and _agrees_along(probe, options, rng)):
        _check_jacobian(probe, names, options, rng, upstream, gradient)
    zeros = probe.backward(probe.split(np.zeros(probe.base.size)))
    if not (np.allclose(zeros, 0) if options.masked else np.all(zeros == 0)):
        raise GradcheckError(
            "backward not multiplied by grad_output: the gradients for an upstream of zeros aren't zero",
            cause="upstream ignored",
        )
    if options.check_grad_dtypes:
        _check_dtypes(probe, rng)


def _draw(rng: np.random.Generator, size: int) -> np.ndarray:
    """Random weights of both signs, none of them small."""
    return np.asarray(rng.uniform(0.5, 1.5, size) * rng.choice([-1.0, 1.0], size))


# -------------------------------------------------------------------------------------------- the Jacobian
def _agrees_along(probe: Probe, options: Options, rng: np.random.Generator) -> bool:
    """Fast mode: whether random combinations of each input's elements and of all outputs' have the right slope."""
    ends = [*probe.starts[1:], sum(a.size for a in probe.arrays)]
    for _ in range(options.projections or PROJECTIONS):
        upstream = _draw(rng, probe.base.size)
        gradient = probe.backward(probe.split(upstream))
        for start, end in zip(probe.starts, ends, strict=True):
            if start == end:
                continue
            direction = np.zeros(gradient.size)
            direction[start:end] = _draw(rng, end - start)
            direction /= np.linalg.norm(direction)
            moved = probe.differences_along(direction, options.eps)
            if suspicious(moved).any():
                return False
            numerical = float(moved.central[0] @ upstream)
            atol = options.atol * np.abs(direction).sum() * np.abs(upstream).sum()
            if not np.isclose(gradient @ direction, numerical, rtol=options.rtol, atol=atol):
                return False
    return True


def _check_jacobian(
    probe: Probe, names: Sequence[str], options: Options, rng: np.random.Generator, upstream: np.ndarray,
    gradient: np.ndarray,
) -> None:  # fmt: skip
    moved = probe.differences(options.eps)
    truths = list(_numerical_jacobians(probe, moved, options))
    if options.projections and not options.fast_mode and not suspicious(moved).any():
        pairs = [(upstream, gradient)]
        for _ in range(options.projections - 1):
            weights = _draw(rng, upstream.size)
            pairs.append((weights, probe.backward(probe.split(weights))))
        if all(
            _is_combination(found, truth, weights, atol, rtol)
            for weights, found in pairs
            for truth, rtol, atol in truths
        ):
            return
    analytical = probe.jacobian()
    for truth, rtol, atol in truths:
        _compare(probe, names, options, moved, analytical, truth, rtol, atol)
    if not _is_combination(
        gradient, analytical, upstream, options.atol * np.abs(upstream).sum() + options.nondet_tol, options.rtol
    ):
        raise GradcheckError(
            "backward isn't linear in grad_output: the gradients for a random upstream aren't the same combination of "
            "those for the single output elements",
            cause="upstream not linear",
        )


def _is_combination(found: np.ndarray, jacobian: np.ndarray, weights: np.ndarray, atol: float, rtol: float) -> bool:
    """Whether ``found`` is the Jacobian times the weights, within the tolerance of its elements."""
    allowed = atol + rtol * (np.abs(jacobian) @ np.abs(weights))
    return bool(np.all(np.abs(found - jacobian @ weights) <= allowed))


def _numerical_jacobians(
    probe: Probe, moved: Differences, options: Options
) -> Iterator[tuple[np.ndarray, float, float]]:
    """What the analytical Jacobian is held against, each with rtol and atol."""
    if options.method != "complex":
        yield moved.central, options.rtol, options.atol
    if options.method != "central":
        try:
            found = probe.complex_jacobian(moved)
        except ComplexStepError:
            if options.method == "complex":
                raise
        else:
            alone = options.method == "complex"
            yield found, options.rtol if alone else COMPLEX_RTOL, options.atol if alone else COMPLEX_ATOL


def _compare(
    probe: Probe, names: Sequence[str], options: Options, moved: Differences, analytical: np.ndarray,
    truth: np.ndarray, rtol: float, atol: float,
) -> None:  # fmt: skip
    """Hold the analytical Jacobian against a numerical one, with understanding for kinks."""
    with np.errstate(invalid="ignore"):
        bad = ~np.isclose(analytical, truth, rtol=rtol, atol=atol)
    if not bad.any() and not options.subgradients:
        return
    kinks = examine(probe, moved, analytical, eps=options.eps, atol=options.atol, rtol=options.rtol, seed=options.seed)
    if options.subgradients:
        bad = (bad & ~kinks.mask) | (kinks.mask & ~kinks.allowed)
    if bad.any():
        raise _mismatch(probe, names, options, analytical, truth, bad, kinks)
    if options.subgradients:
        for kink in kinks.together:
            if not kink.is_subgradient:
                raise GradcheckError(
                    f"Not a subgradient at a kink: {kink}. Do the shares of a tie add up to the upstream?",
                    input=kink.elements[0][0],
                    output=kink.output[0],
                    indices=[(kink.output[1], index) for _, index in kink.elements],
                    analytical=[kink.value],
                    numerical=[kink.left, kink.right],
                    cause="not a subgradient",
                )


# -------------------------------------------------------------------------------------------- explanations
def _mismatch(
    probe: Probe, names: Sequence[str], options: Options, analytical: np.ndarray, truth: np.ndarray, bad: np.ndarray,
    kinks: Kinks,
) -> GradcheckError:  # fmt: skip
    """The error for the first output, and the first of its inputs, with elements that differ."""
    first_column = int(np.flatnonzero(bad.any(axis=0))[0])
    output, _ = probe.column_place(first_column)
    columns = np.array([c for c in range(bad.shape[1]) if probe.column_place(c)[0] == output])
    source, _ = probe.row_place(int(np.flatnonzero(bad[:, first_column])[0]))
    rows = np.array([r for r in range(bad.shape[0]) if probe.row_place(r)[0] == source])
    block = np.ix_(rows, columns)
    name = names[source] if source < len(names) else ""
    places = [
        (probe.column_place(int(columns[c]))[1], probe.row_place(int(rows[r]))[1], int(rows[r]), int(columns[c]))
        for r, c in np.argwhere(bad[block])
    ]
    cause = _cause(probe, options, analytical[block], truth[block], bad[block], kinks.jumps[block], source, name)
    label = f"{source} (`{name}`)" if name else str(source)
    lines = [
        f"Jacobian mismatch for output {output} with respect to input {label}: {len(places)} of {bad[block].size} "
        f"elements differ (atol {options.atol:g}, rtol {options.rtol:g})"
    ]
    for out_index, in_index, row, column in places[:SHOWN]:
        lines.append(
            f"  d output{_brackets(out_index)} / d {name or 'input'}{_brackets(in_index)}: "
            f"analytical {analytical[row, column]:.8g}, numerical {truth[row, column]:.8g}"
        )
    if len(places) > SHOWN:
        lines.append(f"  and {len(places) - SHOWN} more")
    lines += [f"  at a kink: {kink}" for kink in kinks.alone if not kink.is_subgradient][:SHOWN]
    if cause:
        lines.append(f"Likely cause: {cause}.")
    return GradcheckError(
        "\n".join(lines),
        input=source,
        name=name,
        output=output,
        indices=[place[:2] for place in places],
        analytical=[float(analytical[row, column]) for _, _, row, column in places],
        numerical=[float(truth[row, column]) for _, _, row, column in places],
        cause=cause,
    )


def _brackets(index: tuple[int, ...]) -> str:
    return str(list(index)) if index else ""


def _cause(
    probe: Probe, options: Options, analytical: np.ndarray, truth: np.ndarray, bad: np.ndarray, jumps: np.ndarray,
    source: int, name: str,
) -> str:  # fmt: skip
    """A short phrase for what probably went wrong; empty if no known pattern fits."""
    if (jumps & bad).any():
        return "the function jumps here (a first derivative does at a kink)"
    if not np.isfinite(truth[bad]).any():
        return "no numerical derivative: the function isn't finite on both sides"
    if not analytical.any():
        return "no gradient arrives: the formula is missing, or the input is detached"
    columns = analytical.T
    if len(columns) > 1 and np.array_equal(columns[1:], columns[:-1]):
        return "upstream ignored"
    weights = _draw(np.random.default_rng(options.seed), len(columns))
    shape = probe.inputs[source]._array.shape
    return explain(
        (analytical @ weights).reshape(shape),
        (truth @ weights).reshape(shape),
        name=getattr(probe.func, "__name__", "function"),
        argument=name or f"input {source}",
        rtol=options.rtol,
        atol=options.atol,
    ).cause


# ------------------------------------------------------------------------------------------------- manners
def _check_repeats(first: np.ndarray, second: np.ndarray, tolerance: float) -> None:
    both_nan = np.isnan(first) & np.isnan(second)
    with np.errstate(invalid="ignore"):
        same = (first == second) | both_nan | (np.abs(first - second) <= tolerance)
    if not same.all():
        raise GradcheckError(
            "Backward is not reentrant, i.e., running backward with same input and grad_output multiple times gives "
            f"different values. The tolerance for nondeterminism was {tolerance}.",
            cause="not deterministic",
        )


def _check_undefined(probe: Probe, upstream: np.ndarray) -> None:
    """An output that nothing was computed from must count as one whose gradient is zero."""
    for position in range(len(probe.outputs)):
        parts: list[Any] = list(probe.split(upstream))
        parts[position] = np.zeros_like(parts[position])
        expected = probe.backward(parts)
        parts[position] = None
        try:
            found = probe.backward(parts)
        except Exception as error:
            raise GradcheckError(
                f"Expected backward function to handle undefined output grads: with no gradient for output "
                f"{probe.places[position]} it raised {type(error).__name__}: {error}"
            ) from error
        if not np.allclose(found, expected, equal_nan=True):
            raise GradcheckError(
                f"Expected an undefined output grad to count as zeros: with no gradient for output "
                f"{probe.places[position]} the gradients are other ones"
            )


def _check_dtypes(probe: Probe, rng: np.random.Generator) -> None:
    """Run each recorded node alone: where output and input have one dtype, so must have the gradient."""
    for node in _nodes(probe):
        with np.errstate(all="ignore"):
            upstream: list[Any] = [
                np.asarray(rng.uniform(-1, 1, shape)).astype(dtype) for shape, dtype in node.metadata
            ]
            results = node.apply(upstream, False)
        for edge, result in zip(node.edges, results, strict=True):
            if edge is None or result is None:
                continue
            wanted = edge[0].metadata[edge[1]][1]
            if result.dtype != wanted and all(dtype == wanted for _, dtype in node.metadata):
                raise GradcheckError(
                    f"Gradient has dtype mismatch: {node.name()} returns {result.dtype} for an input of {wanted}",
                    cause="wrong dtype",
                )


def _nodes(probe: Probe) -> list[Node]:
    """Every node between the outputs and the leaves."""
    found = {edge[0]: None for out in probe.outputs if (edge := out._edge) is not None}
    stack = list(found)
    while stack:
        for edge in stack.pop().edges:
            if edge is not None and edge[0] not in found:
                found[edge[0]] = None
                stack.append(edge[0])
    return [node for node in found if not isinstance(node, LeafNode)]
