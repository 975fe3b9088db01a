"""Teach: make it yours."""

import streamlit as st

from mlem.lessons.builtin import LESSONS
from mlem.lessons.lesson import MAX_LINK, MAX_STEPS, MAX_WORDS, Lesson, from_text
from mlem.ui import page, share, step_editor, teaching
from mlem.ui.boot import through_app
from mlem.ui.claims import classroom, findings
from mlem.ui.modes import Modes
from mlem.ui.teaching import Way
from mlem.words import SURE

through_app()

TITLE, STEPS, EDITING, SHOWN = "teach.title", "teach.steps", "teach.editing", "teach.shown"
BASE, CLASS, PROJECTOR = "teach.base", "teach.class", "teach.projector"
UNTITLED = "A lesson"
state = st.session_state
here = (st.context.url or "").split("?")[0].removesuffix("/teach")


def read() -> str:
    """What the session has is a lesson in the making, unless the link has another one. Returns a notice, or ""."""
    state.setdefault(STEPS, ())
    for key, usual in ((TITLE, UNTITLED), (BASE, here), (CLASS, True), (PROJECTOR, False)):
        state[key] = state.get(key, usual)  # kept while other pages are shown
    text, way = st.query_params.get("draft", ""), st.query_params.get("way", "class")
    if not text or (text, way) == state.get(SHOWN):
        return ""
    try:
        begin(LESSONS[text] if text in LESSONS else from_text(text.removeprefix("~")))
        state[CLASS], state[PROJECTOR] = ("class" in way.split(","), "projector" in way.split(","))
    except ValueError as error:
        del st.query_params["draft"]
        return f"The lesson in this link could not be read: {error}. Begin a new one, or ask for the link again."
    return ""


def write(text: str) -> None:
    """The link has the lesson, and how it is handed out."""
    way = ",".join(name for name, on in (("class", state[CLASS]), ("projector", state[PROJECTOR])) if on)
    state[SHOWN] = (text, way)
    for key, value in (("draft", text), ("way", way)):
        if st.query_params.get(key) != value:
            st.query_params[key] = value


def begin(lesson: Lesson) -> None:
    """The lesson in the making is a copy of this one."""
    state[TITLE], state[STEPS], state[EDITING] = lesson.title, lesson.steps, None
    step_editor.fill(None)


def keep(place: int | None) -> None:
    """The form's step takes its place, at the end where it is new."""
    step, steps = made, list(state[STEPS])
    if step is None:
        return
    if place is None:
        steps.append(step)
    else:
        steps[place] = step
    state[STEPS] = tuple(steps)
    edit(None)


def edit(place: int | None) -> None:
    """The form is for the step at this place, or for a new one."""
    state[EDITING] = place
    step_editor.fill(None if place is None else state[STEPS][place])


def move(place: int, by: int) -> None:
    """A step changes its place."""
    state[STEPS] = teaching.moved(state[STEPS], place, by)
    edit(None)


def remove(place: int) -> None:
    """A step goes."""
    state[STEPS] = tuple(step for at, step in enumerate(state[STEPS]) if at != place)
    edit(None)


notice = read()
page.head(
    "Make it yours",
    "A lesson is a list of pages, set as you like them, with questions that are answered before the answer is shown. "
    "**Ten minutes before class?** Copy a ready lesson in step 1, go to step 3, hand out its link.",
)
page.notices([notice] if notice else [], state[STEPS], "teach")

st.header("1. Begin", anchor=False)
with st.container(horizontal=True, vertical_alignment="bottom"):
    for name, lesson in LESSONS.items():
        st.button(
            f"Copy “{lesson.title}”", key=f"teach.copy.{name}", icon=":material/content_copy:", on_click=begin, args=(lesson,)
        )
    empty = Lesson(UNTITLED, teaching.first_steps())
    st.button("Two short steps", key="teach.copy.first", icon=":material/content_copy:", on_click=begin, args=(empty,))
st.text_input("Title", key=TITLE, max_chars=120)

st.header("2. Steps", anchor=False)
steps, place = state[STEPS], state.get(EDITING)
if not steps:
    st.caption("No step yet: copy a lesson above, or make the first step here.")
