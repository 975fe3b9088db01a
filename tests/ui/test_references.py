"""A browser is referred only to what it has."""

from __future__ import annotations

import asyncio
import random

from streamlit.proto.ClientState_pb2 import ClientState
from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

from mlem.ui.references import SURE, Used
from mlem.ui.serving import serving
from mlem.ui.tab import Tab


def large(name: str) -> ForwardMsg:
    message = ForwardMsg(hash=name)
    message.metadata.cacheable = True
    return message


def end() -> ForwardMsg:
    return ForwardMsg(script_finished=ForwardMsg.FINISHED_SUCCESSFULLY)


def left(used: Used, *names: str) -> list[str]:
    """What is left of a request that names these."""
    state = ClientState(cached_message_hashes=names)
    used.keep_sure(state)
    return list(state.cached_message_hashes)


def test_what_was_used_lately_stays_named() -> None:
    used = Used()
    used.note(large("a"))
    for _ in range(SURE):
        used.note(end())
        assert left(used, "a", "b") == ["a"]
    used.note(end())
    assert left(used, "a", "b") == []


def test_a_reference_is_use() -> None:
    used = Used()
    used.note(large("a"))
    for _ in range(3 * SURE):
        used.note(end())
        used.note(ForwardMsg(ref_hash="a"))
    assert left(used, "a") == ["a"]


def test_what_is_not_kept_is_not_named() -> None:
    used = Used()
    used.note(ForwardMsg(hash="small"))
    assert left(used, "small") == []


def test_a_browser_is_not_referred_to_what_it_forgets_meanwhile() -> None:
    """It names with each request all that it ever had, as one does that has not yet heard of the runs that ended. Streamlit by
    itself refers it to the picture of the first γ, seven runs later."""
    wrong: list[str] = []

    async def story(tab: Tab) -> None:
        await tab.open("hierarchy", "gamma=1")
        first = dict(tab._kept)
        assert first
        for gamma in ("2", "3", "4", "2.5", "3.5", "1.5", "1"):
            tab.query = f"gamma={gamma}"
            tab._kept = {**first, **tab._kept}
            asking = asyncio.create_task(tab._ask())
            await asyncio.sleep(0)  # it is sent
            tab._kept = {name: kept for name, kept in tab._kept.items() if tab._run - kept.run <= tab._oldest}
            await asking

    async def told(address: str) -> None:
        tab = Tab(address, random.Random(0), wrong.append)
        try:
            await story(tab)
        finally:
            await tab.close()

    with serving() as server:
        asyncio.run(told(server.address))
        assert not server.tracebacks()
    assert not wrong
