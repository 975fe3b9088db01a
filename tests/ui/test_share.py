"""Ways out of a result, each of which really gives the same result again."""

from __future__ import annotations

import contextlib
import io
import json
import re
import shlex
from html import escape
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from mlem.__main__ import main
from mlem.experiments import experiment
from mlem.experiments.coin import CoinParams
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.params import Params
from mlem.experiments.race import RaceParams
from mlem.experiments.result import plain, to_csv
from mlem.experiments.steps import StepsParams
from mlem.ui import share
from mlem.ui.faces_view import FacesView
from tests.experiments.test_params import valid

VIEWS: dict[str, type[Params]] = {
    "race": RaceParams,
    "hierarchy": HierarchyParams,
    "coin": CoinParams,
    "convergence": ConvergenceParams,
    "steps": StepsParams,
    "crossover": CrossoverParams,
    "faces": FacesView,
}
"""What each page's link holds."""

TAKEN = {
    "coin": CoinParams(sde="ornstein-uhlenbeck", draws=3, rule="too-flat", budget=0.3, seed=7),
    "hierarchy": HierarchyParams(sde="ornstein-uhlenbeck", paths=16, levels=2, gamma=1 / 3),
    "race": RaceParams(sde="ornstein-uhlenbeck", epsilon=0.1, paths=32, dim=2),
}
ADDRESS = "https://somebody-ml-em-lab.hf.space/"


def taking_along(name: str) -> None:
    """A page of nothing but the panel."""
    import streamlit  # noqa: F401  # AppTest wants one that draws

    from mlem.experiments import experiment
    from mlem.ui import page
    from tests.ui.test_share import TAKEN

    chosen = experiment.get(name)
    page.take_along(chosen, TAKEN[name], page.compute(chosen, TAKEN[name]))


@pytest.fixture(scope="module", params=TAKEN)
def taken(request: pytest.FixtureRequest) -> tuple[str, Any, AppTest]:
    """Name, result, and the page."""
    name: str = request.param
    app = AppTest.from_function(taking_along, args=(name,), default_timeout=60)
    assert not app.run().code, "nothing is made before somebody unfolds it"
    app.session_state[f"{name}.take_along"] = True
    app.run()
    assert not app.exception
    return name, experiment.get(name).run(TAKEN[name], None), app


def read(url: str, kind: type[Params]) -> tuple[Params, list[str]]:
    """What a page makes of a link."""
    return kind.nearest(dict(parse_qsl(urlsplit(url).query, keep_blank_values=True)))


def test_the_link_names_every_parameter(taken: tuple[str, Any, AppTest]) -> None:
    name, _, app = taken
    assert read(app.code[0].value, type(TAKEN[name])) == (TAKEN[name], [])


def test_the_command_gives_the_same_result(taken: tuple[str, Any, AppTest], capsys: pytest.CaptureFixture[str]) -> None:
    _, result, app = taken
    words = shlex.split(app.code[2].value)
    assert words[:3] == ["python", "-m", "mlem"]
    assert main([*words[3:], "--json", "-"]) == 0
    assert numbers(json.loads(capsys.readouterr().out)["result"]) == numbers(plain(result))


def test_the_snippet_gives_the_same_result(taken: tuple[str, Any, AppTest]) -> None:
    _, result, app = taken
    names: dict[str, Any] = {}
    with contextlib.redirect_stdout(io.StringIO()) as said:
        exec(app.code[3].value, names)
    assert said.getvalue().strip() == result.summary()
    assert numbers(plain(names["result"])) == numbers(plain(result))


def test_the_files_hold_the_result(monkeypatch: pytest.MonkeyPatch) -> None:
    files: dict[str, str] = {}
    monkeypatch.setattr(share.st, "download_button", lambda _, data, file, kind, **rest: files.update({file: data}))
    monkeypatch.setattr(share, "_saver", lambda **_: None)
    chosen, params = experiment.get("coin"), TAKEN["coin"]
    result = chosen.run(params, None)
    share._files(chosen, params, result, "python")
    assert files["mlem-coin.csv"] == to_csv(result.rows())
    held = json.loads(files["mlem-coin.json"])
    assert held["result"] == plain(result)
    assert CoinParams(**held["params"]) == params


