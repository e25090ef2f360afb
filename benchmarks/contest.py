"""Libraries against each other in one run: a process each, in turns, so that the machine's moods hit all alike."""

from __future__ import annotations

import json
import math
import statistics
import subprocess
import sys
import time
from dataclasses import dataclass, field
from typing import Any

from benchmarks.machine import BusyMeter

OURS = "tinygrad_cnn"
TURN_SECONDS = 0.4  # of each library in a round, unless a number of steps is given
PAUSE_SECONDS = 0.1  # between turns: the threads of OpenMP and OpenBLAS spin for a while after their work


class Worker:
    """A process that does steps on request."""

    def __init__(self, library: str, workload: str, threads: int, batch: int | None = None) -> None:
        self.library = library
        arguments = [library, workload, str(threads), *([] if batch is None else [str(batch)])]
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        self._receive()

    def __enter__(self) -> Worker:
        return self

    def __exit__(self, *exc: object) -> None:
        self.process.communicate()  # closes its standard input, which ends it

    def _receive(self) -> Any:
        assert self.process.stdout is not None
        line = self.process.stdout.readline()
        if not line:
            raise RuntimeError(f"{' '.join(map(str, self.process.args))}: the worker ended; see its error above")
        return json.loads(line)

    def ask(self, request: str) -> Any:
        """The answer to a line that ``benchmarks.worker`` understands."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{request}\n")
        self.process.stdin.flush()
        return self._receive()

    def turn(self, steps: int) -> list[float]:
        """The seconds of ``steps`` steps, after a pause."""
        time.sleep(PAUSE_SECONDS)
        return self.ask(f"run {steps}")

    def steps_in(self, seconds: float) -> int:
        """How many steps take about that long; warms up on the way."""
        self.turn(1)
        return max(2, min(1000, math.ceil(seconds / statistics.median(self.turn(3)))))


@dataclass
class Result:
    """What one library did on one workload. Times in seconds, memory in megabytes."""

    library: str
    rounds: list[list[float]] = field(default_factory=list)
    memory: dict[str, float] = field(default_factory=dict)
    check: list[float] = field(default_factory=list)

    @property
    def seconds(self) -> list[float]:
        return [second for turn in self.rounds for second in turn]

    def summary(self, ours: Result) -> dict[str, Any]:
        """The figures for tables and JSON; ``ratio`` is this library's time divided by ours, the median of rounds."""
        ratios = [
            statistics.median(theirs) / statistics.median(mine)
            for theirs, mine in zip(self.rounds, ours.rounds, strict=True)
        ]
        return {
            "library": self.library,
            "milliseconds": 1000 * statistics.median(self.seconds),
            "milliseconds_quartiles": [1000 * q for q in quartiles(self.seconds)],
            "ratio": statistics.median(ratios),
            "ratio_quartiles": quartiles(ratios),
            "peak_mb": self.memory["peak"] - self.memory["start"],
            "step_mb": self.memory["step"] - self.memory["built"],
            "rounds": len(self.rounds),
            "steps": len(self.rounds[0]),
        }


def quartiles(values: list[float]) -> list[float]:
    """The first and third quartile."""
    if len(values) == 1:
        return [values[0], values[0]]
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return [first, third]


def check_agreement(workload: str, results: list[Result]) -> None:
    """RuntimeError unless all libraries compute the same from the same weights, so that the same work is timed."""
    expected = results[0].check
    scale = max(abs(value) for value in expected)
    for result in results[1:]:
        pairs = zip(result.check, expected, strict=True)
        if not all(abs(a - b) < 5e-3 * scale for a, b in pairs):  # the book's Adam differs by its epsilon
            raise RuntimeError(
                f"{workload}: {result.library} gives {result.check}, {results[0].library} {expected}: "
                "they don't compute the same"
            )


def contest(
    workload: str, libraries: list[str], threads: int = 2, rounds: int = 8, steps: int | None = None
) -> dict[str, Any]:
    """Each library's steps, the first of ``libraries`` being what the others are compared with."""
    results = [Result(library) for library in libraries]
    workers = []
    try:
        for library in libraries:
            workers.append(Worker(library, workload, threads))
        for worker, result in zip(workers, results, strict=True):
            result.check = worker.ask("check 3")
        check_agreement(workload, results)
        counts = [steps or worker.steps_in(TURN_SECONDS) for worker in workers]
        meter = BusyMeter([worker.process.pid for worker in workers])
        pairs = list(zip(workers, results, counts, strict=True))
        for number in range(rounds):
            for worker, result, count in pairs if number % 2 == 0 else reversed(pairs):
                result.rounds.append(worker.turn(count))
        others = meter.others()
        for worker, result in zip(workers, results, strict=True):
            result.memory = worker.ask("memory")
    finally:
        for worker in workers:
            worker.__exit__()
    return {
        "workload": workload,
        "threads": threads,
        "others_busy_cores": others,
        "results": [result.summary(results[0]) for result in results],
    }
