"""Einstein summation, in products of batches of matrices."""

from __future__ import annotations

import math
import string
from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.errors import ArgumentError, GraphError, ShapeError
from tinygrad_cnn.ops.diagonal import diagonal
from tinygrad_cnn.ops.matmul import batched_mm
from tinygrad_cnn.ops.permute import permute
from tinygrad_cnn.ops.shape import expand, reshape

__all__ = ["einsum", "kron"]


def einsum(*args: Any) -> Tensor:
    """The sums of products that an equation such as ``"bij,bjk->bik"`` describes.

    Every letter is a dimension; those missing on the right are summed over; ``...`` stands for any number of
    dimensions, which are broadcast. Without ``->`` the letters that occur once are kept, in alphabetical order.

    >>> import tinygrad_cnn as tg
    >>> tg.einsum("ij,j->i", tg.ones(2, 3), tg.ones(3))
    tensor([3., 3.])
    """
    equation, operands = _arguments(args)
    terms, result = _parse(equation, [x._array.ndim for x in operands])
    parts = [_without_repeats(x, term) for x, term in zip(operands, terms, strict=True)]
    sizes = _sizes(parts)
    for letter in result:
        if letter not in sizes:
            raise GraphError(
                f"einsum(): output subscript {letter} does not appear in the equation for any input operand"
            )
    tensor, letters = parts[0]
    for position, (other, own) in enumerate(parts[1:], start=1):
        later = {letter for _, term in parts[position + 1 :] for letter in term} | set(result)
        tensor, letters = _contract(tensor, letters, other, own, later, sizes)
    tensor, letters = _sum_out(tensor, letters, set(result))
    return permute(tensor, [letters.index(letter) for letter in result])


def _arguments(args: tuple[Any, ...]) -> tuple[str, list[Tensor]]:
    """The equation and the operands, of either form: a string first, or a list of numbers after each operand."""
    if not args:
        raise ArgumentError("einsum(): must specify the equation string and at least one operand")
    if isinstance(args[0], str):
        operands = list(args[1:])
        if len(operands) == 1 and isinstance(operands[0], list | tuple):
            operands = list(operands[0])
        if not operands:
            raise ArgumentError("einsum(): must specify the equation string and at least one operand")
        return args[0].replace(" ", ""), operands

    def text(subscripts: Sequence[Any]) -> str:
        return "".join("..." if s is Ellipsis else string.ascii_letters[s] for s in subscripts)

    pairs = list(zip(args[0::2], args[1::2], strict=False))
    equation = ",".join(text(subscripts) for _, subscripts in pairs)
    if len(args) % 2:
        equation += "->" + text(args[-1])
    return equation, [tensor for tensor, _ in pairs]


def _parse(equation: str, dims: list[int]) -> tuple[list[str], str]:
    """The letters of each operand and of the result; dimensions of ``...`` get capital letters of their own."""
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if len(terms) != len(dims):
        raise GraphError(f"einsum(): the equation {equation!r} has {len(terms)} operands, but {len(dims)} were given")
    for part in (*terms, right):
        if part.replace("...", "", 1).strip(string.ascii_letters):
            raise GraphError(f"einsum(): invalid subscript in {part!r}: expected letters and at most one '...'")
    free = [c for c in reversed(string.ascii_letters) if c not in equation]
    spans = [dim - len(term.replace("...", "")) for term, dim in zip(terms, dims, strict=True)]
    for term, span, dim in zip(terms, spans, dims, strict=True):
        if span < 0 or (span and "..." not in term):
            raise GraphError(
                f"einsum(): the number of subscripts in {term!r} does not match the number of dimensions "
                f"({dim}) of its operand"
            )
    names = "".join(free[: max((span for term, span in zip(terms, spans, strict=True) if "..." in term), default=0)])
    full = [t.replace("...", names[len(names) - span :]) for t, span in zip(terms, spans, strict=True)]
    if arrow:
        if len(set(right.replace("...", ""))) < len(right.replace("...", "")):
            raise GraphError(f"einsum(): a letter appears twice in the output {right!r}")
        return full, right.replace("...", names)
    letters = "".join(terms).replace("...", "")
    return full, names + "".join(sorted(c for c in set(letters) if letters.count(c) == 1))


