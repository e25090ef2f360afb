"""DataParallel, as it is without GPUs: a wrapper, whose name is in front of every key of the state."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tinygrad_cnn.errors import GraphError
from tinygrad_cnn.nn.module import Module

__all__ = ["DataParallel"]


class DataParallel(Module):
    """Run ``module``, which is ``self.module``; so checkpoints of PyTorch's DataParallel fit.

    There are no devices to share the work among: ``device_ids`` other than none raise GraphError.
    """

    def __init__(
        self, module: Module, device_ids: Sequence[Any] | None = None, output_device: Any = None, dim: int = 0
    ) -> None:
        super().__init__()
        if device_ids or output_device is not None:
            raise GraphError("DataParallel: there is no GPU here; leave out device_ids and output_device")
        self.module = module
        self.dim = dim
        self.device_ids: list[Any] = []

    def forward(self, *inputs: Any, **kwargs: Any) -> Any:
        """What the wrapped module computes."""
        return self.module(*inputs, **kwargs)
