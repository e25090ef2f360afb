"""One library in a process of its own: does what it is told to on standard input, one request a line.

``python -m benchmarks.worker LIBRARY WORKLOAD THREADS [BATCH]``. The answers are lines of JSON:

    check N   the losses of N training steps, or the first scores of an inference
    run N     the seconds of N steps, after one more that isn't counted
    memory    megabytes: of the process before the workload was built, after it, at the highest, and in the last run
"""

from __future__ import annotations

import dataclasses
import importlib
import json
import sys
import time
from collections.abc import Callable
from typing import Any

from benchmarks import memory, peers
from benchmarks.workloads import ALL, OPTIMIZERS, Step, Workload, draw_parameters


def load(library: str, threads: int) -> Callable[[Workload], Step]:
    """What builds a workload's step on the library, which is imported and has run something small."""
    if library in peers.PEERS:
        peer = peers.load(library)

        def build_peer(workload: Workload) -> Step:
            if workload.network.__name__ != "simple_conv_net" or workload.optimizer != "Adam":
                raise ValueError(f"{library} has no {workload.title}")
            return peer.step(dict(draw_parameters(peers.SHAPES.items())), *workload.data(), threads)

        return build_peer
    T = importlib.import_module(library)
    T.set_num_threads(threads)
    T.manual_seed(0)
    _touch(T)
    return lambda workload: workload.build(T)


def _touch(T: Any) -> None:
    """Run a bit of everything, so that the library's own code is in memory before memory is measured."""
    nn = T.nn
    model = nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(), nn.Linear(32, 10)
    )
    for make in OPTIMIZERS.values():
        optimizer = make(T, model.parameters())
        nn.functional.cross_entropy(model(T.ones(2, 1, 4, 4)), T.tensor([1, 2])).backward()
        optimizer.step()


def _numbers(result: Any, training: bool) -> list[float]:
    """The loss, or some of the scores."""
    return [float(result)] if training else [float(x) for x in result.reshape(-1)[:10]]


def answer(request: str, step: Step, workload: Workload) -> Any:
    """Do what one line asks for."""
    command, count = request.split()
    if command == "check":
        training = workload.optimizer is not None
        return [number for _ in range(int(count)) for number in _numbers(_value(step()), training)]
    memory.reset_peak()
    step()
    seconds = []
    for _ in range(int(count)):
        start = time.perf_counter()
        step()
        seconds.append(time.perf_counter() - start)
    return seconds


def _value(result: Any) -> Any:
    return result.detach() if hasattr(result, "detach") else result


def main() -> None:
    library, name, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    workload = ALL[name]
    if len(sys.argv) > 4:
        workload = dataclasses.replace(workload, batch=int(sys.argv[4]))
    build = load(library, threads)
    memory.reset_peak()
    start = memory.resident_mb()
    step = build(workload)
    built = memory.resident_mb()
    highest = 0.0
    print(json.dumps("ready"), flush=True)
    for line in sys.stdin:
        if line.strip() == "memory":
            reply: Any = dict(start=start, built=built, peak=max(highest, memory.peak_mb()), step=memory.peak_mb())
        else:
            highest = max(highest, memory.peak_mb())
            reply = answer(line, step, workload)
        print(json.dumps(reply), flush=True)


if __name__ == "__main__":
    main()
