"""A class at the app: what its sessions do in each phase of a lesson, and how long they wait for it."""

from __future__ import annotations

import asyncio
import math
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count

from websockets.exceptions import WebSocketException

from mlem.march import Report
from mlem.ui.serving import Server
from mlem.ui.tab import Answer, Tab, Unanswered

PAGES = ("", "hierarchy", "coin", "convergence", "steps", "crossover", "faces")
"""The paths of all pages; "" is the landing page."""

MOVED = ("", "hierarchy", "coin")
"""Pages whose results are there when their script ends."""

SWEPT = ("convergence", "crossover")
"""Pages that run sweeps."""

_LEAVE, _TURN = 0.05, 0.15  # chances of leaving for a moment, and of turning to another page, instead of moving a control
_GAMMA = 0.6  # chance that what is moved is γ, and not a preset
_FIRST_SEED = 100_000  # of sweeps that nobody has stored
_WATCHED = 15.0  # s: within which the server has to rest
_BUSY, _LOOK = 0.3, 0.25  # of a processor: what is no rest; s between looks
_TICK = 0.5  # s between reports


@dataclass
class Sample:
    """Seconds of one kind of request in one phase, during which there were so many ``sweeps``."""

    phase: str
    what: str
    sweeps: int
    seconds: list[float] = field(default_factory=list)


