"""Writing files that PyTorch's ``torch.load(weights_only=True)`` reads: its zip format, see ``pth.py``.

The pickle is written by hand, in the opcodes of protocol 2 that PyTorch's reader of weights knows: ``pickle`` itself
can only name globals that can be imported.
"""

from __future__ import annotations

import re
import struct
import zipfile
from collections import Counter, OrderedDict
from collections.abc import Callable
from typing import IO, Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor
from tinygrad_cnn.backend import Size, device, dtype
from tinygrad_cnn.errors import ArgumentError, ArgumentTypeError
from tinygrad_cnn.nn.parameter import Parameter
from tinygrad_cnn.serialization.pth import STORAGE_NAMES

__all__ = ["write_zip"]

_WORDS = {kind: word for word, kind in STORAGE_NAMES.items()}
_ALIGNMENT = 64


def write_zip(obj: Any, file: IO[bytes], root: str = "archive") -> None:
    """Write ``obj`` and the storages of its tensors as an archive; equal values give equal bytes."""
    pickled = _Pickle(obj)
    with zipfile.ZipFile(file, "w", zipfile.ZIP_STORED) as archive:
        entries: dict[str, bytes | memoryview] = {
            "data.pkl": pickled.data,
            ".format_version": b"1",
            "byteorder": b"little",
        }
        storages = {f"data/{key}": _bytes(array) for key, array in enumerate(pickled.storages)}
        entries.update(storages, version=b"3\n")
        for name, content in entries.items():
            info = zipfile.ZipInfo(f"{root}/{name}")
            size = len(content)
            # PyTorch maps storages into memory, and pads a field of the header so that they begin at a multiple of 64
            position = archive.start_dir + 30 + len(info.filename.encode()) + 4
            padding = -(position + (20 if size >= zipfile.ZIP64_LIMIT else 0)) % _ALIGNMENT
            info.extra = b"FB" + struct.pack("<H", padding) + b"Z" * padding
            with archive.open(info, "w", force_zip64=size >= zipfile.ZIP64_LIMIT) as entry:
                entry.write(content)


def root_of(name: str) -> str:
    """The folder within the archive, which PyTorch names after the file."""
    stem = name.replace("\\", "/").rpartition("/")[2].rpartition(".")[0]
    return stem if re.fullmatch(r"[\w.-]+", stem) else "archive"


def _bytes(array: np.ndarray) -> memoryview:
    little = array.astype(array.dtype.newbyteorder("<"), copy=False)
    return memoryview(little.view(np.uint8))  # type: ignore[arg-type]  # an array is a buffer, also before 3.12


