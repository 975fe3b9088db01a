"""Links and sheets of a teacher's lesson."""

from __future__ import annotations

from urllib.parse import parse_qs, urlsplit

import pytest
import segno
from hypothesis import given, settings
from hypothesis import strategies as st

from mlem.lessons.lesson import PAGES, Lesson, Question, Step, from_text
from mlem.ui import teaching
from mlem.ui.modes import Modes
from mlem.ui.presets import PRESETS
from mlem.ui.teaching import Way

LESSON = Lesson("Cheap & <good>", (Step("race"), Step("coin", {"rule": "too-flat"}, question=Question("γ?", answer=0.5))))
WAY = Way("http://192.168.0.7:8501", Modes(classroom=True, projector=True))


@pytest.mark.parametrize("number", [1, 2])
def test_a_link_holds_lesson_step_and_modes(number: int) -> None:
    parts = urlsplit(WAY.link(LESSON, number))
    query = parse_qs(parts.query)
    assert parts.path == ("/", "/coin")[number - 1]
    assert query["step"] == [str(number)]
    assert query["class"] == query["projector"] == ["1"]
    assert from_text(query["lesson"][0].removeprefix("~")) == LESSON


def test_modes_that_are_off_are_not_in_it() -> None:
    assert set(parse_qs(urlsplit(Way("http://a").link(LESSON, 1)).query)) == {"lesson", "step"}


@pytest.mark.parametrize("page", PAGES)
def test_every_preset_comes_back_from_its_link(page: str) -> None:
    for params in PRESETS[page].values():
        query = "&".join(f"{key}={text}" for key, text in params.to_query().items())
        found, texts, notices = teaching.from_link(f"https://host/app/{'' if page == 'race' else page}?{query}")
        assert (found, notices) == (page, [])
        assert teaching.kind(page).nearest(texts)[0] == params
        assert texts == teaching.changed(params)


@given(st.text(max_size=200))
@settings(max_examples=200)
def test_any_text_is_a_link_or_refused_in_words(text: str) -> None:
    try:
        page, _, _ = teaching.from_link(text)
    except ValueError:
        return
    assert page in PAGES


def test_the_sheet_has_the_code_of_every_step_and_fetches_nothing() -> None:
    sheet = teaching.sheet(LESSON, WAY)
    for number in (1, 2):
        code = segno.make(WAY.link(LESSON, number), error="l", micro=False)
        drawn = code.svg_inline(scale=4, border=4, dark="#000", light="#fff", omitsize=True)
        assert drawn in sheet
        assert f"192.168.0.7:8501/{('', 'coin')[number - 1]} · step {number}" in sheet
    assert "Cheap &amp; &lt;good&gt;" in sheet
    assert "<good>" not in sheet
    assert "src=" not in sheet
    assert "url(" not in sheet


def test_how_much_too_long() -> None:
    assert WAY.too_long(LESSON) == ""
    noise = " ".join(format(7919 * i**3 % 1_000_003, "x") for i in range(180))[:1200]
    long = Lesson("Long", (Step("race", intro=noise, after=noise[::-1]),))
    assert "too long for one link by" in WAY.too_long(long)
    assert WAY.steps_too_long(long) == (1,)


def test_where_the_whole_is_too_long_each_step_travels_alone() -> None:
    noise = " ".join(format(7919 * i**3 % 1_000_003, "x") for i in range(180))
    long = Lesson(
        "Long",
        tuple(Step("coin", intro=noise[400 * k : 400 * k + 400], after=noise[400 * k : 400 * k + 400][::-1]) for k in range(3)),
    )
    assert WAY.too_long(long)
    assert WAY.steps_too_long(long) == ()
    query = parse_qs(urlsplit(WAY.link(long, 3)).query)
    assert query["step"] == ["1"]
    assert from_text(query["lesson"][0].removeprefix("~")) == Lesson("Long, step 3", long.steps[2:3])


@pytest.mark.parametrize(("place", "by", "order"), [(0, 1, "bac"), (0, -1, "abc"), (2, -1, "acb"), (1, 5, "acb")])
def test_moved(place: int, by: int, order: str) -> None:
    steps = {name: Step("race", intro=name) for name in "abc"}
    assert teaching.moved(tuple(steps.values()), place, by) == tuple(steps[name] for name in order)


def test_a_step_in_a_line() -> None:
    assert teaching.described(LESSON.steps[1]).startswith("Coin, Probabilities pₖ: ")
    assert teaching.described(LESSON.steps[0]) == "Race, as it opens"


@pytest.mark.parametrize(("base", "local"), [("http://localhost:8501", True), ("http://192.168.0.7:8501", False), ("", False)])
def test_addresses_of_this_computer_alone(base: str, local: bool) -> None:
    assert Way(base).is_local() is local
