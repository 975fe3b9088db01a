"""Crossover: when does it pay?"""

from collections.abc import Sequence

import streamlit as st

from mlem.experiments.crossover import EXPERIMENT, CrossoverParams, CrossoverResult, TooFewRuns
from mlem.sweeps import Part
from mlem.ui import crossover_figures, curves, lesson, live, page
from mlem.ui.boot import through_app
from mlem.ui.chart import chart
from mlem.ui.presets import PRESETS
from mlem.ui.state import control, read_params

through_app()

NAME = "crossover"

learning = lesson.begin(NAME, CrossoverParams)
params, notices = read_params(CrossoverParams, NAME)
page.head(
    "When does it pay?",
    learning.lead(
        "The same measured runs, priced for every γ. Three thresholds, kept apart: **break-even**, which constants decide; the "
        "**kink** at γ = 2, where ML-EM’s exponent bends; and, above it, **free steps**."
    ),
)
if learning.free:
    page.presets(PRESETS[NAME], params, NAME, last=learning.offer)
page.notices(notices, params, NAME)


def draw(parts: Sequence[Part], done: bool) -> tuple[CrossoverResult, int] | None:
    """Three charts of the runs so far, and what they say. Returns the result and the number of runs, once these are all."""
    part = curves.joined(parts)
    try:
        result = curves.crossed(params, part) if part else None
    except TooFewRuns:
        result = None
    if part is None or result is None:
        st.caption("The first runs are on their way.")
        return None
    if learning.card(params, result, ready=done):
        return None
    left, right = st.columns(2, gap="medium")
    with left:
        chart(crossover_figures.exponents(result, params.gamma), key="crossover.exponents", alt=result.summary())
    with right:
        chart(
            crossover_figures.level_shares(result, params.gamma),
            key="crossover.shares",
            alt=f"Each level’s share in the cost of ML-EM at error {params.epsilon:g}: from cheap to dear as γ grows.",
        )
    page.say(curves.crossover_lesson(params, result))
    chart(
        crossover_figures.speedup_map(result, params.gamma),
        key="crossover.map",
        alt="Map of the cost of EM over that of ML-EM at equal error, over γ and error, with the line of equal cost."
        + curves.breakeven(result),
    )
    return (result, len(part.runs)) if done else None


picture, controls = page.sides(NAME)
with controls:
    page.main_controls(params, ("gamma", "epsilon"), NAME)
    for name in ("sde", "firing"):
        control(params, name, NAME)
    page.more_controls(params, ("levels", "residual", "paths", "seed"), NAME)
with picture:
    found = live.sweep(params.swept(), draw, page=NAME)

if found is not None:
    result, runs = found
    caption = f"{runs} runs on {params.paths} shared paths, priced for each γ."
    page.numbers("The numbers, γ by γ", result.rows(), caption, NAME)
page.words(NAME, params)
if found is not None:
    page.take_along(EXPERIMENT, params, result)
