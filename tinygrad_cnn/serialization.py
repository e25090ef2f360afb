"""Saving and loading tensors, state dicts, and nests of them, as ``.npz`` files without pickle.

A state dict becomes a plain ``.npz`` with its keys as names, which ``numpy.load`` reads. Anything else that is made of
tensors, numbers, strings, lists, tuples and dicts has one more entry, JSON that says how it was put together.
"""

from __future__ import annotations

import json
import os
import zipfile
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import device
from tinygrad_cnn.errors import ArgumentTypeError, DataError, UnsupportedError

__all__ = ["load", "load_npz", "save", "save_npz"]

File = str | os.PathLike[str] | IO[bytes]
_STRUCTURE = "__structure__"


def save(obj: Any, f: File) -> None:
    """Write ``obj``, made of tensors, arrays, numbers, strings, lists, tuples and dicts, to a path or an open file.

    ArgumentTypeError for anything else. A path is written under a temporary name first, so it is never half-written.

    >>> import io, tinygrad_cnn as tg
    >>> file = io.BytesIO()
    >>> save({"weight": tg.ones(2), "epochs": [1, 2]}, file)
    >>> _ = file.seek(0)
    >>> load(file)
    {'weight': tensor([1., 1.]), 'epochs': [1, 2]}
    """
    if isinstance(obj, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items()):
        return save_npz(obj, f)
    arrays: dict[str, Any] = {}
    structure = _describe(obj, (), arrays)
    save_npz({_STRUCTURE: np.array(json.dumps(structure)), **arrays}, f)


def load(f: File, map_location: object = None, *, weights_only: bool = True) -> Any:
    """Read what ``save`` wrote: tensors that share no memory with anything, in the nest that they were in.

    ``weights_only=False`` is accepted, but nothing here ever runs code from a file. DataError if the file is corrupt.
    """
    if map_location is not None:
        device(map_location)
    arrays = load_npz(f)
    if _STRUCTURE not in arrays:
        return arrays
    return _rebuild(json.loads(str(arrays.pop(_STRUCTURE))), arrays)


def save_npz(arrays: Mapping[str, Tensor | np.ndarray], f: File, *, compress: bool = False) -> None:
    """Write named tensors or arrays as an ``.npz``; equal values give equal bytes."""
    if not isinstance(f, str | os.PathLike):
        return _write(arrays, f, compress)
    path = Path(f)
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            _write(arrays, file, compress)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def load_npz(f: File) -> dict[str, Any]:
    """The tensors of an ``.npz`` by name, in the file's order; strings stay arrays. DataError if it is corrupt."""
    name = f if isinstance(f, str | os.PathLike) else getattr(f, "name", "the file")
    try:
        file = np.load(f, allow_pickle=False)
        if not isinstance(file, np.lib.npyio.NpzFile):
            raise ValueError("it is a single array")
        with file:
            if any(entry.endswith("data.pkl") for entry in file.files):
                raise UnsupportedError(f"{name}: is a file of PyTorch's torch.save(); so far only .npz can be read")
            return {key: array if array.dtype.kind == "U" else wrap(array) for key, array in file.items()}
    except (ValueError, EOFError, zipfile.BadZipFile) as error:
        raise DataError(f"{name}: expected an .npz file without pickled objects ({error})") from None


def _write(arrays: Mapping[str, Tensor | np.ndarray], file: IO[bytes], compress: bool) -> None:
    # np.savez can't hold an array that is named "file", and would allow pickle
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED) as archive:
        for name, value in arrays.items():
            array = value.numpy(force=True) if isinstance(value, Tensor) else np.asarray(value)
            info = zipfile.ZipInfo(f"{name}.npy")  # dated 1980, so equal values give equal bytes
            info.compress_type = archive.compression
            with archive.open(info, "w", force_zip64=True) as entry:
                np.lib.format.write_array(entry, array, allow_pickle=False)


def _describe(value: Any, path: tuple[str, ...], arrays: dict[str, Any]) -> Any:
    """JSON that ``_rebuild`` turns into ``value`` again; its tensors go to ``arrays`` under their path."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, Tensor | np.ndarray):
        name = ".".join(path) or "tensor"
        while name in arrays:
            name += "_"
        arrays[name] = value
        return {"tensor" if isinstance(value, Tensor) else "array": name}
    if isinstance(value, list | tuple):
        items = [_describe(item, (*path, str(index)), arrays) for index, item in enumerate(value)]
        return {"list" if isinstance(value, list) else "tuple": items}
    if isinstance(value, dict):
        pairs = [[_key(key, path), _describe(item, (*path, str(key)), arrays)] for key, item in value.items()]
        return {"ordered" if isinstance(value, OrderedDict) else "dict": pairs}
    what = f"save: {'.'.join(path) or 'obj'}: can't save a {type(value).__name__}"
    advice = "; save its state_dict()" if hasattr(value, "state_dict") else ""
    raise ArgumentTypeError(f"{what}; expected tensors, numbers, strings, lists, tuples and dicts{advice}")


def _key(key: Any, path: Iterable[str]) -> Any:
    if key is None or isinstance(key, bool | int | float | str):
        return key
    raise ArgumentTypeError(f"save: {'.'.join(path)}: expected dict keys that are numbers or strings, got {key!r}")


def _rebuild(node: Any, arrays: dict[str, Any]) -> Any:
    if not isinstance(node, dict):
        return node
    ((kind, content),) = node.items()
    if kind == "tensor":
        return arrays[content]
    if kind == "array":
        return arrays[content].numpy()
    if kind in ("list", "tuple"):
        items = [_rebuild(item, arrays) for item in content]
        return items if kind == "list" else tuple(items)
    pairs = {key: _rebuild(item, arrays) for key, item in content}
    return OrderedDict(pairs) if kind == "ordered" else pairs
