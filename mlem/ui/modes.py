"""How a page is shown, by its link: ``class=1`` without navigation and presets, ``hide=gamma,seed`` without these controls,
``projector=1`` large and stark. Modes stay on from page to page until somebody leaves them at the end of a page."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache

import streamlit as st

from mlem.experiments.params import to_key
from mlem.ui import along

ZOOM = 1.4
"""How much larger charts are on a projector."""

_TYPE = 24  # px, of the text on a projector
_LONGEST = 1300  # letters that name hidden controls
_NAME = re.compile(r"[a-z][a-z0-9-]{0,30}")

_CSS = f"""
@media (min-width: 900px) {{ html {{ font-size: {_TYPE}px !important; }} }}
@media (max-width: 899px) {{ html {{ font-size: 20px !important; }} }}
[data-testid="stCaptionContainer"], [data-testid="stCaptionContainer"] * {{ color: inherit !important; opacity: 1 !important; }}
.block-container {{ max-width: none; }}
@media (max-width: 1200px) {{
  [data-testid="stColumn"] [data-testid="stHorizontalBlock"]:has([data-testid="stColumn"]) {{ flex-direction: column; }}
  [data-testid="stColumn"] [data-testid="stColumn"] {{ width: 100% !important; flex: 1 1 auto !important; }}
}}
"""


@dataclass(frozen=True)
class Modes:
    """The modes that are on. ``hide`` are the controls' names as the link has them."""

    classroom: bool = False
    projector: bool = False
    hide: frozenset[str] = frozenset()

    def hides(self, name: str) -> bool:
        """Whether the control of the parameter ``name`` is hidden."""
        return to_key(name) in self.hide

    def texts(self) -> dict[str, str | None]:
        """As a link has them; None where a mode is off."""
        return {
            "class": "1" if self.classroom else None,
            "hide": ",".join(sorted(self.hide)) or None,
            "projector": "1" if self.projector else None,
        }


def modes() -> Modes:
    """The modes that are on in this session. What a link asks besides is passed over."""
    asked = along.texts()
    return _asked_by(asked.get("class"), asked.get("projector"), asked.get("hide", "")[:_LONGEST])


@lru_cache(maxsize=64)
def _asked_by(classroom: str | None, projector: str | None, hide: str) -> Modes:
    hidden = frozenset(name for name in hide.split(",")[:40] if _NAME.fullmatch(name))
    return Modes(classroom=classroom == "1", projector=projector == "1", hide=hidden)


def enlarge() -> None:
    """The page's own type and contrast, on a projector."""
    if modes().projector:
        st.html(f"<style>{_CSS}</style>")


def ways_out() -> None:
    """Quiet buttons at the end of the page, one for each mode that is on, so that nobody is trapped."""
    on = modes()
    offered = {
        "class": ("Show pages and presets", on.classroom),
        "hide": ("Show hidden controls", bool(on.hide)),
        "projector": ("Leave projector mode", on.projector),
    }
    if not any(shown for _, shown in offered.values()):
        return
    with st.container(horizontal=True, gap="small"):
        for key, (title, shown) in offered.items():
            if shown:
                st.button(title, key=f"modes.leave.{key}", type="tertiary", on_click=along.put, args=({key: None},))
