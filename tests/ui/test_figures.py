"""Figures: their traces hold the numbers of the result, and their labels those of today."""

from __future__ import annotations

import math
from itertools import pairwise
from typing import Any

import numpy as np
import plotly.graph_objects as go
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlem.errors import Estimate
from mlem.experiments.coin import CoinParams, CoinResult
from mlem.experiments.coin import run as run_coin
from mlem.experiments.hierarchy import Curves, HierarchyResult, MeasuredLevel
from mlem.ui import figures
from mlem.ui.chart import ink, level_ink, payload
from mlem.words import digits, level_name


def ladder(count: int = 4, gamma: float = 2.0, drift: float = 0.5) -> HierarchyResult:
    """A hierarchy as it should be, without measuring one."""
    x = np.linspace(-1, 1, 11)
    residuals = np.stack([2.0**-k * np.cos(x) for k in range(1, count + 1)])
    return HierarchyResult(
        levels=tuple(
            MeasuredLevel(k, around(2.0**-k), around(drift * 2.0**-k), 3 * 2.0 ** (gamma * k)) for k in range(1, count + 1)
        ),
        gamma=around(gamma) if count > 1 else None,
        sde="Made up",
        steps=10,
        curves=Curves(0.5, 0, x, -x, residuals - x, residuals),
    )


def around(value: float) -> Estimate:
    return Estimate(value, 0.9 * value, 1.2 * value)


def trace(figure: go.Figure, name: str) -> Any:
    found = [one for one in figure.data if one.name == name]
    assert len(found) == 1, [one.name for one in figure.data]
    return found[0]


def written(figure: go.Figure) -> str:
    return "\n".join(note.text for note in figure.layout.annotations)


class TestLevelCurves:
    def test_levels_and_what_they_miss(self) -> None:
        result = ladder()
        figure = figures.level_curves(result)
        for k in (1, 4):
            level, missed = trace(figure, level_name(k)), trace(figure, f"{level_name(k)} − f")
            np.testing.assert_array_equal(level.x, result.curves.x)
            np.testing.assert_array_equal(level.y, result.curves.levels[k - 1])
            np.testing.assert_array_equal(missed.y, result.curves.residuals[k - 1])
            assert (level.yaxis, missed.yaxis) == ("y", "y2")
            assert level.line.color == missed.line.color == level_ink(k, 4)

    def test_f_itself_is_dotted(self) -> None:
        f = trace(figures.level_curves(ladder()), "f")
        assert (f.line.color, f.line.dash) == (ink("reference"), "dot")
        np.testing.assert_array_equal(f.y, ladder().curves.drift)

    @pytest.mark.parametrize("count", [1, 6, 10])
    def test_every_level_is_named_at_the_end_of_its_line(self, count: int) -> None:
        figure = figures.level_curves(ladder(count))
        ends = [note for note in figure.layout.annotations if note.showarrow and note.yref == "y"]
        assert {note.text for note in ends} == {"f", *(level_name(k) for k in range(1, count + 1))}
        low, high = figure.layout.yaxis.range
        bottom, top = figure.layout.yaxis.domain
        pixels = (figures.HEIGHT - figure.layout.margin.t - figure.layout.margin.b) * (top - bottom)
        places = sorted(pixels * (high - note.y) / (high - low) + note.ay for note in ends)
        assert all(after - before > 12 for before, after in pairwise(places)), "no label covers another"
        assert places[0] > -1
        assert places[-1] < pixels + 1


