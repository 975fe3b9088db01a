"""ML-EM Lab: ``streamlit run app.py``."""

import streamlit as st

from mlem.ui.boot import ICON, boot

st.set_page_config(page_title="ML-EM Lab", page_icon=str(ICON), layout="wide", initial_sidebar_state=200)
boot()
st.navigation(
    [
        st.Page("pages/race.py", title="Race", icon=":material/speed:", default=True),
        st.Page("pages/hierarchy.py", title="Hierarchy", icon=":material/stairs:", url_path="hierarchy"),
        st.Page("pages/coin.py", title="Coin", icon=":material/casino:", url_path="coin"),
    ]
).run()
