"""Sorting, selecting by rank, counting."""

from __future__ import annotations

__all__: list[str] = []
