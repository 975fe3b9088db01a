"""Diagnostics: what they are of hierarchies whose numbers are known, and that each thing that can be off is found."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable, Sequence

import numpy as np
import pytest
import torch
from torch import Tensor

import mlem
from mlem.diagnostics import Diagnostics, diagnose
from mlem.errors import Estimate, NonFiniteStep
from mlem.sde import SDE, Drift, constant
from tests.conftest import ZScore

STATIONARY = SDE(
    name="stationary-ou",
    title="Ornstein–Uhlenbeck from its stationary law",
    shape=(4,),
    horizon=1.0,
    drift=lambda x, t: -x,
    noise=constant(math.sqrt(2.0)),
    start=lambda z, u: z,
    resolution=24,
)
"""X_t is standard normal at all times, but for the step's error, which makes the variance 1/(1 − h/2) in the end."""

FREE = SDE("free", "No drift and no noise", (8,), 1.0, lambda x, t: 0 * x, constant(0.0), lambda z, u: z, resolution=12)
"""X_t = X_0, exactly standard normal."""


def hierarchy(drifts: Sequence[Drift], sde: SDE = FREE, ratio: float = 4.0) -> mlem.Hierarchy:
    return mlem.Hierarchy([mlem.Level(drift, ratio**k) for k, drift in enumerate(drifts)], sde=sde)


def scaled(*factors: float, sde: SDE = FREE) -> mlem.Hierarchy:
    """f^k = a_k x."""
    return hierarchy([lambda x, t, a=a: a * x for a in factors], sde)


HALVING = (0.5, 0.75, 0.875, 0.9375, 0.96875)  # corrections 2^−k


def known(estimate: Estimate | None) -> Estimate:
    assert estimate is not None
    return estimate


# ── exact


def test_constants_telescope_exactly() -> None:
    """Every path agrees: all is known, and there is no kurtosis."""
    found = diagnose(hierarchy([lambda x, t, a=a: torch.full_like(x, a) for a in HALVING]), paths=4)
    for k, level in enumerate(found.levels, start=1):
        assert level.level == k
        assert dataclasses.astuple(level.mean) == pytest.approx([2.0**-k] * 3, rel=1e-12)
        assert dataclasses.astuple(level.variance) == pytest.approx([4.0**-k] * 3, rel=1e-12)
        assert level.consistency < 1e-6
        assert level.cost == 4.0 ** (k - 1)
        assert level.product == pytest.approx(1 / 4)
        assert math.isnan(level.kurtosis)
    for exponent, value in ((found.alpha, 1.0), (found.beta, 2.0), (found.gamma, 2.0)):
        assert dataclasses.astuple(known(exponent)) == pytest.approx([value] * 3, abs=1e-9)
    assert found.cautions == ()


def test_numbers_are_those_of_the_paths() -> None:
    """By hand, from the states that the solver keeps."""
    sde, paths, seed = mlem.problems.get("muller-brown"), 32, 5
    levels = mlem.synthetic_hierarchy(sde, gamma=1.0, levels=4)
    path = mlem.BrownianPath(paths, sde.shape, sde.resolution, sde.horizon, seed)
    steps = [int((m + 0.5) * path.steps / 12) for m in range(12)]
    x0 = sde.initial(paths, seed)
    states = mlem.euler_maruyama(sde, sde.drift, steps=path.steps, path=path, initial=x0, save=steps).states
    assert states is not None
    drifts = [
        torch.stack([level.drift(x, n * path.horizon / path.steps) for n, x in zip(steps, states, strict=True)])
        for level in levels
    ]
    for k, level in enumerate(diagnose(levels, paths=paths, seed=seed).levels):
        d = drifts[k] - drifts[k - 1] if k else drifts[0]  # (times, paths, coordinates)
        assert level.variance.value == pytest.approx(float(d.square().mean()), rel=1e-9)
        pairs = [float((d[:, i] * d[:, j]).mean()) for i in range(paths) for j in range(paths) if i != j]
        assert level.mean.value == pytest.approx(math.sqrt(np.mean(pairs)), rel=1e-9)
        centred = d - d.mean(1, keepdim=True)
        ratio = centred.pow(4).mean() / centred.square().mean(1).square().mean()
        assert level.kurtosis == pytest.approx(float(ratio) * (paths + 1) / (paths - 1), rel=1e-9)


