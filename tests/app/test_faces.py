"""Faces without a browser: what is stored is there at once, all else is a job; made-up networks stand in for real ones."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments import faces_store, sample_store
from mlem.experiments.sample import Drawn, SampleParams
from mlem.images.ladders import VARIABLE
from mlem.ui import live
from mlem.ui.faces_view import FacesView
from mlem.ui.stage import MAGIC
from tests.app.conftest import Visit
from tests.app.pages import link, prose
from tests.made_faces import FLOPS, HASHES, made_drawn, made_ladder, made_manifest, offer
from tests.ui.payloads import unpack


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> list[str]:
    """Made-up networks, and a record of what they were asked to draw."""
    said = list[str]()

    def draw(params: SampleParams, method: str, report: Callable[[float], None]) -> Drawn:
        said.append(method)
        return made_drawn(params)[method]

    monkeypatch.delenv(VARIABLE, raising=False)
    offer(monkeypatch, tmp_path)
    monkeypatch.setattr(sample_store, "draw", draw)
    monkeypatch.setattr(sample_store, "_costs", lambda params: FLOPS / 1e9)
    monkeypatch.setattr(sample_store, "_films", sample_store._Films())
    return said


def there(app: AppTest) -> list[str]:
    """The methods whose pictures are on the stage."""
    found = next(one.proto.bytes for one in app.get("bidi_component") if one.proto.bytes[:4] == MAGIC.to_bytes(4, "little"))
    header, _ = unpack(MAGIC, found)
    return [method for method, row in header["pictures"].items() if row["sheet"]]


def test_opens_on_what_is_stored(drawn: list[str], visit: Visit) -> None:
    app = visit("faces", {})
    assert not app.exception
    assert not app.error
    assert not app.get("progress")
    assert drawn == []
    assert there(app) == ["reference", "em", "mlem"]
    assert len(app.get("bidi_component")) == 6, "the stage and five charts"
    assert link(app) == FacesView().to_query()
    assert "closer to the reference" in prose(app)
    assert "× cheaper" in prose(app)


def test_another_rule_draws_only_its_own_pictures(drawn: list[str], visit: Visit, pool: live.Pool) -> None:
    app = visit("faces", {})
    app.button(key="faces.preset.The paper’s coins").click().run()
    assert app.button(key="faces.switch").label == "Stop"
    assert there(app) == ["reference", "em"]
    while pool.step():
        pass
    app.run()
    assert not app.exception
    assert there(app) == ["reference", "em", "mlem"]
    assert drawn == ["mlem"]
    assert "The paper’s coins do not know that" in prose(app)


def test_another_seed_draws_all_and_the_quickest_first(drawn: list[str], visit: Visit, pool: live.Pool) -> None:
    app = visit("faces", {"seed": "5", "pictures": "2"})
    assert there(app) == []
    while drawn != ["mlem"]:
        assert pool.step()
    app.run()
    assert there(app) == ["mlem"]
    while pool.step():
        pass
    app.run()
    assert drawn == ["mlem", "em", "reference"]
    assert not app.exception
    assert there(app) == ["reference", "em", "mlem"]


def test_the_ode_has_the_usual_samplers_beside_it(drawn: list[str], visit: Visit, pool: live.Pool) -> None:
    assert "DPM-Solver++(2M)" in prose(visit("faces", {}))
    assert "DPM-Solver++(2M)" not in prose(visit("faces", {"process": "sde"}))


def test_seconds_price_the_curves_anew_and_draw_nothing(drawn: list[str], visit: Visit) -> None:
    app = visit("faces", {})
    assert "in GFLOP than EM’s" in prose(app)
    app.selectbox(key="faces.unit").set_value("seconds").run()
    assert "in seconds than EM’s" in prose(app)
    assert link(app)["unit"] == "seconds"
    assert drawn == []


@pytest.mark.parametrize(
    ("query", "notice"),
    [
        ({"steps": "100"}, "Steps takes a divisor of 768, got 100. It is now 96."),
        ({"em-steps": "1e9"}, "Em-steps takes an integer"),
        ({"budget": "nan"}, "Budget takes a number"),
        ({"ladder": "own"}, "No ladder but the shipped one is on offer here"),
        ({"ladder": "/etc/passwd"}, "Ladder takes one of shipped, own"),
    ],
)
def test_links_are_mended(drawn: list[str], visit: Visit, pool: live.Pool, query: dict[str, str], notice: str) -> None:
    app = visit("faces", query)
    assert not app.exception
    assert any(message.value.replace("\\", "").startswith(notice) for message in app.info)


def test_another_ladder_shows_nothing_of_this_one(
    drawn: list[str], visit: Visit, pool: live.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(faces_store, "manifest", lambda: made_manifest((*HASHES[:-1], "f" * 64)))
    app = visit("faces", {})
    assert not app.exception
    assert there(app) == []
    assert app.button(key="faces.switch").label == "Stop"
    assert any("store-faces" in message.value for message in app.info)


def test_a_ladder_of_ones_own(
    drawn: list[str], visit: Visit, pool: live.Pool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made_ladder(tmp_path / "ladder")
    monkeypatch.setenv(VARIABLE, str(tmp_path / "ladder"))
    app = visit("faces", {"ladder": "own"})
    assert not app.exception
    assert app.selectbox(key="faces.ladder").value == "own"
    assert there(app) == []
    while pool.step():
        pass
    app.run()
    assert there(app) == ["reference", "em", "mlem"]
    assert any("store-faces" in message.value for message in app.info), "nothing is measured of it"


def test_without_networks_it_says_so(drawn: list[str], visit: Visit, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_store, "manifest", lambda: None)
    app = visit("faces", {})
    assert not app.exception
    assert "mlem train" in app.error[0].value
    assert not app.get("bidi_component")


def test_whoever_looks_on_is_told_why_it_ended(
    drawn: list[str], visit: Visit, pool: live.Pool, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(params: SampleParams, method: str, report: Callable[[float], None]) -> Drawn:
        raise ValueError("level-3/config.json is not there")

    monkeypatch.setattr(sample_store, "draw", fails)
    app = visit("faces", {"seed": "5"})
    while pool.step():
        pass
    app.run()
    assert "level-3/config.json is not there" in app.error[0].value
    assert not app.exception
