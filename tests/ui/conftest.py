"""Pages and their parts, without a browser."""

from __future__ import annotations

import pytest


@pytest.fixture(autouse=True)
def _no_worker(computed_here: None) -> None:
    """Of any test here."""
