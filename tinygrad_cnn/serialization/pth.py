"""Reading the files of PyTorch's ``torch.save``, without PyTorch and without running what is in them.

Since version 1.6 they are uncompressed zip archives (``torch/serialization.py``, ``_save``): ``data.pkl`` holds the
nest, in which a tensor is a storage's key with an offset, sizes and strides; ``data/<key>`` holds a storage's bytes.
The legacy format (``_legacy_save``) is a row of pickles: a magic number, the protocol, facts about the machine, the
nest, the keys; then the storages. Sizes are believed only after they have been compared with the file's own.
"""

from __future__ import annotations

import io
import struct
import zipfile
import zlib
from collections.abc import Callable, Mapping
from typing import IO, Any, NamedTuple

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.backend import CPU, DTYPES, Size, float32
from tinygrad_cnn.errors import CheckpointError, DataError, TinygradError
from tinygrad_cnn.nn.parameter import Parameter
from tinygrad_cnn.serialization.files import size_of, widen
from tinygrad_cnn.serialization.unpickle import Builder, Unpickler, set_attributes

__all__ = ["MAGIC_BYTES", "STORAGE_NAMES", "load_legacy", "load_zip"]

MAGIC = 0x1950A86A20F9469CFC6C
MAGIC_BYTES = MAGIC.to_bytes(10, "little")
PROTOCOL = 1001

STORAGE_NAMES = {
    "Float": "float32", "Double": "float64", "Half": "float16", "BFloat16": "bfloat16", "Long": "int64",
    "Int": "int32", "Short": "int16", "Char": "int8", "Byte": "uint8", "Bool": "bool",
}  # fmt: skip
_CHUNK = 1 << 24


class Storage:
    """A block of memory, in which tensors lie. Floats of 16 bits are widened here, once for all of them."""

    def __init__(self, array: np.ndarray) -> None:
        self.array = array
        self.counter = [0]  # of in-place writes, which its tensors share

    def part(self, offset: int, size: int) -> Storage:
        """A part of the same memory."""
        out = Storage(self.array[offset : offset + size])
        out.counter = self.counter
        return out


class StorageType(NamedTuple):
    """The dtype of a storage, as named by its class in PyTorch."""

    kind: str


def _decode(raw: np.ndarray, kind: str, big_endian: bool) -> np.ndarray:
    """The numbers in ``raw`` bytes."""
    if kind == "bool":
        return np.asarray(raw != 0)  # other bytes than 0 and 1 aren't bools to NumPy
    array = raw.view("uint16" if kind == "bfloat16" else kind)
    if big_endian:
        array = array.byteswap()
    return widen(array, kind) if kind in ("float16", "bfloat16") else array


def _itemsize(kind: str) -> int:
    return 2 if kind == "bfloat16" else np.dtype(kind).itemsize


# -------------------------------------------------------------------------------------------- tensors
def _names(source: str) -> dict[str, Any]:
    """The globals that a checkpoint may name, and what they build."""

    def tensor(
        storage: Any,
        offset: Any,
        size: Any,
        stride: Any,
        requires_grad: Any = False,
        hooks: Any = (),
        metadata: Any = None,
    ) -> Tensor:
        if hooks or metadata:
            raise CheckpointError(f"{source}: tensors with hooks, or with conjugate or negative bits, can't be built")
        out = _view(storage, offset, size, stride, source)
        return out.requires_grad_() if requires_grad else out

    def parameter(data: Any, requires_grad: Any = True, hooks: Any = (), state: Any = None) -> Parameter:
        if not isinstance(data, Tensor) or hooks:
            raise CheckpointError(f"{source}: damaged pickle: a Parameter of a {type(data).__name__}, or with hooks")
        out = Parameter(data, bool(requires_grad))
        out._counter = data._counter
        set_attributes(out, state or {}, source)
        return out

    def subclass(function: Any, kind: Any, arguments: Any, state: Any) -> Tensor:
        if not isinstance(function, Builder) or function.build not in (tensor, parameter):
            raise CheckpointError(f"{source}: damaged pickle: a tensor that isn't built as one")
        if not isinstance(kind, Builder) or kind.name not in ("torch.Tensor", "torch.nn.parameter.Parameter"):
            raise CheckpointError(f"{source}: a tensor of an unknown class")
        out: Tensor = function.build(*arguments)
        set_attributes(out, state, source)
        return out

    def size(sides: Any) -> Size:
        if not isinstance(sides, tuple) or not all(isinstance(side, int) for side in sides):
            raise CheckpointError(f"{source}: damaged pickle: a torch.Size of {type(sides).__name__}")
        return Size(sides)

    def no_plain_tensor(*arguments: Any) -> Tensor:
        raise CheckpointError(f"{source}: torch.Tensor({len(arguments)} arguments) is refused; tensors have a storage")

    builders: dict[str, Callable[..., Any]] = {
        "torch._utils._rebuild_tensor": tensor,
        "torch._utils._rebuild_tensor_v2": tensor,
        "torch._utils._rebuild_parameter": parameter,
        "torch._utils._rebuild_parameter_with_state": parameter,
        "torch.nn.parameter.Parameter": parameter,
        "torch._tensor._rebuild_from_type_v2": subclass,
        "torch.Tensor": no_plain_tensor,
        "torch.Size": size,
        "torch.device": lambda kind, index=None: CPU,  # wherever it was, here everything is on the CPU
    }
    names: dict[str, Any] = {name: Builder(name, build) for name, build in builders.items()}
    for word, kind in STORAGE_NAMES.items():
        names[f"torch.{word}Storage"] = names[f"torch.cuda.{word}Storage"] = StorageType(kind)
    for known in DTYPES.values():
        names[f"torch.{known.name}"] = known
    names["torch.float16"] = names["torch.bfloat16"] = float32  # as the tensors of these dtypes
    return names