def test_blocks_of_paths_stand_for_paths_where_these_are_many() -> None:
    """What is kept does not grow with the square of their number. Named wrong implementation: the mean square of all."""
    levels = hierarchy([lambda x, t: x, lambda x, t: 1.5 * x + 0.3])
    mean = diagnose(levels, paths=1500).levels[1].mean
    assert mean.low < 0.3 < mean.high
    error = (mean.high - mean.low) / 4
    assert math.hypot(0.3, 0.5) - 0.3 > 10 * error


def test_the_three_sets_of_paths_share_none() -> None:
    """A correction is measured on other paths than the two levels that it is made of, and these on other paths too."""
    seen: dict[int, list[Tensor]] = {k: [] for k in range(4)}

    def watched(k: int) -> Drift:
        def drift(x: Tensor, t: float) -> Tensor:
            seen[k].append(x[:, 0].clone())
            return x

        return drift

    levels = hierarchy([watched(k) for k in range(4)])
    for calls in seen.values():
        calls.clear()
    diagnose(levels, paths=5, times=1)
    together, *alone = zip(*seen.values(), strict=True)
    assert all(torch.equal(x, together[0]) for x in together)
    ((first, second, third, fourth),) = alone
    assert torch.equal(first, third)
    assert torch.equal(second, fourth)
    everything = torch.cat([together[0], first, second])
    assert len(everything.unique()) == len(everything)


def test_one_number_of_paths_in_any_batches() -> None:
    sizes: list[int] = []

    def watched(x: Tensor, t: float) -> Tensor:
        sizes.append(len(x))
        return -x

    sde = SDE("watched", "Watched", (2,), 1.0, watched, constant(1.0), lambda z, u: z, resolution=12)
    levels = hierarchy([watched, lambda x, t: -1.1 * x], sde)
    sizes.clear()
    in_batches = diagnose(levels, paths=10, batch=4)
    assert set(sizes) == {4, 2}
    assert in_batches == diagnose(levels, paths=10)


@pytest.mark.parametrize(("levels", "fitted"), [(1, (False, False, False)), (2, (False, False, True)), (3, (True, True, True))])
def test_fits_want_two_points(levels: int, fitted: tuple[bool, ...]) -> None:
    found = diagnose(scaled(*HALVING[:levels]), paths=16)
    assert (found.alpha is not None or levels == 3, found.beta is not None, found.gamma is not None) == fitted
    assert len(found.levels) == levels


# ── statistics


def normal(paths: int, seed: int) -> Diagnostics:
    """Normal corrections whose size grows 50-fold along the path."""
    return diagnose(hierarchy([lambda x, t: 50**t * x, lambda x, t: 1.5 * 50**t * x]), paths=paths, seed=seed)


def test_normal_corrections_have_kurtosis_3(z_score: ZScore) -> None:
    """Named wrong implementation: the kurtosis of all values in one heap, in which the late ones stand out."""
    found = torch.tensor([normal(256, seed).levels[1].kurtosis for seed in range(40)])
    assert abs(z_score(found, 3.0)) < 5
    sizes = 50.0 ** (2 * (torch.arange(12, dtype=torch.float64) + 0.5).floor() / 12)
    heap = 3 * float(sizes.square().mean() / sizes.mean() ** 2)
    assert abs(z_score(found, heap)) > 10


def test_means_are_not_made_of_chance() -> None:
    """A mean as large as chance alone would make the mean over paths. Named wrong implementation: the mean square of that mean,
    which is twice as large."""
    paths, wide = 64, SDE("wide", "Wide", (64,), 1.0, FREE.drift, FREE.noise, FREE.start, resolution=1)
    true = 1 / math.sqrt(paths)
    levels = hierarchy([lambda x, t: 0 * x + 5, lambda x, t: x + 5 + true], wide)
    found = [diagnose(levels, paths=paths, times=1, seed=seed).levels[1].mean for seed in range(40)]
    squares = np.array([mean.value**2 for mean in found])
    error = squares.std(ddof=1) / math.sqrt(len(squares))
    assert abs(squares.mean() - true**2) < 5 * error
    assert abs(squares.mean() - 2 * true**2) > 10 * error


