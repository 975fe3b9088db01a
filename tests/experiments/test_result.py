"""Results: strict JSON, tables as CSV and as text."""

from __future__ import annotations

import csv
import io
import json
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import mlem
from mlem.errors import Estimate
from mlem.experiments.params import Params, number
from mlem.experiments.result import Result, Row, digits, plain, to_csv, to_json, to_text, unexported, write


@dataclass(frozen=True)
class MadeParams(Params):
    """One number."""

    rate: float = number(0.5, low=0.0, high=2.0, label="Rate", help="A rate.")


@dataclass(frozen=True)
class MadeResult(Result):
    """What results hold."""

    value: Estimate
    counts: tuple[int, ...]
    table: np.ndarray
    picture: np.ndarray = unexported()  # noqa: RUF009

    def rows(self) -> list[Row]:
        """One line."""
        return [{"value": self.value.value, "count": self.counts[0]}]

    def summary(self) -> str:
        """A sentence."""
        return "It is made."


def strictly(text: str) -> Any:
    """JSON as the standard has it: NaN and Infinity are no JSON."""

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    return json.loads(text, parse_constant=refuse)


numbers = st.floats() | st.integers() | st.floats().map(np.float64) | st.floats(width=32).map(np.float32)
scalars = (
    st.none()
    | st.booleans()
    | st.text()
    | numbers
    | st.integers(-(2**63), 2**63 - 1).map(np.int64)
    | st.booleans().map(np.bool_)
)
arrays = st.lists(st.floats(), max_size=4).map(np.array) | st.lists(st.booleans(), max_size=4).map(np.array)
things = st.recursive(
    scalars | arrays | st.builds(Estimate, st.floats(), st.floats(), st.floats()),
    lambda inner: (
        st.lists(inner, max_size=3) | st.lists(inner, max_size=3).map(tuple) | st.dictionaries(st.text(), inner, max_size=3)
    ),
    max_leaves=12,
)


@given(thing=things)
def test_whatever_results_hold_becomes_strict_json(thing: Any) -> None:
    made = plain(thing)
    text = json.dumps(made, allow_nan=False)
    assert strictly(text) == made


def test_what_is_not_finite_is_null() -> None:
    assert plain([math.nan, math.inf, -math.inf, 1.5, np.float32("nan"), np.float64("inf")]) == [
        None,
        None,
        None,
        1.5,
        None,
        None,
    ]
    assert plain({"a": np.array([[1.0, math.nan], [2.0, 3.0]])}) == {"a": [[1.0, None], [2.0, 3.0]]}
    assert plain(np.array(2.5)) == 2.5
    assert [type(x) for x in plain((np.int64(3), np.bool_(True), np.float32(0.5), True))] == [int, bool, float, bool]
    assert plain(Estimate(1.0, math.nan, 2.0)) == {"value": 1.0, "low": None, "high": 2.0}
    assert plain({1: "one"}) == {"1": "one"}
    assert plain("text") == "text"


def test_the_export_has_all_but_the_pictures() -> None:
    result = MadeResult(Estimate(1.0, 0.5, math.inf), (3, 4), np.array([[1, 2]]), np.zeros(1000))
    assert strictly(to_json("made", MadeParams(), result)) == {
        "experiment": "made",
        "params": {"rate": 0.5},
        "result": {"value": {"value": 1.0, "low": 0.5, "high": None}, "counts": [3, 4], "table": [[1, 2]]},
        "version": mlem.__version__,
    }
    assert "picture" not in repr(result)


def test_numbers_survive_the_export_exactly() -> None:
    values = tuple(float(x) for x in np.random.default_rng(0).standard_normal(100) * 10.0 ** np.arange(-50, 50))
    assert tuple(strictly(json.dumps(plain(values)))) == values


def test_words_of_all_languages_stay_readable() -> None:
    @dataclass(frozen=True)
    class Words(Result):
        text: str

    assert "γ = 2·½ 🎲" in to_json("made", MadeParams(), Words("γ = 2·½ 🎲"))


# ── tables

cells = st.floats() | st.integers(-(10**9), 10**9) | st.text(st.characters(exclude_categories=["Cs", "Cc"]))
names = st.lists(st.text(st.characters(exclude_categories=["Cs", "Cc"]), min_size=1), min_size=1, max_size=4, unique=True)


@st.composite
def tables(draw: st.DrawFn) -> list[Row]:
    """Rows of equal columns."""
    columns = draw(names)
    return [{column: draw(cells) for column in columns} for _ in range(draw(st.integers(1, 4)))]


@given(rows=tables())
def test_csv_leads_back(rows: list[Row]) -> None:
    read = list(csv.DictReader(io.StringIO(to_csv(rows))))
    assert len(read) == len(rows)
    for row, again in zip(rows, read, strict=True):
        assert list(again) == list(row)
        for value, text in zip(row.values(), again.values(), strict=True):
            same = text == value if isinstance(value, str) else float(text) == value or math.isnan(value)
            assert same


@given(rows=tables())
def test_a_text_table_has_a_line_for_each_row(rows: list[Row]) -> None:
    lines = to_text(rows).split("\n")
    assert len(lines) == len(rows) + 1
    assert all(line == line.rstrip() for line in lines)


def test_tables_are_aligned() -> None:
    rows: list[Row] = [{"method": "EM", "n": 7, "cost": 1234567.891}, {"method": "ML-EM", "n": 12345, "cost": 0.000123456}]
    assert to_text(rows).split("\n") == [
        "method      n       cost",
        "EM          7  1,234,568",
        "ML-EM   12345  0.0001235",
    ]
    assert to_csv(rows) == "method,n,cost\nEM,7,1234567.891\nML-EM,12345,0.000123456\n"


def test_a_table_without_rows_is_empty() -> None:
    assert to_csv([]) == to_text([]) == ""


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.0, "0"),
        (1.0, "1"),
        (0.123456, "0.1235"),
        (-1234.5678, "-1,235"),
        (9999.4, "9,999"),
        (12345.678, "12,346"),
        (-32768.0, "-32,768"),
        (4.2e9, "4,200,000,000"),
        (1.5e12, "1.5e+12"),
        (1.5e-9, "1.5e-09"),
        (math.nan, "nan"),
        (-math.inf, "-inf"),
    ],
)
def test_numbers_have_four_digits_or_are_written_out(value: float, text: str) -> None:
    assert digits(value) == text


def test_files_are_written_in_utf_8(tmp_path: Path) -> None:
    write("γ\n", tmp_path / "text")
    assert (tmp_path / "text").read_bytes() == b"\xce\xb3\n"
    with pytest.raises(OSError, match="No such file"):
        write("γ", tmp_path / "nowhere" / "text")


def test_a_result_must_say_what_it_found() -> None:
    for method in (Result().rows, Result().summary):
        with pytest.raises(NotImplementedError):
            method()
