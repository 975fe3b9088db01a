"""Error vs compute, Free steps and Crossover: stored results at once, others as jobs; link and controls are one state."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.steps import StepsParams
from mlem.ui import live
from mlem.ui.workprecision import MAGIC
from tests.app.pages import alternatives, as_read
from tests.ui.payloads import unpack

PAGES = {"convergence": ConvergenceParams(), "crossover": CrossoverParams(), "steps": StepsParams()}
LESSONS = {"convergence": "one more digit costs", "crossover": "exponent", "steps": "bill"}


def text(app: AppTest) -> str:
    """All that the page says."""
    return as_read(" ".join(block.value for block in (*app.markdown, *app.caption)))


@pytest.fixture
def visit(app: AppTest):  # type: ignore[no-untyped-def]  # a function of a page's name
    def to(name: str, **query: str) -> AppTest:
        app.run()
        app.switch_page(f"pages/{name}.py")
        for key, value in query.items():
            app.query_params[key.replace("_", "-")] = value
        return app.run()

    return to


@pytest.mark.parametrize("name", PAGES)
def test_opens_on_the_stored_result(visit, name: str) -> None:  # type: ignore[no-untyped-def]
    app = visit(name)
    assert not app.exception
    assert len(app.get("bidi_component")) >= 1, "a chart, and no empty stage"
    assert not app.get("progress"), "nothing is computed"
    assert dict(app.query_params) == PAGES[name].to_query()
    assert LESSONS[name] in text(app)


@pytest.mark.parametrize(
    ("name", "preset", "field", "value"),
    [
        ("convergence", "Easy γ = 1", "gamma", 1.0),
        ("convergence", "Even firing", "firing", "systematic"),
        ("convergence", "Paths that separate", "error", "distribution"),
        ("crossover", "Deep γ = 4", "gamma", 4.0),
        ("crossover", "Even firing", "firing", "systematic"),
    ],
)
def test_presets_of_stored_sweeps_need_no_run(visit, name: str, preset: str, field: str, value: object) -> None:  # type: ignore[no-untyped-def]
    app = visit(name)
    app.button(key=f"{name}.preset.{preset}").click().run()
    assert not app.exception
    assert getattr(app.session_state[f"{name}.params"], field) == value
    assert not app.get("progress")


def test_gamma_moves_the_words_without_a_run(visit) -> None:  # type: ignore[no-untyped-def]
    app = visit("crossover")
    app.select_slider(key="crossover.gamma").set_value(4.0).run()
    assert "At γ = 4 EM’s exponent is 5.0" in text(app)
    assert not app.get("progress")


def test_break_even_is_told_and_marked_where_there_is_one(visit) -> None:  # type: ignore[no-untyped-def]
    assert "ML-EM is the cheaper one from" not in text(visit("crossover"))
    app = visit("crossover", sde="double-well", levels="7", paths="4096", epsilon="0.05")
    assert "At ε = 0.0500 ML-EM is the cheaper one from γ = 0.99" in text(app)
    assert "ML-EM is the cheaper one from γ = 0.99" in alternatives(app)["crossover.map"]


def test_another_error_is_another_look_at_the_same_runs(visit) -> None:  # type: ignore[no-untyped-def]
    app = visit("convergence")
    assert "the error is that of the law" not in text(app)
    assert unpack(MAGIC, app.get("bidi_component")[0].proto.bytes)[0]["predicted_for"][0] == 0.25
    app.selectbox(key="convergence.error").set_value("distribution").run()
    assert not unpack(MAGIC, app.get("bidi_component")[0].proto.bytes)[0]["predicted_for"], "theory is of strong errors"
    assert not app.exception
    assert "the error is that of the law" in text(app)
    assert not app.get("progress")


def test_another_sweep_is_computed_as_a_job(visit, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    pool = live.Pool(workers=0)
    monkeypatch.setattr(live, "pool", lambda: pool)
    app = visit("convergence", sde="ornstein-uhlenbeck", levels="4", paths="32")
    assert not app.exception
    assert app.button(key="convergence.switch").label == "Stop"
    assert [fold.label for fold in app.expander] == ["Words and symbols on this page"]
    while pool.step():
        pass
    app.run()
    assert not app.exception
    assert "one more digit costs" in text(app)
    assert "The numbers, target by target" in [fold.label for fold in app.expander], "once all runs are there"


def test_levels_that_do_real_work_have_flops_and_a_gamma_of_their_own(visit, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    pool = live.Pool(workers=0, patience=600.0)
    monkeypatch.setattr(live, "pool", lambda: pool)
    query = {"kind": "spectral", "gamma": "1", "levels": "4", "paths": "32", "unit": "flops"}
    app = visit("convergence", **query)
    while pool.step():
        pass
    app.run()
    assert not app.exception
    header, _ = unpack(MAGIC, app.get("bidi_component")[0].proto.bytes)
    assert header["own_gamma"]
    assert header["units"] == ["cost", "evaluations", "flops", "seconds"]
    assert header["chosen"]["unit"] == "flops"
    assert app.select_slider(key="convergence.gamma").value == 1.0


@pytest.mark.parametrize(
    ("name", "query", "notice"),
    [
        ("convergence", {"gamma": "99"}, "Gamma takes a number"),
        ("convergence", {"unit": "seconds"}, "Synthetic levels have no price in seconds"),
        ("convergence", {"unit": "flops"}, "Synthetic levels have no price in flops"),
        ("crossover", {"epsilon": "7"}, "Epsilon takes a number"),
        ("steps", {"doublings": "-1", "epsilon": "0.05"}, "Doublings takes an integer"),
    ],
)
def test_links_are_mended(visit, monkeypatch: pytest.MonkeyPatch, name: str, query: dict[str, str], notice: str) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(live, "pool", lambda: live.Pool(workers=0))
    app = visit(name, **query)
    assert not app.exception
    assert any(message.value.startswith(notice) for message in app.info)
