"""The link is the page: whatever is moved or pressed, whoever opens the address sees the very same, to the last chart.

What a link is not meant to hold is in ``LEFT_OUT``, with the reason. Neither does it hold how somebody looks: what is unfolded,
where a player stands, how far a chart is zoomed.
"""

from __future__ import annotations

import random
import re
from collections.abc import Callable

import pytest
import torch
from streamlit.testing.v1 import AppTest
from streamlit.testing.v1.element_tree import Block, Element, Expander, UnknownElement, Widget

from mlem.experiments.params import Params, Spec
from mlem.images.ladders import VARIABLE
from mlem.lessons.builtin import LESSONS
from mlem.ui import workprecision
from mlem.ui.presets import PRESETS
from mlem.ui.workprecision import Chosen, WorkPrecision
from tests.app.conftest import ROOT, Visit, open_page
from tests.app.pages import KINDS, link, predict

LEFT_OUT = {
    r"lesson\..*\.guess": "a prediction is in the link once it is locked",
    r"step\..*": "a step is in the link once it is added to the lesson",
    r"teach\.base": "where the app is to be found differs from place to place, and no link may send a class elsewhere",
}
SAID_ONCE = ("info",)  # what was mended
BUTTONS = ("button", "download_button", "link_button")
IN_THE_CHART = {"convergence": {"unit", "epsilon"}}  # controls that the browser draws

every_page = pytest.mark.parametrize("name", KINDS)


@pytest.fixture(autouse=True)
def everything_is_offered(quick: None, monkeypatch: pytest.MonkeyPatch) -> None:
    """Controls that wait for a graphics card or another ladder are there; and the chart's own are pressed by a button."""

    def by_hand(shown: WorkPrecision, *, key: str, on_choice: Callable[[Chosen], None]) -> None:
        import streamlit

        streamlit.text(repr(shown.chosen))
        streamlit.button("Choose", key="by-hand", on_click=on_choice, args=(Chosen(4.05, "evaluations", 0.0234),))

    monkeypatch.setenv(VARIABLE, "another")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "get_device_name", lambda device: "made up")
    monkeypatch.setattr(workprecision, "work_precision", by_hand)


def elements(app: AppTest) -> list[Element]:
    """All that the page shows, in its order."""
    return [node for node in app.main if not isinstance(node, Block)]


def widgets(app: AppTest) -> dict[str, Widget]:
    """All that can be set, by key."""
    found = [node for node in elements(app) if isinstance(node, Widget) and node.type not in BUTTONS]
    assert all(widget.key for widget in found), "each has a key"
    return {str(widget.key): widget for widget in found}


def is_left_out(key: str) -> bool:
    return any(re.fullmatch(pattern, key) for pattern in LEFT_OUT)


def look(app: AppTest) -> list[str]:
    """What of the page the link has to hold, element by element."""
    return [
        f"{node.type} {node.key} {node.label} {node.disabled} {node.type in BUTTONS or node.value}"  # type: ignore[attr-defined]
        if isinstance(node, Widget)
        else f"{node.type} {node.proto}"
        for node in elements(app)
        if node.type not in SAID_ONCE and not is_left_out(str(node.key))
    ]