class TestCostOfAccuracy:
    def test_points_and_their_intervals(self) -> None:
        result = ladder(gamma=2.0)
        figure = figures.cost_of_accuracy(result, 2.0)
        path = trace(figure, "path error")
        np.testing.assert_allclose(path.x, [0.5, 0.25, 0.125, 0.0625])
        np.testing.assert_allclose(path.y, [1, 4, 16, 64])
        np.testing.assert_allclose(trace(figure, "drift error").x, [0.25, 0.125, 0.0625, 0.03125])
        bars = trace(figure, "intervals").error_x
        np.testing.assert_allclose(bars.array, 0.2 * np.array(path.x))
        np.testing.assert_allclose(bars.arrayminus, 0.1 * np.array(path.x))

    @pytest.mark.parametrize("drift", [0.5, 2.0])
    def test_the_triangle_is_a_halving_and_its_price(self, drift: float) -> None:
        figure = figures.cost_of_accuracy(ladder(gamma=3.0, drift=drift), 3.0)
        triangle, line = trace(figure, "slope triangle"), trace(figure, "fit")
        assert max(triangle.x) / min(triangle.x) == pytest.approx(2)
        assert max(triangle.y) / min(triangle.y) == pytest.approx(2**3)
        assert math.log(line.y[-1] / line.y[0]) / math.log(line.x[0] / line.x[-1]) == pytest.approx(3)
        towards_drift = math.log(drift)
        assert math.log(np.mean(triangle.x) / np.mean(line.x)) * towards_drift < 0, "it stands where the drift errors are not"
        assert "cost × 8.00" in written(figure)

    def test_the_slope_is_said_with_its_interval_beside_what_was_asked(self) -> None:
        text = written(figures.cost_of_accuracy(ladder(gamma=2.0), 2.1))
        assert "<b>γ = 2.00</b>" in text
        assert "1.80 to 2.40" in text
        assert "asked for: 2.10" in text

    def test_decades_are_of_equal_length(self) -> None:
        layout = figures.cost_of_accuracy(ladder(), 2.0).layout
        assert layout.xaxis.type == layout.yaxis.type == "log"
        assert layout.yaxis.scaleanchor == "x"
        assert layout.yaxis.scaleratio in (None, 1)

    def test_one_level_has_no_slope(self) -> None:
        figure = figures.cost_of_accuracy(ladder(1), 2.0)
        assert {one.name for one in figure.data} == {"drift error", "intervals", "path error"}
        assert "γ =" not in written(figure)


@pytest.fixture(scope="module", params=["bernoulli", "nested", "systematic"])
def thrown(request: pytest.FixtureRequest) -> CoinResult:
    """180 draws, the last of which calls f⁵ where coins are independent."""
    return run_coin(CoinParams(sde="ornstein-uhlenbeck", draws=180, firing=request.param))


class TestTelescope:
    def test_corrections_add_up_to_the_dearest_level(self, thrown: CoinResult) -> None:
        figure = figures.telescope(thrown)
        bars = trace(figure, "correction")
        np.testing.assert_allclose(bars.y, thrown.glass.corrections)
        np.testing.assert_allclose(np.asarray(bars.base, float) + bars.y, thrown.glass.drifts)
        assert bars.marker.color == tuple(level_ink(k, 5) for k in range(1, 6))
        assert trace(figure, "f⁵").y[0] == pytest.approx(thrown.mean.exact)

    def test_the_last_draw_adds_up_to_its_estimate(self, thrown: CoinResult) -> None:
        figure = figures.telescope(thrown)
        kicks, draw = trace(figure, "kick"), trace(figure, "draw")
        p = np.array([c.p for c in thrown.levels])
        np.testing.assert_allclose(kicks.y, thrown.glass.fired[-1] * thrown.glass.corrections / p)
        np.testing.assert_allclose(sum(kicks.y), thrown.glass.estimates[-1])
        assert draw.y[0] == thrown.glass.estimates[-1]
        assert draw.marker.color == ink("mlem")

    def test_coins_show_heads_chance_and_weight(self, thrown: CoinResult) -> None:
        coins = trace(figures.telescope(thrown), "coins")
        assert [symbol == "circle" for symbol in coins.marker.symbol] == thrown.glass.fired[-1].tolist()
        assert list(coins.text) == [digits(100 * c.p) for c in thrown.levels]
        assert [row[0] for row in coins.customdata] == [digits(float(w)) for w in thrown.glass.weights[-1]]

    @pytest.mark.parametrize("count", [1, 10])
    def test_any_number_of_levels(self, count: int) -> None:
        result = run_coin(CoinParams(sde="ornstein-uhlenbeck", draws=3, levels=count))
        figure = figures.telescope(result)
        assert len(trace(figure, "coins").x) == count
        assert len(figure.layout.xaxis.ticktext) == count + 1


