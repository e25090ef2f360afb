"""In-place operations: ``x += y``, ``x.relu_()``, ``x[i] = y``.

On a Tensor that is being recorded they compute a new value and bind the Tensor (its base and the base's other
views too) to it: what the graph has saved stays as it was. On one that isn't, they write to the memory, views
included, and count the write, so that backward notices when a value that it needs was overwritten.
"""

from __future__ import annotations

import operator
import weakref
from collections.abc import Callable
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.methods import tensor_method
from tinygrad_cnn.autograd.mode import mode, no_grad
from tinygrad_cnn.autograd.op import differentiable
from tinygrad_cnn.autograd.tensor import Tensor, check_mode, check_overwritable, is_detached, track_view, wrap
from tinygrad_cnn.backend import DTYPES, Array
from tinygrad_cnn.errors import ArgumentTypeError, DTypeError, GraphError, ShapeError
from tinygrad_cnn.ops import permute  # noqa: F401  # it and shape declare the methods whose in-place forms are below


@differentiable(grad_name="CopySlices")
def put_view(base: Array, value: Array, view: Callable[[Any], Any]) -> Array:
    """A copy of ``base`` in which the part that ``view`` selects is ``value``."""
    out = base.copy(order="K")
    target = view(out)
    if not np.may_share_memory(target, out):  # a reshape that had to copy: only in plain order is it a view
        out = base.copy(order="C")
        target = view(out)
    target[...] = value
    return out


put_view.gradients(
    base=lambda g, view: put_view(g, 0.0, view),
    value=lambda g, view: view(g),
)


@put_view.samples
def _(draw: Any) -> dict[str, Any]:
    shape = draw.shape(min_dims=1, min_side=1)
    index = draw.integer(0, shape[0] - 1)
    return dict(base=draw.array(shape), value=draw.array(shape[1:]), view=lambda x: x[index, ...])


@put_view.reference
def _(base: Array, value: Array, view: Callable[[Any], Any]) -> Array:
    positions = view(np.arange(base.size).reshape(base.shape))
    out = base.flatten()
    for position, x in zip(positions.flat, np.broadcast_to(value, positions.shape).flat, strict=True):
        out[position] = x
    return out.reshape(base.shape)


def is_recorded(*values: Any) -> bool:
    """Whether an operation on these values would be recorded."""
    return mode.recording and any(isinstance(v, Tensor) and v._edge is not None for v in values)


def rebind(tensor: Tensor, result: Tensor) -> None:
    """Make ``tensor`` the value ``result``; its base and the base's other views follow."""
    if is_detached(tensor):
        write(tensor, ..., result._array)  # what it was detached from has the numbers, but no part in the graph
        tensor._edge = result._edge
        _follow(tensor)
    elif tensor._base is not None:
        rebind(tensor._base, put_view(tensor._base, result, tensor._view))
    else:
        before = tensor._array
        _become(tensor, result)
        if not _allows_views(tensor, tensor._array):
            tensor._array = np.empty_like(before)  # in the order of the old memory, which allowed them
            tensor._array[...] = result._array
        tensor._writes_before += 1
        _follow(tensor)


def _follow(base: Tensor) -> None:
    """Make the views of ``base`` again, now that it has become another value."""
    views = live_views(base)
    for view in views:
        value = view._view(base)
        if is_detached(view):
            view._array, view._counter = value._array, value._counter  # its place in the graph is its own
        else:
            _become(view, value)
        view._writes_before = base._writes_before
        if is_detached(view):
            _move_views(view)
    base._views = [weakref.ref(view) for view in views] or None


def _move_views(base: Tensor) -> None:
    """Let the views of ``base`` show its memory; nothing has changed in the graph."""
    for view in live_views(base):
        view._array, view._counter = view._view(base._array), base._counter
        view._writes_before = base._writes_before
        _move_views(view)


def _allows_views(base: Tensor, array: np.ndarray) -> bool:
    """Whether all views of ``base`` could be views of ``array``: some need its memory in a certain order."""
    for view in live_views(base):
        part = view._view(array)
        if (part.size and not np.may_share_memory(part, array)) or not _allows_views(view, part):
            return False
    return True


def live_views(base: Tensor) -> list[Any]:
    """The views of ``base`` that are still in use."""
    views = (ref() for ref in base._views or ())
    return [view for view in views if view is not None and view._base is base]


def _become(tensor: Tensor, result: Tensor) -> None:
    """Take the place of ``result`` in the graph and its memory; ``retain_grad`` now speaks of the new value."""
    writes, retained = tensor._version, tensor.retains_grad
    if tensor._edge is not None and tensor._edge[0].retained and retained:
        del tensor._edge[0].retained[tensor._edge[1]]
    tensor._array, tensor._edge, tensor._counter = result._array, result._edge, result._counter
    tensor._writes_before = writes - result._counter[0]
    if retained and tensor._edge is not None:
        tensor.retain_grad()


