"""``python -m benchmarks noise``: what a second process that keeps one core busy costs each library.

A library whose threads wait for each other actively, or hand out equal shares in advance, waits for the one that lost
its core. All processes are held to as many cores as the libraries have threads, so that the neighbour takes one of
theirs; on systems where that can't be done (other than Linux) the machine should have no more cores than that.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

from benchmarks import machine
from benchmarks.__main__ import add_common, chosen, known_workloads, write_json
from benchmarks.contest import OURS, Worker, quartiles
from benchmarks.report import NAMES
from benchmarks.workloads import ALL


def measure(workload: str, libraries: list[str], threads: int, rounds: int, seconds: float) -> list[dict[str, object]]:
    """Each library's step alone and beside a busy process, in turns."""
    results = []
    for library in libraries:
        with Worker(library, workload, threads) as worker:
            steps = worker.steps_in(seconds)
            alone, beside = [], []
            for _ in range(rounds):
                alone += worker.turn(steps)
                neighbour = subprocess.Popen([sys.executable, "-c", "while True: pass"])
                try:
                    time.sleep(0.2)  # until it runs
                    began = time.monotonic()
                    while time.monotonic() - began < seconds:
                        beside += worker.turn(max(1, steps // 10))
                finally:
                    neighbour.kill()
                    neighbour.wait()
        quiet, noisy = statistics.median(alone), statistics.median(beside)
        results.append(
            {
                "workload": workload,
                "library": library,
                "alone_ms": 1000 * quiet,
                "beside_ms": 1000 * noisy,
                "beside_ms_quartiles": [1000 * q for q in quartiles(beside)],
                "slowdown": noisy / quiet,
            }
        )
    return results


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks noise", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="which ones (default: simple_conv_net)")
    add_common(parser)
    parser.add_argument("--rounds", type=int, default=4, help="times with and without the neighbour (default: 4)")
    parser.add_argument("--seconds", type=float, default=1.0, help="of each measurement (default: 1)")
    options = parser.parse_args(arguments)
    names = known_workloads(options.workloads or ["simple_conv_net"])
    others = [o for o in chosen(options.against) if options.against or o == "torch"]
    if hasattr(os, "sched_setaffinity"):
        os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: options.threads])  # the children inherit it
    print(machine.sentence(machine.describe([OURS, *others])), end="\n\n")
    print("| workload | library | alone, ms | beside a busy process, ms | quartiles | times slower |")
    print("|---|---|---:|---:|---:|---:|")
    results = []
    for name in names:
        for row in measure(name, [OURS, *others], options.threads, options.rounds, options.seconds):
            results.append(row)
            low, high = row["beside_ms_quartiles"]
            print(
                f"| {ALL[name].title} | {NAMES[row['library']]} | {row['alone_ms']:.2f} | {row['beside_ms']:.2f} "
                f"| {low:.2f} to {high:.2f} | {row['slowdown']:.2f} |",
                flush=True,
            )
    write_json(options.json, results)
