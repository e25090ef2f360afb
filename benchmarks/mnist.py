"""``python -m benchmarks mnist --data FOLDER``: the full MNIST to 99 % test accuracy, in how many seconds.

Runs ``examples/mnist_99.py``, one program for both libraries, with several seeds, in turns.
"""

from __future__ import annotations

import argparse
import re
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine
from benchmarks.__main__ import add_common, chosen, write_json
from benchmarks.contest import OURS
from benchmarks.report import NAMES

SCRIPT = Path(__file__).parents[1] / "examples" / "mnist_99.py"
LINE = re.compile(r"epoch \d+: test accuracy ([\d.]+) %, trained ([\d.]+) s")


def run(library: str, arguments: list[str]) -> list[tuple[float, float]]:
    """Each epoch's test accuracy, and the seconds of training until then."""
    command = [sys.executable, str(SCRIPT), "--library", library, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    return [(float(percent), float(seconds)) for percent, seconds in LINE.findall(done.stdout)]


def main(arguments: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks mnist", description=__doc__)
    parser.add_argument("--data", required=True, metavar="DIR", help="folder with the four IDX files, gzipped or not")
    parser.add_argument("--seeds", type=int, default=5, help="runs of each library (default: 5)")
    add_common(parser)
    options, script_arguments = parser.parse_known_args(arguments)
    others = [o for o in chosen(options.against) if o == "torch"]
    libraries = [OURS, *others]
    results: dict[str, Any] = {"machine": machine.describe(libraries), "runs": []}
    print(machine.sentence(results["machine"]), end="\n\n")
    print("| library | seed | test accuracy after each epoch | seconds of training until then |\n|---|---:|---|---|")
    for seed in range(options.seeds):
        common = ["--data", options.data, "--threads", str(options.threads), "--seed", str(seed), *script_arguments]
        for library in libraries:
            epochs = run(library, common)
            results["runs"].append({"library": library, "seed": seed, "epochs": epochs})
            cells = (", ".join(f"{epoch[column]:.2f}" for epoch in epochs) for column in (0, 1))
            print(f"| {NAMES[library]} | {seed} | {' | '.join(cells)} |", flush=True)
    print()
    for library in libraries:
        last = [result["epochs"][-1] for result in results["runs"] if result["library"] == library]
        percent, seconds = (statistics.median(column) for column in zip(*last, strict=True))
        reached = sum(epoch[0] >= 99 for epoch in last)
        print(f"{NAMES[library]}: {percent:.2f} % in {seconds:.2f} s (medians); {reached} of {len(last)} reach 99 %")
    write_json(options.json, results)
