"""Bench: everyone does the same work, ratios are what they say, and a peer that is missing is told. No test asserts a time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from math import comb
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

import mlem
from mlem.experiments import bench, peers
from mlem.experiments.bench import BenchParams, compare, drift_alone, em, interleaved, median, multilevel, run
from mlem.experiments.peers import NOISE, PEERS, Peer, Solve, Work, bare_loop
from mlem.experiments.result import to_csv, to_json, to_text
from mlem.hierarchy import Hierarchy, Level
from mlem.sde import Drift

ROOT = Path(mlem.__file__).parent.parent
TINY = Work(dim=2, batch=8, steps=16)


@pytest.fixture
def tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    """Works of no size."""
    monkeypatch.setattr(bench, "WORKS", (TINY, Work(dim=3, batch=4, steps=8)))
    monkeypatch.setattr(bench, "LONG", Work(dim=1, batch=16, steps=32))


@pytest.fixture
def alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """No peer is installed."""
    monkeypatch.setattr(peers, "find_spec", lambda name: None)


def ours(work: Work) -> Solve:
    return lambda: em(work, bench.hierarchy(work))


def of(peer: Peer) -> Callable[[Work], Solve]:
    def make(work: Work) -> Solve:
        if not peer.installed:
            pytest.skip(f"{peer.name} is not installed: {peer.pip}")
        return peer.make(work)

    return make


@pytest.mark.parametrize("make", [ours, bare_loop, *map(of, PEERS)], ids=["ours", "bare", *(peer.name for peer in PEERS)])
def test_everyone_solves_the_same_equation(make: Callable[[Work], Solve]) -> None:
    """Mean and variance are those of Euler–Maruyama's own recursion."""
    work = Work(dim=2, batch=8192, steps=16)
    h, n = 1 / work.steps, work.batch * work.dim
    mean = (1 - h) ** work.steps
    variance = NOISE**2 * h * sum((1 - h) ** (2 * j) for j in range(work.steps))
    x = torch.tensor(make(work)().tolist(), dtype=torch.float64).flatten()
    assert len(x) == n
    assert x.unique().numel() > 0.9 * n  # paths and coordinates have noise of their own

    def z_of_mean(m: float) -> float:
        return float(x.mean() - m) / float(variance / n) ** 0.5

    def z_of_variance(v: float) -> float:
        return float((x - mean).square().mean() - v) / (v * float(2 / n) ** 0.5)

    assert abs(z_of_mean(mean)) < 5
    assert abs(z_of_mean((1 - h) ** (work.steps - 1))) > 5  # named wrong implementation: a step too few
    assert abs(z_of_variance(variance)) < 5
    assert abs(z_of_variance(variance * h)) > 10  # named wrong implementation: h in place of √h


@pytest.mark.usefixtures("tiny")
def test_all_cases_are_measured() -> None:
    ticks = list[float]()
    result = run(BenchParams(repeats=6), ticks.append)
    assert ticks == sorted(ticks)
    assert ticks[-1] == 1.0
    expected = {"EM / bare torch loop", "ML-EM's overhead / EM, shared coins", "ML-EM's overhead / EM, per-path coins"}
    expected |= {f"{peer.name} / EM" for peer in PEERS if peer.installed}
    for work in bench.WORKS:
        assert {ratio.name for ratio in result.ratios if ratio.work == str(work)} == expected
    assert all(ratio.value.low <= ratio.value.value <= ratio.value.high for ratio in result.ratios)
    assert result.memory is None
    exported = json.loads(to_json("bench", BenchParams(repeats=6), result))["result"]
    assert exported["ratios"][0]["name"] == "EM / bare torch loop"
    assert {"torch", *(name for peer in PEERS if peer.installed for name in peer.packages)} == set(
        exported["machine"]["versions"]
    )


@pytest.mark.usefixtures("tiny", "alone")
@pytest.mark.parametrize("cases", ["all", "peers"])
def test_a_missing_peer_is_told_in_words(cases: str) -> None:
    result = run(BenchParams(repeats=6, cases=cases))
    assert not [ratio for ratio in result.ratios if ratio.case == "peers"]
    for peer in PEERS:
        row = next(row for row in result.rows() if row["what"] == peer.name)
        assert row["verdict"] == f"not installed: pip install {' '.join(peer.requirements)}"
        assert (row["value"], row["low"], row["high"]) == ("", "", "")
        assert f"{peer.name} is not installed: pip install" in result.summary()
        assert peer.pip in to_text(result.rows())
        assert peer.pip in to_csv(result.rows())
        assert peer.pip in to_json("bench", BenchParams(), result)


@pytest.mark.usefixtures("tiny", "alone")
@pytest.mark.parametrize(("cases", "found"), [("em", {"em"}), ("overhead", {"overhead"}), ("memory", set())])
def test_only_the_chosen_case_is_measured(cases: str, found: set[str]) -> None:
    result = run(BenchParams(repeats=6, cases=cases))
    assert {ratio.case for ratio in result.ratios} == found
    assert (result.memory is not None) == (cases == "memory")
    assert result.missing == ()


