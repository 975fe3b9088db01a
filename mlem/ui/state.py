"""A page's parameters: one ``Params`` behind the controls, the link and what the session remembers.

The link in the address bar always holds the whole state. A control that was moved wins over the link; a link that was followed
or gone back to wins over what the session remembers.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

import streamlit as st

from mlem.experiments import limits
from mlem.experiments.params import Params, Spec, to_key
from mlem.ui import along
from mlem.ui.modes import modes

P = TypeVar("P", bound=Params)

_NONE = object()  # of what the session has no value, which may be None
_DRAWN = "controls.drawn"  # two sets of keys of controls: of the last run, and of this one
_PAGE = "links.page"  # the page that is shown
_FIRST_LINKS = "links.first"
"""The first link of every page after another one, and the page. In the browser's history Streamlit puts it under the old page's
address too, before the new one's: whoever goes back gets there, and is to find the old page as it was left."""


def read_params(kind: type[P], page: str) -> tuple[P, list[str]]:
    """The parameters to show now, with notices for what had to be mended. Call before the page's controls are made."""
    st.session_state[_DRAWN] = _drawn()[1], set[str]()
    remembered: P | None = st.session_state.get(f"{page}.params")
    link = along.link()
    if st.session_state.get(_FIRST_LINKS, {}).get(frozenset(link.items()), page) != page:
        link = {}
        st.query_params.clear()
    if remembered is not None and (moved := _moved(remembered, page)):
        values, notices = kind.mend({name: getattr(remembered, name) for name in kind.specs()} | moved)
        params = kind(**values)
    elif link and link != st.session_state.get(f"{page}.link") and _names_any(kind, link):
        params, notices = limits.nearest(kind, link)
    else:
        params, notices = remembered or kind(), []
    params, capped = limits.capped(params)
    keep_params(params, page)
    return params, notices + capped


def keep_params(params: Params, page: str) -> None:
    """Makes ``params`` the state: of the controls that are made after this, of the link, and of the session."""
    for name in params.specs():
        key, value = control_key(page, name), getattr(params, name)
        if st.session_state.get(key, _NONE) != value:
            st.session_state[key] = value
    st.session_state[f"{page}.params"] = params
    own = {to_key(name) for name in params.specs()}
    shown = along.link()
    others = {key: text for key, text in shown.items() if key not in own | {"v"}}
    link = others | along.texts() | params.to_query()
    if link != shown:
        st.query_params.from_dict(link)
    st.session_state[f"{page}.link"] = link
    if st.session_state.get(_PAGE) != page:
        st.session_state[_PAGE] = page
        st.session_state.setdefault(_FIRST_LINKS, {})[frozenset(link.items())] = page


def kept_params(page: str) -> Params | None:
    """What the session remembers of a page, None before its first run."""
    kept: Params | None = st.session_state.get(f"{page}.params")
    return kept


def control_key(page: str, name: str) -> str:
    """The key of the widget for the parameter ``name``."""
    return f"{page}.{name}"


def control(params: Params, name: str, page: str) -> None:
    """The widget for one parameter, as its ``Spec`` asks; none where the link hides it, which leaves its value as it is."""
    if modes().hides(name):
        return
    value, key = getattr(params, name), control_key(page, name)
    before, now = _drawn()
    if key not in before | now:
        st.session_state[key] = value  # one that is new, or back, shows what is set in this run, or its first option
    now.add(key)
    spec = limits.limited(name, params.specs()[name])
    if spec.kind == "choice":
        st.selectbox(spec.label, spec.choices, format_func=spec.title, key=key, help=spec.help)
    elif spec.offered:
        stops = sorted({*spec.offered, value})
        st.select_slider(spec.label, stops, format_func=lambda stop: f"{stop:g}", key=key, help=spec.help)
    elif spec.kind == "integer" and not spec.optional and spec.high <= 20:
        st.slider(spec.label, int(spec.low), int(spec.high), key=key, help=spec.help)
    else:
        whole = spec.kind == "integer"
        low, high = (int(spec.low), int(spec.high)) if whole else (float(spec.low), float(spec.high))
        st.number_input(spec.label, low, high, step=1 if whole else 0.1, key=key, help=spec.help, placeholder=_empty(spec))


def _drawn() -> tuple[set[str], set[str]]:
    both: tuple[set[str], set[str]] = st.session_state.setdefault(_DRAWN, (set(), set()))
    return both


def _empty(spec: Spec) -> str | None:
    return "its own" if spec.optional else None


def _moved(remembered: Params, page: str) -> dict[str, Any]:
    """The controls whose values are no longer those that were shown."""
    keys = {name: control_key(page, name) for name in remembered.specs()}
    shown = {name: st.session_state.get(key, _NONE) for name, key in keys.items()}
    return {name: value for name, value in shown.items() if value is not _NONE and value != getattr(remembered, name)}


def _names_any(kind: type[Params], link: Mapping[str, str]) -> bool:
    return any(to_key(name) in link for name in kind.specs())
