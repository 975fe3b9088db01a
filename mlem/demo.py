"""Demo mode: the app on a server for all comers, where the environment variable MLEM_DEMO is 1.

What a visitor may ask for is then capped (``experiments/limits.py``), networks are the shipped ones alone, nothing is fetched
from the Hub, and errors are told without their details.
"""

from __future__ import annotations

import os

VARIABLE = "MLEM_DEMO"


def on() -> bool:
    """Whether this process runs as a demo."""
    return os.environ.get(VARIABLE) == "1"
