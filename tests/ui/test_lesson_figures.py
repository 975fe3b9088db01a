"""Pictures of a question: what may be said, what is shown before an answer, and both beside each other after it."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlem.lessons.lesson import Question
from mlem.lessons.questions import Points
from mlem.lessons.said import Said
from mlem.ui.lesson_figures import asked_number, asked_slope, drawn_slope, even_numbers, handy_numbers, number_line

SLOPE = Question("Which slope?", "slope", 0.0, 6.0)
NUMBER = Question("How many?", low=0.1, high=1000.0, log=True, unit="×")
LAW = [(10.0**k, 3 * 10.0 ** (2.5 * k)) for k in (0.0, 0.5, 1.0, 1.5)]
POINTS = Points("1 / error", "cost", {"EM": [(x, 2 * y) for x, y in LAW], "first": LAW[:1]}, ("ML-EM", LAW))


def test_the_asked_points_are_not_shown_before() -> None:
    asked = asked_slope(SLOPE, POINTS)
    assert [series.name for series in asked.figure.data] == ["EM", "first", "your line"]  # type: ignore[attr-defined]
    assert asked.turning == (*LAW[0], LAW[-1][0])
    assert [stop.value for stop in asked.stops] == pytest.approx([k / 10 for k in range(61)])
    assert asked.stops[25].words == "Your line: slope 2.5. Ten times the accuracy costs 316\N{NO-BREAK SPACE}× as much."


def test_the_axes_give_nothing_away() -> None:
    asked, shown = asked_slope(SLOPE, POINTS).figure, drawn_slope(SLOPE, POINTS, Said(1.0, 2.5, 2.4, 2.6))
    steepest = LAW[0][1] * (LAW[-1][0] / LAW[0][0]) ** SLOPE.high
    for axis in ("xaxis", "yaxis"):
        assert asked.layout[axis].range == shown.layout[axis].range  # type: ignore[attr-defined]
    assert shown.layout.yaxis.range[1] > math.log10(steepest)


def test_both_lines_have_their_slopes() -> None:
    figure = drawn_slope(SLOPE, POINTS, Said(1.0, 2.5, 2.4, 2.6))
    series = {one.name: one for one in figure.data}
    for name, slope in (("your line", 1.0), ("measured line", 2.5)):
        (x0, x1), (y0, y1) = series[name].x, series[name].y
        assert math.log(y1 / y0) / math.log(x1 / x0) == pytest.approx(slope)
    assert series["your line"].y[0] == LAW[0][1]
    assert list(series["ML-EM"].y) == [y for _, y in LAW]
    low, high = series["95 % interval"].y[1], series["95 % interval"].y[2]
    assert low < series["measured line"].y[1] < high
    assert [note.text for note in figure.layout.annotations] == ["<b>measured 2.50 (2.40 to 2.60)</b>", "<b>you 1.00</b>"]


def test_a_prediction_off_the_line_is_still_on_it() -> None:
    low, high = number_line(NUMBER, Said(5e4, 2.0, 1.5, 3.0)).layout.xaxis.range
    assert low < -1
    assert high > math.log10(5e4)
    assert asked_number(NUMBER).figure.layout.xaxis.range[1] < math.log10(5e4)  # type: ignore[attr-defined]


def test_words_at_the_end_of_the_line_are_not_cut() -> None:
    figure = number_line(NUMBER, Said(NUMBER.low, 2.0, 1.5, 3.0))
    assert [trace.cliponaxis for trace in figure.data] == [False, False]
    assert "1,000" in figure.layout.xaxis.ticktext, "written as in sentences"


def test_handy_numbers() -> None:
    assert handy_numbers(0.7, 7.0) == [0.7, 0.8, 1, 1.2, 1.5, 2, 2.5, 3, 4, 5, 6, 7.0]


@given(st.floats(-1e300, 1e300), st.floats(1e-300, 1e300))
def test_any_range_has_a_few_even_numbers(low: float, width: float) -> None:
    high = low + width
    if not low < high < math.inf:
        return
    found = even_numbers(low, high)
    assert (found[0], found[-1]) == (low, high)
    assert found == sorted(set(found))
    assert 2 <= len(found) <= 80
