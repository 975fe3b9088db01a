"""What the Race page says follows from what it shows."""

from __future__ import annotations

import pytest

from mlem.experiments.race import RaceParams, run
from mlem.planning import Unreachable
from mlem.ui import race_words


@pytest.mark.parametrize(
    ("calls", "words"), [(3.04, "3.04 times a path"), (0.5, "on one path in 2"), (0.02, "on one path in 50")]
)
def test_how_often(calls: float, words: str) -> None:
    assert race_words.how_often(calls) == words


def test_the_words_name_the_numbers_of_the_race() -> None:
    params = RaceParams(sde="ornstein-uhlenbeck", epsilon=0.05, paths=64)
    result = run(params)
    lead = race_words.lead(params, result)
    assert f"{result.em.steps} steps" in lead
    assert "RMSE 0.0500" in lead
    assert "cheaper" in race_words.lesson(params, result)
    assert set(race_words.verdict(result)) == {"em", "mlem", "reference"}
    assert "largest |z|" in race_words.ledger(result)


def test_where_the_method_loses_the_lesson_says_so() -> None:
    params = RaceParams(sde="double-well", gamma=0.5, epsilon=0.1)
    assert "the method loses" in race_words.lesson(params, run(params))


def test_held_corrections_are_called_biased() -> None:
    params = RaceParams(sde="ornstein-uhlenbeck", epsilon=0.05, paths=64, firing="held")
    assert "biased" in race_words.lesson(params, run(params))


@pytest.mark.parametrize(("nearest", "shown"), [(0.0751, 0.076), (0.125, 0.13), (0.1, 0.1), (0.01, 0.056)])
def test_an_error_within_reach_is_round_and_not_smaller(nearest: float, shown: float) -> None:
    mended, notice = race_words.within_reach(RaceParams(epsilon=0.05), Unreachable(0.05, nearest))
    assert mended == RaceParams(epsilon=shown)
    assert f"ε is now {shown:g}" in notice


def test_where_no_error_on_offer_is_within_reach_there_is_one_level_more() -> None:
    mended, notice = race_words.within_reach(RaceParams(levels=1), Unreachable(0.05, 0.8))
    assert mended == RaceParams(levels=2)
    assert "Levels are now 2" in notice
    with pytest.raises(Unreachable):
        race_words.within_reach(RaceParams(levels=RaceParams.specs()["levels"].high), Unreachable(0.05, 0.8))
