"""Making tensors from data, from a shape, or like another tensor."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.parse import array_of
from tinygrad_cnn.autograd.tensor import Tensor, as_array, wrap
from tinygrad_cnn.backend import DTYPES, Array, Number, as_dtype, get_default_dtype, require_cpu
from tinygrad_cnn.errors import ArgumentTypeError, ShapeError

__all__ = [
    "arange",
    "as_tensor",
    "asarray",
    "empty",
    "empty_like",
    "eye",
    "from_numpy",
    "full",
    "full_like",
    "linspace",
    "logspace",
    "ones",
    "ones_like",
    "scalar_tensor",
    "tensor",
    "tril_indices",
    "triu_indices",
    "zeros",
    "zeros_like",
]


# -------------------------------------------------------------------------------------------- from data
def tensor(
    data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, pin_memory: bool = False
) -> Tensor:
    """A new tensor of nested lists, numbers, arrays or tensors. The data is copied.

    Raises ValueError for lists of unequal lengths, TypeError for what are no numbers.

    >>> import tinygrad_cnn as tg
    >>> tg.tensor([[1, 2], [3, 4]])
    tensor([[1, 2],
            [3, 4]])
    >>> tg.tensor([1.0, 2.0], requires_grad=True)
    tensor([1., 2.], requires_grad=True)
    """
    return finish(array_of(data, dtype), device, requires_grad)


def finish(array: np.ndarray, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The new tensor that a creation function returns."""
    if device is not None:
        require_cpu(device)
    out = wrap(array)
    return out.requires_grad_() if requires_grad else out


def as_tensor(data: Any, dtype: Any = None, device: Any = None) -> Tensor:
    """``data`` as a tensor, sharing its memory where that is possible.

    >>> import tinygrad_cnn as tg
    >>> x = tg.ones(2)
    >>> tg.as_tensor(x) is x
    True
    """
    require_cpu(device)
    if isinstance(data, Tensor):
        return data if dtype is None else data.to(as_dtype(dtype))
    if isinstance(data, np.ndarray):
        shared = from_numpy(data)
        return shared if dtype is None or shared.dtype is as_dtype(dtype) else tensor(data, dtype=dtype)
    return tensor(data, dtype=dtype)


def asarray(obj: Any, *, dtype: Any = None, device: Any = None, copy: bool | None = None) -> Tensor:
    """As ``as_tensor``; ``copy=True`` never shares memory."""
    return tensor(obj, dtype=dtype, device=device) if copy else as_tensor(obj, dtype, device)


def from_numpy(ndarray: np.ndarray) -> Tensor:
    """A tensor that shares the array's memory: what is written to one is seen in the other.

    >>> import tinygrad_cnn as tg
    >>> a = np.zeros(2)
    >>> x = tg.from_numpy(a)
    >>> a[0] = 5
    >>> x
    tensor([5., 0.], dtype=torch.float64)
    """
    if not isinstance(ndarray, np.ndarray):
        raise ArgumentTypeError(f"from_numpy: expected np.ndarray (got {type(ndarray).__name__})")
    if ndarray.dtype not in DTYPES:
        raise ArgumentTypeError(
            f"from_numpy: can't convert np.ndarray of type {ndarray.dtype}; "
            f"expected one of {', '.join(d.name for d in DTYPES.values())}"
        )
    return wrap(ndarray)