def test_most_intervals_hold_beta() -> None:
    """Each correction has a coordinate of its own, so that all vary independently. Named wrong implementation: β of the root
    mean square."""
    trials, rows = 40, torch.eye(8, dtype=torch.float64)
    levels = hierarchy([lambda x, t, k=k: x * (rows[: k + 1].sum(0) * 2.0 ** -torch.arange(8)) for k in range(5)])
    found = [known(diagnose(levels, paths=128, seed=seed).beta) for seed in range(trials)]
    hits = sum(beta.low <= 2.0 <= beta.high for beta in found)
    assert abs(hits - 0.95 * trials) < 5 * (trials * 0.95 * 0.05) ** 0.5
    assert not any(beta.low <= 1.0 <= beta.high for beta in found)


def test_a_sound_hierarchy_is_consistent_on_all_seeds() -> None:
    levels = scaled(*HALVING, sde=STATIONARY)
    for seed in range(30):
        found = diagnose(levels, paths=64, seed=seed)
        assert max(level.consistency for level in found.levels) < 1


def test_gamma_tells_how_straight_costs_are() -> None:
    levels = mlem.Hierarchy(
        [mlem.Level(lambda x, t, k=k: 2.0**-k * x, c) for k, c in enumerate((1.0, 2.0, 16.0, 32.0))], sde=FREE
    )
    gamma = known(diagnose(levels, paths=4).gamma)
    assert gamma.value == pytest.approx(1.8)
    residual = np.array([0.2, -0.6, 0.6, -0.2])  # of log2 c about the line
    error = math.sqrt((residual**2).sum() / 2 / 5)
    assert gamma.high - gamma.value == pytest.approx(4.302652729911275 * error)  # Student's t for two degrees
    assert gamma.value - gamma.low == pytest.approx(gamma.high - gamma.value)


# ── what is off


def stateful(broken: Callable[[Tensor], Tensor]) -> mlem.Hierarchy:
    """Three levels; the second is another function where the first one has just been called at the same place, which is where
    its correction takes it from."""
    last: list[Tensor] = []

    def first(x: Tensor, t: float) -> Tensor:
        last[:] = [x.clone()]
        return 0.5 * x

    def second(x: Tensor, t: float) -> Tensor:
        beside = bool(last) and torch.equal(last[0], x)
        return 0.75 * x + (broken(x) if beside else 0.0)

    return hierarchy([first, second, lambda x, t: 0.875 * x], STATIONARY)


@pytest.mark.parametrize(
    "broken",
    [lambda x: torch.full_like(x, 0.5), lambda x: torch.tensor([0.5, -0.5, 0.5, -0.5], dtype=x.dtype).expand_as(x)],
    ids=["shifted", "shifted both ways"],
)
def test_a_level_that_is_two_functions_is_found(broken: Callable[[Tensor], Tensor]) -> None:
    found = diagnose(stateful(broken), paths=1024)
    assert [level.consistency > 1 for level in found.levels] == [False, True, True]
    assert found.levels[1].consistency > 2
    words = "Level 2 is not what its correction takes it for: consistency"
    assert any(caution.startswith(words) and "network in training mode" in caution for caution in found.cautions)
    sound = diagnose(stateful(torch.zeros_like), paths=1024)
    assert all(level.consistency < 1 for level in sound.levels)
    assert sound.cautions == ()


def test_rare_and_large_corrections_are_found() -> None:
    """One path in some thousands has a correction a thousand times as large."""
    levels = hierarchy([lambda x, t: x, lambda x, t: x + 0.01 * x + 20 * (x[:, :1] > 3)])
    found = diagnose(levels, paths=2048)
    assert found.levels[0].kurtosis < 4 < 100 < found.levels[1].kurtosis
    (caution,) = found.cautions
    kurtosis = f"{found.levels[1].kurtosis:,.0f}"
    assert caution.startswith(
        f"The correction of level 2 has the kurtosis {kurtosis}: a few rare values make up its mean square"
    )
    assert f"Take {100 * (found.levels[1].kurtosis - 1):,.0f} paths" in caution


def test_corrections_that_do_not_fall_are_found() -> None:
    found = diagnose(scaled(1.0, 1.2, 1.4, 1.45), paths=512)  # corrections 1, 0.2, 0.2, 0.05
    (caution,) = found.cautions
    assert caution.startswith("The correction of level 3 is no smaller than that of level 2: its mean square is 1 times")
    assert "leave out one of the two levels" in caution


