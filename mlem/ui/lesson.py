"""A lesson on a page: its card asks, keeps back the answer until somebody has predicted it, and goes on to the next step.

The place in the lesson and what was said go along in the link, so that a reload or another device finds them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import streamlit as st

from mlem.errors import Estimate
from mlem.experiments.params import Params, to_key
from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import Lesson, Question, Step, from_text
from mlem.lessons.questions import QUESTIONS, Standing, Truth, of_page
from mlem.lessons.said import Said, from_said, to_said
from mlem.ui import along, lesson_figures
from mlem.ui.chart import chart
from mlem.ui.markdown import plain
from mlem.ui.page import say
from mlem.ui.predict import predict
from mlem.ui.state import keep_params
from mlem.words import digits, estimate, measure

OVERVIEW = "pages/lessons.py"
ASK_FIRST = "First predict. What this page says comes after that."

_OWN = "~"  # before the text of a teacher's lesson
_STEADY = "lesson.opened"  # the step whose setting was made, and the page


@dataclass(frozen=True)
class Learning:
    """What a page has of a lesson, or of its own standing question. ``key``: under which what is said is kept, None where
    nothing is asked; ``notice``: what was wrong with the lesson's link."""

    page: str
    name: str = ""
    lesson: Lesson | None = None
    number: int = 1
    step: Step | None = None
    question: Question | None = None
    standing: Standing | None = None
    key: str = ""
    notice: str = ""

    @property
    def hidden(self) -> bool:
        """Whether the page's answers are hidden."""
        return self.question is not None and self.key not in said()

    @property
    def free(self) -> bool:
        """Whether this is no step of a lesson, so that presets may be offered."""
        return self.step is None

    def lead(self, text: str) -> str:
        """What stands under the page's question."""
        return ASK_FIRST if self.hidden else text

    def offer(self) -> None:
        """The way to predict before looking, where nothing is asked."""
        if self.question is not None or self.lesson is not None:
            return
        st.button(
            "Predict first",
            key="lesson.predict",
            type="tertiary",
            icon=":material/psychology_alt:",
            help=QUESTIONS[of_page(self.page)].question.prompt,
            on_click=partial(along.put, {"predict": "1"}),
        )

    def card(self, params: Params, result: Any, *, ready: bool = True) -> bool:
        """Draws the card; True while the answer is hidden. ``result`` is None where the page has none; one that is not
        ``ready`` has not all of its runs, and answers nothing."""
        if not ready:
            if not self.free or self.hidden:
                st.caption("The question comes when all runs are there.")
            return self.hidden
        if self.notice:
            st.warning(self.notice, icon=":material/link_off:")
        if self.lesson is not None and self.step is None:
            _elsewhere(self)
        if self.step is None and self.question is None:
            return False
        with st.container(border=True, key=f"lesson-{self.page}"):
            if self.step is not None:
                assert self.lesson is not None
                st.caption(f"{plain(self.lesson.title)} · step {self.number} of {len(self.lesson.steps)}")
                _words(self.step.intro, self._own)
            hidden = self._ask_and_tell(params, result)
            if self.step is not None and not hidden:
                _words(self.step.after, self._own)
                self._onward()
            elif self.step is not None:
                _leave_button()
        return hidden

    @property
    def _own(self) -> bool:
        return self.name.startswith(_OWN)

    def _ask_and_tell(self, params: Params, result: Any) -> bool:
        if self.question is None:
            return False
        truth = self._truth(params, result)
        if truth is None:
            st.caption("This cannot be asked here as the page is set: its result has no answer.")
            return False
        prompt = self.question.prompt
        say(f"**{plain(prompt) if self._own else prompt}**")
        points = self.standing.points(result) if self.standing and self.standing.points else None
        now = said().get(self.key)
        if now is None:
            _ask(self.question, self.key, self.page, points)
            return True
        today = now.with_truth(self.question, truth)
        if self.question.kind == "slope" and points:
            alt = f"Your line over what was measured. {_spoken(self.question, today)}"
            picture = lesson_figures.drawn_slope(self.question, points, today)
            chart(picture, key=f"lesson.{self.key}.shown", alt=alt, height=lesson_figures.SLOPE_HEIGHT)
        if now.value is None:
            now = today
            put_said(self.key, now)
        _tell(self.question, now, today, truth)
        if self.free:
            _ask_again(self.key)
        return False

    def _truth(self, params: Params, result: Any) -> Truth | None:
        assert self.question is not None
        if self.question.answer is not None:
            return Truth(self.question.answer, "")
        return self.standing.truth(params, result) if self.standing and result is not None else None

    def _onward(self) -> None:
        assert self.lesson is not None
        last = self.number == len(self.lesson.steps)
        with st.container(horizontal=True):
            if st.button("Finish" if last else "Next", key="lesson.next", type="primary", icon=":material/arrow_forward:"):
                if last:
                    st.switch_page(OVERVIEW, query_params=along.texts())
                go_to(self.name, self.lesson, self.number + 1)
            _leave_button()


