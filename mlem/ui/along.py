"""What goes along from page to page in every link: modes, a lesson and the place in it.

Streamlit empties the link whenever another page is chosen. So the session remembers these few keys; where the link has one, the
link wins, since it may have been followed or gone back to.
"""

from __future__ import annotations

from contextlib import suppress

import streamlit as st

KEYS = ("class", "hide", "projector", "predict", "lesson", "step", "said")

_KEPT = "links.along"
_LOOKS = 10


def link() -> dict[str, str]:
    """All that the link has, read at once: each look at it takes a while, and a page asks often. A run that is to make way for
    another may find it changed while it reads, which Streamlit does not expect. It ends when it looks again."""
    for _ in range(_LOOKS):
        with suppress(KeyError, RuntimeError):
            return st.query_params.to_dict()
    return st.query_params.to_dict()


def texts() -> dict[str, str]:
    """What goes along now, by key."""
    kept: dict[str, str] = st.session_state.setdefault(_KEPT, {})
    asked = link()
    kept |= {key: asked[key] for key in KEYS if key in asked}
    return {key: kept[key] for key in KEYS if kept.get(key)}


def put(changed: dict[str, str | None]) -> None:
    """Changes some of it, from now on and in the link; None takes a key away. Raises KeyError for another key."""
    kept: dict[str, str] = st.session_state.setdefault(_KEPT, {})
    for key, text in changed.items():
        if key not in KEYS:
            raise KeyError(f"{key!r} does not go along: {', '.join(KEYS)} do")
        if text:
            kept[key] = st.query_params[key] = text
        else:
            kept.pop(key, None)
            if key in st.query_params:
                del st.query_params[key]
