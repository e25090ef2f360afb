"""``check_op``: holds a registered op to everything that it declares, over arguments drawn by hypothesis."""

from __future__ import annotations

from typing import Any

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.testing.draw import Draw, HypothesisSource
from tinygrad_cnn.testing.numerical import gradcheck, gradgradcheck

Arguments = dict[str, Any]


def check_op(op: Op, examples: int | None = None) -> None:
    """Draw sets of arguments from the op's samples, and check each with ``check_sample``.

    ``examples`` is their number (default: that of hypothesis's active profile).
    """
    from hypothesis import HealthCheck, given, settings, strategies

    missing = [part for part in ("samples", "reference") if getattr(op, "_" + part) is None]
    if op.is_differentiable and not (op.formulas or op._fused):
        missing.append("gradients")
    if missing:
        raise AssertionError(f"{op.name}: declare {' and '.join(missing)}, so that the op can be tested")
    if op._fused is not None and op._composite is None:
        raise AssertionError(f"{op.name}: a fused rule needs a composite, for second order and for this test")

    profile = settings.default
    count = examples or (profile.max_examples if profile is not None else 100)

    @settings(max_examples=count, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategies.data())
    def run(data: Any) -> None:
        assert op._samples is not None
        check_sample(op, op._samples(Draw(HypothesisSource(data))))

    run()


def _map_arrays(op: Op, arguments: Arguments, change: Any) -> Arguments:
    """The arguments with ``change`` applied to each input array, those in a sequence included."""
    changed = dict(arguments)
    for name in op.inputs:
        value = arguments.get(name)
        if isinstance(value, np.ndarray):
            changed[name] = change(value)
        elif isinstance(value, list | tuple):
            changed[name] = [change(v) if isinstance(v, np.ndarray) else v for v in value]
    return changed


def _as_list(result: Any) -> list[np.ndarray]:
    results = result if isinstance(result, tuple | list) else [result]
    return [np.asarray(r._array if isinstance(r, Tensor) else r) for r in results]


def check_sample(op: Op, arguments: Arguments) -> None:
    """Check one op on one set of arguments: its value, its derivatives of first and second order, its manners."""
    before = _map_arrays(op, arguments, np.copy)
    _check_value(op, arguments)
    if op.is_differentiable:
        _check_derivatives(op, arguments)
        _check_float32(op, arguments)
    for name in op.inputs:
        np.testing.assert_equal(arguments.get(name), before.get(name), err_msg=f"{op.name} changed its input {name}")


def _check_value(op: Op, arguments: Arguments) -> None:
    assert op._reference is not None
    expected = _as_list(op.call(op._reference, op._bind((), _map_arrays(op, arguments, np.copy))))
    with no_grad():
        on_tensors = _as_list(op(**_map_arrays(op, arguments, wrap)))
    on_arrays = _as_list(op(**arguments))
    assert len(expected) == len(on_tensors) == len(on_arrays), f"{op.name}: number of results"
    for want, tensor, array in zip(expected, on_tensors, on_arrays, strict=True):
        assert want.shape == tensor.shape, f"{op.name}: shape {tensor.shape}, reference {want.shape}"
        np.testing.assert_allclose(tensor, want, rtol=1e-9, atol=1e-10, err_msg=f"{op.name} against its reference")
        np.testing.assert_array_equal(array, tensor, err_msg=f"{op.name}: on arrays against on Tensors")


def differentiable_inputs(op: Op, arguments: Arguments) -> list[str]:
    """The inputs of this call that have a gradient formula and hold floating-point numbers."""
    declared = op._fused.inputs if op._fused is not None else tuple(op.formulas)

    def is_floating(value: Any) -> bool:
        if isinstance(value, list | tuple):
            return bool(value) and all(is_floating(v) for v in value)
        return isinstance(value, np.ndarray) and value.dtype.kind == "f"

    return [name for name in op.inputs if name in declared and is_floating(arguments.get(name))]


def _check_derivatives(op: Op, arguments: Arguments) -> None:
    names = differentiable_inputs(op, arguments)
    leaves: list[Tensor] = []
    for name in names:
        value = arguments[name]
        leaves += [wrap(v.copy()).requires_grad_() for v in (value if isinstance(value, list | tuple) else [value])]
    fixed = {k: wrap(v) if k in op.inputs and isinstance(v, np.ndarray) else v for k, v in arguments.items()}

    def call(*tensors: Tensor) -> Any:
        if op.variadic:
            return op(**{**fixed, names[0]: list(tensors)})
        return op(**{**fixed, **dict(zip(names, tensors, strict=True))})

    gradcheck(call, leaves, atol=1e-7, rtol=1e-5)
    gradgradcheck(call, leaves, atol=1e-6, rtol=1e-4)
    if op._fused is not None and op._composite is not None:
        _check_composite(op, arguments)


def _check_composite(op: Op, arguments: Arguments) -> None:
    """The fused rule against the simple ops that declare the same mathematics."""
    assert op._composite is not None
    values = op._bind((), dict(_map_arrays(op, arguments, wrap)))
    with no_grad():
        composed = op.call(op._composite, values)
    np.testing.assert_allclose(
        composed._array, op(**arguments), rtol=1e-9, atol=1e-10, err_msg=f"{op.name}: composite against forward"
    )


def _check_float32(op: Op, arguments: Arguments) -> None:
    def single(value: np.ndarray) -> np.ndarray:
        return value.astype(np.float32) if value.dtype == np.float64 else value

    with no_grad():
        narrow = _as_list(op(**_map_arrays(op, _map_arrays(op, arguments, single), wrap)))
        wide = _as_list(op(**arguments))
    for low, high in zip(narrow, wide, strict=True):
        if high.dtype == np.float64 and "dtype" not in op.parameters:
            assert low.dtype == np.float32, f"{op.name}: float32 in, {low.dtype} out"
        np.testing.assert_allclose(low, high, rtol=1e-4, atol=1e-4, err_msg=f"{op.name}: float32 against float64")
