"""Normalisation of channels (batch norm) and of rows (layer, group and instance norm), with their gradients."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels.rows import blocks, join, pixels_per_row
from tinygrad_cnn.kernels.workspace import workspace

Gradients = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


def column_sums(rows: np.ndarray) -> np.ndarray:
    """The sum of each column, by BLAS: several times faster than ``add.reduce`` along the first axis."""
    return np.asarray(np.ones(len(rows), rows.dtype) @ rows)


def repeat(values: np.ndarray, joined: int) -> np.ndarray:
    """One value a column, for rows that are ``joined``."""
    out = np.empty((joined, len(values)), values.dtype)
    out[...] = values
    return out.reshape(-1)


def scale_shift(rows: np.ndarray, scale: np.ndarray, shift: np.ndarray | None) -> np.ndarray:
    """``rows * scale + shift`` with a scale and a shift for each column."""
    joined = pixels_per_row(*rows.shape)
    wide_scale = repeat(scale, joined)
    wide_shift = None if shift is None else repeat(shift, joined)
    out = np.empty_like(rows)
    for block in blocks(rows, joined):
        part = join(out[block], joined)
        np.multiply(join(rows[block], joined), wide_scale, out=part)
        if wide_shift is not None:
            np.add(part, wide_shift, out=part)
    return out


def _sums(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each column the sum of ``rows`` and that of ``rows * others``, in one pass over memory."""
    joined = pixels_per_row(*rows.shape)
    sums = np.zeros(rows.shape[1])  # float64, so that only the sums within a block are rounded to the rows' dtype
    products = np.zeros(joined * rows.shape[1])
    for block in blocks(rows, joined):
        sums += column_sums(rows[block])
        products += np.einsum("ij,ij->j", join(rows[block], joined), join(others[block], joined))
    return sums, products.reshape(joined, -1).sum(0)


def _centred_products(rows: np.ndarray, mean: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """For each column the sum of ``(rows - mean) * others``, or of ``(rows - mean)**2``."""
    joined = pixels_per_row(*rows.shape)
    wide_mean = repeat(mean.astype(rows.dtype), joined)
    products = np.zeros(joined * rows.shape[1])
    for block in blocks(rows, joined):
        part = join(rows[block], joined)
        centred = np.subtract(part, wide_mean, out=workspace("norm_centred", part.shape, part.dtype))
        products += np.einsum("ij,ij->j", centred, centred if others is None else join(others[block], joined))
    return products.reshape(joined, -1).sum(0)


def _cancels(mean: np.ndarray, var: np.ndarray) -> bool:
    """Whether a mean is so large beside its standard deviation that differences of sums would lose digits."""
    return bool((mean * mean > 100 * var).any())


def channel_moments(rows: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The mean and the biased variance of each column."""
    sums, squares = _sums(rows, rows)
    mean = sums / len(rows)
    var = squares / len(rows) - mean * mean
    if _cancels(mean, var):
        var = _centred_products(rows, mean) / len(rows)
    return mean.astype(rows.dtype), var.astype(rows.dtype)


def batch_norm(
    rows: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(M,C) normalised over M -> the result, the mean (C,) and the biased variance (C,)."""
    mean, var = channel_moments(rows)
    scale = 1 / np.sqrt(var + eps)
    if weight is not None:
        scale *= weight
    shift = -mean * scale
    if bias is not None:
        shift += bias
    return scale_shift(rows, scale, shift), mean, var


def batch_norm_grads(
    g: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
    needs: tuple[bool, ...],
) -> Gradients:
    """The gradients of ``batch_norm`` for the rows, the weight and the bias; None where not needed.

    With the normalised rows h: d rows = weight / std * (g - mean(g) - h * mean(g * h)).
    """
    invstd = 1 / np.sqrt(var + eps)
    if not (needs[0] or needs[1]):
        return None, None, column_sums(g)
    sums, products = _sums(g, rows)
    if _cancels(mean, var):
        products = _centred_products(rows, mean, g)
    else:
        products -= mean * sums
    sum_g, sum_gh = sums.astype(rows.dtype), (products * invstd).astype(rows.dtype)
    if not needs[0]:
        return None, sum_gh, sum_g
    count = rows.dtype.type(len(rows))
    scale = invstd if weight is None else invstd * weight
    slope = -scale * invstd * sum_gh / count
    offset = -scale * sum_g / count - mean * slope
    joined = pixels_per_row(*rows.shape)
    wide_scale, wide_slope, wide_offset = (repeat(v, joined) for v in (scale, slope, offset))
    out = np.empty_like(rows)  # g * scale + rows * slope + offset
    for block in blocks(rows, joined):
        part, source = join(out[block], joined), join(rows[block], joined)
        scaled = workspace("norm_centred", source.shape, rows.dtype)
        np.multiply(join(g[block], joined), wide_scale, out=part)
        np.multiply(source, wide_slope, out=scaled)
        np.add(part, scaled, out=part)
        np.add(part, wide_offset, out=part)
    return out, sum_gh, sum_g


def layer_norm(
    rows: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R,K) normalised over K -> the result, the mean (R,) and the biased variance (R,)."""
    count, width = rows.shape
    size = rows.dtype.type(width)
    ones = np.ones(width, rows.dtype)
    mean = rows @ ones / size
    var = np.empty(count, rows.dtype)
    out = np.empty_like(rows)
    for block in blocks(rows, 1):
        part = out[block]
        np.subtract(rows[block], mean[block, None], out=part)
        var[block] = np.einsum("ij,ij->i", part, part) / size
        part *= 1 / np.sqrt(var[block, None] + eps)
        if weight is not None:
            part *= weight
        if bias is not None:
            part += bias
    return out, mean, var


def layer_norm_grads(
    g: np.ndarray,
    rows: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    eps: float,
    needs: tuple[bool, ...],
) -> Gradients:
    """The gradients of ``layer_norm`` for the rows, the weight and the bias; None where not needed."""
    width = rows.shape[1]
    size = rows.dtype.type(width)
    ones = np.ones(width, rows.dtype)
    invstd = 1 / np.sqrt(var + eps)
    weight_grad = np.zeros(width, rows.dtype)
    out = np.empty_like(rows)
    for block in blocks(rows, 1):
        normal, upstream = out[block], g[block]
        np.subtract(rows[block], mean[block, None], out=normal)
        normal *= invstd[block, None]
        if needs[1]:
            weight_grad += np.einsum("ij,ij->j", normal, upstream)
        if not needs[0]:
            continue
        if weight is not None:
            upstream = upstream * weight
        normal *= np.einsum("ij,ij->i", normal, upstream)[:, None] / -size
        normal += upstream
        normal -= (upstream @ ones / size)[:, None]
        normal *= invstd[block, None]
    return out if needs[0] else None, weight_grad if needs[1] else None, column_sums(g) if needs[2] else None