def begin(page: str, kind: type[Params]) -> Learning:
    """What the page has of a lesson. Call before ``read_params``: at a step that is new it sets the page."""
    texts = along.texts()
    name = texts.get("lesson")
    if name is None:
        asks = texts.get("predict") == "1" or texts.get("class") == "1"
        if not asks:
            return Learning(page)
        standing = QUESTIONS[of_page(page)]
        return Learning(page, question=standing.question, standing=standing, key=page)
    try:
        lesson = found(name)
    except ValueError as error:
        leave()
        return Learning(page, notice=f"The lesson in this link could not be opened: {plain(str(error))}.")
    number = _number(texts.get("step", "1"), len(lesson.steps))
    step = lesson.steps[number - 1]
    if step.page != page:
        return Learning(page, name, lesson, number)
    _open(name, number, step, kind)
    if isinstance(step.question, Question):
        return Learning(page, name, lesson, number, step, step.question, key=str(number))
    registered = QUESTIONS.get(step.question or "")
    if registered is None or registered.page != page:
        return Learning(page, name, lesson, number, step)
    return Learning(page, name, lesson, number, step, registered.question, registered, key=str(number))


def found(name: str) -> Lesson:
    """The lesson that a link names. Raises ValueError, in words, where there is none."""
    if name.startswith(_OWN):
        return from_text(name.removeprefix(_OWN))
    if name not in LESSONS:
        raise ValueError("there is none of that name")
    return LESSONS[name]


def go_to(name: str, lesson: Lesson, number: int) -> None:
    """Opens a step, as the lesson has it."""
    step = lesson.steps[number - 1]
    st.session_state.pop(_STEADY, None)
    along.put({"lesson": name, "step": str(number)})
    st.switch_page(f"pages/{step.page}.py", query_params=along.texts())


def leave() -> None:
    """Ends the lesson; what was said stays in the session's memory of it."""
    along.put({"lesson": None, "step": None, "said": None, "hide": None})
    st.session_state.pop(_STEADY, None)


def reopen(name: str, everything: Mapping[str, Said]) -> None:
    """Makes a lesson the one that is gone through, with what was said in it."""
    along.put({"lesson": name, "said": to_said(everything) or None})


def forget(name: str) -> None:
    """Forgets what was said in a lesson."""
    st.session_state.get("lesson.kept", {}).pop(name, None)
    if along.texts().get("lesson") == name:
        leave()


def said() -> dict[str, Said]:
    """What was said so far, by step or page."""
    return from_said(along.texts().get("said", ""))


def put_said(key: str, one: Said) -> None:
    """Keeps it, in the link too."""
    everything = said() | {key: one}
    along.put({"said": to_said(everything)})
    if name := along.texts().get("lesson"):
        st.session_state.setdefault("lesson.kept", {})[name] = everything


def kept(name: str) -> dict[str, Said]:
    """What was said in a lesson, now or earlier in this session."""
    if along.texts().get("lesson") == name:
        return said()
    everything: Mapping[str, dict[str, Said]] = st.session_state.get("lesson.kept", {})
    return everything.get(name, {})


def compared(question: Question, now: Said) -> str:
    """A prediction beside what was measured, in words."""
    assert now.value is not None
    if question.kind == "choice":
        you, it = (_option(question, place) for place in (now.prediction, now.value))
        return f"You said “{plain(you)}”; it is **“{plain(it)}”**."
    guess, truth = (
        measure(value, plain(question.unit)) if question.unit else digits(value) for value in (now.prediction, now.value)
    )
    interval = ""
    if now.low is not None and now.high is not None:
        interval = estimate(Estimate(now.value, now.low, now.high)).removeprefix(digits(now.value))
    return f"You said {guess}; measured **{truth}**{interval}."


