"""ML-EM Lab: ``streamlit run app.py``."""

import streamlit as st

from mlem.ui.boot import ICON, boot
from mlem.ui.comings import asks_again
from mlem.ui.live import pool
from mlem.ui.modes import modes, ways_out
from mlem.ui.turns import turn

st.set_page_config(page_title="ML-EM Lab", page_icon=str(ICON), layout="wide", initial_sidebar_state="auto")
boot()
page = st.navigation(
    [
        st.Page("pages/race.py", title="Race", icon=":material/speed:", default=True),
        st.Page("pages/hierarchy.py", title="Hierarchy", icon=":material/stairs:", url_path="hierarchy"),
        st.Page("pages/coin.py", title="Coin", icon=":material/casino:", url_path="coin"),
        st.Page("pages/convergence.py", title="Error vs compute", icon=":material/show_chart:", url_path="convergence"),
        st.Page("pages/steps.py", title="Free steps", icon=":material/timeline:", url_path="steps"),
        st.Page("pages/crossover.py", title="Crossover", icon=":material/call_split:", url_path="crossover"),
        st.Page("pages/faces.py", title="Faces", icon=":material/familiar_face_and_zone:", url_path="faces"),
        st.Page("pages/lessons.py", title="Lessons", icon=":material/route:", url_path="lessons"),
        st.Page("pages/teach.py", title="Teach", icon=":material/school:", url_path="teach"),
    ],
    position="hidden" if modes().classroom else "sidebar",
)
body, foot = st.container(), st.container()
with foot:
    ways_out()
with st.container(key="app.asks-again"):
    asks_again()
with body, pool().hold(), turn():
    page.run()
