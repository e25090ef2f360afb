"""The programs in examples/ run, and hold what they assert."""

import runpy
from pathlib import Path

import pytest

from tinygrad_cnn.autograd import op

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[1] / "examples").glob("*.py")
    if path.name.startswith("d2l_") or path.name in ("train_lenet.py", "your_own_op.py")
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys):
    before = set(op.registry)
    try:
        runpy.run_path(str(path), run_name="__main__")
    finally:
        for name in set(op.registry) - before:
            del op._registry[name]


def test_the_listings_are_there():
    assert len(EXAMPLES) >= 7
