"""Parameters: every way in goes through the same checks, and every way out leads back."""

from __future__ import annotations

import dataclasses
import math
import random
import re
import shlex
from dataclasses import dataclass
from functools import cache
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from mlem import __main__ as command
from mlem.experiments import experiment
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import LINK_VERSION, Params, Spec, as_text, choice, in_words, integer, number, to_key


@dataclass(frozen=True)
class Made(Params):
    """One parameter of each kind."""

    rate: float = number(0.5, low=0.0, high=2.0, label="Rate", help="A rate.")
    time_steps: int = integer(8, low=1, high=100, label="Steps", help="Steps.")
    shape: str = choice("round", choices={"round": "Round, as a ball", "flat": "Flat"}, label="Shape", help="A shape.")
    share: float | None = number(None, low=-1.0, high=1.0, label="Share", help="May be left empty.")
    count: int | None = integer(None, low=0, high=9, label="Count", help="May be left empty.")


@cache
def experiments() -> tuple[Experiment, ...]:
    return tuple(experiment.get(name) for name in experiment.NAMES)


def values(spec: Spec) -> st.SearchStrategy[Any]:
    """Everything that one parameter takes."""
    if spec.kind == "choice":
        return st.sampled_from(spec.choices)
    inside = st.integers(int(spec.low), int(spec.high)) if spec.kind == "integer" else st.floats(spec.low, spec.high)
    return st.none() | inside if spec.optional else inside


def valid(data: st.DataObject, kind: type[Params]) -> Params:
    """Values that are valid each in itself, then mended to fit together."""
    drawn = data.draw(st.fixed_dictionaries({name: values(spec) for name, spec in kind.specs().items()}))
    mended, _ = kind.mend(drawn)
    return kind(**mended)


every_kind = pytest.mark.parametrize("name", [*experiment.NAMES, "made"])


def kind_of(name: str) -> type[Params]:
    return Made if name == "made" else experiment.get(name).params


def command_line(chosen: Experiment, arguments: str) -> Params:
    given = vars(command._options(chosen).parse_args(shlex.split(arguments)))
    return chosen.params.parse({name: given[name] for name in chosen.params.specs() if given[name] is not None})


# ── there and back


@every_kind
@given(data=st.data())
def test_a_link_leads_back(name: str, data: st.DataObject) -> None:
    params = valid(data, kind_of(name))
    query = params.to_query()
    assert query["v"] == LINK_VERSION
    assert set(query) == {"v"} | {to_key(field) for field in params.specs()}
    assert kind_of(name).nearest(query) == (params, [])


@pytest.mark.parametrize("name", experiment.NAMES)
@given(data=st.data())
def test_a_command_leads_back(name: str, data: st.DataObject) -> None:
    chosen = experiment.get(name)
    params = valid(data, chosen.params)
    assert command_line(chosen, params.to_arguments()) == params


@every_kind
@given(data=st.data())
def test_texts_and_values_lead_back(name: str, data: st.DataObject) -> None:
    kind = kind_of(name)
    params = valid(data, kind)
    assert kind.parse({field: as_text(getattr(params, field)) for field in params.specs()}) == params
    assert kind(**dataclasses.asdict(params)) == params
    assert hash(kind(**dataclasses.asdict(params))) == hash(params)


@every_kind
def test_defaults_are_valid_and_need_no_words(name: str) -> None:
    kind = kind_of(name)
    assert kind().to_arguments() == ""
    assert kind.nearest({}) == (kind(), [])
    assert kind.parse({}) == kind()


@every_kind
@given(data=st.data())
def test_mending_what_is_valid_changes_nothing(name: str, data: st.DataObject) -> None:
    kind = kind_of(name)
    params = valid(data, kind)
    assert kind.mend(dataclasses.asdict(params)) == (dataclasses.asdict(params), [])


def test_arguments_are_what_differs_from_the_defaults() -> None:
    assert Made(rate=1.0, time_steps=9, share=-0.25).to_arguments() == "--rate 1 --time-steps 9 --share -0.25"


@given(value=st.floats(allow_nan=False, allow_infinity=False) | st.integers(-(10**9), 10**9))
def test_numbers_as_texts_are_exact(value: float) -> None:
    assert float(as_text(value)) == value
    assert as_text(None) == ""
    assert as_text(2.0) == "2"
    assert as_text("two") == "two"


# ── links of all kinds

