"""Threads for the kernels: a few workers that wait for shares of a batch, and BLAS kept to one thread meanwhile.

NumPy lets go of the interpreter while it copies, computes or multiplies, so two Python threads are two cores, as long
as each makes few, long calls into memory that was allocated before. The thread that calls takes the first share
itself, and handing one to a worker costs 20 to 50 microseconds, while ``concurrent.futures`` takes some hundred.

BLAS libraries have threads of their own. They don't help narrow products, and they wait busily for the next one, on
the very cores that the other kernels need; so products run in ``one_blas_thread``, and are split over our threads.

How work is split depends on the number of threads alone, never on who is busy, so a run repeats bit for bit.
"""

from __future__ import annotations

import contextlib
import itertools
import os
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from time import perf_counter, thread_time
from typing import Any, TypeVar

import numpy as np

from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError
from tinygrad_cnn.kernels.awake import Vigil, may_sleep_long

T = TypeVar("T")
R = TypeVar("R")

LEAST_SHARE = 1 << 20  # bytes to go through that pay for waking a thread
_INTERVAL = 2e-5  # seconds after which a thread asks for the interpreter: Python's 5 ms are longer than most kernels
_LINGER = 0.05  # seconds without work after which a worker lets the cores sleep
_threads: int | None = None


def _available() -> int:
    """The number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def get_num_threads() -> int:
    """The number of threads that kernels use: all cores, unless ``set_num_threads`` changed it."""
    global _threads
    if _threads is None:
        _threads = _available()
    return _threads


def set_num_threads(threads: int) -> None:
    """Let kernels use ``threads`` threads. BLAS libraries keep what they have for code outside of this library.

    Results differ between numbers of threads by rounding alone, and repeat bit for bit with the same number.

    >>> set_num_threads(get_num_threads())
    """
    global _threads
    if not isinstance(threads, int) or isinstance(threads, bool):
        raise ArgumentTypeError(f"set_num_threads: expected an int, got {type(threads).__name__}")
    if threads < 1:
        raise ArgumentError(f"set_num_threads: expected a positive number of threads, got {threads}")
    _threads = threads


# -------------------------------------------------------------------------------------- sharing work out
def shares(count: int, cost: float) -> list[slice]:
    """Cut ``range(count)`` into a slice a thread; fewer where ``cost``, in bytes gone through, is too small for that.

    >>> shares(10, cost=100)
    [slice(0, 10, None)]
    """
    parts = max(min(_threads or get_num_threads(), count, int(cost / LEAST_SHARE)), 1)
    return _cut(count, parts)


def _cut(count: int, parts: int) -> list[slice]:
    return [slice(count * i // parts, count * (i + 1) // parts) for i in range(parts)]


def regions(images: int, rows: int, cost: float, step: int = 1) -> list[tuple[slice, slice]]:
    """Cut a batch into as many parts as ``shares`` would: some of the images, or some rows of one of them.

    Rows are cut where there are fewer images than threads, at multiples of ``step``.
    """
    if cost < LEAST_SHARE:
        return [(slice(0, images), slice(0, rows))]
    parts = len(shares(images * rows, cost))
    if images >= parts or not images:
        return [(part, slice(0, rows)) for part in _cut(images, parts)]
    steps = -(-rows // step)
    bands = [slice(b.start * step, min(b.stop * step, rows)) for b in _cut(steps, min(parts // images, steps))]
    return [(slice(image, image + 1), band) for image in range(images) for band in bands]


def run(task: Callable[[T], R], items: Sequence[T]) -> list[R]:
    """``[task(item) for item in items]``, each in a thread of its own where there are workers free.

    The workers serve one caller at a time: another, or a task that calls again, does its items one after another. So
    does everybody while handing over doesn't pay.
    """
    if len(items) == 1:
        return [task(items[0])]
    if not _balance.pays() or not _workers_free.acquire(blocking=False):
        return [task(item) for item in items]
    interval = sys.getswitchinterval()
    try:
        sys.setswitchinterval(_INTERVAL)
        while len(_workers) < len(items) - 1:
            _workers.append(_Worker())
        started: list[_Worker] = []
        begin, own = perf_counter(), thread_time()
        try:
            for worker, item in zip(_workers, items[1:], strict=False):
                started.append(worker.start(task, item))
            results = [task(items[0])]
            own = thread_time() - own
        finally:
            _wait_for(started)
        _balance.add(own + sum(worker.seconds for worker in started), perf_counter() - begin)
        return results + [worker.take_result() for worker in started]
    finally:
        sys.setswitchinterval(interval)
        _workers_free.release()


class _Balance:
    """Whether handing work over pays: beside a busy process, or on a busy host, one thread is faster than two.

    Which thread does a share makes no difference to its result.
    """

    def __init__(self) -> None:
        self.start_anew()
        self.pause = self.alone_until = 0.0

    def start_anew(self) -> None:
        self.alone = self.together = 0.0  # seconds lately, that one thread would have taken and that several took

    def pays(self) -> bool:
        return not self.pause or perf_counter() > self.alone_until

    def add(self, computed: float, elapsed: float) -> None:
        """Enter a run that took ``elapsed`` seconds, in which the threads computed for ``computed`` altogether."""
        kept = _MEMORY / (_MEMORY + elapsed)
        self.alone = self.alone * kept + _SLOWED * computed
        self.together = self.together * kept + elapsed
        if self.together < _EVIDENCE:
            return
        if self.together < self.alone:
            self.pause = 0.0
        else:
            self.pause = min(max(2 * self.pause, _EVIDENCE), _LONGEST_PAUSE)
            self.alone_until = perf_counter() + self.pause
            self.start_anew()


_SLOWED = 0.8  # the time of a computation alone, of that beside others: they share caches, memory, often a core's units
_MEMORY, _EVIDENCE, _LONGEST_PAUSE = 0.2, 0.05, 2.0  # seconds


class _Worker:
    """A thread that runs one task at a time. It holds nothing between two of them.

    A core that sleeps takes 50 to 300 microseconds to wake; a byte that another core changes is seen in a tenth of one.
    So both sides watch a byte for some milliseconds before they sleep, and let others have the interpreter meanwhile:
    ``logical_or.reduce`` over a byte that is repeated reads it until it is set, in NumPy's own loop. Of several rows
    it writes each result before it reads the next, so that a worker can say that it is done and watch for its next
    task without asking for the interpreter in between, which its caller now needs. The watched byte is many, a row
    each; the rows that are left when they are set take some microseconds, in which the caller gets to the first
    operation of its own share, and the interpreter is free. What is said in bytes decides about nothing but waiting.
    """

    def __init__(self) -> None:
        self.watched = np.zeros(_ROWS, bool)
        self.watched[0] = True
        self.go = self.watched[1:]
        self.seen = np.zeros(_ROWS, bool)
        self.done = self.seen[:1]
        self.rows = np.broadcast_to(self.watched[:, None], (_ROWS, _TIMES))
        self.done_repeated = np.broadcast_to(self.done, _ROWS * _TIMES)
        self.awake, self.caller_awake = threading.Event(), threading.Event()
        self.awake.set()
        self.caller_awake.set()
        self.task: Callable[[Any], Any] | None = None
        self.item: Any = None
        self.result: Any = None
        self.error: BaseException | None = None
        self.seconds = 0.0  # that the last task took of its core
        threading.Thread(target=self._serve, name="tinygrad_cnn", daemon=True).start()

    def start(self, task: Callable[[Any], Any], item: Any) -> _Worker:
        self.item = item
        self.result = self.error = None  # nobody took them if the caller's own share failed as well
        self.done[0] = False
        self.task = task
        self.go[:] = True
        if not self.awake.is_set():
            self.awake.set()
        return self

    def wait(self) -> None:
        while self.task is not None:
            if not _watch(self.done_repeated) or self.task is not None:
                self.caller_awake.clear()
                if self.task is not None:
                    self.caller_awake.wait()

    def take_result(self) -> Any:
        result, error = self.result, self.error
        self.result = self.error = None
        if error is not None:
            raise error
        return result

    def _serve(self) -> None:
        with np.errstate(all="ignore"):  # inf and nan are values, as in the thread that called
            while True:
                if self._has_task(within=None):
                    with _cores_awake():
                        while self._has_task(within=_LINGER):
                            self._work()

    def _has_task(self, within: float | None) -> bool:
        """Whether there is something to do; if not, sleep until there may be: for some seconds, or for ever."""
        if self.task is None:
            self.awake.clear()
            if self.task is None:
                self.awake.wait(within)
        return self.task is not None

    def _work(self) -> None:
        """Do what there is to do, and watch for more."""
        assert self.task is not None
        self.go[:] = False
        begin = thread_time()
        try:
            self.result = self.task(self.item)
        except BaseException as error:
            self.error = error
        self.seconds = thread_time() - begin
        self.item = self.task = None
        if not self.caller_awake.is_set():
            self.caller_awake.set()
        _watch(self.rows, axis=1, out=self.seen)
        self.caller_awake.set()  # it may have fallen asleep just before this thread said that it was done


_ROWS, _TIMES = 512, 1 << 14  # eight million reads in two milliseconds, and 20 microseconds for rows that are set
_watch = np.logical_or.reduce


def _cores_awake() -> contextlib.AbstractContextManager[None]:
    """A context in which the cores don't sleep, if they need help with that."""
    global _vigil
    with _vigil_lock:
        if _vigil is None and may_sleep_long():
            _vigil = Vigil(_available())
    return _vigil if _vigil is not None and get_num_threads() >= _available() else contextlib.nullcontext()


