"""DataLoader: a dataset in batches, fetched when they are asked for, or ahead of time by workers."""

from __future__ import annotations

import functools
import itertools
import warnings
from collections.abc import Callable, Iterable, Iterator
from typing import Any, Generic, TypeVar

from tinygrad_cnn.backend import Generator, default_generator
from tinygrad_cnn.data.collate import default_collate, default_convert
from tinygrad_cnn.data.dataset import IterableDataset, columns_at, samples_at
from tinygrad_cnn.data.sampler import BatchSampler, RandomSampler, Sampler, SequentialSampler
from tinygrad_cnn.data.worker import ENDED, Workers
from tinygrad_cnn.errors import ArgumentError, UnsupportedError, check_argument

__all__ = ["DataLoader"]

T_co = TypeVar("T_co", covariant=True)
_FIXED = {"batch_size", "batch_sampler", "sampler", "drop_last", "dataset", "persistent_workers"}


class DataLoader(Generic[T_co]):
    """The samples of a dataset in batches: ``for images, labels in DataLoader(dataset, batch_size=100, shuffle=True)``.

    The arguments are PyTorch's. With ``num_workers > 0`` that many worker *threads* each prepare ``prefetch_factor``
    batches ahead, and the batches come in the order of the sampler. NumPy, file and decompression code runs in
    parallel in threads; transforms written in plain Python do not. An exception in a worker is raised here.
    ``pin_memory`` is accepted, as all memory is already where it is used. ``batch_size=None`` gives single samples.

    >>> import tinygrad_cnn as tg
    >>> from tinygrad_cnn.data import TensorDataset
    >>> for x, y in DataLoader(TensorDataset(tg.arange(3), tg.arange(3) * 10), batch_size=2):
    ...     print(x, y)
    tensor([0, 1]) tensor([ 0, 10])
    tensor([2]) tensor([20])
    """

    _initialized = False

    def __init__(
        self,
        dataset: Any,
        batch_size: int | None = 1,
        shuffle: bool | None = None,
        sampler: Iterable[Any] | None = None,
        batch_sampler: Iterable[list[Any]] | None = None,
        num_workers: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        pin_memory: bool = False,
        drop_last: bool = False,
        timeout: float = 0,
        worker_init_fn: Callable[[int], None] | None = None,
        multiprocessing_context: Any = None,
        generator: Generator | None = None,
        *,
        prefetch_factor: int | None = None,
        persistent_workers: bool = False,
        pin_memory_device: str = "",
        in_order: bool = True,
    ) -> None:
        check_argument(num_workers >= 0, f"DataLoader: num_workers option should be non-negative, got {num_workers}")
        check_argument(timeout >= 0, f"DataLoader: timeout option should be non-negative, got {timeout}")
        if num_workers == 0:
            workers_only = dict(
                prefetch_factor=prefetch_factor,
                persistent_workers=persistent_workers or None,
                timeout=timeout or None,
                multiprocessing_context=multiprocessing_context,
            )
            for name, value in workers_only.items():
                check_argument(value is None, f"DataLoader: {name} option needs num_workers > 0, got {name}={value}")
        elif prefetch_factor is not None:
            check_argument(prefetch_factor > 0, f"DataLoader: prefetch_factor must be positive: {prefetch_factor}")
        if multiprocessing_context is not None:
            raise UnsupportedError("DataLoader: multiprocessing_context can't be honoured, the workers are threads")
        if pin_memory_device:
            raise UnsupportedError(f"DataLoader: pin_memory_device={pin_memory_device!r}, but there is only the CPU")

        self.dataset = dataset
        self.generator = generator
        self._iterable = isinstance(dataset, IterableDataset)
        if self._iterable:
            for name, given in (("shuffle", shuffle or None), ("sampler", sampler), ("batch_sampler", batch_sampler)):
                check_argument(
                    given is None,
                    f"DataLoader with IterableDataset: expected unspecified {name} option, got {name}={given}; "
                    "the dataset itself gives the order",
                )
        if sampler is not None and shuffle:
            raise ArgumentError("DataLoader: sampler option is mutually exclusive with shuffle")
        if batch_sampler is not None:
            if batch_size != 1 or shuffle or sampler is not None or drop_last:
                raise ArgumentError(
                    "DataLoader: batch_sampler option is mutually exclusive with "
                    "batch_size, shuffle, sampler, and drop_last"
                )
            batch_size = None
        elif batch_size is None and drop_last:
            raise ArgumentError("DataLoader: batch_size=None, no batching, is mutually exclusive with drop_last")

        if sampler is None:
            sampler = self._default_sampler(shuffle)
        if batch_size is not None:
            batch_sampler = BatchSampler(sampler, batch_size, drop_last)

        self.batch_size = batch_size
        self.drop_last = drop_last
        self.sampler = sampler
        self.batch_sampler = batch_sampler
        self.num_workers = num_workers
        self.prefetch_factor = 2 if num_workers > 0 and prefetch_factor is None else prefetch_factor
        self.collate_fn = collate_fn or (default_convert if batch_sampler is None else default_collate)
        self.pin_memory = pin_memory
        self.timeout = timeout
        self.worker_init_fn = worker_init_fn
        self.persistent_workers = persistent_workers
        self.in_order = in_order
        self._workers: Workers | None = None
        self._announced: int | None = None  # the length that an iterable dataset was asked for, and told
        self._initialized = True

    def _default_sampler(self, shuffle: bool | None) -> Sampler[Any]:
        if self._iterable:
            return _Endless()
        return RandomSampler(self.dataset, generator=self.generator) if shuffle else SequentialSampler(self.dataset)

    def __setattr__(self, name: str, value: Any) -> None:
        if self._initialized and name in _FIXED:
            raise ArgumentError(f"DataLoader: {name} attribute should not be set after DataLoader is initialized")
        super().__setattr__(name, value)

    def __len__(self) -> int:
        if not self._iterable:
            return len(self._index_sampler)  # type: ignore[arg-type]  # TypeError, as in PyTorch, if it has no length
        length = self._announced = len(self.dataset)
        if self.batch_size is None:
            return length
        return length // self.batch_size if self.drop_last else -(-length // self.batch_size)

    def __iter__(self) -> Iterator[T_co]:
        return _LoaderIterator(self)

    @property
    def _index_sampler(self) -> Iterable[Any]:
        """What is fetched at one time: a list of indices, or without batching one index."""
        return self.sampler if self.batch_sampler is None else self.batch_sampler

    def _batches(self) -> Iterator[Any]:
        """The batches of one pass, one after the other."""
        seed = int((self.generator or default_generator).numpy.integers(2**62))  # so workers don't change the order
        indices = iter(self._index_sampler)
        batched = self.batch_sampler is not None
        kind = _stream_fetch if self._iterable else _map_fetch
        new_fetch = functools.partial(kind, batched=batched, drop_last=self.drop_last, collate=self.collate_fn)
        if self.num_workers == 0:
            fetch = new_fetch(self.dataset)
            for index in indices:
                if (batch := fetch(index)) is ENDED:
                    return
                yield batch
            return
        workers = self._workers or Workers(self.num_workers, self.dataset, new_fetch, self.worker_init_fn, seed)
        if self.persistent_workers:
            self._workers = workers
        try:
            yield from workers.fetch_in_order(indices, self.prefetch_factor or 1, self.timeout)
        finally:
            if not self.persistent_workers:
                workers.shut_down()