class TestRunningMean:
    def test_means_and_their_band(self, thrown: CoinResult) -> None:
        figure = figures.running_mean(thrown)
        mean, glass = trace(figure, "mean"), thrown.glass
        assert (mean.x[0], mean.x[-1]) == (1, 180)
        np.testing.assert_allclose(mean.y, glass.running[mean.x - 1])
        np.testing.assert_allclose(trace(figure, "high").y - mean_of(thrown), glass.band[mean.x - 1])
        np.testing.assert_allclose(mean_of(thrown) - trace(figure, "low").y, glass.band[mean.x - 1])
        assert set(trace(figure, "f⁵").y) == {mean_of(thrown)}

    def test_calls_of_the_dearest_level_are_marked(self, thrown: CoinResult) -> None:
        calls = trace(figures.running_mean(thrown), "calls")
        np.testing.assert_array_equal(calls.x - 1, np.flatnonzero(thrown.glass.fired[:, -1]))
        assert len(calls.x) == thrown.levels[-1].evaluations

    def test_calls_at_every_draw_are_not(self) -> None:
        result = run_coin(CoinParams(sde="ornstein-uhlenbeck", draws=5, budget=1.0))
        assert "calls" not in {one.name for one in figures.running_mean(result).data}

    def test_ten_thousand_draws_are_a_few_hundred_points(self) -> None:
        mean = trace(figures.running_mean(run_coin(CoinParams(sde="ornstein-uhlenbeck", draws=10_000))), "mean")
        assert len(mean.x) <= 300
        assert mean.x[-1] == 10_000


def mean_of(result: CoinResult) -> float:
    return float(result.glass.drifts[-1])


class TestShares:
    def test_cost_to_the_left_variance_to_the_right(self, thrown: CoinResult) -> None:
        figure = figures.shares(thrown)
        cost, variance = trace(figure, "cost"), trace(figure, "variance")
        np.testing.assert_allclose(cost.x, [-c.cost_share for c in thrown.levels])
        np.testing.assert_allclose(variance.x, [c.variance_share for c in thrown.levels])
        assert sum(cost.x) == pytest.approx(-1)
        assert sum(variance.x) == pytest.approx(1)
        assert cost.marker.color == variance.marker.color
        assert cost.marker.pattern.shape != variance.marker.pattern.shape, "colour is not alone"

    def test_a_level_that_always_fires_says_so(self, thrown: CoinResult) -> None:
        variance = trace(figures.shares(thrown), "variance")
        assert [text == "always fires" for text in variance.text] == [c.p == 1 for c in thrown.levels]


@pytest.mark.parametrize("count", [1, 2, 10])
def test_every_figure_can_be_sent(count: int) -> None:
    coins = run_coin(CoinParams(sde="ornstein-uhlenbeck", draws=2, levels=count))
    levels = ladder(count)
    drawn = [figures.level_curves(levels), figures.cost_of_accuracy(levels, 2.0)]
    drawn += [figures.telescope(coins), figures.running_mean(coins), figures.shares(coins)]
    for figure in drawn:
        assert payload(figure, key="here", alt="A figure.", height=figures.HEIGHT)


@given(st.lists(st.floats(0, 400), min_size=1, max_size=12).map(sorted))
def test_labels_are_pushed_apart_and_no_further(places: list[float]) -> None:
    shown = figures._apart(places, 17.0)
    assert all(after - before >= 17 - 1e-9 for before, after in pairwise(shown))
    assert np.mean(shown) == pytest.approx(np.mean(places)), "as many go up as down"
    if all(after - before >= 17 for before, after in pairwise(places)):
        assert shown == pytest.approx(places)


@pytest.mark.parametrize(
    ("decades", "places", "some"),
    [
        (0.8, 4, {"0.2", "0.5", "1", "5,000"}),
        (4.0, 8, {"0.01", "1", "10,000", "10<sup>6</sup>"}),
        (20.0, 5, {"1", "10<sup>−4</sup>"}),
    ],
)
def test_ticks_are_readable(decades: float, places: int, some: set[str]) -> None:
    ticks = figures.log_ticks(decades, places)
    assert some <= set(ticks["ticktext"])
    assert len(ticks["tickvals"]) == len(ticks["ticktext"])
    inside = [value for value in ticks["tickvals"] if 1 <= value < 10**decades]
    assert len(inside) <= max(places, 3)
