"""The figure of the diagnostics holds the numbers of the result."""

from __future__ import annotations

from dataclasses import replace

import pytest

from mlem.diagnostics import LevelDiagnostics
from mlem.errors import Estimate
from mlem.experiments.diagnostics import DiagnosticsResult
from mlem.ui.chart import payload
from mlem.ui.diagnostics_figures import by_level
from tests.ui.test_figures import around, trace, written


def table(count: int = 4) -> DiagnosticsResult:
    """Diagnostics as they should be: α = 1, β = 2, γ = 3."""
    levels = tuple(
        LevelDiagnostics(k, around(2.0**-k), around(4.0**-k), 3.0, 5 * 8.0**k, consistency=0.1 * k) for k in range(1, count + 1)
    )
    fits = (around(1.0), around(2.0), around(3.0)) if count > 2 else (None, None, None)
    return DiagnosticsResult(levels, *fits, 256, (), "Made up")


def test_series_are_the_numbers() -> None:
    figure = by_level(table())
    assert list(trace(figure, "mean").y) == pytest.approx([2.0**-k for k in range(1, 5)])
    assert list(trace(figure, "mean square").y) == pytest.approx([4.0**-k for k in range(1, 5)])
    assert list(trace(figure, "cost").y) == pytest.approx([8.0 ** (k - 1) for k in range(1, 5)])
    assert list(trace(figure, "product").y) == pytest.approx([2.0**k / 8 for k in range(1, 5)])
    text = written(figure)
    assert all(exponent in text for exponent in ("α = 1.00", "β = 2.00", "γ = 3.00"))


@pytest.mark.parametrize("count", [1, 2, 10])
def test_any_number_of_levels_has_its_picture(count: int) -> None:
    figure = by_level(table(count))
    assert payload(figure, key="any", alt="Any", height=300)
    assert list(figure.layout.xaxis.tickvals) == list(range(1, count + 1))
    assert ("α" in written(figure)) == (count > 2)


def test_what_is_0_has_no_place_on_a_logarithmic_axis() -> None:
    *most, last = table().levels
    figure = by_level(replace(table(), levels=(*most, replace(last, mean=Estimate(0.0, 0.0, 0.0)))))
    assert trace(figure, "mean").y[-1] is None
    assert "mean, α" not in written(figure)
