"""What is computed ahead is what a class asks for, and it stands aside for whoever waits."""

from __future__ import annotations

import threading

import pytest
from streamlit.runtime import Runtime

from mlem.experiments.fields import GAMMAS
from mlem.experiments.race import RaceParams
from mlem.jobs import Pool
from mlem.planning import Unreachable
from mlem.ui import warm
from mlem.ui.presets import PRESETS


def test_every_preset_comes_first_and_then_at_every_gamma() -> None:
    found = list(warm.races())
    presets = list(PRESETS["race"].values())
    assert found[: len(presets)] == presets
    assert {(params.sde, params.gamma) for params in found} >= {("mixture-diffusion", gamma) for gamma in GAMMAS}
    assert len(set(found)) <= 64  # of the 128 results that a server keeps


def test_without_a_server_nothing_is_computed() -> None:
    assert warm.begin(Pool(workers=0), pytest.fail) is None


def test_it_stands_aside_for_whoever_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    """And goes on after a race that cannot be planned."""
    monkeypatch.setattr(Runtime, "_instance", object.__new__(Runtime))
    monkeypatch.setattr(warm, "_PATIENCE", 60.0)
    pool, asked, finished = Pool(workers=0), list[RaceParams](), threading.Event()

    def compute(params: RaceParams) -> None:
        asked.append(params)
        if len(asked) == len(list(warm.races())):
            finished.set()
        if len(asked) == 1:
            raise Unreachable(0.05, 0.08)

    with pool.hold():
        thread = warm.begin(pool, compute)
        assert thread is not None
        assert asked == []
    assert finished.wait(30.0)
    thread.join(30.0)
    assert asked == list(warm.races())
