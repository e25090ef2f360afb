"""Making tensors: tensor, zeros, arange, ..."""

from __future__ import annotations

__all__: list[str] = []