HOSTILE = (
    *("", " ", "nan", "-nan", "inf", "-inf", "1e999", "-1e999", "1e-999", "0", "-0", "-1", "1", "0.5", "1e3", "1e18", "1_0"),
    *("0x10", "1,5", "1;DROP TABLE", "<script>alert(1)</script>", "../../etc/passwd", "%00", "\0", "\ud800", "🎲", "٣", "½"),
    *("true", "[]", "{}", "9" * 400, "0." + "0" * 400 + "1", "a" * 10_000, "1e", "--", "$(reboot)", "\n", "1\n2", "1 2"),
    *("+1", "1.", "None", "null"),
)


def hostile_query(source: random.Random, kind: type[Params]) -> dict[str, str]:
    """Some keys with values that are hostile, or valid, or nearly so."""
    query = {}
    for name, spec in kind.specs().items():
        if source.random() < 0.3:
            continue
        middle = [as_text(x) for x in (spec.low, spec.high, (spec.low + spec.high) / 2) if math.isfinite(x)]
        near = [*spec.choices, *middle, str(source.uniform(-2, 2) * max(1.0, min(spec.high, 1e6)))]
        query[to_key(name)] = source.choice(HOSTILE if source.random() < 0.5 else near)
    for stranger in ("v", "utm_source", "gamma", "sde", "levels", "__class__", ""):
        if source.random() < 0.1:
            query.setdefault(stranger, source.choice(HOSTILE))
    return query


def test_ten_thousand_hostile_links_end_in_valid_parameters() -> None:
    source, noticed = random.Random(0), 0
    kinds: list[type[Params]] = [*(one.params for one in experiments()), Made]
    for n in range(10_000):
        kind = kinds[n % len(kinds)]
        query = hostile_query(source, kind)
        params, notices = kind.nearest(query)
        if n % 10 == 0:
            assert kind.nearest(params.to_query()) == (params, [])
        assert all(isinstance(notice, str) and notice.endswith(".") and len(notice) < 600 for notice in notices)
        noticed += bool(notices)
    assert 0.5 < noticed / 10_000 < 1.0  # neither tame nor hopeless


@every_kind
@given(data=st.data())
def test_what_cannot_be_read_has_a_notice_and_the_rest_is_kept(name: str, data: st.DataObject) -> None:
    kind = kind_of(name)
    params, spoilt = valid(data, kind), data.draw(st.sampled_from(sorted(kind.specs())))
    made, notices = kind.nearest({**params.to_query(), to_key(spoilt): "no such value"})
    assert notices
    assert notices[0].startswith(f"{to_key(spoilt)} takes ")
    if not kind.mend({**dataclasses.asdict(params), spoilt: getattr(kind(), spoilt)})[1]:
        assert made == dataclasses.replace(params, **{spoilt: getattr(kind(), spoilt)})


