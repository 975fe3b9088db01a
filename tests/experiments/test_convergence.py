"""Convergence and Crossover: one sweep, priced for every γ, against theory."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from mlem.experiments import convergence, crossover
from mlem.experiments.convergence import SEPARATING, ConvergenceParams, ConvergenceResult
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.result import to_csv, to_json
from mlem.experiments.store import load
from mlem.sweeps import Part

SMALL = ConvergenceParams(sde="ornstein-uhlenbeck", levels=5, paths=32)


@pytest.fixture(scope="module")
def part() -> Part:
    """The default sweep, whole, as it ships: that the code gives it is tested with the store."""
    shipped = load(ConvergenceParams())
    assert shipped is not None
    return shipped


@pytest.mark.parametrize("gamma", [1.0, 2.5, 4.0])
def test_slopes_on_the_forced_ou(part: Part, gamma: float) -> None:
    """EM's exponent is γ + 1 within ±0.15, ML-EM's max(γ, 1 + γ/2) within ±0.25, over 1.5 decades of ε and more."""
    params = replace(ConvergenceParams(), gamma=gamma)
    targets = params.targets()
    assert np.log10(targets[-1] / targets[0]) >= 1.5
    result = convergence.judge(params, part)
    assert result.em.slope is not None
    assert result.mlem.slope is not None
    assert result.em.slope.low - 0.15 < gamma + 1 < result.em.slope.high + 0.15
    assert result.mlem.slope.low - 0.25 < max(gamma, 1 + gamma / 2) < result.mlem.slope.high + 0.25
    assert result.mlem.slope.high < result.em.slope.low


def test_crossover_bends_at_two(part: Part) -> None:
    result = crossover.judge(CrossoverParams(), part)
    assert len(result.points) >= 10
    by_gamma = {p.gamma: p for p in result.points}
    for p in result.points:
        assert p.em.value == pytest.approx(p.em_theory, abs=0.15)
        assert p.mlem.value == pytest.approx(p.mlem_theory, abs=0.3)
        assert p.em.high - p.em.low <= 0.3
        assert p.mlem.high - p.mlem.low <= 0.3
    below = by_gamma[1.5].mlem.value - by_gamma[0.5].mlem.value
    above = by_gamma[4.0].mlem.value - by_gamma[3.0].mlem.value
    assert below == pytest.approx(0.5, abs=0.15), "below the kink the slope over γ is one half"
    assert above == pytest.approx(1.0, abs=0.15), "above it is one"
    assert by_gamma[0.5].shares[-1] < 0.1 < 0.4 < by_gamma[5.0].shares[-1], "the bill moves from the small levels to the big"
    assert all(sum(p.shares) == pytest.approx(1.0) for p in result.points if p.shares)
    speedups = [row[3] for row in result.map]
    assert all(s is not None for s in speedups)
    assert speedups == sorted(speedups, key=lambda s: s or 0.0), "at a fixed error the gain grows with γ"


def test_repricing_is_all_that_gamma_does(part: Part) -> None:
    """A sweep of other γ gives the same runs."""
    other = ConvergenceParams(gamma=4.0).sweep()
    mine = ConvergenceParams().sweep()
    assert mine.pieces == other.pieces
    piece = mine.pieces[3]
    for a, b in zip(mine.run(piece), other.run(piece), strict=True):
        assert (a.squared == b.squared).all()
        assert (a.evaluations == b.evaluations).all()


def test_predicted_costs_are_near_the_measured_ones(part: Part) -> None:
    result = convergence.judge(ConvergenceParams(), part)
    for curve in (result.em, result.mlem):
        measured = np.array([cost for _, cost in curve.frontier])
        ratio = np.array(curve.predicted) / measured
        assert 0.4 < np.median(ratio) < 2.5


def test_export(part: Part) -> None:
    result = convergence.judge(ConvergenceParams(), part)
    content = json.loads(to_json("convergence", ConvergenceParams(), result))["result"]
    assert {"em", "mlem", "theory", "runs", "breakeven"} <= set(content)
    assert {"frontier", "slope"} <= set(content["em"])
    assert len(content["runs"]) == len(part.runs)
    assert to_csv(result.rows()).count("\n") == len(result.rows()) + 1


@pytest.fixture(scope="module")
def separated() -> ConvergenceResult:
    """Where paths separate, as it is stored: 4096 paths in a double well."""
    part = load(SEPARATING)
    assert part is not None
    return convergence.judge(SEPARATING, part)


def test_the_law_comes_nearer_where_the_strong_error_is_stuck(separated: ConvergenceResult) -> None:
    """Of EM both fall alike. ML-EM's kicks separate paths, which the law does not see."""
    em, ml = (convergence.fallen(curve) for curve in (separated.em, separated.mlem))
    assert em is not None
    assert ml is not None
    assert em.coarse_strong / em.fine_strong > 0.8 * em.coarse / em.fine
    assert ml.coarse / ml.fine > 5
    assert ml.coarse_strong / ml.fine_strong < 3.5
    by_target = dict(zip((error for error, _ in separated.mlem.frontier), separated.mlem.strong, strict=True))
    stuck = [strong for error, strong in by_target.items() if 0.024 < error < 0.11]
    assert min(stuck) > 0.2, "over this range the error of the law falls fourfold"
    assert "the strong error of its cheapest runs goes from" in separated.summary()


