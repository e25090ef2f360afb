"""Hypothesis strategies for tests of your own: arrays, shapes, settings of convolutions and pooling, labels, indices.

Everything drawn is valid by construction, small cases first, and everything is drawn with the ``Draw`` that ops'
``samples`` get, so a failing case shrinks to a small one.

>>> from hypothesis import given, settings
>>> from tinygrad_cnn.testing import strategies as cases
>>> @settings(max_examples=5)
... @given(cases.tensors(cases.conv2d_arguments(), requires_grad=True))
... def test(arguments):
...     nn.functional.conv2d(**arguments).sum().backward()
>>> from tinygrad_cnn import nn
>>> test()
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from hypothesis import strategies as st
from hypothesis.strategies import DrawFn, SearchStrategy, composite

from tinygrad_cnn.autograd.op import Op
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import as_dtype
from tinygrad_cnn.errors import ArgumentError, check_argument
from tinygrad_cnn.ops import registry
from tinygrad_cnn.testing.draw import Draw, HypothesisSource
from tinygrad_cnn.testing.layouts import LAYOUTS

__all__ = [
    "arrays",
    "avg_pool2d_arguments",
    "avg_pool2d_settings",
    "broadcastable_shapes",
    "conv2d_arguments",
    "conv2d_settings",
    "conv_transpose2d_arguments",
    "conv_transpose2d_settings",
    "dim",
    "dims",
    "drawn",
    "indices",
    "labels",
    "masks",
    "max_pool2d_arguments",
    "max_pool2d_settings",
    "samples",
    "shapes",
    "tensors",
]

T = TypeVar("T")
Shape = tuple[int, ...]
Settings = tuple[dict[str, Any], Shape]


# ------------------------------------------------------------------------------------------ from Draw
@composite
def drawn(draw: DrawFn, function: Callable[[Draw], T]) -> T:
    """Whatever ``function(draw)`` draws, with the same ``draw`` that an op's ``samples`` get."""
    return function(Draw(HypothesisSource(draw)))


def samples(op: Op | str) -> SearchStrategy[dict[str, Any]]:
    """The arguments that an op's own samples draw; ``op`` is the op or its name. ArgumentError if it has none."""
    declared = registry.get(op) if isinstance(op, str) else op
    check_argument(declared is not None, f"samples: no op is registered under the name {op!r}")
    assert declared is not None
    if declared._samples is None:
        raise ArgumentError(f"samples: {declared.name} declares none; declare them with {declared.name}.samples(...)")
    return drawn(declared._samples)


# --------------------------------------------------------------------------------------------- shapes
def shapes(min_dims: int = 0, max_dims: int = 3, min_side: int = 1, max_side: int = 4) -> SearchStrategy[Shape]:
    """Shapes with so many dimensions, each so long; ``min_side=0`` draws empty ones too."""
    return drawn(lambda draw: draw.shape(min_dims, max_dims, min_side, max_side))


def broadcastable_shapes(count: int = 2, max_dims: int = 3) -> SearchStrategy[tuple[Shape, ...]]:
    """``count`` shapes that broadcast together; the result's shape is not always that of the first."""
    return drawn(lambda draw: tuple(draw.broadcastable_shapes(count, max_dims)))


def dim(ndim: int) -> SearchStrategy[int]:
    """A dimension of a tensor with ``ndim`` of them, counted from the front or from the back; 0 or -1 of 0-d."""
    return drawn(lambda draw: draw.dim(ndim))


def dims(ndim: int, min_size: int = 1, max_size: int | None = None) -> SearchStrategy[tuple[int, ...]]:
    """Different dimensions of a tensor with ``ndim`` of them, in any order, each counted from either end.

    For what reductions take, join strategies: ``none() | dim(3) | dims(3)``.
    """
    most = ndim if max_size is None else min(max_size, ndim)
    check_argument(min_size <= most, f"dims: expected min_size <= {most} (of {ndim} dimensions), got {min_size}")

    def choose(draw: Draw) -> tuple[int, ...]:
        left = list(range(ndim))
        chosen = [left.pop(draw.integer(0, len(left) - 1)) for _ in range(draw.integer(min_size, most))]
        return tuple(d - ndim * draw.integer(0, 1) for d in chosen)

    return drawn(choose)


