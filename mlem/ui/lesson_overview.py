"""The lessons side by side: for whom, how long, how far one is; and a finished one's summary."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial

import streamlit as st

from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import Lesson, Question, Step
from mlem.lessons.questions import QUESTIONS
from mlem.lessons.said import Said
from mlem.ui import along, lesson
from mlem.ui.markdown import plain
from mlem.ui.page import say

LEAD = (
    "Each lesson goes over several pages. You predict before you see; then your prediction stands beside what was "
    "measured, with the reason in a sentence. Nothing is marked: being wrong is where one learns most. Keyboard: Tab, "
    "arrows, Enter."
)


def offered(current: str | None) -> dict[str, Lesson]:
    """The app's own lessons, after the teacher's that somebody is in."""
    lessons = dict(LESSONS)
    if current is not None and current not in lessons:
        try:
            return {current: lesson.found(current)} | lessons
        except ValueError:
            lesson.leave()
    return lessons


def draw(name: str, offered: Lesson, *, said: Mapping[str, Said], current: bool) -> None:
    """One lesson: what it is, the way in, and what was said so far."""
    asked = [str(n) for n, step in enumerate(offered.steps, start=1) if question(step)]
    answered = [key for key in asked if key in said]
    with st.container(border=True, key=f"lesson-offer-{list(LESSONS).index(name) if name in LESSONS else 'own'}"):
        st.header(plain(offered.title), anchor=False)
        minutes = f" · {offered.minutes}\N{NO-BREAK SPACE}minutes" if offered.minutes else ""
        st.caption(f"{plain(offered.audience or 'From your teacher')}{minutes} · {len(offered.steps)}\N{NO-BREAK SPACE}steps")
        if offered.goals:
            say("Afterwards you can say:\n" + "\n".join(f"- {plain(goal)}" for goal in offered.goals))
        if answered:
            st.progress(len(answered) / len(asked), text=f"{len(answered)} of {len(asked)} questions answered")
        _ways_in(name, offered, said, current, done=bool(asked) and len(answered) == len(asked))
        if answered:
            _summary(name, offered, said)


def question(step: Step) -> Question | None:
    """What a step asks."""
    if isinstance(step.question, str):
        return QUESTIONS[step.question].question if step.question in QUESTIONS else None
    return step.question


def _ways_in(name: str, offered: Lesson, said: Mapping[str, Said], current: bool, *, done: bool) -> None:
    first = not said and not current
    title = plain(offered.title)
    with st.container(horizontal=True):
        if first:
            if st.button(f"Start “{title}”", key=f"lessons.start.{name[:40]}", type="primary", icon=":material/play_arrow:"):
                along.put({"said": None})
                lesson.go_to(name, offered, 1)
            return
        at = int(along.texts().get("step", "1")) if current and along.texts().get("step", "1").isdigit() else 1
        if not done and st.button(f"Go on with “{title}”", key=f"lessons.on.{name[:40]}", type="primary"):
            lesson.reopen(name, said)
            lesson.go_to(name, offered, min(max(at, 1), len(offered.steps)))
        st.button(
            "Start again",
            key=f"lessons.again.{name[:40]}",
            icon=":material/replay:",
            on_click=partial(lesson.forget, name),
            help="Forgets what you said in this lesson.",
        )


def _summary(name: str, offered: Lesson, said: Mapping[str, Said]) -> None:
    st.markdown("**What you said, and what was measured**")
    for number, step in enumerate(offered.steps, start=1):
        asked, now = question(step), said.get(str(number))
        if asked is None or now is None:
            continue
        told = lesson.compared(asked, now) if now.value is not None else "The answer has not been looked at yet."
        st.markdown(f"{number}. {plain(asked.prompt)}  \n{told}")
        if st.button(f"Back to step {number}", key=f"lessons.back.{name[:40]}.{number}", type="tertiary"):
            lesson.reopen(name, said)
            lesson.go_to(name, offered, number)
