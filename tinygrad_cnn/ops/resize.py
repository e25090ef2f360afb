"""Interpolation and sampling on grids."""

from __future__ import annotations

__all__: list[str] = []
