"""Normalisation of channels (batch norm) and of rows (layer, group and instance norm), with their gradients."""

from __future__ import annotations

import numpy as np

from tinygrad_cnn.kernels import spare
from tinygrad_cnn.kernels.half import in_single
from tinygrad_cnn.kernels.rows import (
    blocks,
    column_sums,
    fold,
    join,
    joined_pixels,
    over_samples,
    over_shares,
    repeat,
    rows_joined,
)
from tinygrad_cnn.kernels.workspace import workspace

Gradients = tuple[np.ndarray | None, np.ndarray | None, np.ndarray | None]


def scale_shift(rows: np.ndarray, scale: np.ndarray, shift: np.ndarray | None) -> np.ndarray:
    """``rows * scale + shift`` with a scale and a shift for each column."""
    joined = rows_joined(rows)
    wide_scale, wide_shift = repeat(scale, joined), None if shift is None else repeat(shift, joined)
    out = np.empty_like(rows)

    def work(share: slice) -> None:
        for block, count in blocks(rows, share, joined):
            part, width = join(out[block], count), count * rows.shape[1]
            np.multiply(join(rows[block], count), wide_scale[:width], out=part)
            if wide_shift is not None:
                np.add(part, wide_shift[:width], out=part)

    over_shares(work, rows, 2)
    return out


