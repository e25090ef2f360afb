"""The programs in examples/ run, and hold what they assert."""

import runpy
from pathlib import Path

import pytest

EXAMPLES = sorted(
    path
    for path in (Path(__file__).parents[1] / "examples").glob("*.py")
    if path.name.startswith("d2l_") or path.name == "train_lenet.py"
)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.stem)
def test_example(path, capsys):
    runpy.run_path(str(path), run_name="__main__")


def test_the_listings_are_there():
    assert len(EXAMPLES) >= 7
