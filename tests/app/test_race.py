"""The Race page: link, controls, presets and notices are one state."""

from __future__ import annotations

import json

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments.race import RaceParams, run
from mlem.ui.stage import MAGIC


def header(app: AppTest) -> dict[str, object]:
    """What the stage was sent, without its arrays."""
    payload = app.get("bidi_component")[0].proto.bytes
    magic, length = np.frombuffer(payload, "<i4", 2)
    assert magic == MAGIC
    return json.loads(payload[8 : 8 + int(length)])


def link(app: AppTest) -> dict[str, str]:
    return dict(app.query_params)


def test_opens_on_the_default_race(app: AppTest) -> None:
    app.run()
    assert not app.exception
    assert header(app)["summary"] == run(RaceParams()).summary()
    assert link(app) == RaceParams().to_query()


def test_a_link_is_the_state(app: AppTest) -> None:
    params = RaceParams(gamma=1.0, firing="systematic", seed=3, epsilon=0.05, paths=64)
    for key, text in params.to_query().items():
        app.query_params[key] = text
    app.run()
    assert not app.exception
    assert header(app)["summary"] == run(params).summary()
    assert app.select_slider(key="race.gamma").value == 1.0
    assert app.selectbox(key="race.firing").value == "systematic"
    assert link(app) == params.to_query()


def test_a_moved_control_is_the_state(app: AppTest) -> None:
    app.run()
    app.select_slider(key="race.gamma").set_value(3.0).run()
    app.number_input(key="race.seed").set_value(5).run()
    assert header(app)["summary"] == run(RaceParams(gamma=3.0, seed=5)).summary()
    assert link(app) == RaceParams(gamma=3.0, seed=5).to_query()


def test_a_preset_shows_where_the_method_loses(app: AppTest) -> None:
    app.run()
    app.button(key="race.preset.ML-EM loses").click().run()
    assert not app.exception
    assert "dearer" in str(header(app)["summary"])
    assert app.select_slider(key="race.epsilon").value == 0.1


@pytest.mark.parametrize(
    ("query", "notice", "field", "value"),
    [
        ({"gamma": "99"}, "Gamma takes a number", "gamma", 8.0),
        ({"gamma": "-3"}, "Gamma takes a number", "gamma", 0.25),
        ({"sde": "nonsense"}, "Sde takes one of", "sde", "forced-ou"),
        ({"paths": "1e99"}, "Paths takes an integer from 16 to 4096", "paths", 4096),
        ({"levels": "2.6", "epsilon": "0.3"}, "Levels takes an integer", "levels", 3),
        ({"sde": "lorenz", "dim": "4"}, "Dim is not an option of lorenz", "dim", None),
        ({"draws": "shared", "paths": "100"}, "Paths takes a multiple of 16", "paths", 96),
    ],
)
def test_what_is_off_in_a_link_is_mended_and_said(
    app: AppTest, query: dict[str, str], notice: str, field: str, value: object
) -> None:
    for key, text in query.items():
        app.query_params[key] = text
    app.run()
    assert not app.exception
    assert any(message.value.startswith(notice) for message in app.info)
    assert app.session_state["race.params"].__getattribute__(field) == value


def test_an_unreachable_target_becomes_the_nearest(app: AppTest) -> None:
    app.query_params["levels"] = "3"
    app.query_params["epsilon"] = "0.001"
    app.run()
    assert not app.exception
    assert app.session_state["race.params"].epsilon > 0.1
    assert link(app)["epsilon"] == f"{app.session_state['race.params'].epsilon:g}"
    assert any("add levels or ask for less" in message.value for message in app.info)


def test_a_run_that_blows_up_is_explained(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    from mlem.errors import NonFiniteStep
    from mlem.ui import page

    def blow_up(*_: object) -> None:
        raise NonFiniteStep(step=7, time=0.5, level=2, path=3, weight=9.0)

    monkeypatch.setattr(page, "_computed", blow_up)
    app.run()
    assert not app.exception
    assert "step 7" in app.error[0].value
    assert "larger probabilities" in app.error[0].value


@pytest.mark.parametrize("sde", ["ornstein-uhlenbeck", "double-well", "mixture-flow", "gaussian-flow"])
def test_every_kind_of_problem_has_its_picture(app: AppTest, sde: str) -> None:
    app.query_params["sde"] = sde
    app.query_params["epsilon"] = "0.1"
    app.query_params["paths"] = "32"
    app.run()
    assert not app.exception
    assert header(app)["count"] == 32
