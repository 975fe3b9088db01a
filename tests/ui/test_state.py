"""One state behind controls, link and session: what wins, and what is kept."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from mlem.experiments.params import Params, choice, integer, number


@dataclass(frozen=True)
class Colours(Params):
    """One parameter for each kind of control."""

    hue: str = choice("red", choices={"red": "A red", "blue": "A blue"}, label="Hue", help="Which.")
    depth: float = number(0.5, low=0.0, high=1.0, offered=(0.25, 0.5, 0.75), label="Depth", help="How deep.")
    coats: int = integer(2, low=1, high=9, label="Coats", help="How many.")
    last_for: int = integer(100, low=1, high=10_000, label="Lasts for", help="Days.")
    gloss: float | None = number(None, low=0.0, high=5.0, label="Gloss", help="How shiny.")


@dataclass(frozen=True)
class Shapes(Params):
    """Of another page, which has a parameter of the same name."""

    corners: int = integer(4, low=3, high=9, label="Corners", help="How many.")
    coats: int = integer(1, low=1, high=9, label="Coats", help="How many.")


DEFAULT = Colours().to_query()


def page() -> None:
    """A page of controls, and another one that has nothing."""
    import streamlit

    from mlem.ui.state import control, read_params
    from tests.ui.test_state import Colours

    if streamlit.checkbox("elsewhere", key="elsewhere"):
        return
    params, notices = read_params(Colours, "paint")
    for notice in notices:
        streamlit.info(notice)
    for name in params.specs():
        control(params, name, "paint")
    streamlit.text(repr(params))


def opened(**query: str) -> AppTest:
    """The page, opened with a link."""
    app = AppTest.from_function(page)
    follow(app, query)
    return app


def follow(app: AppTest, query: dict[str, str]) -> None:
    app.query_params.clear()
    for key, text in query.items():
        app.query_params[key] = text
    app.run()
    assert not app.exception


def shown(app: AppTest) -> Colours:
    found: Colours = eval(app.text[0].value)
    return found


def link(app: AppTest) -> dict[str, str]:
    return {key: value if isinstance(value, str) else value[0] for key, value in app.query_params.items()}


def test_without_a_link_everything_is_at_its_default_and_in_the_link() -> None:
    app = opened()
    assert shown(app) == Colours()
    assert link(app) == DEFAULT


@given(
    st.builds(
        Colours,
        hue=st.sampled_from(["red", "blue"]),
        depth=st.floats(0, 1),
        coats=st.integers(1, 9),
        last_for=st.integers(1, 10_000),
        gloss=st.none() | st.floats(0, 5),
    )
)
def test_every_state_survives_its_link(params: Colours) -> None:
    app = opened(**params.to_query())
    assert shown(app) == params
    assert link(app) == params.to_query()
    assert not app.info


def test_a_moved_control_becomes_the_state_and_the_link() -> None:
    app = opened(coats="3")
    app.selectbox(key="paint.hue").set_value("blue").run()
    assert shown(app) == Colours(hue="blue", coats=3)
    assert link(app) == Colours(hue="blue", coats=3).to_query()


def test_a_link_that_was_followed_wins_over_what_is_remembered() -> None:
    app = opened(coats="3")
    follow(app, {"depth": "0.75"})
    assert shown(app) == Colours(depth=0.75), "a link is a whole state: what it leaves out is at its default"
    assert app.slider(key="paint.coats").value == 2
    assert app.select_slider(key="paint.depth").value == 0.75


def test_a_moved_control_wins_over_a_link_that_changed_with_it() -> None:
    app = opened(coats="3")
    app.selectbox(key="paint.hue").set_value("blue")
    follow(app, {"coats": "9", "hue": "red"})
    assert shown(app) == Colours(hue="blue", coats=3)
    assert link(app) == Colours(hue="blue", coats=3).to_query()


def test_going_back_is_following_a_link() -> None:
    app = opened(coats="3")
    before = link(app)
    app.slider(key="paint.coats").set_value(5).run()
    follow(app, before)
    assert shown(app) == Colours(coats=3)
    app.slider(key="paint.coats").set_value(6).run()
    assert shown(app) == Colours(coats=6)


def test_what_others_put_into_the_link_stays() -> None:
    app = opened(**{"class": "1", "coats": "4"})
    app.selectbox(key="paint.hue").set_value("blue").run()
    assert link(app) == {"class": "1", **Colours(hue="blue", coats=4).to_query()}


def test_a_link_without_a_parameter_of_the_page_changes_nothing() -> None:
    app = opened(coats="4")
    follow(app, {"class": "1"})
    assert shown(app) == Colours(coats=4)
    assert link(app) == {"class": "1", **Colours(coats=4).to_query()}


def test_a_page_that_was_left_is_found_as_it_was() -> None:
    app = opened(coats="4")
    app.selectbox(key="paint.hue").set_value("blue").run()
    app.checkbox(key="elsewhere").check()
    follow(app, {})
    app.checkbox(key="elsewhere").uncheck().run()
    assert shown(app) == Colours(hue="blue", coats=4)
    assert app.slider(key="paint.coats").value == 4
    assert link(app) == Colours(hue="blue", coats=4).to_query()


def test_what_is_off_is_mended_said_once_and_written_back() -> None:
    app = opened(depth="7", hue="<script>", **{"last-for": "2.4"})
    assert shown(app) == Colours(depth=1.0, last_for=2)
    assert len(app.info) == 3
    assert link(app) == Colours(depth=1.0, last_for=2).to_query()
    app.run()
    assert not app.info


@pytest.mark.parametrize("text", ["", "nan", "1e999", "9" * 5000, "a&b=c", "\x00", "１", "−1"])
@pytest.mark.parametrize("key", ["hue", "depth", "coats", "last-for", "gloss", "v"])
def test_no_link_breaks_the_page(key: str, text: str) -> None:
    app = opened(**{key: text})
    params = shown(app)
    assert link(app) == params.to_query()


def two_pages() -> None:
    """Two pages; which one is shown is told from outside."""
    import streamlit

    from mlem.ui.state import control, read_params
    from tests.ui.test_state import Colours, Shapes

    kind, name = (Shapes, "cut") if streamlit.session_state.get("cut") else (Colours, "paint")
    params, _ = read_params(kind, name)
    control(params, "coats", name)
    streamlit.text(repr(params))


def test_going_back_to_another_page_finds_it_as_it_was_left() -> None:
    """Streamlit's history has the new page's first link under the old page's address, and going back leads there."""
    app = AppTest.from_function(two_pages)
    follow(app, {"coats": "4", "class": "1", "elsewhere": "1"})
    app.session_state["cut"] = True
    follow(app, {})
    arrival = link(app)
    assert arrival == Shapes().to_query() | {"class": "1"}, "a mode goes along, all else does not"
    app.slider(key="cut.coats").set_value(7).run()
    app.session_state["cut"] = False
    follow(app, arrival)
    assert shown(app) == Colours(coats=4)
    assert link(app) == Colours(coats=4).to_query() | {"class": "1"}, "nothing of the other page is left in it"
    app.session_state["cut"] = True
    follow(app, arrival)
    assert app.slider(key="cut.coats").value == 1, "under its own address it is a link like any other"


class TestControls:
    def test_each_parameter_gets_the_control_that_fits_it(self) -> None:
        app = opened()
        assert app.selectbox(key="paint.hue").options == ["A red", "A blue"]
        assert app.select_slider(key="paint.depth").options == ["0.25", "0.5", "0.75"]
        assert (app.slider(key="paint.coats").min, app.slider(key="paint.coats").max) == (1, 9)
        assert app.number_input(key="paint.last_for").max == 10_000
        assert app.number_input(key="paint.gloss").placeholder == "its own"
        for control in (app.selectbox(key="paint.hue"), app.slider(key="paint.coats"), app.number_input(key="paint.last_for")):
            assert control.help

    def test_a_value_between_the_stops_becomes_one(self) -> None:
        assert opened(depth="0.6").select_slider(key="paint.depth").options == ["0.25", "0.5", "0.6", "0.75"]

    @pytest.mark.parametrize(("text", "value"), [("", None), ("2.5", 2.5)])
    def test_what_is_optional_can_be_left_empty(self, text: str, value: Any) -> None:
        app = opened(gloss=text)
        assert app.number_input(key="paint.gloss").value == value
        app.number_input(key="paint.gloss").set_value(4.0).run()
        assert shown(app).gloss == 4.0
