"""Downloading a file from the first mirror that has it intact."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from pathlib import Path

from tinygrad_cnn.data.datasets.idx import gunzip
from tinygrad_cnn.errors import DataError

TIMEOUT = 30.0  # seconds without an answer after which the next mirror is tried


def download_file(name: str, folder: Path, mirrors: Sequence[str], md5: str) -> Path:
    """Fetch ``name`` into ``folder``; ``md5`` is that of the file or, if it is gzipped, of its content.

    The file appears under its name when it is complete and checked, never before. DataError if no mirror has it.
    """
    failures = []
    for mirror in mirrors:
        url = f"{mirror.rstrip('/')}/{name}"
        try:
            content = _fetch(url)
            check_md5(content, md5, url)
        except (OSError, DataError) as error:  # OSError: no network, no host, time-out, HTTP errors
            failures.append(str(error) if url in str(error) else f"{url}: {error}")
        else:
            write_atomically(folder / name, content)  # an error here is no reason to try another mirror
            return folder / name
    raise DataError(
        f"{name}: could not be downloaded; every mirror failed ({'; '.join(failures)}). "
        f"Connect to the internet and try again, or put the file into {folder} yourself"
    )


def check_md5(content: bytes, md5: str, name: object) -> None:
    """DataError unless ``content``, or what it decompresses to, has the checksum."""
    found = _md5(content)
    if found != md5 and content[:2] == b"\x1f\x8b":
        found = _md5(gunzip(content, name))
    if found != md5:
        raise DataError(f"{name}: expected MD5 {md5}, got {found}, of {len(content)} bytes")


def write_atomically(path: Path, content: bytes) -> None:
    """Write a file that other processes see whole or not at all."""
    temporary = path.with_name(f"{path.name}.{os.getpid()}.part")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(content)
        os.replace(temporary, path)
    except OSError as error:
        raise DataError(f"{path}: can't be written: {error.strerror or error}") from None
    finally:
        temporary.unlink(missing_ok=True)


def _fetch(url: str) -> bytes:
    import http.client
    import urllib.request  # slow to import, and seldom needed

    try:
        with urllib.request.urlopen(url, timeout=TIMEOUT) as response:
            return response.read()
    except http.client.HTTPException as error:  # such as an answer that ends before its announced length
        raise DataError(f"broken answer: {error}") from None


def _md5(content: bytes) -> str:
    return hashlib.md5(content, usedforsecurity=False).hexdigest()
