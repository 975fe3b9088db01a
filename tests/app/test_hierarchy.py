"""The Hierarchy page: link, controls, presets and notices are one state."""

from __future__ import annotations

import pytest

from mlem.experiments.diagnostics import run as run_diagnostics
from mlem.experiments.fields import KINDS
from mlem.experiments.hierarchy import HierarchyParams, run
from mlem.problems import names
from mlem.ui.hierarchy_words import diagnosis, diagnostics_alt
from mlem.words import digits
from tests.app.conftest import Visit
from tests.app.pages import alternatives, link, prose

SMALL = {"paths": "16", "levels": "2"}


def test_opens_on_the_default(visit: Visit) -> None:
    app, result = visit("hierarchy", {}), run(HierarchyParams())
    assert not app.exception
    assert app.title[0].value == "What does accuracy cost?"
    assert alternatives(app)["hierarchy.cost"] == result.summary()
    assert link(app) == HierarchyParams().to_query()
    assert result.gamma is not None
    assert f"γ is the slope: {digits(result.gamma.value)}" in prose(app)


def test_a_link_is_the_state(visit: Visit) -> None:
    params = HierarchyParams(sde="ornstein-uhlenbeck", gamma=4.0, levels=3, residual="independent", paths=64, seed=5)
    app = visit("hierarchy", params.to_query())
    assert alternatives(app)["hierarchy.cost"] == run(params).summary()
    assert app.select_slider(key="hierarchy.gamma").value == 4.0
    assert app.selectbox(key="hierarchy.residual").value == "independent"
    assert link(app) == params.to_query()


def test_a_moved_control_is_the_state(visit: Visit) -> None:
    app = visit("hierarchy", SMALL)
    app.select_slider(key="hierarchy.gamma").set_value(1.0).run()
    app.slider(key="hierarchy.levels").set_value(3).run()
    params = HierarchyParams(gamma=1.0, levels=3, paths=16)
    assert alternatives(app)["hierarchy.cost"] == run(params).summary()
    assert link(app) == params.to_query()


def test_a_preset_is_the_state(visit: Visit) -> None:
    app = visit("hierarchy", SMALL)
    app.button(key="hierarchy.preset.Deep γ = 4").click().run()
    assert link(app) == HierarchyParams(gamma=4.0).to_query()
    assert "harder than Monte Carlo" in prose(app)


@pytest.mark.parametrize("kind", list(KINDS))
@pytest.mark.parametrize("levels", ["1", "3"])
def test_every_kind_has_its_picture(visit: Visit, kind: str, levels: str) -> None:
    app = visit("hierarchy", {**SMALL, "kind": kind, "levels": levels, "gamma": "1"})
    assert not app.exception
    assert set(alternatives(app)) == {"hierarchy.curves", "hierarchy.cost"}


@pytest.mark.parametrize("sde", names())
def test_every_problem_has_its_picture(visit: Visit, sde: str) -> None:
    app = visit("hierarchy", {**SMALL, "sde": sde, "levels": "1"})
    assert not app.exception
    assert set(alternatives(app)) == {"hierarchy.curves", "hierarchy.cost"}


def test_spectral_levels_offer_nothing_that_they_ignore(visit: Visit) -> None:
    app = visit("hierarchy", {**SMALL, "kind": "spectral", "gamma": "1", "sde": "lorenz"})
    shown = {box.key for box in app.selectbox}
    assert "hierarchy.kind" in shown
    assert not shown & {"hierarchy.sde", "hierarchy.residual"}
    app.selectbox(key="hierarchy.kind").set_value("synthetic").run()
    assert app.selectbox(key="hierarchy.sde").value == "lorenz", "it is remembered all the same"


def test_a_control_that_is_back_is_sent_its_value(visit: Visit) -> None:
    """The browser has forgotten it, and would show the first of its options, and send that with the next move."""
    app = visit("hierarchy", {**SMALL, "sde": "lorenz"})
    app.selectbox(key="hierarchy.kind").set_value("spectral").run()
    app.select_slider(key="hierarchy.gamma").set_value(1.0).run()
    app.selectbox(key="hierarchy.kind").set_value("synthetic").run()
    back = app.selectbox(key="hierarchy.sde").proto
    assert back.set_value
    assert back.raw_value == "Lorenz with noise"
    app.select_slider(key="hierarchy.gamma").set_value(2.0).run()
    assert not app.selectbox(key="hierarchy.sde").proto.set_value, "nobody's move is overruled"


@pytest.mark.parametrize(
    ("query", "notice", "field", "value"),
    [
        ({"gamma": "99", **SMALL}, "Gamma takes a number", "gamma", 8.0),
        ({"kind": "<b>", **SMALL}, "Kind takes one of synthetic, spectral", "kind", "synthetic"),
        (
            {"kind": "spectral", "gamma": "4", "levels": "10", "paths": "16"},
            "Levels takes an integer from 1 to",
            "levels",
            None,
        ),
        ({"seed": "1e9", **SMALL}, "Seed takes an integer", "seed", 999_999),
    ],
)
def test_what_is_off_in_a_link_is_mended_and_said(
    visit: Visit, query: dict[str, str], notice: str, field: str, value: object
) -> None:
    app = visit("hierarchy", query)
    assert not app.exception
    assert any(message.value.startswith(notice) for message in app.info)
    mended = getattr(app.session_state["hierarchy.params"], field)
    assert mended == value if value is not None else mended < 10
    assert link(app) == app.session_state["hierarchy.params"].to_query()


def test_a_control_that_makes_the_others_impossible_mends_them(visit: Visit) -> None:
    app = visit("hierarchy", {"kind": "spectral", "gamma": "1", "levels": "6", "paths": "16"})
    app.select_slider(key="hierarchy.gamma").set_value(5.0).run()
    assert not app.exception
    assert any(message.value.startswith("Levels takes an integer") for message in app.info)
    assert app.slider(key="hierarchy.levels").value == app.session_state["hierarchy.params"].levels == 4


def test_diagnostics_are_made_when_they_are_looked_at(visit: Visit) -> None:
    app = visit("hierarchy", {"sde": "lorenz"})
    assert not app.warning
    app.session_state["hierarchy.diagnosis"] = True
    app.run()
    assert not app.exception
    found = run_diagnostics(HierarchyParams(sde="lorenz"))
    assert [warning.value for warning in app.warning] == list(found.cautions)
    assert alternatives(app)["diagnostics.levels"] == diagnostics_alt(found)
    assert diagnosis(found) in prose(app)
    app.select_slider(key="hierarchy.gamma").set_value(1.0).run()
    assert diagnosis(run_diagnostics(HierarchyParams(sde="lorenz", gamma=1.0))) in prose(app)


@pytest.mark.parametrize("levels", ["1", "2", "10"])
def test_any_number_of_levels_has_diagnostics(visit: Visit, levels: str) -> None:
    app = visit("hierarchy", {"levels": levels, "paths": "16", "sde": "ornstein-uhlenbeck"})
    app.session_state["hierarchy.diagnosis"] = True
    app.run()
    assert not app.exception
    assert "diagnostics.levels" in alternatives(app)
