"""How many cases are drawn: hypothesis profiles that the plugin and the library's own tests share."""

from __future__ import annotations

import os
from typing import Any

PROFILES: dict[str, dict[str, Any]] = {
    "dev": dict(max_examples=10),
    "ci": dict(max_examples=25, derandomize=True),  # the same cases in every run
    "thorough": dict(max_examples=200),
}


def load_profile(name: str | None = None, seeded: bool = False) -> None:
    """Make a profile hypothesis's default: ``name``, or ``$HYPOTHESIS_PROFILE``, or ci.

    ``seeded``: the cases follow ``--hypothesis-seed``, so that ci draws others with another seed.
    """
    from hypothesis import HealthCheck, Phase, settings

    for known, values in PROFILES.items():
        settings.register_profile(
            known,
            deadline=None,  # the first call of an op imports, the machine may be busy
            suppress_health_check=list(HealthCheck),
            phases=[phase for phase in Phase if phase is not Phase.explain],  # it takes most of a failure's time
            report_multiple_bugs=False,  # one failure, shrunk, is what a reader can use
            **{**values, "derandomize": values.get("derandomize", False) and not seeded},
        )
    settings.load_profile(name or os.environ.get("HYPOTHESIS_PROFILE", "ci"))
