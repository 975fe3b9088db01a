"""Results that fill in while somebody looks on: the pool's side of a page.

The computing is done by ``jobs.py``, once for all sessions that ask the same. Here a fragment looks at it twice a second while
it goes on, more often at the very beginning, and no more after that; so every control stays quick, and whoever leaves the page
lets the job go.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Sequence
from functools import partial
from typing import TypeAlias, TypeVar

import streamlit as st

from mlem import demo
from mlem.experiments import limits
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.store import load, swept
from mlem.experiments.worker import WORKER
from mlem.jobs import Factory, Pool, Snapshot
from mlem.sweeps import Part
from mlem.ui import along
from mlem.ui.state import kept_params
from mlem.ui.turns import turn
from mlem.words import measure

T = TypeVar("T")
R = TypeVar("R")

Draw: TypeAlias = Callable[[Sequence[T], bool], R | None]
"""(the parts so far, whether these are all) -> their result once it is whole and may be told, else None. It is called at every
look, so that what it computes should be cached, by the number of parts."""

SOON, EVERY = 0.15, 0.5  # s between looks: at the beginning, and later
_FIRST, _BEGINNING = 3, 2.0  # so many parts, or s of work, are the beginning


@st.cache_resource(show_spinner=False)
def pool() -> Pool:
    """The server's pool. One thread works on it: what it waits for is computed by one process, or by networks, which want all
    processors."""
    return Pool(workers=1)


def sweep(params: ConvergenceParams, draw: Draw[Part, R], *, page: str) -> R | None:
    """Draws the sweep of ``params``: at once if it is stored, else as it is computed. What only prices makes no other sweep.
    Returns what ``draw`` does."""
    stored = load(params)
    if stored is not None:
        return draw([stored], True)
    return live(swept(params), partial(WORKER.steps, "sweep", swept(params)), draw, page=page)


def live(key: Hashable, factory: Factory[T], draw: Draw[T, R], *, page: str) -> R | None:
    """Draws the job ``key`` as it goes on, under its progress and a button to stop or resume it. ``key`` must equal itself from
    run to run: of classes that are defined in mlem/, not in a page. Returns what ``draw`` does: the page is run once more when
    the job ends or a prediction is locked."""
    stopped = f"{page}.stopped"

    def look() -> Snapshot[T]:
        stands = st.session_state.get(stopped) == key or _has_to_wait(key)
        return pool().peek(key) if stands else pool().poll(key, factory)

    def goes_on(seen: Snapshot[T]) -> bool:
        return not seen.over and st.session_state.get(stopped) != key

    def pace(seen: Snapshot[T]) -> float | None:
        begins = len(seen.parts) < _FIRST and seen.seconds < _BEGINNING
        return (SOON if begins else EVERY) if goes_on(seen) else None

    def state() -> object:
        return kept_params(page), along.texts()

    every, settled = pace(look()), state()
    going = every is not None

    @st.fragment(run_every=every)
    def shown() -> R | None:
        with turn():
            seen = look()
            if pace(seen) != every or state() != settled:
                st.rerun()  # the whole page, which settles how often a fragment runs, and what is drawn
            _progress(seen, going, partial(_switch, stopped, key if going else None), f"{page}.switch")
            return draw(seen.parts if seen.over or not going else seen.parts[: _worth_drawing(len(seen.parts))], seen.finished)

    return shown()


def _worth_drawing(parts: int) -> int:
    """How many of them: the more there are, the less does one more change the picture, which takes as long to draw."""
    return parts - parts % 2 ** max(0, parts.bit_length() - 3)


def _has_to_wait(key: Hashable) -> bool:
    """Whether this session has as many other jobs at work as a demo gives it; those that it left are dropped before long."""
    if not demo.on():
        return False
    asked: list[Hashable] = st.session_state.setdefault("live.asked", [])
    asked[:] = [other for other in asked if other == key or pool().peek(other).turn is not None]
    if key not in asked and len(asked) < limits.JOBS:
        asked.append(key)
    return key not in asked


def _switch(stopped: str, key: Hashable | None) -> None:
    st.session_state[stopped] = key


def _progress(seen: Snapshot[T], going: bool, switch: Callable[[], None], key: str) -> None:
    if seen.error is not None:
        why = ". Try again in a minute, or ask for less." if demo.on() else f": {seen.error}."
        st.error(f"The computation ended early{why}", icon=":material/crisis_alert:")
        return
    if seen.finished:
        st.caption(f"Computed in {measure(seen.seconds, 's')}, for all who look at it.")
        return
    with st.container(horizontal=True, vertical_alignment="center"):
        st.progress(seen.done, text=_told(seen, going))
        if going:
            st.button("Stop", key=key, icon=":material/stop:", on_click=switch)
        else:
            st.button("Resume", key=key, icon=":material/play_arrow:", on_click=switch)


def _told(seen: Snapshot[T], going: bool) -> str:
    """The progress in words."""
    if going and seen.turn is None:  # whatever goes on has a turn, unless a demo has it wait
        return f"Waiting: each visitor has {limits.JOBS} computations at a time here, and those you left end in a few seconds"
    if going and not seen.parts and (seen.turn or 0) > 1:
        return f"Waiting for its turn, number {seen.turn}"
    return f"{'Computing' if going else 'Stopped'}: {seen.done:.0%} after {seen.seconds:.1f} s"
