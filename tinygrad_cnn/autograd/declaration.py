"""What is declared of an op: its signature, gradients, refusals, samples, and what to hold it against."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from tinygrad_cnn.autograd.record import OUT, RESIDUAL, SHAPE, VALUE, FusedRule, Slot
from tinygrad_cnn.kernels.elementwise import in_parts

REQUIRED: Any = object()  # stands for the default of a parameter that has none


class Refusal(NamedTuple):
    """Arguments that an op must refuse, with the error's type and a part of its sentence."""

    error: type[Exception]
    sentence: str
    arguments: dict[str, Any]


def _is_array(annotation: Any) -> bool:
    """Whether it speaks of arrays, be it a string (``from __future__ import annotations``) or a type."""
    return "Array" in str(annotation) or "ndarray" in str(annotation)


class Declaration:
    """Everything that is said about one op, in one place."""

    def __init__(
        self,
        forward: Callable[..., Any],
        *,
        name: str | None = None,
        differentiable: bool = True,
        elementwise: str | None = None,
        view: bool = False,
        residuals: Sequence[str] = (),
        outputs: int | str = 1,
        grad_name: str | Callable[[Any], str] | None = None,
    ) -> None:
        self.forward = forward
        self.name = name or forward.__name__.rstrip("_")
        self.__name__ = self.__qualname__ = self.name
        self.__doc__ = forward.__doc__
        self.__module__ = forward.__module__
        self.__wrapped__ = forward
        self.is_differentiable = differentiable
        self.elementwise = elementwise
        self.view = view
        self.residuals = tuple(residuals)
        self.outputs = outputs
        self.grad_name = grad_name or "".join(part.capitalize() for part in self.name.split("_")) + "Backward0"
        self._read_signature()
        self._named_by = self._index[next(iter(inspect.signature(grad_name).parameters))] if callable(grad_name) else -1
        self.formulas: dict[str, Callable[..., Any]] = {}
        self.overwrites_gradient = False  # whether its formula may write to ``g``, last of all (``kernels.spare``)
        self._fused: FusedRule | None = None
        self._composite: Callable[..., Any] | None = None
        self._check: Callable[..., Any] | None = None
        self._samples: Callable[..., Any] | None = None
        self._reference: Callable[..., Any] | None = None
        self.refusals: list[Refusal] = []
        self.exemptions: dict[str, str] = {}

    def _read_signature(self) -> None:
        """Inputs are the positional parameters that are annotated ``Array`` or not at all; the rest are settings."""
        self.signature = inspect.signature(self.forward)
        parameters = [p for p in self.signature.parameters.values() if p.name != "recording"]
        self._takes_recording = len(parameters) < len(self.signature.parameters)
        self.parameters = tuple(p.name for p in parameters)
        self._index = {p.name: i for i, p in enumerate(parameters)}
        self._defaults = [REQUIRED if p.default is p.empty else p.default for p in parameters]
        self._required = tuple(i for i, default in enumerate(self._defaults) if default is REQUIRED)
        self._positional = sum(p.kind is not p.KEYWORD_ONLY for p in parameters)
        inputs = [
            (i, "Sequence" in str(p.annotation))
            for i, p in enumerate(parameters)
            if p.kind is not p.KEYWORD_ONLY and (p.annotation is p.empty or _is_array(p.annotation))
        ]
        self.inputs = tuple(self.parameters[i] for i, _ in inputs)
        self._input_indices = tuple(i for i, _ in inputs)
        self._promoted_indices = tuple(i for i in self._input_indices if "Mask" not in str(parameters[i].annotation))
        self.variadic = any(many for _, many in inputs)
        if self.variadic and len(inputs) != 1:
            raise TypeError(f"{self.name}: a sequence of arrays must be the only input")

    def gradients(self, **formulas: Callable[..., Any]) -> None:
        """Declare a formula for each input: a function of ``g`` and of what it names.

        It may name any argument, ``<argument>_shape``, ``out`` and the op's residuals; only that is kept alive.
        """
        for argument, formula in formulas.items():
            if argument not in self.inputs:
                raise TypeError(f"{self.name}: gradient for unknown input {argument!r}; inputs are {self.inputs}")
            for name in inspect.signature(formula).parameters:
                if name != "g":
                    self._slot(name)  # raises on a name that means nothing
        if self.elementwise is not None:
            formulas = {argument: in_parts(formula) for argument, formula in formulas.items()}
        self.formulas.update(formulas)

    def fused_gradients(self, inputs: Sequence[str], rule: Callable[..., Any]) -> None:
        """Declare one rule on raw arrays for several inputs: it returns a tuple, one gradient an input.

        It may also name ``needs``, a flag an input. ``composite`` must be declared as well.
        """
        for name in inspect.signature(rule).parameters:
            if name not in ("g", "needs"):
                self._slot(name)
        self._fused = FusedRule(tuple(inputs), rule, tuple(inspect.signature(rule).parameters))

    def composite(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare the same mathematics in simple ops: used under ``create_graph``, and to test the fused rule."""
        self._composite = function
        return function

    def check(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare the function that raises on arguments which the op can't take. It gets what the op gets."""
        self._check = function
        return function

    def samples(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare the function that draws valid arguments: ``function(draw) -> {argument: value}``."""
        self._samples = function
        return function

    def reference(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """Declare a slow, obvious definition on arrays, independent of the kernel."""
        self._reference = function
        return function

    def refuses(self, error: type[Exception], sentence: str, **arguments: Any) -> None:
        """Declare arguments that must raise ``error`` with a message that contains ``sentence``.

        A tuple given for an input array stands for an array of ones of that shape.
        """
        self.refusals.append(Refusal(error, sentence, arguments))

    def exempt(self, **reasons: str) -> None:
        """Declare properties of the conformance kit that the op doesn't have, each with the reason."""
        self.exemptions.update(reasons)

    def _slot(self, name: str) -> Slot:
        """Where a name in a formula is taken from."""
        if name in self._index:
            return Slot(VALUE, self._index[name], name, self.inputs.index(name) if name in self.inputs else -1)
        if name == "out":
            return Slot(OUT, 0, name)
        if name in self.residuals:
            return Slot(RESIDUAL, self.residuals.index(name), name)
        if name.endswith("_shape") and name.removesuffix("_shape") in self._index:
            return Slot(SHAPE, self._index[name.removesuffix("_shape")], name)
        raise TypeError(
            f"{self.name}: a gradient formula names {name!r}, which is no argument, <argument>_shape, 'out' or "
            f"residual; known: g, out, {', '.join((*self.parameters, *self.residuals))}"
        )
