"""The Python blocks of the README and of the pages in docs/ run, in order, in one namespace a page."""

import re
from pathlib import Path

import pytest

from tinygrad_cnn.autograd import op

ROOT = Path(__file__).parents[1]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```python\n(.*?)^```", re.DOTALL | re.MULTILINE)
PAGES = [path for path in (README, *sorted((ROOT / "docs").glob("*.md"))) if BLOCK.search(path.read_text("utf-8"))]


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.stem)
def test_the_blocks_of_a_page_run(page, capsys):
    before, namespace = set(op.registry), {"__name__": "page"}
    try:
        for block in BLOCK.findall(page.read_text("utf-8")):
            exec(compile(block, page.name, "exec"), namespace)
            printed = capsys.readouterr().out
            for line in re.findall(r"print\([^\n]*\)  # (.*)", block):
                assert line in printed
    finally:
        for name in set(op.registry) - before:
            del op._registry[name]


def test_the_readme_has_both_commands():
    text = README.read_text(encoding="utf-8")
    assert 'pip install -e ".[train]" && tinygrad-cnn train' in text
    assert 'pip install -e ".[test]" && pytest' in text