def test_distribution_errors_are_at_most_strong_and_told_from_chance(separated: ConvergenceResult) -> None:
    told = [row for row in separated.runs if row["told from chance"] == "yes"]
    assert separated.chance is not None
    hidden = [side for side in (separated.chance.em_runs, separated.chance.mlem_runs) if side is not None]
    assert len(told) == len(separated.em_runs.family) + len(separated.mlem_runs.family)
    assert len(separated.runs) - len(told) == sum(len(side.family) for side in hidden) > 0
    for row in separated.runs:
        error, strong, chance = (row[name] for name in ("error", "strong error", "by chance"))
        assert float(error) <= float(strong) * 1.0001
        assert (float(error) >= 2 * float(chance)) == (row["told from chance"] == "yes")
    assert float(np.median([float(row["by chance"]) for row in told])) < separated.chance.independent / 2, "noise is shared"


def test_no_curve_goes_where_a_hidden_run_might_be_cheaper(separated: ConvergenceResult) -> None:
    end = min(error for error, cost in separated.mlem.frontier if np.isfinite(cost))
    costs = dict(separated.mlem.frontier)
    hidden = [row for row in separated.runs if row["told from chance"] == "no" and row["method"] == "ML-EM"]
    assert all(row["cost"] >= costs[error] for row in hidden for error in costs if error >= max(end, float(row["error"])))
    assert any(float(row["error"]) < end for row in hidden)
    assert separated.mlem.slope is not None
    assert all(
        np.isnan(strong) == np.isinf(cost) for strong, (_, cost) in zip(separated.mlem.strong, costs.items(), strict=True)
    )


def test_only_the_strong_error_has_costs_that_theory_predicts(part: Part, separated: ConvergenceResult) -> None:
    assert separated.mlem.predicted == ()
    assert convergence.judge(ConvergenceParams(), part).chance is None


def test_a_part_of_a_sweep_can_be_judged() -> None:
    sweep = SMALL.sweep()
    runs = [run for piece in sweep.pieces[:12] for run in sweep.run(piece)]
    result = convergence.judge(SMALL, sweep.part(runs))
    assert np.isfinite([cost for _, cost in result.em.frontier]).any()
    with pytest.raises(ValueError, match="runs of both methods"):
        convergence.judge(SMALL, sweep.part(runs[:1]))


def test_a_short_range_is_cautioned() -> None:
    result = convergence.run(SMALL)
    assert any("decades" in caution for caution in result.em.cautions)


def test_progress_and_cancel() -> None:
    told: list[float] = []
    crossover.run(CrossoverParams(sde="ornstein-uhlenbeck", levels=4, paths=32), told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0


def test_real_work_is_counted_in_flops_and_seconds() -> None:
    params = ConvergenceParams(kind="spectral", gamma=1.0, levels=4, paths=32, unit="flops")
    part = params.sweep().whole()
    result = convergence.judge(params, part)
    modelled = convergence.judge(replace(params, unit="cost"), part)
    assert result.theory == modelled.theory
    for counted, model in zip(result.runs, modelled.runs, strict=True):
        assert float(counted["cost"]) / float(model["cost"]) == pytest.approx(5 * 32 + 1, rel=0.02), "5 operations a mode"
    for unit in ("flops", "seconds"):
        with pytest.raises(ValueError, match=f"unit takes {unit} for spectral levels alone"):
            ConvergenceParams(unit=unit)


def test_spectral_links_are_mended() -> None:
    params, notices = ConvergenceParams.nearest({"kind": "spectral", "gamma": "8"})
    assert params.gamma < 8
    assert params.levels >= 4
    assert notices
    with pytest.raises(ValueError, match="levels takes an integer ≤ 6 for spectral levels with gamma 3, got 9"):
        ConvergenceParams(kind="spectral", gamma=3.0)