def _wait_for(workers: Iterable[_Worker]) -> None:
    """Wait until all are done, through an interrupt too: they write to memory that the caller will free."""
    interrupt: BaseException | None = None
    for worker in workers:
        while True:
            try:
                worker.wait()
                break
            except KeyboardInterrupt as error:
                interrupt = error
    if interrupt is not None:
        raise interrupt


# ------------------------------------------------------------------------------------------ BLAS's threads
_WITH_SMALL_KERNELS = ("SkylakeX", "Cooperlake", "SapphireRapids")  # those for AVX-512


class _Blas:
    """The BLAS libraries that NumPy has loaded, and how many of our products are running in them."""

    def __init__(self) -> None:
        from threadpoolctl import ThreadpoolController

        self.lock = threading.Lock()
        self.users = 0
        libraries = ThreadpoolController().select(user_api="blas").lib_controllers  # may be none that it knows
        self.libraries = [_access(library) for library in libraries]
        # OpenBLAS takes a lock in each product, but for small ones if it has kernels for those.
        self.locks = any(
            library.internal_api == "openblas" and library.architecture not in _WITH_SMALL_KERNELS
            for library in libraries
        )
        self.before: list[int] = []

    def __enter__(self) -> None:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.before = [get() or 1 for get, _ in self.libraries]
                self._restore([1] * len(self.before))

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self._restore(self.before)

    def _restore(self, counts: list[int]) -> None:
        for (_, use), count, before in zip(self.libraries, counts, self.before, strict=True):
            if before != 1:
                use(count)