def scalar_tensor(s: Number, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """A 0-d tensor of a number, in the default dtype."""
    return tensor(s, dtype=dtype or get_default_dtype(), device=device, requires_grad=requires_grad)


# ------------------------------------------------------------------------------------------ from a shape
def shape_of(size: Sequence[Any], op: str, keyword: Any = None) -> tuple[int, ...]:
    """The shape that was given as ``(2, 3)``, ``((2, 3),)`` or ``size=(2, 3)``."""
    if keyword is not None:
        size = (*size, keyword)
    if not size:
        raise ArgumentTypeError(f"{op}() missing 1 required positional argument: 'size'")
    if isinstance(size[0], list | tuple):
        if len(size) > 1:
            raise ArgumentTypeError(f"{op}() takes 1 positional argument but {len(size)} were given")
        size = size[0]
    try:
        shape = tuple([operator.index(side) for side in size])
    except TypeError:
        raise ArgumentTypeError(f"{op}(): argument 'size' must be tuple of ints, got {size!r}") from None
    if any(side < 0 for side in shape):
        raise ShapeError(f"{op}: Trying to create tensor with negative dimension {min(shape)}: {list(shape)}")
    return shape


def _dtype_or_default(dtype: Any) -> np.dtype:
    return (get_default_dtype() if dtype is None else as_dtype(dtype)).dtype


def zeros(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **named: Any) -> Tensor:
    """Zeros of a shape.

    >>> import tinygrad_cnn as tg
    >>> tg.zeros(2, 3).shape, tg.zeros((2, 3), dtype=tg.int64).dtype
    (torch.Size([2, 3]), torch.int64)
    """
    return finish(np.zeros(_shape(size, named, "zeros"), _dtype_or_default(dtype)), device, requires_grad)


def ones(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **named: Any) -> Tensor:
    """Ones of a shape."""
    return finish(np.ones(_shape(size, named, "ones"), _dtype_or_default(dtype)), device, requires_grad)


def empty(*size: Any, dtype: Any = None, device: Any = None, requires_grad: bool = False, **named: Any) -> Tensor:
    """A tensor of a shape, whose values are whatever was in the memory."""
    return finish(np.empty(_shape(size, named, "empty"), _dtype_or_default(dtype)), device, requires_grad)


def _shape(size: Sequence[Any], named: dict[str, Any], op: str) -> tuple[int, ...]:
    """The shape of a creation function that takes it as ``*size`` or ``size=``, and no other argument."""
    keyword = named.pop("size", None)
    reject(named, op)
    return shape_of(size, op, keyword)


_IDLE = {"layout": (None, "torch.strided"), "pin_memory": (None, False), "out": (None,)}


def reject(named: dict[str, Any], op: str) -> None:
    """Raise on arguments left over, but for those that ask for nothing (``pin_memory=False``)."""
    for name, value in named.items():
        if name not in _IDLE or not any(value is idle or str(value) == idle for idle in _IDLE[name]):
            raise ArgumentTypeError(f"{op}() got an unexpected keyword argument '{name}'")


def full(
    size: Sequence[int], fill_value: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """One value in a tensor of a shape; without ``dtype`` the value decides it.

    >>> import tinygrad_cnn as tg
    >>> tg.full((2,), 7), tg.full((2,), 0.5)
    (tensor([7, 7]), tensor([0.5000, 0.5000]))
    """
    if not isinstance(size, list | tuple):
        raise ArgumentTypeError(
            f"full(): argument 'size' (position 1) must be tuple of ints, not {type(size).__name__}"
        )
    value = array_of(fill_value, dtype)
    return finish(np.full(shape_of((size,), "full"), value, value.dtype), device, requires_grad)


def eye(n: int, m: int | None = None, *, dtype: Any = None, device: Any = None, requires_grad: bool = False) -> Tensor:
    """The identity matrix, n×n or n×m."""
    for name, side in (("n", n), ("m", m)):
        if side is not None and side < 0:
            raise ShapeError(f"eye: {name} must be greater or equal to 0, got {side}")
    return finish(np.eye(n, m, dtype=_dtype_or_default(dtype)), device, requires_grad)


def arange(
    start: Any = 0,
    end: Any = None,
    step: Any = 1,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The numbers from ``start`` to ``end``, which is left out, in steps; integers if all three are.

    >>> import tinygrad_cnn as tg
    >>> tg.arange(3), tg.arange(1, 2, 0.5)
    (tensor([0, 1, 2]), tensor([1.0000, 1.5000]))
    """
    start, end, step = (x.item() if isinstance(x, Tensor | np.generic) else x for x in (start, end, step))
    if end is None:
        start, end = 0, start
    if not all(isinstance(x, int | float) for x in (start, end, step)):
        raise ArgumentTypeError(f"arange(): expected numbers, got {start!r}, {end!r}, {step!r}")
    if step == 0:
        raise ShapeError("arange: step must be nonzero")
    if not (math.isfinite(start) and math.isfinite(end)):
        raise ShapeError(f"arange: unsupported range: {start} -> {end}")
    if (end - start) * step < 0:
        raise ShapeError(f"arange: upper bound and lower bound inconsistent with step sign: {start}, {end}, {step}")
    floating = any(isinstance(x, float) for x in (start, end, step))
    wanted = as_dtype((get_default_dtype() if floating else int) if dtype is None else dtype).dtype
    count = math.ceil((end - start) / step)
    if wanted.kind in "iu" and int(step):
        start, end, step = int(start), int(end), int(step)
        if wanted == np.int64:  # PyTorch counts in int64 after rounding, in the smaller integers before it
            count = max(math.ceil((end - start) / step), 0)
    return finish((start + step * np.arange(count)).astype(wanted), device, requires_grad)


def linspace(
    start: Any, end: Any, steps: int, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """``steps`` numbers at equal distances, both ends included.

    >>> import tinygrad_cnn as tg
    >>> tg.linspace(0, 1, 5)
    tensor([0.0000, 0.2500, 0.5000, 0.7500, 1.0000])
    """
    return finish(_spaced(start, end, steps, None, dtype, "linspace"), device, requires_grad)


def logspace(
    start: Any,
    end: Any,
    steps: int,
    base: float = 10.0,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """``base`` to the powers ``linspace(start, end, steps)``."""
    return finish(_spaced(start, end, steps, base, dtype, "logspace"), device, requires_grad)


def _spaced(start: Any, end: Any, steps: int, base: float | None, dtype: Any, op: str) -> np.ndarray:
    if steps < 0:
        raise ShapeError(f"{op}: number of steps must be non-negative, got {steps}")
    first, last = as_array(start), as_array(end)
    if np.ndim(first) or np.ndim(last):
        raise ShapeError(f"{op}: only supports 0-dimensional start and end tensors")
    wanted = _dtype_or_default(dtype)
    number = int if wanted.kind in "iu" else float
    spaced = np.linspace(number(first), number(last), steps)
    return (spaced if base is None else np.power(float(base), spaced)).astype(wanted)


def tril_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The row and column indices of a row×col matrix's elements on and below a diagonal -> (2, count)."""
    return _triangle_indices(np.tril_indices(row, offset, col), dtype, device)


def triu_indices(row: int, col: int, offset: int = 0, *, dtype: Any = None, device: Any = None) -> Tensor:
    """The row and column indices of a row×col matrix's elements on and above a diagonal -> (2, count)."""
    return _triangle_indices(np.triu_indices(row, offset, col), dtype, device)


def _triangle_indices(pair: tuple[np.ndarray, np.ndarray], dtype: Any, device: Any) -> Tensor:
    return finish(np.stack(pair).astype(as_dtype(dtype or "int64").dtype), device)


# ------------------------------------------------------------------------------------------ like another
def require_tensor(value: Any, op: str, argument: str = "input") -> np.ndarray:
    """The array of a Tensor; ArgumentTypeError for anything else."""
    if not isinstance(value, Tensor):
        raise ArgumentTypeError(f"{op}(): argument '{argument}' must be Tensor, not {type(value).__name__}")
    return value._array


def _like(name: str, make: Callable[..., np.ndarray], doc: str) -> Callable[..., Tensor]:
    """A function that makes a tensor of another's shape, dtype and memory order."""

    def like(
        input: Tensor, *, dtype: Any = None, device: Any = None, requires_grad: bool = False, **named: Any
    ) -> Tensor:
        _check_format(named, name)
        array = require_tensor(input, name)
        return finish(make(array, array.dtype if dtype is None else as_dtype(dtype).dtype), device, requires_grad)

    like.__name__ = like.__qualname__ = name
    like.__doc__ = doc
    return like


def _check_format(named: dict[str, Any], op: str) -> None:
    named.pop("memory_format", None)  # a hint about memory, which the library arranges by itself
    reject(named, op)


zeros_like = _like("zeros_like", lambda a, d: np.zeros_like(a, d), "Zeros of a tensor's shape and dtype.")
ones_like = _like("ones_like", lambda a, d: np.ones_like(a, d), "Ones of a tensor's shape and dtype.")
empty_like = _like("empty_like", lambda a, d: np.empty_like(a, d), "A tensor of another's shape, with any values.")


def full_like(
    input: Tensor,
    fill_value: Any,
    *,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
    **named: Any,
) -> Tensor:
    """One value in a tensor of another's shape and dtype."""
    _check_format(named, "full_like")
    array = require_tensor(input, "full_like")
    wanted = array.dtype if dtype is None else as_dtype(dtype).dtype
    return finish(np.full_like(array, _fitting(as_array(fill_value), wanted), dtype=wanted), device, requires_grad)


def _fitting(value: Any, dtype: np.dtype) -> Any:
    """A number in ``dtype``; one that is too large for an integer dtype wraps around, where NumPy would refuse."""
    return np.asarray(value).astype(dtype) if dtype.kind in "iu" else value


@differentiable(inplace=True, grad_name="FillBackward0")
def fill(input: Array, value: Array) -> Array:
    """One value, a number or a 0-d tensor, in a tensor of another's shape and dtype."""
    return np.full_like(input, _fitting(value, input.dtype))


fill.gradients(input=lambda g: fill(g, 0.0), value=lambda g: g.sum())
fill.samples(lambda draw: dict(input=draw.array(draw.shape()), value=draw.array(())))
fill.reference(lambda input, value: input * 0.0 + value)


@fill.check
def _(input: Array, value: Array) -> None:
    if np.ndim(value) > 0:
        raise ShapeError(
            f"fill_ only supports 0-dimension value tensor but got tensor with {np.ndim(value)} dimensions"
        )


fill.refuses(ShapeError, "only supports 0-dimension value tensor but got tensor with 1 dim", input=(2,), value=(1,))


@tensor_method
def zero_(self: Tensor) -> Tensor:
    """Overwrite with zeros."""
    return self.fill_(0)


@tensor_method("new_tensor")
def _new_tensor(
    self: Tensor, data: Any, *, dtype: Any = None, device: Any = None, requires_grad: bool = False
) -> Tensor:
    """A new tensor of data, in this one's dtype."""
    return tensor(data, dtype=self.dtype if dtype is None else dtype, device=device, requires_grad=requires_grad)


def _new(make: Callable[..., Tensor]) -> None:
    def new(self: Tensor, *size: Any, dtype: Any = None, **settings: Any) -> Tensor:
        return make(*size, dtype=self.dtype if dtype is None else dtype, **settings)

    new.__doc__ = f"As ``{make.__name__}``, in this tensor's dtype."
    tensor_method(new, f"new_{make.__name__}")


for _make in (zeros, ones, empty, full):
    _new(_make)
