"""What every page has: its question, its presets, notices, and ways to take the result along."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from functools import cache, partial
from typing import Any, Literal

import streamlit as st
from streamlit.delta_generator import DeltaGenerator

from mlem.errors import NonFiniteStep
from mlem.experiments import answers
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params
from mlem.experiments.result import Result, Row
from mlem.experiments.worker import WORKER, WorkerEnded
from mlem.ui import glossary, modes, share
from mlem.ui.markdown import plain
from mlem.ui.palette import DARK, LIGHT, text_on
from mlem.ui.results import Results
from mlem.ui.state import control, keep_params
from mlem.ui.turns import aside
from mlem.words import unbroken

_CSS = f"""
.block-container {{ padding: 3.2rem 2.5rem 4rem; max-width: 88rem; }}
h1 {{ font-size: 2rem !important; letter-spacing: -0.015em; padding-bottom: 0.25rem !important; }}
h2 {{ font-size: 1.5rem !important; }}
[data-testid="stCode"] code {{ overflow-wrap: anywhere; white-space: pre-wrap !important; }}
[data-testid="stCaptionContainer"] p {{ font-size: 0.95rem; }}
/* Streamlit's own shades of these two are too pale to read. */
[data-testid="stCaptionContainer"] {{ opacity: 1; color: light-dark({LIGHT.muted}, {DARK.muted}); }}
[data-testid="stBaseButton-primary"]:enabled {{ color: light-dark({text_on(LIGHT.mlem)}, {text_on(DARK.mlem)}) !important; }}
[data-testid="stSidebarNavLink"]:focus-visible, [data-testid="stMain"]:focus-visible {{
  outline: 3px solid light-dark({LIGHT.mlem}, {DARK.mlem}); outline-offset: -3px;
}}
@media (max-width: 640px) {{
  .block-container {{ padding: 3.2rem 1rem 3rem; }}
  h1 {{ font-size: 1.55rem !important; }}
  h2 {{ font-size: 1.3rem !important; }}
  [data-testid="stHorizontalBlock"]:has(> [data-testid="stColumn"]) {{ row-gap: 1rem; }}  /* columns, one below another */
  [class*="-presets"] {{ gap: 0.4rem !important; }}
  [class*="-presets"] button {{ padding: 0.25rem 0.7rem; }}
  [class*="-teach-step"] > :first-child {{ flex-basis: 100%; }}  /* its buttons come below */
  [data-testid="stMarkdownContainer"] table {{ display: block; overflow-x: auto; white-space: nowrap; }}
  /* The table of findings: a paragraph each row, in place of columns of single words. */
  [class*="-findings"] :is(table, tbody, tr, td) {{
    display: block; border: none !important; padding: 0.1rem 0 !important; white-space: normal;
  }}
  [class*="-findings"] tr {{ margin-bottom: 1rem; }}
  [class*="-findings"] :is(thead, td:empty) {{ display: none; }}
  [class*="-findings"] td:first-child {{ font-weight: 600; }}
  [class*="-findings"] td:nth-child(2)::before {{ content: "theory: "; }}
  [class*="-findings"] td:nth-child(3)::before {{ content: "measured: "; }}
  [class*="-findings"] td:nth-child(4)::before {{ content: "command: "; }}
}}
[data-testid="stMarkdownContainer"] > :is(p, ul, ol) {{ max-width: 50rem; }}  /* lines that can be read */
/* The controls beside the picture are so wide that no choice is cut. */
[class*="-sides"] > div > [data-testid="stHorizontalBlock"] {{ flex-wrap: nowrap; }}
[class*="-sides"] > div > div > [data-testid="stColumn"]:last-child {{ min-width: 14.5rem; }}
:is([data-testid^="stBaseButton"], [data-testid="stCheckbox"]) p {{ white-space: normal; }}
[class*="-findings"] code {{ white-space: nowrap; }}
@media (min-width: 1000px) {{ [class*="-findings"] td:first-child {{ min-width: 220px; }} }}
/* What is about to be drawn anew stays readable until it is. */
[data-stale="true"] {{ opacity: 1 !important; }}
/* It shows nothing, and is to take no room. */
[data-testid="stLayoutWrapper"]:has(> [class*="-asks-again"]) {{ display: none; }}
[data-testid="stSelectbox"] input {{ text-overflow: ellipsis; }}
[data-testid="stTooltipIcon"] svg {{ width: 1rem !important; height: 1rem !important; }}  /* else of two sizes on a projector */
@media (prefers-reduced-motion: reduce) {{
  *, ::before, ::after {{ animation: none !important; transition: none !important; }}
}}
"""

_STACKED = f"""
[class*="-sides"] > div > [data-testid="stHorizontalBlock"] {{ flex-direction: column; gap: 1rem; }}
[class*="-sides"] > div > div > [data-testid="stColumn"] {{ width: 100%; flex: none; min-width: 0; }}
/* The main controls stay at the lower edge of the screen as long as the picture is in sight; all others come after it. */
[data-testid="stColumn"]:has(> div > div > [class*="-main-controls"]),
[data-testid="stColumn"] > :has(> div > [class*="-main-controls"]) {{ display: contents; }}
[class*="-main-controls"] {{ flex-direction: row; gap: 1.5rem; }}
[class*="-main-controls"] > * {{ flex: 1; width: auto; min-width: 0; }}
@media (min-height: 500px) {{
  [data-testid="stLayoutWrapper"]:has(> [class*="-main-controls"]) {{
    position: sticky; bottom: 0; z-index: 9;
    width: calc(100% + 2rem); max-width: none; margin: 0 -1rem; padding: 0.5rem 1rem 0.25rem;
    background: light-dark({LIGHT.background}, {DARK.background});
    border-top: 1px solid light-dark({LIGHT.grid}, {DARK.grid});
  }}
  [data-testid="stMain"] {{ scroll-padding-bottom: 8rem; }}  /* what has the focus is not behind them */
}}
"""
_NARROW, _NARROW_ON_PROJECTOR = 1200, 1800
"""CSS pixels up to which controls come after the picture: beside it their words would be cut. A screen of 1440 has 720 where
the page is enlarged to twice its size; a projector's type is half as large again."""

