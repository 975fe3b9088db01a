"""A browser's tab without the browser: one session that speaks Streamlit's protocol with a server over its websocket.

It keeps what a tab keeps: the widgets and their states, the query of its address, the messages that it may be referred to, and
the clocks of fragments that run by themselves. It draws nothing, so that what it waits for is the server.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any

from streamlit.proto.Alert_pb2 import Alert
from streamlit.proto.BackMsg_pb2 import BackMsg
from streamlit.proto.Delta_pb2 import Delta
from streamlit.proto.Element_pb2 import Element
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg
from streamlit.proto.NewSession_pb2 import NewSession
from streamlit.proto.Slider_pb2 import Slider
from streamlit.proto.WidgetStates_pb2 import WidgetState
from streamlit.runtime.state.common import user_key_from_element_id
from websockets.asyncio.client import ClientConnection, connect
from websockets.exceptions import ConnectionClosed

WAIT = 60.0  # s: for an answer, at most

_WIDGETS = ("slider", "selectbox", "number_input", "button")
_FIGURES = "bidi_component"
_AGES = 3600.0  # s: a clock as slow as that is there for whoever loses the connection


class Unanswered(RuntimeError):
    """The server has not answered in time, has closed the connection, or has answered with an error; ``wrong`` was told."""


@dataclass(frozen=True)
class Answer:
    """What came of a request: seconds from sending it to the last figure that it changed (None if it changed none), and to the
    end of the script."""

    figure: float | None
    finished: float


@dataclass
class _Widget:
    """A widget that the page shows, as it came, and the fragment that runs when it is moved ("": the page)."""

    kind: str
    proto: Any
    fragment: str


@dataclass
class _Kept:
    """A message that the server may refer to, and how many runs had ended when it last did."""

    message: ForwardMsg
    run: int


@dataclass
class Tab:
    """A tab at ``address``, ws://host:port. Everything random is of ``chance``; ``wrong`` is told of all that goes wrong, also
    while nobody waits."""

    address: str
    chance: random.Random
    wrong: Callable[[str], None]
    page: str = ""
    query: str = ""
    figures: dict[str, str] = field(default_factory=dict)
    """Hashes of the figures that are shown, by key."""

    def __post_init__(self) -> None:
        self._socket: ClientConnection | None = None
        self._reader: asyncio.Task[None] | None = None
        self._session = self._failure = ""
        self._forget()

    def _forget(self) -> None:
        """What is not known any more when the address is opened anew."""
        self.figures, self.drawn = {}, 0
        self._widgets, self._states = dict[str, _Widget](), dict[str, WidgetState]()
        self._pages, self._kept, self._clocks = dict[str, str](), dict[str, _Kept](), dict[str, asyncio.Task[None]]()
        self._hash, self._oldest, self._run, self._fragments = "", 2, 0, frozenset[str]()
        self._shown = set[str]()
        self._done, self._last_figure = asyncio.Event(), 0.0

    # ── what somebody does

    async def open(self, page: str = "", query: str = "") -> Answer:
        """Opens a link, as a new visitor; ``page`` is the path of its address, "" the landing page."""
        await self.close()
        self._session = ""
        self._forget()
        self.page, self.query = page, query
        began = time.perf_counter()
        await self._connect()
        return await self._ask(page=page, began=began)

    async def come_back(self) -> Answer:
        """Connects again to the session that the tab had, as a browser does when its connection was lost."""
        began = time.perf_counter()
        await self._connect()
        return await self._ask(began=began)

    async def go(self, page: str) -> Answer:
        """Follows a link of the navigation."""
        self.page, self.query, self._hash = page, "", self._pages[page]
        self._states.clear()
        return await self._ask()

    async def move(self, key: str) -> Answer:
        """Moves the control ``key``, or presses the button."""
        widget = self._widgets[key]
        state = _moved(widget, self._states.get(widget.proto.id), self.chance)
        if widget.kind != "button":
            self._states[state.id] = state
        return await self._ask(state, widget.fragment)

    def controls(self, *kinds: str) -> list[str]:
        """Keys of the controls that the page shows, of all ``kinds`` asked for: slider, selectbox, number_input, button."""
        return sorted(
            key
            for key, widget in self._widgets.items()
            if widget.kind in kinds and not widget.proto.disabled and _has_another(widget)
        )

    @property
    def connected(self) -> bool:
        """Whether there is a connection, and it is sound."""
        return self._reader is not None and not self._reader.done()

    @property
    def settled(self) -> bool:
        """Whether the last request was answered: else the query may be that of a state whose figures have not come."""
        return self._done.is_set() and not self._failure

    @property
    def waits(self) -> bool:
        """Whether a part of the page runs by itself, as it does while a job is at work."""
        return bool(self._clocks)

    async def close(self) -> None:
        """Closes the tab, or loses its connection."""
        for clock in self._clocks.values():
            clock.cancel()
        self._clocks.clear()
        if self._reader:  # first, since it would tell an end that nobody wanted
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        if self._socket:
            await self._socket.close()
        self._socket = self._reader = None

    # ── the protocol

    async def _connect(self) -> None:
        protocols: Any = ["streamlit", "no-token", *([self._session] if self._session else [])]  # the browser's order
        self._socket = await connect(
            f"{self.address}/_stcore/stream", subprotocols=protocols, compression=None, max_size=None, open_timeout=WAIT
        )
        self._reader = asyncio.create_task(self._read(self._socket))

    async def _ask(
        self, moved: WidgetState | None = None, fragment: str = "", *, page: str = "", began: float | None = None
    ) -> Answer:
        """Asks for a run of the script, or of a fragment, and waits for its end."""
        began = time.perf_counter() if began is None else began
        self._done.clear()
        self._last_figure, self._failure = 0.0, ""
        try:
            async with asyncio.timeout(WAIT):
                await self._send(moved, fragment, page=page)
                await self._done.wait()
        except TimeoutError:
            self._fail(f"no answer within {WAIT:g} s")
        except ConnectionClosed as error:
            self._fail(f"the connection was lost: {error}")
        if self._failure:
            raise Unanswered(self._failure)
        return Answer(self._last_figure - began if self._last_figure else None, time.perf_counter() - began)

    async def _send(self, moved: WidgetState | None, fragment: str, *, page: str = "", by_clock: bool = False) -> None:
        message = BackMsg()
        state = message.rerun_script
        state.query_string, state.page_script_hash, state.page_name = self.query, self._hash, page
        state.fragment_id, state.is_auto_rerun = fragment, by_clock
        states = dict(self._states)
        if moved is not None:
            states[moved.id] = moved
        state.widget_states.widgets.extend(states.values())
        state.cached_message_hashes.extend(self._kept)
        state.context_info.timezone, state.context_info.locale = "UTC", "en"
        state.context_info.url = f"http{self.address.removeprefix('ws')}/{self.page}"
        state.context_info.color_scheme = "light"
        assert self._socket
        await self._socket.send(message.SerializeToString())

    async def _read(self, socket: ClientConnection) -> None:
        """Takes what comes until the connection ends; then nobody waits any more."""
        try:
            async for data in socket:
                assert isinstance(data, bytes)
                self._receive(ForwardMsg.FromString(data))
            self._fail("the server closed the connection")
        except ConnectionClosed as error:
            self._fail(f"the connection was lost: {error}")
        finally:
            self._done.set()

    def _fail(self, what: str) -> None:
        self._failure = f"{self.page or 'landing page'}: {what}"
        self.wrong(self._failure)

    def _receive(self, message: ForwardMsg) -> None:
        kind = message.WhichOneof("type")
        if kind == "ref_hash":
            kept = self._kept.get(message.ref_hash)
            if kept is None:
                self._fail("the page refers to what a browser has no more")
                return
            kept.run = self._run
            kept.message.metadata.CopyFrom(message.metadata)
            message, kind = kept.message, "delta"
        elif message.metadata.cacheable:
            self._kept[message.hash] = _Kept(message, self._run)
        if kind == "new_session":
            self._begin(message.new_session, frozenset(message.metadata.run.fragment_ids))
        elif kind == "delta" and message.delta.WhichOneof("type") == "new_element":
            self._take(message.delta.new_element, message.delta, message.hash)
        elif kind == "page_info_changed":
            self.query = message.page_info_changed.query_string
        elif kind == "navigation":
            self._hash = message.navigation.page_script_hash
            self._pages = {app.url_pathname: app.page_script_hash for app in message.navigation.app_pages}
        elif kind == "auto_rerun":
            self._start_clock(message.auto_rerun.fragment_id, message.auto_rerun.interval)
        elif kind == "page_not_found":
            self._fail("there is no such page")
        elif kind == "script_finished":
            self._end(message.script_finished)

    def _begin(self, session: NewSession, fragments: frozenset[str]) -> None:
        """A run of these fragments, of the whole script if there are none."""
        self._session = session.initialize.session_id
        self._oldest = session.config.max_cached_message_age
        self._fragments = fragments
        if not fragments:
            self._hash = session.page_script_hash
            self._shown = set()
            for clock in self._clocks.values():
                clock.cancel()
            self._clocks.clear()

    def _take(self, element: Element, delta: Delta, digest: str) -> None:
        kind = element.WhichOneof("type")
        if kind == "exception":
            self._fail(f"the page raised {element.exception.type}: {element.exception.message}")
        elif kind == "alert" and element.alert.format == Alert.ERROR:
            self._fail(f"the page told an error: {element.alert.body}")
        elif kind == _FIGURES or kind in _WIDGETS:
            proto = getattr(element, kind)
            key = user_key_from_element_id(proto.id) or proto.id
            self._shown.add(key)
            if kind == _FIGURES:
                if self.figures.get(key) != digest:
                    self.figures[key], self._last_figure = digest, time.perf_counter()
                    self.drawn += 1
            else:
                self._widgets[key] = _Widget(kind, proto, delta.fragment_id)
                if kind != "button" and (proto.set_value or proto.id not in self._states):
                    self._states[proto.id] = _state(kind, proto)

    def _end(self, status: int) -> None:
        """Of a run: what the whole script has not shown is gone, and so is what has not been used for long. A run that makes
        way for another is none."""
        if status == ForwardMsg.FINISHED_EARLY_FOR_RERUN:
            return
        if status == ForwardMsg.FINISHED_WITH_COMPILE_ERROR:
            self._fail("the page does not compile")
        if not self._fragments:
            self._widgets = {key: widget for key, widget in self._widgets.items() if key in self._shown}
            self.figures = {key: digest for key, digest in self.figures.items() if key in self._shown}
            ids = {widget.proto.id for widget in self._widgets.values()}
            self._states = {id: state for id, state in self._states.items() if id in ids}
        self._run += 1
        self._kept = {key: kept for key, kept in self._kept.items() if not self._is_old(kept)}
        self._done.set()

    def _is_old(self, kept: _Kept) -> bool:
        ran = not self._fragments or kept.message.delta.fragment_id in self._fragments
        return ran and self._run - kept.run > self._oldest

    def _start_clock(self, fragment: str, interval: float) -> None:
        async def tick() -> None:
            while True:
                await asyncio.sleep(interval)
                with suppress(ConnectionClosed):
                    await self._send(None, fragment, by_clock=True)

        if fragment not in self._clocks and interval < _AGES:
            self._clocks[fragment] = asyncio.create_task(tick())


def _state(kind: str, proto: Any) -> WidgetState:
    """The state of a widget that was not moved here, which the server may have set."""
    state = WidgetState(id=proto.id)
    if kind == "slider" and proto.type == Slider.SELECT_SLIDER:
        chosen = proto.raw_value if proto.set_value else [proto.options[int(index)] for index in proto.default]
        state.string_array_value.data.extend(chosen)
    elif kind == "slider":
        state.double_array_value.data.extend(proto.value if proto.set_value else proto.default)
    elif kind == "selectbox":
        state.string_value = proto.raw_value if proto.set_value else proto.options[proto.default]
    elif proto.HasField(value := "value" if proto.set_value else "default"):  # else the field is empty
        state.double_value = getattr(proto, value)
    return state


def _has_another(widget: _Widget) -> bool:
    """Whether there is another value than the one that is shown."""
    return widget.kind in ("button", "number_input") or len(widget.proto.options) != 1


def _moved(widget: _Widget, now: WidgetState | None, chance: random.Random) -> WidgetState:
    """Any other state than ``now``."""
    proto, state = widget.proto, WidgetState(id=widget.proto.id)
    if widget.kind == "button":
        state.trigger_value = True
    elif widget.kind == "number_input":
        state.double_value = float(chance.randint(int(proto.min), int(min(proto.max, proto.min + 999))))
    elif widget.kind == "selectbox":
        state.string_value = chance.choice([option for option in proto.options if not now or option != now.string_value])
    elif proto.type == Slider.SELECT_SLIDER:
        here = list(now.string_array_value.data) if now else []
        state.string_array_value.data.append(chance.choice([option for option in proto.options if [option] != here]))
    else:
        here = list(now.double_array_value.data) if now else []
        values = [proto.min + step * proto.step for step in range(int((proto.max - proto.min) / proto.step) + 1)]
        state.double_array_value.data.append(chance.choice([value for value in values if [value] != here]))
    return state
