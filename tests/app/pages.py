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
    return "\n".join(as_read(element.value) for element in app.markdown)


def as_read(text: str) -> str:
    """A text without what keeps its lines from ending."""
    return text.replace("\N{NO-BREAK SPACE}", " ")


def predict(app: AppTest, page: str, key: str) -> None:
    """Says anything, and locks it. A mark or a line is put there as by hand: a component's events cannot be fired here."""
    if app.radio:
        app.radio[0].set_value(app.radio[0].options[0]).run()
    else:
        app.session_state[f"lesson.{page}.{key}.guess"] = 2.0
        app.run()
    app.button(key=f"lesson.{page}.{key}.lock").click().run()
    assert not app.exception