def _view(storage: Any, offset: Any, size: Any, stride: Any, source: str) -> Tensor:
    """A tensor on the memory of ``storage``, if it lies within."""
    if not (isinstance(storage, Storage) and isinstance(size, tuple) and isinstance(stride, tuple)):
        raise CheckpointError(f"{source}: damaged tensor: expected a storage, an offset, sizes and strides")
    what = f"offset {offset!r:.60}, sizes {size!r:.60} and strides {stride!r:.60}"
    if len(size) != len(stride) or not all(type(n) is int and n >= 0 for n in (offset, *size, *stride)):
        raise CheckpointError(f"{source}: damaged tensor: {what} must be as many, and integers from 0 on")
    array, step = storage.array, storage.array.itemsize
    needed = offset
    if 0 not in size:
        needed += 1 + sum((n - 1) * stride_of for n, stride_of in zip(size, stride, strict=True))
    if needed > array.size or len(size) > 64:
        raise CheckpointError(
            f"{source}: damaged tensor: {what} need a storage of {needed!s:.60} elements, it has {array.size}"
        )
    try:
        strides = [s * step if n > 1 else step for n, s in zip(size, stride, strict=True)]  # of 1 it doesn't matter
        out = wrap(np.ndarray(size, array.dtype, array, offset * step, strides))
    except (ValueError, OverflowError) as error:
        raise CheckpointError(f"{source}: damaged tensor: {what} ({error})") from None
    out._counter = storage.counter
    return out


def _storage_id(pid: Any, source: str) -> tuple[str, str, int, Any]:
    """The dtype, key, number of elements and part of a storage, as its id in the pickle gives them."""
    if (
        isinstance(pid, tuple)
        and len(pid) in (5, 6)
        and pid[0] == "storage"
        and isinstance(pid[1], StorageType)
        and isinstance(pid[2], str)
        and type(pid[4]) is int
        and pid[4] >= 0
    ):
        return pid[1].kind, pid[2], pid[4], pid[5] if len(pid) == 6 else None
    raise CheckpointError(f"{source}: expected the id of a storage, got {pid!s:.80}")


class _Storages:
    """The storages of a file by key; ``read(key, kind, numel)`` gets one that is asked for the first time."""

    def __init__(self, read: Callable[[str, str, int], np.ndarray], source: str) -> None:
        self.read = read
        self.source = source
        self.known: dict[str, tuple[str, int, Storage]] = {}

    def __call__(self, pid: Any) -> Storage:
        kind, key, numel, part = _storage_id(pid, self.source)
        if key not in self.known:
            self.known[key] = (kind, numel, Storage(self.read(key, kind, numel)))
        if self.known[key][:2] != (kind, numel):
            raise CheckpointError(f"{self.source}: damaged: storage {key:.40} is declared twice, differently")
        storage = self.known[key][2]
        if part is None:
            return storage
        _, offset, size = part
        if not all(type(n) is int and n >= 0 for n in (offset, size)) or offset + size > numel:
            raise CheckpointError(f"{self.source}: damaged: a part outside its storage {key:.40}")
        return storage.part(offset, size)


# -------------------------------------------------------------------------------------------- archives
def load_zip(file: IO[bytes], source: str) -> Any:
    """The nest in a zip archive of ``torch.save``."""
    try:
        with zipfile.ZipFile(file) as archive:
            return _Archive(archive, file, source).load()
    except TinygradError:
        raise
    except (zipfile.BadZipFile, struct.error, ValueError, EOFError, OSError, NotImplementedError, IndexError) as error:
        raise DataError(f"{source}: damaged zip archive ({error}); get the file again") from None