_results = Results(most=128)


def head(question: str, lead: str) -> None:
    """The page's question and the sentence under it."""
    st.html(_style(_NARROW_ON_PROJECTOR if modes.modes().projector else _NARROW))
    modes.enlarge()
    st.title(question, anchor=False)
    say(lead)


def say(text: str) -> None:
    """Words in Markdown, whose numbers stay in one line with their signs and units."""
    st.markdown(unbroken(text))


@cache
def _style(narrow: int) -> str:
    """On one line: Streamlit looks at each line of it, in every run."""
    return " ".join(f"<style>{_CSS}@media (max-width: {narrow}px) {{{_STACKED}}}</style>".split())


def presets(offered: Mapping[str, Params], current: Params, page: str, *, last: Callable[[], None]) -> None:
    """A button for each preset; the one that is shown stands out. A preset becomes the link. ``last`` draws what ends their
    row. None in class."""
    if modes.modes().classroom:
        return
    with st.container(horizontal=True, gap="small", key=f"{page}.presets"):
        for title, params in offered.items():
            st.button(
                title,
                key=f"{page}.preset.{title}",
                type="primary" if params == current else "secondary",
                on_click=keep_params,
                args=(params, page),
            )
        last()


def sides(page: str) -> tuple[DeltaGenerator, DeltaGenerator]:
    """The place of the picture, and that of the controls beside it, or after it where there is no room."""
    with st.container(key=f"{page}.sides"):
        picture, controls = st.columns([3, 1], gap="large")
    return picture, controls


def main_controls(params: Params, names: Sequence[str], page: str) -> None:
    """The one or two controls that are to be moved with an eye on the picture, first of its ``sides``; those that the link
    hides left out."""
    shown = [name for name in names if not modes.modes().hides(name)]
    if not shown:
        return
    with st.container(key=f"{page}.main-controls"):
        for name in shown:
            control(params, name, page)


def more_controls(params: Params, names: Sequence[str], page: str, *, note: str = "") -> None:
    """The controls ``names``, folded away, with a ``note`` under them. None in class, nor where the link hides them all."""
    on = modes.modes()
    if on.classroom or all(on.hides(name) for name in names):
        return
    with st.popover("More controls", icon=":material/tune:", width="stretch"):
        for name in names:
            control(params, name, page)
        if note:
            st.caption(note)


