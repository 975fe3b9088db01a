"""The form in which a teacher makes or changes a step of a lesson."""

from __future__ import annotations

from typing import Any

import streamlit as st

from mlem.experiments.params import to_key
from mlem.lessons.lesson import MAX_OPTIONS, MAX_WORDS, PAGES, Question, Step
from mlem.lessons.questions import QUESTIONS
from mlem.ui import teaching
from mlem.ui.presets import PRESETS

NONE, OWN_NUMBER, OWN_CHOICE = "No question", "My own: a number", "My own: a choice"
_LINKED = "As in the link below"


def fill(step: Step | None) -> None:
    """The form holds ``step``, or is as new."""
    for key in [key for key in st.session_state if str(key).startswith("step.")]:
        del st.session_state[key]
    if step is None:
        return
    put: dict[str, Any] = {"page": step.page, f"preset.{step.page}": _LINKED, "intro": step.intro, "after": step.after}
    query = "&".join(f"{key}={text}" for key, text in step.params.items())
    put |= {"link": f"/{step.page}?{query}", "seed": "seed" in step.hide}
    put[f"hide.{step.page}"] = [name for name in step.hide if name in _names(step.page)]
    if isinstance(step.question, Question):
        own, choice = step.question, step.question.kind == "choice"
        put |= {"ask": OWN_CHOICE if choice else OWN_NUMBER, "prompt": own.prompt}
        if choice:
            put |= {"options": "\n".join(own.options), "right": own.answer}
        else:
            put |= {"low": float(own.low), "high": float(own.high), "answer": own.answer, "unit": own.unit}
    elif step.question:
        put |= {"ask": step.question}
    st.session_state.update({f"step.{key}": value for key, value in put.items()})


def form() -> Step | None:
    """Draws the form; the step that it holds, or None, with words, while something is missing."""
    left, right = st.columns(2, gap="large")
    with left:
        page, params = _place()
        hide = _hidden(page)
    with right:
        intro = st.text_area("What you say first", key="step.intro", max_chars=MAX_WORDS, height="content")
        try:
            question = _question(page)
        except ValueError as error:
            st.info(f"The question is not whole yet: {error}.", icon=":material/edit:")
            return None
        after = st.text_area("What you say once the answer is there", key="step.after", max_chars=MAX_WORDS, height="content")
    return None if params is None else Step(page, params, intro, question, hide, after)


def _place() -> tuple[str, dict[str, str] | None]:
    """The page and what is changed there; None where the link is of no page."""
    page: str = st.selectbox("Page", PAGES, format_func=lambda name: teaching.TITLES[name], key="step.page")
    offered = [*PRESETS[page], _LINKED]
    preset: str = st.selectbox("Set as", offered, key=f"step.preset.{page}")
    if preset != _LINKED:
        return page, teaching.changed(PRESETS[page][preset])
    link = st.text_input(
        "Link",
        key="step.link",
        placeholder="Set a page as you like it, copy its address, paste it here",
        help="The address of any page of this app. Its controls become the step’s.",
    )
    if not link:
        return page, {}
    try:
        linked, params, notices = teaching.from_link(link)
        if linked != page:
            raise ValueError(f"That link opens {teaching.TITLES[linked]}: choose that page above, or paste another link.")
    except ValueError as error:
        st.warning(str(error), icon=":material/link_off:")
        return page, None
    for notice in notices:
        st.info(notice, icon=":material/build:")
    return page, params


def _hidden(page: str) -> tuple[str, ...]:
    names = _names(page)
    lock = st.checkbox("Lock the seed: everybody sees the same", value=True, key="step.seed")
    hide: list[str] = st.multiselect(
        "Hide these controls",
        [name for name in names if name != "seed"],
        format_func=lambda name: names[name],
        key=f"step.hide.{page}",
        placeholder="None",
    )
    return (*(["seed"] if lock and "seed" in names else []), *hide)


def _names(page: str) -> dict[str, str]:
    """Labels of a page's controls, by their names in links."""
    return {to_key(name): spec.label for name, spec in teaching.kind(page).specs().items()}


def _question(page: str) -> str | Question | None:
    asked = {name: standing.question.prompt for name, standing in QUESTIONS.items() if standing.page == page}
    kinds = [NONE, *asked, OWN_NUMBER, OWN_CHOICE]
    kept = st.session_state.get("step.ask")
    if kept is not None and kept not in kinds:
        st.session_state["step.ask"] = NONE  # it was another page's
    ask: str = st.selectbox("Ask for a prediction", kinds, format_func=lambda name: asked.get(name, name), key="step.ask")
    if ask == NONE:
        return None
    if ask in asked:
        return ask
    prompt = st.text_input("Your question", key="step.prompt", max_chars=300)
    question = _own_number(prompt) if ask == OWN_NUMBER else _own_choice(prompt)
    st.caption("The answer travels in the link, packed but not locked: whoever really wants to can read it there.")
    return question


def _own_number(prompt: str) -> Question:
    with st.container(horizontal=True):
        low = st.number_input("From", value=0.0, key="step.low", width=130)
        high = st.number_input("To", value=100.0, key="step.high", width=130)
        answer = st.number_input("Answer", value=None, key="step.answer", width=130)
        unit = st.text_input("Unit", key="step.unit", max_chars=20, width=110)
    if answer is None:
        raise ValueError("it has no answer")
    return Question(prompt, "number", low, high, unit=unit, answer=answer)


def _own_choice(prompt: str) -> Question:
    text = st.text_area("Choices, one a line", key="step.options", height="content", max_chars=MAX_WORDS)
    options = tuple(dict.fromkeys(line.strip() for line in text.splitlines() if line.strip()))
    if not 2 <= len(options) <= MAX_OPTIONS:
        raise ValueError(f"it takes 2 to {MAX_OPTIONS} choices, and has {len(options)}")
    if st.session_state.get("step.right") not in options:
        st.session_state["step.right"] = options[0]
    right: str = st.selectbox("The right one", options, key="step.right")
    return Question(prompt, "choice", options=options, answer=right)
