"""What the Coin page says follows from what it shows."""

from __future__ import annotations

import numpy as np
import pytest

from mlem.experiments.coin import CoinParams, CoinResult, run
from mlem.ui import coin_words as words
from mlem.words import digits, fold, percent

OU = "ornstein-uhlenbeck"


def thrown(**changed: object) -> tuple[CoinParams, CoinResult]:
    params = CoinParams(**{"sde": OU, "draws": 100, **changed})
    return params, run(params)


def test_the_lead_tells_what_draws_gave_and_what_they_should() -> None:
    params, result = thrown()
    lead = words.lead(params, result)
    assert f"100 draws average :blue[**{digits(result.mean.measured)}**]" in lead
    assert f"says **{digits(result.mean.exact)}**" in lead
    assert f"{percent(0.1)} of one" in lead
    assert "One draw gave" in words.lead(*thrown(draws=1))


def test_the_equation_holds_what_is_evaluated_in_a_colour_that_follows_the_theme() -> None:
    _, result = thrown(draws=10)
    w, text = result.glass.weights[-1], words.equation(result)
    for k in range(1, 6):
        assert (rf"f^{{{k}}}(x)$]" in text) == bool(w[k - 1])
    assert text.startswith("**Draw 10** is")
    assert text.endswith(f"= {digits(float(result.glass.estimates[-1])).replace('−', '-')}$")
    assert np.count_nonzero(w) == text.count(":violet[$")


def test_the_equation_of_no_heads() -> None:
    _, result = thrown(levels=1, draws=1)
    assert not result.glass.fired[-1].any()
    assert words.equation(result).endswith(r"=\;$ $0$")
    assert "tails at every level" in words.telescope_alt(result)


def test_the_page_opens_on_a_draw_that_called_the_dear_network_and_says_that_it_was_chosen() -> None:
    result = run(CoinParams())
    calls = int(result.glass.fired[:, -1].sum())
    opening = f"It called f⁵; of 982 draws {calls} did. The page opens on one of these; “Throw once” goes on."
    assert words.called(CoinParams(), result) == opening
    assert words.called(*thrown(draws=1)) == "It did not call f⁵; of 1 draw 0 did."
    assert words.called(*thrown(budget=1.0)) == ""


def test_the_best_rule_is_said_to_be_so() -> None:
    lesson = words.lesson(*thrown())
    assert "the best for their price" in lesson
    assert r"p_k \propto \sqrt{v_k/c_k}" in lesson


@pytest.mark.parametrize(("rule", "often", "less"), [("too-flat", "f¹", "f⁵"), ("too-steep", "f⁵", "f⁴")])
def test_a_wrong_rule_is_told_where_it_is_wrong(rule: str, often: str, less: str) -> None:
    params, result = thrown(rule=rule)
    lesson = words.lesson(params, result)
    assert f"**{fold(result.typical / result.optimal)} the variance**" in lesson
    more, rest = lesson.split("should come up more often")
    assert often in more
    assert less in rest
    assert "choose “Optimal”" in rest


def test_where_nothing_is_left_to_chance() -> None:
    assert "nothing is left to chance" in words.lesson(*thrown(budget=1.0))


@pytest.mark.parametrize(("firing", "says"), [("systematic", "1/n"), ("nested", "one coin for all")])
def test_what_a_firing_does(firing: str, says: str) -> None:
    assert says in words.lesson(*thrown(firing=firing))


def test_text_alternatives_and_the_method() -> None:
    _, result = thrown()
    assert digits(result.mean.measured) in words.mean_alt(result)
    assert words.shares_alt(result).count("of the variance") == 5
    assert "largest |z|" in words.numbers(result)
    assert "variance z" not in words.numbers(thrown(firing="systematic")[1])