class _Pickle:
    """The pickle of a nest in ``data``, and the storages that it refers to."""

    def __init__(self, obj: Any) -> None:
        self._out = bytearray(b"\x80\x02")
        self._memo: dict[int, int] = {}
        self._kept: list[Any] = []  # what the memo knows by id must stay alive
        self._keys: dict[Any, int] = {}
        self.storages: list[np.ndarray] = []
        self._save(obj, ())
        self.data = bytes(self._out + b".")

    def _save(self, value: Any, path: tuple[Any, ...]) -> None:
        if id(value) in self._memo and not isinstance(value, int | float | str | bytes | None):
            self._out += b"j" + struct.pack("<I", self._memo[id(value)])
            return
        if isinstance(value, np.generic):
            value = value.item()
        writer = _WRITERS.get(type(value))
        if writer is None:
            raise _refusal(value, path)
        writer(self, value, path)

    def _remember(self, value: Any) -> None:
        self._memo[id(value)] = len(self._memo)
        self._kept.append(value)
        self._out += b"r" + struct.pack("<I", self._memo[id(value)])

    # ------------------------------------------------------------------------------------ numbers, text
    def _none(self, value: None, path: tuple[Any, ...]) -> None:
        self._out += b"N"

    def _bool(self, value: bool, path: tuple[Any, ...]) -> None:
        self._out += b"\x88" if value else b"\x89"

    def _int(self, value: int, path: tuple[Any, ...]) -> None:
        if -(2**31) <= value < 2**31:
            self._out += b"J" + struct.pack("<i", value)
            return
        length = value.bit_length() // 8 + 1
        if length > 255:
            raise ArgumentError(f"save: {_at(path)}: an int of {value.bit_length()} bits is more than PyTorch reads")
        self._out += b"\x8a" + bytes([length]) + value.to_bytes(length, "little", signed=True)

    def _float(self, value: float, path: tuple[Any, ...]) -> None:
        self._out += b"G" + struct.pack(">d", value)

    def _str(self, value: str, path: tuple[Any, ...]) -> None:
        encoded = value.encode("utf-8", "surrogatepass")
        self._out += b"X" + struct.pack("<I", len(encoded)) + encoded

    def _encoded(self, value: bytes | bytearray, path: tuple[Any, ...]) -> None:
        name = "_codecs encode" if isinstance(value, bytes) else "builtins bytearray"
        self._call(name, (value.decode("latin1"), "latin1"), path)

    # --------------------------------------------------------------------------------------- containers
    def _list(self, value: list[Any], path: tuple[Any, ...]) -> None:
        self._out += b"]"
        self._remember(value)
        self._out += b"("
        for index, item in enumerate(value):
            self._save(item, (*path, index))
        self._out += b"e"

    def _tuple(self, value: tuple[Any, ...], path: tuple[Any, ...]) -> None:
        if not value:
            self._out += b")"
            return
        self._out += b"("
        for index, item in enumerate(value):
            self._save(item, (*path, index))
        self._out += b"t"
        self._remember(value)

    def _dict(self, value: dict[Any, Any], path: tuple[Any, ...]) -> None:
        self._out += b"}"
        self._remember(value)
        self._items(value, path)

    def _ordered_dict(self, value: OrderedDict[Any, Any], path: tuple[Any, ...]) -> None:
        self._call("collections OrderedDict", (), path)
        self._remember(value)
        self._items(value, path)
        if vars(value):  # a state dict's _metadata
            self._save(vars(value), (*path, "attributes"))
            self._out += b"b"

    def _counter(self, value: Counter[Any], path: tuple[Any, ...]) -> None:
        self._call("collections Counter", (dict(value),), path)

    def _items(self, value: dict[Any, Any], path: tuple[Any, ...]) -> None:
        self._out += b"("
        for key, item in value.items():
            self._save(key, (*path, key))
            self._save(item, (*path, key))
        self._out += b"u"

    def _set(self, value: set[Any], path: tuple[Any, ...]) -> None:
        self._call("builtins set", (list(value),), path)
        self._remember(value)

    # ------------------------------------------------------------------------------------------ globals
    def _global(self, name: str) -> None:
        self._out += b"c" + name.replace(" ", "\n").encode() + b"\n"

    def _call(self, name: str, arguments: tuple[Any, ...], path: tuple[Any, ...]) -> None:
        self._global(name)
        self._tuple_of(arguments, path)
        self._out += b"R"

    def _tuple_of(self, items: tuple[Any, ...], path: tuple[Any, ...]) -> None:
        """A tuple made here, which nothing else can refer to; a function in it writes itself."""
        self._out += b"("
        for item in items:
            if callable(item):
                item()
            else:
                self._save(item, path)
        self._kept += items  # their ids are in the memo
        self._out += b"t"

    def _complex(self, value: complex, path: tuple[Any, ...]) -> None:
        self._call("builtins complex", (value.real, value.imag), path)

    def _dtype(self, value: dtype, path: tuple[Any, ...]) -> None:
        self._global(f"torch {value.name}")

    def _device(self, value: device, path: tuple[Any, ...]) -> None:
        self._call("torch device", (value.type,) if value.index is None else (value.type, value.index), path)

    def _size(self, value: Size, path: tuple[Any, ...]) -> None:
        self._call("torch Size", (tuple(value),), path)

    # ------------------------------------------------------------------------------------------ tensors
    def _tensor(self, value: Tensor, path: tuple[Any, ...]) -> None:
        attributes = _attributes(value)
        if attributes:
            arguments = self._tensor_arguments(value, value.requires_grad)
            self._global("torch._tensor _rebuild_from_type_v2")
            rebuild, kind = (
                (lambda: self._global("torch._utils _rebuild_tensor_v2")),
                lambda: self._global("torch Tensor"),
            )
            self._tuple_of((rebuild, kind, lambda: self._tuple_of(arguments, path), attributes), path)
            self._out += b"R"
        else:
            self._call("torch._utils _rebuild_tensor_v2", self._tensor_arguments(value, value.requires_grad), path)
        self._remember(value)

    def _parameter(self, value: Parameter, path: tuple[Any, ...]) -> None:
        attributes = _attributes(value)
        arguments = self._tensor_arguments(value, False)
        data = lambda: self._call("torch._utils _rebuild_tensor_v2", arguments, path)
        name = "_rebuild_parameter_with_state" if attributes else "_rebuild_parameter"
        state = (attributes,) if attributes else ()
        self._call(f"torch._utils {name}", (data, value.requires_grad, OrderedDict(), *state), path)
        self._remember(value)

    def _tensor_arguments(self, tensor: Tensor, requires_grad: bool) -> tuple[Any, ...]:
        array = tensor.numpy(force=True)
        storage, offset, strides = _storage_of(array)
        memory = storage.__array_interface__["data"][0], storage.nbytes, storage.dtype.name
        key = self._keys.setdefault(memory if storage.size else len(self.storages), len(self.storages))
        if key == len(self.storages):
            self.storages.append(storage)

        def persistent_id() -> None:
            class_of_storage = lambda: self._global(f"torch {_WORDS[storage.dtype.name]}Storage")
            self._tuple_of(("storage", class_of_storage, str(key), "cpu", storage.size), ())
            self._out += b"Q"

        return persistent_id, offset, tuple(array.shape), strides, requires_grad, OrderedDict()


