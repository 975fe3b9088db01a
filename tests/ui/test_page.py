"""What every page has: presets, notices, and one computation for all."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments import experiment
from mlem.experiments.coin import CoinParams
from mlem.experiments.result import Result
from mlem.ui import page as pages


def offering() -> None:
    """A page of presets."""
    import streamlit

    from mlem.experiments.coin import CoinParams
    from mlem.ui import page
    from mlem.ui.state import read_params

    params, notices = read_params(CoinParams, "coin")
    page.head("What now?", "This.")
    offered = {"Usual": CoinParams(), "Other": CoinParams(seed=5, gamma=1.0)}
    page.presets(offered, params, "coin", last=lambda: streamlit.text("last"))
    page.notices(notices, params, "coin")
    streamlit.text(str(params.seed))


def test_a_preset_becomes_state_and_link_and_stands_out() -> None:
    app = AppTest.from_function(offering).run()
    assert app.title[0].value == "What now?"
    kinds = [button.proto.type for button in app.button]
    assert kinds == ["primary", "secondary"]
    assert app.text[0].value == "last", "after the buttons, in their row"
    app.button(key="coin.preset.Other").click().run()
    assert [button.proto.type for button in app.button] == ["secondary", "primary"]
    assert app.text[1].value == "5"
    assert {key: app.query_params[key] for key in ("seed", "gamma")} in (
        {"seed": "5", "gamma": "1"},
        {"seed": ["5"], "gamma": ["1"]},
    )


def placed() -> None:
    """A page with a main control and another one."""
    import streamlit

    from mlem.experiments.coin import CoinParams
    from mlem.ui import page
    from mlem.ui.state import control, read_params

    params, _ = read_params(CoinParams, "coin")
    picture, controls = page.sides("coin")
    with controls:
        page.main_controls(params, ("rule",), "coin")
        control(params, "gamma", "coin")
    with picture:
        streamlit.text("picture")


def test_the_picture_comes_before_its_controls_and_the_main_ones_before_all_others() -> None:
    app = AppTest.from_function(placed).run()
    assert [column.text[0].value for column in app.columns if column.text] == ["picture"]
    assert (len(app.columns[1].selectbox), len(app.columns[1].select_slider)) == (1, 1)
    app.query_params["hide"] = "rule"
    app.run()
    assert (len(app.columns[1].selectbox), len(app.columns[1].select_slider)) == (0, 1)


def test_a_notice_is_a_sentence() -> None:
    app = AppTest.from_function(offering)
    app.query_params["gamma"] = "99"
    app.run()
    assert app.info[0].value == "Gamma takes a number ≥ 0.25 and ≤ 8, got 99. It is now 8."


def test_a_notice_stays_until_the_state_is_another() -> None:
    """A page runs again when a job has something new: what a link has asked for in vain is still to be read then."""
    app = AppTest.from_function(offering)
    app.query_params["gamma"] = "99"
    app.run()
    assert len(app.run().info) == 1
    app.button(key="coin.preset.Other").click().run()
    assert not app.info


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


def wording() -> None:
    """A page of nothing but its words."""
    import streamlit  # noqa: F401  # AppTest wants one that draws

    from mlem.experiments.coin import CoinParams
    from mlem.ui import page

    page.words("coin", CoinParams(gamma=4.0))


def test_words_have_the_numbers_of_the_page() -> None:
    app = AppTest.from_function(wording).run()
    assert not app.markdown, "they are folded"
    app.session_state["coin.words"] = True
    app.run()
    assert "c_{k+1}/c_k = 16.0" in app.markdown[0].value


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ([2.5, 2100513.2255], "localized"),
        ([0.0, -12.0], "localized"),
        ([0.00012345, 1e6], "%.4g"),
        ([0.25, float("nan")], "%.4g"),
        ([1, 364], None),
        ([69304, 13915340], "localized"),
        (["EM", "ML-EM"], None),
        ([None, 0.0], None),
    ],
)
def test_numbers_of_a_column_are_written_alike(column: list[object], expected: str | None) -> None:
    assert pages._number_format(column) == expected


@pytest.mark.parametrize(
    ("value", "shown"),
    [(181.0193, 181.0), (5792.619, 5793.0), (3472955504.242, 3472955504.0), (1.0, 1.0), (0.0, 0.0), ("EM", "EM")],
)
def test_a_number_has_four_digits_or_all_its_whole_ones(value: object, shown: object) -> None:
    assert pages._rounded(value) == shown
