"""A lesson's parts refuse what is wrong, and a lesson comes back from its link as it was; a hostile link is told in words."""

from __future__ import annotations

import base64
import json
import re
import zlib
from contextlib import suppress

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from mlem.lessons.lesson import KINDS, MAX_LINK, PAGES, Lesson, Question, Step, from_text, to_text

WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=30)
SAID = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=30)
NAMES = st.text("abcdefghijklmnopqrstuvwxyz-", max_size=12)
NUMBERS = st.fixed_dictionaries(
    {"prompt": SAID, "kind": st.sampled_from(["number", "slope"]), "low": st.floats(0.01, 1.0), "high": st.floats(2.0, 1e6)},
    optional={"log": st.just(True), "unit": SAID, "answer": st.floats(-1e6, 1e6)},
)
CHOICES = st.fixed_dictionaries(
    {"prompt": SAID, "kind": st.just("choice"), "options": st.lists(SAID, min_size=2, max_size=6, unique=True)}
)
STEPS = st.fixed_dictionaries(
    {"page": st.sampled_from(PAGES)},
    optional={
        "params": st.dictionaries(NAMES, WORDS, min_size=1, max_size=4),
        "intro": SAID,
        "question": SAID | NUMBERS | CHOICES,
        "hide": st.lists(NAMES, min_size=1, max_size=4),
        "after": SAID,
    },
)
CONTENTS = st.fixed_dictionaries(
    {"title": SAID, "steps": st.lists(STEPS, min_size=1, max_size=3)},
    optional={"audience": SAID, "minutes": st.integers(1, 60), "goals": st.lists(WORDS, min_size=1, max_size=3)},
)


def packed(content: object) -> str:
    """A text as :func:`to_text` writes it, of anything."""
    return "1" + base64.urlsafe_b64encode(zlib.compress(json.dumps(content).encode())).decode().rstrip("=")


@given(CONTENTS)
def test_a_lesson_comes_back_as_it_was(content: dict[str, object]) -> None:
    assume(len(packed(content)) <= MAX_LINK)
    lesson = from_text(packed(content))
    assert lesson.title == content["title"]
    text = to_text(lesson)
    assert re.fullmatch(r"[A-Za-z0-9_-]+", text), "nothing in it has to be escaped in a link"
    assert from_text(text) == lesson


def test_a_small_lesson_is_short() -> None:
    asked = Question("How many times cheaper is ML-EM?", low=1, high=1000, log=True, unit="×")
    lesson = Lesson("Two steps", (Step("race", {"gamma": "1"}, "Look.", asked), Step("coin", question="coin-mean")))
    assert len(to_text(lesson)) < 300


@pytest.mark.parametrize(
    "text",
    ["", "1", "2abc", "1!!!!", "1" + "A" * 200, "x" * (MAX_LINK + 1), "1é", to_text(Lesson("A", (Step("race"),)))[:-6]],
)
def test_what_is_no_lesson_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="lesson"):
        from_text(text)


def test_a_bomb_does_not_unfold() -> None:
    bomb = "1" + base64.urlsafe_b64encode(zlib.compress(b" " * 1_000_000, 9)).decode().rstrip("=")
    assert len(bomb) <= MAX_LINK
    with pytest.raises(ValueError, match="too large"):
        from_text(bomb)


STEP = {"page": "race"}


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ([], "lesson takes a dict"),
        ({}, "steps takes a list"),
        ({"title": "A", "steps": []}, "steps takes 1 to 20"),
        ({"title": "A", "steps": [STEP] * 21}, "steps takes 1 to 20"),
        ({"title": 3, "steps": [STEP]}, "title takes"),
        ({"title": "", "steps": [STEP]}, "title takes 1 to"),
        ({"title": "A", "steps": [STEP], "evil": 1}, "a name in a lesson"),
        ({"title": "A", "steps": [STEP], "minutes": "ten"}, "minutes takes a"),
        ({"title": "A", "steps": [STEP], "minutes": 601}, "minutes takes an integer"),
        ({"title": "A", "steps": [{"page": "../etc"}]}, "page takes one of"),
        ({"title": "A", "steps": [{}]}, "page takes one of"),
        ({"title": "A", "steps": [{**STEP, "params": [1]}]}, "params takes a dict"),
        ({"title": "A", "steps": [{**STEP, "params": {"gamma": 1}}]}, "params and hide"),
        ({"title": "A", "steps": [{**STEP, "hide": "gamma"}]}, "hide takes a list"),
        ({"title": "A", "steps": [{**STEP, "intro": "x" * 1201}]}, "intro takes 0 to 1200"),
        ({"title": "A", "steps": [{**STEP, "question": 5}]}, "question takes a str"),
        ({"title": "A", "steps": [{**STEP, "question": {}}]}, "prompt takes 1 to"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "kind": "essay"}}]}, "kind takes one of"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "low": float("nan")}}]}, "low takes a finite"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "low": 2}}]}, "high takes a number above"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "log": True}}]}, "low takes a positive"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "log": 1}}]}, "log takes a bool"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "answer": "x"}}]}, "answer takes a finite"),
        ({"title": "A", "steps": [{**STEP, "question": {"prompt": "p", "kind": "choice"}}]}, "options takes 2 to 6"),
    ],
)
def test_what_is_wrong_in_a_lesson_is_named(content: object, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        from_text(packed(content))


@pytest.mark.parametrize(
    ("wrong", "told"),
    [({"options": ("a", "a")}, "differ"), ({"options": ("a", "b"), "answer": "c"}, "answer takes one of the options")],
)
def test_a_choice_knows_its_options(wrong: dict[str, object], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Question("Which?", "choice", **wrong)  # type: ignore[arg-type]


@given(st.text(max_size=300) | st.binary(max_size=300).map(lambda b: "1" + base64.urlsafe_b64encode(b).decode()))
def test_chance_makes_nothing_but_value_errors(text: str) -> None:
    with suppress(ValueError):
        from_text(text)


def test_every_kind_is_known() -> None:
    assert KINDS == ("number", "slope", "choice")
