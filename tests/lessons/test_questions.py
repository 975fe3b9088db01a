"""Questions are answered from results: with the numbers on the page, their intervals, and a reason that fits them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlem import theory
from mlem.experiments import coin, convergence, crossover, faces, hierarchy, steps
from mlem.experiments.coin import CoinParams
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.steps import StepsParams
from mlem.experiments.store import load
from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import PAGES, to_text
from mlem.lessons.questions import QUESTIONS, Truth, of_page
from mlem.words import digits, level_name
from tests.made_faces import made_measured

BREAKEVEN = "crossover-breakeven"


def answered(name: str, params: Any, result: Any) -> Truth:
    truth = QUESTIONS[name].truth(params, result)
    assert truth is not None
    return truth


@pytest.mark.parametrize("page", PAGES)
def test_every_page_has_a_question(page: str) -> None:
    assert QUESTIONS[of_page(page)].page == page


@pytest.mark.parametrize("name", list(LESSONS))
def test_lessons_are_whole(name: str) -> None:
    lesson = LESSONS[name]
    assert 6 <= len(lesson.steps) <= 9
    assert 15 <= lesson.minutes <= 20
    assert all(isinstance(step.question, str) and QUESTIONS[step.question].page == step.page for step in lesson.steps)
    assert all(step.intro and step.after for step in lesson.steps)
    assert to_text(lesson)


def test_gamma_is_the_fitted_slope_and_halving_its_power() -> None:
    params = HierarchyParams(paths=64)
    result = hierarchy.run(params)
    assert result.gamma is not None
    slope, halving = (answered(name, params, result) for name in ("hierarchy-gamma", "hierarchy-halving"))
    assert (slope.value, slope.low, slope.high) == (result.gamma.value, result.gamma.low, result.gamma.high)
    assert halving.value == 2**result.gamma.value
    assert (
        QUESTIONS["hierarchy-gamma"].truth(HierarchyParams(levels=1), hierarchy.run(HierarchyParams(levels=1, paths=64)))
        is None
    )


def test_the_mean_is_the_same_and_the_wrong_rule_noisier() -> None:
    params = CoinParams(rule="too-flat")
    result = coin.run(params)
    assert answered("coin-mean", params, result).value == "the same, within its noise"
    ratio = answered("coin-variance", params, result).value
    assert isinstance(ratio, float)
    assert ratio > 1.5


def test_slopes_are_those_of_the_diagram() -> None:
    params = ConvergenceParams()
    part = load(params)
    assert part is not None
    result = convergence.judge(params, part)
    em, ml = (answered(name, params, result) for name in ("convergence-em", "convergence-slope"))
    assert em.value == pytest.approx(3.5, abs=0.15)
    assert ml.value == pytest.approx(2.5, abs=0.25)
    points = QUESTIONS["convergence-slope"].points
    assert points is not None
    asked = points(result).asked[1]
    assert [x for x, _ in asked] == sorted(x for x, _ in asked), "from coarse to fine, so that a line begins at the first"
    assert QUESTIONS["convergence-law"].truth(params, result) is None, "a strong error says nothing of the law"


def test_the_step_is_free_deep_above_the_kink_alone() -> None:
    params = StepsParams()
    result = steps.load(params)
    assert result is not None
    deep, easy = (answered(name, params, result) for name in ("steps-deep", "steps-easy"))
    assert deep.value == pytest.approx(1.0, abs=0.05)
    assert isinstance(easy.value, float)
    assert 1.3 < easy.value < 1.6
    assert "does not" in deep.sentence
    finest = max((p for p in result.points if p.gamma == 4.0), key=lambda p: p.steps)
    best = 2.0 ** (4 * (len(finest.calls) - 1))
    assert f"costs what {digits(finest.cost.value / best)} evaluations of {level_name(len(finest.calls))} do" in deep.sentence
    assert "but it does: f¹ makes" in easy.sentence
    assert "times a path there, 546 times at the largest" in easy.sentence


def test_the_bill_moves_to_the_dear_networks_across_the_kink() -> None:
    params = CrossoverParams()
    part = load(params.swept())
    assert part is not None
    result = crossover.judge(params, part)
    cheap, dear = (answered("crossover-bill", CrossoverParams(gamma=gamma), result) for gamma in (1.0, 4.0))
    assert cheap.value == "the cheaper half of the networks"
    assert dear.value == "the dearer half of the networks"


def test_break_even_is_read_off_the_sweep_and_lies_elsewhere_than_the_kink() -> None:
    asked = next(step for step in LESSONS["work-precision"].steps if step.question == BREAKEVEN)
    params, _ = CrossoverParams.nearest(asked.params)
    part = load(params.swept())
    assert part is not None
    result = crossover.judge(params, part)
    assert result.breakeven is not None
    found = answered(BREAKEVEN, params, result)
    assert (found.value, found.low, found.high) == (result.breakeven.value, result.breakeven.low, result.breakeven.high)
    assert result.breakeven.high < theory.KINK
    assert "cheaper already" in found.sentence
    below, above = (rows[0] for rows in sides(result, params.epsilon))
    assert below < 1 < above, "as on the page's map"
    usual = crossover.judge(CrossoverParams(), load(CrossoverParams().swept()))
    assert QUESTIONS[BREAKEVEN].truth(CrossoverParams(), usual) is None, "cheaper at every γ there"


def sides(result: crossover.CrossoverResult, epsilon: float) -> tuple[list[float], list[float]]:
    """The map's ratios about ``epsilon``, a quarter of γ or more below break-even, and above it."""
    assert result.breakeven is not None
    column = int(np.argmin(np.abs(np.log(result.epsilons) - np.log(epsilon))))
    rows = [(p.gamma - result.breakeven.value, row[column]) for p, row in zip(result.points, result.map, strict=True)]
    told = [(away, ratio) for away, ratio in rows if ratio is not None]
    return [ratio for away, ratio in reversed(told) if away < -0.2], [ratio for away, ratio in told if away > 0.2]


def test_where_slopes_are_alike_no_gap_is_promised() -> None:
    params = ConvergenceParams()
    part = load(params)
    assert part is not None
    counted = replace(params, unit="evaluations")
    apart, alike = (answered("convergence-gain", p, convergence.judge(p, part)).sentence for p in (params, counted))
    assert "the gap has no end" in apart
    assert "nearly the same" in alike
    assert "count here as much as the dear ones" in alike


def test_real_networks_are_asked_with_where_they_lose() -> None:
    params = faces.FacesParams()
    result = faces.judge(made_measured("ode"))
    gamma, saving, sampler = (answered(f"faces-{name}", params, result) for name in ("gamma", "saving", "sampler"))
    best = result.methods["mlem"].best
    assert best is not None
    assert best.flops is not None
    assert (gamma.value, saving.value) == (result.gamma["flops"].value, best.flops.value)
    assert "lose" in saving.sentence
    assert sampler.value in QUESTIONS["faces-sampler"].question.options
    assert QUESTIONS["faces-sampler"].truth(params, faces.judge(made_measured("sde"))) is None, "an SDE has no usual sampler"
