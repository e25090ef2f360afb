"""Random tensors and the default generator."""

from __future__ import annotations

__all__: list[str] = []
