"""``python -m benchmarks ideas``: what each idea behind the kernels gives, switched on one after the other.

Every stage runs in a process of its own, all of them in turns, so that a busy minute doesn't fall on one alone.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, NamedTuple

from benchmarks import machine
from benchmarks.__main__ import known_workloads, write_json
from benchmarks.contest import OURS
from benchmarks.workloads import ALL


class Stage(NamedTuple):
    """What is switched on."""

    idea: str
    keeps_memory: bool = True
    rule: Mapping[str, Any] = MappingProxyType({})  # where it isn't the default
    threads: int = 2
    keeps_awake: bool = True


PLAIN = {"winograd": False, "widen_below": 0}
STAGES = [
    Stage("columns in blocks that fit the cache, products by BLAS", False, PLAIN, 1),
    Stage("freed memory is kept", True, PLAIN, 1),
    Stage("narrow convolutions: several results in a row", True, {"winograd": False}, 1),
    Stage("Winograd's 3x3 convolutions", threads=1),
    Stage("two threads of our own", keeps_awake=False),
    Stage("cores that don't sleep"),
]


def serve(workload: str, stage: int) -> None:
    """The child: for each line on standard input, print the seconds of that many steps."""
    import tinygrad_cnn as tg

    tg.set_num_threads(STAGES[stage].threads)
    with tg.backends.flags(**STAGES[stage].rule):
        step = ALL[workload].build(tg)
        step()
        for line in sys.stdin:
            seconds = []
            for _ in range(int(line)):
                start = time.perf_counter()
                step()
                seconds.append(time.perf_counter() - start)
            print(json.dumps(seconds), flush=True)


def measure(workload: str, rounds: int, steps: int) -> list[float]:
    """The median milliseconds of a step at each stage."""
    children = []
    for number, stage in enumerate(STAGES):
        switches = {"KEEP_MEMORY": stage.keeps_memory, "KEEP_AWAKE": stage.keeps_awake}
        environment = {**os.environ, **{f"TINYGRAD_CNN_{name}": str(int(on)) for name, on in switches.items()}}
        command = [sys.executable, "-m", "benchmarks.ideas", workload, str(number)]
        children.append(
            subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=environment)
        )
    seconds: list[list[float]] = [[] for _ in STAGES]
    for _ in range(rounds):
        for child, times in zip(children, seconds, strict=True):
            assert child.stdin is not None
            assert child.stdout is not None
            print(steps, file=child.stdin, flush=True)
            times += json.loads(child.stdout.readline())
    for child in children:
        child.communicate()
    return [1000 * statistics.median(times) for times in seconds]


def main(arguments: list[str]) -> None:
    default = ["simple_conv_net", "lenet5", "small_vgg"]
    parser = argparse.ArgumentParser(prog="python -m benchmarks ideas", description=__doc__)
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help=f"which ones (default: {' '.join(default)})")
    parser.add_argument("--rounds", type=int, default=5, help="turns of each stage (default: 5)")
    parser.add_argument("--steps", type=int, default=5, help="steps in a turn (default: 5)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")
    options = parser.parse_args(arguments)
    names = known_workloads(options.workloads or default)
    print(machine.sentence(machine.describe([OURS])), end="\n\n")
    results = {name: measure(name, options.rounds, options.steps) for name in names}
    print("| ms a step, with one idea after the other | " + " | ".join(ALL[name].title for name in names) + " |")
    print("|---|" + "---:|" * len(names))
    for number, stage in enumerate(STAGES):
        print(f"| {stage.idea} | " + " | ".join(f"{results[name][number]:.1f}" for name in names) + " |")
    write_json(options.json, {"stages": [stage.idea for stage in STAGES], "milliseconds": results})


if __name__ == "__main__":
    serve(sys.argv[1], int(sys.argv[2]))
