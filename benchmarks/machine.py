"""On what a measurement was made, and whether the machine had other things to do."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import os
import platform
import time
from pathlib import Path
from typing import Any

from benchmarks import peers


def cores() -> int:
    """How many cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _cpu() -> str:
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _blas() -> str:
    import numpy  # noqa: F401  # loads the BLAS library that threadpoolctl looks for
    from threadpoolctl import threadpool_info

    pools = [p for p in threadpool_info() if p["user_api"] == "blas"]
    return ", ".join(f"{p['internal_api']} {p['version']} ({p.get('architecture', '')})" for p in pools)


def describe(libraries: list[str]) -> dict[str, Any]:
    """The machine, the system and the versions of what was measured."""
    versions = {"numpy": importlib.metadata.version("numpy")}
    for library in libraries:
        if library in peers.PEERS:
            versions[peers.PEERS[library][0]] = peers.version(library)
        elif library == "torch":
            versions["torch"] = importlib.metadata.version("torch")
    return {
        "cpu": _cpu(),
        "cores": cores(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "blas": _blas(),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
    }


def sentence(machine: dict[str, Any]) -> str:
    """The description in one line."""
    versions = ", ".join(f"{name} {version}" for name, version in machine["versions"].items())
    return (
        f"{machine['cpu']}, {machine['cores']} cores, {machine['system']}; Python {machine['python']}, {versions}, "
        f"{machine['blas']}; {machine['date']}"
    )


class BusyMeter:
    """How many cores processes other than the given ones have kept busy since it was made (Linux; else None)."""

    def __init__(self, pids: list[int]) -> None:
        self.pids = pids
        self.start, self.began = self._others(), time.monotonic()

    def _others(self) -> float | None:
        """CPU seconds of all processes but ours."""
        try:
            tick = os.sysconf("SC_CLK_TCK")
            total = Path("/proc/stat").read_text().partition("\n")[0].split()[1:]
            user, nice, system, _, _, irq, softirq = map(int, total[:7])
            own = 0
            for pid in [os.getpid(), *self.pids]:
                fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
                own += int(fields[11]) + int(fields[12])
            return (user + nice + system + irq + softirq - own) / tick
        except (OSError, ValueError):
            return None

    def others(self) -> float | None:
        """Their mean number of busy cores."""
        now = self._others()
        if now is None or self.start is None:
            return None
        return max(0.0, now - self.start) / (time.monotonic() - self.began)
