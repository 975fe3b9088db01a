"""The stage: paths or pictures, calls and bills of EM and ML-EM on one clock, played in the browser.

A ``Scene`` holds everything that is shown. It is sent once, as a payload, and then plays by itself: no traffic while it runs.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from zlib import crc32

import numpy as np
import streamlit as st

from mlem.checks import check_integer, check_positive
from mlem.images.sheet import Sheet
from mlem.ui.chart import charts
from mlem.ui.kept import keep
from mlem.ui.modes import modes
from mlem.ui.palette import MOST_LEVELS, levels, palette, text_on
from mlem.ui.payload import pack
from mlem.words import level_name

MAGIC = 0x4D4C4502  # "MLE" and the version of the format, 2
METHODS = ("reference", "em", "mlem")
MOST_FRAMES, MOST_PATHS, MOST_PICTURES, MOST_BINS = 240, 200, 32, 512
GAP = -32768  # stands for a coordinate that is not finite: nothing is drawn there
HEIGHT = 660  # CSS pixels

_BEYOND = 3.0  # coordinates are stored up to this many widths of the view beyond it, and clamped there
_TAIL = 0.5  # per cent of the coordinates that may lie outside the view, at either side
_PADDING = 0.06  # of the view's width, at either side
_LABELS = {"reference": "reference", "em": "EM", "mlem": "ML-EM"}
_CAPTIONS = {"paths": "Paths on the same noise", "raster": "Which network is called, and when", "bills": "The bill so far"}


@dataclass(frozen=True)
class Pictures:
    """One method's row of pictures, which form over the whole clock.

    count: how many there are. sheet: None while they are still to come; then it says ``waiting`` in their place.
    about: how the method makes them, beside its name. notes: what is said under each at the end, such as its error.
    """

    count: int
    sheet: Sheet | None = None
    about: str = ""
    notes: Sequence[str] = ()
    waiting: str = "still being computed"

    def __post_init__(self) -> None:
        check_integer("count", self.count, high=MOST_PICTURES)
        if self.sheet and self.sheet.pictures != self.count:
            raise ValueError(f"sheet takes {self.count} pictures, as count says, got {self.sheet.pictures}")
        if self.notes and len(self.notes) != self.count:
            raise ValueError(f"notes takes {self.count}, one for each picture, got {len(self.notes)}")


@dataclass(frozen=True, eq=False)
class Scene:
    """What the stage shows. Times run from 0 to ``horizon`` over ``frames`` equal frames; a part that is empty is left out.

    summary: the sentence that says what is to be seen; the text alternative of the picture.
    horizon: T, in units of time.
    paths: by method ("reference", "em", "mlem"), positions (frames + 1, paths, dim), dim 1 or 2, of paths driven by the same
        noise; where a value is not finite the path has a gap.
    pictures: by method, pictures from the same noise, each method's in a row of its own.
    raster: by method ("em", "mlem"), (bins, levels): the share in [0, 1] of paths for which a level is called in that bin of
        time. Cheapest level first; an array with fewer columns than ``levels`` is of the dearest ones (EM calls only the
        dearest).
    bills: by method ("em", "mlem"), (frames + 1, levels): cost per path paid so far for each level, in ``unit``; columns as in
        raster.
    unit: of the bills, in words.
    verdict: by method, what is said of it at the end, such as "RMSE 0.0213 ± 0.0012"; beside its pictures where it has some.
    highlight: the path that is drawn thick.
    level_names: of the levels, cheapest first; f¹, f², … if none are given.
    clock, axes: names of the time and of the ``dim`` coordinates.
    labels: names of the methods. captions: headings of the parts "paths", "raster" and "bills".
    projector: larger type and strokes, starker colours.
    """

    summary: str
    horizon: float = 1.0
    paths: Mapping[str, np.ndarray] = field(default_factory=dict)
    pictures: Mapping[str, Pictures] = field(default_factory=dict)
    raster: Mapping[str, np.ndarray] = field(default_factory=dict)
    bills: Mapping[str, np.ndarray] = field(default_factory=dict)
    unit: str = "× one f¹ evaluation"
    verdict: Mapping[str, str] = field(default_factory=dict)
    highlight: int = 0
    level_names: tuple[str, ...] = ()
    clock: str = "t"
    axes: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    captions: Mapping[str, str] = field(default_factory=dict)
    projector: bool = False

    def __post_init__(self) -> None:
        check_positive("horizon", self.horizon)
        for name in ("paths", "pictures", "verdict", "labels"):
            _check_keys(name, getattr(self, name), METHODS)
        for name in ("raster", "bills"):
            _check_keys(name, getattr(self, name), METHODS[1:])
        _check_keys("captions", self.captions, tuple(_CAPTIONS))
        if not (self.paths or self.pictures or self.raster or self.bills):
            raise ValueError("a scene takes at least one of paths, pictures, raster and bills, got none")
        self._check_paths()
        self._check_pictures()
        for method, share in self.raster.items():
            _check_matrix(f"raster[{method!r}]", share, "bins", MOST_BINS)
            if not bool(np.all((share >= 0) & (share <= 1))):
                raise ValueError(f"raster[{method!r}] takes shares from 0 to 1, got {_extremes(share)}")
        for method, bill in self.bills.items():
            _check_matrix(f"bills[{method!r}]", bill, "frames + 1", MOST_FRAMES + 1)
            if len(bill) < 2:
                raise ValueError(f"bills[{method!r}] takes (frames + 1, levels) with at least 1 frame, got shape {bill.shape}")
            if not bool(np.all(np.isfinite(bill) & (bill >= 0))):
                raise ValueError(f"bills[{method!r}] takes finite costs ≥ 0, got {_extremes(bill)}")
        clocks = {f"paths[{method!r}]": len(array) for method, array in self.paths.items()}
        clocks |= {f"bills[{method!r}]": len(array) for method, array in self.bills.items()}
        if len(set(clocks.values())) > 1:
            raise ValueError(f"paths and bills take one number of frames, got {_counts(clocks)} rows")
        if self.level_names and len(self.level_names) != self.levels:
            raise ValueError(f"level_names takes {self.levels} names, one per level, got {len(self.level_names)}")

    def _check_paths(self) -> None:
        for method, path in self.paths.items():
            takes = f"paths[{method!r}] takes (frames + 1, paths, dim) with dim 1 or 2"
            if path.ndim != 3 or path.shape[2] not in (1, 2):
                raise ValueError(f"{takes}, got shape {path.shape}")
            if not (2 <= path.shape[0] <= MOST_FRAMES + 1 and 1 <= path.shape[1] <= MOST_PATHS):
                raise ValueError(f"{takes}, 1 to {MOST_FRAMES} frames and 1 to {MOST_PATHS} paths, got shape {path.shape}")
        if len({path.shape for path in self.paths.values()}) > 1:
            raise ValueError(f"paths takes one shape for all methods, got { {m: p.shape for m, p in self.paths.items()} }")
        if self.paths:
            check_integer("highlight", self.highlight, low=0, high=self._shape[1] - 1)
            if self.axes and len(self.axes) != self._shape[2]:
                raise ValueError(f"axes takes {self._shape[2]} names, one per dimension of the paths, got {len(self.axes)}")

    def _check_pictures(self) -> None:
        if self.paths and self.pictures:
            raise ValueError("a scene takes either paths or pictures, got both")
        if len({row.count for row in self.pictures.values()}) > 1:
            raise ValueError(f"pictures takes one count for all, got { {m: row.count for m, row in self.pictures.items()} }")

    @property
    def _shape(self) -> tuple[int, int, int]:
        """(frames + 1, paths, dim)."""
        return next(iter(self.paths.values())).shape

    @property
    def frames(self) -> int:
        """Number of frames after the first; a scene with no clock of its own gets the finest."""
        rows = [len(array) for array in (*self.paths.values(), *self.bills.values())]
        return rows[0] - 1 if rows else MOST_FRAMES

    @property
    def levels(self) -> int:
        """Number of levels of the hierarchy: the most columns that any raster or bill has."""
        return max((array.shape[1] for array in (*self.raster.values(), *self.bills.values())), default=1)

    def view(self) -> list[tuple[float, float]]:
        """(low, high) of every coordinate that is shown: all but the tails of all paths, and the highlighted path as far as it
        does not go beyond one more width, so that a wild path does not squash the rest."""
        return [self._range(axis) for axis in range(self._shape[2])] if self.paths else []

    def _range(self, axis: int) -> tuple[float, float]:
        everything = np.concatenate([path[..., axis].ravel() for path in self.paths.values()])
        finite = everything[np.isfinite(everything)]
        if not finite.size:
            return -1.0, 1.0
        low, high = (float(value) for value in np.percentile(finite, (_TAIL, 100 - _TAIL)))
        width = high - low
        chosen = np.concatenate([path[:, self.highlight, axis] for path in self.paths.values()])
        chosen = np.clip(chosen[np.isfinite(chosen)], low - width, high + width)
        low, high = float(np.min(chosen, initial=low)), float(np.max(chosen, initial=high))
        margin = _PADDING * (high - low) or max(1e-6, 0.05 * abs(high))
        return low - margin, high + margin

    def pack(self, height: int = HEIGHT, key: str = "stage", charts: Mapping[str, str] | None = None) -> bytes:
        """The payload for the browser; ``height`` in CSS pixels. By ``key`` the stage is known where its picture is saved.
        ``charts``: where to find what charts of other pages need, to be fetched in a quiet moment."""
        view = self.view()
        centre = np.array([(low + high) / 2 for low, high in view])
        step = np.array([(0.5 + _BEYOND) * (high - low) / 32767 for low, high in view])
        arrays = {f"paths.{method}": quantise(path, centre, step) for method, path in self.paths.items()}
        sheets = {method: row.sheet for method, row in self.pictures.items() if row.sheet}
        arrays |= {f"way.{method}": np.frombuffer(sheet.way, np.uint8) for method, sheet in sheets.items()}
        arrays |= {f"end.{method}": np.frombuffer(sheet.end, np.uint8) for method, sheet in sheets.items()}
        arrays |= {f"raster.{method}": np.ceil(share * 255).astype(np.uint8) for method, share in self.raster.items()}
        arrays |= {f"bills.{method}": bill.astype("<f4") for method, bill in self.bills.items()}

        header = {
            "key": key,
            "charts": charts,
            "frames": self.frames,
            "horizon": self.horizon,
            "dim": self._shape[2] if self.paths else 0,
            "count": self._shape[1] if self.paths else 0,
            "highlight": self.highlight,
            "pictures": {method: _described(self.pictures[method]) for method in METHODS if method in self.pictures},
            "view": view,
            "centre": centre.tolist(),
            "step": step.tolist(),
            "clock": self.clock,
            "axes": self.axes or (("x", "y") if self.paths and self._shape[2] == 2 else ("X(t)",)),
            "levels": self.level_names or tuple(map(level_name, range(1, self.levels + 1))),
            "unit": self.unit,
            "labels": {**_LABELS, **self.labels},
            "captions": {**_CAPTIONS, **self.captions},
            "verdict": dict(self.verdict),
            "summary": self.summary,
            "projector": self.projector,
            "height": check_integer("height", height, low=200, high=4000),
            "themes": {theme: _colours(theme, self.levels, self.projector) for theme in ("light", "dark")},
        }
        return pack(MAGIC, header, arrays)


def stage(scene: Scene, *, key: str, height: int = HEIGHT) -> None:
    """Show ``scene``, ``height`` CSS pixels high where there is room for it (less on a narrow screen), under its transport."""
    projector = scene.projector or modes().projector

    def write() -> bytes:
        return replace(scene, projector=projector).pack(height, key, charts())

    _component(data=keep(scene, (height, key, projector), write), key=key)


def quantise(values: np.ndarray, centre: np.ndarray, step: np.ndarray) -> np.ndarray:
    """``values`` (..., dim) as int16 q with value ≈ centre + q · step, clamped; GAP where not finite."""
    farthest = 32767 * step
    offsets = np.clip(np.nan_to_num(values), centre - farthest, centre + farthest) - centre
    return np.where(np.isfinite(values), np.rint(offsets / step), GAP).astype("<i2")


def _described(row: Pictures) -> dict[str, object]:
    """What the header says of a row. By its sheet's name the browser knows whether it has it already."""
    sheet = row.sheet and {
        "name": f"{crc32(row.sheet.way):08x}{crc32(row.sheet.end):08x}",
        "frames": row.sheet.frames,
        "size": row.sheet.size,
    }
    return {"count": row.count, "about": row.about, "notes": list(row.notes), "waiting": row.waiting, "sheet": sheet}