@tensor_method("_assign")
def assign(self: Tensor, op: Callable[..., Tensor], name: str, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Tensor:
    """Give ``self`` the value ``op(self, *args, **kwargs)``: what every in-place method does."""
    if is_recorded(self, *args, *kwargs.values()):
        check_overwritable(self, name)
        check_distinct(self)
        result = op(self, *args, **kwargs)
        _check_fits(self, result, name)
        if result is not self:
            rebind(self, _own(result, self._array.dtype, args))
    else:
        with no_grad():
            result = op(self, *args, **kwargs)
        _check_fits(self, result, name)
        write(self, ..., result._array)
    return self


def _own(result: Any, dtype: np.dtype, arguments: tuple[Any, ...]) -> Tensor:
    """``result`` in this dtype, and in memory that no argument shares."""
    if result._array.dtype != dtype:
        return result.to(dtype)
    shared = result._base is not None or any(result is argument for argument in arguments)
    return result.clone() if shared else result


@tensor_method
def copy_(self: Tensor, src: Tensor, non_blocking: bool = False) -> Tensor:
    """Write the values of ``src``, broadcast and converted, to this tensor; recorded if either is."""
    if isinstance(src, bool | int | float):
        src = wrap(np.asarray(src, self._array.dtype))
    if not isinstance(src, Tensor):
        raise ArgumentTypeError(f"copy_(): argument 'other' must be Tensor, not {type(src).__name__}")
    if is_recorded(self, src):
        return assign(self, _copied, "copy_", (src,), {})
    try:
        write(self, ..., src._array)
    except ValueError:
        _broadcast(src, self)  # says what is wrong
        raise
    return self


def _copied(target: Tensor, src: Tensor) -> Tensor:
    return put_view(target, _broadcast(src.to(target), target), lambda whole: whole)


def _broadcast(src: Tensor, target: Tensor) -> Tensor:
    return src.broadcast_to(target._array.shape)


def _reshaping(name: str) -> None:
    """Declare the in-place form of a view: the tensor itself becomes that view of what it was."""
    function = getattr(Tensor, name)

    def method(self: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        if is_recorded(self):
            check_overwritable(self, name + "_")
        _become_view(self, function(self, *args, **kwargs))
        return self

    method.__name__, method.__doc__ = name + "_", f"In-place form of ``{name}``: the memory stays the same."
    tensor_method(method)


def _become_view(tensor: Tensor, view: Tensor) -> None:
    recorded = mode.recording or tensor._edge is None
    if view is tensor:
        return
    if tensor._base is None or is_detached(tensor):
        base = wrap(tensor._array, tensor._edge)  # what the tensor was remains the base of its views
        base._counter, base._writes_before = tensor._counter, tensor._writes_before
        if tensor._base is not None and tensor._view is not None:
            track_view(base, tensor._base, tensor._view.call, tensor._view.arguments)
            base._view = tensor._view
        views = [other for other in live_views(tensor) if other is not view]
        for other in (tensor, *views):
            other._base = base
        base._views, tensor._views = [weakref.ref(other) for other in (tensor, *views)], None
    tensor._view = view._view
    tensor._array = view._array
    if recorded:
        tensor._edge = view._edge
    elif tensor.is_leaf:
        tensor._edge[0].metadata = ((tensor._array.shape, tensor._array.dtype),)  # type: ignore[index]  # it is recorded


for _name in ("squeeze", "unsqueeze", "transpose", "t", "swapaxes", "swapdims"):
    _reshaping(_name)


def write(tensor: Tensor, index: Any, values: Any) -> None:
    """Write to the memory of a Tensor that isn't recorded, and count it."""
    mode.quietly(operator.setitem, writable(tensor), index, values)


def writable(tensor: Tensor) -> np.ndarray:
    """The array of a Tensor that isn't recorded, to be written to; the write is counted."""
    check_mode(tensor)
    check_distinct(tensor)
    if not tensor._array.flags.writeable or _overlaps(tensor._array):
        tensor._array = tensor._array.copy()  # a gradient that a hook was shown, or memory that was only lent
    tensor._counter[0] += 1
    return tensor._array


def check_distinct(tensor: Tensor) -> None:
    """Raise GraphError if several elements of an expanded ``tensor`` are one place in memory."""
    if tensor._view is not None and _overlaps(tensor._array):
        raise GraphError(
            "unsupported operation: more than one element of the written-to tensor refers to a single memory "
            "location. Please clone() the tensor before performing the operation."
        )


def _overlaps(array: np.ndarray) -> bool:
    """Whether one place in memory holds several elements, after a broadcast."""
    if array.flags.c_contiguous:
        return False
    return any(step == 0 and side > 1 for step, side in zip(array.strides, array.shape, strict=True))


def _check_fits(tensor: Tensor, result: Tensor, name: str) -> None:
    if result._array.shape != tensor._array.shape:
        raise ShapeError(
            f"{name}: output with shape {list(tensor._array.shape)} doesn't match the broadcast shape "
            f"{list(result._array.shape)}; an in-place operation can't grow its tensor"
        )
    if DTYPES[result._array.dtype].category > DTYPES[tensor._array.dtype].category:
        raise DTypeError(
            f"{name}: result type {DTYPES[result._array.dtype]} can't be cast to the desired output type "
            f"{tensor.dtype}; convert the tensor first"
        )
