"""``check_module``: holds a layer or model to what every module promises, its gradients first of all."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable, Collection, Iterator
from functools import cached_property
from typing import Any

import numpy as np

from tinygrad_cnn.autograd import no_grad
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import as_dtype
from tinygrad_cnn.errors import ArgumentError
from tinygrad_cnn.nn import Module
from tinygrad_cnn.nn.lazy import is_lazy
from tinygrad_cnn.ops.random import fork_rng, manual_seed
from tinygrad_cnn.testing.draw import Draw, HypothesisSource
from tinygrad_cnn.testing.explain import Cause, ConformanceError, Finding, explain
from tinygrad_cnn.testing.trial import Trial, named_arrays


class ModuleError(ConformanceError):
    """A module breaks a promise. ``argument`` is the path of the parameter, buffer or layer; ``cause`` says how."""

    @cached_property
    def message(self) -> str:
        """What is wrong with what, and what to do."""
        place = f"`{self.argument}`: " if self.argument else ""
        advice = self.finding.given.why if self.finding.given is not None else ""
        return f"{self.op} ({self.property}): {place}{self.cause}" + (f"; {advice}" if advice else "")


class Case:
    """A module on one set of inputs. The checks work on float64 copies of it."""

    def __init__(self, module: Any, inputs: tuple[Any, ...], unused: Collection[str], elements: int, seed: int) -> None:
        self.name, self.unused, self.elements, self.seed = type(module).__name__, unused, elements, seed
        self.inputs = tuple(x._array if isinstance(x, Tensor) else x for x in inputs)
        self.module = self.copy(module)
        state = named_arrays((*self.module.named_parameters(), *self.module.named_buffers()))
        for name, tensor in (*module.named_parameters(), *module.named_buffers()):
            if not is_lazy(tensor) and not _identical([tensor._array], [state[name]]):
                raise self.error("copies", name, "deepcopy doesn't keep its value")
        if any(is_lazy(p) for p in self.module.parameters()):
            with no_grad():
                self.module.float()(*self.tensors("float32"))
        self.module.double()

    def copy(self, module: Any) -> Any:
        """A deep copy, which every module must allow."""
        try:
            return copy.deepcopy(module)
        except Exception as error:
            raise self.error("copies", "", "deepcopy fails", str(error)) from error

    def arrays(self, dtype: str) -> tuple[Any, ...]:
        """The inputs, floating ones in ``dtype``."""
        return tuple(x.astype(dtype) if isinstance(x, np.ndarray) and x.dtype.kind == "f" else x for x in self.inputs)

    def tensors(self, dtype: str) -> list[Any]:
        """The same as fresh Tensors."""
        return [wrap(x.copy()) if isinstance(x, np.ndarray) else x for x in self.arrays(dtype)]

    def trial(self, training: bool, module: Any = None, dtype: str = "float64") -> Trial:
        """A copy of the module, or of another, in one mode and dtype, ready to be run."""
        duplicate = copy.deepcopy(self.module if module is None else module).to(as_dtype(dtype))
        duplicate.train(training)
        return Trial(duplicate, self.arrays(dtype), self.seed)

    def in_both_modes(self) -> Iterator[tuple[str, Trial]]:
        """A trial in training and one in evaluation."""
        for training in (True, False):
            yield f"in {'train' if training else 'eval'} mode", self.trial(training)

    def error(self, property: str, argument: str, cause: str, advice: str = "") -> ModuleError:
        """The error to raise."""
        given = Cause(cause, advice)
        return ModuleError(Finding(name=self.name, property=property, argument=argument, given=given))

    def compare(
        self, property: str, label: str, actual: list[np.ndarray], expected: list[np.ndarray], tolerance: float = 1e-9
    ) -> None:
        """Raise the explanation of the first pair of outputs that differ; ``label`` is what is expected."""
        if len(actual) != len(expected):
            raise self.error(property, "", f"{len(actual)} outputs, {len(expected)} {label}")
        for a, e in zip(actual, expected, strict=True):
            atol = tolerance * max(1.0, float(np.abs(e).max(initial=0.0, where=np.isfinite(e))))
            if a.shape != e.shape or not np.allclose(a, e, rtol=tolerance, atol=atol, equal_nan=True):
                raise explain(a, e, name=self.name, property=property, label=label, rtol=tolerance, atol=atol)


# ------------------------------------------------------------------------------------ what it consists of
def check_registration(case: Case) -> None:
    """Every Tensor that requires grad is a Parameter, every layer with parameters a registered child."""
    known = {id(p) for p in case.module.parameters()}
    for path, module in case.module.named_modules():
        registers = {"_parameters", "_buffers", "_modules"}
        for name, value in ((n, v) for n, v in vars(module).items() if n not in registers):
            for place, found in _walk(f"{path}.{name}" if path else name, value):
                if isinstance(found, Module):
                    if any(id(p) not in known for p in found.parameters()):
                        advice = "no state_dict and no optimizer sees its parameters: use ModuleList or ModuleDict"
                        raise case.error("registration", place, "a layer that isn't registered", advice)
                elif found.requires_grad and id(found) not in known:
                    advice = "no state_dict and no optimizer sees it: make it an nn.Parameter"
                    raise case.error("registration", place, "a Tensor that requires grad and isn't registered", advice)


def _walk(path: str, value: Any) -> Iterator[tuple[str, Any]]:
    """The Tensors and modules in an attribute and in plain containers."""
    if isinstance(value, Tensor | Module):
        yield path, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _walk(f"{path}[{key!r}]", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _walk(f"{path}[{index}]", item)


def check_modes(case: Case) -> None:
    """``train`` and ``eval`` reach every layer, return the module, and can be undone."""
    module = copy.deepcopy(case.module)
    for training in (True, False, True):
        if module.train(training) is not module:
            raise case.error("modes", "", "train() doesn't return the module")
        for path, part in module.named_modules():
            if part.training is not training:
                raise case.error("modes", path, f"train({training}) doesn't reach it")
    case.compare("modes", "before train()", _eval_outputs(case, module), _eval_outputs(case))


def _eval_outputs(case: Case, module: Any = None) -> list[np.ndarray]:
    return case.trial(False, module).outputs()


# ---------------------------------------------------------------------------------------------- gradients
def check_first_order(case: Case) -> None:
    """The gradients of inputs and parameters are the numerical ones, in training and in evaluation."""
    _check_derivatives(case, "first_order", 1, rtol=1e-5, atol=1e-7)


def check_second_order(case: Case) -> None:
    """So are the gradients of these gradients."""
    _check_derivatives(case, "second_order", 2, rtol=1e-4, atol=1e-6)


def _check_derivatives(case: Case, property: str, order: int, rtol: float, atol: float) -> None:
    seen: list[np.ndarray] = []
    for mode, trial in case.in_both_modes():
        value, claimed = trial.analytic(order)
        everything = [np.asarray(value), *trial.outputs(), *claimed.values()]
        if _identical(seen, everything):
            return  # the modes are one
        seen = everything
        known = dict(name=case.name, property=property, where=mode, rtol=rtol, atol=atol * max(1.0, abs(value)))
        trial.check_derivatives(order, claimed, case.elements, **known)


def check_unused(case: Case) -> None:
    """Every parameter gets a gradient in one of the modes."""
    used = {name for _, trial in case.in_both_modes() for name in trial.gradients()[0]}
    for name, parameter in case.module.named_parameters():
        if parameter.requires_grad and name not in used and name not in case.unused:
            advice = f"use it in forward, or pass unused=({name!r},)"
            raise case.error("unused", name, "a parameter that gets no gradient", advice)


def check_memory(case: Case) -> None:
    """Inputs, parameters and the upstream are left as they are, and no two gradients share memory."""
    for mode, trial in case.in_both_modes():
        inputs = {name: x for name, x in trial.inputs.items() if isinstance(x, Tensor)}
        before, weights = named_arrays(inputs.items()), named_arrays(trial.module.named_parameters())
        with no_grad():
            trial.run(clone=False)
        for name, old in before.items():
            if not np.array_equal(inputs[name]._array, old, equal_nan=old.dtype.kind == "f"):
                raise case.error("memory", name, f"forward changes its input {mode}", "compute a new Tensor")
        found, kept = trial.gradients()
        if not kept:
            raise case.error("memory", "", f"backward changes its upstream gradient {mode}")
        for name, value in named_arrays(trial.module.named_parameters()).items():
            if not np.array_equal(value, weights[name], equal_nan=True):
                raise case.error("memory", name, f"a run changes a parameter {mode}", "only the optimizer should")
        for i, name in enumerate(found):
            for other in list(found)[:i]:
                if np.shares_memory(found[name], found[other]):
                    raise case.error("memory", name, f"its gradient shares memory with that of `{other}` {mode}")


def check_repeat(case: Case) -> None:
    """The same state and the same seed give the same numbers, bit for bit."""
    for mode, trial in case.in_both_modes():
        if not _identical(trial.outputs(), trial.outputs()):
            raise case.error("repeat", "", f"two runs from the same state differ {mode}")
        one, two = trial.gradients()[0], trial.gradients()[0]
        for name in one:
            if name not in two or not _identical([one[name]], [two[name]]):
                raise case.error("repeat", name, f"its gradients of two runs differ {mode}")


def _identical(first: list[np.ndarray], second: list[np.ndarray]) -> bool:
    return len(first) == len(second) and all(
        a.dtype == b.dtype and np.array_equal(a, b, equal_nan=a.dtype.kind == "f")
        for a, b in zip(first, second, strict=True)
    )


# -------------------------------------------------------------------------------------- evaluation, dtypes
def check_evaluation(case: Case) -> None:
    """In evaluation no buffer is changed, and no random number decides."""
    trial = case.trial(False)
    before = named_arrays(trial.module.named_buffers())
    trial.outputs()
    for name, value in named_arrays(trial.module.named_buffers()).items():
        if not _identical([value], [before[name]]):
            raise case.error("evaluation", name, "a buffer changes in eval mode", "change it if self.training")
    if trial.draws():
        advice = "functional dropout needs training=self.training"
        raise case.error("evaluation", "", "random numbers are drawn in eval mode", advice)


def check_samples(case: Case) -> None:
    """In evaluation each sample alone gives what it gives in the batch, where the output is one a sample."""
    sizes = {x.shape[0] if x.ndim else 0 for x in case.arrays("float64") if isinstance(x, np.ndarray)}
    count = sizes.pop() if len(sizes) == 1 else 0
    together = _eval_outputs(case)
    batched = [i for i, out in enumerate(together) if out.ndim and out.shape[0] == count]
    if count < 2 or not batched:
        return
    for sample in range(count):
        inputs = tuple(x[sample : sample + 1] if isinstance(x, np.ndarray) else x for x in case.arrays("float64"))
        try:
            outputs = Trial(copy.deepcopy(case.module).eval(), inputs, case.seed).outputs()
        except Exception as error:
            raise case.error("samples", "", f"sample {sample} alone is refused", str(error)) from error
        one = [outputs[i] for i in batched]
        case.compare("samples", "in the batch", one, [together[i][sample : sample + 1] for i in batched])


def check_float32(case: Case) -> None:
    """float32 stays float32, float64 stays float64, and the two agree as far as the digits of float32 go."""
    for training in (False, True):
        wide, narrow = case.trial(training), case.trial(training, dtype="float32")
        if wide.draws():
            continue  # each dtype draws numbers of its own
        expected, actual = wide.outputs(), narrow.outputs()
        for outputs, dtype in ((expected, "float64"), (actual, "float32")):
            for out in outputs:
                if out.dtype.kind == "f" and wide.leaves and out.dtype != dtype:
                    advice = "a Tensor that isn't a buffer stays as it is in .float() and .double()"
                    raise case.error("float32", "", f"{dtype} in, {out.dtype} out", advice)
        case.compare("float32", "in float64", actual, expected, tolerance=1e-4)


# -------------------------------------------------------------------------------------- saving and copying
def check_state_dict(case: Case) -> None:
    """What was trained is in ``state_dict``: a module that loads it gives the same output."""
    trained, fresh = copy.deepcopy(case.module).train(), copy.deepcopy(case.module)
    with no_grad():
        for _ in range(2):
            trained(*case.tensors("float64"))
        for parameter in trained.parameters():
            parameter += 0.01 * wrap(np.cos(np.arange(parameter.numel()))).reshape(parameter.shape)
    try:
        fresh.load_state_dict(trained.state_dict())
    except Exception as error:
        raise case.error("state_dict", "", "it can't be loaded again", str(error)) from error
    expected, actual = _eval_outputs(case, trained), _eval_outputs(case, fresh)
    if not all(a.shape == e.shape and np.allclose(a, e, equal_nan=True) for a, e in zip(actual, expected, strict=True)):
        advice = "make it a buffer, or save it with get_extra_state and set_extra_state"
        raise case.error(
            "state_dict", _first_difference(trained, fresh), "a part of the state isn't in the state_dict", advice
        )


def _first_difference(one: Any, other: Any) -> str:
    """The path of the first buffer or plain attribute in which two copies of a module differ."""
    for (path, a), (_, b) in zip(one.named_modules(), other.named_modules(), strict=True):
        for name, value in (vars(a) | a._parameters | a._buffers).items():
            second = (vars(b) | b._parameters | b._buffers).get(name)
            if isinstance(value, Tensor) and isinstance(second, Tensor):
                same = _identical([value._array], [second._array])
            else:
                same = not isinstance(value, bool | int | float | np.ndarray) or np.array_equal(value, second)
            if not same and name != "training":
                return f"{path}.{name}" if path else name
    return ""


def check_copies(case: Case) -> None:
    """``copy.deepcopy`` and ``pickle`` give an equal module that shares no memory with the first."""
    expected = _eval_outputs(case)
    for how, duplicate in (("deepcopy", copy.deepcopy), ("pickle", _pickled)):
        try:
            twin = duplicate(case.module)
        except Exception as error:
            raise case.error("copies", "", f"{how} fails", str(error)) from error
        case.compare("copies", f"before {how}", _eval_outputs(case, twin), expected)
        twins = dict(twin.named_parameters()) | dict(twin.named_buffers())
        for name, tensor in (*case.module.named_parameters(), *case.module.named_buffers()):
            if name not in twins:
                raise case.error("copies", name, f"{how} loses it")
            if np.shares_memory(tensor._array, twins[name]._array):
                raise case.error("copies", name, f"{how} shares its memory")


def _pickled(module: Any) -> Any:
    return pickle.loads(pickle.dumps(module))


MODULE_PROPERTIES: dict[str, Callable[[Case], None]] = {  # in the order in which one explains another
    "registration": check_registration,
    "repeat": check_repeat,
    "modes": check_modes,
    "copies": check_copies,
    "evaluation": check_evaluation,
    "memory": check_memory,
    "float32": check_float32,
    "first_order": check_first_order,
    "second_order": check_second_order,
    "unused": check_unused,
    "samples": check_samples,
    "state_dict": check_state_dict,
}


def check_module(
    module: Module,
    *inputs: Any,
    skip: Collection[str] = (),
    unused: Collection[str] = (),
    examples: int = 5,
    elements: int = 8,
    seed: int = 0,
) -> None:
    """Check a layer or model on ``inputs``; ConformanceError names the parameter or layer by its path.

    The inputs are what ``forward`` takes, Tensors or arrays; or one function of a ``Draw`` that makes them (an array
    or a tuple), called for ``examples`` sets by hypothesis. Gradients are compared in float64, in train and in eval
    mode, with the random generator and the buffers put back before each run; of a tensor with more than ``elements``
    elements, so many at random are compared, and the slope along one direction through all. ``module`` and the default
    generator are left as they were.

    ``skip`` leaves out properties (names in ``MODULE_PROPERTIES``): ``"samples"`` where a sample alone rightly gives
    another output than in its batch, ``"memory"`` where forward is meant to overwrite its input, ``"second_order"``
    where there is none. ``unused`` are the parameters that are meant to get no gradient.

    >>> import tinygrad_cnn as tg
    >>> check_module(tg.nn.Linear(3, 2), tg.randn(4, 3))
    >>> class Forgetful(tg.nn.Linear):
    ...     def forward(self, input):
    ...         return input @ self.weight.T
    >>> check_module(Forgetful(3, 2), tg.randn(4, 3), skip=["copies"])  # a class made here can't be pickled
    Traceback (most recent call last):
    tinygrad_cnn.testing.modules.ModuleError: Forgetful (unused): `bias`: a parameter that gets no gradient; use it in \
forward, or pass unused=('bias',)
    """
    unknown = set(skip) - MODULE_PROPERTIES.keys()
    if unknown:
        raise ArgumentError(f"check_module: skip expected some of {list(MODULE_PROPERTIES)}, got {sorted(unknown)}")
    if len(inputs) == 1 and callable(inputs[0]):
        _check_drawn(module, inputs[0], skip, unused, examples, elements, seed)
        return
    with fork_rng():
        manual_seed(seed)
        case = Case(module, inputs, unused, elements, seed)
        for name, check in MODULE_PROPERTIES.items():
            if name not in skip:
                check(case)


def _check_drawn(
    module: Module, sample: Callable[[Draw], Any], skip: Any, unused: Any, examples: int, *rest: int
) -> None:
    from hypothesis import HealthCheck, given, settings, strategies

    @settings(max_examples=examples, deadline=None, database=None, suppress_health_check=list(HealthCheck))
    @given(strategies.data())
    def run(data: Any) -> None:
        inputs = sample(Draw(HypothesisSource(data)))
        elements, seed = rest
        arguments = inputs if isinstance(inputs, tuple) else (inputs,)
        check_module(module, *arguments, skip=skip, unused=unused, elements=elements, seed=seed)

    run()