# --------------------------------------------------------------------------------------------- values
def _shape(draw: DrawFn, shape: Shape | SearchStrategy[Shape] | None) -> Shape:
    if shape is None:
        return draw(shapes())
    return draw(shape) if isinstance(shape, SearchStrategy) else shape


@composite
def arrays(
    draw: DrawFn,
    shape: Shape | SearchStrategy[Shape] | None = None,
    dtype: Any = np.float64,
    *,
    low: float | None = None,
    high: float | None = None,
    away_from: Sequence[float] = (),
    margin: float = 0.1,
    distinct: bool = False,
    layout: str | Sequence[str] = "contiguous",
) -> np.ndarray:
    """Arrays of a floating, integer or boolean dtype, with values from ``low`` to ``high``, both included.

    shape: a shape, a strategy of shapes, or None for any small one.
    low, high: -1 and 1, for integers -4 (0 if unsigned) and 4.
    away_from: kinks of the function under test; floating values keep ``margin`` from them.
    distinct: no two values are alike (for max, sort, pooling, batch norm); floating ones are evenly spaced. Integers
        go on above ``high`` if there are too few.
    layout: a name in ``layouts.LAYOUTS`` or several to choose from, the simplest first. "broadcast" repeats values
        and is read-only.
    """
    names = [layout] if isinstance(layout, str) else list(layout)
    unknown = [name for name in names if name not in LAYOUTS]
    check_argument(not unknown, f"arrays: layout expected some of {', '.join(LAYOUTS)}, got {', '.join(unknown)}")
    check_argument(not (distinct and "broadcast" in names), "arrays: a broadcast layout repeats values: not distinct")
    kind = as_dtype(dtype).dtype
    size, tool = _shape(draw, shape), Draw(HypothesisSource(draw))
    if kind.kind == "b":
        values = tool.mask(size)
    elif kind.kind == "f":
        bounds = -1.0 if low is None else low, 1.0 if high is None else high
        check_argument(not (distinct and away_from), "arrays: distinct values can't also keep away from kinks")
        values = tool.distinct(size, *bounds) if distinct else tool.array(size, *bounds, away_from, margin)
    else:
        least = int((0 if kind.kind == "u" else -4) if low is None else low)
        most = int(4 if high is None else high)
        if distinct:
            count = max(math.prod(size), most - least + 1)
            values = least + np.argsort(tool.array((count,)))[: math.prod(size)].reshape(size)
        else:
            values = tool.integers(size, least, most)
    return LAYOUTS[tool.choice(names)](values.astype(kind))


def masks(shape: Shape | SearchStrategy[Shape] | None = None) -> SearchStrategy[np.ndarray]:
    """Boolean arrays."""
    return arrays(shape, np.bool_)


@composite
def indices(
    draw: DrawFn, size: int, shape: Shape | SearchStrategy[Shape] | None = None, *, negative: bool = False
) -> np.ndarray:
    """int64 arrays of positions along a dimension of ``size``; ``negative``: some are counted from the back."""
    check_argument(size > 0, f"indices: expected a size of 1 or more, got {size}")
    return Draw(HypothesisSource(draw)).integers(_shape(draw, shape), -size if negative else 0, size - 1)


@composite
def labels(
    draw: DrawFn,
    classes: int,
    shape: Shape | SearchStrategy[Shape] | None = None,
    *,
    ignore_index: int | None = None,
) -> np.ndarray:
    """int64 arrays of classes; with ``ignore_index`` some labels are that, but never all (the mean would be NaN)."""
    check_argument(classes > 0, f"labels: expected one class or more, got {classes}")
    size, tool = _shape(draw, shape), Draw(HypothesisSource(draw))
    result = tool.integers(size, 0, classes - 1)
    if ignore_index is None or result.size < 2 or not tool.boolean():
        return result
    ignored = tool.mask(size)
    ignored.flat[tool.integer(0, result.size - 1)] = False
    return np.where(ignored, ignore_index, result)


