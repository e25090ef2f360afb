"""Resizing images and sampling them anywhere: strict ops; ``nn.functional.vision`` has PyTorch's signatures.

Closed families: resizing with matrices is its own adjoint with the transposed ones; {upsample_nearest2d,
add_nearest} and {take_pixels, add_pixels} are each other's.
"""

from __future__ import annotations

import functools
import math
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.op import Op, differentiable
from tinygrad_cnn.backend import Array, require_floating
from tinygrad_cnn.errors import ShapeError
from tinygrad_cnn.kernels import resize as kernels
from tinygrad_cnn.kernels.pixels import Pair

__all__: list[str] = []


# --------------------------------------------------------------------------------- resizing by matrices
def _drawn_matrix(draw: Any, side: int) -> Array:
    """Any matrix with ``side`` columns, or one that resizes, compared with its definition."""
    out, kind = draw.integer(1, 6), draw.choice(["any", "linear", "cubic", "area"])
    if kind == "any":
        return np.asarray(draw.array((out, side)))
    scale, align_corners = draw.choice([None, out / side, 1.5]), draw.boolean()
    if kind != "area" and draw.boolean():
        smooth = kernels.smooth_matrix(kind, side, out, None, False, "float64")
        expected = [_smooth_weights(kind, side, i, out) for i in range(out)]
        np.testing.assert_allclose(smooth, expected, atol=1e-12, err_msg=f"smooth {kind} from {side} to {out}")
        return smooth
    matrix = kernels.matrix(kind, side, out, scale, align_corners, "float64")
    expected = [_weights(kind, side, i, out, scale or out / side, align_corners) for i in range(out)]
    np.testing.assert_allclose(matrix, expected, atol=1e-12, err_msg=f"{kind} from {side} to {out}, scale {scale}")
    return matrix


def _weights(kind: str, side: int, i: int, out: int, scale: float, align_corners: bool) -> list[float]:
    """How much of each of ``side`` pixels is in the i-th of ``out``; beyond the border its pixel goes on."""
    if kind == "area":
        covered = range(math.floor(i * side / out), math.ceil((i + 1) * side / out))
        return [(j in covered) / len(covered) for j in range(side)]
    place = i * (side - 1) / max(out - 1, 1) if align_corners else (i + 0.5) / scale - 0.5
    if kind == "linear":
        place = min(max(place, 0.0), side - 1)
    place = min(place, math.nextafter(side, 0))  # a scale may reach further than the image
    weights = [0.0] * side
    for j in range(-2, side + 3):
        away = abs(place - j)
        if kind == "linear":
            weight = max(1 - away, 0.0)
        elif away <= 1:
            weight = 1.25 * away**3 - 2.25 * away**2 + 1
        else:
            weight = -0.75 * (away**3 - 5 * away**2 + 8 * away - 4) if away < 2 else 0.0
        weights[min(max(j, 0), side - 1)] += weight
    return weights


def _smooth_weights(kind: str, side: int, i: int, out: int) -> list[float]:
    """How much of each of ``side`` pixels is in the i-th of ``out`` if the filter is stretched with the pixels."""
    width = max(side / out, 1)
    weights = []
    for j in range(side):
        away = abs((j + 0.5) - (i + 0.5) * side / out) / width
        if kind == "linear":
            weights.append(max(1 - away, 0))
        elif away < 1:
            weights.append(1.5 * away**3 - 2.5 * away**2 + 1)
        else:
            weights.append(-0.5 * (away**3 - 5 * away**2 + 8 * away - 4) if away < 2 else 0.0)
    return [weight / sum(weights) for weight in weights]


def _declare(name: str, grad_name: str | None = None) -> Op:
    """The same linear map under each of the names that PyTorch has for it."""

    def forward(input: Array, rows: Any, columns: Any) -> Array:
        """``rows @ input @ columns.T`` on the last two dimensions, (..., H, W) -> (..., OH, OW)."""
        return kernels.resample(input, rows, columns)

    op = differentiable(name=name, grad_name=grad_name)(forward)
    op.gradients(input=lambda g, rows, columns: resample(g, rows.T, columns.T))

    @op.check
    def _(input: Array, rows: Any, columns: Any) -> None:
        require_floating(input, name)
        size = (rows.shape[1], columns.shape[1])
        if input.shape[-2:] != size:
            raise ShapeError(f"{name}: the matrices expect images of size {size}, got shape {input.shape}")

    op.refuses(ShapeError, "images of size (3, 2)", input=(1, 2, 2), rows=np.ones((4, 3)), columns=np.ones((4, 2)))

    @op.samples
    def _(draw: Any) -> dict[str, Any]:
        shape = draw.shape(min_dims=2, max_dims=4, max_side=draw.choice([4, 6]))
        matrices = (_drawn_matrix(draw, side) for side in shape[-2:])
        return dict(zip(("input", "rows", "columns"), (draw.array(shape), *matrices), strict=True))

    @op.reference
    def _(input: Array, rows: Any, columns: Any) -> Array:
        out = np.zeros((*input.shape[:-2], len(rows), len(columns)))
        for *outer, i, j in np.ndindex(*out.shape):
            for k, m in np.ndindex(*input.shape[-2:]):
                out[(*outer, i, j)] += rows[i, k] * input[(*outer, k, m)] * columns[j, m]
        return out

    return op