def _spoken(question: Question, now: Said) -> str:
    """As a picture's words, which nothing marks up."""
    return compared(question, now).replace("**", "")


def _open(name: str, number: int, step: Step, kind: type[Params]) -> None:
    """Sets the page as the step wants it, once; a link that names the page's own parameters is a reload, and is left alone."""
    here = (name, number)
    if st.session_state.get(_STEADY) == here:
        return
    st.session_state[_STEADY] = here
    st.session_state.pop(_unlocked(step.page, str(number)), None)  # another lesson's
    if any(to_key(field) in st.query_params for field in kind.specs()):
        return
    along.put({"hide": ",".join(step.hide) or None})
    keep_params(kind.nearest(dict(step.params))[0], step.page)


def _ask(question: Question, key: str, page: str, points: Any) -> None:
    widget = _unlocked(page, key)
    chosen: float | None
    if question.kind == "choice":
        option = st.radio("Your prediction", question.options, index=None, key=widget, format_func=plain)
        chosen = None if option is None else float(question.options.index(option))
    else:
        turned = question.kind == "slope" and points is not None
        asked = lesson_figures.asked_slope(question, points) if turned else lesson_figures.asked_number(question)
        height = lesson_figures.SLOPE_HEIGHT if turned else lesson_figures.LINE_HEIGHT
        chosen = st.session_state.get(widget)
        predict(asked, chosen, key=f"lesson.{key}.line", height=height, on_said=partial(st.session_state.__setitem__, widget))
    with st.container(horizontal=True, vertical_alignment="center"):
        st.button(
            "Lock my prediction",
            key=f"lesson.{page}.{key}.lock",
            type="primary",
            icon=":material/lock:",
            disabled=chosen is None,
            on_click=partial(_lock, page, key, chosen),
        )
        if chosen is None:
            st.caption("Nothing is said yet: predict first, then lock.")


def _unlocked(page: str, key: str) -> str:
    """Where the session has a prediction that is not locked yet."""
    return f"lesson.{page}.{key}.guess"


def _lock(page: str, key: str, chosen: float | None) -> None:
    assert chosen is not None
    put_said(key, Said(chosen))
    st.session_state.pop(_unlocked(page, key), None)  # so that nothing is said when it is asked again


def _tell(question: Question, now: Said, today: Said, truth: Truth) -> None:
    """``now``: what was said and measured then; ``today``: measured as the page is set now."""
    say(compared(question, now))
    if question.kind == "number":
        picture = lesson_figures.number_line(question, now)
        chart(picture, key="lesson.line", alt=_spoken(question, now), height=lesson_figures.LINE_HEIGHT)
    if today.value != now.value and today.value is not None:
        it = f"“{plain(_option(question, today.value))}”" if question.kind == "choice" else digits(today.value)
        st.markdown(f"The page was changed since: now it is **{it}**.")
    if truth.sentence:
        say(truth.sentence)


def _words(text: str, own: bool) -> None:
    """A lesson's own words may be marked up; a teacher's come out of a link and are shown as they are."""
    if text:
        say(plain(text) if own else text)


def _elsewhere(learning: Learning) -> None:
    assert learning.lesson is not None
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption(f"You are in the lesson “{plain(learning.lesson.title)}”, step {learning.number}.")
        if st.button("Go on with it", key="lesson.resume", icon=":material/school:"):
            go_to(learning.name, learning.lesson, learning.number)
        _leave_button()


def _ask_again(key: str) -> None:
    """After a page's own question: another look, or an end of asking."""
    with st.container(horizontal=True):
        st.button("Ask again", key="lesson.again", icon=":material/replay:", on_click=partial(_forget, key))
        st.button("No more questions", key="lesson.unasked", type="tertiary", on_click=partial(along.put, {"predict": None}))


def _forget(key: str) -> None:
    everything = said()
    everything.pop(key, None)
    along.put({"said": to_said(everything) or None})


def _leave_button() -> None:
    st.button("Leave the lesson", key="lesson.leave", type="tertiary", on_click=leave)


def _option(question: Question, place: float) -> str:
    return question.options[min(max(int(place), 0), len(question.options) - 1)]


def _number(text: str, most: int) -> int:
    return min(max(int(text), 1), most) if text.isascii() and text.isdigit() and len(text) < 5 else 1