for at, step in enumerate(steps):
    with st.container(border=True, horizontal=True, vertical_alignment="center", key=f"teach.step.{at}"):
        asked = teaching.prompt(step)
        with st.container(width="stretch", gap=None):
            st.markdown(f"**{at + 1}. {teaching.described(step)}**")
            if asked:
                st.text(f"asks: {asked}")  # a teacher's words are shown as they are
        for title, icon, act, args, off in (
            ("Edit", "edit", edit, (at,), False),
            ("Up", "arrow_upward", move, (at, -1), at == 0),
            ("Down", "arrow_downward", move, (at, 1), at == len(steps) - 1),
            ("Remove", "delete", remove, (at,), False),
        ):
            key = f"teach.{title.lower()}.{at}"
            st.button(f"{title} step {at + 1}", key=key, icon=f":material/{icon}:", on_click=act, args=args, disabled=off)
with st.expander(f"Change step {place + 1}" if place is not None else "Add a step", expanded=not steps or place is not None):
    made = step_editor.form()
    with st.container(horizontal=True):
        full = place is None and len(steps) >= MAX_STEPS
        label = "Add this step" if place is None else "Keep the change"
        st.button(label, key="teach.keep", type="primary", on_click=keep, args=(place,), disabled=made is None or full)
        if place is not None:
            st.button("Leave it as it was", key="teach.cancel", on_click=edit, args=(None,))
    if full:
        st.caption(f"A lesson has at most {MAX_STEPS} steps: remove one, or make two lessons of it.")

st.header("3. Hand it out", anchor=False)
if not steps:
    st.caption("Links, a frame and a sheet with QR codes come here once there is a step.")
else:
    lesson = Lesson((state[TITLE].strip() or UNTITLED)[:MAX_WORDS], steps)
    text = teaching.written(lesson)
    if len(text) <= MAX_LINK:
        write(text)
    elif "draft" in st.query_params:
        del st.query_params["draft"]
    with st.container(horizontal=True, vertical_alignment="bottom"):
        base = st.text_input("Address of the app for the class", key=BASE, width=360)
        classmode = st.checkbox("Class mode: no navigation, answers after predictions", key=CLASS)
        projector = st.checkbox("Projector: large and stark", key=PROJECTOR)
    way = Way(base.strip() or here, Modes(classroom=classmode, projector=projector))
    if way.is_local():
        st.info(teaching.LOCAL, icon=":material/wifi_off:")
    if problem := way.too_long(lesson):
        st.warning(
            f"{problem} Until then, each step has a link of its own, which holds that step alone.", icon=":material/straighten:"
        )
    if still := way.steps_too_long(lesson):
        st.error(f"Even alone, step {still[0]} is too long for a link. Shorten its texts.", icon=":material/straighten:")
    else:
        if not problem:
            st.markdown("**The whole lesson**")
            st.code(way.link(lesson, 1), language=None, wrap_lines=True)
            st.link_button("Open it", way.link(lesson, 1), icon=":material/play_arrow:")
        st.download_button(
            "Sheet with QR codes, to print",
            teaching.sheet(lesson, way),
            "lesson.html",
            "text/html",
            icon=":material/qr_code_2:",
            on_click="ignore",
        )
        with st.expander("A link for each step, and a frame for your own page", icon=":material/link:"):
            for number, step in enumerate(steps, start=1):
                st.markdown(f"**Step {number}**: {teaching.described(step)}")
                st.code(way.link(lesson, number), language=None, wrap_lines=True)
            st.markdown("**Frame**")
            st.code(share.frame(way.link(lesson, 1), lesson.title), language=None, wrap_lines=True)
    if len(text) <= MAX_LINK:
        st.caption("The address of this page holds the lesson too: bookmark it, and go on with it later.")
    else:
        st.caption("The lesson is too long for this page’s own address too: until it is shorter, it lasts as long as this tab.")

st.header("Thirty laptops, bad wifi", anchor=False)
st.markdown(classroom())
st.header("What the paper claims, and what was measured here", anchor=False)
if table := findings():
    with st.container(key="teach.findings"):
        page.say(table)
    st.caption(f"From README.md: each line by the command beside it, {SURE} intervals in brackets.")
else:
    st.caption("The table is in README.md, which is not part of this installation.")
