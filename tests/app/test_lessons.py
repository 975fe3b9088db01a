"""Lessons over the pages: nothing is given away before a prediction, what was said stays, and hostile links do no harm."""

from __future__ import annotations

import base64
import json
import zlib

import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments.convergence import SEPARATING
from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import Lesson, Question, Step, to_text
from mlem.lessons.questions import QUESTIONS
from mlem.lessons.said import from_said
from tests.app.conftest import Visit
from tests.app.pages import alternatives, link, prose

FIRST = {"lesson": "why-one-evaluation", "step": "1"}


def guess(app: AppTest, page: str, key: str, number: float) -> AppTest:
    """As if the mark had been put there, or the line been drawn: a component's events cannot be fired here."""
    app.session_state[f"lesson.{page}.{key}.guess"] = number
    return app.run()


def lock(app: AppTest, page: str, key: str) -> AppTest:
    return app.button(key=f"lesson.{page}.{key}.lock").click().run()


def test_the_answer_is_hidden_until_a_prediction_is_locked(visit: Visit) -> None:
    app = visit("hierarchy", FIRST | {"step": "2"})
    assert not app.exception
    assert "γ is the slope" not in prose(app)
    assert "hierarchy.cost" not in alternatives(app)
    assert "lesson.2.line" in alternatives(app), "here a line is to be drawn"
    assert app.button(key="lesson.hierarchy.2.lock").disabled, "nothing is said yet"
    assert "Nothing is said yet: predict first, then lock." in [caption.value for caption in app.caption]
    guess(app, "hierarchy", "2", 1.5)
    lock(app, "hierarchy", "2")
    assert not app.exception
    assert "You said 1.50; measured **2.4" in prose(app)
    assert "γ is the slope" in prose(app)
    assert "hierarchy.cost" in alternatives(app)
    assert alternatives(app)["lesson.2.shown"].startswith("Your line over what was measured. You said 1.50; measured 2.4")
    assert from_said(link(app)["said"])["2"].prediction == 1.5


def test_what_was_said_survives_a_reload(visit: Visit) -> None:
    app = visit("hierarchy", FIRST | {"step": "2", "said": "1~10~85.2~75~97_2~3.3"})
    assert "You said 3.30; measured **2.4" in prose(app)
    assert from_said(link(app)["said"])["1"].value == 85.2


def test_a_choice_cannot_be_locked_before_it_is_made(visit: Visit) -> None:
    app = visit("coin", FIRST | {"step": "3"})
    assert app.button(key="lesson.coin.3.lock").disabled
    assert "coin.mean" not in alternatives(app)
    app.radio(key="lesson.coin.3.guess").set_value("above it").run()
    lock(app, "coin", "3")
    assert "You said “above it”; it is **“the same, within its noise”**" in prose(app)
    assert "coin.mean" in alternatives(app)


def test_a_step_sets_its_page_and_the_next_one_too(visit: Visit) -> None:
    app = visit("coin", FIRST | {"step": "3", "said": "3~1"})
    app.button(key="lesson.next").click().run()
    assert not app.exception
    assert link(app)["step"] == "4"
    assert app.session_state["coin.params"].rule == "too-flat"
    assert app.button(key="lesson.coin.4.lock")


def test_a_changed_page_says_what_it_is_now(visit: Visit) -> None:
    app = visit("hierarchy", FIRST | {"step": "2", "said": "2~3"})
    app.select_slider(key="hierarchy.gamma").set_value(1.0).run()
    assert "The page was changed since: now it is **0.99" in prose(app)


def test_another_page_leads_back(visit: Visit) -> None:
    app = visit("coin", FIRST)
    assert any("You are in the lesson" in caption.value for caption in app.caption)
    assert app.button(key="lesson.resume")
    assert "Predict first" not in [button.label for button in app.button], "one question at a time"
    app.button(key="lesson.leave").click().run()
    assert "lesson" not in link(app)


def test_predict_first_asks_outside_of_lessons(visit: Visit) -> None:
    app = visit("coin", {})
    app.button(key="lesson.predict").click().run()
    assert "coin.mean" not in alternatives(app)
    app.radio(key="lesson.coin.coin.guess").set_value("below it").run()
    lock(app, "coin", "coin")
    assert "coin.mean" in alternatives(app)
    app.button(key="lesson.again").click().run()
    assert "coin.mean" not in alternatives(app)
    assert app.button(key="lesson.coin.coin.lock").disabled, "nothing is said anew"


def test_a_number_is_not_said_by_an_earlier_one(visit: Visit) -> None:
    app = visit("hierarchy", {"predict": "1"})
    lock(guess(app, "hierarchy", "hierarchy", 3.0), "hierarchy", "hierarchy")
    assert "You said 3.00" in prose(app)
    app.button(key="lesson.again").click().run()
    assert app.button(key="lesson.hierarchy.hierarchy.lock").disabled
    assert "said" not in link(app)


