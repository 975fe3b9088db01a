"""Hierarchy: what does accuracy cost?"""

import streamlit as st

from mlem.experiments import diagnostics
from mlem.experiments.hierarchy import EXPERIMENT, HierarchyParams, HierarchyResult
from mlem.ui import diagnostics_figures, figures, lesson, page
from mlem.ui import hierarchy_words as words
from mlem.ui.boot import through_app
from mlem.ui.chart import chart
from mlem.ui.presets import PRESETS
from mlem.ui.state import control, read_params
from mlem.words import unbroken

NAME = "hierarchy"


def diagnose() -> None:
    """What Giles' checks say of the levels, made when somebody wants to know."""
    found: diagnostics.DiagnosticsResult = page.compute(diagnostics.EXPERIMENT, params)
    page.say(words.diagnosis(found))
    for caution in found.cautions:
        st.warning(caution, icon=":material/warning:")
    alt = words.diagnostics_alt(found)
    chart(diagnostics_figures.by_level(found), key="diagnostics.levels", alt=alt, height=diagnostics_figures.HEIGHT)
    page.table(words.diagnostics_rows(found))
    st.caption(unbroken(words.diagnostics_numbers(found)))


through_app()
learning = lesson.begin(NAME, HierarchyParams)
params, notices = read_params(HierarchyParams, NAME)
result: HierarchyResult = page.compute(EXPERIMENT, params)

page.head(EXPERIMENT.question, learning.lead(words.lead(params, result)))
if learning.free:
    page.presets(PRESETS[NAME], params, NAME, last=learning.offer)
page.notices(notices, params, NAME)
hidden = learning.card(params, result)

picture, controls = page.sides(NAME)
with controls:
    made = ("sde",), ("residual",)  # what synthetic levels are made of; spectral ones have an SDE of their own
    shown, more = made if params.kind == "synthetic" else ((), ())
    page.main_controls(params, ("gamma", "levels"), NAME)
    for name in ("kind", *shown):
        control(params, name, NAME)
    page.more_controls(params, (*more, "paths", "seed"), NAME)
with picture:
    drifts, costs = st.columns(2)
    with drifts:
        chart(figures.level_curves(result), key="hierarchy.curves", alt=words.curves_alt(result), height=figures.HEIGHT)
    if not hidden:
        with costs:
            figure = figures.cost_of_accuracy(result, params.gamma)
            chart(figure, key="hierarchy.cost", alt=result.summary(), height=figures.HEIGHT)

if hidden:
    st.stop()
page.say(words.lesson(params, result))
page.numbers("The numbers, level by level", result.rows(), words.numbers(params, result), NAME)
page.fold("Is anything off? Diagnostics by level", ":material/stethoscope:", f"{NAME}.diagnosis", diagnose)
page.words(NAME, params, result)
page.take_along(EXPERIMENT, params, result)
