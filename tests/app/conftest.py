"""The app without a browser."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache, partial
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params
from mlem.experiments.race import RaceParams
from mlem.jobs import Pool
from mlem.ui import live, page
from tests.conftest import Clock

ROOT = Path(__file__).parents[2]

Visit = Callable[[str, Mapping[str, str]], AppTest]


@pytest.fixture(autouse=True)
def _no_worker(computed_here: None) -> None:
    """Of any test here."""


@pytest.fixture
def pool(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> Pool:
    """The server's pool, stepped by hand."""
    by_hand = Pool(0, clock=clock)
    monkeypatch.setattr(live, "pool", lambda: by_hand)
    return by_hand


@pytest.fixture
def quick(pool: Pool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Pages show all that they have, and compute next to nothing for it."""

    @cache
    def small(chosen: Experiment, params: Params) -> object:
        few = {"paths": 16, "draws": 10, "epsilon": 0.2, "levels": 4, "dim": None}
        values = {name: getattr(params, name) for name in params.specs()}
        values |= {name: least for name, least in few.items() if name in values}
        if isinstance(params, RaceParams):
            values = {"paths": 16}  # any other race takes seconds to plan
        return chosen.run(type(params)(**type(params).mend(values)[0]), None)

    monkeypatch.setattr(page, "_computed", small)


@pytest.fixture
def app(monkeypatch: pytest.MonkeyPatch) -> AppTest:
    """The app, not yet run, as it is started: from the repository's root."""
    monkeypatch.chdir(ROOT)
    return AppTest.from_file(str(ROOT / "app.py"), default_timeout=60)


@pytest.fixture
def visit(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> Visit:
    """Opens a page, by name, with the query of a link. The app is met on its landing page, whose race is not run."""

    return partial(open_page, app, monkeypatch)


def open_page(app: AppTest, monkeypatch: pytest.MonkeyPatch, name: str, query: Mapping[str, str]) -> AppTest:
    """As ``visit`` does."""
    with monkeypatch.context() as patch:
        patch.setattr("mlem.ui.page._computed", _refuse)
        app.run()
    app.switch_page(f"pages/{name}.py")
    app.query_params.clear()
    for key, text in query.items():
        app.query_params[key] = text
    return app.run()


def _refuse(*_: object) -> None:
    from mlem.errors import NonFiniteStep

    raise NonFiniteStep(step=1, time=0.0, level=None, path=0, weight=1.0)
