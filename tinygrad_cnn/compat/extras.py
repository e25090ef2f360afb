"""Names at the top of ``torch`` that mean nothing to this library, but stand in the sources of models and scripts."""

from __future__ import annotations

import math
from typing import Any, NoReturn

import numpy as np

import tinygrad_cnn as tg
from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import CPU, device, get_default_dtype, require_cpu, set_default_dtype
from tinygrad_cnn.compat.facade import no, nothing, refuse, same
from tinygrad_cnn.errors import ArgumentTypeError, UnsupportedError, check_argument

inf, nan, pi, e, newaxis = math.inf, math.nan, math.pi, math.e, None


class TorchVersion(str):
    """A version that compares with strings and tuples number by number."""

    def _numbers(self, other: Any) -> tuple[tuple[int, ...], tuple[int, ...]]:
        parts = other.partition("+")[0].split(".") if isinstance(other, str) else other
        mine, theirs = ([int(p) for p in side if str(p).isdigit()] for side in (self.split("."), parts))
        return tuple(mine[: len(theirs)]), tuple(theirs)

    def __lt__(self, other: Any) -> bool:
        return tuple.__lt__(*self._numbers(other))

    def __le__(self, other: Any) -> bool:
        return tuple.__le__(*self._numbers(other))

    def __gt__(self, other: Any) -> bool:
        return tuple.__gt__(*self._numbers(other))

    def __ge__(self, other: Any) -> bool:
        return tuple.__ge__(*self._numbers(other))


__version__ = TorchVersion("2.13.0")  # the PyTorch whose behaviour this library follows


# --------------------------------------------------------------------------------------------- dtypes
class OtherDtype:
    """A dtype of PyTorch that no tensor here can have: code may compare with it; making a tensor of it raises."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.is_floating_point = name.startswith(("bfloat", "float"))
        self.is_complex = name.startswith("complex")

    def __repr__(self) -> str:
        return f"torch.{self.name}"


bfloat16, uint16, uint32, uint64 = (OtherDtype(name) for name in ("bfloat16", "uint16", "uint32", "uint64"))
complex64 = cfloat = OtherDtype("complex64")
complex128 = cdouble = OtherDtype("complex128")
float8_e4m3fn, float8_e5m2, float8_e4m3fnuz, float8_e5m2fnuz, float8_e8m0fnu, float4_e2m1fn_x2 = (
    OtherDtype(f"float{name}")
    for name in ("8_e4m3fn", "8_e5m2", "8_e4m3fnuz", "8_e5m2fnuz", "8_e8m0fnu", "4_e2m1fn_x2")
)


class _TensorType(type):
    """The type of ``FloatTensor`` and friends: calling one makes a Tensor of its dtype."""

    dtype: np.dtype

    def __call__(cls, *data: Any, device: object = None) -> Tensor:
        if len(data) == 1 and not isinstance(data[0], int):
            return tg.tensor(data[0], dtype=cls.dtype, device=device)
        return tg.empty(data, dtype=cls.dtype, device=device)

    def __instancecheck__(cls, instance: object) -> bool:
        return isinstance(instance, Tensor) and instance.numpy(force=True).dtype == cls.dtype

    def __repr__(cls) -> str:
        return f"<class 'torch.{cls.__name__}'>"


def _tensor_type(name: str, dtype: str) -> _TensorType:
    return _TensorType(name, (), {"dtype": np.dtype(dtype), "__doc__": f"Makes a Tensor of dtype {dtype}."})


FloatTensor, DoubleTensor = _tensor_type("FloatTensor", "float32"), _tensor_type("DoubleTensor", "float64")
HalfTensor = _tensor_type("HalfTensor", "float16")
LongTensor, IntTensor = _tensor_type("LongTensor", "int64"), _tensor_type("IntTensor", "int32")
ShortTensor, CharTensor = _tensor_type("ShortTensor", "int16"), _tensor_type("CharTensor", "int8")
ByteTensor, BoolTensor = _tensor_type("ByteTensor", "uint8"), _tensor_type("BoolTensor", "bool")


class layout:
    """How a tensor's elements lie in memory: always ``strided``."""

    def __repr__(self) -> str:
        return "torch.strided"


