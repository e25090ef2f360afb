"""The pytest plugin: ``pytest --tinygrad-ops`` tests every registered op, one test an op and property.

``--tinygrad-ops mymodule`` (or a file) imports the module and tests the ops that it registers, and no others. Paths
that are given run as ever, beside these tests; without any, these tests run alone. Without a module, the ops are
those that are registered when pytest has loaded its first conftest files.

``pytest_tinygrad_cnn`` declares the options, and calls ``configure`` when one is given.
"""

from __future__ import annotations

import importlib
import inspect
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import FunctionType, ModuleType
from typing import Any

import numpy as np
import pytest

from tinygrad_cnn.ops import Op, registry
from tinygrad_cnn.testing.conformance import check_op
from tinygrad_cnn.testing.explain import ConformanceError
from tinygrad_cnn.testing.profiles import load_profile
from tinygrad_cnn.testing.properties import PROPERTIES

PREFIX = "ops::"
OF_GRADIENTS = ("first_order", "second_order", "upstream")


def properties_of(op: Op) -> list[str]:
    """The properties that there is something to test of: an op without a gradient, or without refusals, has fewer."""
    absent = (() if op.is_differentiable else OF_GRADIENTS) + (() if op.refusals else ("refusals",))
    return [name for name in PROPERTIES if name not in absent]


def configure(config: pytest.Config) -> None:
    """Load the profile, find the ops and register the hooks that collect their tests."""
    try:
        import hypothesis  # noqa: F401  # to say what is missing before anything else happens
    except ImportError:
        raise pytest.UsageError(
            'tinygrad_cnn: hypothesis is not installed; install it with: pip install "tinygrad-cnn[test]"'
        ) from None
    profile = config.getoption("tinygrad_profile")
    if profile or not config.getoption("--hypothesis-profile", None):
        load_profile(profile, seeded=config.getoption("--hypothesis-seed", None) is not None)
    target = config.getoption("tinygrad_ops")
    if target is not None:
        config.pluginmanager.register(_Kit(config, target), "tinygrad_cnn_kit")


class _Kit:
    """The hooks of a run with ``--tinygrad-ops``."""

    def __init__(self, config: pytest.Config, target: str) -> None:
        given = [] if config.args_source is not pytest.Config.ArgsSource.ARGS else config.args
        self.selected = [argument for argument in [target, *given] if argument.startswith(PREFIX)]
        config.args = [argument for argument in given if not argument.startswith(PREFIX)]
        config.args_source = pytest.Config.ArgsSource.ARGS
        if target and target not in self.selected:
            self.ops = import_ops(target, config.invocation_params.dir)
        else:
            self.ops = list(registry.values())
        self.ops.sort(key=lambda op: op.name)
        known = [f"{PREFIX}{op.name}{rest}" for op in self.ops for rest in ("", *(f"::{p}" for p in properties_of(op)))]
        for wanted in self.selected:
            if wanted not in known:
                raise pytest.UsageError(
                    f"--tinygrad-ops: no test {wanted!r}; expected ops::NAME or ops::NAME::PROPERTY, the properties "
                    f"being {', '.join(PROPERTIES)}"
                )

    def pytest_report_header(self) -> str:
        """Say what is tested, and how thoroughly."""
        from hypothesis import settings

        profile = settings.default
        cases = profile.max_examples if profile is not None else 100
        return f"tinygrad_cnn: {len(self.ops)} ops, {len(PROPERTIES)} properties, {cases} cases each"

    @pytest.hookimpl(tryfirst=True)  # so that -k and --deselect see the tests
    def pytest_collection_modifyitems(self, session: pytest.Session, items: list[pytest.Item]) -> None:
        """Add the tests of the ops to those that were found in files."""
        tests = session.genitems(_Ops.from_parent(session, name="ops", nodeid="ops", ops=self.ops))
        items.extend(test for test in tests if not self.selected or self._is_selected(test.nodeid))

    def _is_selected(self, name: str) -> bool:
        return any(name == wanted or name.startswith(wanted + "::") for wanted in self.selected)


class _Ops(pytest.Collector):
    def __init__(self, *, ops: Sequence[Op], **known: Any) -> None:
        super().__init__(**known)
        self.ops = ops

    def collect(self) -> Iterator[pytest.Collector]:
        """One collector an op."""
        for op in self.ops:
            yield _OneOp.from_parent(self, name=op.name, op=op)


class _OneOp(pytest.Collector):
    def __init__(self, *, op: Op, **known: Any) -> None:
        super().__init__(**known)
        self.op = op

    def collect(self) -> Iterator[pytest.Item]:
        """One test a property."""
        for name in properties_of(self.op):
            yield _Property.from_parent(self, name=name, op=self.op)


