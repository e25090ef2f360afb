"""Results as tables: on the terminal, and in the README."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from benchmarks.machine import sentence
from benchmarks.peers import PEERS
from benchmarks.workloads import ALL

ROOT = Path(__file__).parents[1]
README, RESULTS = ROOT / "README.md", ROOT / "benchmarks" / "results.json"
BEGIN, END = "<!-- python -m benchmarks --write-readme: begin -->", "<!-- end -->"
NAMES = {"tinygrad_cnn": "tinygrad_cnn", "torch": "PyTorch, eager"} | {k: title for k, (_, title) in PEERS.items()}
HEAD = (
    "| workload | library | step, ms | quartiles | their time / ours | quartiles | peak, MB | a step, MB |\n"
    "|---|---|---:|---:|---:|---:|---:|---:|"
)
LEGEND = (
    "Medians over all steps; each library in a process of its own, in turns, {threads} threads, the same weights and "
    "images, the losses compared before anything is timed. A ratio above 1 means that this library is faster. "
    "Peak: the most memory above what the imported library takes; a step: above what the network and the images take."
)


def _number(value: float) -> str:
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _range(pair: list[float]) -> str:
    return f"{_number(pair[0])} to {_number(pair[1])}"


def rows(entry: dict[str, Any]) -> list[str]:
    """One workload's lines of the table."""
    lines = []
    for position, result in enumerate(entry["results"]):
        ratio = ("1", "") if position == 0 else (f"{result['ratio']:.2f}", _range(result["ratio_quartiles"]))
        cells = (
            ALL[entry["workload"]].title if position == 0 else "",
            NAMES[result["library"]],
            _number(result["milliseconds"]),
            _range(result["milliseconds_quartiles"]),
            *ratio,
            f"{result['peak_mb']:.0f}",
            f"{result['step_mb']:.0f}",
        )
        lines.append(f"| {' | '.join(cells)} |")
    return lines


def busy_note(entry: dict[str, Any]) -> str:
    """A warning if other processes had a part of the machine, else nothing."""
    busy = entry["others_busy_cores"]
    return "" if busy is None or busy < 0.1 else f"{entry['workload']}: other processes kept {busy:.1f} cores busy"


def table(report: dict[str, Any]) -> str:
    """The whole table, with the machine above it and the legend below."""
    entries = report["workloads"]
    lines = [sentence(report["machine"]), "", HEAD]
    for entry in entries:
        lines += rows(entry)
    lines += ["", LEGEND.format(threads=entries[0]["threads"])]
    notes = [note for note in map(busy_note, entries) if note]
    if notes:
        lines += ["", "The machine was not idle: " + "; ".join(notes) + "."]
    return "\n".join(lines)


def in_readme(text: str, report: dict[str, Any]) -> str:
    """The README's text with the table between its two marks."""
    pattern = re.compile(f"{re.escape(BEGIN)}.*?{re.escape(END)}", re.DOTALL)
    if not pattern.search(text):
        raise ValueError(f"the README has no place for the table: {BEGIN} ... {END}")
    return pattern.sub(lambda _: f"{BEGIN}\n{table(report)}\n{END}", text)


def write_readme(report: dict[str, Any]) -> None:
    """Keep the results in ``benchmarks/results.json``, and show them in the README."""
    RESULTS.write_text(json.dumps(report, indent=2) + "\n", encoding="utf-8")
    README.write_text(in_readme(README.read_text(encoding="utf-8"), report), encoding="utf-8")
