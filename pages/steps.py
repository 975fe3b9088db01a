"""Free steps: does halving the step double the bill?"""

from collections.abc import Sequence
from functools import partial

import streamlit as st

from mlem.experiments.steps import EXPERIMENT, StepsParams, StepsResult, load
from mlem.experiments.worker import WORKER
from mlem.ui import crossover_figures, curves, lesson, live, page
from mlem.ui.boot import through_app
from mlem.ui.chart import chart
from mlem.ui.presets import PRESETS
from mlem.ui.state import control, read_params

through_app()

NAME = "steps"

learning = lesson.begin(NAME, StepsParams)
params, notices = read_params(StepsParams, NAME)
page.head(
    "Does halving the step double the bill?",
    learning.lead(
        "Both methods keep the same error while the step shrinks 64-fold. EM pays for every step. ML-EM calls each "
        "network at its own rate, and above γ = 2 that rate is all that it pays for."
    ),
)
if learning.free:
    page.presets(PRESETS[NAME], params, NAME, last=learning.offer)
page.notices(notices, params, NAME)


def draw(results: Sequence[StepsResult], done: bool) -> StepsResult | None:
    """The chart, once there is a result."""
    if not results:
        st.caption("The runs are on their way: the finest has some thirty thousand steps.")
        return None
    result = results[-1]
    if learning.card(params, result, ready=done):
        return None
    chart(crossover_figures.cost_against_step(result), key="steps.chart", alt=result.summary(), height=520)
    page.say(curves.steps_lesson(result))
    return result if done else None


picture, controls = page.sides(NAME)
with controls:
    page.main_controls(params, ("epsilon",), NAME)
    for name in ("sde", "firing"):
        control(params, name, NAME)
    page.more_controls(params, ("doublings", "residual", "paths", "seed"), NAME)
with picture:
    stored = load(params)
    if stored is not None:
        result = draw([stored], True)
    else:
        result = live.live(params, partial(WORKER.steps, "steps", params), draw, page=NAME)

if result is not None:
    caption = "Costs in evaluations of f¹, interpolated between runs at errors around the target."
    page.numbers("The numbers, step by step", result.rows(), caption, NAME)
page.words(NAME, params)
if result is not None:
    page.take_along(EXPERIMENT, params, result)
