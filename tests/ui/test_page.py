"""What every page has: presets, notices, one computation for all, and ways out that really give the same result again."""

from __future__ import annotations

import contextlib
import io
import json
import shlex
from typing import Any

import pytest
from streamlit.testing.v1 import AppTest

from mlem.__main__ import main
from mlem.experiments import experiment
from mlem.experiments.coin import CoinParams
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.race import RaceParams
from mlem.experiments.result import Result, to_csv, to_json
from mlem.ui import page as pages

TAKEN = {
    "coin": CoinParams(sde="ornstein-uhlenbeck", draws=3, rule="too-flat", budget=0.3, seed=7),
    "hierarchy": HierarchyParams(sde="ornstein-uhlenbeck", paths=16, levels=2, gamma=1 / 3),
    "race": RaceParams(sde="ornstein-uhlenbeck", epsilon=0.1, paths=32, dim=2),
}


def taking_along(name: str) -> None:
    """A page of nothing but the ways out."""
    import streamlit  # noqa: F401  # AppTest wants one that draws

    from mlem.experiments import experiment
    from mlem.ui import page
    from tests.ui.test_page import TAKEN

    chosen = experiment.get(name)
    page.take_along(chosen, TAKEN[name], page.compute(chosen, TAKEN[name]))


@pytest.fixture(scope="module", params=TAKEN)
def taken(request: pytest.FixtureRequest) -> tuple[str, Any, AppTest]:
    """Name, result, and the page."""
    name: str = request.param
    app = AppTest.from_function(taking_along, args=(name,), default_timeout=60)
    assert not app.run().code, "nothing is made before somebody unfolds it"
    app.session_state[f"{name}.take_along"] = True
    app.run()
    assert not app.exception
    return name, experiment.get(name).run(TAKEN[name], None), app


def test_the_link_names_every_parameter(taken: tuple[str, Any, AppTest]) -> None:
    name, _, app = taken
    query = app.code[0].value.split("?")[1]
    found, notices = type(TAKEN[name]).nearest(dict(part.split("=") for part in query.split("&")))
    assert (found, notices) == (TAKEN[name], [])


def test_the_command_gives_the_same_result(taken: tuple[str, Any, AppTest], capsys: pytest.CaptureFixture[str]) -> None:
    _, result, app = taken
    words = shlex.split(app.code[1].value)
    assert words[:3] == ["python", "-m", "mlem"]
    assert main(words[3:]) == 0
    assert result.summary() in capsys.readouterr().out


def test_the_snippet_gives_the_same_result(taken: tuple[str, Any, AppTest]) -> None:
    _, result, app = taken
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(app.code[2].value, names)
    assert said.getvalue().strip() == result.summary()
    assert to_csv(names["result"].rows()) == to_csv(result.rows())


def test_the_files_hold_the_result(taken: tuple[str, Any, AppTest], monkeypatch: pytest.MonkeyPatch) -> None:
    name, result, _ = taken
    files: dict[str, str] = {}
    monkeypatch.setattr(pages.st, "download_button", lambda _, data, file, kind: files.update({file: data}))
    chosen = experiment.get(name)
    monkeypatch.setattr(pages, "fold", lambda title, icon, key, draw: draw())
    pages.take_along(chosen, TAKEN[name], result)
    assert files == {f"mlem-{name}.json": to_json(name, TAKEN[name], result), f"mlem-{name}.csv": to_csv(result.rows())}
    assert json.loads(files[f"mlem-{name}.json"])["params"]["sde"] == TAKEN[name].sde


def test_defaults_are_left_out_of_snippet_and_command() -> None:
    chosen = experiment.get("coin")
    assert "run(CoinParams())" in pages._snippet(chosen, CoinParams())
    assert "run(CoinParams(gamma=3.0, rule='too-flat'))" in pages._snippet(chosen, CoinParams(gamma=3.0, rule="too-flat"))


def offering() -> None:
    """A page of presets."""
    import streamlit

    from mlem.experiments.coin import CoinParams
    from mlem.ui import page
    from mlem.ui.state import read_params

    params, notices = read_params(CoinParams, "coin")
    page.head("What now?", "This.")
    page.presets({"Usual": CoinParams(), "Other": CoinParams(seed=5, gamma=1.0)}, params, "coin")
    page.notices(notices)
    streamlit.text(str(params.seed))


def test_a_preset_becomes_state_and_link_and_stands_out() -> None:
    app = AppTest.from_function(offering).run()
    assert app.title[0].value == "What now?"
    kinds = [button.proto.type for button in app.button]
    assert kinds == ["primary", "secondary"]
    app.button(key="coin.preset.Other").click().run()
    assert [button.proto.type for button in app.button] == ["secondary", "primary"]
    assert app.text[0].value == "5"
    assert {key: app.query_params[key] for key in ("seed", "gamma")} in (
        {"seed": "5", "gamma": "1"},
        {"seed": ["5"], "gamma": ["1"]},
    )


def test_a_notice_is_a_sentence() -> None:
    app = AppTest.from_function(offering)
    app.query_params["gamma"] = "99"
    app.run()
    assert app.info[0].value == "Gamma takes a number ≥ 0.25 and ≤ 8, got 99. It is now 8."


def test_sessions_that_ask_the_same_share_one_computation() -> None:
    calls: list[CoinParams] = []

    def run(params: CoinParams, report: object) -> Result:
        calls.append(params)
        return Result()

    counted = experiment.Experiment("counted", "?", CoinParams, run)
    for seed in (0, 0, 1, 0):
        pages.compute(counted, CoinParams(seed=seed))
    assert [params.seed for params in calls] == [0, 1]


def blowing_up() -> None:
    """A page whose run leaves the finite numbers."""
    import streamlit

    from mlem.errors import NonFiniteStep
    from mlem.experiments.coin import CoinParams
    from mlem.experiments.experiment import Experiment
    from mlem.ui import page

    def run(params: object, report: object) -> None:
        raise NonFiniteStep(step=7, time=0.5, level=2, path=3, weight=9.0)

    page.compute(Experiment("blown", "?", CoinParams, run), CoinParams())
    streamlit.text("not reached")


def test_a_run_that_blows_up_stops_the_page_and_says_why() -> None:
    app = AppTest.from_function(blowing_up).run()
    assert not app.exception
    assert not app.text
    assert "step 7" in app.error[0].value