def _sums(rows: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """For each column the sum of ``rows`` and that of ``rows * others``, in one pass over memory."""
    joined = rows_joined(rows)

    def work(share: slice) -> tuple[np.ndarray, np.ndarray]:
        sums, products = np.zeros((2, joined * rows.shape[1]))  # float64: only within a block sums are rounded
        for block, count in blocks(rows, share, joined):
            part, other, width = join(rows[block], count), join(others[block], count), count * rows.shape[1]
            sums[:width] += np.add.reduce(part, axis=0)
            products[:width] += np.einsum("ij,ij->j", part, other)
        return sums, products

    sums, products = zip(*over_shares(work, rows, 2), strict=True)
    return fold(sums, joined), fold(products, joined)


def _centred_products(rows: np.ndarray, mean: np.ndarray, others: np.ndarray | None = None) -> np.ndarray:
    """For each column the sum of ``(rows - mean) * others``, or of ``(rows - mean)**2``."""
    joined = rows_joined(rows)
    wide_mean = repeat(mean.astype(rows.dtype), joined)

    def work(share: slice) -> np.ndarray:
        products = np.zeros(joined * rows.shape[1])
        for block, count in blocks(rows, share, joined):
            part, width = join(rows[block], count), count * rows.shape[1]
            centred = np.subtract(part, wide_mean[:width], out=workspace("norm_centred", part.shape, part.dtype))
            other = centred if others is None else join(others[block], count)
            products[:width] += np.einsum("ij,ij->j", centred, other)
        return products

    return fold(over_shares(work, rows, 3), joined)


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


@in_single
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


@in_single
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
    offset = -scale * sum_g / count - mean * slope  # d rows = g * scale + rows * slope + offset
    joined = rows_joined(rows)
    wide = [repeat(v, joined) for v in (scale, slope, offset)]
    out = spare.like(g)

    def work(share: slice) -> None:
        for block, count in blocks(rows, share, joined):
            part, source = join(out[block], count), join(rows[block], count)
            wide_scale, wide_slope, wide_offset = (values[: part.shape[1]] for values in wide)
            sloped = workspace("norm_centred", source.shape, rows.dtype)
            np.multiply(join(g[block], count), wide_scale, out=part)
            np.multiply(source, wide_slope, out=sloped)
            np.add(part, sloped, out=part)
            np.add(part, wide_offset, out=part)

    over_shares(work, rows, 4)
    return out, sum_gh, sum_g


@in_single
def layer_norm(
    rows: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(R,K) normalised over K -> the result, the mean (R,) and the biased variance (R,)."""
    size = rows.dtype.type(rows.shape[1])
    mean, var, out = np.empty(len(rows), rows.dtype), np.empty(len(rows), rows.dtype), np.empty_like(rows)

    def work(share: slice) -> None:
        for block, _ in blocks(rows, share, 1):
            part = out[block]
            np.divide(np.einsum("ij->i", rows[block]), size, out=mean[block])
            np.subtract(rows[block], mean[block, None], out=part)
            np.divide(np.einsum("ij,ij->i", part, part), size, out=var[block])
            part *= 1 / np.sqrt(var[block, None] + eps)
            if weight is not None:
                part *= weight
            if bias is not None:
                part += bias

    over_shares(work, rows, 6)
    return out, mean, var


@in_single
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
    size = rows.dtype.type(rows.shape[1])
    invstd = 1 / np.sqrt(var + eps)
    out = np.empty_like(rows)

    def work(share: slice) -> np.ndarray:
        weight_grad = np.zeros(rows.shape[1])
        for block, _ in blocks(rows, share, 1):
            normal, upstream = out[block], g[block]
            np.subtract(rows[block], mean[block, None], out=normal)
            normal *= invstd[block, None]
            if needs[1]:
                weight_grad += np.einsum("ij,ij->j", normal, upstream)
            if not needs[0]:
                continue
            if weight is not None:
                upstream = np.multiply(upstream, weight, out=workspace("norm_upstream", normal.shape, normal.dtype))
            normal *= np.einsum("ij,ij->i", normal, upstream)[:, None] / -size
            normal += upstream
            normal -= (np.einsum("ij->i", upstream) / size)[:, None]
            normal *= invstd[block, None]
        return weight_grad

    weight_grad = fold(over_shares(work, rows, 8), 1).astype(rows.dtype)
    return out if needs[0] else None, weight_grad if needs[1] else None, column_sums(g) if needs[2] else None


# ------------------------------------------------------------------------------- groups of channels, by sample
def _by_group(values: np.ndarray, groups: int) -> np.ndarray:
    """The sum of (n, C) over each group of neighbouring channels, (n, groups)."""
    return values.reshape(len(values), groups, values.shape[1] // groups).sum(2)


def _by_channel(values: np.ndarray, channels: int) -> np.ndarray:
    """One value a group, (n, groups), as one a channel, (n, C)."""
    return np.repeat(values, channels // values.shape[1], axis=1)


def _wide(values: np.ndarray, joined: int, dtype: np.dtype) -> np.ndarray:
    """One value a sample and channel, (n, C), for rows that are joined."""
    return np.tile(values.astype(dtype), joined)[:, None]


def _unjoined(sums: np.ndarray, joined: int) -> np.ndarray:
    """What was found for each column of joined rows, as one value a sample and channel."""
    return sums.reshape(len(sums), joined, sums.shape[1] // joined).sum(1, dtype=np.float64)


@in_single
def group_norm(
    images: np.ndarray, weight: np.ndarray | None, bias: np.ndarray | None, groups: int, eps: float
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """(N,P,C), each group of channels of each sample normalised -> the result, mean and biased variance (N,groups)."""
    n, pixels, c = images.shape
    size, dtype = max(1, pixels * c // groups), images.dtype
    mean, var, out = np.empty((n, groups), dtype), np.empty((n, groups), dtype), np.empty_like(images)

    def work(block: slice) -> None:
        sums = squares = np.zeros((1, c))
        for rows, joined in joined_pixels(images[block]):
            sums = sums + _unjoined(np.add.reduce(rows, axis=1), joined)
        mean[block] = _by_group(sums, groups) / size
        parts = list(zip(joined_pixels(images[block]), joined_pixels(out[block]), strict=True))
        for (rows, joined), (result, _) in parts:
            np.subtract(rows, _wide(_by_channel(mean[block], c), joined, dtype), out=result)
            squares = squares + _unjoined(np.einsum("npk,npk->nk", result, result), joined)
        var[block] = _by_group(squares, groups) / size
        scale = _by_channel(1 / np.sqrt(var[block] + eps), c)
        for _, (result, joined) in parts:
            result *= _wide(scale if weight is None else scale * weight, joined, dtype)
            if bias is not None:
                result += _wide(bias[None], joined, dtype)

    over_samples(work, images, 6)
    return out, mean, var


@in_single
def group_norm_grads(
    g: np.ndarray,
    images: np.ndarray,
    weight: np.ndarray | None,
    mean: np.ndarray,
    var: np.ndarray,
    groups: int,
    eps: float,
    needs: tuple[bool, ...],
) -> Gradients:
    """The gradients of ``group_norm`` for the images, the weight and the bias; None where not needed.

    With the normalised values h, and means over each group: d x = (g w - mean(g w) - h * mean(g w h)) / std.
    """
    _, pixels, c = images.shape
    size, dtype, factor = max(1, pixels * c // groups), images.dtype, 1 if weight is None else weight
    out = np.empty_like(images)

    def work(block: slice) -> tuple[np.ndarray, np.ndarray]:
        invstd, centre = _by_channel(1 / np.sqrt(var[block] + eps), c), _by_channel(mean[block], c)
        products = sums = np.zeros((1, c))
        parts = list(zip(*(joined_pixels(a[block]) for a in (images, g, out)), strict=True))
        for (rows, joined), (upstream, _), (result, _) in parts:
            np.subtract(rows, _wide(centre, joined, dtype), out=result)
            result *= _wide(invstd, joined, dtype)
            products = products + _unjoined(np.einsum("npk,npk->nk", upstream, result), joined)
            sums = sums + _unjoined(np.add.reduce(upstream, axis=1), joined)
        if needs[0]:
            of_products, of_sums = (_by_channel(_by_group(s * factor, groups) / size, c) for s in (products, sums))
            for (rows, joined), (upstream, _), (result, _) in parts:
                weighted = workspace("norm_upstream", rows.shape, dtype)
                result *= _wide(-of_products * invstd, joined, dtype)
                result += np.multiply(upstream, _wide(invstd * factor, joined, dtype), out=weighted)
                result -= _wide(of_sums * invstd, joined, dtype)
        return products.sum(0), sums.sum(0)

    found = over_samples(work, images, 8)
    weight_grad, bias_grad = np.zeros((2, c), dtype) if not found else np.sum(found, axis=0).astype(dtype)
    return out if needs[0] else None, weight_grad if needs[1] else None, bias_grad if needs[2] else None
