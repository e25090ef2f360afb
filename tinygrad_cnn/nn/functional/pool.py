"""The functional forms of pool: PyTorch's signatures over the strict ops."""

from __future__ import annotations

__all__: list[str] = []