def notices(messages: Sequence[str], state: object, page: str) -> None:
    """What was mended. It stays as long as the page's ``state`` is the same: a sweep has the page run again and again."""
    key = f"{page}.notices"
    if messages or key not in st.session_state or st.session_state[key][0] != state:
        st.session_state[key] = state, messages
    for message in st.session_state[key][1]:
        st.info(plain(message[0].upper() + message[1:]), icon=":material/build:")


def _computed(chosen: Experiment, params: Params) -> Result:
    """One computation for all sessions that ask the same."""
    key = (chosen.name, params)
    found: Result | None = _results.get(key)
    if found is None and (found := answers.load(chosen.name, params)) is not None:
        _results.put(key, found)
    if found is None:
        with st.spinner("Computing…"), aside():  # seen where it takes long
            found = _results.make(key, partial(WORKER.result, chosen, params))
    return found


def compute(chosen: Experiment, params: Params) -> Any:
    """The result. Stops the page where there is none, since a run blew up, saying why and what to change."""
    try:
        return _computed(chosen, params)
    except (NonFiniteStep, WorkerEnded) as error:
        why = f"This run left the finite numbers: {error}" if isinstance(error, NonFiniteStep) else f"Not computed: {error}"
        st.error(f"{why}.", icon=":material/crisis_alert:")
        st.stop()


def fold(title: str, icon: str, key: str, draw: Callable[[], None]) -> None:
    """What is drawn when somebody unfolds it, and takes no time before."""
    folded = st.expander(title, icon=icon, key=key, on_change="rerun")
    if folded.open:
        with folded:
            draw()


def take_along(chosen: Experiment, params: Params, result: Result, view: Params | None = None) -> None:
    """The same result as link, figures, data, command, Python and citation. None in class. ``view``: the page's own parameters,
    where they are others than the experiment's."""
    if modes.modes().classroom:
        return
    title = "Take it with you: link, QR code, figures, data, command, Python, citation"
    fold(title, ":material/ios_share:", f"{chosen.name}.take_along", lambda: share.panel(chosen, params, result, view))


def numbers(title: str, rows: Sequence[Row], caption: str, page: str) -> None:
    """The numbers behind the picture, and how they were got."""

    def draw() -> None:
        table(rows)
        st.caption(unbroken(caption))

    fold(title, ":material/table:", f"{page}.numbers", draw)


def words(page: str, params: Params, result: object = None) -> None:
    """The words and symbols of the page, with its numbers in their formulas, when somebody unfolds them."""

    def draw() -> None:
        st.markdown(glossary.on_page(page, glossary.today(params, result)), width=760)  # lines that can be read

    fold("Words and symbols on this page", ":material/dictionary:", f"{page}.words", draw)


def table(rows: Sequence[Row]) -> None:
    """Rows and columns, to be sorted and copied."""
    formats = {name: _number_format([row.get(name) for row in rows]) for name in (rows[0] if rows else {})}
    columns = {name: st.column_config.NumberColumn(format=format) for name, format in formats.items() if format}
    shown = [
        {name: _rounded(value) if formats.get(name) == "localized" else value for name, value in row.items()} for row in rows
    ]
    st.dataframe(shown, hide_index=True, width="stretch", column_config=columns, placeholder="–")


def _number_format(column: Sequence[object]) -> Literal["localized", "%.4g"] | None:
    """Thousands apart where no number is small, else four significant digits, of which Streamlit's own way would cut some off;
    None for words and small whole numbers."""
    sizes = [abs(value) for value in column if isinstance(value, float) and value and math.isfinite(value)]
    if not sizes:
        return "localized" if any(isinstance(value, int) and abs(value) >= 1000 for value in column) else None
    return "localized" if min(sizes) >= 1 else "%.4g"


def _rounded(value: object) -> object:
    """A number to four significant digits, and none of its whole ones lost."""
    if not isinstance(value, float) or not value or not math.isfinite(value):
        return value
    return round(value, max(0, 3 - math.floor(math.log10(abs(value)))))
