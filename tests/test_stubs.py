"""The generated stub of Tensor's methods is up to date."""

import runpy
from pathlib import Path

import tinygrad_cnn  # noqa: F401  # declares the ops

TOOL = Path(__file__).parents[1] / "tools" / "make_stubs.py"


def test_the_stub_lists_what_the_ops_declare():
    tool = runpy.run_path(str(TOOL))
    assert tool["TARGET"].read_text(encoding="utf-8") == tool["text"](), "run: python tools/make_stubs.py"
