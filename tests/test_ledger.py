from __future__ import annotations

import numpy as np
import pytest
import torch

import mlem
from mlem.firing import as_probabilities, fires, poisson_counts, weights
from mlem.ledger import Firing, Ledger, deviation_of_evaluations, expected_evaluations

STEPS, BATCH = 16, 2000
SDE = mlem.problems.ornstein_uhlenbeck()
KINDS = ("bernoulli", "systematic", "nested", "held", "poisson")


def ramp() -> list[list[float]]:
    """Four levels whose probabilities change; levels 2 and 3 are tied on half of the steps."""
    rows = []
    for n in range(STEPS):
        third = 0.2 if n % 2 else 0.75 - 0.03 * n
        rows.append([1.0 if n < 8 else 0.9, 0.75 - 0.03 * n, third, 0.05 + 0.01 * n])
    return rows


PROBABILITIES: dict[str, list[float] | list[list[float]]] = {
    "distinct": [0.9, 0.6, 0.26],
    "prefix": [1.0, 1.0, 0.6, 0.25],
    "tied": [0.5, 0.5, 0.5, 0.2],
    "tied-after-prefix": [1.0, 0.3, 0.3],
    "commensurable": [0.8, 0.4, 0.2],
    "growing": [0.2, 0.6, 1.0],
    "ramp": ramp(),
}


def solve(
    p: list[float] | list[list[float]] | torch.Tensor, kind: str, draws: str = "per-path", ratio: int = 1, steps: int = STEPS
) -> mlem.Solution:
    count = torch.as_tensor(p).shape[1 if torch.as_tensor(p).ndim > 1 else 0]
    levels = mlem.Hierarchy([mlem.Level(lambda x, t: -x, 4.0**k) for k in range(1, count + 1)], sde=SDE)
    path = mlem.BrownianPath(BATCH, SDE.shape, steps * ratio, SDE.horizon, seed=1)
    return mlem.multilevel_euler_maruyama(
        SDE, levels, p, steps=steps, path=path, initial=SDE.initial(BATCH, 1), firing=kind, draws=draws, seed=11
    )


def wrong_z(solution: mlem.Solution, wrong: np.ndarray) -> float:
    """The largest |z| that ``wrong`` expected counts would give."""
    deviation = deviation_of_evaluations(solution.ledger.firing)
    missed = np.abs(solution.evaluations - wrong)
    z = np.divide(missed, deviation, where=deviation > 0, out=np.where(missed > 1e-9, np.inf, 0.0))
    return float(z.max())


def by_time(p: list[float] | list[list[float]]) -> tuple[np.ndarray, np.ndarray]:
    """p_k and p_{k+1} for each step."""
    now = np.broadcast_to(np.atleast_2d(p), (STEPS, np.atleast_2d(p).shape[1]))
    return now, np.concatenate([now[:, 1:], np.zeros((STEPS, 1))], axis=1)


@pytest.mark.parametrize("ratio", [1, 4])
@pytest.mark.parametrize("name", PROBABILITIES)
@pytest.mark.parametrize("kind", KINDS)
def test_counts_meet_the_formula(kind: str, name: str, ratio: int) -> None:
    z = solve(PROBABILITIES[name], kind, ratio=ratio).ledger.z
    assert np.isfinite(z).all()
    assert np.abs(z).max() < 5
    if kind == "held":
        assert (z == 0).all()


@pytest.mark.parametrize("name", ["distinct", "prefix", "ramp"])
@pytest.mark.parametrize("kind", ["bernoulli", "systematic"])
def test_counts_reveal_a_formula_without_the_overlap(kind: str, name: str) -> None:
    solution, (p, after) = solve(PROBABILITIES[name], kind), by_time(PROBABILITIES[name])
    assert wrong_z(solution, (p + after).sum(0)) > 10  # named wrong implementation: p_k + p_{k+1}


@pytest.mark.parametrize("name", ["tied", "tied-after-prefix", "ramp"])
@pytest.mark.parametrize("kind", ["bernoulli", "systematic", "nested"])
def test_counts_reveal_a_formula_without_the_weights_that_cancel(kind: str, name: str) -> None:
    solution, (p, after) = solve(PROBABILITIES[name], kind), by_time(PROBABILITIES[name])
    either = np.maximum(p, after) if kind == "nested" else 1 - (1 - p) * (1 - after)
    assert wrong_z(solution, either.sum(0)) > 10


