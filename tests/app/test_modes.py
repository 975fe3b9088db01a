"""Every page in class, on a projector, with controls hidden, and asking first."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import streamlit as st
from streamlit.testing.v1 import AppTest

from mlem.experiments.params import to_key
from mlem.ui.modes import ZOOM
from mlem.ui.presets import PRESETS
from tests.app.conftest import Visit
from tests.app.pages import KINDS, link, predict

ANSWERS = {
    "race": set[str](),  # its stage stays, without bills and verdict
    "hierarchy": {"hierarchy.cost"},
    "coin": {"coin.mean", "coin.shares"},
    "convergence": {"convergence.chart"},
    "crossover": {"crossover.exponents", "crossover.shares", "crossover.map"},
    "steps": {"steps.chart"},
    "faces": {"faces.error", "faces.savings", "faces.levels", "faces.held-out", "faces.calls"},
}
"""The charts of every page that answer its question."""

BESIDE_ANSWERS = {"faces": {"unit"}}
"""The controls that come with them."""

MORE = {
    "race": {"rule", "draws", "levels", "residual", "paths", "dim", "noise"},
    "hierarchy": {"residual", "paths", "seed"},
    "coin": {"sde", "residual", "seed"},
    "convergence": {"kind", "residual", "paths", "seed"},
    "crossover": {"levels", "residual", "paths", "seed"},
    "steps": {"doublings", "residual", "paths", "seed"},
    "faces": {"pictures", "precision"},
}
"""What is under More controls."""

every_page = pytest.mark.parametrize("name", KINDS)
pytestmark = pytest.mark.usefixtures("quick")


def headers(app: AppTest) -> dict[str, dict[str, Any]]:
    """What each picture was sent besides its arrays, by key."""
    found = {}
    for one in app.get("bidi_component"):
        payload = one.proto.bytes
        header = json.loads(payload[8 : 8 + int(np.frombuffer(payload, "<i4", 2)[1])])
        found[header["key"]] = header
    return found


def controls(app: AppTest, name: str) -> set[str]:
    """The parameters that have a control."""
    shown = [*app.selectbox, *app.select_slider, *app.slider, *app.number_input]
    return {field for field in KINDS[name].specs() if f"{name}.{field}" in [widget.key for widget in shown]}


def buttons(app: AppTest) -> set[str]:
    return {str(button.key) for button in app.button}


@pytest.fixture
def navigation(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Where every run of the app puts its navigation."""
    places, whole = list[str](), st.navigation

    def noted(pages: Any, *, position: Any) -> Any:
        places.append(position)
        return whole(pages, position=position)

    monkeypatch.setattr(st, "navigation", noted)
    return places


@every_page
def test_class_asks_first_and_leaves_out_what_leads_away(name: str, visit: Visit, navigation: list[str]) -> None:
    plain = controls(visit(name, {}), name)
    app = visit(name, {"class": "1"})
    assert not app.exception
    assert navigation[-1] == "hidden"
    assert controls(app, name) == plain - MORE[name] - BESIDE_ANSWERS.get(name, set())
    assert not ANSWERS[name] & set(headers(app))
    predict(app, name, name)
    assert ANSWERS[name] <= set(headers(app))
    assert not {f"{name}.preset.{title}" for title in PRESETS[name]} & buttons(app)
    assert not [fold for fold in app.expander if "Take it with you" in fold.label]
    app.button(key="modes.leave.class").click().run()
    assert navigation[-1] == "sidebar"
    assert controls(app, name) == plain
    assert {f"{name}.preset.{title}" for title in PRESETS[name]} <= buttons(app)
    assert "class" not in link(app)


@every_page
def test_hidden_controls_keep_their_values(name: str, visit: Visit) -> None:
    plain, other = controls(visit(name, {}), name), list(PRESETS[name].values())[-1]
    shown = "seed"
    hide = [to_key(field) for field in KINDS[name].specs() if field != shown]
    app = visit(name, other.to_query() | {"hide": ",".join(hide)})
    assert controls(app, name) == {shown}
    app.number_input(key=f"{name}.{shown}").set_value(7).run()
    assert not app.exception
    wanted = other.to_query() | {"seed": "7"}
    assert link(app) == wanted | {"hide": ",".join(hide)}
    app.button(key="modes.leave.hide").click().run()
    assert controls(app, name) == plain
    assert link(app) == wanted


def test_a_chart_hides_its_own_controls(visit: Visit) -> None:
    assert headers(visit("convergence", {"hide": "gamma,unit,epsilon,seed"}))["convergence.chart"]["hidden"] == [
        "gamma",
        "unit",
        "epsilon",
    ]


@every_page
def test_predict_keeps_the_answer_back_and_all_else_in_place(name: str, visit: Visit) -> None:
    plain = visit(name, {})
    shown, charts = controls(plain, name), set(headers(plain))
    app = visit(name, {"predict": "1"})
    assert not app.exception
    assert {f"{name}.preset.{title}" for title in PRESETS[name]} <= buttons(app)
    assert controls(app, name) == shown - BESIDE_ANSWERS.get(name, set())
    assert not ANSWERS[name] & set(headers(app))
    if name == "race":
        assert not headers(app)["race.stage"]["verdict"]
    predict(app, name, name)
    assert set(headers(app)) == charts | {key for key in headers(app) if key.startswith("lesson.")}
    assert link(app)["said"].startswith(f"{name}~")
    app.button(key="lesson.again").click().run()
    assert not ANSWERS[name] & set(headers(app))


@every_page
def test_a_projector_enlarges_every_picture(name: str, visit: Visit) -> None:
    app = visit(name, {"projector": "1"})
    assert not app.exception
    assert headers(app)
    for key, header in headers(app).items():
        assert header["zoom"] == ZOOM if "zoom" in header else header["projector"], key
    assert any("font-size: 24px" in html.value for html in app.get("html"))
    app.button(key="modes.leave.projector").click().run()
    assert not any(header.get("zoom", 1) != 1 or header.get("projector") for header in headers(app).values())
