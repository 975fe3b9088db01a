"""What the browser gets of a prediction, and what is made of what it says."""

from __future__ import annotations

import pytest

from mlem.lessons.lesson import Question
from mlem.ui.chart import MAGIC
from mlem.ui.lesson_figures import LINE_HEIGHT, asked_number
from mlem.ui.predict import payload_of
from tests.ui.payloads import unpack

ASKED = asked_number(Question("How many?", low=1.0, high=100.0, log=True, unit="×"))


def test_nothing_is_said_at_first() -> None:
    header, _ = unpack(MAGIC, payload_of(ASKED, None, key="here", height=LINE_HEIGHT))
    assert header["at"] == -1
    assert header["values"] == sorted(header["values"])
    assert len(header["values"]) == len(header["labels"]) == len(header["words"])
    assert header["label"] == "Your prediction (×)"


@pytest.mark.parametrize("said", [1.0, 12.0, 100.0])
def test_what_is_said_comes_back(said: float) -> None:
    header, _ = unpack(MAGIC, payload_of(ASKED, said, key="here", height=LINE_HEIGHT))
    assert header["values"][header["at"]] == said
    assert ASKED.said(header["at"]) == said


@pytest.mark.parametrize("at", [-1, 10**6, None, "3", 1.5, [0]])
def test_what_is_no_place_says_nothing(at: object) -> None:
    assert ASKED.said(at) is None