def _storage_of(array: np.ndarray) -> tuple[np.ndarray, int, tuple[int, ...]]:
    """The block that ``array`` is a view of, or else a copy, as 1-d; where it begins there; its strides in elements.

    The block is saved whole and once, so that all tensors in it share their memory again when they are loaded.
    """
    block, itemsize = array, array.itemsize
    while isinstance(block.base, np.ndarray):
        block = block.base
    flat = block.transpose(sorted(range(block.ndim), key=lambda axis: -block.strides[axis]))  # in memory order
    offset = array.__array_interface__["data"][0] - block.__array_interface__["data"][0]
    aligned = all(step >= 0 and step % itemsize == 0 for step in (*array.strides, offset, block.nbytes))
    if not array.size or not aligned or not flat.flags.c_contiguous:
        flat, offset, array = array.copy(), 0, array.copy()  # in C order
    strides = tuple(step // itemsize for step in array.strides)
    return flat.reshape(-1).view(array.dtype), offset // itemsize, strides


def _attributes(tensor: Tensor) -> dict[str, Any]:
    """What a user has set on the tensor."""
    return {name: value for name, value in vars(tensor).items() if name not in Tensor.__annotations__}


def _at(path: tuple[Any, ...]) -> str:
    return ".".join(map(str, path)) or "obj"


def _refusal(value: Any, path: tuple[Any, ...]) -> ArgumentTypeError:
    advice = ""
    if hasattr(value, "state_dict"):
        advice = "; save its state_dict()"
    elif isinstance(value, np.ndarray):
        advice = "; make it a tensor with from_numpy()"
    return ArgumentTypeError(
        f"save: {_at(path)}: can't save a {type(value).__name__}; expected tensors, numbers, strings, bytes, lists, "
        f"tuples, dicts and sets{advice}"
    )


_WRITERS: dict[type, Callable[[_Pickle, Any, tuple[Any, ...]], None]] = {
    type(None): _Pickle._none, bool: _Pickle._bool, int: _Pickle._int, float: _Pickle._float, str: _Pickle._str,
    complex: _Pickle._complex, bytes: _Pickle._encoded, bytearray: _Pickle._encoded, list: _Pickle._list,
    tuple: _Pickle._tuple, dict: _Pickle._dict, OrderedDict: _Pickle._ordered_dict, Counter: _Pickle._counter,
    set: _Pickle._set, dtype: _Pickle._dtype, device: _Pickle._device, Size: _Pickle._size,
    Tensor: _Pickle._tensor, Parameter: _Pickle._parameter,
}  # fmt: skip
