"""What runs in a child process: the kit and the tests, on the package with one file mutated or as it is."""

from __future__ import annotations

import contextlib
import importlib.machinery
import importlib.util
import os
import resource
import signal
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

PACKAGE = "tinygrad_cnn"
TEST = "test of "  # what the lines that a sample or a reference executes are filed under, before the op's name
MEMORY = 6 << 30  # bytes of address space; a mutated shape can ask for anything
PATIENCE = 60  # seconds for an op without any mutant


class _OneFile(importlib.machinery.PathFinder):
    """Imports one module from a source in memory, and leaves the others to Python."""

    name, path, source = "", "", ""

    @classmethod
    def find_spec(cls, name: str, path: Any = None, target: Any = None) -> Any:
        if name != cls.name:
            return None
        return importlib.util.spec_from_file_location(name, cls.path, loader=_FromMemory(name, cls.path))


class _FromMemory(importlib.machinery.SourceFileLoader):
    def get_code(self, name: str) -> Any:
        return compile(_OneFile.source, self.path, "exec", dont_inherit=True)


def use_copy(folder: Path, mutated: str = "", source: str = "") -> None:
    """Import the package from ``folder``, and the file ``mutated`` of it as if it read ``source``."""
    assert PACKAGE not in sys.modules, "the parent process must not import the package"
    os.chdir(folder)
    sys.path.insert(0, str(folder))
    sys.dont_write_bytecode = True
    if mutated:
        _OneFile.name = mutated.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        _OneFile.path, _OneFile.source = str(folder / mutated), source
        sys.meta_path.insert(0, _OneFile)


def limit(cpu_seconds: float) -> None:
    """End this process when it computes for too long (load on the machine doesn't count) or takes too much memory."""
    seconds = int(cpu_seconds + resource.getrusage(resource.RUSAGE_SELF).ru_utime) + 1
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 2))
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))


def try_op(op: Any, examples: int, seed: int) -> None:
    """``check_op`` without hypothesis, whose search for the smallest failure isn't needed here."""
    from tinygrad_cnn.testing import Draw, RandomSource, check_sample
    from tinygrad_cnn.testing.properties import PROPERTIES

    drawn = [name for name in PROPERTIES if name != "refusals" and name not in op.exemptions]
    for number in range(examples):
        arguments = op._samples(Draw(RandomSource(seed * examples + number)))
        check_sample(op, arguments, drawn if number else None)  # the refusals once


def run_kit(names: Sequence[str], examples: int, seed: int, kernel: bool) -> str:
    """The first failure of the kit on these ops, or ""; kernels are tried as if arrays were large as well."""
    try:
        from tinygrad_cnn.ops import registry
        from tinygrad_cnn.testing.sizes import as_if_large
    except BaseException as error:
        return f"import: {_told(error)}"
    for name in names:
        for manner in (contextlib.nullcontext, as_if_large) if kernel else (contextlib.nullcontext,):
            try:
                with manner():
                    try_op(registry[name], examples, seed)
            except BaseException as error:
                return f"{name}: {_told(error)}"
    return ""


def _told(error: BaseException) -> str:
    lines = str(error).strip().splitlines() or [""]
    return f"{type(error).__name__}: {lines[0]}"[:300]


def run_tests(tests: Sequence[str]) -> str:
    """The first of the tests that fails, or ""."""
    import pytest

    class Watch:
        failed = ""

        def pytest_runtest_logreport(self, report: Any) -> None:
            if report.failed:
                self.failed = self.failed or report.nodeid

        def pytest_collectreport(self, report: Any) -> None:
            if report.failed:
                self.failed = self.failed or report.nodeid

    watch = Watch()
    try:
        quiet = "ignore::pytest.PytestAssertRewriteWarning"  # modules are imported before the mutant is made
        status = pytest.main(["-x", "-q", "-n0", "-p", "no:cacheprovider", "-W", quiet, *tests], plugins=[watch])
    except BaseException as error:
        return _told(error)
    return watch.failed or ("" if status == 0 else f"pytest ended with {status!r}")


def trace_ops(folder: Path, examples: int, seed: int) -> dict[str, Any]:
    """Which lines each op executes in its kit, apart from its samples and its reference; and how long that takes."""
    import coverage

    recorder = coverage.Coverage(data_file=None, config_file=False, include=[str(folder / PACKAGE / "*")])
    recorder.start()
    recorder.switch_context("import")
    from tinygrad_cnn.ops import registry
    from tinygrad_cnn.testing.sizes import as_if_large

    def stop(*_: object) -> None:
        raise TimeoutError(f"more than {PATIENCE} s")

    signal.signal(signal.SIGVTALRM, stop)
    seconds, failures = {}, {}
    for name, op in registry.items():
        aside(recorder, op, name)
    for name, op in registry.items():
        start = time.process_time()
        recorder.switch_context(name)
        signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
        try:
            try_op(op, examples // 2, seed)
            with as_if_large():
                try_op(op, examples // 2, seed)
        except Exception as error:
            failures[name] = _told(error)
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        seconds[name] = time.process_time() - start
        print(f"traced {name}", file=sys.stderr)
    recorder.stop()
    data, lines = recorder.get_data(), {}
    for file in data.measured_files():
        lines[str(Path(file).relative_to(folder))] = data.contexts_by_lineno(file)
    declared = {name: _places(op, folder) for name, op in registry.items()}
    return dict(lines=lines, seconds=seconds, failures=failures, declared=declared)


def aside(recorder: Any, op: Any, name: str) -> None:
    """Record what an op's samples and reference execute under a name of its own."""

    def wrapped(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            recorder.switch_context(TEST + name)
            try:
                return function(*args, **kwargs)
            finally:
                recorder.switch_context(name)

        return call

    for part in ("_samples", "_reference"):
        if getattr(op, part) is not None:
            setattr(op, part, wrapped(getattr(op, part)))


def _places(op: Any, folder: Path) -> list[tuple[str, int]]:
    """The file and first line of each function that an op is declared with, its test parts apart."""
    functions = [op.forward, op._check, op._composite, *op.formulas.values()]
    if op._fused is not None:
        functions.append(op._fused.rule)
    codes = [getattr(f, "__code__", None) for f in functions]
    inside = [c for c in codes if c is not None and c.co_filename.startswith(str(folder))]
    return [(str(Path(c.co_filename).relative_to(folder)), c.co_firstlineno) for c in inside]


def trace_tests(folder: Path, jobs: int) -> dict[str, Any]:
    """Which tests execute which lines of the package: one run of the suite without PyTorch."""
    import subprocess

    import coverage

    settings = folder / "trace.ini"
    settings.write_text(f"[run]\nsource = {folder / PACKAGE}\ndata_file = {folder / '.trace'}\n")
    command = [sys.executable, "-m", "pytest", f"-n{jobs}", "-p", "no:cacheprovider", f"--cov={folder / PACKAGE}"]
    command += [f"--cov-config={settings}", "--cov-context=test", "--cov-report=", "--ignore=tests/parity"]
    environment = {**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=sys.stderr)
    data = coverage.CoverageData(str(folder / ".trace"))
    data.read()
    lines: dict[str, Mapping[int, list[str]]] = {}
    for file in data.measured_files():
        lines[str(Path(file).relative_to(folder))] = data.contexts_by_lineno(file)
    return dict(lines=lines)
