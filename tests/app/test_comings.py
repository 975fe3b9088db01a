"""Sessions that go and come back while a sweep is at work."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from mlem.jobs import PATIENCE, Pool
from mlem.ui import live
from tests.app.conftest import ROOT, Visit, open_page
from tests.app.pages import link
from tests.conftest import Clock

SWEEP = {"sde": "ornstein-uhlenbeck", "levels": "4", "paths": "32", "seed": "77"}


def figures(app: AppTest) -> list[bytes]:
    return [figure.proto.bytes for figure in app.get("bidi_component")]


def finish(pool: Pool) -> None:
    while pool.step():
        pass


def test_whoever_lost_the_connection_comes_back_by_the_link_to_the_same_numbers(
    pool: Pool, clock: Clock, visit: Visit, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = visit("convergence", SWEEP)
    while not first.get("bidi_component"):
        assert pool.step()
        first.run()
    address = link(first)
    clock.now += PATIENCE + 1
    finish(pool)  # nobody looks any more: the job is dropped before its end
    back = open_page(AppTest.from_file(str(ROOT / "app.py"), default_timeout=150), monkeypatch, "convergence", address)
    assert back.get("progress"), "there is something left to do"
    finish(pool)
    assert figures(back.run())
    assert link(back) == address

    alone = Pool(0, clock=clock)
    monkeypatch.setattr(live, "pool", lambda: alone)
    never_left = open_page(AppTest.from_file(str(ROOT / "app.py"), default_timeout=150), monkeypatch, "convergence", address)
    finish(alone)
    assert figures(never_left.run()) == figures(back)


def test_a_job_ends_within_five_seconds_of_the_last_who_left(pool: Pool, clock: Clock, visit: Visit) -> None:
    app = visit("convergence", SWEEP)
    assert pool.step()
    app.switch_page("pages/coin.py").run()
    clock.now += 5.0
    assert pool.step(), "its turn comes, and it is dropped in it"
    assert not pool.step()
