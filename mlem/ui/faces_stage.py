"""The Faces page's stage: the films that are there, the calls that made them, and the bills."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from jaxtyping import Float

from mlem.experiments.race import filling
from mlem.experiments.sample import METHODS, SampleParams, SampleResult
from mlem.experiments.sample_store import Film
from mlem.ui import faces_words
from mlem.ui.stage import Pictures, Scene
from mlem.words import digits

FRAMES = 96
"""Of the clock: three from each frame of the pictures to the next."""

Calls = Float[np.ndarray, "_steps _levels"]
"""By step and level; with fewer columns than levels it is of the dearest ones. Methods differ in both."""


def scene(
    params: SampleParams,
    films: Mapping[str, Film],
    result: SampleResult | None,
    costs: Float[np.ndarray, " levels"] | None,
    planned: Calls | None,
    waiting: str,
) -> Scene:
    """What there is to see so far.

    costs: GFLOP of one evaluation by level, None where no network is known yet. planned: ML-EM's calls, where they are known
    before its film is there. waiting: what is said in the place of films that are not there.
    """
    levels = len(costs) if costs is not None else 0
    calls = _calls(params, films, levels, planned)
    rows = {
        method: Pictures(
            count=params.pictures,
            sheet=films[method].sheet if method in films else None,
            about=faces_words.about(params, method, calls.get(method), levels),
            notes=[digits(error) for error in getattr(result, method).mse_by_picture]
            if result and method != "reference"
            else (),
            waiting=waiting,
        )
        for method in ("reference", "em", "mlem")
    }
    solvers = {method: own for method, own in calls.items() if method != "reference"}
    return Scene(
        summary=faces_words.summary(params, films, result),
        pictures=rows,
        raster=solvers,
        bills={method: filling(own * costs[-own.shape[1] :], FRAMES) for method, own in solvers.items() if costs is not None},
        unit="GFLOP per picture",
        verdict={method: faces_words.verdict(method, films, result) for method in METHODS},
    )


def _calls(params: SampleParams, films: Mapping[str, Film], levels: int, planned: Calls | None) -> dict[str, Calls]:
    """By method; EM and the reference call the largest network only."""
    if not levels:
        return {}
    found = {"em": np.ones((params.em_steps, 1))}
    if "mlem" in films:
        found["mlem"] = films["mlem"].drawn.calls
    elif planned is not None:
        found["mlem"] = planned
    return found
