"""Definitions: one each, for every page, with the numbers that the page shows."""

from __future__ import annotations

import pytest

from mlem.experiments.coin import CoinParams
from mlem.experiments.coin import run as throw
from mlem.experiments.race import RaceParams
from mlem.experiments.race import run as race
from mlem.lessons.lesson import PAGES as ALL_PAGES
from mlem.ui.glossary import PAGES, TERMS, Today, on_page, today
from mlem.ui.presets import PRESETS
from mlem.words import digits

COIN = CoinParams(sde="ornstein-uhlenbeck", rule="power-law", gamma=3.0, levels=4, budget=0.2, draws=5)


def test_every_page_has_its_words_and_every_word_its_page() -> None:
    assert tuple(PAGES) == ALL_PAGES
    assert {name for names in PAGES.values() for name in names} == set(TERMS)


def test_one_definition_each() -> None:
    names = [term.name for term in TERMS.values()]
    meanings = [term.meaning for term in TERMS.values()]
    assert len(set(names)) == len(set(meanings)) == len(TERMS)
    assert all(meaning.endswith(".") for meaning in meanings)


@pytest.mark.parametrize("page", ALL_PAGES)
def test_formulas_are_whole_with_and_without_numbers(page: str) -> None:
    for now in (Today(), *(today(params) for params in PRESETS[page].values())):
        text = on_page(page, now)
        assert text.count("$") % 2 == 0
        assert text.count("{") == text.count("}")
        assert "None" not in text
        assert "nan" not in text


def test_the_rule_of_the_paper_with_its_constant() -> None:
    result = throw(COIN, None)
    now = today(COIN, result)
    assert now.p == tuple(level.p for level in result.levels)
    constant = now.p[-1] * 2 ** (2.5 * 4)
    assert [min(1.0, constant * 2 ** (-2.5 * k)) for k in range(1, 5)] == pytest.approx(now.p), "it is the C of all levels"
    text = on_page("coin", now)
    assert rf"\min(1,\, {digits(constant).replace(',', '{,}')} \cdot 2^{{-2.50\,k}})" in text
    assert digits(result.levels[-1].p) in text
    assert "f^{4} - f^{3}" in text


def test_a_race_gives_its_step_and_error() -> None:
    params = RaceParams(sde="ornstein-uhlenbeck", epsilon=0.1, paths=32)
    result = race(params, None)
    text = on_page("race", today(params, result))
    assert rf"= {digits(result.playback.horizon / result.mlem.steps)}" in text
    assert rf"= {digits(result.mlem.rmse.value)} \text{{ for ML-EM}}" in text
    assert r"\varepsilon = 0.100" in text
    assert r"c_{k+1}/c_k = 5.66" in text


def test_a_wrong_rule_has_no_formula_but_its_chances() -> None:
    params = CoinParams(sde="ornstein-uhlenbeck", rule="too-flat", levels=2, draws=1)
    result = throw(params, None)
    assert f"$p_k = {digits(result.levels[0].p)},\\; \\allowbreak {digits(result.levels[1].p)}$" in on_page(
        "coin", today(params, result)
    )
