"""``python -m benchmarks``: this library and others in one run, in turns, each in a process of its own.

Other commands: ``python -m benchmarks ideas``, ``noise``, ``scaling``, ``mnist`` (each with ``--help``).
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

from benchmarks import machine, peers, report
from benchmarks.contest import OURS, contest
from benchmarks.workloads import ALL, MORE, WORKLOADS

COMMANDS = ("ideas", "noise", "scaling", "mnist")


def available() -> list[str]:
    """The other libraries that are installed here."""
    torch = ["torch"] if importlib.util.find_spec("torch") is not None else []
    return torch + [peer for peer in peers.PEERS if peers.installed(peer)]


def chosen(text: str | None) -> list[str]:
    """The libraries that ``--against`` names, or all that are installed."""
    installed = available()
    if text is None:
        return installed
    names = [name for name in text.split(",") if name]
    for name in names:
        if name not in installed:
            raise SystemExit(f"--against: {name!r} isn't installed or isn't known; here are: {', '.join(installed)}")
    return names


def known_workloads(names: list[str]) -> list[str]:
    """The names, checked; those of the README's table if there are none."""
    unknown = [name for name in names if name not in ALL]
    if unknown:
        raise SystemExit(f"unknown workload {', '.join(unknown)}; known: {', '.join(ALL)}")
    return names or list(WORKLOADS)


def add_common(parser: argparse.ArgumentParser) -> None:
    """The options that several commands have."""
    parser.add_argument("--threads", type=int, default=2, help="threads for every library (default: 2)")
    parser.add_argument("--against", metavar="NAMES", help="the other libraries, with commas (default: all installed)")
    parser.add_argument("--json", metavar="FILE", type=Path, help="also write the results as JSON")


def write_json(path: Path | None, value: Any) -> None:
    """Write results where ``--json`` says."""
    if path is not None:
        path.write_text(json.dumps(value, indent=2) + "\n", encoding="utf-8")


def compare(arguments: list[str]) -> None:
    """The command without a name: the table of all workloads."""
    lines = [f"  {name:20} {workload.title}" for name, workload in ALL.items()]
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks",
        description=__doc__,
        epilog="\n".join(["workloads:", *lines]),
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="which ones (default: those of the table)")
    add_common(parser)
    parser.add_argument("--more", action="store_true", help=f"those that aren't in the table: {', '.join(MORE)}")
    parser.add_argument("--rounds", type=int, default=8, help="turns of each library (default: 8)")
    parser.add_argument("--steps", type=int, help="steps in a turn (default: as many as take 0.4 s)")
    parser.add_argument("--write-readme", action="store_true", help="put the table into the README")
    parser.add_argument("--from", metavar="FILE", type=Path, dest="source", help="show results of an earlier --json")
    parser.add_argument("--profile", action="store_true", help="instead: where our time goes, by op and by layer")
    options = parser.parse_args(arguments)
    names = known_workloads(options.workloads or (list(MORE) if options.more else []))
    if options.profile:
        from benchmarks.profiling import profile

        for name in names:
            profile(name, options.threads, options.steps or 5, "torch" in chosen(options.against))
        return
    results = json.loads(options.source.read_text(encoding="utf-8")) if options.source else measure(names, options)
    write_json(options.json, results)
    if options.write_readme:
        missing = set(WORKLOADS) - {entry["workload"] for entry in results["workloads"]}
        if missing:
            raise SystemExit(f"--write-readme: the README's table has all workloads; missing: {', '.join(missing)}")
        report.write_readme(results)
    if options.source:
        print(report.table(results))


def measure(names: list[str], options: argparse.Namespace) -> dict[str, Any]:
    """Measure, and print each workload's rows as soon as they are known."""
    others = chosen(options.against)
    results: dict[str, Any] = {"machine": machine.describe([OURS, *others]), "workloads": []}
    print(f"{machine.sentence(results['machine'])}\n\n{report.HEAD}", flush=True)
    for name in names:
        libraries = [OURS, *(other for other in others if other == "torch" or name == "simple_conv_net")]
        entry = contest(name, libraries, options.threads, options.rounds, options.steps)
        results["workloads"].append(entry)
        print("\n".join(report.rows(entry)), flush=True)
        if report.busy_note(entry):
            print(f"warning: {report.busy_note(entry)}", file=sys.stderr)
    return results


def main() -> None:
    arguments = sys.argv[1:]
    if arguments and arguments[0] in COMMANDS:
        importlib.import_module(f"benchmarks.{arguments[0]}").main(arguments[1:])
    else:
        compare(arguments)


if __name__ == "__main__":
    main()
