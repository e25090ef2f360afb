"""Reading and writing ``.safetensors`` files, by the package of that name (the extra ``safetensors``)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import IO, Any

import numpy as np

from tinygrad_cnn.autograd.tensor import Tensor, wrap
from tinygrad_cnn.errors import ArgumentTypeError, DataError, import_extra
from tinygrad_cnn.serialization.files import widen

__all__ = ["read_safetensors", "write_safetensors"]

_DTYPES = {
    "F64": "float64", "F32": "float32", "F16": "float16", "BF16": "bfloat16", "I64": "int64", "I32": "int32",
    "I16": "int16", "I8": "int8", "U8": "uint8", "BOOL": "bool",
}  # fmt: skip


def read_safetensors(file: IO[bytes], source: str) -> dict[str, Tensor]:
    """The tensors of the file by name. MissingExtraError without the package; DataError if the file is damaged."""
    package: Any = import_extra("safetensors", "safetensors")
    try:
        entries = package.deserialize(file.read())
    except package.SafetensorError as error:
        raise DataError(f"{source}: damaged .safetensors file ({error}); get the file again") from None
    return {name: _decode(name, entry, source) for name, entry in sorted(entries)}


def _decode(name: str, entry: Mapping[str, Any], source: str) -> Tensor:
    if entry["dtype"] not in _DTYPES:
        raise DataError(f"{source}: {name}: dtype {entry['dtype']} can't be read; expected one of {', '.join(_DTYPES)}")
    kind = _DTYPES[entry["dtype"]]
    raw = np.frombuffer(bytearray(entry["data"]), "uint16" if kind == "bfloat16" else kind)
    return wrap((widen(raw, kind) if kind in ("float16", "bfloat16") else raw).reshape(entry["shape"]))


def write_safetensors(obj: Any, file: IO[bytes]) -> None:
    """Write named tensors. ArgumentTypeError for anything else, MissingExtraError without the package."""
    writer: Any = import_extra("safetensors.numpy", "safetensors")
    if not isinstance(obj, Mapping) or not all(isinstance(k, str) and isinstance(v, Tensor) for k, v in obj.items()):
        raise ArgumentTypeError("save: a .safetensors file holds a dict of tensors with names, such as a state_dict()")
    arrays = {name: np.asarray(tensor.numpy(force=True), order="C") for name, tensor in obj.items()}
    file.write(writer.save(arrays))
