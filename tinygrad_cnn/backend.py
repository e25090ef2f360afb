"""The one file that knows array libraries: dtypes, devices, the rules of type promotion, random generators.

Everything else reaches NumPy's functions through ``array_module(x)`` or ``numpy`` itself; a second array
library would begin here.
"""

from __future__ import annotations

import contextvars
import copy
import json
import os
from collections.abc import Callable, Iterable
from types import ModuleType
from typing import Any

import numpy as np

from tinygrad_cnn.errors import ArgumentTypeError, GraphError, UnsupportedDTypeError

Number = bool | int | float
Array = np.ndarray  # the annotation that marks an op's inputs
MaskArray = np.ndarray  # an input of an elementwise op that is broadcast with the others, but not promoted


def array_module(array: object) -> ModuleType:
    """The library that ``array`` belongs to: NumPy, the only engine so far."""
    return np


def quiet_runner() -> Callable[..., Any]:
    """A caller ``run(function, *args)`` under which inf and nan are values, as in PyTorch, and no warnings.

    It costs a tenth of ``np.errstate``, and leaves the user's own NumPy code as it is. One a thread.
    """
    context = contextvars.copy_context()
    context.run(np.seterr, all="ignore")

    def run(function: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        try:
            return context.run(function, *args, **kwargs)
        except RuntimeError as error:
            if not str(error).startswith("cannot enter context"):
                raise
            return function(*args, **kwargs)  # a forward that calls ops on Tensors itself: we are inside already

    return run


# ---------------------------------------------------------------------------------------------- dtypes
class dtype:
    """A tensor's element type, such as ``float32``. It prints and compares as PyTorch's does.

    >>> float32, float32.is_floating_point, float32 == np.float32
    (torch.float32, True, True)
    """

    __slots__ = ("category", "dtype", "is_complex", "is_floating_point", "is_signed", "itemsize", "name")

    def __init__(self, name: str, category: int) -> None:
        self.name = name
        self.dtype = np.dtype(name)  # NumPy reads this attribute, so np.zeros(3, float32) works
        self.category = category  # 0 bool, 1 integer, 2 floating: a higher category wins in promotion
        self.is_floating_point = category == 2
        self.is_complex = False
        self.is_signed = self.dtype.kind in "if"
        self.itemsize = self.dtype.itemsize

    def __repr__(self) -> str:
        return f"torch.{self.name}"

    def __eq__(self, other: object) -> bool:
        if isinstance(other, dtype):
            return self is other
        try:
            return other is not None and self.dtype == np.dtype(other)  # type: ignore[call-overload]  # any object
        except TypeError:
            return False

    def __hash__(self) -> int:
        return hash(self.dtype)

    def __reduce__(self) -> tuple[Any, ...]:
        return as_dtype, (self.name,)


bool_ = dtype("bool", 0)
uint8 = dtype("uint8", 1)
int8 = dtype("int8", 1)
int16 = short = dtype("int16", 1)
int32 = int_ = dtype("int32", 1)
int64 = long = dtype("int64", 1)
float16 = half = dtype("float16", 2)
float32 = float_ = dtype("float32", 2)
float64 = double = dtype("float64", 2)

DTYPES: dict[np.dtype, dtype] = {
    d.dtype: d for d in (bool_, uint8, int8, int16, int32, int64, float16, float32, float64)
}
_PYTHON_TYPES: dict[object, dtype] = {bool: bool_, int: int64, float: float64}
_default_dtype = float32


def as_dtype(value: object) -> dtype:
    """The library's dtype for one of its own, a NumPy dtype, a Python type or a name.

    >>> as_dtype("float64"), as_dtype(int), as_dtype(np.uint8)
    (torch.float64, torch.int64, torch.uint8)
    """
    if isinstance(value, dtype):
        return value
    if value in _PYTHON_TYPES:
        return _PYTHON_TYPES[value]
    try:
        return DTYPES[np.dtype(str(value).removeprefix("torch.") if isinstance(value, str) else value)]  # type: ignore[call-overload]  # any object
    except (TypeError, KeyError):
        known = ", ".join(d.name for d in DTYPES.values())
        raise ArgumentTypeError(f"dtype: expected one of {known}, got {value!r}") from None


def get_default_dtype() -> dtype:
    """The dtype of new tensors of Python floats: ``float32`` unless ``set_default_dtype`` changed it."""
    return _default_dtype


def set_default_dtype(d: object) -> None:
    """Make ``d`` the dtype of new tensors of Python floats. Only floating dtypes are allowed (TypeError)."""
    global _default_dtype
    new = as_dtype(d)
    if not new.is_floating_point:
        raise ArgumentTypeError(f"set_default_dtype: expected a floating dtype, got {new}")
    _default_dtype = new


def promote(values: Iterable[Any]) -> np.dtype:
    """The dtype of an elementwise op's result, by PyTorch's rule rather than NumPy's.

    The category (bool < integer < floating) is decided by all; within a category arrays with dimensions win
    over 0-d arrays, and those over Python numbers. So float32 stays float32 next to a Python number, a 0-d
    float64, or an integer array.

    >>> promote([np.ones(3, np.float32), np.ones(3, np.int64)]).name, promote([np.ones(3, np.int64), 2.5]).name
    ('float32', 'float32')
    """
    best: list[dtype | None] = [None, None, None]  # arrays with dimensions, 0-d arrays, Python numbers
    for value in values:
        if isinstance(value, np.ndarray):
            rank, found = (0 if value.ndim else 1), DTYPES[value.dtype]
        elif isinstance(value, bool):
            rank, found = 2, bool_
        elif isinstance(value, int):
            rank, found = 2, int64
        else:
            rank, found = 2, _default_dtype
        held = best[rank]
        best[rank] = found if held is None else _wider(held, found)
    result: dtype | None = None
    for candidate in best:
        if candidate is not None and (result is None or candidate.category > result.category):
            result = candidate
    assert result is not None
    return result.dtype


def _wider(a: dtype, b: dtype) -> dtype:
    if a is b:
        return a
    if a.category != b.category:
        return a if a.category > b.category else b
    return DTYPES[np.promote_types(a.dtype, b.dtype)]


def as_floating(array: np.ndarray, op: str) -> np.ndarray:
    """``array``, or, if it holds integers, its copy in the default dtype (for exp, mean, div, ...)."""
    return array if array.dtype.kind == "f" else array.astype(_default_dtype.dtype)


def require_floating(array: np.ndarray, op: str, argument: str = "input") -> None:
    """Raise UnsupportedDTypeError unless ``array`` is floating."""
    if array.dtype.kind != "f":
        raise UnsupportedDTypeError(
            f"{op}: {argument} expected a floating dtype, got {DTYPES[array.dtype]}; convert with .float()"
        )


# ---------------------------------------------------------------------------------------------- devices
_DEVICE_TYPES = ["cpu", "cuda", "mps", "xpu", "meta", "hpu", "mtia", "xla", "vulkan", "ipu", "maia", "privateuseone"]


class device:
    """Where a tensor lives: ``device('cpu')``. The others of PyTorch have names here, but no tensor can live there.

    >>> device("cpu"), device("cuda:1"), device("cpu") == "cpu"
    (device(type='cpu'), device(type='cuda', index=1), True)
    """

    def __init__(self, type: object = "cpu", index: int | None = None) -> None:
        name, colon, number = str(type).partition(":")
        if name not in _DEVICE_TYPES or (colon and not number.isdigit()):
            raise GraphError(f"device: expected 'cpu' or another of {', '.join(_DEVICE_TYPES)}, got {str(type)!r}")
        self.type = name
        self.index = int(number) if colon else index

    def __repr__(self) -> str:
        return f"device(type={self.type!r}{'' if self.index is None else f', index={self.index}'})"

    def __str__(self) -> str:
        return self.type if self.index is None else f"{self.type}:{self.index}"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, device | str) and str(self) == str(other)

    def __hash__(self) -> int:
        return hash(str(self))

    def __enter__(self) -> device:
        require_cpu(self)
        return self

    def __exit__(self, *exception: object) -> None:
        """Nothing changes: new tensors are on the CPU anyway."""


