"""The app's pages, in their order."""

from __future__ import annotations

from copy import copy
from functools import cache

import streamlit as st
from streamlit.navigation.page import Page

_PAGES = {
    "race": ("Race", "speed"),
    "hierarchy": ("Hierarchy", "stairs"),
    "coin": ("Coin", "casino"),
    "convergence": ("Error vs compute", "show_chart"),
    "steps": ("Free steps", "timeline"),
    "crossover": ("Crossover", "call_split"),
    "faces": ("Faces", "familiar_face_and_zone"),
    "lessons": ("Lessons", "route"),
    "teach": ("Teach", "school"),
}
"""By name: the title, and the icon of Google's Material Symbols. The first is the landing page."""


def pages() -> list[Page]:
    """For one run of app.py: which of them runs is noted in them."""
    return [copy(page) for page in _made()]


@cache
def _made() -> tuple[Page, ...]:
    """Once: for each of them Streamlit looks through the folders on the way to its file, which takes long."""
    landing = next(iter(_PAGES))
    return tuple(
        st.Page(f"pages/{name}.py", title=title, icon=f":material/{icon}:", url_path=name, default=name == landing)
        for name, (title, icon) in _PAGES.items()
    )
