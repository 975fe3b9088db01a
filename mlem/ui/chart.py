"""Charts: Plotly figures that are updated in place, so that zoom and hidden series survive new data, with the house's look.

``st.plotly_chart`` makes a new chart whenever the data change. Here Plotly's own file, from the package plotly, and the scripts
in browser/ are served at addresses that the browser may keep; what goes to a session is the figure alone.

Colours are given by name, ``ink("em")`` or ``level_ink(3, 5)``, and are put in by the browser for its light or dark theme.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable
from functools import cache, partial
from importlib.metadata import version
from pathlib import Path
from typing import Any
from zlib import crc32

import numpy as np
import plotly
import streamlit as st
from plotly.io.json import to_json_plotly
from streamlit.components.v1 import declare_component

from mlem.checks import check_choice, check_integer, check_number
from mlem.ui.figure import Drawable
from mlem.ui.kept import keep
from mlem.ui.modes import ZOOM, modes
from mlem.ui.palette import LIGHT, levels, palette
from mlem.ui.payload import pack

MAGIC = 0x4D4C4301  # "MLC" and the version of the format, 1
HEIGHT = 440  # CSS pixels

_here = Path(__file__).parent
_REFERENCE = re.compile(r"var\(--(\w+?)(?:-(\d+)-(\d+))?(?:, ([\d.]+))?\)")
_FOLDERS = {"plotly": Path(plotly.__file__).with_name("package_data"), "browser": _here / "browser"}
_LOADER = """
let loading; // the script, a module of its own, fetched when the first component is shown

// Again where the connection is lost meanwhile; not for ever, since a server that is of another version by now has it no more.
const script = (wait) =>
  import(new URL("%s", document.baseURI)).catch((error) => {
    if (wait > 60000) throw error;
    return new Promise((on) => setTimeout(on, wait)).then(() => script(2 * wait));
  });

