"""Bench app: a small class goes through all phases; what it found is judged and told. No test asserts a time."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Iterator

import pytest

from mlem.__main__ import main
from mlem.experiments.bench import Machine
from mlem.experiments.result import to_csv, to_json
from mlem.ui import bench, classroom
from mlem.ui.bench import AppParams, AppResult, Timing, _soak, _timing, run
from mlem.ui.classroom import Sample
from mlem.ui.serving import Server, serving

SMALL = AppParams(sessions=3, sweeps=1, seconds=1.5, think=0.2)
MOVE = "control → new figure"


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(classroom, "_WATCHED", 0.5)


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with serving() as started:
        yield started


@pytest.mark.usefixtures("impatient")
def test_a_small_class_goes_through_all_phases() -> None:
    told: list[float] = []
    result = run(SMALL, told.append)
    assert result.errors == {}
    phases = list(dict.fromkeys(timing.phase for timing in result.timings))
    assert phases == ["first visitor", "all join", "no sweep", "one sweep", "sweeps left", "all come back"]
    assert list(result.shares) == phases
    counts = {(t.phase, t.what): t.count for t in result.timings}
    assert counts["first visitor", "page"] == len(classroom.PAGES)
    assert counts["all join", "page"] == 3
    assert counts["no sweep", MOVE] > 0
    assert counts["all come back", "back by link"] == 3
    assert all(0 < t.p50 <= t.p95 <= t.longest for t in result.timings)
    assert result.rest is not None
    assert result.peak is not None
    assert 0.05 < result.peak < 2
    assert told == sorted(told)
    assert json.loads(to_json("bench app", SMALL, result))["result"]["errors"] == {}
    assert len(to_csv(result.rows()).splitlines()) == len(result.rows()) + 1


@pytest.mark.usefixtures("impatient")
@pytest.mark.parametrize("moves", ["lesson", "any"])
def test_a_server_that_runs_is_driven_too(server: Server, moves: str) -> None:
    result = run(dataclasses.replace(SMALL, port=server.port, sweeps=0, moves=moves, seed=3))
    assert result.errors == {}
    assert (result.memory, result.rest, result.peak, result.growth, result.shares) == ((), None, None, None, {})
    assert {t.phase for t in result.timings} == {"first visitor", "all join", "no sweep", "all come back"}


def test_it_can_be_cancelled(server: Server) -> None:
    def cancel(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(dataclasses.replace(SMALL, port=server.port, sweeps=0), cancel)


@pytest.mark.usefixtures("impatient")
def test_coming_and_going_ends_with_memory_at_its_start_middle_and_end() -> None:
    told: list[float] = []
    result = run(dataclasses.replace(SMALL, sweeps=0, seconds=1.0, minutes=0.05), told.append)
    assert result.errors == {}
    assert any(timing.phase == "coming and going" for timing in result.timings)
    assert told == sorted(told)
    assert len(result.soak) == 3
    assert [row["what"] for row in result.rows()][-3:] == [f"memory at its {when}, GB" for when in ("start", "middle", "end")]


def test_memory_of_coming_and_going_is_that_of_tenths() -> None:
    assert _soak([float(n) for n in range(101)]) == (4.5, 50.0, 95.5)
    assert _soak([0.5]) == (0.5, 0.5, 0.5)
    assert _soak([]) == ()


# ── what is judged and told


def sample(phase: str, what: str, sweeps: int, *seconds: float) -> Timing:
    return _timing(Sample(phase, what, sweeps, list(seconds)))


def test_targets() -> None:
    """Joining is judged by the last to join, moves by their 95th percentile, which is looser beside several sweeps."""
    assert sample("all join", "page", 0, 0.1, 1.9).met is True
    assert sample("all join", "page", 0, 0.1, 2.1).met is False
    quick = [0.1] * 99
    assert sample("no sweep", MOVE, 0, *quick, 9.0).met is True
    assert sample("no sweep", MOVE, 0, *quick[:90], *[0.2] * 10).met is False
    assert sample("one sweep", MOVE, 1, 0.2).met is False
    assert sample("5 sweeps", MOVE, 5, 0.2).met is True
    assert sample("5 sweeps", MOVE, 5, 0.4).met is False
    assert sample("5 sweeps", MOVE, 5, 0.4).target == "p95 ≤ 300"
    assert sample("no sweep", "page", 0, 9.0).met is None


def made_up(**changes: object) -> AppResult:
    result = AppResult(
        timings=(sample("all join", "page", 0, 0.5, 1.0), sample("no sweep", MOVE, 0, 0.1)),
        errors={},
        rest=4.0,
        memory=((0.0, 0.3), (1.0, 0.5), (2.0, 0.4)),
        soak=(),
        shares={"all join": 0.9, "no sweep": 0.25},
        own_share=0.125,
        machine=Machine(2, 0.5, {}),
    )
    return dataclasses.replace(result, **changes)  # type: ignore[arg-type]


def test_rows_and_summary() -> None:
    rows = made_up().rows()
    assert [row["what"] for row in rows] == [
        "page, ms",
        f"{MOVE}, ms",
        "errors",
        "until the server rests, s",
        "memory, GB",
        "memory gained in the second half, GB",
    ]
    assert [row["longest"] for row in rows[3:]] == pytest.approx([4.0, 0.5, -0.1])
    assert made_up().summary() == (
        "5 of 5 targets met. Processors that the server kept busy: 0.90 (all join), 0.25 (no sweep). This tool took 0.12 of 2 "
        "processors, whose load before the start was 0.5."
    )
    failed = made_up(errors={"no sweep: coin: no answer within 60 s": 2}, rest=6.0, memory=((0.0, 1.6),))
    assert failed.summary().startswith(
        "2 of 5 targets met. Missed: errors (all); until the server rests, s (sweeps left); memory, GB (all). "
        "2 × no sweep: coin: no answer within 60 s. "
    )
    assert [row["what"] for row in made_up(rest=None, memory=()).rows()] == ["page, ms", f"{MOVE}, ms", "errors"]


def test_sweeps_leave_somebody_to_move_controls() -> None:
    with pytest.raises(ValueError, match=r"^sweeps takes less than the 5 sessions, got 5$"):
        AppParams(sessions=5)
    assert AppParams(sessions=1, sweeps=0).sweeps == 0


def test_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "app", "--port", "1"]) == 2
    captured = capsys.readouterr()
    assert captured.out == ""
    assert captured.err.startswith("python -m mlem bench")
    assert "nothing answers at 127.0.0.1:1" in captured.err
    with pytest.raises(SystemExit) as stop:
        main(["bench", "app", "--help"])
    assert stop.value.code == 0
    out = capsys.readouterr().out
    assert bench.EXPERIMENT.question in out
    assert "--sessions INTEGER" in out
