"""``gradcheck`` and ``gradgradcheck``: whether derivatives agree with numerical ones. PyTorch's names and meaning."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import enable_grad, grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentError, ContradictionError, GraphError, UnsupportedError
from tinygrad_cnn.testing.jacobians import GradcheckError, Options, check
from tinygrad_cnn.testing.probe import Probe, as_tuple

__all__ = ["GradcheckError", "gradcheck", "gradgradcheck"]


def gradcheck(
    func: Callable[..., Any],
    inputs: Any,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_batched_forward_grad: bool = False,
    check_forward_ad: bool = False,
    check_backward_ad: bool = True,
    fast_mode: bool = False,
    masked: bool | None = None,
    method: str = "central",
    projections: int | None = None,
    subgradients: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the gradients of ``func`` at ``inputs`` (float64, those with requires_grad) agree with numerical ones.

    Compared is the whole Jacobian, every output element by every input element. It is also checked that backward is
    linear in its upstream gradient, that zeros give zeros, that two runs agree (to ``nondet_tol``), that outputs which
    nothing was computed from do no harm (``check_undefined_grad``), and, with ``check_grad_dtypes``, that no formula
    returns another dtype than its input's, which the engine would cast.

    ``fast_mode`` compares ``projections`` random directions (default 3) instead of all elements, and looks at the
    elements only if these differ. ``projections`` alone moves every input element, but runs backward that often only.
    ``method``: "central" differences; "complex", the complex step, where ``func`` takes complex numbers and is
    analytic, else an error; "auto": central, and the complex step as well where it applies, to 1e-9.
    ``subgradients``: at a kink, accept what lies between the slopes of both sides, along each element and along
    elements that tie; False: compare with the mean of the slopes, as PyTorch does. ``find_kinks`` reports them.

    Raises GradcheckError (a RuntimeError), or returns False if ``raise_exception`` is False; ArgumentError (a
    ValueError) if no input requires grad; UnsupportedError if forward-mode or batched gradients are asked for. Warns
    about inputs that aren't float64, whose rounding is larger than the differences.

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True)
    >>> gradcheck(lambda x: x * x, x)
    True
    >>> gradcheck(lambda x: x * x.detach(), x)  # doctest: +ELLIPSIS
    Traceback (most recent call last):
    tinygrad_cnn.testing.jacobians.GradcheckError: Jacobian mismatch for output 0 with respect to input 0 (`x`): ...
    """
    if not (check_forward_ad or check_backward_ad):
        raise ContradictionError("Expected at least one of check_forward_ad or check_backward_ad to be True")
    if check_batched_grad and not check_backward_ad:
        raise ContradictionError("Setting check_batched_grad=True requires check_backward_ad to be True")
    if check_batched_forward_grad and not check_forward_ad:
        raise ContradictionError("Setting check_batched_forward_grad=True requires check_forward_ad to be True")
    _refuse("gradcheck", check_forward_ad=check_forward_ad, check_batched_grad=check_batched_grad)
    options = Options(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode, bool(masked), method,
        projections, subgradients, seed,
    )  # fmt: skip
    return _answer(func, as_tuple(inputs), _names(func), options, raise_exception)


def gradgradcheck(
    func: Callable[..., Any],
    inputs: Any,
    grad_outputs: Any = None,
    *,
    eps: float = 1e-6,
    atol: float = 1e-5,
    rtol: float = 1e-3,
    gen_non_contig_grad_outputs: bool = False,
    raise_exception: bool = True,
    nondet_tol: float = 0.0,
    check_undefined_grad: bool = True,
    check_grad_dtypes: bool = False,
    check_batched_grad: bool = False,
    check_fwd_over_rev: bool = False,
    check_rev_over_rev: bool = True,
    fast_mode: bool = False,
    masked: bool = False,
    method: str = "central",
    projections: int | None = None,
    subgradients: bool = True,
    seed: int = 0,
) -> bool:
    """Whether the second derivatives of ``func`` agree with numerical derivatives of its first ones.

    It is ``gradcheck`` of the function that computes the gradients, by the inputs and by the upstream gradients, which
    are drawn if ``grad_outputs`` is None (with gaps in their memory if ``gen_non_contig_grad_outputs``). The
    other arguments, and what is raised, are those of ``gradcheck``.

    >>> import tinygrad_cnn as tg
    >>> gradgradcheck(lambda x: x * x * x, tg.tensor([1.0, 2.0], dtype=tg.float64, requires_grad=True))
    True
    """
    if not (check_fwd_over_rev or check_rev_over_rev):
        raise ContradictionError("Expected at least one of check_fwd_over_rev or check_rev_over_rev to be True")
    for name, value in dict(check_undefined_grad=check_undefined_grad, check_batched_grad=check_batched_grad).items():
        if value and not check_rev_over_rev:
            raise ContradictionError(f"Setting {name}=True requires check_rev_over_rev to be True")
    _refuse("gradgradcheck", check_fwd_over_rev=check_fwd_over_rev, check_batched_grad=check_batched_grad)
    options = Options(
        eps, atol, rtol, nondet_tol, check_undefined_grad, check_grad_dtypes, fast_mode, masked, method,
        projections, subgradients, seed,
    )  # fmt: skip
    inputs = as_tuple(inputs)
    _check_inputs(inputs)
    with enable_grad():
        outputs = [out for out in as_tuple(func(*inputs)) if isinstance(out, Tensor) and out.requires_grad]
    if not outputs:
        return _answer(func, inputs, _names(func), options, raise_exception)
    if grad_outputs is None:
        rng = np.random.default_rng(seed + 1)
        upstream = tuple(_draw_upstream(out, rng, gen_non_contig_grad_outputs) for out in outputs)
    else:
        upstream = as_tuple(grad_outputs)
    count = len(inputs)

    def first_order(*arguments: Any) -> tuple[Any, ...]:
        with enable_grad():
            results = [out for out in as_tuple(func(*arguments[:count])) if out.requires_grad]
            wanted = [x for x in arguments[:count] if isinstance(x, Tensor) and x.requires_grad]
            found = grad(results, wanted, arguments[count:], create_graph=True, allow_unused=True)
        return tuple(f for f in found if f is not None)

    names = [*_names(func)[:count], *[""] * (count - len(_names(func))), *("grad_output" for _ in upstream)]
    return _answer(first_order, (*inputs, *upstream), names, options, raise_exception)


