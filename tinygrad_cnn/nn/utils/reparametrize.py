"""Weights that are computed from other parameters before every forward: weight norm and spectral norm."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np

from tinygrad_cnn.autograd.mode import no_grad
from tinygrad_cnn.autograd.tensor import wrap
from tinygrad_cnn.errors import ArgumentError, GraphError, check_argument
from tinygrad_cnn.nn import init
from tinygrad_cnn.nn.lazy import is_lazy
from tinygrad_cnn.nn.module import Module
from tinygrad_cnn.nn.parameter import Parameter

__all__ = ["remove_spectral_norm", "remove_weight_norm", "spectral_norm", "weight_norm"]

M = TypeVar("M", bound=Module)


class _Reparametrization:
    """A forward pre-hook that sets the attribute ``name`` of its module to a weight computed from parameters."""

    parts: tuple[str, ...]  # what it adds to the module, as endings of the weight's name

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, inputs: Any) -> None:
        setattr(module, self.name, self.weight(module, update=module.training))

    def weight(self, module: Module, update: bool) -> Any:
        """The weight as a function of the parameters."""
        raise NotImplementedError  # each kind has its own

    def install(self, module: Module, **state: Any) -> None:
        """Replace the parameter by the parts in ``state``."""
        del module._parameters[self.name]
        for ending, tensor in state.items():
            setattr(module, self.name + ending, tensor)
        setattr(module, self.name, self.weight(module, update=False))
        module.register_forward_pre_hook(self)


def _original(module: Module, name: str, kind: type[_Reparametrization]) -> Any:
    """The parameter that is about to be computed from others."""
    if _installed(module, name, kind) is not None:
        raise GraphError(f"Cannot register two {kind.__name__} hooks on the same parameter {name}")
    weight = module._parameters[name]
    check_argument(weight is not None, f"`{kind.__name__}` cannot be applied as parameter `{name}` is None")
    check_argument(
        not is_lazy(weight),
        f"The module passed to `{kind.__name__}` can't have uninitialized parameters. Make sure to run the dummy "
        "forward before applying it",
    )
    return weight


def _installed(module: Module, name: str, kind: type[_Reparametrization]) -> int | None:
    for id, hook in module._forward_pre_hooks.items():
        if isinstance(hook, kind) and hook.name == name:
            return id
    return None


def _remove(module: M, name: str, kind: type[_Reparametrization]) -> M:
    id = _installed(module, name, kind)
    if id is None:
        raise ArgumentError(f"{kind.__name__} of '{name}' not found in {module}")
    hook: Any = module._forward_pre_hooks.pop(id)
    with no_grad():
        weight = hook.weight(module, update=False)
    delattr(module, name)
    for ending in hook.parts:
        delattr(module, name + ending)
    module.register_parameter(name, Parameter(weight.detach()))
    return module


# -------------------------------------------------------------------------------------------- weight norm
class WeightNorm(_Reparametrization):
    """``weight = g * v / |v|``, with a norm for each index of dimension ``dim``."""

    parts = ("_g", "_v")

    def __init__(self, name: str, dim: int | None) -> None:
        super().__init__(name)
        self.dim = -1 if dim is None else dim

    def weight(self, module: Module, update: bool) -> Any:
        """The weight from ``g`` and ``v``."""
        v = getattr(module, self.name + "_v")
        return v * (getattr(module, self.name + "_g") / self.norm(v))

    def norm(self, v: Any) -> Any:
        """The norms of the slices, or of the whole if ``dim`` is -1."""
        if self.dim == -1:
            return (v * v).sum().sqrt()
        return (v * v).sum([d for d in range(v.ndim) if d != self.dim], keepdim=True).sqrt()


def weight_norm(module: M, name: str = "weight", dim: int | None = 0) -> M:
    """Learn the length and the direction of a weight apart (Salimans and Kingma 2016): ``g * v / |v|``.

    Its parameter gives way to ``<name>_g`` and ``<name>_v``.
    """
    weight = _original(module, name, WeightNorm)
    rule = WeightNorm(name, dim)
    with no_grad():
        length = rule.norm(weight)
    rule.install(module, _g=Parameter(length), _v=Parameter(weight.detach()))
    return module


def remove_weight_norm(module: M, name: str = "weight") -> M:
    """Make the weight a parameter again, with the value that it has."""
    return _remove(module, name, WeightNorm)


# ------------------------------------------------------------------------------------------ spectral norm
class SpectralNorm(_Reparametrization):
    """``weight = original / sigma``: ``sigma``, its largest singular value, by power iteration on ``u`` and ``v``."""

    parts = ("_u", "_v", "_orig")

    def __init__(self, name: str, n_power_iterations: int, dim: int, eps: float) -> None:
        check_argument(
            n_power_iterations > 0,
            f"Expected n_power_iterations to be positive, but got n_power_iterations={n_power_iterations}",
        )
        super().__init__(name)
        self.n_power_iterations, self.dim, self.eps = n_power_iterations, dim, eps

    def as_matrix(self, weight: Any) -> Any:
        """The weight with dimension ``dim`` as its rows and all others as its columns."""
        return weight.movedim(self.dim, 0).reshape(weight.shape[self.dim], -1)

    def weight(self, module: Module, update: bool) -> Any:
        """The original divided by its largest singular value; ``update`` improves the singular vectors."""
        original = getattr(module, self.name + "_orig")
        matrix = self.as_matrix(original)
        u, v = getattr(module, self.name + "_u"), getattr(module, self.name + "_v")
        if update:
            array = matrix._array
            for _ in range(self.n_power_iterations):
                v._array[...] = self.normalized(array.T @ u._array)
                u._array[...] = self.normalized(array @ v._array)
        # copies, as the next forward overwrites them, which may come before this one's backward
        return original / (wrap(u._array.copy()) @ (matrix @ wrap(v._array.copy())))

    def normalized(self, vector: np.ndarray) -> np.ndarray:
        """The vector with length one."""
        return vector / max(float(np.linalg.norm(vector)), self.eps)


def spectral_norm(
    module: M, name: str = "weight", n_power_iterations: int = 1, eps: float = 1e-12, dim: int | None = None
) -> M:
    """Keep a weight's largest singular value at one (Miyato et al. 2018), for the discriminator of a GAN.

    Its parameter gives way to ``<name>_orig`` and the buffers ``<name>_u`` and ``<name>_v``.
    """
    weight = _original(module, name, SpectralNorm)
    if dim is None:
        dim = 1 if type(module).__name__.startswith("ConvTranspose") else 0
    rule = SpectralNorm(name, n_power_iterations, dim, eps)
    with no_grad():
        matrix = rule.as_matrix(weight)
    for ending, size in zip(("_u", "_v"), matrix.shape, strict=True):
        start = init.normal_(wrap(np.empty(size, weight._array.dtype)))
        module.register_buffer(name + ending, wrap(rule.normalized(start._array)))
    rule.install(module, _orig=weight)
    module._register_state_dict_hook(VersionNote(name))
    return module


class VersionNote:
    """Note the version of a spectral norm's state in the metadata, as PyTorch does."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, module: Module, state_dict: Any, prefix: str, local_metadata: dict[str, Any]) -> None:
        local_metadata.setdefault("spectral_norm", {})[self.name + ".version"] = 1


def remove_spectral_norm(module: M, name: str = "weight") -> M:
    """Make the weight a parameter again, with the value that it has."""
    module = _remove(module, name, SpectralNorm)
    for id, hook in list(module._state_dict_hooks.items()):
        if isinstance(hook, VersionNote) and hook.name == name:
            del module._state_dict_hooks[id]
    return module
