"""Error vs compute: what does an accuracy cost me?"""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import streamlit as st

from mlem.experiments.convergence import EXPERIMENT, ConvergenceParams, ConvergenceResult
from mlem.sweeps import Part
from mlem.ui import curves, lesson, live, page
from mlem.ui.boot import through_app
from mlem.ui.presets import PRESETS
from mlem.ui.state import control, keep_params, read_params
from mlem.ui.workprecision import Chosen, WorkPrecision, work_precision

through_app()

NAME = "convergence"

learning = lesson.begin(NAME, ConvergenceParams)
params, notices = read_params(ConvergenceParams, NAME)
page.head(
    "What does an accuracy cost me?",
    learning.lead(
        "Every point is a measured run. The lines are the cheapest way of each method to an error, and their slopes say "
        "what the next digit costs. Drag γ, the price of a better network: the runs stay, only their prices move."
    ),
)
if learning.free:
    page.presets(PRESETS[NAME], params, NAME, last=learning.offer)
page.notices(notices, params, NAME)


def settle(chosen: Chosen) -> None:
    """The chart's own controls go into the link."""
    gamma = round(chosen.gamma, 3) if params.kind == "synthetic" else params.gamma
    keep_params(replace(params, gamma=gamma, unit=chosen.unit, epsilon=chosen.target), NAME)


def draw(parts: Sequence[Part], done: bool) -> ConvergenceResult | None:
    """The chart of the runs so far, and what they say."""
    part = curves.joined(parts, params.error)
    if part is None:
        st.caption("Runs appear as they are done, from coarse to fine. First comes the reference that they are compared with.")
        return None
    result = curves.judged(params, len(part.runs), part)
    if learning.card(params, result, ready=done):
        return None
    runs = {"em": result.em_runs, "mlem": result.mlem_runs}
    if params.kind == "synthetic":  # whose seconds say nothing of what a network costs
        runs = {method: replace(side, seconds=np.zeros_like(side.seconds)) for method, side in runs.items()}
    told = [row for row in result.runs if row.get("told from chance") != "no"]
    names = {
        method: [f"{row['levels']} levels, {row['steps']} steps" for row in told if row["method"] == label]
        for method, label in (("em", "EM"), ("mlem", "ML-EM"))
    }
    work_precision(
        WorkPrecision(
            **runs,
            targets=params.targets(),
            chosen=Chosen(params.gamma, params.unit, params.epsilon),
            error="RMSE at T" if params.error == "strong" else "W₂ of the laws at T",
            names=names,
            **curves.predicted(params, part.model),
            own_gamma=params.kind == "spectral",
            chance=result.chance,
            paths=params.paths,
            about=f"{params.sde} {params.error} {params.kind} {params.firing} {params.levels} {params.paths} {params.seed}",
            intervals=done,
        ),
        key="convergence.chart",
        on_choice=settle,
    )
    page.say(curves.convergence_lesson(params, result))
    return result if done else None


picture, controls = page.sides(NAME)
with controls:
    synthetic = params.kind == "synthetic"  # others have an equation and a γ of their own
    # None is a main one: γ, the price and the error are on the chart itself.
    for name in ("firing", "sde" if synthetic else "gamma", "error", "levels"):
        control(params, name, NAME)
    page.more_controls(params, ("kind", *(["residual"] if synthetic else []), "paths", "seed"), NAME)
with picture:
    result = live.sweep(params, draw, page=NAME)

if result is not None:
    caption = f"{len(result.runs)} runs on {params.paths} shared paths. Reference: {result.reference}."
    page.numbers("The numbers, target by target", result.rows(), caption, NAME)
page.words(NAME, params)
if result is not None:
    page.take_along(EXPERIMENT, params, result)
