"""The worker threads of a DataLoader: they fetch ahead, and what they fetch comes in order."""

from __future__ import annotations

import contextlib
import copy
import queue
import threading
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

from tinygrad_cnn.backend import Generator, default_generator
from tinygrad_cnn.errors import DataError

__all__ = ["WorkerInfo", "get_worker_info"]


@dataclass
class WorkerInfo:
    """What ``get_worker_info()`` tells a worker about itself."""

    id: int
    num_workers: int
    seed: int
    dataset: Any  # this worker's own shallow copy, so worker_init_fn may give each a different part
    generator: Generator  # this worker's own, so that random transforms don't depend on which thread runs first


class _Local(threading.local):
    info: WorkerInfo | None = None


_local = _Local()


def get_worker_info() -> WorkerInfo | None:
    """In a DataLoader's worker: its ``id``, ``num_workers``, ``seed`` and ``dataset``; elsewhere None.

    >>> get_worker_info() is None
    True
    """
    return _local.info


def current_generator() -> Generator:
    """The random generator for whatever prepares samples: the worker's own, outside of workers the default one."""
    return default_generator if _local.info is None else _local.info.generator


@dataclass
class _Failure:
    error: BaseException


ENDED = object()  # instead of a batch: the iterable dataset, or this worker's part of it, has come to its end
_NO_MORE = object()


class _Worker:
    """One thread, the queue of what it shall fetch, and the queue of what it has fetched."""

    def __init__(self, info: WorkerInfo, new_fetch: Callable[[Any], Any], init: Callable[[int], None] | None) -> None:
        self.tasks: queue.SimpleQueue[tuple[int, Any] | None] = queue.SimpleQueue()
        self.results: queue.SimpleQueue[tuple[int, Any]] = queue.SimpleQueue()
        arguments = (info, new_fetch, init, self.tasks, self.results)
        name = f"DataLoader worker {info.id}"
        self.thread = threading.Thread(target=_work, args=arguments, name=name, daemon=True)
        self.thread.start()


def _work(info: WorkerInfo, new_fetch: Any, init: Any, tasks: Any, results: Any) -> None:
    """The life of a worker: a pass begins with a fresh look at the dataset, None ends it all."""
    _local.info = info
    present = -1
    fetch: Any = None
    started = init is None
    while (task := tasks.get()) is not None:
        number, index = task
        try:
            if not started:
                init(info.id)
                started = True
            if number != present:
                fetch, present = new_fetch(info.dataset), number
            result = fetch(index)
        except BaseException as error:  # whatever it is, it is raised where the batch is asked for
            error.add_note(f"raised in DataLoader worker {info.id}, fetching {index}")
            result = _Failure(error)
        results.put((number, result))


class Workers:
    """``count`` threads that share the work of a pass: batch k is fetched by worker k modulo ``count``."""

    def __init__(
        self,
        count: int,
        dataset: Any,
        new_fetch: Callable[[Any], Any],
        init: Callable[[int], None] | None,
        seed: int,
    ) -> None:
        self._pass = -1
        self._workers = []
        for number in range(count):
            info = WorkerInfo(number, count, seed + number, copy.copy(dataset), Generator().manual_seed(seed + number))
            self._workers.append(_Worker(info, new_fetch, init))

    def fetch_in_order(self, indices: Iterator[Any], prefetch: int, timeout: float) -> Iterator[Any]:
        """The batches of ``indices`` in their order, ``prefetch`` of them prepared ahead by each worker."""
        self._drop_tasks()  # of a pass that was broken off
        self._pass += 1
        waiting: deque[_Worker] = deque()  # who fetches the next batch, the one after it, ...
        ended: set[_Worker] = set()

        def assign(worker: _Worker) -> None:
            if (index := next(indices, _NO_MORE)) is not _NO_MORE:
                worker.tasks.put((self._pass, index))
                waiting.append(worker)

        for _ in range(prefetch):
            for worker in self._workers:
                assign(worker)
        while waiting:
            worker = waiting.popleft()
            result = self._next_result(worker, timeout)
            if isinstance(result, _Failure):
                raise result.error
            if result is ENDED:
                ended.add(worker)
                continue
            if worker not in ended:
                assign(worker)
            yield result

    def _next_result(self, worker: _Worker, timeout: float) -> Any:
        while True:
            try:
                number, result = worker.results.get(timeout=timeout or None)
            except queue.Empty:
                raise DataError(f"{worker.thread.name}: DataLoader timed out after {timeout} seconds") from None
            if number == self._pass:  # else left over from a pass that was broken off
                return result

    def _drop_tasks(self) -> None:
        for worker in self._workers:
            with contextlib.suppress(queue.Empty):
                while True:
                    worker.tasks.get_nowait()

    def shut_down(self) -> None:
        """Let every thread end after the batch that it is at."""
        self._drop_tasks()
        for worker in self._workers:
            worker.tasks.put(None)

    def __del__(self) -> None:
        self.shut_down()
