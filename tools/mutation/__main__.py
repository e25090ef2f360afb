"""Mutation testing of ``ops/`` and ``kernels/``: ``python tools/mutation --sample 300 --seed 0 --jobs 2``.

The result is ``docs/mutation.md``; verdicts on survivors are kept in ``tools/mutation/verdicts.toml``. A commit is
copied once, and mutants exist in memory only: the working tree is never touched. ``--only kernels/pool`` limits a run
to some files, and then, as with ``--no-page`` and ``--no-tests``, survivors are printed and no file is written.
"""

from __future__ import annotations

import argparse
import ast
import datetime
import hashlib
import io
import json
import multiprocessing
import os
import signal
import subprocess
import sys
import tarfile
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Iterator, Sequence
from multiprocessing.connection import Connection, wait
from pathlib import Path
from typing import Any

for variable in ("OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "OMP_NUM_THREADS"):
    os.environ[variable] = "1"

# ruff: noqa: E402  # NumPy reads the environment when it is imported
import hypothesis  # noqa: F401  # children find these three imported
import kit
import numpy  # noqa: F401
import pytest  # noqa: F401
import report
from population import Mutant, mutants
from report import Outcome

ROOT = Path(__file__).resolve().parents[2]
VERDICTS = Path(__file__).with_name("verdicts.toml")
CACHE = ROOT / "build" / "mutation"
PAGE = ROOT / "docs" / "mutation.md"
CPU_FACTOR = 10  # a mutant may take so many times the time of the same ops without it
MOST_TESTS = 60  # a mutant is tried by


def main() -> None:
    """Read the options, do the run, write the page."""
    parser = argparse.ArgumentParser(prog="python tools/mutation", description=__doc__)
    parser.add_argument("--sample", type=int, default=300, help="mutants in the code of ops and kernels")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--examples", type=int, default=30, help="that the kit draws")
    parser.add_argument("--revision", default="HEAD", help="the commit to mutate")
    parser.add_argument("--only", default="", help="files whose path contains this")
    parser.add_argument("--no-tests", action="store_true", help="the kit alone")
    parser.add_argument("--no-page", action="store_true", help="print survivors, and write no file")
    options = parser.parse_args()
    begin = time.time()
    with tempfile.TemporaryDirectory(prefix="mutation") as folder:
        run = Run(Path(folder), options)
        run.prepare()
        outcomes = run.try_all(run.sample())
    verdicts = report.read_verdicts(VERDICTS)
    about = dict(vars(options), population=run.population, places=run.places, seconds=time.time() - begin)
    about["left_out"] = "".join(f"\nLeft out, as it fails without any mutant: `{name}`.\n" for name in run.left_out)
    about |= dict(cpu_factor=CPU_FACTOR, date=datetime.date.today().isoformat())
    page = report.page(outcomes, verdicts, about)
    if options.only or options.no_page or options.no_tests:
        print(page)
    else:
        report.write_verdicts(VERDICTS, verdicts, outcomes)
        PAGE.write_text(page, "utf-8")
        print(f"written: {PAGE.relative_to(ROOT)} and {VERDICTS.relative_to(ROOT)}")


class Run:
    """One run: a copy of the tree, what the ops and tests execute in it, a sample, and what becomes of it."""

    def __init__(self, folder: Path, options: argparse.Namespace) -> None:
        self.folder, self.options = folder, options
        archive = subprocess.run(["git", "archive", options.revision], cwd=ROOT, check=True, stdout=subprocess.PIPE)
        with tarfile.open(fileobj=io.BytesIO(archive.stdout)) as files:
            files.extractall(folder, filter="data")
        state = hashlib.sha256()
        for file in sorted(folder.glob("t*/**/*.py")):
            if "mutation" not in file.parts:
                state.update(file.read_bytes())
        self.state = state.hexdigest()[:12]  # of the package and its tests
        CACHE.mkdir(parents=True, exist_ok=True)
        self.sources: dict[str, str] = {}
        self.population = self.places = 0

    def prepare(self) -> None:
        """Trace what executes what: by the kit, and by the tests."""
        options = self.options
        self.trace = self._traced(kit.trace_ops, self.folder, options.examples, options.seed)
        self.left_out = dict(self.trace["failures"])
        for name, failure in self.left_out.items():
            print(f"left out, as it fails without any mutant: {name}: {failure}", file=sys.stderr)
        self.tests = {} if options.no_tests else self._traced(kit.trace_tests, self.folder, options.jobs)["lines"]
        self.size: Counter[str] = Counter()  # of a test, in lines executed: those with the fewest are tried first
        for lines in self.tests.values():
            for tests in lines.values():
                self.size.update(tests)

    def _traced(self, function: Callable[..., Any], *arguments: Any) -> dict[str, Any]:
        """A trace, made in a child process, as this one never imports the package; the last ones are kept."""
        asked = hashlib.sha256(repr(arguments[1:]).encode()).hexdigest()[:4]
        kept = CACHE / f"{function.__name__}-{self.state}-{asked}.json"
        if not kept.exists():
            (trace,) = run_all([Task(function, arguments, self.folder, 3600)], 1)
            if isinstance(trace, str):
                raise SystemExit(f"{function.__name__} {trace}")
            kept.write_text(json.dumps(trace), "utf-8")
        return dict(json.loads(kept.read_text("utf-8")))

    # -------------------------------------------------------------------------------------- the sample
    def sample(self) -> list[Outcome]:
        """Mutants in random order, one a place, until enough of them lie in the code of ops and kernels."""
        places: dict[tuple[str, int, int, str], list[Mutant]] = defaultdict(list)
        for room in ("kernels", "ops"):
            for file in sorted((self.folder / kit.PACKAGE / room).glob("*.py")):
                path = file.relative_to(self.folder).as_posix()
                if self.options.only in path and file.name != "_samples.py":  # which is the test
                    self.sources[path] = file.read_text("utf-8")
                    for mutant in mutants(path, self.sources[path]):
                        self.population += 1
                        places[path, mutant.start, mutant.stop, mutant.operator].append(mutant)
        self.places = len(places)
        chosen = sorted((min(group, key=self._rank) for group in places.values()), key=self._rank)
        sample: list[Outcome] = []
        for mutant in chosen:
            if not self._is_test(mutant):
                sample.append(Outcome(mutant, self._is_op(mutant)))
                if sum(o.is_op for o in sample) == self.options.sample:
                    break
        return sample

    def _rank(self, mutant: Mutant) -> str:
        """A random place in line that depends on the mutant alone: a change elsewhere leaves the rest of a sample."""
        return hashlib.sha256(f"{self.options.seed} {mutant.key}".encode()).hexdigest()

    def _executing(self, path: str, lines: Iterable[int]) -> set[str]:
        """The ops whose kit executes any of these lines; samples and references count for kernels alone.

        There they compare what a kernel gives with its definition.
        """
        executed = self.trace["lines"].get(path, {})
        names = {name for n in lines for name in executed.get(str(n), ())} - {"import", ""}
        if "/kernels/" in path:
            names = {name.removeprefix(kit.TEST) for name in names}
        return {name for name in names if not name.startswith(kit.TEST)} - set(self.left_out)

    def _ops(self, mutant: Mutant) -> list[str]:
        """The ops to try a mutant with: those that execute its lines, of its own file first, the quickest first.

        Where no op was seen to, as a trace has few draws: those that execute its function, or else its file.
        """
        own = {name for name, places in self.trace["declared"].items() if any(p == mutant.path for p, _ in places)}
        names = self._executing(mutant.path, range(mutant.first, mutant.last + 1))
        if mutant.at_import:
            names |= own - set(self.left_out)
        names = names or self._executing(mutant.path, self._scope(mutant))
        if not names and "/kernels/" in mutant.path:
            names = self._executing(mutant.path, range(1, 1 + len(self.sources[mutant.path].splitlines())))
        return sorted(names, key=lambda name: (name not in own, name not in mutant.old, self.trace["seconds"][name]))

    def _is_test(self, mutant: Mutant) -> bool:
        """Whether it lies in a function of ``ops/`` that only samples and references execute: a part of the test."""
        executed = self.trace["lines"].get(mutant.path, {})
        if mutant.at_import or "/kernels/" in mutant.path:
            return False
        lines = range(mutant.first, mutant.last + 1) if not mutant.scope else self._scope(mutant)
        found = {name for n in lines for name in executed.get(str(n), ())} - {"import", ""}
        return bool(found) and all(name.startswith(kit.TEST) for name in found)

    def _scope(self, mutant: Mutant) -> range:
        """The lines of the body of the outermost function around a mutant."""
        return next((s for s in function_bodies(self.sources[mutant.path]) if mutant.first in s), range(0))

    def _is_op(self, mutant: Mutant) -> bool:
        """Whether it lies in code that the kit can find: see the page."""
        if mutant.is_name:
            return False
        if "/kernels/" in mutant.path:
            return True
        own = [line for places in self.trace["declared"].values() for p, line in places if p == mutant.path]
        if mutant.at_import or not mutant.scope:
            return bool(own)
        body = self._scope(mutant)
        return bool(self._executing(mutant.path, body)) or any(line in body for line in own)

    def _tests(self, mutant: Mutant) -> list[str]:
        lines = self.tests.get(mutant.path, {})
        wanted = range(mutant.first, mutant.last + 1)
        names = {t for n in wanted for t in lines.get(str(n), ())} - {""}
        if mutant.at_import and not names:
            names = {t for contexts in lines.values() for t in contexts} - {""}
        names = {name.partition("|")[0] for name in names}
        return sorted(names, key=lambda name: self.size[name])[:MOST_TESTS]

    # -------------------------------------------------------------------------------------- the trials
    def try_all(self, sample: list[Outcome]) -> list[Outcome]:
        """The kit tries every mutant in the code of ops; the tests try what is left."""
        self._try(sample, "kit", self._kit_task)
        if not self.options.no_tests:
            self._try([o for o in sample if not o.kit], "tests", self._tests_task)
        return sample

    def _try(self, outcomes: list[Outcome], field: str, task: Callable[[Outcome], Task | None]) -> None:
        """Fill a field of the outcomes. What a run that was interrupted has found out already is taken from its log."""
        log = CACHE / f"{field}-{self.state}-{self.options.examples}-{self.options.seed}.jsonl"
        known = dict(json.loads(line) for line in log.read_text("utf-8").splitlines()) if log.exists() else {}
        tasks = [(o, t) for o in outcomes if (t := task(o)) is not None]
        new = [(o, t) for o, t in tasks if o.mutant.key not in known]
        with log.open("a", encoding="utf-8") as file:
            for number, (outcome, result) in enumerate(
                zip((o for o, _ in new), run_all([t for _, t in new], self.options.jobs), strict=True), 1
            ):
                mutant = outcome.mutant
                known[mutant.key] = result
                print(json.dumps([mutant.key, result]), file=file, flush=True)
                told = result or f"SURVIVED\n- {mutant.old}\n+ {mutant.new}"
                print(f"{field} {number}/{len(new)} {mutant.path}:{mutant.first} {told}", file=sys.stderr)
        for outcome, _ in tasks:
            setattr(outcome, field, known[outcome.mutant.key])

    def _kit_task(self, outcome: Outcome) -> Task | None:
        mutant = outcome.mutant
        names = self._ops(mutant) if outcome.is_op else []
        outcome.ops = len(names)
        if not names:
            return None
        options, seconds = self.options, sum(self.trace["seconds"][name] for name in names)
        arguments = (names, options.examples, options.seed, "/kernels/" in mutant.path)
        return Task(kit.run_kit, arguments, self.folder, 10 + CPU_FACTOR * seconds, mutant.path, self._mutated(mutant))

    def _tests_task(self, outcome: Outcome) -> Task | None:
        mutant = outcome.mutant
        tests = self._tests(mutant)
        if not tests:
            return None
        return Task(kit.run_tests, (tests,), self.folder, 120, mutant.path, self._mutated(mutant))

    def _mutated(self, mutant: Mutant) -> str:
        return mutant.applied(self.sources[mutant.path])


def function_bodies(source: str) -> list[range]:
    """The lines of each outermost function's body: those below its ``def`` line."""
    found: list[range] = []

    def visit(nodes: Sequence[ast.AST]) -> None:
        for node in nodes:
            if isinstance(node, ast.FunctionDef):
                found.append(range(node.body[0].lineno, (node.end_lineno or 0) + 1))
            else:
                visit(list(ast.iter_child_nodes(node)))

    visit(ast.parse(source).body)
    return found


# ------------------------------------------------------------------------------------- child processes
class Task:
    """A function to call in a child process that imports the package from a copy, maybe with a mutated file."""

    def __init__(
        self, function: Callable[..., Any], arguments: tuple[Any, ...], folder: Path, seconds: float,
        path: str = "", source: str = "",
    ) -> None:  # fmt: skip
        self.function, self.arguments, self.folder, self.seconds = function, arguments, folder, seconds
        self.path, self.source = path, source

    def __call__(self, answer: Connection) -> None:
        """What the child does."""
        null = os.open(os.devnull, os.O_RDWR)
        for stream in (0, 1, 2) if self.path else (0,):
            os.dup2(null, stream)
        kit.use_copy(self.folder, self.path, self.source)
        if self.path:
            kit.limit(self.seconds)
        answer.send(self.function(*self.arguments))
        answer.close()
        os._exit(0)  # threads that a mutant left behind aren't waited for


def run_all(tasks: Sequence[Task], jobs: int) -> Iterator[Any]:
    """Run tasks in child processes, ``jobs`` at a time; the results in the tasks' order, or how a child ended."""
    context = multiprocessing.get_context("fork")
    results: dict[int, Any] = {}
    running: dict[Connection, tuple[int, Any, float]] = {}
    waiting = iter(enumerate(tasks))
    done = 0
    while done < len(tasks):
        while len(running) < jobs and (following := next(waiting, None)) is not None:
            number, task = following
            mine, theirs = context.Pipe(duplex=False)
            process = context.Process(target=task, args=(theirs,))
            process.start()
            theirs.close()
            running[mine] = number, process, time.time() + 60 + task.seconds / 2
        for connection in wait(list(running), timeout=1):
            assert isinstance(connection, Connection)
            number, process, _ = running.pop(connection)
            try:
                results[number] = connection.recv()
            except EOFError:
                process.join()
                results[number] = _ending(process.exitcode or 0)
            process.join()
        for connection, (number, process, deadline) in list(running.items()):
            if time.time() > deadline:  # of one that sleeps: computing is limited
                process.kill()
                process.join()
                results[number] = "timeout"
                del running[connection]
        while done in results:
            yield results.pop(done)
            done += 1


def _ending(code: int) -> str:
    """How a child that gave no answer ended: ``SIGXCPU`` is the limit of its time."""
    return f"ended by {signal.Signals(-code).name}" if code < 0 else f"ended with code {code}"


if __name__ == "__main__":
    main()