def check(app: AppTest, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A fresh visitor with the link sees the same under the same link."""
    assert not app.exception
    other = open_page(AppTest.from_file(str(ROOT / "app.py"), default_timeout=60), monkeypatch, name, link(app))
    assert not other.exception
    assert link(other) == link(app)
    assert look(other) == look(app)


def another(spec: Spec, now: object, chance: random.Random) -> object:
    """Another value that the parameter takes, of those that the control stops at if there are some."""
    ends = [int(spec.low), int(spec.high)] if spec.kind == "integer" else [spec.low, spec.high]
    return chance.choice([value for value in (spec.choices or spec.offered or ends) if value != now])


@every_page
def test_every_control_goes_through_the_link(name: str, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each is moved twice, so that controls which another one takes away come back."""
    app, chance, moved = visit(name, {}), random.Random(name), set[str]()
    for field, spec in 2 * list(KINDS[name].specs().items()):
        widget = widgets(app).get(f"{name}.{field}")
        if widget is None:
            continue
        value = another(spec, widget.value, chance)
        widget.set_value(value).run()  # type: ignore[attr-defined]
        params: Params = app.session_state[f"{name}.params"]
        assert getattr(params, field) == value or app.info, f"{field} is not {value!r}, and nothing is said"
        assert link(app) == params.to_query()
        for key, other in widgets(app).items():
            assert other.value == getattr(params, key.removeprefix(f"{name}."))  # type: ignore[attr-defined]
        if field not in moved:
            check(app, name, monkeypatch)
        moved.add(field)
    check(app, name, monkeypatch)
    assert moved == set(KINDS[name].specs()) - IN_THE_CHART.get(name, set())


@every_page
def test_every_button_goes_through_the_link(name: str, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit(name, {})
    presets = {f"{name}.preset.{title}": params for title, params in PRESETS[name].items()}
    keys = [str(button.key) for button in app.button]
    assert set(presets) <= set(keys)
    for key in keys:
        if key in [button.key for button in app.button] and not app.button(key=key).disabled:
            app.button(key=key).click().run()
            check(app, name, monkeypatch)
            if key in presets:
                assert link(app) == presets[key].to_query()


@pytest.mark.parametrize("lesson", LESSONS)
def test_every_place_in_a_lesson_is_in_the_link(lesson: str, visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    """Before a prediction is locked, once it is, and at the next step."""
    page = LESSONS[lesson].steps[0].page
    app = visit(page, {"lesson": lesson, "step": "1"})
    check(app, page, monkeypatch)
    predict(app, page, "1")
    assert "said" in link(app)
    check(app, page, monkeypatch)
    app.button(key="lesson.next").click().run()
    check(app, LESSONS[lesson].steps[1].page, monkeypatch)


def test_what_was_said_in_a_lesson_is_on_the_overview(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit("lessons", {"lesson": "why-one-evaluation", "step": "3", "said": "1~10~85.2~75~97_2~3.3"})
    check(app, "lessons", monkeypatch)
    app.button(key="lessons.again.why-one-evaluation").click().run()
    assert link(app) == {}
    check(app, "lessons", monkeypatch)


def test_a_lesson_in_the_making_is_in_the_link(visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    app = visit("teach", {})
    for move in (
        lambda: app.button(key="teach.copy.first").click(),
        lambda: app.text_input(key="teach.title").set_value("Tuesday"),
        lambda: app.checkbox(key="teach.class").uncheck(),
        lambda: app.checkbox(key="teach.projector").check(),
        lambda: app.button(key="teach.down.0").click(),
        lambda: app.button(key="teach.remove.1").click(),
    ):
        move().run()
        check(app, "teach", monkeypatch)
    assert link(app)["way"] == "projector"


@pytest.mark.parametrize(
    ("name", "query"),
    [
        *((name, query) for name in KINDS for query in ({}, {"predict": "1"}, {"kind": "spectral"})),
        ("lessons", {}),
        ("lessons", {"lesson": "why-one-evaluation", "said": "1~10~85.2~75~97"}),
        ("teach", {}),
        ("teach", {"draft": "why-one-evaluation"}),
    ],
)
def test_there_is_no_control_that_the_link_does_not_know(name: str, query: dict[str, str], visit: Visit) -> None:
    """With all that can be unfolded."""
    app = visit(name, query)
    for folded in [node for node in app.main if isinstance(node, Expander) and node.proto.id]:
        app.session_state[folded.proto.id] = True
    app.run()
    assert not app.exception
    known = (
        {f"{name}.{field}" for field in KINDS[name].specs()}
        if name in KINDS
        else {"teach.title", "teach.class", "teach.projector"}
    )
    assert {key for key in widgets(app) if not is_left_out(key)} <= known
    drawn = {node.type for node in elements(app) if isinstance(node, UnknownElement)}
    assert drawn <= {"bidi_component"}, "charts, whose own controls are moved above"