strided = layout()


def set_default_tensor_type(t: Any) -> None:
    """Make the dtype of ``FloatTensor``, ``DoubleTensor`` or their names that of new tensors."""
    names = {"FloatTensor": "float32", "DoubleTensor": "float64", "HalfTensor": "float16"}
    set_default_dtype(names.get(str(t).removeprefix("torch."), t) if isinstance(t, str) else t)


# -------------------------------------------------------------------------------------------- settings
_settings: dict[str, Any] = {"deterministic": False, "warn_only": False, "precision": "highest", "threads": 1}


def use_deterministic_algorithms(mode: bool, *, warn_only: bool = False) -> None:
    """Note the wish; everything here gives the same numbers for the same seed anyway."""
    _settings.update(deterministic=bool(mode), warn_only=bool(warn_only))


def are_deterministic_algorithms_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was last told."""
    return bool(_settings["deterministic"])


def is_deterministic_algorithms_warn_only_enabled() -> bool:
    """What ``use_deterministic_algorithms`` was last told."""
    return bool(_settings["warn_only"])


def set_float32_matmul_precision(precision: str) -> None:
    """Note how much precision may be lost; none ever is."""
    check_argument(precision in ("highest", "high", "medium"), f"set_float32_matmul_precision: got {precision!r}")
    _settings["precision"] = precision


def get_float32_matmul_precision() -> str:
    """What ``set_float32_matmul_precision`` was last told."""
    return str(_settings["precision"])


def set_num_interop_threads(number: int) -> None:
    """Note the wish; independent ops never run at the same time."""
    _settings["threads"] = int(number)


def get_num_interop_threads() -> int:
    """What ``set_num_interop_threads`` was last told."""
    return int(_settings["threads"])


def set_default_device(where: object) -> None:
    """Nothing for the CPU; for any other device GraphError."""
    require_cpu(where)


def get_default_device() -> device:
    """Always the CPU."""
    return CPU


def get_autocast_dtype(device_type: str) -> Any:
    """The dtype in which autocast would compute, if it did."""
    return get_default_dtype()


set_flush_denormal = no
set_warn_always = set_deterministic_debug_mode = nothing
is_autocast_enabled = is_autocast_cpu_enabled = is_autocast_cache_enabled = no
is_storage = is_distributed = is_vulkan_available = compiled_with_cxx11_abi = no
clear_autocast_cache = nothing

# ------------------------------------------------------------------------------------------ functions
vmap = refuse("torch.vmap")
from_file = refuse("torch.from_file")
sparse_coo_tensor = refuse("torch.sparse_coo_tensor")
quantize_per_tensor = refuse("torch.quantize_per_tensor")


def compile(model: Any = None, **settings: Any) -> Any:
    """The model or function itself; there is no compiler. Without one, the decorator that does that."""
    return same(model)


def typename(obj: Any) -> str:
    """The name of the type of ``obj``, as PyTorch's ``Tensor.type()`` gives it for tensors."""
    if isinstance(obj, Tensor):
        return str(obj.type())
    module = getattr(obj, "__module__", None) or type(obj).__module__
    name = getattr(obj, "__qualname__", None) or type(obj).__qualname__
    return name if module in ("builtins", "__builtin__") else f"{module}.{name}"


def _assert(condition: Any, message: str) -> None:
    """Assert, in a form that PyTorch can trace."""
    if not condition:
        raise AssertionError(message)


def get_device(tensor: Tensor) -> int:
    """-1, as PyTorch says for the CPU."""
    return -1


def Variable(data: Any, requires_grad: bool = False, volatile: bool | None = None) -> Tensor:
    """The tensor itself: since version 0.4 PyTorch's tensors are variables."""
    if volatile:
        raise UnsupportedError("Variable: volatile=True can't be honoured; use no_grad()")
    if not isinstance(data, Tensor):
        raise ArgumentTypeError(f"Variable: data must be a Tensor, got {type(data).__name__}")
    return data.requires_grad_() if requires_grad else data


def exported(*args: Any, **kwargs: Any) -> NoReturn:
    """Raise UnsupportedError: models can't be exported."""
    raise UnsupportedError("export: can't be honoured: save the model's state_dict() and its source instead")
