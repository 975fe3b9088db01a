"""What was said comes back from a link, and what is no prediction is passed over."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from mlem.lessons.lesson import Question
from mlem.lessons.questions import Truth
from mlem.lessons.said import Said, from_said, to_said

NUMBERS = st.floats(-1e6, 1e6)


@given(st.dictionaries(st.sampled_from(["1", "7", "20", "race"]), st.lists(NUMBERS, min_size=1, max_size=4)))
def test_what_was_said_comes_back(said: dict[str, list[float]]) -> None:
    everything = {key: Said(*numbers) for key, numbers in said.items()}
    text = to_said(everything)
    assert from_said(text) == everything
    assert re.fullmatch(r"[a-z0-9_~.e-]*", text), "nothing in it has to be escaped in a link"


@given(st.text())
def test_any_text_is_read(text: str) -> None:
    assert isinstance(from_said(text), dict)


def test_what_was_measured_is_kept_short() -> None:
    now = Said(10.0).with_truth(Question("How many?", low=0.0, high=100.0), Truth(85.2345, "", 75.01, 97.49))
    assert to_said({"1": now}) == "1~10~85.2~75~97.5"


def test_a_choice_is_kept_as_its_place() -> None:
    asked = Question("Which?", "choice", options=("a", "b"))
    assert Said(0.0).with_truth(asked, Truth("b", "")) == Said(0.0, 1.0)
