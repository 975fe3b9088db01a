"""What the Hierarchy page says follows from what it shows."""

from __future__ import annotations

import dataclasses

import pytest

from mlem.errors import Estimate
from mlem.experiments.hierarchy import HierarchyParams
from mlem.ui import hierarchy_words as words
from mlem.words import times
from tests.ui.test_diagnostics_figures import table
from tests.ui.test_figures import ladder


def test_the_lead_compares_the_first_level_with_the_last() -> None:
    lead = words.lead(HierarchyParams(levels=4), ladder(4, gamma=2.0))
    assert "the error falls 8.00-fold" in lead
    assert times(1 / 64) in lead
    assert "f⁴" in lead
    assert "One level alone" in words.lead(HierarchyParams(levels=1), ladder(1))


@pytest.mark.parametrize(
    ("gamma", "says"), [(1.0, "easier than Monte Carlo"), (2.0, "the kink"), (2.5, "harder than Monte Carlo")]
)
def test_the_lesson_names_the_side_of_the_kink(gamma: float, says: str) -> None:
    lesson = words.lesson(HierarchyParams(gamma=gamma), ladder(gamma=gamma))
    assert says in lesson
    assert f"γ is the slope: {gamma:.2f}" in lesson
    assert "falls with the same slope" in lesson


def test_drift_errors_that_fall_otherwise_are_a_trap() -> None:
    honest = ladder(4, gamma=2.0)
    slow = tuple(
        dataclasses.replace(m, drift_error=Estimate(value := 2.0 ** (-m.level / 2), value, value)) for m in honest.levels
    )
    lesson = words.lesson(HierarchyParams(), dataclasses.replace(honest, levels=slow))
    assert "**A trap:**" in lesson
    assert "only 2.83-fold, which would read γ ≈ 4.00" in lesson


def test_one_level_has_no_slope() -> None:
    assert "no slope" in words.lesson(HierarchyParams(levels=1), ladder(1))


def test_the_text_alternative_and_the_method() -> None:
    assert "Level 1 is off by up to 0.500, level 4 by up to 0.0625" in words.curves_alt(ladder(4))
    assert "256 paths of 10 steps" in words.numbers(HierarchyParams(), ladder())
    assert "one coordinate" in words.numbers(HierarchyParams(sde="lorenz"), ladder())
    assert "really evaluated" in words.numbers(HierarchyParams(kind="spectral", gamma=1.0), ladder())


@pytest.mark.parametrize(
    ("gamma", "says"), [(1.0, "the cheap levels make"), (2.0, "a like share"), (3.0, "the dear levels make")]
)
def test_the_diagnosis_tells_who_makes_the_bill(gamma: float, says: str) -> None:
    diagnosis = words.diagnosis(dataclasses.replace(table(), gamma=Estimate(gamma, gamma, gamma)))
    assert diagnosis.startswith("**Nothing is off.**")
    assert says in diagnosis
    assert "β = 2.00 (1.80 to 2.40)" in diagnosis


def test_the_diagnosis_counts_what_is_off() -> None:
    assert words.diagnosis(dataclasses.replace(table(), cautions=("One.",))).startswith("**One thing is off.**")
    assert words.diagnosis(dataclasses.replace(table(1), cautions=("One.", "Two."))) == (
        "**2 things are off.** Exponents take three levels or more."
    )


def test_the_table_of_diagnostics_is_in_words() -> None:
    bad = dataclasses.replace(table(1).levels[0], consistency=2.0, kurtosis=float("nan"))
    rows = words.diagnostics_rows(dataclasses.replace(table(1), levels=(table(1).levels[0], bad)))
    assert [row["consistency"] for row in rows] == ["0.100, fine", "2.00, too large"]
    assert [row["kurtosis"] for row in rows] == ["3.00", "all alike"]
    assert rows[0]["mean"] == "0.500 (0.450 to 0.600)"
    assert "from f¹ to f⁴ the mean square of the correction goes from 0.250 to 0.00391" in words.diagnostics_alt(table())
    assert "sets of 256 paths" in words.diagnostics_numbers(table())
