"""The memory of this process as the system counts it: now, and at its highest."""

from __future__ import annotations

import resource
import sys
from pathlib import Path

_STATUS, _RESET = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _read(field: str) -> float:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(field):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"{_STATUS} has no {field}")


def resident_mb() -> float:
    """Megabytes of memory that are in use now; where the system doesn't tell, the highest until now."""
    return _read("VmRSS") if _STATUS.exists() else peak_mb()


def peak_mb() -> float:
    """The most megabytes since the process began, or since ``reset_peak``."""
    if _STATUS.exists():
        return _read("VmHWM")
    highest = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return highest / 2**20 if sys.platform == "darwin" else highest / 2**10


def reset_peak() -> bool:
    """Measure the peak from now on; False where the system (other than Linux) can't."""
    try:
        _RESET.write_text("5")
    except OSError:
        return False
    return True