@pytest.mark.usefixtures("tiny")
def test_memory_is_measured_in_a_process_of_its_own() -> None:
    result = run(BenchParams(repeats=6, cases="em", memory="yes"))
    assert result.memory is not None
    assert result.memory.peak > 0.01
    assert result.memory.states_kept == 0
    assert result.memory.all_states == pytest.approx(8e-9 * 33 * 16)
    assert result.rows()[-1]["what"] == "peak memory, GB"
    assert "kept no states" in result.summary()


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"repeats": 5}, "repeats takes an integer from 6 to 1000, got 5"),
        ({"cases": "gpu"}, "cases takes one of all, em, peers, overhead, memory, got 'gpu'"),
        ({"memory": "perhaps"}, "memory takes one of no, yes, got 'perhaps'"),
    ],
)
def test_bad_params_are_named(values: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        BenchParams(**values)  # type: ignore[arg-type]


def test_ratios_are_what_they_say() -> None:
    one = np.ones(6)
    seconds = {"em": one, "bare": one / 1.2, **{peer.name: 5 * one for peer in PEERS}, "em drift": 0.1 * one}
    seconds |= {"shared": 1.49 * one, "shared drift": 0.4 * one, "per-path": 3 * one, "per-path drift": 0.5 * one}
    found = {ratio.name: ratio for ratio in compare(TINY, seconds, PEERS)}
    told = {name: (round(ratio.value.value, 6), ratio.target, ratio.met) for name, ratio in found.items()}
    assert told == {
        "EM / bare torch loop": (1.2, "≤ 1.1", False),
        "torchsde / EM": (5.0, "≥ 10", False),
        "diffrax / EM": (5.0, "≥ 1", True),
        "ML-EM's overhead / EM, shared coins": (0.19, "≤ 0.2", True),
        "ML-EM's overhead / EM, per-path coins": (1.6, "", None),
    }
    assert found["ML-EM's overhead / EM, shared coins"].seconds["shared drift"] == pytest.approx(0.4)


def test_a_ratio_is_formed_within_its_round() -> None:
    slow = np.array([1.0, 9.0, 2.0, 7.0, 3.0, 5.0])  # the machine's speed
    ratio = next(iter(compare(TINY, {"em": slow, "bare": 2 * slow}, ())))
    assert (ratio.value.low, ratio.value.value, ratio.value.high) == (0.5, 0.5, 0.5)


@pytest.mark.parametrize("n", [6, 7, 15, 16, 101])
def test_the_interval_of_a_median_is_as_tight_as_95_percent_allow(n: int) -> None:
    estimate = median(np.random.default_rng(0).permutation(n).astype(float))
    assert estimate.value == (n - 1) / 2
    cut = int(estimate.low)
    assert estimate.high == n - 1 - cut

    def miss(cut: int) -> float:
        return 2.0 * sum(comb(n, heads) for heads in range(cut + 1)) / float(2**n)

    assert miss(cut) <= 0.05 < miss(cut + 1)


def test_rounds_are_interleaved() -> None:
    done = list[str]()
    solves: dict[str, Solve] = {name: partial(done.append, name) for name in "ab"}
    seconds = interleaved({TINY: solves}, 3, lambda done: None)
    assert "".join(done) == "abababab"  # the first round does not count
    assert {name: len(times) for name, times in seconds[TINY].items()} == {"a": 3, "b": 3}


@pytest.mark.parametrize("draws", ["shared", "per-path"])
def test_drifts_alone_are_the_methods_own(monkeypatch: pytest.MonkeyPatch, draws: str) -> None:
    calls = list[tuple[int, int]]()
    levels = bench.hierarchy(TINY)

    def counted(k: int, drift: Drift) -> Drift:
        def counting(x: Tensor, t: float) -> Tensor:
            calls.append((k, len(x)))
            return drift(x, t)

        return counting

    watched = Hierarchy([Level(counted(k, level.drift), level.cost) for k, level in enumerate(levels)], sde=levels.sde)
    monkeypatch.setattr(bench, "hierarchy", lambda work: watched)
    alone = drift_alone(TINY, lambda work, levels: multilevel(work, levels, draws=draws))
    calls.clear()
    multilevel(TINY, watched, draws=draws)
    made = calls.copy()
    calls.clear()
    alone()
    assert calls == made
    assert len(made) > TINY.steps


def test_the_package_does_not_import_its_peers() -> None:
    code = (
        "import sys, mlem.experiments.bench; print([n for n in ('torchsde', 'diffrax', 'jax', 'lineax') if n in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-W", "error", "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_peers_are_pinned_and_optional() -> None:
    pinned = (ROOT / "requirements-bench.txt").read_text(encoding="utf-8").split()
    needed = (ROOT / "requirements.txt").read_text(encoding="utf-8").split()
    for peer in PEERS:
        assert set(peer.requirements) <= set(pinned)
        assert not {requirement.partition("==")[0] for requirement in needed} & set(peer.packages)
