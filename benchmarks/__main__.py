"""``python -m benchmarks``: this library and its rivals in one run, in turns, each in a process of its own."""

from __future__ import annotations

import argparse
import importlib.util
import json
import statistics
import subprocess
import sys
from typing import Any

from benchmarks.workloads import WORKLOADS


class Contestant:
    """A worker process that does steps on request."""

    def __init__(self, library: str, workload: str, threads: int) -> None:
        self.library = library
        self.seconds: list[float] = []
        self.peak_mb = 0.0
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.worker", library, workload, str(threads)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self.process.stdout is not None
        if self.process.stdout.readline().strip() != "ready":
            raise RuntimeError(f"{library}: the worker for {workload} did not start")

    def run(self, steps: int, counted: bool = True) -> None:
        """Do ``steps`` steps."""
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(f"{steps}\n")
        self.process.stdin.flush()
        report = json.loads(self.process.stdout.readline())
        self.peak_mb = report["peak_mb"]
        if counted:
            self.seconds += report["seconds"]

    def close(self) -> None:
        """End the process."""
        assert self.process.stdin is not None
        self.process.stdin.close()
        self.process.wait()


def measure(workload: str, libraries: list[str], threads: int, rounds: int, steps: int) -> list[dict[str, Any]]:
    """The median step of each library, over ``rounds`` turns of ``steps`` steps."""
    contestants = [Contestant(library, workload, threads) for library in libraries]
    for contestant in contestants:
        contestant.run(3, counted=False)  # warm up
    for _ in range(rounds):
        for contestant in contestants:
            contestant.run(steps)
    for contestant in contestants:
        contestant.close()
    ours = statistics.median(contestants[0].seconds)
    return [
        {
            "workload": workload,
            "library": c.library,
            "milliseconds": 1000 * statistics.median(c.seconds),
            "ratio": statistics.median(c.seconds) / ours,
            "peak_mb": c.peak_mb,
        }
        for c in contestants
    ]


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"of {', '.join(WORKLOADS)} (default: all)")
    parser.add_argument("--threads", type=int, default=2, help="threads for every library (default: 2)")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each library (default: 8)")
    parser.add_argument("--steps", type=int, default=5, help="steps in a turn (default: 5)")
    parser.add_argument("--json", metavar="FILE", help="also write the results as JSON")
    options = parser.parse_args()
    unknown = set(options.workloads) - set(WORKLOADS)
    if unknown:
        parser.error(f"unknown workload {', '.join(sorted(unknown))}; known: {', '.join(WORKLOADS)}")
    results = []
    print("| workload | library | step, ms | their time / ours | peak MB |\n|---|---|---|---|---|")
    for workload in options.workloads or WORKLOADS:
        libraries = ["tinygrad_cnn"]
        if workload == "simple_conv_net":
            libraries.append("book")
        if importlib.util.find_spec("torch") is not None:
            libraries.append("torch")
        for row in measure(workload, libraries, options.threads, options.rounds, options.steps):
            results.append(row)
            print(
                f"| {row['workload']} | {row['library']} | {row['milliseconds']:.2f} | {row['ratio']:.2f} "
                f"| {row['peak_mb']:.0f} |",
                flush=True,
            )
    if options.json:
        with open(options.json, "w", encoding="utf-8") as file:
            json.dump(results, file, indent=2)


if __name__ == "__main__":
    main()
