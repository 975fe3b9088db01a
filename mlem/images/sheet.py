"""Pictures as they form, small enough to keep and to send: a sheet with a row for each frame and a column for each picture.

The way is a lossy WebP, since nobody compares noise pixel by pixel. The end, which is judged, is a PNG: every pixel as it is.
"""

from __future__ import annotations

import io
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8
from PIL import Image

QUALITY = 25
"""Of the way's WebP: 33 frames of eight faces of 64 × 64 pixels take 0.4 MB, most of it noise; in PNG they take 2.7 MB."""

_WIDEST = 16_383  # pixels of a WebP, along an edge


@dataclass(frozen=True)
class Sheet:
    """``frames`` × ``pictures`` pictures of ``size`` × ``size`` pixels: all frames in ``way``, the last again in ``end``."""

    frames: int
    pictures: int
    size: int
    way: bytes
    end: bytes


def to_sheet(frames: UInt8[np.ndarray, "frames pictures size size 3"]) -> Sheet:
    """The sheet of ``frames``. Raises ValueError where it would be too large for a WebP."""
    count, pictures, size = frames.shape[:3]
    if max(count, pictures) * size > _WIDEST:
        raise ValueError(
            f"a sheet takes at most {_WIDEST} pixels along an edge, got {count} frames of {pictures} pictures of {size} pixels"
        )
    return Sheet(count, pictures, size, _encoded(frames, "WEBP", quality=QUALITY, method=4), _encoded(frames[-1:], "PNG"))


def from_sheet(sheet: Sheet) -> UInt8[np.ndarray, "frames pictures size size 3"]:
    """The frames, as a browser shows them."""
    parts = [np.asarray(Image.open(io.BytesIO(content)).convert("RGB")) for content in (sheet.way, sheet.end)]
    rows = [part.reshape(-1, sheet.size, sheet.pictures, sheet.size, 3).swapaxes(1, 2) for part in parts]
    return np.concatenate([rows[0][:-1], rows[1]])


def _encoded(frames: UInt8[np.ndarray, "frames pictures size size 3"], kind: str, **options: int) -> bytes:
    count, pictures, size = frames.shape[:3]
    flat = frames.swapaxes(1, 2).reshape(count * size, pictures * size, 3)
    Image.fromarray(np.ascontiguousarray(flat)).save(target := io.BytesIO(), kind, **options)
    return target.getvalue()
