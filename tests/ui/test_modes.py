"""Modes come from the link, go along, and can be left."""

from __future__ import annotations

import pytest
from streamlit.testing.v1 import AppTest

from mlem.ui import along
from tests.ui.test_state import DEFAULT, link


def page() -> None:
    """A page with controls, presets and a way out."""
    import streamlit

    from mlem.ui import modes
    from mlem.ui import page as pages
    from mlem.ui.state import control, read_params
    from tests.ui.test_state import Colours

    params, _ = read_params(Colours, "paint")
    pages.presets({"Two coats": Colours(), "Nine coats": Colours(coats=9)}, params, "paint", last=lambda: None)
    for name in ("hue", "depth", "coats"):
        control(params, name, "paint")
    pages.more_controls(params, ("last_for", "gloss"), "paint")
    streamlit.text(repr(modes.modes()))
    streamlit.caption(repr(params))
    modes.ways_out()


def opened(**query: str) -> AppTest:
    app = AppTest.from_function(page)
    for key, text in query.items():
        app.query_params[key] = text
    app.run()
    assert not app.exception
    return app


def keys(app: AppTest) -> set[str]:
    found = [*app.selectbox, *app.select_slider, *app.slider, *app.number_input]
    return {str(widget.key).split(".")[1] for widget in found}


def test_without_modes_all_is_there() -> None:
    app = opened()
    assert keys(app) == {"hue", "depth", "coats", "last_for", "gloss"}
    assert [button.label for button in app.button] == ["Two coats", "Nine coats"]
    assert link(app) == DEFAULT


def test_class_shows_neither_presets_nor_more_controls_but_a_way_out() -> None:
    app = opened(**{"class": "1"})
    assert keys(app) == {"hue", "depth", "coats"}
    assert [button.label for button in app.button] == ["Show pages and presets"]
    app.button[0].click().run()
    assert keys(app) == {"hue", "depth", "coats", "last_for", "gloss"}
    assert link(app) == DEFAULT


def test_a_hidden_control_keeps_the_links_value() -> None:
    app = opened(hide="coats,last-for", coats="7", **{"last-for": "12"})
    assert keys(app) == {"hue", "depth", "gloss"}
    app.selectbox(key="paint.hue").set_value("blue").run()
    assert "coats=7, last_for=12" in app.caption[0].value
    assert link(app)["hide"] == "coats,last-for"
    app.button(key="modes.leave.hide").click().run()
    assert app.slider(key="paint.coats").value == 7
    assert app.number_input(key="paint.last_for").value == 12
    assert "hide" not in link(app)


def test_modes_stay_on_when_another_page_empties_the_link() -> None:
    app = opened(projector="1", hide="hue", **{"class": "1"})
    app.query_params.clear()
    app.run()
    assert link(app) == DEFAULT | {"projector": "1", "hide": "hue", "class": "1"}
    app.button(key="modes.leave.projector").click().run()
    app.query_params.clear()
    app.run()
    assert link(app) == DEFAULT | {"hide": "hue", "class": "1"}


def test_a_link_with_other_modes_wins() -> None:
    app = opened(hide="hue")
    app.query_params["hide"] = "depth"
    app.run()
    assert keys(app) == {"hue", "coats", "last_for", "gloss"}


@pytest.mark.parametrize("text", ["", ",,,", "<script>", "a" * 5000, "\x00", "hue\n", "nothing", "," * 5000])
def test_hostile_links_hide_nothing(text: str) -> None:
    app = opened(hide=text, projector=text, **{"class": text})
    assert keys(app) == {"hue", "depth", "coats", "last_for", "gloss"}


def test_nothing_else_goes_along() -> None:
    with pytest.raises(KeyError, match="'price' does not go along: class, hide"):
        along.put({"price": "1"})