class Classroom:
    """``sessions`` at ``server``; ``sweeps`` of them run sweeps in one of three phases of moves, each ``seconds`` long.
    ``think``: mean seconds between moves of a session. ``minutes``: of coming and going in the end. ``any_control``: whether
    any control is moved, or γ and presets alone. What was found is in ``samples``, ``errors``, ``memory``, ``shares`` and
    ``rest``; ``soaked_from`` is the second from which they came and went."""

    def __init__(
        self,
        server: Server,
        *,
        sessions: int,
        sweeps: int,
        seconds: float,
        think: float,
        minutes: float,
        any_control: bool,
        seed: int,
        tell: Report,
    ) -> None:
        self._server, self._sweeps, self._tell = server, sweeps, tell
        self._seconds, self._think, self._minutes, self._any_control = seconds, think, minutes, any_control
        self._tabs = [Tab(server.address, random.Random(f"{seed} {n}"), self._went_wrong) for n in range(sessions)]
        self._seen = dict[tuple[str, str], float]()  # when a state was first on somebody's screen
        self._unstored = (f"v=1&seed={seed}" for seed in count(_FIRST_SEED))
        self._phase, self._swept = "", 0
        self.samples = dict[tuple[str, str], Sample]()
        self.errors = Counter[str]()
        self.memory = list[tuple[float, float]]()
        self.shares = dict[str, float]()
        self.rest: float | None = None
        self.soaked_from = math.inf

    async def lesson(self) -> None:
        """All phases."""
        began = time.perf_counter()
        watcher = asyncio.create_task(self._watch_memory(began))
        try:
            async with self._during("first visitor"):
                for page in PAGES:
                    await self._open(self._tabs[0], page)
            await self._join()
            phases = sorted({0, min(1, self._sweeps), self._sweeps})
            share = self._seconds / (len(phases) * self._seconds + 60 * self._minutes)  # of one phase in all the time
            for done, sweeps in enumerate(phases):
                await self._moves(sweeps, begin=done * share, end=(done + 1) * share)
            if self._sweeps:
                await self._leave_sweeps()
            async with self._during("all come back"):
                await asyncio.gather(*(self._come_back(tab, by_link=True) for tab in self._tabs))
            if self._minutes:
                self.soaked_from = time.perf_counter() - began
                await self._acts("coming and going", self._sweeps, 60 * self._minutes, begin=len(phases) * share, end=1.0)
        finally:
            watcher.cancel()
            await asyncio.gather(*(tab.close() for tab in self._tabs))
        for line, often in self._server.tracebacks().items():
            self.errors[f"in the server's log: {line}"] += often

    # ── phases

    async def _join(self) -> None:
        async with self._during("all join"):
            pages = [PAGES[n % len(PAGES)] for n in range(len(self._tabs))]
            await asyncio.gather(*map(self._open, self._tabs, pages))

    async def _moves(self, sweeps: int, *, begin: float, end: float) -> None:
        """A phase of moves beside so many sweeps."""
        phase = {0: "no sweep", 1: "one sweep"}.get(sweeps, f"{sweeps} sweeps")
        await self._acts(phase, sweeps, self._seconds, begin=begin, end=end)

    async def _acts(self, phase: str, sweeps: int, seconds: float, *, begin: float, end: float) -> None:
        """All but ``sweeps`` sessions move controls, the others run sweeps, for ``seconds``; progress goes from ``begin``
        to ``end``."""
        async with self._during(phase, sweeps), asyncio.TaskGroup() as group:
            until = time.perf_counter() + seconds
            for tab in self._tabs[:sweeps]:
                group.create_task(self._sweep(tab, until))
            for tab in self._tabs[sweeps:]:
                group.create_task(self._take_part(tab, until))
            while (left := until - time.perf_counter()) > 0:
                self._tell(end - (end - begin) * left / seconds)
                await asyncio.sleep(min(_TICK, left))

    async def _leave_sweeps(self) -> None:
        """Sweeps begin, and all who look at them leave: half by another page, half by closing the tab. All others are quiet."""
        async with self._during("sweeps left"):
            sweepers = self._tabs[: self._sweeps]
            await asyncio.gather(*(self._open(tab, SWEPT[0], next(self._unstored)) for tab in sweepers))
            await asyncio.sleep(2.0)
            self.rest = await self._until_rest(sweepers)

    async def _until_rest(self, sweepers: Sequence[Tab]) -> float | None:
        """Seconds from the leaving to the end of the last look in which the server was busy."""
        await asyncio.gather(*(tab.close() if n % 2 else self._answered(tab.go("hierarchy")) for n, tab in enumerate(sweepers)))
        left = time.perf_counter()
        busy, before = 0.0, (left, self._server.seconds())
        while (now := time.perf_counter()) < left + _WATCHED:
            taken = self._server.seconds()
            if taken is None or before[1] is None:
                return None
            if taken - before[1] > _BUSY * (now - before[0]):
                busy = now - left
            before = (now, taken)
            await asyncio.sleep(_LOOK)
        return busy

    @asynccontextmanager
    async def _during(self, phase: str, sweeps: int = 0) -> AsyncIterator[None]:
        """Names the phase, and notes how many processors the server keeps busy in it."""
        self._phase, self._swept = phase, sweeps
        began, taken = time.perf_counter(), self._server.seconds()
        yield
        if taken is not None and (now := self._server.seconds()) is not None:
            self.shares[phase] = (now - taken) / (time.perf_counter() - began)

    # ── what one session does

    async def _take_part(self, tab: Tab, until: float) -> None:
        """Thinks and acts, until the phase ends. Playing the stage is thinking: it asks nothing of the server."""
        while True:
            await asyncio.sleep(tab.chance.uniform(0.5, 1.5) * self._think)
            if time.perf_counter() > until:
                return
            dice = tab.chance.random()
            if not tab.connected or tab.page not in MOVED:
                await self._open(tab, tab.chance.choice(MOVED))
            elif dice < _LEAVE:
                await self._come_back(tab, by_link=dice < _LEAVE / 2)
            elif dice < _LEAVE + _TURN:
                page = tab.chance.choice([page for page in PAGES if page != tab.page])
                self._note("page", await self._answered(tab.go(page)))
            else:
                await self._move(tab)

    async def _move(self, tab: Tab) -> None:
        if self._any_control:
            keys = tab.controls("slider", "selectbox")
        elif tab.chance.random() < _GAMMA:
            keys = [key for key in tab.controls("slider") if key.endswith(".gamma")]
        else:
            keys = [key for key in tab.controls("button") if ".preset." in key]
        if not keys:
            self._went_wrong(f"{tab.page or 'landing page'}: there is nothing to move")
            await self._open(tab, tab.chance.choice(MOVED))
            return
        sent = time.perf_counter()
        seconds = await self._answered(tab.move(tab.chance.choice(keys)))
        self._note("control → new figure", seconds)
        known = self._seen.setdefault((tab.page, tab.query), time.perf_counter()) < sent
        self._note("… that somebody has seen" if known else "… computed for the first time", seconds)

    async def _sweep(self, tab: Tab, until: float) -> None:
        """Runs sweeps that nobody has stored, one after the other, on the pages in turn."""
        page = tab.chance.choice(SWEPT)
        while time.perf_counter() < until:
            asked = time.perf_counter()
            await self._open(tab, page, next(self._unstored))
            while tab.connected and tab.waits and not tab.figures and time.perf_counter() < until:
                await asyncio.sleep(0.05)
            if tab.figures:
                self._note("first figure of a sweep", time.perf_counter() - asked)
            while tab.connected and tab.waits and time.perf_counter() < until:
                await asyncio.sleep(0.2)
            await asyncio.sleep(0.2)

    async def _come_back(self, tab: Tab, *, by_link: bool) -> None:
        """Closes the tab or loses its connection, and is back a moment later: by the link in the address bar as a new session,
        or in the old one. Link and figures have to be what they were, if they belonged together: after a request that was not
        answered in time the link is the new state's already, and the figures are still the old one's."""
        if not tab.connected:
            return
        query, figures, settled = tab.query, dict(tab.figures), tab.settled
        await tab.close()
        await asyncio.sleep(tab.chance.uniform(0.0, self._think))
        seconds = await self._answered(tab.open(tab.page, query) if by_link else tab.come_back())
        self._note("back by link" if by_link else "back in the old session", seconds)
        if seconds is not None and settled and tab.page in MOVED and (tab.query, tab.figures) != (query, figures):
            others = sorted(key for key in figures | tab.figures if figures.get(key) != tab.figures.get(key))
            what = f"by its link, {query!r}" if by_link else f"in the old session, {query!r}"
            self._went_wrong(f"came back {what} to {tab.query!r}, with other figures: {', '.join(others) or 'none'}")

    async def _open(self, tab: Tab, page: str, query: str = "") -> None:
        self._note("page", await self._answered(tab.open(page, query)))

    # ── what is noted

    async def _answered(self, answer: Awaitable[Answer]) -> float | None:
        """Seconds to the last new figure, or to the end of the script where there is none; None if it went wrong."""
        try:
            got = await answer
        except Unanswered:
            return None
        except (OSError, WebSocketException) as error:
            self._went_wrong(f"no connection: {error}")
            return None
        return got.finished if got.figure is None else got.figure

    def _went_wrong(self, text: str) -> None:
        self.errors[f"{self._phase}: {text}"] += 1

    def _note(self, what: str, seconds: float | None) -> None:
        if seconds is not None:
            sample = self.samples.setdefault((self._phase, what), Sample(self._phase, what, self._swept))
            sample.seconds.append(seconds)

    async def _watch_memory(self, began: float) -> None:
        while (size := self._server.memory()) is not None:
            self.memory.append((time.perf_counter() - began, size))
            await asyncio.sleep(1.0)
