"""Datasets: where samples come from, and how datasets are put together."""

from __future__ import annotations

import bisect
import itertools
import math
import warnings
from collections.abc import Iterable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Generator
from tinygrad_cnn.errors import ArgumentError, DatasetError, IndexRangeError, UnsupportedError
from tinygrad_cnn.ops.random import randperm

__all__ = [
    "ChainDataset",
    "ConcatDataset",
    "Dataset",
    "IterableDataset",
    "StackDataset",
    "Subset",
    "TensorDataset",
    "random_split",
]

T_co = TypeVar("T_co", covariant=True)
T = TypeVar("T")


class Dataset(Generic[T_co]):
    """A map from an index to a sample. A subclass defines ``__getitem__``, and usually ``__len__``.

    One that can fetch many samples at once may define ``__getitems__(indices)``, which returns a list of them.
    """

    def __getitem__(self, index: Any) -> T_co:
        raise UnsupportedError(f"{type(self).__name__}: a Dataset must define __getitem__")

    def __add__(self, other: Dataset[Any]) -> ConcatDataset[Any]:
        return ConcatDataset([self, other])


class IterableDataset(Dataset[T_co]):
    """A stream of samples. A subclass defines ``__iter__``.

    In a DataLoader with workers every worker iterates over a (shallow) copy of its own; ``get_worker_info()`` says
    which part of the stream is its to give.
    """

    def __iter__(self) -> Iterator[T_co]:
        raise UnsupportedError(f"{type(self).__name__}: an IterableDataset must define __iter__")

    def __add__(self, other: Dataset[Any]) -> Any:
        return ChainDataset([self, other])


class TensorDataset(Dataset[tuple[Tensor, ...]]):
    """Samples ``(tensors[0][i], tensors[1][i], ...)`` of tensors with equal first sizes.

    >>> import tinygrad_cnn as tg
    >>> TensorDataset(tg.zeros(3, 2), tg.tensor([7, 8, 9]))[1]
    (tensor([0., 0.]), tensor(8))
    """

    def __init__(self, *tensors: Tensor) -> None:
        if not tensors:
            raise DatasetError("TensorDataset: expected at least one tensor, got none")
        sizes = [tensor.size(0) for tensor in tensors]
        if len(set(sizes)) > 1:
            raise DatasetError(f"TensorDataset: Size mismatch between tensors: their first sizes are {sizes}")
        self.tensors = tensors

    def __getitem__(self, index: Any) -> tuple[Tensor, ...]:
        return tuple(tensor[index] for tensor in self.tensors)

    def __len__(self) -> int:
        return len(self.tensors[0])


class StackDataset(Dataset[Any]):
    """Samples that take one sample of each dataset: a tuple, or a dict if the datasets are given by keyword.

    >>> StackDataset(image="ab", label=[0, 1])[1]
    {'image': 'b', 'label': 1}
    """

    datasets: tuple[Any, ...] | dict[str, Any]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        if bool(args) == bool(kwargs):
            raise ArgumentError("StackDataset: expected datasets, either all as arguments or all as keyword arguments")
        self.datasets = args or kwargs
        lengths = [len(dataset) for dataset in args or kwargs.values()]
        if len(set(lengths)) > 1:
            raise ArgumentError(f"StackDataset: Size mismatch between datasets: their lengths are {lengths}")
        self._length = lengths[0]

    def __getitem__(self, index: Any) -> Any:
        if isinstance(self.datasets, dict):
            return {name: dataset[index] for name, dataset in self.datasets.items()}
        return tuple(dataset[index] for dataset in self.datasets)

    def __len__(self) -> int:
        return self._length


class ConcatDataset(Dataset[T_co]):
    """The samples of several datasets, one dataset after the other.

    >>> both = ConcatDataset(["ab", "cde"])
    >>> len(both), both[2], both[-1]
    (5, 'c', 'e')
    """

    def __init__(self, datasets: Iterable[Any]) -> None:
        self.datasets = list(datasets)
        if not self.datasets:
            raise DatasetError("ConcatDataset: datasets should not be an empty iterable")
        if any(isinstance(dataset, IterableDataset) for dataset in self.datasets):
            raise DatasetError("ConcatDataset: does not support IterableDataset; use ChainDataset")
        self.cumulative_sizes = list(itertools.accumulate(len(dataset) for dataset in self.datasets))

    def __getitem__(self, idx: int) -> T_co:
        if idx < 0:
            if -idx > len(self):
                raise ArgumentError(
                    f"ConcatDataset: absolute value of index should not exceed dataset length {len(self)}, got {idx}"
                )
            idx += len(self)
        which = bisect.bisect_right(self.cumulative_sizes, idx)
        if which == len(self.datasets):
            raise IndexRangeError(f"ConcatDataset: index {idx} is out of range for {len(self)} samples")
        before = self.cumulative_sizes[which - 1] if which else 0
        return self.datasets[which][idx - before]

    def __len__(self) -> int:
        return self.cumulative_sizes[-1]


