"""Random numbers: drawn from a ``Generator``, or from the default one that ``manual_seed`` starts."""

from __future__ import annotations

import contextlib
import operator
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import Array, Generator, as_dtype, default_generator, get_default_dtype
from tinygrad_cnn.errors import ArgumentTypeError, ShapeError, UnsupportedError
from tinygrad_cnn.ops.create import fill, finish, reject, require_tensor, shape_of

__all__ = [
    "bernoulli",
    "default_generator",
    "fork_rng",
    "get_rng_state",
    "initial_seed",
    "manual_seed",
    "multinomial",
    "normal",
    "rand",
    "rand_like",
    "randint",
    "randint_like",
    "randn",
    "randn_like",
    "randperm",
    "seed",
    "set_rng_state",
]


# ------------------------------------------------------------------------------------- the generator
def manual_seed(seed: int) -> Generator:
    """Start the default generator from ``seed``, so that what is drawn from now on can be drawn again.

    >>> import tinygrad_cnn as tg
    >>> _ = tg.manual_seed(0)
    >>> x = tg.rand(3)
    >>> _ = tg.manual_seed(0)
    >>> (tg.rand(3) == x).all().item()
    True
    """
    return default_generator.manual_seed(operator.index(seed))


def seed() -> int:
    """Start the default generator from a seed taken from the operating system, and return it."""
    return default_generator.seed()


def initial_seed() -> int:
    """The seed that the default generator was last started from."""
    return default_generator.initial_seed()


def get_rng_state() -> Tensor:
    """The state of the default generator, as bytes in a uint8 tensor."""
    return _get_state(default_generator)


def set_rng_state(new_state: Tensor) -> None:
    """Continue from a state that ``get_rng_state`` returned."""
    _set_state(default_generator, new_state)


def _get_state(self: Generator) -> Tensor:
    """The state, as bytes in a uint8 tensor."""
    return wrap(np.frombuffer(self.get_state_bytes(), np.uint8).copy())


def _set_state(self: Generator, new_state: Tensor) -> Generator:
    """Continue from a state that ``get_state`` returned."""
    array = require_tensor(new_state, "set_state", "new_state")
    if array.dtype != np.uint8:
        raise ArgumentTypeError(f"set_state: RNG state must be a torch.ByteTensor, got {new_state.dtype}")
    self.set_state_bytes(array.tobytes())
    return self


Generator.get_state = _get_state  # type: ignore[attr-defined]  # the backend knows no Tensor
Generator.set_state = _set_state  # type: ignore[attr-defined]  # as above


@contextlib.contextmanager
def fork_rng(devices: Iterable[Any] | None = None, enabled: bool = True) -> Iterator[None]:
    """Put the default generator back, at the end of the block, to where it was at its beginning."""
    state = default_generator.get_state_bytes()
    try:
        yield
    finally:
        if enabled:
            default_generator.set_state_bytes(state)


def source_of(generator: Generator | None, op: str) -> np.random.Generator:
    """NumPy's generator behind ``generator``, or behind the default one."""
    if generator is None:
        return default_generator.numpy
    if not isinstance(generator, Generator):
        raise ArgumentTypeError(f"{op}(): argument 'generator' must be Generator, not {type(generator).__name__}")
    return generator.numpy


def _require_floating(dtype: np.dtype, op: str) -> None:
    if dtype.kind != "f":
        raise UnsupportedError(f"{op}: not implemented for {as_dtype(dtype)}; draw floating numbers and convert them")


def draw_uniform(shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None = None) -> np.ndarray:
    """Uniform numbers in [0, 1); float32 and float64 are drawn as such."""
    _require_floating(dtype, "rand")
    source = source_of(generator, "rand")
    if dtype.itemsize == 2:
        below_one = dtype.type(1) - np.finfo(dtype).epsneg  # what rounding up would reach
        return np.asarray(np.minimum(source.random(shape, np.float32).astype(dtype), below_one))
    return np.asarray(source.random(shape, dtype))


def draw_normal(shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None = None) -> np.ndarray:
    """Standard normal numbers; float32 and float64 are drawn as such."""
    _require_floating(dtype, "randn")
    drawn = source_of(generator, "randn").standard_normal(shape, np.float64 if dtype.itemsize == 8 else np.float32)
    return np.asarray(drawn, dtype)


