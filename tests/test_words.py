"""Numbers in words."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlem.errors import Estimate
from mlem.words import SURE, digits, estimate, fold, level_name, level_names, measure, percent, times, unbroken, whole

GLUE = "\N{NO-BREAK SPACE}"


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1.00"),
        (0.0199, "0.0199"),
        (0.00012345, "0.000123"),
        (14.249, "14.2"),
        (192.0, "192"),
        (1056.0, "1,060"),
        (-0.5, "−0.500"),
        (999_499.0, "999,000"),
        (999_999.0, f"1.00{GLUE}million"),
        (6_291_456.0, f"6.29{GLUE}million"),
        (8.011e8, f"801{GLUE}million"),
        (3.2e12, f"3.20{GLUE}trillion"),
        (float("inf"), "not finite"),
    ],
)
def test_digits(value: float, text: str) -> None:
    assert digits(value) == text


@given(st.floats(1e-8, 1e14))
def test_digits_never_fall_into_powers_of_ten(value: float) -> None:
    text = digits(value)
    assert "e" not in text.replace("illion", "")
    shown = re.sub(r"\D", "", text).lstrip("0")
    assert 1 <= len(shown.rstrip("0")) <= 3
    number = float(text.split()[0].replace(",", "")) * {"million": 1e6, "billion": 1e9, "trillion": 1e12}.get(
        text.split()[-1], 1
    )
    assert number == pytest.approx(value, rel=0.0051)


def test_ratios_and_intervals() -> None:
    assert times(14.2) == f"14.2{GLUE}× cheaper"
    assert times(1 / 1.38) == f"1.38{GLUE}× dearer"
    assert times(1.001) == "as dear"
    assert estimate(Estimate(0.0199, 0.0184, 0.0215)) == "0.0199 (0.0184 to 0.0215)"


def test_signs_and_units_stay_on_the_line_of_their_number() -> None:
    assert [percent(0.1), fold(14.2), measure(0.0164, "s"), SURE] == [
        f"10.0{GLUE}%",
        f"14.2{GLUE}×",
        f"0.0164{GLUE}s",
        f"95{GLUE}%",
    ]


def test_a_whole_text_keeps_its_signs_beside_their_numbers() -> None:
    assert unbroken("22 × at γ = 1, × 4, 5 % off") == f"22{GLUE}× at γ{GLUE}={GLUE}1, ×{GLUE}4, 5{GLUE}% off"
    assert unbroken("RMSE 0.1 (0.09 to 0.12)") == f"RMSE{GLUE}0.1 (0.09{GLUE}to{GLUE}0.12)"
    assert unbroken("ML-EM, 8-fold, 1/ε") == "ML-EM, 8-fold, 1/ε"


def test_formulas_and_code_stay_as_they_are() -> None:
    assert unbroken("`a = 1`: $b = 2$, c = 3") == f"`a = 1`: $b = 2$, c{GLUE}={GLUE}3"


def test_names() -> None:
    assert level_name(10) == "f¹⁰"
    assert level_names([5]) == "f⁵"
    assert level_names([1, 2, 5]) == "f¹, f² and f⁵"
    assert whole(1056) == "1,056"