class ChainDataset(IterableDataset[T_co]):
    """The samples of several iterable datasets, one after the other."""

    def __init__(self, datasets: Iterable[Dataset[Any]]) -> None:
        self.datasets = datasets

    def __iter__(self) -> Iterator[T_co]:
        for dataset in self._checked():
            yield from dataset

    def __len__(self) -> int:
        return sum(len(dataset) for dataset in self._checked())

    def _checked(self) -> Iterator[Any]:
        for dataset in self.datasets:
            if not isinstance(dataset, IterableDataset):
                raise DatasetError(
                    f"ChainDataset: only supports IterableDataset, got {type(dataset).__name__}; use ConcatDataset"
                )
            yield dataset


class Subset(Dataset[T_co]):
    """The samples of ``dataset`` at ``indices``.

    >>> list(Subset("abcde", [4, 0]))
    ['e', 'a']
    """

    def __init__(self, dataset: Any, indices: Sequence[int]) -> None:
        self.dataset = dataset
        self.indices = indices
        own = type(self)
        if own.__getitem__ is not Subset.__getitem__ and own.__getitems__ is Subset.__getitems__:
            raise UnsupportedError(
                f"{own.__name__}: overrides __getitem__ but not __getitems__, which DataLoader calls; add "
                "`def __getitems__(self, indices): return [self[i] for i in indices]`"
            )

    def __getitem__(self, idx: Any) -> Any:
        if isinstance(idx, list):
            return self.dataset[[self.indices[i] for i in idx]]
        return self.dataset[self.indices[idx]]

    def __getitems__(self, indices: list[int]) -> list[Any]:
        """The samples at several positions of this subset."""
        return samples_at(self.dataset, [self.indices[i] for i in indices])

    def __len__(self) -> int:
        return len(self.indices)


def samples_at(dataset: Any, indices: Sequence[int]) -> list[Any]:
    """The list of samples at ``indices``, fetched at once if the dataset can do that."""
    if callable(getattr(dataset, "__getitems__", None)):
        return dataset.__getitems__(indices)
    return [dataset[index] for index in indices]


def columns_at(dataset: Any, indices: Sequence[int]) -> list[Tensor] | None:
    """The collated batch at ``indices``, one indexing a tensor, if ``dataset`` is just tensors; else None.

    Only the classes themselves qualify: a subclass may have its own ``__getitem__``.
    """
    while type(dataset) is Subset:
        dataset, indices = dataset.dataset, [dataset.indices[index] for index in indices]
    if type(dataset) is not TensorDataset:
        return None
    return [tensor[list(indices)] for tensor in dataset.tensors]


def random_split(dataset: Any, lengths: Sequence[float], generator: Generator | None = None) -> list[Subset[Any]]:
    """Split a dataset at random into subsets of the given lengths, or of the given fractions that sum to 1.

    What rounding fractions down leaves over goes to the first subsets, one sample each.

    >>> [len(part) for part in random_split(range(10), [0.5, 0.25, 0.25])]
    [6, 2, 2]
    """
    total = len(dataset)
    sizes: list[Any] = list(lengths)
    if math.isclose(sum(sizes), 1) and sum(sizes) <= 1:
        for position, fraction in enumerate(sizes):
            if not 0 <= fraction <= 1:
                raise ArgumentError(f"random_split: Fraction at index {position} is not between 0 and 1: {fraction}")
        sizes = [math.floor(total * fraction) for fraction in sizes]
        for position in range(total - sum(sizes)):
            sizes[position % len(sizes)] += 1
        for position, size in enumerate(sizes):
            if size == 0:
                warnings.warn(
                    f"Length of split at index {position} is 0. This might result in an empty dataset.", stacklevel=2
                )
    if sum(sizes) != total:
        raise ArgumentError(
            f"random_split: Sum of input lengths does not equal the length of the input dataset! "
            f"{lengths} sum to {sum(sizes)}, the dataset has {total} samples"
        )
    order = randperm(total, generator=generator).tolist()
    ends = itertools.accumulate(sizes)
    return [Subset(dataset, order[end - size : end]) for end, size in zip(ends, sizes, strict=True)]