def test_parameters_are_made_without_work(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is simulated, nothing calibrated: no random number is drawn."""

    def draw(*_: object) -> None:
        raise AssertionError("work was done to make parameters")

    monkeypatch.setattr("mlem.streams.PathStream.take", draw)
    source = random.Random(1)
    for one in experiments():
        for field, spec in one.params.specs().items():
            for value in spec.choices:
                one.params.nearest({field: value, "gamma": str(source.uniform(0.3, 3.0))})


@pytest.mark.parametrize(
    ("query", "values", "notice"),
    [
        ({"rate": "3"}, {"rate": 2.0}, "rate takes a number ≥ 0 and ≤ 2, got 3. It is now 2."),
        ({"rate": "-1e300"}, {"rate": 0.0}, "rate takes a number ≥ 0 and ≤ 2, got -1e+300. It is now 0."),
        ({"rate": "fast"}, {}, "rate takes a number ≥ 0 and ≤ 2, got 'fast'. It is now 0.5."),
        ({"rate": "nan"}, {}, "rate takes a number ≥ 0 and ≤ 2, got 'nan'. It is now 0.5."),
        ({"rate": ""}, {}, "rate takes a number ≥ 0 and ≤ 2, got ''. It is now 0.5."),
        ({"time-steps": "0"}, {"time_steps": 1}, "time-steps takes an integer from 1 to 100, got 0. It is now 1."),
        ({"time-steps": "7.6"}, {"time_steps": 8}, "time-steps takes an integer from 1 to 100, got 7.6. It is now 8."),
        (
            {"time-steps": "1e4"},
            {"time_steps": 100},
            "time-steps takes an integer from 1 to 100, got 10000. It is now 100.",
        ),
        ({"shape": "Flat"}, {}, "shape takes one of round, flat, got 'Flat'. It is now round."),
        ({"shape": ""}, {}, "shape takes one of round, flat, got ''. It is now round."),
        ({"share": "2"}, {"share": 1.0}, "share takes a number ≥ -1 and ≤ 1, got 2. It is now 1."),
        ({"share": "much"}, {}, "share takes a number ≥ -1 and ≤ 1, got 'much'. It is now the default."),
    ],
)
def test_the_nearest_value_is_taken_and_said(query: dict[str, str], values: dict[str, Any], notice: str) -> None:
    assert Made.nearest(query) == (Made(**values), [notice])


def test_links_spell_names_with_hyphens_and_may_hold_strangers() -> None:
    assert Made.nearest({"time-steps": "9", "time_steps": "1", "v": "1", "other": "x"}) == (Made(time_steps=9), [])
    assert Made.nearest({"share": "", "count": ""}) == (Made(), [])
    assert Made.nearest({"share": "0.5", "count": "3"}) == (Made(share=0.5, count=3), [])


# ── what is strict


@pytest.mark.parametrize(
    ("texts", "words"),
    [
        ({"rate": "2.5"}, "rate takes a number ≥ 0 and ≤ 2, got 2.5"),
        ({"rate": "fast"}, "rate takes a number ≥ 0 and ≤ 2, got 'fast'"),
        ({"rate": "inf"}, "rate takes a number ≥ 0 and ≤ 2, got 'inf'"),
        ({"rate": ""}, "rate takes a number ≥ 0 and ≤ 2, got ''"),
        ({"time_steps": "0"}, "time_steps takes an integer from 1 to 100, got 0"),
        ({"time_steps": "7.5"}, "time_steps takes an integer from 1 to 100, got 7.5"),
        ({"shape": "square"}, "shape takes one of round, flat, got 'square'"),
        ({"shape": ""}, "shape takes one of round, flat, got ''"),
        ({"share": "-2"}, "share takes a number ≥ -1 and ≤ 1, got -2"),
        ({"count": "x"}, "count takes an integer from 0 to 9, got 'x'"),
        ({"speed": "1"}, "parameter takes one of rate, time_steps, shape, share, count, got 'speed'"),
    ],
)
def test_a_text_that_is_off_is_refused_by_name(texts: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        Made.parse(texts)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"rate": "1"}, "rate takes a number ≥ 0 and ≤ 2, got '1'"),
        ({"rate": None}, "rate takes a number ≥ 0 and ≤ 2, got None"),
        ({"rate": True}, "rate takes a number ≥ 0 and ≤ 2, got True"),
        ({"rate": math.nan}, "rate takes a number ≥ 0 and ≤ 2, got nan"),
        ({"time_steps": 2.0}, "time_steps takes an integer from 1 to 100, got 2.0"),
        ({"time_steps": True}, "time_steps takes an integer from 1 to 100, got True"),
        ({"shape": 1}, "shape takes one of round, flat, got 1"),
        ({"shape": None}, "shape takes one of round, flat, got None"),
        ({"count": 10}, "count takes an integer from 0 to 9, got 10"),
    ],
)
def test_a_value_that_is_off_is_refused_by_name(given: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(words)}$"):
        Made(**given)


def test_numbers_become_what_is_declared() -> None:
    made = Made(rate=1)
    assert type(made.rate) is float
    assert made == Made(rate=1.0)
    assert Made.parse({"time_steps": "1e1"}).time_steps == 10
    with pytest.raises(dataclasses.FrozenInstanceError):
        made.rate = 2.0  # type: ignore[misc]


# ── what is said of a parameter


@every_kind
def test_every_parameter_is_explained(name: str) -> None:
    for spec in kind_of(name).specs().values():
        assert spec.label
        assert spec.help.endswith(".")
        assert len(spec.titles) == len(spec.choices)
        assert all(spec.low <= stop <= spec.high for stop in spec.offered)
        assert len(set(spec.offered)) == len(spec.offered)


@settings(max_examples=50)
@given(spec=st.sampled_from([spec for one in experiments() for spec in one.params.specs().values()]), data=st.data())
def test_every_valid_value_is_its_own_nearest(spec: Spec, data: st.DataObject) -> None:
    value = data.draw(values(spec))
    assert spec.nearest(as_text(value), "default") == value
    assert spec.parse("x", as_text(value)) == value


def test_choices_have_titles_and_values_have_words() -> None:
    spec = Made.specs()["shape"]
    assert (spec.title("round"), spec.title("flat"), spec.title("odd")) == ("Round, as a ball", "Flat", "odd")
    assert (in_words(None), in_words(0.25), in_words(7), in_words("flat")) == ("the default", "0.25", "7", "flat")
