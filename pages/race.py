"""Race: same accuracy, who pays less?"""

import streamlit as st

from mlem.experiments.race import EXPERIMENT, RaceParams, RaceResult
from mlem.planning import Unreachable
from mlem.ui import lesson, page, race_words
from mlem.ui.boot import through_app
from mlem.ui.kept import keep
from mlem.ui.presets import PRESETS
from mlem.ui.stage import Scene, stage
from mlem.ui.state import control, keep_params, read_params

NAME = "race"


def scene() -> Scene:
    """Of the result; without what a prediction is about as long as that is not locked."""
    shown = result.playback
    return Scene(
        summary=race_words.HIDDEN if hidden else result.summary(),
        horizon=shown.horizon,
        paths=shown.paths,
        raster=shown.raster,
        bills={} if hidden else shown.bills,
        verdict={} if hidden else race_words.verdict(result),
        axes=shown.axes,
        captions=race_words.captions(params),
    )


through_app()
learning = lesson.begin(NAME, RaceParams)
params, notices = read_params(RaceParams, NAME)
while True:
    try:
        result: RaceResult = page.compute(EXPERIMENT, params)
        break
    except Unreachable as error:
        params, notice = race_words.within_reach(params, error)
        notices.append(notice)
        keep_params(params, NAME)

page.head("Same accuracy: who pays less?", learning.lead(race_words.lead(params, result)))
if learning.free:
    page.presets(PRESETS[NAME], params, NAME, last=learning.offer)
page.notices(notices, params, NAME)
hidden = learning.card(params, result)

picture, controls = page.sides(NAME)
with controls:
    page.main_controls(params, ("gamma", "epsilon"), NAME)
    for name in ("sde", "firing", "seed"):
        control(params, name, NAME)
    page.more_controls(params, ("rule", "draws", "levels", "residual", "paths", "dim", "noise"), NAME)
with picture:
    stage(keep(result, ("scene", hidden), scene), key="race.stage")

if hidden:
    st.stop()
page.say(race_words.lesson(params, result))
page.numbers("The numbers, level by level", result.rows(), race_words.ledger(result), NAME)
page.words(NAME, params, result)
page.take_along(EXPERIMENT, params, result)
