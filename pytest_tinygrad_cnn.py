"""The pytest plugin's options. What they start is imported when one is given, so that other runs pay nothing.

This module stands outside of the package because importing it from there would import the package, in every run of
pytest in an environment that has it installed.
"""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Add ``--tinygrad-ops`` and ``--tinygrad-profile``."""
    group = parser.getgroup("tinygrad_cnn", "ops held to what they declare (tinygrad_cnn.testing)")
    group.addoption(
        "--tinygrad-ops",
        nargs="?",
        const="",
        metavar="MODULE",
        help="test every registered op, one test an op and property; with a module's name or a file: import it, and "
        "test the ops that it registers; with ops::name or ops::name::property: test that alone",
    )
    group.addoption(
        "--tinygrad-profile",
        choices=["dev", "ci", "thorough"],
        help="hypothesis profile of the run: dev draws 10 cases a test, ci 25 (the same ones each time), thorough 200",
    )


@pytest.hookimpl(trylast=True)  # hypothesis has read its own options by then
def pytest_configure(config: pytest.Config) -> None:
    """Load the rest of the plugin, if it was asked for."""
    if config.getoption("tinygrad_ops") is not None or config.getoption("tinygrad_profile"):
        from tinygrad_cnn.testing import plugin

        plugin.configure(config)
