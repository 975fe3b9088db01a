"""What components get from the server, as bytes: int32 magic, int32 length of the header, the header (UTF-8 JSON, padded with
spaces to 4 bytes), then the arrays that the header lists, each padded to 4 bytes, all little-endian."""

from __future__ import annotations

import json
from collections.abc import Mapping

import numpy as np


def pack(magic: int, header: Mapping[str, object], arrays: Mapping[str, np.ndarray]) -> bytes:
    """The payload. ``arrays`` are of int16, uint8 or float32 and are listed in the header as name, type, shape and offset."""
    listed, chunks, offset = [], [], 0
    for name, array in arrays.items():
        little = np.ascontiguousarray(array, array.dtype.newbyteorder("<"))
        listed.append({"name": name, "type": array.dtype.name, "shape": array.shape, "offset": offset})
        chunks.append(little.tobytes() + bytes(-little.nbytes % 4))
        offset += len(chunks[-1])
    text = json.dumps({**header, "arrays": listed}, ensure_ascii=False, allow_nan=False).encode()
    text += b" " * (-len(text) % 4)
    return np.array([magic, len(text)], dtype="<i4").tobytes() + text + b"".join(chunks)
