"""Activation layers: the functions of ``nn.functional`` with their settings. Input and output have the same shape."""

from __future__ import annotations

import warnings
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, ContradictionError
from tinygrad_cnn.nn import functional as F, init as initialisers
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter, new_parameter

__all__ = [
    "CELU",
    "ELU",
    "GELU",
    "GLU",
    "SELU",
    "Hardshrink",
    "Hardsigmoid",
    "Hardswish",
    "Hardtanh",
    "LeakyReLU",
    "LogSigmoid",
    "LogSoftmax",
    "Mish",
    "PReLU",
    "RReLU",
    "ReLU",
    "ReLU6",
    "SiLU",
    "Sigmoid",
    "Softmax",
    "Softmax2d",
    "Softmin",
    "Softplus",
    "Softshrink",
    "Softsign",
    "Tanh",
    "Tanhshrink",
    "Threshold",
]


class _Activation(Module):
    """A layer that calls a function with the attributes which ``_settings`` names, in that order."""

    _function: Any  # of nn.functional
    _settings: tuple[str, ...] = ()

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input."""
        return type(self)._function(input, *[getattr(self, name) for name in self._settings])

    def extra_repr(self) -> str:
        """The settings; ``inplace`` where it is on."""
        shown = [(name, getattr(self, name)) for name in self._settings]
        return ", ".join(f"{name}={value}" for name, value in shown if name != "inplace" or value)


# --------------------------------------------------------------------------------- functions without settings
class Sigmoid(_Activation):
    """``1 / (1 + exp(-x))``."""

    _function = staticmethod(F.sigmoid)


class LogSigmoid(_Activation):
    """``log(sigmoid(x))`` without overflow."""

    _function = staticmethod(F.logsigmoid)


class Tanh(_Activation):
    """The hyperbolic tangent."""

    _function = staticmethod(F.tanh)


class Tanhshrink(_Activation):
    """``x - tanh(x)``."""

    _function = staticmethod(F.tanhshrink)


class Softsign(_Activation):
    """``x / (1 + |x|)``."""

    _function = staticmethod(F.softsign)


# ----------------------------------------------------------------------------- functions with ``inplace`` only
class _InPlaceActivation(_Activation):
    _settings = ("inplace",)

    def __init__(self, inplace: bool = False) -> None:
        super().__init__()
        self.inplace = inplace


class ReLU(_InPlaceActivation):
    """``max(x, 0)``.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.ReLU()(tg.tensor([-1.0, 2.0]))
    tensor([0., 2.])
    """

    _function = staticmethod(F.relu)


class SELU(_InPlaceActivation):
    """The scaled exponential linear unit (Klambauer et al. 2017)."""

    _function = staticmethod(F.selu)


class SiLU(_InPlaceActivation):
    """``x * sigmoid(x)``, also known as swish (Elfwing et al. 2017)."""

    _function = staticmethod(F.silu)


class Mish(_InPlaceActivation):
    """``x * tanh(softplus(x))`` (Misra 2019)."""

    _function = staticmethod(F.mish)


class Hardswish(_InPlaceActivation):
    """``x * hardsigmoid(x)`` (Howard et al. 2019)."""

    _function = staticmethod(F.hardswish)

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


class Hardsigmoid(_InPlaceActivation):
    """``x / 6 + 1 / 2`` brought into [0, 1]."""

    _function = staticmethod(F.hardsigmoid)

    def extra_repr(self) -> str:
        """Nothing, as in PyTorch."""
        return ""


# --------------------------------------------------------------------------------------- linear in two pieces
class Hardtanh(_Activation):
    """x brought into [min_val, max_val]."""

    _function = staticmethod(F.hardtanh)
    _settings = ("min_val", "max_val", "inplace")

    def __init__(
        self,
        min_val: float = -1.0,
        max_val: float = 1.0,
        inplace: bool = False,
        min_value: float | None = None,
        max_value: float | None = None,
    ) -> None:
        super().__init__()
        for old, new, value in (("min_value", "min_val", min_value), ("max_value", "max_val", max_value)):
            if value is not None:
                warnings.warn(
                    f"keyword argument `{old}` is deprecated and renamed to `{new}`", FutureWarning, stacklevel=2
                )
        self.min_val = min_val if min_value is None else min_value
        self.max_val = max_val if max_value is None else max_value
        self.inplace = inplace
        if self.max_val <= self.min_val:
            raise ContradictionError(f"max_val ({self.max_val}) must be greater than min_val ({self.min_val})")


class ReLU6(Hardtanh):
    """x brought into [0, 6] (Krizhevsky 2010)."""

    def __init__(self, inplace: bool = False) -> None:
        super().__init__(0.0, 6.0, inplace)

    def extra_repr(self) -> str:
        """``inplace``, where it is on."""
        return "inplace=True" if self.inplace else ""


class LeakyReLU(_Activation):
    """x where x > 0, ``negative_slope * x`` elsewhere."""

    _function = staticmethod(F.leaky_relu)
    _settings = ("negative_slope", "inplace")

    def __init__(self, negative_slope: float = 0.01, inplace: bool = False) -> None:
        super().__init__()
        self.negative_slope = negative_slope
        self.inplace = inplace


class PReLU(_Activation):
    """x where x > 0, ``weight * x`` elsewhere, with a learned weight, or one a channel (He et al. 2015)."""

    _function = staticmethod(F.prelu)
    _settings = ("weight",)
    weight: Parameter

    def __init__(self, num_parameters: int = 1, init: float = 0.25, device: Any = None, dtype: Any = None) -> None:
        super().__init__()
        self.num_parameters = num_parameters
        self.init = init
        self.weight = new_parameter((num_parameters,), device, dtype)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Set the weights to ``init``."""
        initialisers.constant_(self.weight, self.init)

    def extra_repr(self) -> str:
        """The number of weights."""
        return f"num_parameters={self.num_parameters}"