def test_counts_reveal_the_formula_of_another_kind() -> None:
    solution, (p, after) = solve(PROBABILITIES["distinct"], "nested"), by_time(PROBABILITIES["distinct"])
    assert wrong_z(solution, (1 - (1 - p) * (1 - after)).sum(0)) > 10
    solution = solve(PROBABILITIES["distinct"], "bernoulli")
    assert wrong_z(solution, np.maximum(p, after).sum(0)) > 10


@pytest.mark.parametrize("name", ["tied", "commensurable"])
def test_poisson_counts_reveal_a_formula_without_the_events_that_cancel(name: str) -> None:
    """i events of level k cancel j of level k + 1 where i/p_k = j/p_{k+1}: with equal rates, and with any of a whole ratio."""
    solution, (p, after) = solve(PROBABILITIES[name], "poisson"), by_time(PROBABILITIES[name])
    assert wrong_z(solution, (1 - np.exp(-p - after)).sum(0)) > 10


@pytest.mark.parametrize("kind", KINDS)
def test_shared_coins_have_the_same_expectation_and_a_wider_deviation(kind: str) -> None:
    shared, own = (solve(PROBABILITIES["distinct"], kind, draws).ledger for draws in ("shared", "per-path"))
    np.testing.assert_allclose(shared.expected, own.expected, rtol=1e-12)
    assert np.abs(shared.z).max() < 5
    if kind == "held":
        assert np.array_equal(shared.evaluations, own.evaluations)
    else:
        ratio = deviation_of_evaluations(shared.firing) / deviation_of_evaluations(own.firing)
        np.testing.assert_allclose(ratio, BATCH**0.5, rtol=1e-9)


@pytest.mark.parametrize("kind", ["bernoulli", "systematic", "nested", "poisson"])
def test_deviations_are_those_of_counts(kind: str) -> None:
    p, n = as_probabilities([0.9, 0.6, 0.26], 3, STEPS, 1), 8192
    if kind == "poisson":
        plan = torch.cat(list(poisson_counts(p, steps=STEPS, fine=STEPS, coins=n, seed=2)))
    else:
        plan = torch.cat(list(fires(kind, p, steps=STEPS, coins=n, seed=2)))
    counts = (weights(plan, p) != 0).sum(0).double()
    squares = (counts - counts.mean(1, keepdim=True)).square()
    stated = deviation_of_evaluations(Firing(kind, p, STEPS, STEPS, 1))
    z = (squares.mean(1).numpy() - stated**2) / (squares.std(1).numpy() / n**0.5)
    if kind == "systematic":  # itself from a sample of 400, of relative deviation √(2/400) = 7 % at most
        np.testing.assert_allclose(squares.mean(1).numpy(), stated**2, rtol=5 * 0.07)
        assert np.abs((squares.mean(1).numpy() - STEPS * p[0, :, 0].numpy()) / (squares.std(1).numpy() / n**0.5)).min() > 10
    else:
        assert np.abs(z).max() < 5
        wrong = deviation_of_evaluations(Firing("systematic", p, STEPS, STEPS, 1))  # named wrong implementation: another kind's
        assert np.abs((squares.mean(1).numpy() - wrong**2) / (squares.std(1).numpy() / n**0.5)).max() > 10


@pytest.mark.parametrize("kind", ["bernoulli", "systematic", "nested", "poisson"])
def test_equal_probabilities_of_each_path_are_those_of_all(kind: str) -> None:
    every = as_probabilities([0.9, 0.6, 0.26], 3, STEPS, 50)
    each = every.expand(1, 3, 50).contiguous()
    one, many = Firing(kind, every, STEPS, STEPS, 50), Firing(kind, each, STEPS, STEPS, 50)
    np.testing.assert_allclose(expected_evaluations(many), expected_evaluations(one), rtol=1e-12)
    rtol = 5 * 0.1 if kind == "systematic" else 1e-12
    np.testing.assert_allclose(deviation_of_evaluations(many), deviation_of_evaluations(one), rtol=rtol)


