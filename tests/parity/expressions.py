"""Parity tests as tables of expressions, each evaluated on PyTorch and here, on the same inputs."""

import numpy as np
import pytest

import tinygrad_cnn as tg
from tests.parity.compare import compare, to_ours, to_torch, torch

INPUTS = {
    "x": np.arange(24.0).reshape(2, 3, 4),
    "m": np.arange(6.0).reshape(2, 3),
    "v": np.arange(3.0),
    "s": np.array(2.0),
    "n": np.arange(6).reshape(2, 3),
    "f": np.arange(24, dtype=np.float32).reshape(2, 3, 4),
    "b": np.arange(6).reshape(2, 3) > 2,
    "z": np.zeros((0, 3)),
}


def _evaluate(expression, library, values):
    plain = {name + "u": values[name].detach() for name in ("x", "m")}
    names = {"T": library, "F": library.nn.functional, "np": np, "i": lambda *items: library.tensor(items)}
    return eval(expression, {**names, **values, **plain})


def agree(expression):
    """The values, dtypes, shapes and gradients of an expression are the same."""
    compare(
        lambda library, *values: _evaluate(expression, library, dict(zip(INPUTS, values, strict=True))),
        *INPUTS.values(),
    )


def refuse(expression):
    """Both libraries refuse an expression, ours with an error of its own of the type that PyTorch raises."""
    with pytest.raises(Exception) as theirs:
        _evaluate(expression, torch, {name: to_torch(value, True) for name, value in INPUTS.items()})
    with pytest.raises(theirs.type) as ours:
        _evaluate(expression, tg, {name: to_ours(value, True) for name, value in INPUTS.items()})
    assert isinstance(ours.value, tg.errors.TinygradError), f"not one of the library's own errors: {ours.value!r}"