class RReLU(_Activation):
    """Leaky relu with random slopes in training, their mean in evaluation (Xu et al. 2015)."""

    _function = staticmethod(F.rrelu)
    _settings = ("lower", "upper", "training", "inplace")

    def __init__(self, lower: float = 1.0 / 8, upper: float = 1.0 / 3, inplace: bool = False) -> None:
        super().__init__()
        self.lower = lower
        self.upper = upper
        self.inplace = inplace

    def extra_repr(self) -> str:
        """The bounds of the slopes; ``inplace``, where it is on."""
        return f"lower={self.lower}, upper={self.upper}" + (", inplace=True" if self.inplace else "")


class Threshold(_Activation):
    """x where x > threshold, ``value`` elsewhere."""

    _function = staticmethod(F.threshold)
    _settings = ("threshold", "value", "inplace")

    def __init__(self, threshold: float, value: float, inplace: bool = False) -> None:
        super().__init__()
        self.threshold = threshold
        self.value = value
        self.inplace = inplace


class _Shrink(_Activation):
    _settings = ("lambd",)

    def __init__(self, lambd: float = 0.5) -> None:
        super().__init__()
        self.lambd = lambd

    def extra_repr(self) -> str:
        """The bound."""
        return str(self.lambd)


class Hardshrink(_Shrink):
    """x where it is outside of [-lambd, lambd], 0 inside."""

    _function = staticmethod(F.hardshrink)


class Softshrink(_Shrink):
    """x brought nearer to 0 by ``lambd``; 0 within [-lambd, lambd]."""

    _function = staticmethod(F.softshrink)


# ------------------------------------------------------------------------------------------------ smooth ones
class ELU(_Activation):
    """x where x > 0, ``alpha * (exp(x) - 1)`` elsewhere (Clevert et al. 2015)."""

    _function = staticmethod(F.elu)
    _settings = ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace


class CELU(_Activation):
    """x where x > 0, ``alpha * (exp(x / alpha) - 1)`` elsewhere (Barron 2017)."""

    _function = staticmethod(F.celu)
    _settings = ("alpha", "inplace")

    def __init__(self, alpha: float = 1.0, inplace: bool = False) -> None:
        super().__init__()
        self.alpha = alpha
        self.inplace = inplace


class GELU(_Activation):
    """x times the normal distribution's cumulative probability at x (Hendrycks and Gimpel 2016)."""

    def __init__(self, approximate: str = "none") -> None:
        super().__init__()
        self.approximate = approximate

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input."""
        return F.gelu(input, approximate=self.approximate)

    def extra_repr(self) -> str:
        """The approximation."""
        return f"approximate={self.approximate!r}"


class Softplus(_Activation):
    """``log(1 + exp(beta * x)) / beta``; x itself where ``beta * x`` > ``threshold``."""

    _function = staticmethod(F.softplus)
    _settings = ("beta", "threshold")

    def __init__(self, beta: float = 1.0, threshold: float = 20.0) -> None:
        super().__init__()
        self.beta = beta
        self.threshold = threshold


# ---------------------------------------------------------------------------------------- along a dimension
class GLU(_Activation):
    """The first half along ``dim``, times the sigmoid of the second half: that dimension is halved."""

    _function = staticmethod(F.glu)
    _settings = ("dim",)

    def __init__(self, dim: int = -1) -> None:
        super().__init__()
        self.dim = dim


class _AlongDim(_Activation):
    _settings = ("dim",)

    def __init__(self, dim: int | None = None) -> None:
        super().__init__()
        self.dim = dim

    def forward(self, input: Tensor) -> Tensor:
        """The function of the input, along ``dim``."""
        return type(self)._function(input, self.dim, _stacklevel=5)


class Softmax(_AlongDim):
    """exp(x), divided by its sum along ``dim``.

    >>> import tinygrad_cnn as tg
    >>> tg.nn.Softmax(dim=0)(tg.zeros(4))
    tensor([0.2500, 0.2500, 0.2500, 0.2500])
    """

    _function = staticmethod(F.softmax)


class LogSoftmax(_AlongDim):
    """The logarithm of softmax along ``dim``."""

    _function = staticmethod(F.log_softmax)


class Softmin(_AlongDim):
    """``softmax(-x)`` along ``dim``."""

    _function = staticmethod(F.softmin)


class Softmax2d(_Activation):
    """Softmax over the channels at each place of (N,C,H,W) or (C,H,W)."""

    def forward(self, input: Tensor) -> Tensor:
        """The softmax over the channels."""
        if input.ndim not in (3, 4):
            raise ArgumentError(f"Softmax2d: expected input to be 3D or 4D, got {input.ndim}D instead")
        return F.softmax(input, -3)