def draw_integers(
    low: int, high: int, shape: tuple[int, ...], dtype: np.dtype, generator: Generator | None, op: str
) -> np.ndarray:
    if low >= high:
        raise ShapeError(f"{op}: random_ expects 'from' to be less than 'to', but got from={low} >= to={high}")
    if dtype.kind in "iu" and (low < np.iinfo(dtype).min or high - 1 > np.iinfo(dtype).max):
        raise ShapeError(f"{op}: from {low} or to - 1 = {high - 1} is out of bounds for {as_dtype(dtype)}")
    return np.asarray(source_of(generator, op).integers(low, high, shape)).astype(dtype)


# -------------------------------------------------------------------------------------- from a shape
def _from_shape(draw: Callable[..., np.ndarray], name: str, doc: str) -> Callable[..., Tensor]:
    def function(
        *size: Any,
        generator: Generator | None = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        **named: Any,
    ) -> Tensor:
        shape = shape_of(size, name, named.pop("size", None))
        reject(named, name)
        wanted = (get_default_dtype() if dtype is None else as_dtype(dtype)).dtype
        return finish(draw(shape, wanted, generator), device, requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


def _like(draw: Callable[..., np.ndarray], name: str, doc: str) -> Callable[..., Tensor]:
    def function(
        input: Tensor,
        *,
        generator: Generator | None = None,
        dtype: Any = None,
        device: Any = None,
        requires_grad: bool = False,
        **named: Any,
    ) -> Tensor:
        named.pop("memory_format", None)  # a hint about memory, which the library arranges by itself
        reject(named, name)
        array = require_tensor(input, name)
        wanted = array.dtype if dtype is None else as_dtype(dtype).dtype
        return finish(draw(array.shape, wanted, generator), device, requires_grad)

    function.__name__ = function.__qualname__ = name
    function.__doc__ = doc
    return function


rand = _from_shape(draw_uniform, "rand", "Uniform numbers in [0, 1) of a shape.")
randn = _from_shape(draw_normal, "randn", "Normal numbers with mean 0 and standard deviation 1 of a shape.")
rand_like = _like(draw_uniform, "rand_like", "Uniform numbers in [0, 1) of a tensor's shape and dtype.")
randn_like = _like(draw_normal, "randn_like", "Standard normal numbers of a tensor's shape and dtype.")


def randint(
    low: Any = 0,
    high: Any = None,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from ``low`` (0 if left out) to ``high - 1``: ``randint(high, size)``, ``randint(low, high, size)``.

    >>> import tinygrad_cnn as tg
    >>> tg.randint(3, 4, (2,))
    tensor([3, 3])
    """
    if isinstance(high, list | tuple) and size is None:
        low, high, size = 0, low, high
    elif high is None:
        low, high = 0, low
    if size is None:
        raise ArgumentTypeError("randint() missing argument 'size': randint(high, size) or randint(low, high, size)")
    wanted = as_dtype("int64" if dtype is None else dtype).dtype
    array = draw_integers(low, high, shape_of((size,), "randint"), wanted, generator, "randint")
    return finish(array, device, requires_grad)


def randint_like(
    input: Tensor,
    low: int,
    high: int | None = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Integers from ``low`` (0 if left out) to ``high - 1`` of a tensor's shape and dtype."""
    array = require_tensor(input, "randint_like")
    low, high = (0, low) if high is None else (low, high)
    wanted = array.dtype if dtype is None else as_dtype(dtype).dtype
    return finish(draw_integers(low, high, array.shape, wanted, generator, "randint_like"), device, requires_grad)


def randperm(
    n: int,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """The integers from 0 to ``n - 1`` in random order."""
    if n < 0:
        raise ShapeError(f"randperm: Trying to create tensor with negative dimension {n}: [{n}]")
    order = source_of(generator, "randperm").permutation(n)
    return finish(order.astype(as_dtype("int64" if dtype is None else dtype).dtype), device, requires_grad)


def normal(
    mean: Any = 0.0,
    std: Any = 1.0,
    size: Any = None,
    *,
    generator: Generator | None = None,
    dtype: Any = None,
    device: Any = None,
    requires_grad: bool = False,
) -> Tensor:
    """Normal numbers, one for each element of ``mean`` and ``std``, or, if both are numbers, of shape ``size``.

    >>> import tinygrad_cnn as tg
    >>> tg.normal(tg.tensor([1.0, 2.0]), 0.0)
    tensor([1., 2.])
    """
    tensors = [x for x in (mean, std) if isinstance(x, Tensor)]
    if bool(tensors) == (size is not None):
        raise ArgumentTypeError("normal(): expected tensors as mean or std, or two numbers and a size")
    a, b = (x._array if isinstance(x, Tensor) else x for x in (mean, std))
    if np.any(np.less(b, 0)):
        raise ShapeError(f"normal expects all elements of std >= 0.0, got {std}")
    if tensors:
        shape, wanted = np.broadcast_shapes(np.shape(a), np.shape(b)), tensors[0]._array.dtype
    else:
        shape, wanted = shape_of((size,), "normal"), (get_default_dtype() if dtype is None else as_dtype(dtype)).dtype
    drawn = draw_normal(shape, wanted, generator)
    return finish((a + b * drawn).astype(wanted, copy=False), device, requires_grad)


def bernoulli(input: Tensor, p: float | None = None, *, generator: Generator | None = None) -> Tensor:
    """1 with the probability that each element of ``input`` gives (or ``p``), else 0.

    >>> import tinygrad_cnn as tg
    >>> tg.bernoulli(tg.tensor([0.0, 1.0]))
    tensor([0., 1.])
    """
    array = require_tensor(input, "bernoulli")
    if p is None:
        _require_floating(array.dtype, "bernoulli")
    drawn = draw_bernoulli(array if p is None else p, array.shape, generator, "bernoulli")
    return overwrite(input, wrap(drawn.astype(array.dtype)))


tensor_method(bernoulli)


def draw_bernoulli(p: Any, shape: tuple[int, ...], generator: Generator | None, op: str) -> np.ndarray:
    if not np.all(np.greater_equal(p, 0) & np.less_equal(p, 1)):
        raise ShapeError(f"{op}: expected p to be in [0, 1], got {p}")
    return np.asarray(source_of(generator, op).random(shape) < p)


def multinomial(
    input: Tensor, num_samples: int, replacement: bool = False, *, generator: Generator | None = None
) -> Tensor:
    """Indices drawn from each row's weights (n) or (rows, n) -> (num_samples) or (rows, num_samples).

    >>> import tinygrad_cnn as tg
    >>> tg.multinomial(tg.tensor([0.0, 3.0]), 4, replacement=True)
    tensor([1, 1, 1, 1])
    """
    weights = require_tensor(input, "multinomial")
    if weights.ndim not in (1, 2):
        raise ShapeError(f"multinomial: prob_dist must be 1 or 2 dim, got shape {weights.shape}")
    _require_floating(weights.dtype, "multinomial")
    if num_samples <= 0:
        raise ShapeError(f"multinomial: cannot sample n_sample <= 0 samples, got {num_samples}")
    if not replacement and num_samples > weights.shape[-1]:
        raise ShapeError("multinomial: cannot sample n_sample > prob_dist.size(-1) samples without replacement")
    if not (np.isfinite(weights).all() and (weights >= 0).all() and (weights.sum(-1) > 0).all()):
        raise ShapeError("multinomial: expected finite weights >= 0 with a positive sum in each row")
    source, rows = source_of(generator, "multinomial"), weights.astype(np.float64)
    if replacement:
        ends = np.cumsum(rows, -1)
        points = source.random((*weights.shape[:-1], num_samples)) * ends[..., -1:]
        pairs = zip(np.atleast_2d(ends), np.atleast_2d(points), strict=True)
        indices = np.reshape([np.searchsorted(e, p, side="right") for e, p in pairs], points.shape)
    else:  # the race of exponential clocks: the first to ring are a sample without replacement
        with np.errstate(divide="ignore"):
            times = source.standard_exponential(rows.shape) / rows
        indices = np.argsort(times, -1, kind="stable")[..., :num_samples]
    return wrap(indices.astype(np.int64))


tensor_method(multinomial)


# ------------------------------------------------------------------------------------------ in place
@differentiable
def overwrite(input: Array, values: Array) -> Array:
    """``values``: what is computed from them has no gradient towards ``input``."""
    return values.copy()


overwrite.gradients(input=lambda g: fill(g, 0.0))
overwrite.exempt(values="random numbers have no gradient")


@overwrite.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape()
    return dict(input=draw.array(shape), values=draw.array(shape))


overwrite.reference(lambda input, values: values + 0.0)