def test_what_is_said_in_one_lesson_is_not_in_another(visit: Visit) -> None:
    app = visit("hierarchy", FIRST | {"step": "2"})
    guess(app, "hierarchy", "2", 3.0)
    assert not app.button(key="lesson.hierarchy.2.lock").disabled
    app.query_params.clear()
    for key, text in {"lesson": "network-ladder", "step": "2"}.items():
        app.query_params[key] = text
    app.run()
    assert app.button(key="lesson.hierarchy.2.lock").disabled


ASKED_WITH = {
    "convergence-law": SEPARATING.to_query(),
    "crossover-breakeven": {"sde": "double-well", "levels": "7", "paths": "4096", "epsilon": "0.05"},
}
"""What a page is set to where its first result has no answer."""


@pytest.mark.parametrize("name", [name for name in QUESTIONS if QUESTIONS[name].page in ("convergence", "crossover", "steps")])
def test_sweeps_ask_too(visit: Visit, name: str) -> None:
    page, question = QUESTIONS[name].page, QUESTIONS[name].question
    params = ASKED_WITH.get(name, {})
    own = "~" + to_text(Lesson("One step", (Step(page, params, question=name),)))
    app = visit(page, {"lesson": own, "step": "1"})
    assert not app.exception
    assert set(alternatives(app)) <= {"lesson.1.line"}
    if question.kind == "choice":
        app.radio(key=f"lesson.{page}.1.guess").set_value(question.options[0]).run()
    else:
        guess(app, page, "1", question.low)
    lock(app, page, "1")
    assert not app.exception
    assert "You said" in prose(app)


def test_a_teachers_words_are_shown_as_they_are(visit: Visit) -> None:
    evil = "<img src=x onerror=alert(1)> [click](http://evil.example) **bold** :material/home: $x$"
    asked = Question(evil, low=1, high=5, answer=2.0)
    own = "~" + to_text(Lesson(evil, (Step("coin", {"draws": "10"}, evil, asked, ("gamma",), evil),)))
    app = visit("coin", {"lesson": own})
    assert not app.exception
    assert "[click](" not in prose(app)
    assert "<img" not in prose(app).replace("\\<", "")
    assert app.session_state["coin.params"].draws == 10
    assert not [one for one in app.select_slider if one.key == "coin.gamma"]
    lock(guess(app, "coin", "1", 3.0), "coin", "1")
    assert "You said 3.00; measured **2.00**." in prose(app)


BOMB = "1" + base64.urlsafe_b64encode(zlib.compress(json.dumps(" " * 10**6).encode(), 9)).decode().rstrip("=")


@pytest.mark.parametrize(
    "query",
    [
        {"lesson": "nothing"},
        {"lesson": "~"},
        {"lesson": "~<script>alert(1)</script>"},
        {"lesson": "~" + BOMB},
        {"lesson": "why-one-evaluation" * 100},
    ],
)
def test_a_hostile_lesson_gets_a_notice_and_the_page(visit: Visit, query: dict[str, str]) -> None:
    app = visit("coin", query)
    assert not app.exception
    assert "could not be opened" in app.warning[0].value
    assert "coin.mean" in alternatives(app)
    assert "lesson" not in link(app)


@pytest.mark.parametrize("said", ["~~~", "3~nan", "3~1e999~2", "_" * 900, "3~" + "9" * 300, "3~7~8"])
@pytest.mark.parametrize("step", ["3", "-1", "999999", "²", ""])
def test_hostile_places_do_no_harm(visit: Visit, said: str, step: str) -> None:
    app = visit("coin", {"lesson": "why-one-evaluation", "step": step, "said": said})
    assert not app.exception


def test_the_overview_offers_three_and_starts_one(app: AppTest, monkeypatch: pytest.MonkeyPatch) -> None:
    app.run()
    app.switch_page("pages/lessons.py").run()
    assert not app.exception
    assert {header.value for header in app.header} >= {"Why one evaluation is enough"}
    app.button(key="lessons.start.why-one-evaluation").click().run()
    assert not app.exception
    assert link(app)["lesson"] == "why-one-evaluation"
    assert app.title[0].value == "Same accuracy: who pays less?"


def test_the_end_shows_what_was_said(visit: Visit) -> None:
    said = "_".join(f"{n}~{0 if n in (3, 7) else 2}~1" for n in range(1, 9))
    app = visit("lessons", {"lesson": "why-one-evaluation", "step": "8", "said": said})
    assert not app.exception
    assert "What you said, and what was measured" in prose(app)
    assert "You said 2.00 ×; measured **1.00 ×**." in prose(app)
    app.button(key="lessons.back.why-one-evaluation.3").click().run()
    assert link(app)["step"] == "3"
    assert link(app)["said"] == said


@pytest.mark.parametrize("lesson", list(LESSONS))
def test_every_step_can_be_asked_as_it_is_set(lesson: str) -> None:
    for step in LESSONS[lesson].steps:
        assert isinstance(step.question, str)
        assert QUESTIONS[step.question].page == step.page
