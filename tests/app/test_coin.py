"""The Coin page: link, controls, presets, throws and notices are one state."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from mlem.experiments.coin import FIRINGS, RULES, CoinParams, run
from mlem.ui import coin_words
from tests.app.conftest import Visit
from tests.app.pages import alternatives, link, prose

PARAMS = CoinParams(sde="ornstein-uhlenbeck", draws=100)


def test_opens_on_the_default(visit: Visit) -> None:
    app, result = visit("coin", {}), run(CoinParams())
    assert not app.exception
    assert app.title[0].value == "How can rare, dear calls suffice?"
    assert alternatives(app) == {
        "coin.telescope": coin_words.telescope_alt(result),
        "coin.mean": coin_words.mean_alt(result),
        "coin.shares": coin_words.shares_alt(result),
    }
    assert link(app) == CoinParams().to_query()


def test_a_link_is_the_state(visit: Visit) -> None:
    params = CoinParams(
        sde="ornstein-uhlenbeck", gamma=1.0, levels=3, rule="power-law", budget=0.25, firing="nested", draws=17, seed=4
    )
    app = visit("coin", params.to_query())
    assert alternatives(app)["coin.mean"] == coin_words.mean_alt(run(params))
    assert app.selectbox(key="coin.rule").value == "power-law"
    assert app.select_slider(key="coin.draws").value == 17
    assert link(app) == params.to_query()


def test_a_moved_control_is_the_state(visit: Visit) -> None:
    app = visit("coin", PARAMS.to_query())
    app.select_slider(key="coin.budget").set_value(0.5).run()
    app.selectbox(key="coin.rule").set_value("too-steep").run()
    params = dataclasses.replace(PARAMS, budget=0.5, rule="too-steep")
    assert alternatives(app)["coin.shares"] == coin_words.shares_alt(run(params))
    assert link(app) == params.to_query()


@pytest.mark.parametrize("rule", list(RULES))
@pytest.mark.parametrize("firing", list(FIRINGS))
def test_every_rule_and_firing_has_its_picture(visit: Visit, rule: str, firing: str) -> None:
    app = visit("coin", {**PARAMS.to_query(), "rule": rule, "firing": firing})
    assert not app.exception
    assert not app.info
    assert len(alternatives(app)) == 3


@pytest.mark.parametrize(("levels", "budget", "draws"), [("1", "0.1", "1"), ("10", "0.001", "1"), ("3", "1", "2")])
def test_extremes_have_their_picture(visit: Visit, levels: str, budget: str, draws: str) -> None:
    app = visit("coin", {**PARAMS.to_query(), "levels": levels, "budget": budget, "draws": draws})
    assert not app.exception
    assert len(alternatives(app)) == 3


def test_wrong_chances_are_shown_to_be_so(visit: Visit) -> None:
    app = visit("coin", {})
    app.button(key="coin.preset.Wrong $p_k$: too flat").click().run()
    assert link(app) == CoinParams(rule="too-flat").to_query()
    assert "× the variance" in prose(app)


def test_throwing_goes_on_with_the_same_coins(visit: Visit) -> None:
    app = visit("coin", PARAMS.to_query())
    app.button(key="coin.once").click().run()
    assert link(app)["draws"] == "101"
    app.button(key="coin.hundred").click().run()
    assert link(app)["draws"] == "201"
    assert app.select_slider(key="coin.draws").value == 201
    longer = run(dataclasses.replace(PARAMS, draws=201))
    np.testing.assert_array_equal(longer.glass.fired[:100], run(PARAMS).glass.fired)


def test_throwing_until_the_dearest_level_is_called(visit: Visit) -> None:
    app = visit("coin", PARAMS.to_query())
    called = np.flatnonzero(run(dataclasses.replace(PARAMS, draws=10_000)).glass.fired[:, -1]) + 1
    expected = [int(draw) for draw in called if draw > 100][:2]
    for draws in expected:
        app.button(key="coin.until").click().run()
        assert link(app)["draws"] == str(draws)
        assert r"f^{5}(x)$] $\;= " in prose(app), "the equation ends with what was called"


def test_coins_run_out(visit: Visit) -> None:
    app = visit("coin", {**PARAMS.to_query(), "draws": "9950"})
    app.button(key="coin.hundred").click().run()
    assert link(app)["draws"] == "10000"
    assert all(app.button(key=f"coin.{name}").disabled for name in ("once", "hundred", "until"))


def test_not_called_again_in_all_draws(visit: Visit) -> None:
    rare = dataclasses.replace(PARAMS, levels=10, gamma=8.0, budget=0.001, rule="too-steep", draws=10_000)
    last = np.flatnonzero(run(rare).glass.fired[:, -1])[-1] + 1
    app = visit("coin", {**rare.to_query(), "draws": str(last)})
    app.button(key="coin.until").click().run()
    assert link(app)["draws"] == "10000"


@pytest.mark.parametrize(
    ("query", "notice", "field", "value"),
    [
        ({"budget": "0"}, "Budget takes a number", "budget", 0.001),
        ({"budget": "7"}, "Budget takes a number", "budget", 1.0),
        ({"draws": "per-path"}, "Draws takes an integer from 1 to 10000", "draws", CoinParams.draws),
        ({"rule": "' OR 1=1"}, "Rule takes one of optimal, power-law, too-flat, too-steep", "rule", "optimal"),
        ({"firing": "held"}, "Firing takes one of bernoulli, nested, systematic", "firing", "bernoulli"),
        ({"levels": "11"}, "Levels takes an integer from 1 to 10", "levels", 10),
    ],
)
def test_what_is_off_in_a_link_is_mended_and_said(
    visit: Visit, query: dict[str, str], notice: str, field: str, value: object
) -> None:
    app = visit("coin", {"sde": "ornstein-uhlenbeck", **query})
    assert not app.exception
    assert any(message.value.startswith(notice) for message in app.info)
    assert getattr(app.session_state["coin.params"], field) == value
    assert link(app) == app.session_state["coin.params"].to_query()