def _without_repeats(tensor: Tensor, term: str) -> tuple[Any, str]:
    """Take the diagonal for each letter that occurs twice in one operand."""
    while len(set(term)) < len(term):
        letter = next(c for c in term if term.count(c) > 1)
        first, second = [i for i, c in enumerate(term) if c == letter][:2]
        if tensor._array.shape[first] != tensor._array.shape[second]:
            raise ShapeError(
                f"einsum(): subscript {letter} is repeated but the sizes don't match, {tensor._array.shape}"
            )
        tensor = diagonal(tensor, 0, first, second)
        term = "".join(c for i, c in enumerate(term) if i not in (first, second)) + letter
    return tensor, term


def _sizes(parts: Sequence[tuple[Any, str]]) -> dict[str, int]:
    sizes: dict[str, int] = {}
    for tensor, term in parts:
        for letter, side in zip(term, tensor.shape, strict=True):
            known = sizes.get(letter, 1)
            if known != side and 1 not in (known, side):
                raise ShapeError(
                    f"einsum(): operands do not broadcast: dimension {letter} has sizes {known} and {side}"
                )
            sizes[letter] = side if known == 1 else known
    return sizes


def _sum_out(tensor: Any, letters: str, kept: set[str], dtype: Any = None) -> tuple[Any, str]:
    """Sum over the letters that nobody needs any more."""
    dims = tuple(i for i, c in enumerate(letters) if c not in kept)
    if not dims:
        return tensor, letters
    return tensor.sum(dims, dtype=dtype), "".join(c for c in letters if c in kept)


def _contract(a: Any, own_a: str, b: Any, own_b: str, later: set[str], sizes: dict[str, int]) -> tuple[Any, str]:
    """The product of two operands as one product of batches of matrices, summed over what isn't needed later."""
    a, own_a = _sum_out(a, own_a, later | set(own_b), a.dtype)
    b, own_b = _sum_out(b, own_b, later | set(own_a), b.dtype)
    shared = [c for c in own_a if c in own_b]
    batch, summed = [c for c in shared if c in later], [c for c in shared if c not in later]
    rows, columns = [c for c in own_a if c not in shared], [c for c in own_b if c not in shared]

    def as_matrices(x: Any, own: str, *groups: list[str]) -> Any:
        wanted = [c for group in groups for c in group]
        x = permute(x, [own.index(c) for c in wanted])
        full = tuple(side if c not in shared else sizes[c] for c, side in zip(wanted, x.shape, strict=True))
        x = x if tuple(x.shape) == full else expand(x, full)
        count = dict(zip(wanted, full, strict=True))
        return reshape(x, tuple(math.prod(count[c] for c in group) for group in groups)), count

    left, count_a = as_matrices(a, own_a, batch, rows, summed)
    right, count_b = as_matrices(b, own_b, batch, summed, columns)
    count = {**count_a, **count_b}
    letters = "".join(batch + rows + columns)
    return reshape(batched_mm(left, right), tuple(count[c] for c in letters)), letters


def kron(input: Tensor, other: Tensor) -> Any:
    """The Kronecker product: ``other`` in each place of ``input``, times that element."""
    ndim = max(input._array.ndim, other._array.ndim)
    a, b = ((1,) * (ndim - x._array.ndim) + x._array.shape for x in (input, other))
    product = reshape(input, tuple(s for side in a for s in (side, 1))) * reshape(
        other, tuple(s for side in b for s in (1, side))
    )
    return reshape(product, tuple(p * q for p, q in zip(a, b, strict=True)))
