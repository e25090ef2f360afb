"""``torch.cuda`` and ``torch.amp`` as they are without a GPU."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from tinygrad_cnn.compat.facade import missing_class, no, nothing, refuse
from tinygrad_cnn.errors import GraphError

_WHY = "there is no GPU here"

is_available = is_initialized = is_bf16_supported = is_current_stream_capturing = no
init = empty_cache = synchronize = manual_seed = manual_seed_all = seed = seed_all = ipc_collect = nothing
reset_peak_memory_stats = reset_max_memory_allocated = reset_max_memory_cached = nothing
set_rng_state = set_rng_state_all = set_per_process_memory_fraction = nothing
current_device = refuse("torch.cuda.current_device", _WHY)
set_device = refuse("torch.cuda.set_device", _WHY)
get_device_name = refuse("torch.cuda.get_device_name", _WHY)
get_device_properties = refuse("torch.cuda.get_device_properties", _WHY)
get_device_capability = refuse("torch.cuda.get_device_capability", _WHY)
current_stream = refuse("torch.cuda.current_stream", _WHY)
mem_get_info = refuse("torch.cuda.mem_get_info", _WHY)
Event = missing_class("torch.cuda.Event", _WHY)
Stream = missing_class("torch.cuda.Stream", _WHY)
CUDAGraph = missing_class("torch.cuda.CUDAGraph", _WHY)
FloatTensor = missing_class("torch.cuda.FloatTensor", _WHY)
LongTensor = missing_class("torch.cuda.LongTensor", _WHY)


class OutOfMemoryError(GraphError):
    """What PyTorch raises when a GPU's memory is full; nothing raises it here."""


def device_count() -> int:
    """0."""
    return 0


def _no_bytes(device: object = None) -> int:
    """0, as no memory of a GPU is in use."""
    return 0


memory_allocated = max_memory_allocated = memory_reserved = max_memory_reserved = memory_cached = _no_bytes


def get_rng_state_all() -> list[Any]:
    """The states of no generators."""
    return []


# ------------------------------------------------------------------------------------ mixed precision
class autocast:
    """A context, or decorator, in which PyTorch may compute with fewer bits. Here it changes nothing."""

    def __init__(
        self, device_type: str = "cuda", dtype: Any = None, enabled: bool = True, cache_enabled: bool | None = None
    ) -> None:
        self.device, self.fast_dtype = device_type, dtype

    def __enter__(self) -> autocast:
        return self

    def __exit__(self, *exception: Any) -> None:
        pass

    def __call__(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The function as it is."""
        return function


class cuda_autocast(autocast):
    """``torch.cuda.amp.autocast``, whose device is known."""

    def __init__(self, enabled: bool = True, dtype: Any = None, cache_enabled: bool = True) -> None:
        super().__init__("cuda", dtype, enabled, cache_enabled)


def custom_fwd(fwd: Any = None, **settings: Any) -> Any:
    """The forward of a Function as it is."""
    return functools.partial(custom_fwd, **settings) if fwd is None else fwd


custom_bwd = custom_fwd


class GradScaler:
    """Scales losses against underflow in 16 bits. Here it is never enabled, and scales by 1."""

    def __init__(
        self, device: str = "cuda", init_scale: float = 65536.0, enabled: bool = True, **settings: Any
    ) -> None:
        pass

    def scale(self, outputs: Any) -> Any:
        """The outputs as they are."""
        return outputs

    def unscale_(self, optimizer: Any) -> None:
        """Leave the gradients as they are."""

    def step(self, optimizer: Any, *args: Any, **kwargs: Any) -> Any:
        """``optimizer.step()``."""
        return optimizer.step(*args, **kwargs)

    def update(self, new_scale: Any = None) -> None:
        """Leave the scale at 1."""

    def get_scale(self) -> float:
        """1."""
        return 1.0

    def is_enabled(self) -> bool:
        """False."""
        return False

    def state_dict(self) -> dict[str, Any]:
        """Empty, as PyTorch's when it isn't enabled."""
        return {}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Nothing to restore."""
