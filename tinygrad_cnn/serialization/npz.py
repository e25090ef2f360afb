"""``.npz`` files without pickle: the library's own format.

A state dict becomes a plain ``.npz`` with its keys as names, which ``numpy.load`` reads. Anything else that is made of
tensors, numbers, strings, lists, tuples and dicts has one more entry, JSON that says how it was put together.
"""

from __future__ import annotations

import json
import math
import zipfile
import zlib
from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import IO, Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, DataError
from tinygrad_cnn.serialization.files import File, name_of, opened, write_file

__all__ = ["load_npz", "read_npz", "save_npz", "write_npz"]

_STRUCTURE = "__structure__"


def write_npz(obj: Any, file: IO[bytes]) -> None:
    """Write ``obj``, made of tensors, arrays, numbers, strings, lists, tuples and dicts."""
    if isinstance(obj, Mapping) and all(isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items()):
        return save_npz(obj, file)
    arrays: dict[str, Any] = {}
    structure = _describe(obj, (), arrays)
    save_npz({_STRUCTURE: np.array(json.dumps(structure)), **arrays}, file)


def read_npz(file: IO[bytes], source: str) -> Any:
    """What ``write_npz`` wrote: tensors that share no memory with anything, in the nest that they were in."""
    arrays = _read(file, source)
    if _STRUCTURE not in arrays:
        return arrays
    try:
        return _rebuild(json.loads(str(arrays.pop(_STRUCTURE))), arrays)
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise DataError(f"{source}: damaged: its entry {_STRUCTURE} doesn't describe its arrays ({error})") from None


def save_npz(arrays: Mapping[str, Tensor | np.ndarray], f: File, *, compress: bool = False) -> None:
    """Write named tensors or arrays as an ``.npz``; equal values give equal bytes."""
    write_file(f, lambda file: _write(arrays, file, compress))


def load_npz(f: File) -> dict[str, Any]:
    """The tensors of an ``.npz`` by name, in the file's order; strings stay arrays. DataError if it is corrupt."""
    with opened(f) as file:
        return _read(file, name_of(f))


def _read(file: IO[bytes], source: str) -> dict[str, Any]:
    try:
        with zipfile.ZipFile(file) as archive:
            return {
                info.filename.removesuffix(".npy"): array if array.dtype.kind == "U" else wrap(array)
                for info in archive.infolist()
                for array in [_read_array(archive, info)]
            }
    except (ValueError, EOFError, OSError, KeyError, NotImplementedError, zipfile.BadZipFile, zlib.error) as error:
        raise DataError(f"{source}: expected an .npz file without pickled objects ({error})") from None


def _read_array(archive: zipfile.ZipFile, info: zipfile.ZipInfo) -> np.ndarray:
    """One array, whose header is believed only if it fits the size of the entry."""
    with archive.open(info) as entry:
        version = np.lib.format.read_magic(entry)
        read_header = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}
        shape, _, dtype = read_header[version](entry)
        if dtype.hasobject or math.prod(shape) * dtype.itemsize + entry.tell() != info.file_size:
            raise ValueError(f"{info.filename:.80} holds pickled objects or isn't as large as its header says")
    with archive.open(info) as entry:
        return np.lib.format.read_array(entry, allow_pickle=False)


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
