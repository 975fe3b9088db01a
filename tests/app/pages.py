"""What the tests of several pages read off a page."""

from __future__ import annotations

from streamlit.testing.v1 import AppTest

from mlem.experiments.params import Params
from mlem.ui.chart import MAGIC
from mlem.ui.presets import PRESETS
from tests.ui.payloads import unpack

KINDS: dict[str, type[Params]] = {name: type(next(iter(offered.values()))) for name, offered in PRESETS.items()}
"""The parameters of every page that has some."""


def alternatives(app: AppTest) -> dict[str, str]:
    """The charts' text alternatives, by key."""
    headers = [unpack(MAGIC, chart.proto.bytes)[0] for chart in app.get("bidi_component")]
    return {header["key"]: header["alt"] for header in headers}


def link(app: AppTest) -> dict[str, str]:
    return {key: value if isinstance(value, str) else value[0] for key, value in app.query_params.items()}


def prose(app: AppTest) -> str:
    """All text of the page."""
    return "\n".join(element.value for element in app.markdown)
