"""The colours, markers and dashes of every picture, for light and dark; all chosen to survive colour blindness and greyscale.

Colour never stands alone: EM is a solid line with ○, ML-EM a solid line with ■, the reference dotted, theory dashed. Levels are
ordinal: the dearer the network, the more ink (darker on light ground, lighter on dark ground).
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from mlem.checks import check_choice, check_integer

MOST_LEVELS = 10

MARKERS = {"em": "circle-open", "mlem": "square"}  # Plotly's names
DASHES = {"em": "solid", "mlem": "solid", "reference": "dot", "theory": "dash"}


@dataclass(frozen=True)
class Palette:
    """Colours as #RRGGBB. Marks reach 3:1 on ``background``; ``ink``, ``muted`` and the ``…_text`` shades, which are for words,
    reach 4.5:1 on ``background`` and on ``panel``."""

    em: str
    mlem: str
    reference: str
    theory: str
    em_text: str
    mlem_text: str
    theory_text: str
    ladder: tuple[str, ...]  # five magentas, from the cheapest level to the dearest
    ink: str
    muted: str
    grid: str
    background: str
    panel: str


LIGHT = Palette(
    em="#D55E00",
    mlem="#0072B2",
    reference="#000000",
    theory="#6B6B6B",
    em_text="#B04D00",
    mlem_text="#00659E",
    theory_text="#5F5F5F",
    ladder=("#CA72CA", "#B946B9", "#913091", "#721D72", "#4C0B4C"),
    ink="#1B1D22",
    muted="#5C616B",
    grid="#E4E6EA",
    background="#FFFFFF",
    panel="#F4F5F7",
)

DARK = Palette(
    em="#E69F00",
    mlem="#56B4E9",
    reference="#FFFFFF",
    theory="#A3A3A3",
    em_text="#E69F00",
    mlem_text="#56B4E9",
    theory_text="#A3A3A3",
    ladder=("#9F3C86", "#C44FA7", "#D97DC2", "#ECA7DB", "#FAD1F0"),
    ink="#ECEEF2",
    muted="#A4AAB6",
    grid="#282D37",
    background="#0E1117",
    panel="#1A1E27",
)


LIGHT_STARK = replace(
    LIGHT,
    em="#B04D00",
    mlem="#00568A",
    theory="#4A4A4A",
    em_text="#8A3C00",
    mlem_text="#004A75",
    theory_text="#404040",
    ink="#000000",
    muted="#2E323A",
    grid="#C2C6CD",
)
DARK_STARK = replace(
    DARK,
    em="#FFB83D",
    mlem="#8CCBF2",
    theory="#C8C8C8",
    em_text="#FFC661",
    mlem_text="#A6D6F5",
    theory_text="#D0D0D0",
    ink="#FFFFFF",
    muted="#D5D9E0",
    grid="#454C59",
)
"""For a projector in a lit room, which washes colours out."""


def palette(theme_type: str | None, *, stark: bool = False) -> Palette:
    """The palette of "light" or "dark", light where the theme is not known (None); ``stark`` for a projector."""
    if check_choice("theme_type", theme_type, ("light", "dark", None)) == "dark":
        return DARK_STARK if stark else DARK
    return LIGHT_STARK if stark else LIGHT


@cache
def levels(count: int, theme: str | None = "light") -> tuple[str, ...]:
    """``count`` colours for f¹ … f^count, evenly spaced along the ladder; a single level is the dearest."""
    count = check_integer("count", count, high=MOST_LEVELS)
    ladder = np.array([_rgb(colour) for colour in palette(theme).ladder])
    places = np.linspace(0, len(ladder) - 1, count) if count > 1 else np.array([len(ladder) - 1.0])
    channels = [np.interp(places, np.arange(len(ladder)), channel) for channel in ladder.T]
    return tuple("#" + "".join(f"{round(value):02X}" for value in colour) for colour in np.stack(channels, axis=1))


def text_on(colour: str) -> str:
    """Black or white, whichever reads better on ``colour``; one of the two always reaches 4.5:1."""
    return max(("#FFFFFF", "#000000"), key=lambda text: contrast(text, colour))


def contrast(first: str, second: str) -> float:
    """Contrast ratio of two colours, from 1 to 21 (WCAG 2.2)."""
    low, high = sorted((luminance(first), luminance(second)))
    return (high + 0.05) / (low + 0.05)


def luminance(colour: str) -> float:
    """Relative luminance of #RRGGBB, from 0 (black) to 1 (white) (WCAG 2.2)."""
    red, green, blue = (
        value / 12.92 if value <= 0.04045 else ((value + 0.055) / 1.055) ** 2.4
        for value in (channel / 255 for channel in _rgb(colour))
    )
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _rgb(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)