export default function (component) {
  loading ??= script(250);
  const stop = loading.then((found) => found.default(component));
  loading.catch(() => (loading = undefined)); // the next update tries again
  return () => stop.then((end) => end());
}
"""
_NAMES = tuple(name for name, value in vars(LIGHT).items() if isinstance(value, str))


def ink(name: str, opacity: float = 1.0) -> str:
    """A reference to a colour of the palette, by the name of its field, for use as a colour in a figure.

    Raises ValueError for an unknown name, and for an opacity outside [0, 1].
    """
    _colour(f"var(--{name})", "light")
    opacity = check_number("opacity", opacity, low=0.0, high=1.0)
    return f"var(--{name})" if opacity == 1.0 else f"var(--{name}, {opacity:g})"


def level_ink(level: int, count: int) -> str:
    """A reference to the colour of level ``level`` of ``count``, counted from 1."""
    return f"var(--level-{check_integer('level', level, high=count)}-{count})"


def chart(figure: Drawable, *, key: str, alt: str, height: int = HEIGHT) -> None:
    """Show ``figure``, ``height`` CSS pixels high. ``alt`` says in a sentence what is to be seen.

    Zoom and hidden series survive as long as ``figure.layout.uirevision`` stays the same (``key`` if the figure has none); a
    series is known by its name. The figure's template is replaced by the house's.
    """
    projector = modes().projector
    write = partial(payload, figure, key=key, alt=alt, height=height, projector=projector)
    _component(data=keep(figure, (key, alt, height, projector), write), key=key)


def payload(figure: Drawable, *, key: str, alt: str, height: int, projector: bool = False, **more: object) -> bytes:
    """What the browser gets, with ``more`` in its header, larger and starker for a ``projector``; raises ValueError for an
    unknown colour."""
    spec, seen = figure.to_plotly_json(), Counter[str]()
    for trace in spec["data"]:
        seen[name := trace.get("name", "")] += 1
        trace.setdefault("uid", f"series{crc32(name.encode())}-{seen[name]}")  # Plotly makes CSS selectors of it
    spec["layout"] = {"uirevision": key, **spec["layout"], "template": {"layout": _TEMPLATE, "data": {}}}
    text = to_json_plotly(spec)
    names = {found.group(0) for found in _REFERENCE.finditer(text)}
    header = {
        "key": key,
        "alt": alt,
        "height": check_integer("height", height, low=100, high=4000),
        "plotly": library(),
        "zoom": ZOOM if projector else 1,
        "colours": {name: [_colour(name, theme, projector) for theme in ("light", "dark")] for name in sorted(names)},
        **more,
    }
    return pack(MAGIC, header, {"figure": np.frombuffer(text.encode(), np.uint8)})


def component(name: str) -> Callable[..., Any]:
    """A component whose script is browser/NAME.js and whose style is browser/NAME.css.

    The browser fetches the script by itself, once a page: what a component is registered with is sent along with each update.
    """
    css = (_here / "browser" / f"{name}.css").read_text(encoding="utf-8")
    mount = st.components.v2.component(
        f"mlem_{name}", js=_LOADER % _address("browser", f"{name}.js"), css=css, isolate_styles=False
    )

    def show(**arguments: Any) -> Any:
        _serve()
        return mount(**arguments)

    return show


def library() -> str:
    """Where the browser finds Plotly."""
    return _address("plotly", "plotly.min.js")


def charts() -> dict[str, str]:
    """Where the browser finds what all charts need, for whoever has time to fetch it before there is one."""
    _serve()
    return {"module": _address("browser", "plot.js"), "library": library()}


@st.cache_resource(show_spinner=False)
def _serve() -> None:
    """Has the server offer the folders. It has to be asked from within a session. The way is that of Streamlit's older kind of
    components, of which these are none."""
    for name, path in _FOLDERS.items():
        declare_component(_versioned(name), path=path)


def _address(folder: str, file: str) -> str:
    base = st.get_option("server.baseUrlPath").strip("/")
    return f"{'/' + base if base else ''}/component/{__name__}.{_versioned(folder)}/{file}"


@cache
def _versioned(folder: str) -> str:
    """The folder's name in addresses. It changes with what is in it, so that what a browser has kept is never out of date."""
    if folder == "plotly":
        return f"plotly-{version('plotly')}"
    content = b"".join(path.read_bytes() for path in sorted(_FOLDERS[folder].iterdir()))
    return f"{folder}-{crc32(content):08x}"


@cache
def _colour(reference: str, theme: str, stark: bool = False) -> str:
    """The colour that ``reference`` names, as #RRGGBB or rgba(…)."""
    found = _REFERENCE.fullmatch(reference)
    assert found is not None
    name, level, count, opacity = found.groups()
    if name == "level" and level:
        colour = levels(int(count), theme)[int(level) - 1]
    else:
        colour = vars(palette(theme, stark=stark))[check_choice("a colour", name, _NAMES)]
    if opacity is None:
        return colour
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},{opacity})"


_AXIS = {
    "gridcolor": ink("grid"),
    "linecolor": ink("muted"),
    "tickfont": {"color": ink("muted")},
    "title": {"font": {"color": ink("ink")}, "standoff": 12},
    "zeroline": False,
}
_TEMPLATE = {
    "paper_bgcolor": "rgba(0,0,0,0)",
    "plot_bgcolor": "rgba(0,0,0,0)",
    "font": {"color": ink("ink")},
    "colorway": [ink("em"), ink("mlem"), ink("theory"), *(level_ink(level, 5) for level in range(1, 6))],
    "colorscale": {"sequential": "Cividis", "sequentialminus": "Cividis"},
    "margin": {"l": 72, "r": 24, "t": 36, "b": 60},
    "xaxis": _AXIS,
    "yaxis": _AXIS,
    "hoverlabel": {"bgcolor": ink("panel"), "bordercolor": ink("muted"), "font": {"color": ink("ink")}},
    "legend": {"orientation": "h", "x": 0, "y": 1, "yanchor": "bottom", "traceorder": "normal"},
    "modebar": {"bgcolor": "rgba(0,0,0,0)", "color": ink("muted"), "activecolor": ink("ink")},
    "annotationdefaults": {"showarrow": False},
}
_component = component("chart")
