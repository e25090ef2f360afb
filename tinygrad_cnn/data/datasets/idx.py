"""Reading IDX files, the format of MNIST: a magic number, the sizes, then the elements as they are.

The format is described at the end of http://yann.lecun.com/exdb/mnist/.
"""

from __future__ import annotations

import gzip
import math
import zlib
from pathlib import Path

import numpy as np

from tinygrad_cnn.errors import DataError

_DTYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}
_AGAIN = "get the file again"


def read_idx(path: str | Path) -> np.ndarray:
    """The array of an IDX file, gzipped or not. DataError if the file is missing, truncated or corrupt."""
    return parse_idx(read_bytes(path), path)


def read_bytes(path: str | Path) -> bytes:
    """The file's content, decompressed if it is gzipped, whatever its name."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from None
    return gunzip(content, path) if content[:2] == b"\x1f\x8b" else content


def gunzip(content: bytes, name: object) -> bytes:
    """Decompressed content; DataError naming the file if it is truncated or corrupt."""
    try:
        return gzip.decompress(content)
    except EOFError:
        raise DataError(
            f"{name}: truncated: the gzip stream ends early, after {len(content)} bytes; {_AGAIN}"
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"{name}: corrupt: expected a gzip stream, got one that fails its check ({error}); {_AGAIN}"
        ) from None


def parse_idx(content: bytes, name: object) -> np.ndarray:
    """The array in the bytes of an IDX file; ``name`` is what errors call it."""
    if len(content) < 4:
        raise DataError(f"{name}: truncated: expected an IDX header, got {len(content)} bytes; {_AGAIN}")
    zeros, code, ndim = content[:2], content[2], content[3]
    if zeros != b"\0\0" or code not in _DTYPES or ndim == 0:
        raise DataError(
            f"{name}: not an IDX file: expected a magic number 0x00000801 (labels) or 0x00000803 (images), "
            f"got 0x{content[:4].hex()}; {_AGAIN}"
        )
    start = 4 + 4 * ndim
    if len(content) < start:
        raise DataError(f"{name}: truncated: expected a header of {start} bytes, got {len(content)}; {_AGAIN}")
    shape = tuple(int(size) for size in np.frombuffer(content, ">u4", ndim, 4))
    dtype = np.dtype(_DTYPES[code])
    expected = start + math.prod(shape) * dtype.itemsize
    if len(content) != expected:
        problem = "truncated" if len(content) < expected else "corrupt (bytes after the end)"
        raise DataError(
            f"{name}: {problem}: expected {expected} bytes for {dtype.name} {shape}, got {len(content)}; {_AGAIN}"
        )
    array = np.frombuffer(content, dtype, offset=start).reshape(shape)
    return array.astype(dtype.newbyteorder("="))  # a copy: what frombuffer gives is read-only
