"""The share panel: a result as link, QR code, frame, figures, data, command, Python and citation, which lead back to it."""

from __future__ import annotations

from html import escape
from urllib.parse import urlencode

import segno
import streamlit as st

import mlem
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params
from mlem.experiments.result import Result, to_csv, to_json
from mlem.ui.chart import component

PAPER = """@misc{jacot2026polynomial,
  author = {Jacot, Arthur},
  title = {Polynomial Speedup in Diffusion Models with the Multilevel {E}uler-{M}aruyama Method},
  year = {2026},
  eprint = {2603.24594},
  archivePrefix = {arXiv}
}"""
"""The paper, as BibTeX."""

FRAME_HEIGHT = 900  # CSS pixels


def link(address: str, params: Params) -> str:
    """The page at ``address`` with the whole state of ``params``."""
    return f"{address.split('?')[0]}?{urlencode(params.to_query())}"


def frame(url: str, title: str) -> str:
    """HTML that shows the page at ``url`` inside another one, without the app's own frame."""
    source = escape(f"{url}&embed=true")
    return f'<iframe src="{source}" title="{escape(title)}" width="100%" height="{FRAME_HEIGHT}" style="border: 0"></iframe>'


def qr(url: str) -> str:
    """HTML that shows the link as a QR code: dark on white with its quiet zone, whatever the theme."""
    drawn = segno.make(url, error="m", micro=False).svg_data_uri(scale=4, dark="#000", light="#fff", border=4)
    return f'<img src="{drawn}" alt="QR code of the link" style="width: 100%; max-width: 300px">'


def command(chosen: Experiment, params: Params) -> str:
    """The line that computes the same in a terminal."""
    return f"python -m mlem {chosen.name} {params.to_arguments()}".strip()


def snippet(chosen: Experiment, params: Params) -> str:
    """The same in Python; what is at its default is left out."""
    kind, defaults = type(params).__name__, type(params)()
    values = {name: getattr(params, name) for name in params.specs()}
    changed = ", ".join(f"{name}={value!r}" for name, value in values.items() if value != getattr(defaults, name))
    return f"from mlem.experiments.{chosen.name} import {kind}, run\n\nresult = run({kind}({changed}))\nprint(result.summary())"


def citation(chosen: Experiment, params: Params, url: str) -> str:
    """This very result as BibTeX: no date, which would not say which result it is; its version and parameters do."""
    return f"""@misc{{mlemlab-{chosen.name},
  author = {{{{ML-EM Lab}}}},
  title = {{{chosen.question}}},
  howpublished = {{\\url{{{url}}}}},
  note = {{Version {mlem.__version__}. Computed by: \\texttt{{{command(chosen, params)}}}}}
}}"""


def panel(chosen: Experiment, params: Params, result: Result, view: Params | None = None) -> None:
    """All ways out of ``result``. ``view``: the page's own parameters, where they are others than the experiment's."""
    url, line = link(st.context.url or "", view or params), command(chosen, params)
    linked, files, code, cited = st.tabs(["Link", "Figures and data", "Terminal and Python", "Citation"])
    with linked:
        st.markdown("**Link** to this very result (the address bar has it too)")
        st.code(url, language=None, wrap_lines=True)
        left, right = st.columns([1, 2], gap="large")
        with left:
            st.html(qr(url))
        with right:
            st.markdown("**Frame** for a web page or a course platform")
            st.code(frame(url, chosen.question), language=None, wrap_lines=True)
    with files:
        _files(chosen, params, result, line)
    with code:
        st.markdown("**Terminal**")
        st.code(line, language=None, wrap_lines=True)
        st.markdown("**Python**")
        st.code(snippet(chosen, params), language=None, wrap_lines=True)
    with cited:
        st.markdown("**This result**")
        st.code(citation(chosen, params, url), language=None, wrap_lines=True)
        st.markdown("**The paper**")
        st.code(PAPER, language=None, wrap_lines=True)


def _files(chosen: Experiment, params: Params, result: Result, line: str) -> None:
    name = f"mlem-{chosen.name}"
    st.markdown("**Figures** as they are on the screen: its size, its colours, your view")
    about = {"experiment": chosen.name, "title": chosen.question, "caption": f"{line} (ML-EM Lab {mlem.__version__})"}
    _saver(data=about, key=f"{chosen.name}-saver")
    st.markdown("**Data**: the table as CSV; all numbers with their parameters as JSON")
    with st.container(horizontal=True):
        st.download_button("CSV", to_csv(result.rows()), f"{name}.csv", "text/csv", key=f"{name}.csv", on_click="ignore")
        export = to_json(chosen.name, params, result)
        st.download_button("JSON", export, f"{name}.json", "application/json", key=f"{name}.json", on_click="ignore")
    st.caption(
        f"`python -m mlem {chosen.name} --from {name}.json` computes it again and tells whether the numbers are the same."
    )


_saver = component("share")