class _Property(pytest.Item):
    def __init__(self, *, op: Op, **known: Any) -> None:
        super().__init__(**known)
        self.op = op

    def runtest(self) -> None:
        """Draw cases and check the property on each."""
        if self.name in self.op.exemptions:
            pytest.skip(f"{self.op.name} is exempt from {self.name}: {self.op.exemptions[self.name]}")
        check_op(self.op, properties=[self.name])

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], style: Any = None) -> Any:
        """The explanation and the case; of an error on the way, the frames that aren't the kit's too."""
        error = excinfo.value
        if not isinstance(error, ConformanceError):
            return excinfo.getrepr(style="short", tbfilter=_without_internals)
        parts = [str(error)]
        if error.__cause__ is not None:
            cause = pytest.ExceptionInfo.from_exception(error.__cause__)
            parts.append(str(cause.getrepr(style="short", chain=False, tbfilter=_without_internals)))
        return "\n".join([*parts, repeat_text(self.op, self.name, error.finding.arguments)]).rstrip()

    def reportinfo(self) -> tuple[Path, int | None, str]:
        """Where the op is declared."""
        code = getattr(inspect.unwrap(self.op.forward), "__code__", None)
        path = Path(code.co_filename) if code is not None else self.path
        return path, code and code.co_firstlineno - 1, f"{self.op.name}: {self.name}"


def repeat_text(op: Op, name: str, arguments: Mapping[str, Any]) -> str:
    """The Python lines that check this case again, to paste; none if an argument is a function."""
    if not arguments or any(isinstance(value, FunctionType) for value in arguments.values()):
        return ""
    types = {type(value) for value in arguments.values()}
    imports = {f"from {t.__module__} import {t.__name__}" for t in types if t.__module__ not in ("builtins", "numpy")}
    if not op.__module__.startswith("tinygrad_cnn."):
        imports.add(f"import {op.__module__}  # registers the op")
    lines = [
        "from numpy import array, inf, nan",
        *sorted(imports),
        "from tinygrad_cnn.ops import registry",
        "from tinygrad_cnn.testing import check_sample",
        f"case = dict({', '.join(f'{name}={_literal(value)}' for name, value in arguments.items())})",
        f"check_sample(registry[{op.name!r}], case, [{name!r}])",
    ]
    return "\n".join(["  the case again, to paste:", *(f"    {line}" for line in lines)])


def _literal(value: Any) -> str:
    """A value as Python, exactly."""
    if isinstance(value, np.ndarray):
        shape = f".reshape({value.shape})" if not value.size else ""
        return f"array({value.tolist()}, {value.dtype.name!r}){shape}"
    if isinstance(value, list | tuple) and any(isinstance(item, np.ndarray) for item in value):
        return f"[{', '.join(map(_literal, value))}]"
    return str(value) if isinstance(value, np.generic) else repr(value)


def _without_internals(excinfo: pytest.ExceptionInfo[BaseException]) -> Any:
    """The traceback without the frames of the kit, the engine, hypothesis and pytest, unless there are no others."""
    package = Path(__file__).parents[1]
    internal = {package / "testing", package / "autograd"}
    foreign = {"hypothesis", "pluggy", "_pytest"}

    def is_shown(entry: Any) -> bool:
        path = Path(entry.path)
        return not internal & set(path.parents) and not foreign & set(path.parts)

    return excinfo.traceback.filter(is_shown) or excinfo.traceback[-1:]


# ---------------------------------------------------------------------------------------- the user's module
def import_ops(target: str, directory: Path) -> list[Op]:
    """Import a module, by its name or its file, and return the ops that this registers.

    They are those declared in it or in its submodules, and, if it wasn't imported before, those of the modules that it
    imports. UsageError if it can't be imported, or registers none.
    """
    if target.endswith(".py") or "/" in target or "\\" in target:
        file = (directory / target).resolve()
        name, root = _module_of(file, target)
    else:
        file, name, root = None, target, directory
    if str(root) not in sys.path:
        sys.path.insert(0, str(root))
    before = set(registry)
    module = _import(name, target)
    origin = getattr(module, "__file__", None)
    if file is not None and (origin is None or Path(origin).resolve() not in (file, file / "__init__.py")):
        raise pytest.UsageError(f"--tinygrad-ops {target}: another module named {name} was imported, from {origin}")
    ops = [op for op in registry.values() if op.name not in before or f"{op.__module__}.".startswith(f"{name}.")]
    if not ops:
        raise pytest.UsageError(
            f"--tinygrad-ops {target}: the module registers no op; declare one with @tinygrad_cnn.differentiable"
        )
    return ops


def _module_of(file: Path, target: str) -> tuple[str, Path]:
    """The dotted name of a file's module, and the folder to import it from."""
    if not file.is_file() and not (file / "__init__.py").is_file():
        raise pytest.UsageError(f"--tinygrad-ops {target}: no such file, nor a package")
    name, root = file.stem, file.parent
    while (root / "__init__.py").is_file():
        name, root = f"{root.name}.{name}", root.parent
    return name.removesuffix(".__init__"), root


def _import(name: str, target: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise pytest.UsageError(
                f"--tinygrad-ops {target}: there is no module {error.name!r} (a test file goes before the option)"
            ) from error
        raise _import_failed(error, target) from error
    except (Exception, SystemExit) as error:  # whatever the user's module does
        raise _import_failed(error, target) from error


def _import_failed(error: BaseException, target: str) -> pytest.UsageError:
    frame = pytest.ExceptionInfo.from_exception(error).traceback[-1]
    place = f"{frame.path}:{frame.lineno + 1}"
    return pytest.UsageError(f"--tinygrad-ops {target}: importing it raised {type(error).__name__}: {error} ({place})")
