"""The functional forms of dropout: PyTorch's signatures over the strict ops."""

from __future__ import annotations

__all__: list[str] = []