resample = _declare("resample")
adaptive_avg_pool2d = _declare("adaptive_avg_pool2d", "AdaptiveAvgPool2DBackward0")
upsample_bilinear2d = _declare("upsample_bilinear2d", "UpsampleBilinear2DBackward0")
upsample_bicubic2d = _declare("upsample_bicubic2d", "UpsampleBicubic2DBackward0")
upsample_bilinear2d_aa = _declare("upsample_bilinear2d_aa", "UpsampleBilinear2DAaBackward0")
upsample_bicubic2d_aa = _declare("upsample_bicubic2d_aa", "UpsampleBicubic2DAaBackward0")


# ------------------------------------------------------------------------------------ nearest neighbours
@differentiable(grad_name="UpsampleNearest2DBackward0")
def upsample_nearest2d(input: Array, rows: Any, columns: Any) -> Array:
    """The elements at ``rows`` and ``columns``, two integer arrays that never fall: (..., H, W) -> (..., OH, OW)."""
    return kernels.take_nearest(input, rows, columns)


@differentiable
def add_nearest(input: Array, rows: Any, columns: Any, output_size: Pair) -> Array:
    """Add each element to the one that it was taken from: the adjoint of ``upsample_nearest2d``."""
    return kernels.add_nearest(input, rows, columns, output_size)


upsample_nearest2d.gradients(
    input=lambda g, input_shape, rows, columns: add_nearest(g, rows, columns, input_shape[-2:])
)
add_nearest.gradients(input=lambda g, rows, columns: upsample_nearest2d(g, rows, columns))


@add_nearest.check
def _(input: Array, rows: Any, columns: Any, output_size: Pair) -> None:
    if input.shape[-2:] != (len(rows), len(columns)):
        raise ShapeError(f"add_nearest: expected {len(rows)} x {len(columns)} pixels, got shape {input.shape}")


add_nearest.refuses(
    ShapeError, "expected 2 x 1 pixels", input=(1, 2, 2), rows=np.arange(2), columns=np.arange(1), output_size=(4, 4)
)


def _nearest_samples(draw: Any) -> tuple[tuple[int, ...], Array, Array]:
    shape = draw.shape(min_dims=2, max_dims=4)
    outs = (draw.choice([side, 2 * side, 3 * side, 5, 1]) for side in shape[-2:])
    rows, columns = (
        kernels.nearest_index(side, out, None, draw.boolean()) for side, out in zip(shape[-2:], outs, strict=True)
    )
    return shape, rows, columns


@upsample_nearest2d.samples
def _(draw: Any) -> dict[str, Any]:
    shape, rows, columns = _nearest_samples(draw)
    return dict(input=draw.array(shape), rows=rows, columns=columns)


@upsample_nearest2d.reference
def _(input: Array, rows: Any, columns: Any) -> Array:
    out = np.empty((*input.shape[:-2], len(rows), len(columns)))
    for *outer, i, j in np.ndindex(*out.shape):
        out[(*outer, i, j)] = input[(*outer, rows[i], columns[j])]
    return out


@add_nearest.samples
def _(draw: Any) -> dict[str, Any]:
    shape, rows, columns = _nearest_samples(draw)
    input = draw.array((*shape[:-2], len(rows), len(columns)))
    return dict(input=input, rows=rows, columns=columns, output_size=shape[-2:])


@add_nearest.reference
def _(input: Array, rows: Any, columns: Any, output_size: Pair) -> Array:
    out = np.zeros((*input.shape[:-2], *output_size))
    for *outer, i, j in np.ndindex(*input.shape):
        out[(*outer, rows[i], columns[j])] += input[(*outer, i, j)]
    return out


# --------------------------------------------------------------------------------- sampling at any place
@differentiable(residuals=("slope",))
def sampling_coordinates(input: Array, side: int, padding_mode: str, align_corners: bool) -> tuple[Array, Array]:
    """Grid positions in [-1, 1] as pixel coordinates of a side (Jaderberg et al. 2015, section 3.3)."""
    return kernels.coordinates(input, side, padding_mode, align_corners)


