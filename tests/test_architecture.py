"""The house rules: imports point one way, the package needs NumPy alone, every public name is documented."""

import ast
import inspect
import subprocess
import sys
from pathlib import Path

import pytest

import tinygrad_cnn as tg

PACKAGE = Path(tg.__file__).parent

# What each room may import of the others, beside itself. See "The tree" in the README.
ALLOWED = {
    "errors": set(),
    "backends": {"errors", "kernels"},
    "backend": {"errors"},
    "kernels": {"errors", "backend"},
    "autograd": {"errors", "backend", "kernels"},
    "ops": {"errors", "backend", "kernels", "autograd"},
    "nn": {"errors", "backend", "kernels", "autograd", "ops"},
    "optim": {"errors", "backend", "kernels", "autograd", "ops", "nn"},
    "data": {"errors", "backend", "autograd", "ops", "nn"},
    "serialization": {"errors", "backend", "autograd", "nn"},
    "profiler": {"errors", "autograd", "nn", "optim"},
    "testing": {"errors", "backend", "kernels", "autograd", "ops", "nn"},
    "utils": {"errors", "backend", "autograd", "data"},
    "models": {"errors", "autograd", "ops", "nn", "serialization", "utils"},
    "viz": {"errors"},
    "train": {"errors", "backend", "autograd", "ops", "nn", "optim", "data", "models", "serialization", "viz"},
}
APEX = {"cli", "compat", "__init__", "__main__"}  # may import everything


def room(path):
    parts = path.relative_to(PACKAGE).with_suffix("").parts
    return parts[0]


def imported_rooms(path):
    """The rooms that a file imports, wherever in the file; ``TYPE_CHECKING`` blocks don't run and don't count."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: imports are absolute"
            base = node.module or ""
            names = [f"{base}.{alias.name}" for alias in node.names] if base == "tinygrad_cnn" else [base]
        for name in names:
            if name.startswith("tinygrad_cnn."):
                yield name.split(".")[1]


FILES = sorted(PACKAGE.rglob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda p: p.relative_to(PACKAGE).as_posix())
def test_imports_point_one_way(path):
    own = room(path)
    if own in APEX:
        return
    assert own in ALLOWED, f"{own} is a new room: say in this table what it may know"
    wrong = set(imported_rooms(path)) - ALLOWED[own] - {own}
    assert not wrong, f"{path.relative_to(PACKAGE)} imports {sorted(wrong)}"


def test_importing_the_package_needs_numpy_and_threadpoolctl_alone():
    code = (
        "import sys; before = set(sys.modules); import tinygrad_cnn\n"
        "names = {name.partition('.')[0] for name in set(sys.modules) - before}\n"
        "print(sorted(n for n in names if n not in sys.stdlib_module_names))"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    extra = set(ast.literal_eval(result.stdout)) - {"numpy", "threadpoolctl", "tinygrad_cnn"}
    assert not {name for name in extra if not name.startswith(("__editable__", "_cython", "cython_runtime"))}  # NumPy's


def public(namespace):
    names = getattr(namespace, "__all__", None) or [n for n in vars(namespace) if not n.startswith("_")]
    return [(name, getattr(namespace, name)) for name in names]


NAMESPACES = [
    tg,
    tg.nn,
    tg.nn.functional,
    tg.nn.init,
    tg.optim,
    tg.data,
    tg.autograd,
    tg.testing,
    tg.profiler,
    tg.Tensor,
    tg.linalg,
]


@pytest.mark.parametrize("namespace", NAMESPACES, ids=lambda n: n.__name__)
def test_every_public_name_is_documented(namespace):
    missing = [
        name
        for name, value in public(namespace)
        if (inspect.isclass(value) or callable(value) or isinstance(value, property)) and not inspect.getdoc(value)
    ]
    assert not missing


@pytest.mark.parametrize("namespace", [tg.nn, tg.nn.functional, tg.optim, tg.nn.init], ids=lambda n: n.__name__)
def test_what_is_documented_is_not_inherited_by_chance(namespace):
    copied = [
        name
        for name, value in public(namespace)
        if inspect.isclass(value) and value.__module__.startswith("tinygrad_cnn") and not value.__doc__
    ]
    assert not copied