def _access(library: Any) -> tuple[Callable[[], int], Callable[[int], Any]]:
    """How to ask for a library's number of threads, and how to set it."""
    if library.internal_api == "openblas" and library.threading_layer == "pthreads":
        # Its own functions: a tenth of the controller's time, which is that of a small product.
        for prefix, suffix in itertools.product(("scipy_", ""), ("64_", "_64", "")):
            name = f"{prefix}openblas_%s_num_threads{suffix}"
            if hasattr(library.dynlib, name % "set"):
                return getattr(library.dynlib, name % "get"), getattr(library.dynlib, name % "set")

    def use(count: int) -> None:
        if hasattr(library, "clear_controlling_thread"):  # else only the first thread that asks is heard
            library.clear_controlling_thread(force=True)
        library.set_num_threads(count)

    return library.get_num_threads, use


_blas: _Blas | None = None


def one_blas_thread() -> _Blas:
    """A context in which products use the thread that calls them, and no other; after it BLAS has its threads back.

    Where threadpoolctl doesn't know the BLAS library, nothing changes but the speed.
    """
    global _blas
    if _blas is None:
        _blas = _Blas()
    return _blas


def _start_anew() -> None:
    """In a forked child there are no workers, and nobody holds a lock."""
    global _workers, _workers_free, _vigil, _vigil_lock
    _workers, _workers_free, _vigil, _vigil_lock = [], threading.Lock(), None, threading.Lock()
    if _blas is not None:
        _blas.lock = threading.Lock()
        if _blas.users:
            _blas.users = 1
            _blas.__exit__()


_balance = _Balance()
_workers: list[_Worker] = []
_workers_free = threading.Lock()
_vigil: Vigil | None = None
_vigil_lock = threading.Lock()
if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_start_anew)
