"""Links that nobody made with care: whatever is asked, a page shows the nearest state, and says what it did not take."""

from __future__ import annotations

import random
import string
from collections.abc import Mapping
from urllib.parse import parse_qsl

import pytest
from hypothesis import given
from hypothesis import strategies as st
from streamlit.testing.v1 import AppTest

from mlem.experiments.params import Params, to_key
from tests.app.conftest import Visit
from tests.app.pages import KINDS, link

ALONG = ("v", "class", "hide", "projector", "predict", "lesson", "step", "said", "embed", "embed_options")
KEYS = sorted({to_key(name) for kind in KINDS.values() for name in kind.specs()} | set(ALONG))

ODD = [
    *("nan", "inf", "-inf", "1e308", "1e309", "-0", "00012", "0x10", "1_000", "１２", "٣", "½", "½e1", "1e-400", "9" * 400),
    *("1" + "0" * 5000, "infinity", "1j"),
    *("", " ", "\t", "\n", "\r\n", "\x00", "\x1b[31m", "\ud800", "\ufeff", "\u202e", "é", "γ", "😀" * 50, "a" * 10_000),
    *("None", "null", "true", "[]", "{}", "[1,2]", "1,2", "1;2", "1 2", "±1", "--help", "-", "+", ".", "..", "=", "&&", "a=b"),
    *("<script>alert(1)</script>", "<img src=x onerror=alert(1)>", "![x](http://other.example/x.png)"),
    *("[x](javascript:alert(1))", "data:text/html,x"),
    *("$\\frac{1}{0}$", ":red[x]", "`x`", "# x", "{{7*7}}", "${7*7}", "%s%n", "{0}", "'; drop table x; --", "\\", "\\u0000"),
    *("../../etc/passwd", "/etc/passwd", "file:///etc/passwd", "C:\\windows", "//other.example", "~", "%00"),
    *("%", "%zz", "%E0%A4%A", "+", "%2B", "%26gamma=1"),
    *("v1.", "eJx", "eyJ0aXRsZSI6", "race", "gamma", "self", "__class__", "specs", "mend"),
]  # fmt: skip


def hostile(chance: random.Random) -> str:
    """A query string, as an address may end."""
    keys = [chance.choice(KEYS) if chance.random() < 0.9 else chance.choice(ODD) for _ in range(chance.randint(1, 8))]
    text = "&".join(f"{key}={value(chance)}" for key in keys)
    return text.encode("utf-8", "replace").decode()  # as a server gets it


def value(chance: random.Random) -> str:
    """A value: odd, nearly right, or noise."""
    kind = chance.random()
    if kind < 0.5:
        return chance.choice(ODD)
    if kind < 0.8:
        specs = list(chance.choice(list(KINDS.values())).specs().values())
        spec = chance.choice(specs)
        if spec.choices:
            return chance.choice([*spec.choices, spec.choices[0].upper(), spec.choices[0] + "x"])
        return str(chance.choice([spec.low, spec.high, spec.low - 1, spec.high + 1, spec.high * 1e9, chance.uniform(-10, 10)]))
    return "".join(chance.choice(string.printable + "γεσ\x00%&=") for _ in range(chance.randint(0, 40)))


def read(kind: type[Params], query: Mapping[str, str]) -> None:
    """What must hold of any query: valid, stable, and told where something was not taken."""
    params, notices = kind.nearest(query)
    again, none = kind.nearest(params.to_query())
    assert again == params
    assert none == []
    for name, spec in kind.specs().items():
        if (key := to_key(name)) in query:
            try:
                taken = spec.parse(name, query[key]) == getattr(params, name)
            except ValueError:
                taken = False
            assert taken or notices, f"{key}={query[key]!r} was not taken, and nothing is said"


def test_ten_thousand_hostile_links_are_read_by_every_page() -> None:
    chance = random.Random(5)
    kinds = list(KINDS.values())
    for n in range(10_000):
        query = dict(parse_qsl(hostile(chance), keep_blank_values=True, errors="replace"))
        read(kinds[n % len(kinds)], query)


@pytest.mark.parametrize("kind", KINDS.values())
@given(texts=st.lists(st.text(max_size=60), min_size=20, max_size=20))
def test_any_text_is_read(kind: type[Params], texts: list[str]) -> None:
    read(kind, dict(zip(map(to_key, kind.specs()), texts, strict=False)))


@pytest.mark.parametrize("kind", KINDS.values())
@given(numbers=st.lists(st.floats(), min_size=20, max_size=20))
def test_any_number_is_read(kind: type[Params], numbers: list[float]) -> None:
    read(kind, dict(zip(map(to_key, kind.specs()), map(repr, numbers), strict=False)))


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("name", KINDS)
def test_pages_open_on_hostile_links(visit: Visit, app: AppTest, name: str) -> None:
    chance = random.Random(name)
    visit(name, {})
    for _ in range(40):
        query = dict(parse_qsl(hostile(chance), keep_blank_values=True, errors="replace"))
        app.query_params.clear()
        for key, text in query.items():
            app.query_params[key] = text
        app.run()
        assert not app.exception, query
        kind = KINDS[name]
        shown, notices = kind.nearest(link(app))
        assert notices == [], "the address is that of the state that is shown"
        assert shown == app.session_state[f"{name}.params"]


@pytest.mark.usefixtures("quick")
def test_a_notice_is_no_way_to_put_pictures_or_links_on_a_page(visit: Visit) -> None:
    app = visit("coin", {"gamma": "![x](http://other.example/x.png)", "rule": "[here](http://other.example) <b>$x$</b>"})
    assert len(app.info) == 2
    for notice in app.info:
        assert "](" not in notice.value.replace("\\]", "")
        assert "http:" not in notice.value
        assert "<b>" not in notice.value
