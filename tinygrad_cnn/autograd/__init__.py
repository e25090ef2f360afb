"""The engine: tensors, the graph, and how ops are declared. It knows no op by name."""

import importlib
from typing import Any

from tinygrad_cnn.autograd import functional, graph
from tinygrad_cnn.autograd.engine import backward, grad
from tinygrad_cnn.autograd.function import Function
from tinygrad_cnn.autograd.mode import (
    detect_anomaly,
    enable_grad,
    inference_mode,
    is_anomaly_enabled,
    is_grad_enabled,
    is_inference_mode_enabled,
    no_grad,
    saved_tensors_hooks,
    set_detect_anomaly,
    set_grad_enabled,
)

__all__ = [
    "Function",
    "backward",
    "detect_anomaly",
    "enable_grad",
    "functional",
    "grad",
    "graph",
    "inference_mode",
    "is_anomaly_enabled",
    "is_grad_enabled",
    "is_inference_mode_enabled",
    "no_grad",
    "saved_tensors_hooks",
    "set_detect_anomaly",
    "set_grad_enabled",
]


def __getattr__(name: str) -> Any:
    """PyTorch has the checks and the profiler here too; they live above, and are fetched when they are asked for."""
    if name == "profiler":
        return importlib.import_module("tinygrad_cnn.profiler")
    if name in ("gradcheck", "gradgradcheck"):
        return getattr(importlib.import_module("tinygrad_cnn.testing"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
