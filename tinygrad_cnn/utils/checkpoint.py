"""Recomputing activations in backward instead of keeping them (Chen et al. 2016, "Training Deep Nets with
Sublinear Memory Cost")."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from typing import Any

from tinygrad_cnn.autograd.mode import enable_grad, saved_tensors_hooks
from tinygrad_cnn.backend import default_generator
from tinygrad_cnn.errors import ArgumentError, GraphError


def checkpoint(
    function: Callable[..., Any],
    *args: Any,
    use_reentrant: bool | None = None,
    context_fn: Callable[[], tuple[Any, Any]] | None = None,
    determinism_check: str = "default",
    preserve_rng_state: bool = True,
    debug: bool = False,
    early_stop: bool = True,
    **kwargs: Any,
) -> Any:
    """Run ``function(*args)`` without keeping what backward needs of it; backward runs it again.

    ``preserve_rng_state`` gives the second run the random numbers of the first (for dropout). Whatever
    ``use_reentrant`` says, the non-reentrant way is taken, which supports all that the other does; and whatever
    ``early_stop`` says, the second run goes to the end, which changes no number.

    >>> import tinygrad_cnn as tg
    >>> x = tg.tensor([1.0, 2.0], requires_grad=True)
    >>> checkpoint(lambda t: t.exp().sum(), x).backward()
    >>> bool((x.grad == x.exp()).all())
    True
    """
    before, during = context_fn() if context_fn is not None else (contextlib.nullcontext(), contextlib.nullcontext())
    state = default_generator.get_state_bytes() if preserve_rng_state else b""
    count = 0
    recomputed: list[Any] = []

    def pack(_: Any) -> int:
        nonlocal count
        count += 1
        return count - 1

    def unpack(position: int) -> Any:
        if not recomputed:
            now = default_generator.get_state_bytes()
            if preserve_rng_state:
                default_generator.set_state_bytes(state)
            with enable_grad(), during, saved_tensors_hooks(lambda t: recomputed.append(t), lambda _: None):
                function(*args, **kwargs)
            default_generator.set_state_bytes(now)
            if len(recomputed) != count:
                raise GraphError(
                    f"checkpoint: the second run saved {len(recomputed)} tensors, the first {count}; the function "
                    "must do the same both times"
                )
        tensor = recomputed[position]
        if all(t is None for t in (*recomputed[:position], *recomputed[position + 1 :])):
            recomputed.clear()
        else:
            recomputed[position] = None
        if tensor is None:
            raise GraphError("checkpoint: unpack is being triggered for a tensor that was already unpacked once")
        return tensor

    with before, saved_tensors_hooks(pack, unpack):
        return function(*args, **kwargs)


def checkpoint_sequential(
    functions: Any, segments: int, input: Any, use_reentrant: bool | None = None, preserve_rng_state: bool = True
) -> Any:
    """Run the modules of a Sequential in ``segments`` parts, each checkpointed but the last."""
    modules: Sequence[Any] = list(functions.children()) if hasattr(functions, "children") else list(functions)
    if not 1 <= segments <= len(modules):
        raise ArgumentError(f"checkpoint_sequential: segments expected 1 to {len(modules)}, got {segments}")

    def run(part: Sequence[Any]) -> Callable[[Any], Any]:
        def forward(x: Any) -> Any:
            for module in part:
                x = module(x)
            return x

        return forward

    size = len(modules) // segments
    for start in range(0, size * (segments - 1), size):
        input = checkpoint(run(modules[start : start + size]), input, preserve_rng_state=preserve_rng_state)
    return run(modules[size * (segments - 1) :])(input)
