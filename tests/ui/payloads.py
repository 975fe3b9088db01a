"""Payloads of components, read as the browser reads them."""

from __future__ import annotations

import json
from typing import Any

import numpy as np


def unpack(magic: int, payload: bytes) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    """Header and arrays by name."""
    found, length = np.frombuffer(payload, "<i4", 2)
    assert found == magic
    body = 8 + int(length)
    header = json.loads(payload[8:body])
    arrays = {}
    for entry in header["arrays"]:
        size = int(np.prod(entry["shape"]))
        assert (body + entry["offset"]) % 4 == 0, "a typed view in the browser must begin at a multiple of 4"
        values = np.frombuffer(payload, np.dtype(entry["type"]).newbyteorder("<"), size, body + entry["offset"])
        arrays[entry["name"]] = values.reshape(entry["shape"])
    return header, arrays
