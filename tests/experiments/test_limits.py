"""What a demo gives a visitor: caps for what is computed, none for what is stored; and nothing of it anywhere else."""

from __future__ import annotations

import ast
import tomllib
from pathlib import Path

import pytest

from mlem import demo
from mlem.experiments import limits
from mlem.experiments.coin import CoinParams
from mlem.experiments.convergence import SEPARATING, ConvergenceParams
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.params import Params
from mlem.experiments.race import RaceParams
from mlem.experiments.sample import SampleParams
from mlem.experiments.steps import StepsParams
from mlem.images import hub, ladders
from mlem.ui.presets import PRESETS

ROOT = Path(__file__).parents[2]
KINDS = (RaceParams, HierarchyParams, CoinParams, ConvergenceParams, CrossoverParams, StepsParams, SampleParams)


@pytest.fixture
def as_demo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demo.VARIABLE, "1")


def greediest(kind: type[Params]) -> Params:
    """All numbers at the end that takes most work."""
    ends = {name: spec.low if name in limits.LEAST else spec.high for name, spec in kind.specs().items()}
    return kind(**{name: end for name, end in ends.items() if name in (*limits.MOST, *limits.LEAST)})


@pytest.mark.parametrize("kind", KINDS)
def test_without_demo_mode_nothing_changes(kind: type[Params], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(demo.VARIABLE, raising=False)
    params = greediest(kind)
    assert limits.capped(params) == (params, [])
    assert all(limits.limited(name, spec) is spec for name, spec in kind.specs().items())


@pytest.mark.usefixtures("as_demo")
@pytest.mark.parametrize("kind", KINDS)
def test_who_asks_for_most_gets_the_cap_and_a_notice(kind: type[Params]) -> None:
    asked = greediest(kind)
    got, notices = limits.capped(asked)
    changed = {name for name in kind.specs() if getattr(got, name) != getattr(asked, name)}
    assert changed <= set(limits.MOST) | set(limits.LEAST)
    assert len(notices) == 1
    assert notices[0].count(": at ") == len(changed)
    for name in changed:
        assert getattr(got, name) == limits.MOST.get(name, limits.LEAST.get(name))
    assert limits.capped(got) == (got, [])


@pytest.mark.usefixtures("as_demo")
@pytest.mark.parametrize("kind", KINDS)
def test_controls_stop_at_the_cap(kind: type[Params]) -> None:
    for name, spec in kind.specs().items():
        here = limits.limited(name, spec)
        assert here.high <= limits.MOST.get(name, here.high)
        assert here.low >= limits.LEAST.get(name, here.low)
        assert all(here.low <= stop <= here.high for stop in here.offered)
        assert bool(here.offered) == bool(spec.offered)
        assert (" In this demo at " in here.help) == ((here.low, here.high) != (spec.low, spec.high))


@pytest.mark.usefixtures("as_demo")
def test_one_notice_says_what_there_is_at_most_and_where_there_is_more() -> None:
    _, notices = limits.capped(RaceParams(paths=4096, epsilon=0.002))
    assert notices == [
        "This demo is shared, and has limits. Target error ε: at least 0.005; Paths: at most 512. "
        "There are none on a computer of your own: README.md tells how to start the app there."
    ]


@pytest.mark.usefixtures("as_demo")
def test_what_a_link_asks_for_beyond_all_bounds_is_told_once() -> None:
    got, notices = limits.nearest(RaceParams, {"levels": "12", "paths": "4096", "gamma": "99"})
    assert (got.levels, got.paths, got.gamma) == (9, 512, 8.0)
    assert notices[0].startswith("gamma takes a number")
    assert notices[1].startswith("This demo is shared, and has limits. Levels K: at most 9; Paths: at most 512.")
    assert len(notices) == 2


@pytest.mark.usefixtures("as_demo")
@pytest.mark.parametrize("page", PRESETS)
def test_all_presets_are_as_they_are_everywhere(page: str) -> None:
    for params in PRESETS[page].values():
        assert limits.capped(params) == (params, [])


@pytest.mark.usefixtures("as_demo")
def test_what_is_stored_is_shown_as_it_is() -> None:
    assert SEPARATING.paths > limits.MOST["paths"]
    assert limits.capped(SEPARATING) == (SEPARATING, [])
    priced = CrossoverParams(sde=SEPARATING.sde, levels=SEPARATING.levels, paths=SEPARATING.paths)
    assert limits.capped(priced) == (priced, []), "the same sweep"


@pytest.mark.usefixtures("as_demo")
@pytest.mark.parametrize("kind", KINDS)
def test_defaults_are_within(kind: type[Params]) -> None:
    assert limits.capped(kind()) == (kind(), [])


@pytest.mark.parametrize(("value", "on"), [("1", True), ("0", False), ("", False), ("yes", False)])
def test_demo_mode_is_asked_for_by_1(value: str, on: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(demo.VARIABLE, value)
    assert demo.on() is on


def test_a_demo_has_no_ladder_but_the_shipped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(ladders.VARIABLE, str(tmp_path))
    assert ladders.own() == str(tmp_path)
    monkeypatch.setenv(demo.VARIABLE, "1")
    assert ladders.own() is None
    with pytest.raises(ValueError, match="ladder takes own where"):
        ladders.ladder("own")


@pytest.mark.usefixtures("as_demo")
def test_a_demo_fetches_nothing_even_where_that_is_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(hub.ALLOWED, "1")
    with pytest.raises(ValueError, match="never in a demo"):
        hub.fetch("owner/name")


def test_nothing_can_be_uploaded_no_details_and_no_telemetry() -> None:
    settings = tomllib.loads((ROOT / ".streamlit" / "config.toml").read_text())
    assert settings["client"]["showErrorDetails"] == "none"
    assert settings["browser"]["gatherUsageStats"] is False
    assert settings["server"]["enableStaticServing"] is False
    takers = {"file_uploader", "camera_input", "audio_input", "chat_input"}
    for file in [*(ROOT / "pages").glob("*.py"), *(ROOT / "mlem").rglob("*.py")]:
        names = {node.attr for node in ast.walk(ast.parse(file.read_text())) if isinstance(node, ast.Attribute)}
        assert not names & takers, f"{file} takes files from visitors"


def test_every_cap_is_of_a_parameter() -> None:
    names = {name for kind in KINDS for name in kind.specs()}
    assert {*limits.MOST, *limits.LEAST} <= names