class _Archive:
    """The entries of a zip archive, whose sizes have been checked against the file's."""

    def __init__(self, archive: zipfile.ZipFile, file: IO[bytes], source: str) -> None:
        self.file = file
        self.source = source
        self.entries = {info.filename: info for info in archive.infolist()}
        total = size_of(file)
        if sum(info.file_size for info in self.entries.values()) > total:
            raise DataError(f"{source}: damaged zip archive: its entries claim more than its {total} bytes")
        pickles = [name for name in self.entries if name == "data.pkl" or name.endswith("/data.pkl")]
        if len(pickles) != 1:
            raise DataError(f"{source}: expected one data.pkl in the archive, got {len(pickles)}")
        self.root = pickles[0].removesuffix("data.pkl")
        if f"{self.root}constants.pkl" in self.entries:
            raise CheckpointError(f"{source}: is a TorchScript program, which can't be run here; save its state_dict()")
        order = self._read("byteorder").tobytes().strip() if f"{self.root}byteorder" in self.entries else b"little"
        if order not in (b"little", b"big"):
            raise DataError(f"{source}: unknown byte order {order!r:.20}")
        self.big_endian = order == b"big"

    def load(self) -> Any:
        stream = io.BytesIO(self._read("data.pkl").tobytes())
        return Unpickler(stream, _names(self.source), _Storages(self._storage, self.source), self.source).load()

    def _storage(self, key: str, kind: str, numel: int) -> np.ndarray:
        raw = self._read(f"data/{key}", numel * _itemsize(kind))
        return _decode(raw, kind, self.big_endian)

    def _read(self, name: str, expected: int | None = None) -> np.ndarray:
        """The bytes of an entry, which must be ``expected`` many."""
        info = self.entries.get(self.root + name)
        if info is None:
            raise DataError(f"{self.source}: damaged: {name:.40} is missing from the archive")
        if info.compress_type != zipfile.ZIP_STORED or info.flag_bits & 1 or info.compress_size != info.file_size:
            raise DataError(f"{self.source}: {name:.40} is compressed or encrypted, which torch.save never does")
        if expected is not None and info.file_size != expected:
            raise DataError(
                f"{self.source}: damaged: {name:.40} should have {expected!s:.40} bytes, got {info.file_size}"
            )
        self.file.seek(info.header_offset)
        header = self.file.read(30)
        if len(header) < 30 or header[:4] != b"PK\x03\x04":
            raise DataError(f"{self.source}: damaged zip archive: {name:.40} isn't where it should be")
        self.file.seek(info.header_offset + 30 + sum(struct.unpack("<2H", header[26:])))
        data = np.empty(info.file_size, np.uint8)
        crc, view = 0, memoryview(data)  # type: ignore[arg-type]  # an array is a buffer, also before 3.12
        for start in range(0, info.file_size, _CHUNK):
            chunk = self.file.read(min(_CHUNK, info.file_size - start))
            if len(chunk) < min(_CHUNK, info.file_size - start):
                raise DataError(f"{self.source}: truncated in {name:.40}; get the file again")
            view[start : start + len(chunk)] = chunk
            crc = zlib.crc32(chunk, crc)
        if info.CRC not in (0, crc):  # 0: PyTorch was told not to compute it
            raise DataError(f"{self.source}: damaged: {name:.40} has a wrong checksum; get the file again")
        return data


# -------------------------------------------------------------------------------------------- legacy
def load_legacy(file: IO[bytes], source: str) -> Any:
    """The nest in a file of ``torch.save`` before 1.6, or with ``_use_new_zipfile_serialization=False``."""
    begin = file.tell()
    stream = io.BytesIO(file.read())  # the pickles claim lengths, which are bounded by those of a buffer

    def plain(names: Mapping[str, Any] | None = None, persistent: Callable[[Any], Any] = lambda pid: None) -> Any:
        return Unpickler(stream, names or {}, persistent, source).load()

    if plain() != MAGIC or plain() != PROTOCOL:
        raise CheckpointError(f"{source}: expected PyTorch's magic number and protocol {PROTOCOL}; the file is damaged")
    facts = plain()
    big_endian = isinstance(facts, dict) and facts.get("little_endian") is False
    start = stream.tell()

    # the storages are behind the nest: read it once to learn their dtypes, and again to build the tensors
    declared: dict[str, tuple[str, int]] = {}

    def note(pid: Any) -> None:
        kind, key, numel, _ = _storage_id(pid, source)
        declared[key] = (kind, numel)

    names = _names(source)
    nothing = {name: Builder(name, lambda *arguments: None) for name, v in names.items() if isinstance(v, Builder)}
    plain({**names, **nothing}, note)
    keys = plain()
    blocks: dict[str, np.ndarray] = {}
    if not isinstance(keys, list) or set(declared) - {key for key in keys if isinstance(key, str)}:
        raise CheckpointError(f"{source}: damaged: storages are missing from the list of keys")
    for key in keys:
        if key not in declared:
            raise CheckpointError(f"{source}: damaged: storage {key!s:.40} belongs to no tensor")
        kind, numel = declared[key]
        length = stream.read(8)
        found = int.from_bytes(length, "big" if big_endian else "little", signed=True)
        size = numel * _itemsize(kind)
        if len(length) < 8 or found != numel or size > len(stream.getbuffer()) - stream.tell():
            raise DataError(f"{source}: truncated or damaged: storage {key:.40} should have {numel!s:.40} elements")
        blocks[key] = _decode(np.frombuffer(bytearray(stream.read(size)), np.uint8), kind, big_endian)
    file.seek(begin + stream.tell())  # where another one may follow
    stream.seek(start)
    return plain(names, _Storages(lambda key, kind, numel: blocks[key], source))