def numbers(value: Any) -> Any:
    """What is the same from run to run: all but seconds."""
    if isinstance(value, dict):
        return {key: numbers(item) for key, item in value.items() if "seconds" not in key}
    return [numbers(item) for item in value] if isinstance(value, list) else value


def test_defaults_are_left_out_of_snippet_and_command() -> None:
    chosen = experiment.get("coin")
    assert "run(CoinParams())" in share.snippet(chosen, CoinParams())
    assert "run(CoinParams(gamma=3.0, rule='too-flat'))" in share.snippet(chosen, CoinParams(gamma=3.0, rule="too-flat"))
    assert share.command(chosen, CoinParams()) == "python -m mlem coin"


@pytest.mark.parametrize("page", VIEWS)
@given(data=st.data())
def test_a_link_is_short_and_leads_back(page: str, data: st.DataObject) -> None:
    params = valid(data, VIEWS[page])
    url = share.link(ADDRESS + page, params)
    assert read(url, VIEWS[page]) == (params, [])
    assert len(url) <= 1500
    assert url.isascii()


def test_the_qr_code_is_of_the_link_and_dark_on_white() -> None:
    url = share.link(ADDRESS, RaceParams())
    found = re.fullmatch(
        r'<img src="data:image/svg\+xml;charset=utf-8,(.*?)" alt="QR code of the link" style=".*">', share.qr(url)
    )
    assert found is not None
    drawn = unquote(found[1])
    code = segno.make(url, error="m", micro=False)
    size = code.symbol_size(border=4)[0]
    assert f"M0 0h{size}v{size}h-{size}z" in drawn
    assert "fill='#fff'" in drawn
    assert modules(drawn, size) == [[bool(cell) for cell in row] for row in code.matrix_iter(border=4)]


def modules(svg: str, size: int) -> list[list[bool]]:
    """Which modules the code's path draws."""
    dark = [[False] * size for _ in range(size)]
    path = re.search(r"stroke='#000' d='([^']+)'", svg)
    assert path is not None
    x, y = 0.0, 0.0
    for move, first, second in re.findall(r"([Mmh])(-?[\d.]+)(?: (-?[\d.]+))?", path[1]):
        if move == "h":
            for column in range(int(x), int(x) + int(first)):
                dark[int(y)][column] = True
            x += float(first)
        else:
            dx, dy = float(first), float(second)
            x, y = (dx, dy) if move == "M" else (x + dx, y + dy)
    return dark


def test_frame_and_citation_hold_the_link_and_the_command() -> None:
    chosen, params = experiment.get("coin"), TAKEN["coin"]
    url = share.link(ADDRESS, params)
    assert f'src="{escape(url)}&amp;embed=true"' in share.frame(url, "Coin")
    assert 'title="Cheap &amp; &lt;good&gt;"' in share.frame(url, "Cheap & <good>")
    cited = share.citation(chosen, params, url)
    assert url in cited
    assert share.command(chosen, params) in cited
    assert cited.count("{") == cited.count("}")
    assert "2603.24594" in share.PAPER


def test_old_links_keep_working() -> None:
    """Links as they were given out. Never change one: where a name or a meaning changes, the codec has to mind the version.
    Parameters that came later are at their defaults."""
    for old in json.loads(Path(__file__).with_name("links.json").read_text(encoding="utf-8")):
        params, notices = read(f"{ADDRESS}?{old['query']}", VIEWS[old["page"]])
        assert notices == []
        assert {name: getattr(params, name) for name in old["params"]} == old["params"]


def test_a_link_of_another_version_is_read_and_said() -> None:
    params, notices = CoinParams.nearest({"v": "2", "gamma": "3"})
    assert params == CoinParams(gamma=3.0)
    assert notices == ["This link is of another version of ML-EM Lab: what is understood of it was taken."]
