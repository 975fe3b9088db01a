"""What a server process does once, before its first page."""

from __future__ import annotations

import gc
from importlib import import_module
from pathlib import Path

import streamlit as st
import torch

ICON = Path(__file__).with_name("icon.svg")  # a file of ours: Streamlit fetches named icons from elsewhere


@st.cache_resource(show_spinner=False)
def boot() -> bool:
    """Streamlit collects garbage after every run. With torch and SciPy loaded that takes longer than the run, unless what has
    been imported is out of its sight; so everything heavy is imported first. One thread a run: the states are small, and thirty
    sessions share the cores."""
    torch.set_num_threads(1)
    for name in (*(f"mlem.experiments.{name}" for name in ("race",)), "plotly.graph_objects"):
        import_module(name)
    gc.collect()
    gc.freeze()
    return True