# ------------------------------------------------------------------------------------------- the arguments
def _refuse(function: str, **flags: bool) -> None:
    for name, value in flags.items():
        if value:
            what = "batched gradients (vmap)" if "batched" in name else "forward-mode differentiation"
            raise UnsupportedError(f"{function}: {name}=True isn't possible: there are no {what} here; leave it False")


def _names(func: Callable[..., Any]) -> list[str]:
    """The names of the function's positional arguments, as far as it has any."""
    try:
        parameters = inspect.signature(func).parameters.values()
    except (TypeError, ValueError):
        return []
    return [p.name for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]


def _draw_upstream(out: Tensor, rng: np.random.Generator, gaps: bool) -> Tensor:
    """A random upstream gradient for ``out``."""
    values = np.asarray(rng.uniform(-1, 1, out._array.shape)).astype(out._array.dtype)
    if gaps and values.ndim:
        wide = np.zeros((*values.shape[:-1], 2 * values.shape[-1]), values.dtype)
        wide[..., ::2] = values
        values = wide[..., ::2]
    return wrap(values).requires_grad_()


def _check_inputs(inputs: tuple[Any, ...]) -> None:
    wanted = [(i, x) for i, x in enumerate(inputs) if isinstance(x, Tensor) and x.requires_grad]
    if not wanted:
        raise ArgumentError(
            "gradcheck expects at least one input tensor to require gradient, but none of them have requires_grad=True."
        )
    for i, x in wanted:
        if x._array.dtype != np.float64:
            warnings.warn(
                f"Input #{i} requires gradient and is not a double precision floating point or complex. This check "
                "will likely fail if all the inputs are not of double precision floating point or complex. ",
                stacklevel=4,
            )
        if _overlaps(x._array):
            raise GraphError(
                f"The {i}th input has a dimension with stride 0, or elements that share memory otherwise. gradcheck "
                "only supports inputs that are non-overlapping to be able to compute the numerical gradients "
                "correctly. You should call .contiguous on the input before passing it to gradcheck."
            )
        if not x._array.flags.writeable:
            raise GraphError(f"gradcheck: input {i} is in read-only memory, and can't be moved; pass a clone() of it")


def _overlaps(array: np.ndarray) -> bool:
    """Whether two elements have one address."""
    if array.size < 2:
        return False
    sides = sorted((abs(stride), side) for stride, side in zip(array.strides, array.shape, strict=True) if side > 1)
    reach = 0
    for stride, side in sides:
        if stride <= reach:
            break
        reach += stride * (side - 1)
    else:
        return False  # each dimension steps over all that the smaller ones reach
    offsets = np.zeros(1, np.int64)
    for stride, side in sides:
        offsets = (offsets[:, None] + stride * np.arange(side)).reshape(-1)
    return len(np.unique(offsets)) < len(offsets)


# ----------------------------------------------------------------------------------------------- the check
def _answer(
    func: Callable[..., Any], inputs: tuple[Any, ...], names: list[str], options: Options, raise_exception: bool
) -> bool:
    if options.method not in ("central", "complex", "auto"):
        raise ArgumentError(f"gradcheck: method expected 'central', 'complex' or 'auto', got {options.method!r}")
    _check_inputs(inputs)
    try:
        check(Probe(func, inputs), names, options)
    except GradcheckError:
        if raise_exception:
            raise
        return False
    return True
