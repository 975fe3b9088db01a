"""Figures as they are written down: Plotly's, but for looking at every value, which takes longer than all else on a page.

What a figure takes is checked where it costs nobody's time: in tests, which read ``data`` and ``layout``.
"""

from __future__ import annotations

from base64 import b64encode
from typing import Any, Protocol, runtime_checkable

import numpy as np
from jaxtyping import Shaped

_TYPED = ("f8", "f4", "i4", "i2", "i1", "u4", "u2", "u1")  # arrays that the browser can read as they are


@runtime_checkable
class Drawable(Protocol):
    """A figure of this module, or one of plotly.graph_objects."""

    def to_plotly_json(self) -> dict[str, Any]:
        """Its series and its layout, by the names "data" and "layout"."""


class Figure:
    """Series and a layout, with the methods and keywords of plotly.graph_objects.Figure."""

    def __init__(self) -> None:
        self._data, self._layout = list[dict[str, Any]](), dict[str, Any]()
        self._checked: Any = None

    def add_scatter(self, **series: Any) -> Figure:
        """Lines and markers."""
        return self._add("scatter", series)

    def add_bar(self, **series: Any) -> Figure:
        """Bars."""
        return self._add("bar", series)

    def add_contour(self, **series: Any) -> Figure:
        """A map."""
        return self._add("contour", series)

    def update_layout(self, **layout: Any) -> Figure:
        """Puts whole entries of the layout in the place of what they were."""
        self._layout |= layout
        self._checked = None
        return self

    def to_plotly_json(self) -> dict[str, Any]:
        """Its series and its layout, for the browser."""
        return {
            "data": [{key: _written(value) for key, value in series.items()} for series in self._data],
            "layout": self._layout,
        }

    @property
    def data(self) -> Any:
        """The series, checked by Plotly, which raises ValueError."""
        return self._as_plotly().data

    @property
    def layout(self) -> Any:
        """The layout, checked by Plotly, which raises ValueError."""
        return self._as_plotly().layout

    def _add(self, kind: str, series: dict[str, Any]) -> Figure:
        self._data.append({"type": kind, **series})
        self._checked = None
        return self

    def _as_plotly(self) -> Any:
        if self._checked is None:
            from plotly.graph_objects import Figure as Checked  # no page needs it

            self._checked = Checked(data=self._data, layout=self._layout)
        return self._checked


def _written(value: Any) -> Any:
    """An array of numbers as its bytes; all else as it is."""
    return _typed(value) if isinstance(value, np.ndarray) and value.dtype.kind in "fiu" else value


def _typed(array: Shaped[np.ndarray, "..."]) -> dict[str, str]:
    """Plotly's way to write an array down."""
    if array.dtype.str[1:] not in _TYPED:
        array = array.astype(np.int32)  # of the integers that NumPy makes unless told otherwise
    spec = {"dtype": array.dtype.str[1:], "bdata": b64encode(np.ascontiguousarray(array).tobytes()).decode()}
    return spec if array.ndim == 1 else {**spec, "shape": ", ".join(map(str, array.shape))}