@pytest.mark.parametrize("kind", ["bernoulli", "systematic", "nested", "poisson"])
def test_probabilities_of_each_path_are_averaged(kind: str) -> None:
    p = torch.ones(1, 3, BATCH, dtype=torch.float64)
    p[0, 1] = torch.linspace(0.2, 0.8, BATCH)
    p[0, 2] = torch.linspace(0.3, 0.1, BATCH)
    ledger = solve(p, kind).ledger
    assert np.abs(ledger.z).max() < 5
    assert 0 < ledger.expected[2] < STEPS * 0.31


def test_systematic_deviations_of_long_runs_with_changing_probabilities() -> None:
    """More coins than one chunk holds."""
    steps = 1200
    t = torch.linspace(0.1, 0.9, steps, dtype=torch.float64)
    p = as_probabilities(torch.stack([torch.ones_like(t), t, t * t], dim=1), 3, steps, 1)
    deviation = deviation_of_evaluations(Firing("systematic", p, steps, steps, 1))
    assert deviation[0] == 0
    assert 0 < deviation[2] <= 0.5
    assert deviation[1] < deviation_of_evaluations(Firing("bernoulli", p, steps, steps, 1))[1]


@pytest.mark.parametrize("fraction", [1e-4, 1e-6])
def test_a_rare_call_is_not_taken_for_an_impossible_one(fraction: float) -> None:
    """1000·p = 100 + fraction: nearly every set of coins has 100 calls, and a sample of sets may have no other."""
    p = as_probabilities([0.1 + fraction / 1000], 1, 1000, 1)
    firing = Firing("systematic", p, 1000, 1000, 1)
    assert deviation_of_evaluations(firing)[0] == pytest.approx((fraction * (1 - fraction)) ** 0.5, rel=1e-3)
    ledger = Ledger(np.array([[100.0]]), np.array([[100.0]]), np.array([1.0]), 0.0, firing)
    assert abs(ledger.z[0]) < 5


def test_certain_counts_are_met_or_missed() -> None:
    firing = Firing("bernoulli", as_probabilities([1.0, 1.0], 2, 8, 1), 8, 8, 1)
    assert Ledger(np.array([[0.0, 8.0]]), np.array([[0.0], [8.0]]), np.array([1.0, 2.0]), 0.0, firing).z.tolist() == [0.0, 0.0]
    assert Ledger(np.array([[1.0, 8.0]]), np.array([[1.0], [8.0]]), np.array([1.0, 2.0]), 0.0, firing).z.tolist() == [
        np.inf,
        0.0,
    ]


@pytest.mark.parametrize("draws", ["shared", "per-path"])
@pytest.mark.parametrize("kind", KINDS)
def test_cost_is_evaluations_times_costs(kind: str, draws: str) -> None:
    solution = solve(PROBABILITIES["prefix"], kind, draws)
    assert solution.cost == pytest.approx(float((solution.evaluations * [4.0, 16.0, 64.0, 256.0]).sum()), rel=1e-12)
    assert solution.evaluations[0] == 0
    assert solution.seconds > 0


def test_euler_maruyama_is_certain() -> None:
    path = mlem.BrownianPath(3, SDE.shape, 32, SDE.horizon, seed=1)
    solution = mlem.euler_maruyama(SDE, mlem.Level(SDE.drift, 2.5), steps=8, path=path, initial=SDE.initial(3, 1))
    assert solution.evaluations.tolist() == [8.0]
    assert solution.ledger.expected.tolist() == [8.0]
    assert solution.ledger.z.tolist() == [0.0]
    assert solution.cost == 20.0


@pytest.mark.parametrize("draws", ["shared", "per-path"])
@pytest.mark.parametrize("firing", KINDS)
def test_both_tables_count_the_same_evaluations(firing: str, draws: str) -> None:
    """Over time and over coins."""
    sde = mlem.problems.get("ornstein-uhlenbeck")
    levels, path = mlem.synthetic_hierarchy(sde, gamma=1.0, levels=3), mlem.BrownianPath(8, (1,), 40, 1.0, seed=0)
    ledger = mlem.multilevel_euler_maruyama(
        sde, levels, [1.0, 0.5, 0.2], steps=20, path=path, initial=sde.initial(8, 0), firing=firing, draws=draws
    ).ledger
    assert ledger.by_coins.shape == (3, 8 if draws == "per-path" and firing != "held" else 1)
    assert ledger.by_coins.mean(1) == pytest.approx(ledger.evaluations)
