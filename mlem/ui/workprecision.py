"""The work–precision chart: cost against error for both methods, with γ under the finger.

The browser gets the runs themselves, with resampled errors, and prices them whenever γ or the unit of cost moves: clouds, lower
envelopes, slopes, speed-up and break-even are computed there (frontier.js, the twin of mlem/frontier.py), without any traffic.
When the user lets go, Python is told.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace

import numpy as np
import streamlit as st
from jaxtyping import Float

from mlem.checks import check_choice, check_integer, check_positive
from mlem.experiments.convergence import Chance
from mlem.frontier import UNITS, Runs, prices
from mlem.ui.chart import component, library
from mlem.ui.modes import modes
from mlem.ui.palette import palette
from mlem.ui.payload import pack

MAGIC = 0x4D4C5702  # "MLW" and the version of the format, 2
HEIGHT = 560  # CSS pixels
GAMMAS = (0.25, 5.0)  # where the slider ends, unless γ itself lies outside
GAMMA_STEP = 0.05  # of the slider

_LEAST = np.sqrt(np.finfo(float).tiny)  # of an error, whose logarithm is sent
_MOST_RUNS = 5000


@dataclass(frozen=True)
class Chosen:
    """What the user has settled on: γ, the unit of cost and the error at which both methods are compared."""

    gamma: float
    unit: str
    target: float


@dataclass(frozen=True, eq=False)
class WorkPrecision:
    """What the chart shows.

    em, mlem: runs on the same paths.
    targets: ascending errors at which the frontiers are read and over which slopes are fitted.
    chosen: γ, unit and target to begin with; where Python changes them, the chart follows.
    error: the name of the error, its short form first.
    names: by method ("em", "mlem"), a name for each run, shown at the pointer.
    predicted: by method, costs (gammas, targets) by theory with measured constants, in model cost.
    predicted_for: the γ of these, ascending.
    own_gamma: whether γ is that of the levels, which do the work they are priced at: then it is not dragged.
    chance: where the error is that of a law, what is by chance in it; theory's exponents are upper bounds then.
    paths: how many there are; by default one for each row of squared errors.
    about: what the runs are of. The user's own view is kept as long as this stays the same.
    intervals: False leaves the resamples out, nine tenths of the payload: for runs that are still arriving.
    projector: larger type, thicker lines, starker colours.
    hidden: controls that are left out, of "gamma", "unit" and "epsilon".
    """

    em: Runs
    mlem: Runs
    targets: Float[np.ndarray, " targets"]
    chosen: Chosen
    error: str = "RMSE at T"
    names: Mapping[str, Sequence[str]] = field(default_factory=dict)
    predicted: Mapping[str, Float[np.ndarray, "gammas targets"]] = field(default_factory=dict)
    predicted_for: Sequence[float] = ()
    own_gamma: bool = False
    chance: Chance | None = None
    paths: int | None = None
    about: str = ""
    intervals: bool = True
    projector: bool = False
    hidden: Sequence[str] = ()

    def __post_init__(self) -> None:
        if len(self.em.squared) != len(self.mlem.squared):
            raise ValueError(f"em and mlem take the same paths, got {len(self.em.squared)} and {len(self.mlem.squared)}")
        if self.em.evaluations.shape[1] != self.mlem.evaluations.shape[1]:
            raise ValueError("em and mlem take the same levels")
        if len(self.targets) < 2 or not (np.diff(self.targets) > 0).all() or not self.targets[0] > 0:
            raise ValueError("targets takes at least two ascending errors > 0")
        check_positive("gamma", self.chosen.gamma)
        check_positive("target", self.chosen.target)
        check_choice("unit", self.chosen.unit, self.units)
        for method, names in self.names.items():
            count = len(getattr(self, check_choice("names", method, ("em", "mlem"))).family)
            if len(names) != count:
                raise ValueError(f"names takes one name per run, {count} for {method}, got {len(names)}")
        for method, costs in self.predicted.items():
            wanted = (len(self.predicted_for), len(self.targets))
            if check_choice("predicted", method, ("em", "mlem")) and costs.shape != wanted:
                raise ValueError(f"predicted takes costs (gammas, targets), {wanted} here, got {costs.shape} for {method}")
        for runs in (self.em, self.mlem):
            check_integer("the number of runs", len(runs.family), low=1, high=_MOST_RUNS)

    @property
    def units(self) -> tuple[str, ...]:
        """The units in which every run has a price."""
        sides = (self.em, self.mlem)
        priced = [unit for unit in UNITS if unit != "flops" or all(runs.flops is not None for runs in sides)]
        return tuple(unit for unit in priced if all((prices(runs, unit, 1.0) > 0).all() for runs in sides))

    def pack(self, key: str, height: int = HEIGHT, serial: int = 0) -> bytes:
        """The payload for the browser; ``height`` in CSS pixels. The browser minds ``chosen`` where ``serial`` has changed."""
        arrays: dict[str, np.ndarray] = {}
        steps: dict[str, float] = {}
        for name, runs in self._clouds().items():
            x = np.log(np.maximum(runs.errors, _LEAST))
            with_intervals = self.intervals and name in ("em", "mlem")
            ratios = np.log(np.maximum(runs.resampled, _LEAST)) - x if with_intervals else np.empty((0, len(x)))
            steps[name] = float(np.abs(ratios).max(initial=1e-9)) / 32767
            arrays |= {
                f"{name}.x": x.astype(np.float32),
                f"{name}.ratio": np.rint(ratios / steps[name]).astype(np.int16),
                f"{name}.evaluations": runs.evaluations.astype(np.float32),
                f"{name}.seconds": runs.seconds.astype(np.float32),
                f"{name}.family": np.unique(runs.family, return_inverse=True)[1].astype(np.int16),
            }
        arrays |= {f"{method}.predicted": np.log(costs).astype(np.float32) for method, costs in self.predicted.items()}
        gamma = self.chosen.gamma
        header = {
            "key": key,
            "chosen": asdict(self.chosen),
            "serial": serial,
            "gammas": [min(GAMMAS[0], gamma), max(GAMMAS[1], gamma), GAMMA_STEP],
            "units": self.units,
            "own_gamma": self.own_gamma,
            "flops": [] if self.em.flops is None else self.em.flops.tolist(),
            "targets": np.log(self.targets).tolist(),
            "steps": steps,
            "predicted_for": list(self.predicted_for),
            "paths": self.paths or len(self.em.squared),
            "independent": math.log(self.chance.independent) if self.chance else None,
            "error": self.error,
            "names": {method: list(names) for method, names in self.names.items()},
            "about": self.about,
            "projector": self.projector,
            "hidden": list(self.hidden),
            "height": check_integer("height", height, low=300, high=4000),
            "plotly": library(),
            "themes": {theme: asdict(palette(theme, stark=self.projector)) for theme in ("light", "dark")},
        }
        return pack(MAGIC, header, arrays)

    def _clouds(self) -> dict[str, Runs]:
        """All runs, by the names of their arrays."""
        hidden = {"em.hidden": self.chance.em_runs, "mlem.hidden": self.chance.mlem_runs} if self.chance else {}
        return {"em": self.em, "mlem": self.mlem} | {name: runs for name, runs in hidden.items() if runs is not None}


def work_precision(
    shown: WorkPrecision, *, key: str, on_choice: Callable[[Chosen], None] | None = None, height: int = HEIGHT
) -> None:
    """Show ``shown``; the picture is ``height`` CSS pixels high, its controls and words come on top. Before the script runs
    again, ``on_choice`` is called with what the user has settled on.

    What comes back from there in ``shown.chosen`` is not sent again, and neither are the runs, unless they have changed.
    """
    memory = f"{key}.chosen"
    talk = st.session_state.get(memory)
    if talk is None or key not in st.session_state:  # the browser has no chart yet
        talk = st.session_state[memory] = _Talk(shown.chosen)
    talk.hear(shown.chosen)

    def told() -> None:
        if value := st.session_state[key].get("chosen"):
            talk.there = Chosen(float(value["gamma"]), str(value["unit"]), float(value["target"]))
            if on_choice:
                on_choice(talk.there)

    on = modes()
    hidden = tuple(name for name in ("gamma", "unit", "epsilon") if on.hides(name))
    shown = replace(shown, chosen=talk.sent, projector=shown.projector or on.projector, hidden=hidden)
    _component(data=shown.pack(key, height, talk.serial), key=key, on_chosen_change=told)


class _Talk:
    """What Python wants (``here``), what it has last sent, and what the browser is known to show (``there``)."""

    def __init__(self, chosen: Chosen) -> None:
        self.here = self.sent = self.there = chosen
        self.serial = 0

    def hear(self, chosen: Chosen) -> None:
        """A new wish of Python's is sent, unless the browser shows it already."""
        if chosen not in (self.here, self.there):
            self.sent = self.there = chosen
            self.serial += 1
        self.here = chosen


_component = component("workprecision")
