"""``torch.jit`` and ``torch.fx`` as they are without a compiler: what they are given stays as it is."""

from __future__ import annotations

from typing import Any, Final, NamedTuple

from tinygrad_cnn.compat.facade import missing_class, no, nothing, refuse, same
from tinygrad_cnn.nn import Module

script = script_method = script_if_tracing = trace = trace_module = freeze = optimize_for_inference = same
export = unused = ignore = interface = _drop = _overload = _overload_method = same
is_scripting = is_tracing = no
enable_onednn_fusion = set_fusion_strategy = nothing
ScriptModule = Module
Final = Final  # torch.jit.Final is typing's
save = refuse("torch.jit.save", "there is no program to save; save the model's state_dict()")
load = refuse("torch.jit.load", "TorchScript programs can't be run here; save the model's state_dict()")


class ScriptFunction:
    """What PyTorch compiles functions to; nothing is one here."""


RecursiveScriptModule = type("RecursiveScriptModule", (), {"__doc__": "What PyTorch compiles modules to."})


class Attribute(NamedTuple):
    """A value with the type that a compiler should know."""

    value: Any
    type: Any


def annotate(the_type: Any, the_value: Any) -> Any:
    """The value."""
    return the_value


def isinstance(obj: Any, target_type: Any) -> bool:
    """Python's ``isinstance``."""
    import builtins

    return builtins.isinstance(obj, target_type)


def wrap(fn_or_name: Any) -> Any:
    """The function: ``torch.fx.wrap`` keeps a tracer out of it, and there is no tracer."""
    return fn_or_name


symbolic_trace = refuse("torch.fx.symbolic_trace", "there is no tracer")
_WHY = "there is no tracer"
Proxy, GraphModule = missing_class("torch.fx.Proxy", _WHY), missing_class("torch.fx.GraphModule", _WHY)
Tracer, Node, Graph = (missing_class(f"torch.fx.{name}", _WHY) for name in ("Tracer", "Node", "Graph"))
