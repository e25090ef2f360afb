"""One contestant in a process of its own: does the steps that it is told to on standard input, and reports times.

``python -m benchmarks.worker LIBRARY WORKLOAD THREADS``; a line with a number asks for that many steps.
"""

from __future__ import annotations

import importlib
import json
import resource
import sys
import time

from benchmarks.workloads import WORKLOADS, Step, book_simple_conv_net


def make(library: str, workload: str, threads: int) -> Step:
    """The step of ``workload`` on ``library``, warmed up by its first call."""
    if library == "book":
        from threadpoolctl import threadpool_limits

        threadpool_limits(threads)
        return book_simple_conv_net()
    module = importlib.import_module("torch" if library == "torch" else "tinygrad_cnn")
    module.set_num_threads(threads)
    module.manual_seed(0)
    return WORKLOADS[workload](module)


def main() -> None:
    library, workload, threads = sys.argv[1], sys.argv[2], int(sys.argv[3])
    step = make(library, workload, threads)
    print("ready", flush=True)
    for line in sys.stdin:
        times = []
        for _ in range(int(line)):
            start = time.perf_counter()
            step()
            times.append(time.perf_counter() - start)
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": times, "peak_mb": peak}), flush=True)


if __name__ == "__main__":
    main()
