"""The Teach page: steps are made, changed, moved and removed; links, a frame and a sheet come out; the draft is in the link."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import MAX_LINK, Lesson, Question, Step, from_text, to_text
from tests.app.conftest import Visit
from tests.app.pages import link, prose

STEPS = (Step("race", {"gamma": "4"}, hide=("seed",)), Step("coin", {"rule": "too-flat"}, intro="Look at the shares."))


def drafted(app: AppTest) -> Lesson:
    return from_text(link(app)["draft"].removeprefix("~"))


def opened(visit: Visit, *steps: Step) -> AppTest:
    return visit("teach", {"draft": to_text(Lesson("Two steps", steps or STEPS))})


def press(app: AppTest, key: str) -> AppTest:
    app.button(key=key).click().run()
    assert not app.exception
    return app


def test_says_what_to_do_first(visit: Visit) -> None:
    app = visit("teach", {})
    assert not app.exception
    assert "Ten minutes before class?" in prose(app)
    assert [header.value for header in app.header][:3] == ["1. Begin", "2. Steps", "3. Hand it out"]
    assert not app.code, "nothing to hand out yet"
    assert "draft" not in link(app)


def test_a_first_step_is_made_and_handed_out(visit: Visit) -> None:
    app = visit("teach", {})
    app.selectbox(key="step.page").set_value("coin").run()
    app.selectbox(key="step.preset.coin").set_value("The paper’s rule").run()
    app.multiselect(key="step.hide.coin").set_value(["budget"]).run()
    app.text_area(key="step.intro").set_value("Which network is called how often?").run()
    press(app, "teach.keep")
    step = Step("coin", {"rule": "power-law"}, "Which network is called how often?", None, ("seed", "budget"))
    assert drafted(app).steps == (step,)
    links = [code.value for code in app.code]
    assert all("/coin?lesson=~" in one or one.startswith("<iframe") for one in links)
    assert all("class=1" in one and len(one) < MAX_LINK for one in links)
    assert app.text_area(key="step.intro").value == "", "the form is free for the next step"


def test_the_draft_is_in_the_link_and_can_be_gone_on_with(visit: Visit) -> None:
    app = opened(visit)
    assert drafted(app) == Lesson("Two steps", STEPS)
    assert app.text_input(key="teach.title").value == "Two steps"
    app.text_input(key="teach.title").set_value("Other words").run()
    assert drafted(app).title == "Other words"


def test_steps_are_moved_changed_and_removed(visit: Visit) -> None:
    app = opened(visit)
    press(app, "teach.down.0")
    assert drafted(app).steps == STEPS[::-1]
    press(app, "teach.edit.0")
    assert app.text_area(key="step.intro").value == "Look at the shares."
    app.text_area(key="step.after").set_value("Too flat wastes money.").run()
    press(app, "teach.keep")
    assert drafted(app).steps[0] == Step(
        "coin", {"rule": "too-flat"}, intro="Look at the shares.", after="Too flat wastes money."
    )
    press(app, "teach.remove.0")
    assert drafted(app).steps == STEPS[:1]
    press(app, "teach.remove.0")
    assert not app.code


def test_a_pasted_link_is_the_step(visit: Visit) -> None:
    app = visit("teach", {})
    app.selectbox(key="step.page").set_value("hierarchy").run()
    app.selectbox(key="step.preset.hierarchy").set_value("As in the link below").run()
    app.text_input(key="step.link").set_value("http://class.example/coin?rule=too-flat").run()
    assert "That link opens Coin" in app.warning[0].value
    app.text_input(key="step.link").set_value("http://class.example/nowhere").run()
    assert "This one has “nowhere”" in app.warning[0].value
    assert app.button(key="teach.keep").disabled
    app.text_input(key="step.link").set_value("http://class.example/hierarchy?gamma=99&levels=3").run()
    assert any("It is now 8" in message.value for message in app.info)
    press(app, "teach.keep")
    assert drafted(app).steps[0].params == {"gamma": "8", "levels": "3"}


def test_own_questions_with_their_answers(visit: Visit) -> None:
    app = visit("teach", {})
    app.selectbox(key="step.ask").set_value("My own: a number").run()
    assert app.button(key="teach.keep").disabled
    app.text_input(key="step.prompt").set_value("How much *cheaper*?").run()
    app.number_input(key="step.answer").set_value(30.0).run()
    press(app, "teach.keep")
    own = Question("How much *cheaper*?", "number", 0.0, 100.0, answer=30.0)
    assert drafted(app).steps[0].question == own
    assert "asks: How much *cheaper*?" in [text.value for text in app.text], "a teacher's words are shown as they are"
    app.selectbox(key="step.ask").set_value("My own: a choice").run()
    app.text_input(key="step.prompt").set_value("Which?").run()
    app.text_area(key="step.options").set_value("EM\nML-EM\n").run()
    app.selectbox(key="step.right").set_value("ML-EM").run()
    press(app, "teach.keep")
    assert drafted(app).steps[1].question == Question("Which?", "choice", options=("EM", "ML-EM"), answer="ML-EM")
    for place in (0, 1):
        press(press(app, f"teach.edit.{place}"), "teach.keep")
    assert drafted(app).steps[0].question == own, "what is kept unchanged stays as it was"


def test_too_long_is_said_with_what_to_do(visit: Visit) -> None:
    app = opened(visit)
    noise = " ".join(format(7919 * i**3 % 1_000_003, "x") for i in range(180))
    press(app, "teach.edit.0")
    app.text_area(key="step.intro").set_value(noise[:1200]).run()
    app.text_area(key="step.after").set_value(noise[::-1][:1200]).run()
    press(app, "teach.keep")
    assert "too long for one link by" in app.warning[0].value
    assert "shorten" in app.warning[0].value
    assert "Even alone, step 1 is too long" in app.error[0].value
    assert not app.code


@pytest.mark.parametrize("name", list(LESSONS))
def test_a_ready_lesson_is_handed_out_by_its_name(visit: Visit, name: str) -> None:
    app = visit("teach", {})
    press(app, f"teach.copy.{name}")
    assert link(app)["draft"] == name
    assert f"?lesson={name}&step=1&class=1" in app.code[0].value
    assert not app.warning
    press(app, f"teach.remove.{len(LESSONS[name].steps) - 1}")
    assert f"lesson={name}&" not in app.code[0].value, "it is the teacher's own from the first change on"
    assert all(len(code.value) <= MAX_LINK for code in app.code if not code.value.startswith("<"))


def test_a_broken_draft_is_said_and_dropped(visit: Visit) -> None:
    app = visit("teach", {"draft": "1nonsense"})
    assert not app.exception
    assert "could not be read" in app.info[0].value
    assert "draft" not in link(app)


def test_the_claims_are_those_of_the_readme(visit: Visit) -> None:
    app = visit("teach", {})
    assert "| claim | theory | measured | command |" in prose(app)
    assert "`python -m mlem faces` `--process ode`" in prose(app), "no line ends within an option"
