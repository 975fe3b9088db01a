"""ML-EM Lab: ``streamlit run app.py``."""

import streamlit as st

from mlem.ui.boot import ICON, boot
from mlem.ui.comings import asks_again
from mlem.ui.live import pool
from mlem.ui.modes import modes, ways_out
from mlem.ui.navigation import pages
from mlem.ui.turns import turn

st.set_page_config(page_title="ML-EM Lab", page_icon=ICON, layout="wide", initial_sidebar_state="auto")
boot()
page = st.navigation(pages(), position="hidden" if modes().classroom else "sidebar")
body, foot = st.container(), st.container()
with foot:
    ways_out()
with st.container(key="app.asks-again"):
    asks_again()
with body, pool().hold(), turn():
    page.run()
