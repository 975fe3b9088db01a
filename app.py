"""ML-EM Lab: ``streamlit run app.py``."""

import streamlit as st

from mlem.ui.boot import ICON, boot

st.set_page_config(page_title="ML-EM Lab", page_icon=str(ICON), layout="wide")
boot()
st.navigation(
    [
        st.Page("pages/race.py", title="Race", icon=":material/speed:", default=True),
    ]
).run()
