"""What a class will ask of the Race page first, computed before it asks: its presets at every stop of γ.

Each of these races takes a moment alone, and seconds when thirty students ask for thirty of them at once. They are computed in
the first idle seconds of a server, one after the other, and stand aside for whatever somebody waits for.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from dataclasses import replace

from streamlit.runtime import Runtime

from mlem.experiments.fields import GAMMAS
from mlem.experiments.race import RaceParams
from mlem.jobs import Pool
from mlem.planning import Unreachable
from mlem.ui.presets import PRESETS

_PATIENCE = 5.0  # s of standing aside between two races, at most


def races() -> Iterator[RaceParams]:
    """The presets, and then each at every stop of γ."""
    presets = [params for params in PRESETS["race"].values() if isinstance(params, RaceParams)]
    yield from presets
    yield from (moved for params in presets for gamma in GAMMAS if (moved := replace(params, gamma=gamma)) not in presets)


def begin(pool: Pool, compute: Callable[[RaceParams], object]) -> threading.Thread | None:
    """Computes them on a thread of its own; not in a test of a page, which has no server."""
    if type(Runtime.instance() if Runtime.exists() else None) is not Runtime:
        return None
    thread = threading.Thread(target=_work, args=(pool, compute), name="mlem-warm", daemon=True)
    thread.start()
    return thread


def _work(pool: Pool, compute: Callable[[RaceParams], object]) -> None:
    for params in races():
        pool.stand_aside(_PATIENCE)
        try:
            compute(params)
        except Unreachable:  # the page tells whoever asks
            continue