def test_a_level_that_saves_nothing_is_found() -> None:
    levels = mlem.Hierarchy(
        [mlem.Level(lambda x, t, a=a: a * x, cost) for a, cost in ((0.5, 1.0), (0.75, 4.0), (0.875, 4.2))], sde=FREE
    )
    assert diagnose(levels, paths=512).cautions == (
        "Level 3 costs only 1.05 times as much as level 2, which then saves next to nothing: leave out level 2.",
    )


def test_too_few_paths_are_found_and_what_is_told_is_enough() -> None:
    one = SDE("one", "One", (1,), 1.0, FREE.drift, FREE.noise, FREE.start, resolution=1)
    found = diagnose(scaled(0.5, 0.75, sde=one), paths=8, times=1)
    words = (
        r"8 paths are too few for level 1, whose mean square is known to a factor of \d+\.?\d* only: take ten times as many."
    )
    assert re.fullmatch(words, found.cautions[0])
    assert diagnose(scaled(0.5, 0.75, sde=one), paths=80, times=1).cautions == ()


def test_two_levels_that_are_the_same_have_no_correction() -> None:
    found = diagnose(scaled(0.5, 0.75, 0.75), paths=256)
    assert found.levels[2].variance == found.levels[2].mean == Estimate(0.0, 0.0, 0.0)
    assert (found.alpha, found.beta) == (None, None)


# ── networks, seeds, reports, errors


class Faces(torch.nn.Module):
    """A small convolution, in single precision."""

    def __init__(self, width: int) -> None:
        super().__init__()
        torch.manual_seed(width)
        self.layers = torch.nn.Sequential(torch.nn.Conv2d(3, width, 3, padding=1), torch.nn.Conv2d(width, 3, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return 0.1 * self.layers(x.float()).to(x)


def test_networks_have_diagnostics(device: str) -> None:
    shape = (3, 64, 64)
    networks = [Faces(width).to(device) for width in (2, 4, 8)]
    sde = SDE("faces", "Faces", shape, 1.0, lambda x, t: -x, constant(1.0), lambda z, u: z, resolution=4)
    levels = mlem.Hierarchy(
        [mlem.Level(lambda x, t, n=n: n(x.to(device)).to(x.device), 4.0**k) for k, n in enumerate(networks)], sde=sde
    )
    found = diagnose(levels, paths=16, steps=4, times=2, batch=6, dtype=torch.float32, device=device)
    assert len(found.levels) == 3
    assert all(level.consistency < 1 and 2.5 < level.kurtosis < 3.5 for level in found.levels)
    assert all(0 < level.variance.low <= level.variance.high for level in found.levels)


def test_a_seed_is_the_numbers() -> None:
    levels = scaled(*HALVING, sde=STATIONARY)
    assert diagnose(levels, paths=16, seed=1) == diagnose(levels, paths=16, seed=1)
    assert diagnose(levels, paths=16, seed=1) != diagnose(levels, paths=16, seed=2)
    state = torch.random.get_rng_state()
    diagnose(levels, paths=16)
    assert torch.equal(torch.random.get_rng_state(), state)


def test_it_reports_and_can_be_cancelled() -> None:
    told: list[float] = []
    diagnose(scaled(0.5, 0.75), paths=4, times=3, report=told.append)
    assert told == pytest.approx(np.arange(1, 10) / 9)

    def cancel(done: float) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        diagnose(scaled(0.5, 0.75), paths=4, report=cancel)


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"paths": 1}, "paths takes an integer ≥ 2, got 1"),
        ({"steps": 0}, "steps takes an integer ≥ 1, got 0"),
        ({"steps": 8, "times": 9}, "times takes an integer from 1 to 8, got 9"),
        ({"batch": 0}, "batch takes an integer ≥ 1, got 0"),
        ({"seed": -1}, "seed takes an integer ≥ 0, got -1"),
    ],
)
def test_what_cannot_be_done_is_refused(given: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=f"^{words}$"):
        diagnose(scaled(0.5, 0.75), **given)  # type: ignore[arg-type]


def test_what_leaves_the_finite_numbers_is_named() -> None:
    late = hierarchy([lambda x, t: x, lambda x, t: 1.5 * x / (0.0 if t > 0.5 else 1.0)])
    with pytest.raises(NonFiniteStep, match=r"t = 0.5833\) is not finite: level 2 returned a non-finite drift"):
        diagnose(late, paths=4)
