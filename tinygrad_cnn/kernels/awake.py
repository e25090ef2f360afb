"""Keeping the cores of a virtual machine from sleeping while kernels run.

Threads that share an interpreter wait for one another hundreds of times in a training step, for some microseconds
each, and a core whose threads all wait goes to sleep. On the machine itself it wakes within a few microseconds. A
virtual machine's core has been given back to the host by then: 100 microseconds on a quiet host, 5 to 15 milliseconds
on a busy one. So each core gets a thread of the lowest priority that Linux knows (``SCHED_IDLE``): it runs where nobody
else wants to, gives way at once, and does nothing but read a byte until it is told to rest.

Only virtual machines have them, only where the kernels may use every core, and not in a container whose seconds of
computing are rationed, as these would count; ``TINYGRAD_CNN_KEEP_AWAKE=0`` in the environment switches them off. They
rest as soon as the kernels' own threads do (see ``parallel``).
"""

from __future__ import annotations

import collections
import functools
import os
import re
import threading
from pathlib import Path

import numpy as np

_TIMES = 1 << 26  # readings of the byte between two glances at the interpreter: some 15 milliseconds


def may_sleep_long() -> bool:
    """Whether this is a virtual machine, unrationed, on a system that has threads for idle cores."""
    if os.environ.get("TINYGRAD_CNN_KEEP_AWAKE") == "0" or not hasattr(os, "SCHED_IDLE"):
        return False
    flags = re.search(r"^flags\s*:.*$", _text("/proc/cpuinfo"), re.MULTILINE)
    return flags is not None and "hypervisor" in flags[0].split() and not _is_rationed()


def _is_rationed() -> bool:
    """Whether the process, or a group of processes that it is in, may compute for some of the time only."""
    group = re.search(r"^0::(/.*)$", _text("/proc/self/cgroup"), re.MULTILINE)  # of version 2; a container sees its own
    here = Path(f"/sys/fs/cgroup{group[1] if group else '/'}")
    ration = [_text(folder / "cpu.max") for folder in (here, *here.parents)]
    earlier = _text("/sys/fs/cgroup/cpu/cpu.cfs_quota_us")  # of version 1
    return any(text and not text.startswith("max") for text in ration) or (earlier or "-1").strip() != "-1"


def _text(path: str | Path) -> str:
    """What a file holds; nothing if it can't be read."""
    try:
        return Path(path).read_text()
    except OSError:
        return ""


class Vigil:
    """Threads that keep ``cores`` from sleeping while anybody asks for it.

    >>> vigil = Vigil(1)
    >>> with vigil:
    ...     pass
    """

    def __init__(self, cores: int) -> None:
        self.lock = threading.Lock()
        self.users = 0
        self.rest = np.ones(1, bool)
        self.called = threading.Event()
        for _ in range(cores):
            threading.Thread(target=self._keep_awake, name="tinygrad_cnn idle", daemon=True).start()

    def __enter__(self) -> None:
        with self.lock:
            self.users += 1
            if self.users == 1:
                self.rest[0] = False
                self.called.set()

    def __exit__(self, *error: object) -> None:
        with self.lock:
            self.users -= 1
            if self.users == 0:
                self.called.clear()
                self.rest[0] = True

    def _keep_awake(self) -> None:
        try:
            os.sched_setscheduler(0, os.SCHED_IDLE, os.sched_param(0))  # of this thread alone
        except OSError:
            return
        read = functools.partial(np.logical_or.reduce, np.broadcast_to(self.rest, _TIMES))
        while True:
            self.called.wait()
            # All of the loop is in C: a thread that others may keep from running holds the interpreter for no longer.
            collections.deque(iter(read, True), maxlen=0)
