"""``python -m benchmarks WORKLOAD --profile``: the time of each op, forward and backward, and of each layer."""

from __future__ import annotations

import importlib

import tinygrad_cnn
from benchmarks.workloads import ALL
from tinygrad_cnn.profiler import profile as our_profile


def profile(name: str, threads: int, steps: int, with_torch: bool) -> None:
    """Print where the time of ``steps`` steps goes; on PyTorch too, by its own profiler, if it is there."""
    workload = ALL[name]
    tinygrad_cnn.set_num_threads(threads)
    step = workload.build(tinygrad_cnn)
    step(), step()
    with our_profile() as prof:
        for _ in range(steps):
            step()
    print(f"{workload.title}, {threads} threads, {steps} steps\n")
    print(prof.key_averages().table(sort_by="self_cpu_time_total", header="By op"), end="\n\n")
    print(prof.key_averages(True).table(sort_by="self_cpu_time_total", row_limit=15, header="By shape"), end="\n\n")
    print(prof.modules().table(header="By layer"))
    if not with_torch:
        return
    torch = importlib.import_module("torch")
    torch.set_num_threads(threads)
    step = workload.build(torch)
    step(), step()
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as theirs:
        for _ in range(steps):
            step()
    print("\nPyTorch, by its own profiler")
    print(theirs.key_averages().table(sort_by="self_cpu_time_total", row_limit=15))
