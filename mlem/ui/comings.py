"""Coming back after a lost connection."""

from __future__ import annotations

from datetime import timedelta

import streamlit as st

_EVERY = timedelta(days=1)  # as good as never


@st.fragment(run_every=_EVERY)
def asks_again() -> None:
    """Shows nothing. A browser that has found its server again asks for its page only where a part of that runs by itself, as
    this one is said to. A server that was started anew, or has forgotten the session, takes the page's state from the link
    then. If it did so no sooner than a control is moved, it would show the link's state, and the move would be lost."""