@composite
def tensors(draw: DrawFn, strategy: SearchStrategy[Any], *, requires_grad: bool = False) -> Any:
    """What ``strategy`` draws, with each array as a Tensor that shares its memory, and so its layout.

    It looks into tuples, lists and dicts. ``requires_grad`` is for floating ones.

    >>> from hypothesis import given, settings
    >>> @settings(max_examples=5)
    ... @given(tensors(max_pool2d_arguments()))
    ... def test(arguments):
    ...     assert arguments["input"].ndim == 4
    >>> test()
    """

    def convert(value: Any) -> Any:
        if isinstance(value, np.ndarray):
            tensor: Tensor = wrap(value)
            return tensor.requires_grad_() if requires_grad and value.dtype.kind == "f" else tensor
        if isinstance(value, dict):
            return {name: convert(item) for name, item in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(convert(item) for item in value)
        return value

    return convert(draw(strategy))


# -------------------------------------------------------------------------- settings of convolution and pooling
def _windows(draw: Draw, max_padding: int | None = None) -> tuple[dict[str, tuple[int, int]], dict[str, Shape]]:
    """Settings of windows, each dimension with its own, and the sizes of the input and the result."""
    both = draw.window(max_padding=max_padding), draw.window(max_padding=max_padding)

    def pair(name: str) -> tuple[int, int]:
        return getattr(both[0], name), getattr(both[1], name)

    settings = dict(kernel_size=pair("kernel"), stride=pair("stride"), padding=pair("padding"))
    return dict(**settings, dilation=pair("dilation")), dict(size=pair("size"), out=pair("out"))


def _channels(draw: Draw, depthwise: bool | None) -> dict[str, int]:
    """Channels and groups: none, several, or one a channel."""
    groups = draw.integer(1, 3)
    alone = draw.boolean() if depthwise is None else depthwise
    per_group = 1 if alone else draw.integer(1, 2)
    return dict(in_channels=groups * per_group, out_channels=groups * draw.integer(1, 2), groups=groups)


def conv2d_settings(*, depthwise: bool | None = None) -> SearchStrategy[Settings]:
    """``(settings, input_shape)``: the arguments of ``nn.Conv2d`` but bias, and the shape (N,C,H,W) of images for it.

    Kernel, stride, padding and dilation differ between the dimensions; some images have rows or columns at the end
    that no window reaches. ``depthwise``: always (True), never more than by chance (False), or often (None).
    """

    def choose(draw: Draw) -> Settings:
        windows, sizes = _windows(draw, max_padding=3)
        channels = _channels(draw, depthwise)
        return dict(**channels, **windows), (draw.integer(1, 2), channels["in_channels"], *sizes["size"])

    return drawn(choose)


def conv_transpose2d_settings(*, depthwise: bool | None = None) -> SearchStrategy[Settings]:
    """``(settings, input_shape)``: the arguments of ``nn.ConvTranspose2d`` but bias, and the shape of images for it.

    As ``conv2d_settings``; ``output_padding`` stays below the stride or the dilation.
    """

    def choose(draw: Draw) -> Settings:
        windows, sizes = _windows(draw, max_padding=3)
        channels = _channels(draw, depthwise)
        least = (  # what stays of the image beyond the last window, as in conv2d
            size + 2 * padding - (out - 1) * stride - dilation * (kernel - 1) - 1
            for size, out, kernel, stride, padding, dilation in zip(*sizes.values(), *windows.values(), strict=True)
        )
        most = (max(pair) - 1 for pair in zip(windows["stride"], windows["dilation"], strict=True))
        extra = tuple(draw.integer(*bounds) for bounds in zip(least, most, strict=True))
        settings = dict(**channels, **windows, output_padding=extra)
        return settings, (draw.integer(1, 2), channels["in_channels"], *sizes["out"])

    return drawn(choose)


def _convolution(
    settings: SearchStrategy[Settings], filters: Callable[[dict[str, Any]], Shape], dtype: Any, layout: Any
) -> SearchStrategy[dict[str, Any]]:
    @composite
    def arguments(draw: DrawFn) -> dict[str, Any]:
        chosen, shape = draw(settings)
        weight = (*filters(chosen), *chosen["kernel_size"])
        has_bias = draw(st.booleans())
        return dict(
            input=draw(arrays(shape, dtype, layout=layout)),
            weight=draw(arrays(weight, dtype, layout=layout)),
            bias=draw(arrays((chosen["out_channels"],), dtype)) if has_bias else None,
            **{k: v for k, v in chosen.items() if k not in ("in_channels", "out_channels", "kernel_size")},
        )

    return arguments()


def conv2d_arguments(
    dtype: Any = np.float64, *, depthwise: bool | None = None, layout: str | Sequence[str] = "contiguous"
) -> SearchStrategy[dict[str, Any]]:
    """The arguments of ``nn.functional.conv2d``, arrays included (see ``tensors``)."""
    return _convolution(
        conv2d_settings(depthwise=depthwise),
        lambda s: (s["out_channels"], s["in_channels"] // s["groups"]),
        dtype,
        layout,
    )


def conv_transpose2d_arguments(
    dtype: Any = np.float64, *, depthwise: bool | None = None, layout: str | Sequence[str] = "contiguous"
) -> SearchStrategy[dict[str, Any]]:
    """The arguments of ``nn.functional.conv_transpose2d``, arrays included (see ``tensors``)."""
    return _convolution(
        conv_transpose2d_settings(depthwise=depthwise),
        lambda s: (s["in_channels"], s["out_channels"] // s["groups"]),
        dtype,
        layout,
    )


def _images(draw: Draw, size: Shape, dilation: tuple[int, int] = (1, 1)) -> Shape:
    """The shape of images for pooling, large enough that no dilated window lies in the padding alone."""
    return draw.integer(1, 2), draw.integer(1, 2), *map(max, size, dilation)


def max_pool2d_settings() -> SearchStrategy[Settings]:
    """``(settings, input_shape)``: the arguments of ``nn.MaxPool2d``, ceil_mode included, and the shape of images."""

    def choose(draw: Draw) -> Settings:
        windows, sizes = _windows(draw)
        shape = _images(draw, sizes["size"], windows["dilation"])
        return dict(**windows, ceil_mode=draw.boolean()), shape

    return drawn(choose)


def avg_pool2d_settings() -> SearchStrategy[Settings]:
    """``(settings, input_shape)``: the arguments of ``nn.AvgPool2d``, and the shape of images."""

    def choose(draw: Draw) -> Settings:
        windows, sizes = _windows(draw)
        del windows["dilation"]  # a size that fits dilated windows fits these
        means = dict(
            ceil_mode=draw.boolean(), count_include_pad=draw.boolean(), divisor_override=draw.choice([None, 1, 3])
        )
        return dict(**windows, **means), _images(draw, sizes["size"])

    return drawn(choose)


@composite
def max_pool2d_arguments(
    draw: DrawFn, dtype: Any = np.float64, *, layout: str | Sequence[str] = "contiguous"
) -> dict[str, Any]:
    """The arguments of ``nn.functional.max_pool2d``: distinct values, all negative now and then.

    Zeros as padding would win over negative values. Integers are distinct as far as the dtype reaches.
    """
    settings, shape = draw(max_pool2d_settings())
    low, high = draw(st.sampled_from([(-1.0, 1.0), (-2.0, -1.0)]))
    return dict(input=draw(arrays(shape, dtype, low=low, high=high, distinct=True, layout=layout)), **settings)


@composite
def avg_pool2d_arguments(
    draw: DrawFn, dtype: Any = np.float64, *, layout: str | Sequence[str] = "contiguous"
) -> dict[str, Any]:
    """The arguments of ``nn.functional.avg_pool2d``, the array included."""
    settings, shape = draw(avg_pool2d_settings())
    return dict(input=draw(arrays(shape, dtype, layout=layout)), **settings)
