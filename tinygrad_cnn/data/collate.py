"""Collating: how a list of samples becomes a batch."""

from __future__ import annotations

import copy
from collections.abc import Callable, Mapping, MutableMapping, MutableSequence, Sequence
from typing import Any

import numpy as np

from tinygrad_cnn.autograd.parse import array_of
from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, DataError, ShapeError
from tinygrad_cnn.ops.join import stack

__all__ = ["collate", "default_collate", "default_collate_fn_map", "default_convert"]

CollateMap = dict[Any, Callable[..., Any]]


def default_collate(batch: Any) -> Any:
    """A batch of a list of samples: tensors, arrays and numbers are stacked, containers collated item by item.

    Tuples become lists, strings stay lists, dicts and namedtuples keep their type. Python floats become float64.

    >>> default_collate([(1, "a"), (2, "b")])
    [tensor([1, 2]), ('a', 'b')]
    """
    return collate(batch, collate_fn_map=default_collate_fn_map)


def collate(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    """Collate with a function for each type of element: those of the map first, then containers item by item.

    A function of the map is called as ``function(batch, collate_fn_map=collate_fn_map)``.
    """
    first = batch[0]
    functions = collate_fn_map or {}
    if type(first) in functions:
        return functions[type(first)](batch, collate_fn_map=collate_fn_map)
    for kind, function in functions.items():
        if isinstance(first, kind):
            return function(batch, collate_fn_map=collate_fn_map)

    if isinstance(first, Mapping):
        columns = {key: collate([s[key] for s in batch], collate_fn_map=collate_fn_map) for key in first}
        return _rebuild_mapping(first, columns)
    if isinstance(first, tuple) and hasattr(first, "_fields"):
        return type(first)(*(collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=False)))
    if isinstance(first, Sequence):
        lengths = {len(sample) for sample in batch}
        if len(lengths) > 1:
            raise DataError(
                "default_collate: each element in list of batch should be of equal size, "
                f"got lengths {sorted(lengths)}; pad them, or give DataLoader a collate_fn"
            )
        items = [collate(column, collate_fn_map=collate_fn_map) for column in zip(*batch, strict=True)]
        return items if isinstance(first, tuple) else _rebuild_sequence(first, items)
    raise _not_collatable(type(first))


def default_convert(data: Any) -> Any:
    """The sample with its arrays and NumPy numbers as tensors, inside containers too; nothing is stacked.

    >>> import numpy as np
    >>> default_convert({"x": np.arange(3), "name": "a"})
    {'x': tensor([0, 1, 2]), 'name': 'a'}
    """
    if isinstance(data, np.ndarray | np.generic):
        return wrap(np.asarray(data)) if data.dtype.kind in "biuf" else data
    if isinstance(data, Tensor | str | bytes):
        return data
    if isinstance(data, Mapping):
        return _rebuild_mapping(data, {key: default_convert(value) for key, value in data.items()})
    if isinstance(data, tuple) and hasattr(data, "_fields"):
        return type(data)(*(default_convert(item) for item in data))
    if isinstance(data, tuple):
        return [default_convert(item) for item in data]
    if isinstance(data, Sequence):
        return _rebuild_sequence(data, [default_convert(item) for item in data])
    return data


def _rebuild_mapping(like: Any, items: dict[Any, Any]) -> Any:
    """``items`` in a mapping of the type of ``like``, with its other attributes; a dict where that fails."""
    try:
        if not isinstance(like, MutableMapping):
            return type(like)(items)
        clone: Any = copy.copy(like)
        clone.update(items)
        return clone
    except TypeError:
        return items


def _rebuild_sequence(like: Any, items: list[Any]) -> Any:
    """``items`` in a sequence of the type of ``like``, with its other attributes; a list where that fails."""
    try:
        if not isinstance(like, MutableSequence):
            return type(like)(items)
        clone: Any = copy.copy(like)
        for position, item in enumerate(items):
            clone[position] = item
        return clone
    except TypeError:
        return items


def _not_collatable(found: Any) -> ArgumentTypeError:
    return ArgumentTypeError(
        "default_collate: batch must contain tensors, numpy arrays, numbers, dicts or lists; "
        f"found {found}; convert it in the dataset (images: transforms.ToTensor()), or give DataLoader a collate_fn"
    )


def _collate_tensors(batch: Sequence[Tensor], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    shapes = {tuple(sample.shape) for sample in batch}
    if len(shapes) > 1:
        raise ShapeError(
            f"default_collate: stack expects each tensor to be equal size, got shapes {sorted(shapes)}; "
            "crop or pad them, or give DataLoader a collate_fn"
        )
    if any(sample.requires_grad for sample in batch):
        return stack(list(batch))
    return wrap(np.stack([sample.numpy() for sample in batch]))  # many times faster than the op


def _collate_arrays(batch: Sequence[np.ndarray], *, collate_fn_map: CollateMap | None = None) -> Any:
    if batch[0].dtype.kind not in "biuf":
        raise _not_collatable(batch[0].dtype)
    return collate([wrap(np.asarray(sample)) for sample in batch], collate_fn_map=collate_fn_map)


def _collate_numpy_numbers(batch: Sequence[Any], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return wrap(np.array(batch))


def _collate_floats(batch: Sequence[float], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return wrap(np.array(batch, np.float64))


def _collate_ints(batch: Sequence[int], *, collate_fn_map: CollateMap | None = None) -> Tensor:
    return wrap(array_of(batch))


def _collate_strings(batch: Any, *, collate_fn_map: CollateMap | None = None) -> Any:
    return batch


default_collate_fn_map: CollateMap = {
    Tensor: _collate_tensors,
    np.ndarray: _collate_arrays,
    (np.bool_, np.number): _collate_numpy_numbers,
    float: _collate_floats,
    int: _collate_ints,
    str: _collate_strings,
    bytes: _collate_strings,
}