def _map_fetch(dataset: Any, batched: bool, drop_last: bool, collate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that gives the batch of samples at some indices, or one sample."""
    if not batched:
        return lambda index: collate(dataset[index])

    def fetch(indices: list[Any]) -> Any:
        columns = columns_at(dataset, indices) if collate is default_collate else None
        return collate(samples_at(dataset, indices)) if columns is None else columns

    return fetch


def _stream_fetch(dataset: Any, batched: bool, drop_last: bool, collate: Callable[[Any], Any]) -> Callable[[Any], Any]:
    """A function that gives the next batch of a stream, or ENDED; it is asked with as many Nones as a batch has."""
    stream = iter(dataset)

    def fetch_one(index: None) -> Any:
        sample = next(stream, ENDED)
        return ENDED if sample is ENDED else collate(sample)

    def fetch_batch(indices: list[None]) -> Any:
        samples = list(itertools.islice(stream, len(indices)))
        if not samples or (drop_last and len(samples) < len(indices)):
            return ENDED
        return collate(samples)

    return fetch_batch if batched else fetch_one


class _LoaderIterator(Iterator[Any]):
    """One pass over a DataLoader. When it is dropped half-way, its workers end."""

    def __init__(self, loader: DataLoader[Any]) -> None:
        self._loader = loader
        self._batches = loader._batches()
        self._yielded = 0

    def __next__(self) -> Any:
        batch = next(self._batches)
        self._yielded += 1
        loader = self._loader
        announced = loader._announced
        if announced is not None and self._yielded > -(-announced // (loader.batch_size or 1)):
            warnings.warn(
                f"Length of IterableDataset {loader.dataset!r} was reported to be {announced} (when accessing "
                f"len(dataloader)), but {self._yielded} batches have been fetched; with workers, does each give only "
                "its part of the stream (see get_worker_info)?",
                stacklevel=2,
            )
        return batch

    def __len__(self) -> int:
        return len(self._loader)


class _Endless(Sampler[None]):
    """Stands in for indices where an iterable dataset has none."""

    def __iter__(self) -> Iterator[None]:
        return itertools.repeat(None)
