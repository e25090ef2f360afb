"""Convolutions and their adjoints; im2col and col2im."""

from __future__ import annotations

__all__: list[str] = []
