"""Faces: do real networks obey?"""

from collections.abc import Sequence
from functools import partial

import streamlit as st
import torch

from mlem.experiments import faces, sample_store
from mlem.experiments.sample import EXPERIMENT, METHODS, SampleResult, planned_calls
from mlem.experiments.sample_store import Film
from mlem.images.card import SAMPLES
from mlem.images.checkpoint import SHIPPED
from mlem.images.devices import device_of, in_words
from mlem.images.ladders import own
from mlem.ui import faces_figures, faces_view, faces_words, lesson, live, page
from mlem.ui.boot import through_app
from mlem.ui.chart import chart
from mlem.ui.faces_stage import scene
from mlem.ui.faces_view import FacesView
from mlem.ui.presets import PRESETS
from mlem.ui.stage import stage
from mlem.ui.state import control, read_params

through_app()

NAME = "faces"

learning = lesson.begin(NAME, FacesView)
view, notices = read_params(FacesView, NAME)
params = view.sample()
stored = sample_store.load(params)
missing = tuple(method for method in METHODS if method not in stored)
costs = faces_view.costs(params, stored)
plan = faces_view.plan(params, costs)
planned = planned_calls(params, plan, len(costs)) if plan and costs is not None else None

page.head("Do real networks obey?", learning.lead(faces_words.lead(params, costs, planned)))
if learning.free:
    page.presets(PRESETS[NAME], view, NAME, last=learning.offer)
page.notices(notices, view, NAME)
if params.ladder == "shipped" and costs is None:
    st.error("No networks came with this installation: `python -m mlem train --help` tells how to make some.")
    st.stop()


result = faces_view.measurement(params)
hidden = learning.card(params, result)


def draw(parts: Sequence[Film], done: bool) -> SampleResult | None:
    """The films so far, and once all are there what they say."""
    films = stored | dict(zip(missing, parts, strict=False))
    judged = sample_store.judged(films) if len(films) == len(METHODS) and not hidden else None
    stage(scene(params, films, judged, faces_view.costs(params, films), planned, "still to come"), key="sample.stage")
    if judged:
        page.say(faces_words.lesson(judged, timed=missing in ((), METHODS)))
    return judged


picture, controls = page.sides(NAME)
with controls:
    page.main_controls(view, ("steps", "budget"), NAME)
    for name in ("process", "firing", "em_steps", "seed"):
        control(view, name, NAME)
    page.more_controls(
        view,
        ("pictures", "precision", *(["device"] if torch.cuda.is_available() else []), *(["ladder"] if own() else [])),
        NAME,
        note=faces_words.hardware(in_words(device_of(view.device)), alone=not torch.cuda.is_available()),
    )
with picture:
    sample = live.live(params, partial(sample_store.steps, params, missing), draw, page=NAME) if missing else draw((), True)

if sample:
    page.numbers("The numbers of this sample", sample.rows(), f"Reference: {sample.reference}.", NAME)
    page.take_along(EXPERIMENT, params, sample, view)
if hidden:
    st.stop()
if result is None:
    st.info(faces_words.UNMEASURED, icon=":material/straighten:")
    page.words(NAME, view)
    st.stop()

st.header("What does an error cost?", anchor=False)
with st.container(width=260):
    control(view, "unit", NAME)
left, right = st.columns(2, gap="medium")
with left:
    curves = faces_view.curves(result, view.unit)
    chart(
        faces_figures.error_vs_cost(result, curves, view.unit),
        key="faces.error",
        alt=f"Error against cost of every method. {result.summary()}",
        height=faces_figures.HEIGHT,
    )
with right:
    chart(
        faces_figures.savings(result, view.unit),
        key="faces.savings",
        alt=faces_words.measured(result, view.unit),
        height=faces_figures.HEIGHT,
    )
page.say(faces_words.measured(result, view.unit))
if said := faces_words.samplers(result, view.unit):
    page.say(said)

st.header("What is a better network worth?", anchor=False)
left, right = st.columns(2, gap="medium")
with left:
    chart(faces_figures.level_errors(result, view.unit), key="faces.levels", alt=faces_words.gamma(result))
with right:
    chart(faces_figures.held_out(result), key="faces.held-out", alt=faces_words.losses(result))
page.say(faces_words.gamma(result))

if plan:
    st.header("Which networks are called, and when?", anchor=False)
    effects, count = result.measured.effects, len(result.levels)
    said = faces_words.along_time(effects, plan, params.firing, count)
    chart(faces_figures.calls_along_time(effects, plan, count), key="faces.calls", alt=said, height=faces_figures.HEIGHT)
    page.say(said)

page.numbers("The networks, one by one", result.rows(), faces_words.networks(result), "faces.networks")
page.numbers("All measured runs", result.runs, faces_words.runs(result, params.process), "faces.runs")
page.words(NAME, view)
page.take_along(faces.EXPERIMENT, faces.FacesParams(process=params.process), result, view)
if params.ladder == "shipped" and (sheet := SHIPPED / SAMPLES).is_file():
    page.fold("What each network draws", ":material/grid_view:", "faces.samples", lambda: faces_view.show(sheet, costs))
page.fold("The networks’ model card", ":material/badge:", "faces.card", lambda: st.markdown(faces_words.card()))
st.caption(faces_words.OWN if own() is None else faces_words.LICENCE)
