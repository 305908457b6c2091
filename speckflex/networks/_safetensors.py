"""safetensors files: a JSON text that says where each tensor lies, and the tensors' bytes."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any

import torch

from speckflex._support.text import first_line
from speckflex.errors import FileFormatError
from speckflex.networks._limits import MAX_UNPACKED_BYTES

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["read_safetensors"]

# The length of the text, and the largest that safetensors itself takes.
LENGTH_BYTES = 8
MAX_TEXT_BYTES = 100_000_000
METADATA = "__metadata__"
TYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
    "I64": torch.int64,
    "I32": torch.int32,
    "I16": torch.int16,
    "I8": torch.int8,
    "U8": torch.uint8,
    "BOOL": torch.bool,
}


def read_safetensors(path: Path) -> dict[str, torch.Tensor]:
    """Return the tensors in a safetensors file by name.

    Format: https://github.com/huggingface/safetensors, section "Format".

    Raises:
        FileFormatError: the file is damaged, or has tensors of a type that torch lacks.
    """
    size = path.stat().st_size
    if size > MAX_UNPACKED_BYTES:
        raise FileFormatError(
            f"{path}: has {size} bytes, more than {MAX_UNPACKED_BYTES}: save the network's weights"
            " alone"
        )
    content = path.read_bytes()
    try:
        return _tensors(content)
    except (ValueError, TypeError, LookupError, AttributeError, RuntimeError) as error:
        raise FileFormatError(
            f"{path}: is damaged or no safetensors file ({first_line(error)}): save the weights"
            " again"
        ) from error


def _tensors(content: bytes) -> dict[str, torch.Tensor]:
    length = int.from_bytes(content[:LENGTH_BYTES], "little")
    if length > min(MAX_TEXT_BYTES, len(content) - LENGTH_BYTES):
        raise ValueError(f"its text of {length} bytes is not in the file")
    start = LENGTH_BYTES + length
    entries = json.loads(content[LENGTH_BYTES:start])
    values = memoryview(content)[start:]
    tensors: dict[str, torch.Tensor] = {}
    left = len(values)
    for name, entry in entries.items():
        if name == METADATA:
            continue
        tensors[name] = _tensor(name, entry, values)
        left -= tensors[name].nbytes
        if left < 0:
            raise ValueError(f"tensor {name!r} lies in the bytes of others")
    return tensors


def _tensor(name: str, entry: dict[str, Any], values: memoryview) -> torch.Tensor:
    if entry["dtype"] not in TYPES:
        raise ValueError(
            f"tensor {name!r} is of type {entry['dtype']!r}, not of {', '.join(TYPES)}"
        )
    dtype, shape, (begin, end) = TYPES[entry["dtype"]], entry["shape"], entry["data_offsets"]
    if not all(type(number) is int and number >= 0 for number in (*shape, begin, end)):
        raise ValueError(f"tensor {name!r} has a size or a place that is no whole number")
    if end - begin != math.prod(shape) * dtype.itemsize or end > len(values):
        raise ValueError(f"tensor {name!r} of shape {shape} does not fill its bytes")
    if begin == end:
        return torch.zeros(shape, dtype=dtype)
    return torch.frombuffer(bytearray(values[begin:end]), dtype=dtype).reshape(shape)
