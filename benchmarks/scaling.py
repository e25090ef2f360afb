"""``python -m benchmarks scaling``: what a second thread gains, and how time and memory grow with the batch."""

from __future__ import annotations

import argparse
import math
import statistics
from contextlib import ExitStack
from typing import Any

from benchmarks import machine
from benchmarks.__main__ import add_common, chosen, known_workloads, write_json
from benchmarks.contest import OURS, TURN_SECONDS, Worker
from benchmarks.report import NAMES
from benchmarks.workloads import ALL

BATCHES = [2**power for power in range(10)]


def threads_gain(workload: str, libraries: list[str], threads: int, rounds: int) -> list[dict[str, Any]]:
    """Each library's step with one thread and with ``threads``, in turns."""
    rows = []
    with ExitStack() as stack:
        workers = {
            (library, count): stack.enter_context(Worker(library, workload, count))
            for library in libraries
            for count in (1, threads)
        }
        steps = {key: worker.steps_in(TURN_SECONDS) for key, worker in workers.items()}
        seconds: dict[Any, list[float]] = {key: [] for key in workers}
        for _ in range(rounds):
            for key, worker in workers.items():
                seconds[key].append(statistics.median(worker.turn(steps[key])))
    for library in libraries:
        one, many = seconds[library, 1], seconds[library, threads]
        rows.append(
            {
                "workload": workload,
                "library": library,
                "one_thread_ms": 1000 * statistics.median(one),
                "threads_ms": 1000 * statistics.median(many),
                "gain": statistics.median(a / b for a, b in zip(one, many, strict=True)),
            }
        )
    return rows


def batch_growth(workload: str, library: str, threads: int, rounds: int, batches: list[int]) -> list[dict[str, Any]]:
    """The step's time and memory for each batch size, a process for each."""
    rows = []
    with ExitStack() as stack:
        workers = [stack.enter_context(Worker(library, workload, threads, batch)) for batch in batches]
        steps = [worker.steps_in(TURN_SECONDS / 2) for worker in workers]
        seconds: list[list[float]] = [[] for _ in batches]
        for _ in range(rounds):
            for times, worker, count in zip(seconds, workers, steps, strict=True):
                times.append(statistics.median(worker.turn(count)))
        for batch, times, worker in zip(batches, seconds, workers, strict=True):
            used = worker.ask("memory")
            rows.append(
                {
                    "workload": workload,
                    "library": library,
                    "batch": batch,
                    "milliseconds": 1000 * statistics.median(times),
                    "step_mb": used["step"] - used["built"],
                }
            )
    return rows


def exponent(rows: list[dict[str, Any]], field: str) -> float:
    """The power of the batch with which a field grows, from the larger half of the batches: 1 is linear."""
    upper = [row for row in rows[len(rows) // 2 :] if row[field] > 0]
    if len(upper) < 2:
        return math.nan
    x = [math.log(row["batch"]) for row in upper]
    return statistics.linear_regression(x, [math.log(row[field]) for row in upper]).slope


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks scaling", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="for the threads (default: all)")
    add_common(parser)
    parser.add_argument("--rounds", type=int, default=5, help="turns of each (default: 5)")
    parser.add_argument("--batch-workload", default="simple_conv_net", metavar="WORKLOAD", help="for the batch sizes")
    parser.add_argument("--batches", default=",".join(map(str, BATCHES)), help="(default: 1,2,4,...,512)")
    parser.add_argument("--only", choices=("threads", "batches"), help="one of the two tables")
    options = parser.parse_args(arguments)
    names = known_workloads(options.workloads)
    others = [o for o in chosen(options.against) if options.against or o == "torch"]
    libraries = [OURS, *others]
    batches = [int(batch) for batch in options.batches.split(",")]
    results: dict[str, Any] = {"machine": machine.describe(libraries), "threads": [], "batches": []}
    print(machine.sentence(results["machine"]))
    if options.only != "batches":
        print(
            f"\n| workload | library | 1 thread, ms | {options.threads} threads, ms | gain |\n|---|---|---:|---:|---:|"
        )
        for name in names:
            for row in threads_gain(name, libraries, options.threads, options.rounds):
                results["threads"].append(row)
                print(
                    f"| {ALL[name].title} | {NAMES[row['library']]} | {row['one_thread_ms']:.2f} "
                    f"| {row['threads_ms']:.2f} | {row['gain']:.2f} |",
                    flush=True,
                )
    if options.only != "threads":
        (name,) = known_workloads([options.batch_workload])
        for library in libraries:
            rows = batch_growth(name, library, options.threads, options.rounds, batches)
            results["batches"] += rows
            print(f"\n{ALL[name].title.partition(',')[0]}, {NAMES[library]}, {options.threads} threads")
            print("\n| batch | step, ms | µs an image | a step, MB |\n|---:|---:|---:|---:|")
            for row in rows:
                each = 1000 * row["milliseconds"] / row["batch"]
                print(f"| {row['batch']} | {row['milliseconds']:.3f} | {each:.1f} | {row['step_mb']:.1f} |")
            time, memory = exponent(rows, "milliseconds"), exponent(rows, "step_mb")
            start = rows[len(rows) // 2]["batch"]
            print(f"\nFrom batch {start} on, time grows as batch^{time:.2f}, memory as batch^{memory:.2f}.", flush=True)
    write_json(options.json, results)