@sampling_coordinates.check
def _(input: Array, side: int, padding_mode: str, align_corners: bool) -> None:
    require_floating(input, "grid_sample")


sampling_coordinates.exempt(nan="a place that is NaN is at the border, if places there are")
sampling_coordinates.gradients(input=lambda g, slope: g * slope)


@sampling_coordinates.samples
def _(draw: Any) -> dict[str, Any]:
    side = draw.integer(1, 4)
    kinks = [x for k in range(-6, 9) for x in (2 * k / max(side - 1, 1) - 1, (2 * k + 1) / side - 1, 2 * k - 1)]
    mode = draw.choice(["zeros", "border", "reflection"])
    values = draw.array(draw.shape(), -2.0, 2.0, away_from=kinks, margin=0.01)
    return dict(input=values, side=side, padding_mode=mode, align_corners=draw.boolean())


@sampling_coordinates.reference
@functools.partial(np.vectorize, otypes=[float])
def _(x: float, side: int, padding_mode: str, align_corners: bool) -> float:
    place = (x + 1) / 2 * (side - 1) if align_corners else ((x + 1) * side - 1) / 2
    low, high = (0, side - 1) if align_corners else (-0.5, side - 0.5)
    if padding_mode == "reflection":
        while low < high and not low <= place <= high:
            place = 2 * low - place if place < low else 2 * high - place
        place = place if low < high else 0
    return place if padding_mode == "zeros" else min(max(place, 0), side - 1)


@differentiable
def take_pixels(input: Array, index: Array) -> Array:
    """Elements at flat indices into H x W; indices (N, 1, OH, OW) serve all channels of (N, C, H, W)."""
    return kernels.take_pixels(input, index)


@differentiable
def add_pixels(input: Array, index: Array, output_size: Pair) -> Array:
    """Add elements to zeros of ``output_size`` at flat indices: the adjoint of ``take_pixels``."""
    return kernels.add_pixels(input, index, output_size)


@differentiable(grad_name="MaxUnpool2DBackward0")
def max_unpool2d(input: Array, index: Array, output_size: Pair) -> Array:
    """Write elements to zeros of ``output_size`` at flat indices, where max pooling found them."""
    return kernels.put_pixels(input, index, output_size)


take_pixels.gradients(input=lambda g, input_shape, index: add_pixels(g, index, input_shape[-2:]))
add_pixels.gradients(input=lambda g, index: take_pixels(g, index))
max_unpool2d.gradients(input=lambda g, index: take_pixels(g, index))


def _pixel_samples(draw: Any, shared: bool, distinct: bool = False) -> dict[str, Any]:
    """A size, indices into it, and values that stand at them."""
    size = draw.integer(1, 3), draw.integer(1, 3)
    outer = draw.integer(1, 2), draw.integer(1, 2)
    out = (1, draw.integer(1, size[0] * size[1])) if distinct else (draw.integer(1, 3), 2)
    index = draw.integers((outer[0], 1 if shared else outer[1], *out), 0, size[0] * size[1] - 1)
    if distinct:
        index = np.argsort(draw.distinct((*outer, size[0] * size[1])))[..., None, : out[1]]
    return dict(input=draw.array((*outer, *out)), index=index, output_size=size)


def _added(input: Array, index: Array, output_size: Pair) -> Array:
    out = np.zeros((*input.shape[:-2], output_size[0] * output_size[1]))
    for n, c, i, j in np.ndindex(*input.shape):
        out[n, c, np.broadcast_to(index, input.shape)[n, c, i, j]] += input[n, c, i, j]
    return out.reshape(*input.shape[:-2], *output_size)


add_pixels.samples(lambda draw: _pixel_samples(draw, shared=draw.boolean()))
add_pixels.reference(_added)
max_unpool2d.samples(lambda draw: _pixel_samples(draw, shared=False, distinct=True))
max_unpool2d.reference(_added)


@take_pixels.samples
def _(draw: Any) -> dict[str, Any]:
    settings = _pixel_samples(draw, shared=draw.boolean())
    size = settings.pop("output_size")
    return dict(input=draw.array((*settings["input"].shape[:-2], *size)), index=settings["index"])


@take_pixels.reference
def _(input: Array, index: Array) -> Array:
    out = np.empty((*input.shape[:-2], *index.shape[-2:]))
    for n, c, i, j in np.ndindex(*out.shape):
        out[n, c, i, j] = input[n, c].ravel()[index[n, c if index.shape[1] > 1 else 0, i, j]]
    return out
