"""Saving and loading tensors, state dicts, and nests of them: PyTorch's files, ``.npz`` and ``.safetensors``."""

from __future__ import annotations

import zipfile
from typing import IO, Any

from tinygrad_cnn.backend import require_cpu
from tinygrad_cnn.errors import ArgumentError, CheckpointError, DataError, UnsupportedError
from tinygrad_cnn.serialization.files import File, is_path, name_of, opened, write_file
from tinygrad_cnn.serialization.npz import load_npz, read_npz, save_npz, write_npz
from tinygrad_cnn.serialization.pth import MAGIC_BYTES, load_legacy, load_zip
from tinygrad_cnn.serialization.pth_writer import root_of, write_zip
from tinygrad_cnn.serialization.safetensors import read_safetensors, write_safetensors

__all__ = ["load", "load_npz", "save", "save_npz"]

_FORMATS = ("pth", "npz", "safetensors")


def save(obj: Any, f: File, *, format: str | None = None) -> None:
    """Write ``obj``, made of tensors, numbers, strings and containers, to a path or an open file.

    A name that ends in ``.npz`` or ``.safetensors`` makes such a file, any other, or an open file, PyTorch's, which
    ``torch.load(weights_only=True)`` reads; ``format`` ("pth", "npz", "safetensors") overrides that. Tensors on the
    same memory share it again when a PyTorch file is loaded. ArgumentTypeError for what can't be saved, such as a
    Module: save its ``state_dict()``. A path is written under a temporary name first, so it is never half-written.

    >>> import io, tinygrad_cnn as tg
    >>> file = io.BytesIO()
    >>> tg.save({"weight": tg.ones(2), "epochs": [1, 2]}, file)
    >>> _ = file.seek(0)
    >>> tg.load(file)
    {'weight': tensor([1., 1.]), 'epochs': [1, 2]}
    """
    if format is None:
        ending = name_of(f).rpartition(".")[2].lower() if is_path(f) else ""
        format = ending if ending in ("npz", "safetensors") else "pth"
    if format not in _FORMATS:
        raise ArgumentError(f"save: format expected one of {', '.join(_FORMATS)}, got {format!r}")
    if format == "npz":
        write_file(f, lambda file: write_npz(obj, file))
    elif format == "safetensors":
        write_file(f, lambda file: write_safetensors(obj, file))
    else:
        write_file(f, lambda file: write_zip(obj, file, root_of(name_of(f)) if is_path(f) else "archive"))


def load(
    f: File,
    map_location: Any = None,
    pickle_module: None = None,
    *,
    weights_only: bool | None = True,
    mmap: bool | None = None,
) -> Any:
    """Read a file of ``save``, of PyTorch's ``torch.save`` (the zip format and the legacy one) or of safetensors.

    What the file is, is seen from its content. Floats of 16 bits in the files of others become float32; what was on a
    GPU comes to the CPU, and a ``map_location`` that means anything else raises. Nothing in a file is ever executed:
    CheckpointError, which is a ``pickle.UnpicklingError``, names what isn't a tensor, container or number, and
    ``weights_only=False`` changes nothing about that. DataError if the file is damaged.
    """
    if pickle_module is not None:
        raise UnsupportedError("load: pickle_module can't be honoured; pickles are read by a reader that runs nothing")
    if mmap:
        raise UnsupportedError("load: mmap=True can't be honoured; the file is read into memory")
    _check_location(map_location)
    source = name_of(f)
    with opened(f) as file:
        return _read(file, source)


def _read(file: IO[bytes], source: str) -> Any:
    start = file.tell()
    head = file.read(512)
    file.seek(start)
    if head[:2] == b"PK":
        return load_zip(file, source) if _has_pickle(file, source) else read_npz(file, source)
    if head[:1] == b"\x80" and MAGIC_BYTES in head[:32]:
        return load_legacy(file, source)
    if head[8:9] == b"{":
        return read_safetensors(file, source)
    if head[257:262] == b"ustar":
        raise DataError(
            f"{source}: PyTorch's tar format, from before 0.1.10, can't be read; save it again with a later one"
        )
    if head[:1] == b"\x80":
        raise CheckpointError(f"{source}: a pickle that isn't of torch.save; it is refused, as pickles can run code")
    what = f"begins with {head[:8]!r}" if head else "is empty"
    raise DataError(
        f"{source}: expected a file of torch.save, an .npz file without pickled objects or a .safetensors; it {what}"
    )


def _has_pickle(file: IO[bytes], source: str) -> bool:
    """Whether a zip archive is one of PyTorch's rather than an ``.npz``."""
    try:
        with zipfile.ZipFile(file) as archive:
            return any(name.endswith(".pkl") for name in archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError) as error:
        raise DataError(f"{source}: damaged or truncated zip archive ({error}); get the file again") from None


class _Anywhere:
    """What a function given as ``map_location`` is asked about: a storage, which is on the CPU and stays there."""

    def cpu(self) -> _Anywhere:
        """This storage."""
        return self


def _check_location(map_location: Any) -> None:
    """Raise unless ``map_location`` leads to the CPU."""
    if isinstance(map_location, dict):
        for target in map_location.values():
            require_cpu(target)
    elif callable(map_location):
        storage = _Anywhere()
        if map_location(storage, "cpu") not in (storage, None):
            raise UnsupportedError("load: map_location must leave storages where they are, on the CPU")
    else:
        require_cpu(map_location)
