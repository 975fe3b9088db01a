"""Pictures on a sheet: the end comes back pixel by pixel, the way nearly so."""

from __future__ import annotations

import io

import numpy as np
import pytest
from PIL import Image

from mlem.images.sheet import from_sheet, to_sheet


def made(frames: int = 5, pictures: int = 3, size: int = 16) -> np.ndarray:
    """Grey squares, each of its own brightness, with a dot that tells up from down and left from right."""
    grey = 20 + 180 * np.arange(frames * pictures).reshape(frames, pictures, 1, 1, 1) / (frames * pictures)
    found = np.broadcast_to(grey, (frames, pictures, size, size, 3)).astype(np.uint8).copy()
    found[:, :, : size // 4, : size // 2] = 255
    return found


def test_the_end_is_exact_and_the_way_is_close() -> None:
    frames = made()
    shown = from_sheet(to_sheet(frames))
    np.testing.assert_array_equal(shown[-1], frames[-1])
    assert np.abs(shown.astype(int) - frames).max() < 50
    assert np.abs(shown.astype(int) - frames).mean() < 4


def test_rows_are_frames_and_columns_pictures() -> None:
    sheet = to_sheet(made(frames=5, pictures=3, size=16))
    assert Image.open(io.BytesIO(sheet.way)).size == (3 * 16, 5 * 16)
    assert Image.open(io.BytesIO(sheet.end)).size == (3 * 16, 16)


def test_too_large_for_a_webp() -> None:
    with pytest.raises(ValueError, match="at most 16383 pixels along an edge, got 33 frames of 1 pictures of 512 pixels"):
        to_sheet(np.zeros((33, 1, 512, 512, 3), np.uint8))