CPU = device()


def require_cpu(where: object) -> None:
    """Raise GraphError unless ``where``, a device or its name, is the CPU or None."""
    if where is not None and device(where).type != "cpu":
        raise GraphError(f"device: expected 'cpu', the only device of this library, got {str(where)!r}")


class Size(tuple[int, ...]):
    """A shape: a tuple that prints as PyTorch's does and counts its elements.

    >>> Size((2, 3)), Size((2, 3)).numel()
    (torch.Size([2, 3]), 6)
    """

    def numel(self) -> int:
        """The number of elements of a tensor of this shape."""
        count = 1
        for side in self:
            count *= side
        return count

    def __repr__(self) -> str:
        return f"torch.Size([{', '.join(map(str, self))}])"

    __str__ = __repr__

    def __getitem__(self, index: Any) -> Any:
        part = super().__getitem__(index)
        return Size(part) if isinstance(index, slice) else part

    def __add__(self, other: Any) -> Size:
        return Size(tuple(self) + tuple(other))


# ----------------------------------------------------------------------------------------------- random
class Generator:
    """A source of random numbers with a seed and a state of its own (NumPy's PCG64).

    >>> Generator().manual_seed(0).random(2).tolist() == Generator().manual_seed(0).random(2).tolist()
    True
    """

    def __init__(self, device: object = "cpu") -> None:
        require_cpu(device)
        self.device = CPU
        self._numpy: np.random.Generator | None = None
        self.manual_seed(67280421310721)  # PyTorch's default seed

    def manual_seed(self, seed: int) -> Generator:
        """Start again from ``seed``, any integer."""
        self._seed = int(seed)
        self._numpy = None
        return self

    @property
    def numpy(self) -> np.random.Generator:
        """NumPy's generator, made at the first use: importing ``numpy.random`` takes longer than all of autograd."""
        if self._numpy is None:
            self._numpy = np.random.Generator(np.random.PCG64(abs(self._seed) * 2 + (self._seed < 0)))
        return self._numpy

    def seed(self) -> int:
        """Start again from a seed taken from the operating system, and return it."""
        self.manual_seed(int.from_bytes(os.urandom(8), "big") >> 1)
        return self._seed

    def initial_seed(self) -> int:
        """The seed that this generator was last started from."""
        return self._seed

    def get_state_bytes(self) -> bytes:
        """The whole state, to be given to ``set_state_bytes`` later."""
        return json.dumps({"seed": self._seed, "state": self.numpy.bit_generator.state}).encode()

    def set_state_bytes(self, state: bytes) -> None:
        """Continue from a state that ``get_state_bytes`` returned."""
        try:
            fields = json.loads(state)
            self.numpy.bit_generator.state = fields["state"]
            self._seed = fields["seed"]
        except (ValueError, KeyError, TypeError) as error:
            raise GraphError(f"Generator: expected a state made by get_state(), got something else ({error})") from None

    def random(self, size: tuple[int, ...] | int) -> np.ndarray:
        """Uniform float64 numbers in [0, 1)."""
        return np.asarray(self.numpy.random(size))

    def __deepcopy__(self, memo: dict[int, Any]) -> Generator:
        new = Generator()
        new._seed = self._seed
        new._numpy = copy.deepcopy(self._numpy)
        return new


default_generator = Generator()
