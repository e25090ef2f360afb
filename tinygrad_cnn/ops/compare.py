"""Comparisons, logic and tests on elements: no gradients."""

from __future__ import annotations

__all__: list[str] = []
