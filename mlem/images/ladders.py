"""The ladders that a deployment offers: the shipped one and, where the environment variable MLEM_LADDERS names a folder or a
repository on the Hub, that one beside it. Nobody else may name one: a page's visitor least of all."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

import torch

from mlem import demo
from mlem.checks import check_choice
from mlem.images.checkpoint import SHIPPED, Ladder, load_ladder

VARIABLE = "MLEM_LADDERS"
"""The environment variable that names a ladder: a folder, or owner/name on the Hub, where MLEM_HUB is 1."""

LADDERS = {"shipped": "Shipped: CelebA faces", "own": f"Your own ({VARIABLE})"}


def own() -> str | None:
    """What MLEM_LADDERS names, None where it is not set, and in a demo."""
    return None if demo.on() else os.environ.get(VARIABLE) or None


def ladder(choice: str, device: torch.device | str = "cpu") -> Ladder:
    """The ladder of a choice among ``LADDERS``, loaded once on each device.

    Raises ValueError where none is named, and for whatever is wrong with it.
    """
    check_choice("ladder", choice, tuple(LADDERS))
    source = SHIPPED if choice == "shipped" else own()
    if source is None:
        raise ValueError(f"ladder takes own where the environment variable {VARIABLE} names a folder or owner/name on the Hub")
    return _loaded(source, torch.device(device))


@lru_cache(maxsize=2)
def _loaded(source: Path | str, device: torch.device) -> Ladder:
    return load_ladder(source, device=device)
