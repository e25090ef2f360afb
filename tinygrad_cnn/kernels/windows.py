"""Sliding windows: output sizes, im2col, col2im. Arrays in, arrays out."""

from __future__ import annotations

__all__: list[str] = []