def _colours(theme: str, count: int, projector: bool) -> dict[str, object]:
    ladder = levels(count, theme)
    return {**asdict(palette(theme, stark=projector)), "ladder": ladder, "on_ladder": [text_on(colour) for colour in ladder]}


def _check_keys(name: str, mapping: Mapping[str, object], takes: tuple[str, ...]) -> None:
    unknown = [key for key in mapping if key not in takes]
    if unknown:
        raise ValueError(f"{name} takes the keys {', '.join(takes)}, got {unknown[0]!r}")


def _check_matrix(name: str, array: np.ndarray, rows: str, most: int) -> None:
    if array.ndim != 2 or not 1 <= array.shape[0] <= most or not 1 <= array.shape[1] <= MOST_LEVELS:
        takes = f"({rows}, levels) with 1 to {most} rows and 1 to {MOST_LEVELS} levels"
        raise ValueError(f"{name} takes {takes}, got shape {array.shape}")


def _extremes(array: np.ndarray) -> str:
    return f"{np.min(array):.3g} to {np.max(array):.3g}"


def _counts(clocks: Mapping[str, int]) -> str:
    return ", ".join(f"{name}: {rows}" for name, rows in clocks.items())


_here = Path(__file__).parent
_component = st.components.v2.component(
    "mlem_stage",
    js="\n".join((_here / name).read_text(encoding="utf-8") for name in ("stage.js", "stage_pictures.js")),
    css=(_here / "stage.css").read_text(encoding="utf-8"),
)
