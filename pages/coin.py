"""Coin: how can rare, dear calls suffice?"""

from dataclasses import replace

import streamlit as st

from mlem.experiments.coin import EXPERIMENT, CoinParams, CoinResult, run
from mlem.ui import coin_words as words
from mlem.ui import figures, lesson, page
from mlem.ui.boot import through_app
from mlem.ui.chart import chart
from mlem.ui.presets import PRESETS
from mlem.ui.state import control, keep_params, read_params
from mlem.words import level_name

NAME = "coin"
MOST = int(CoinParams.specs()["draws"].high)


def throw(more: int) -> None:
    """The same coins go on falling."""
    keep_params(replace(params, draws=min(params.draws + more, MOST)), NAME)


def throw_until_called() -> None:
    """Up to the next draw that computes f^K."""
    calls = run(replace(params, draws=MOST)).glass.fired[params.draws :, -1]
    throw(int(calls.argmax()) + 1 if calls.any() else MOST)


through_app()
learning = lesson.begin(NAME, CoinParams)
params, notices = read_params(CoinParams, NAME)
result: CoinResult = page.compute(EXPERIMENT, params)

page.head(EXPERIMENT.question, learning.lead(words.lead(params, result)))
if learning.free:
    page.presets(PRESETS[NAME], params, NAME, last=learning.offer)
page.notices(notices, params, NAME)
hidden = learning.card(params, result)

picture, controls = page.sides(NAME)
with controls:
    page.main_controls(params, ("rule",), NAME)
    for name in ("firing", "gamma", "budget", "draws", "levels"):
        control(params, name, NAME)
    page.more_controls(params, ("sde", "residual", "seed"), NAME)
with picture:
    with st.container(horizontal=True, gap="small"):
        full = params.draws >= MOST
        st.button("Throw once", key="coin.once", icon=":material/casino:", on_click=throw, args=(1,), disabled=full)
        st.button("100 more", key="coin.hundred", on_click=throw, args=(100,), disabled=full)
        top = level_name(params.levels)
        until = f"Throw until the coin of {top} comes up heads, so that it is called."
        st.button(f"Until {top}", key="coin.until", help=until, on_click=throw_until_called, disabled=full)
    step, mean = st.columns(2)
    with step:
        chart(figures.telescope(result), key="coin.telescope", alt=words.telescope_alt(result), height=figures.HEIGHT)
    if hidden:
        st.stop()
    with mean:
        chart(figures.running_mean(result), key="coin.mean", alt=words.mean_alt(result), height=figures.HEIGHT)
    page.say(f"{words.equation(result)}. {words.called(params, result)}")
    st.caption(words.WEIGHTS)
    height = figures.SHARES_HEIGHT + figures.SHARES_ROW * params.levels
    chart(figures.shares(result), key="coin.shares", alt=words.shares_alt(result), height=height)

page.say(words.lesson(params, result))
page.numbers("The numbers, level by level", result.rows(), words.numbers(result), NAME)
page.words(NAME, params, result)
page.take_along(EXPERIMENT, params, result)
