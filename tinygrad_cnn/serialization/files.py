"""Opening, measuring and replacing the files that checkpoints live in."""

from __future__ import annotations

import io
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy as np

from tinygrad_cnn.errors import ArgumentTypeError

File = str | os.PathLike[str] | IO[bytes]


def is_path(f: object) -> bool:
    """Whether ``f`` names a file, rather than being one that is open."""
    return isinstance(f, str | os.PathLike)


def name_of(f: Any) -> str:
    """What to call the file in an error."""
    return os.fspath(f) if is_path(f) else str(getattr(f, "name", "the file"))


@contextmanager
def opened(f: File) -> Iterator[IO[bytes]]:
    """The file, open for reading, at its beginning, or where it stood if it was open; one that can seek."""
    if is_path(f):
        with open(f, "rb") as file:  # type: ignore[arg-type]  # a path
            yield file
    elif not hasattr(f, "read"):
        raise ArgumentTypeError(f"load: expected a path or a file that is open for reading, got {type(f).__name__}")
    else:
        seekable = hasattr(f, "seekable") and f.seekable()
        yield f if seekable else io.BytesIO(f.read())  # type: ignore[misc]  # not a path, so it can read


def size_of(file: IO[bytes]) -> int:
    """The number of bytes of the whole file; its position stays."""
    here = file.tell()
    size = file.seek(0, os.SEEK_END)
    file.seek(here)
    return size


def write_file(f: File, write: Callable[[IO[bytes]], None]) -> None:
    """Let ``write`` fill the open file ``f``, or a path, which is replaced when everything is written."""
    if not is_path(f):
        if not hasattr(f, "write"):
            raise ArgumentTypeError(f"save: expected a path or a file that is open for writing, got {type(f).__name__}")
        return write(f)  # type: ignore[arg-type]  # not a path
    path = Path(f)  # type: ignore[arg-type]  # a path
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        with open(temporary, "wb") as file:
            write(file)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def widen(array: np.ndarray, kind: str) -> np.ndarray:
    """Floats of 16 bits as float32: ``kind`` is "float16", or "bfloat16", whose bits come as uint16."""
    if kind == "bfloat16":  # the upper half of a float32
        return (array.astype(np.uint32) << np.uint32(16)).view(np.float32)
    return array.astype(np.float32)
