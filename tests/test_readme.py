"""The README's Python blocks run, in order, in one namespace."""

import re
from pathlib import Path

import pytest

from tinygrad_cnn.autograd import op

README = Path(__file__).parents[1] / "README.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", README.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


@pytest.mark.parametrize("block", BLOCKS, ids=lambda b: b.strip().splitlines()[0])
def test_block(block, capsys):
    before = set(op.registry)
    try:
        exec(compile(block, "README.md", "exec"), {"__name__": "readme"})
    finally:
        for name in set(op.registry) - before:
            del op._registry[name]
    for line in re.findall(r"print\([^\n]*\)  # (.*)", block):
        assert line in capsys.readouterr().out


def test_the_readme_has_both_commands():
    text = README.read_text(encoding="utf-8")
    assert 'pip install -e ".[train]" && tinygrad-cnn train' in text
    assert 'pip install -e ".[test]" && pytest' in text
