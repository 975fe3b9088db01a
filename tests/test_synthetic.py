from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from itertools import pairwise
from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode

import mlem
from mlem import synthetic
from mlem.sde import Drift, no_noise
from mlem.streams import generator
from mlem.synthetic import spectral_flops

RESIDUALS = ("nested", "independent")
FORCED, OU = mlem.problems.get("forced-ou"), mlem.problems.get("ornstein-uhlenbeck")


def path_errors(sde: mlem.SDE, drifts: list[Drift], *, numbers: int = 8192, seed: int = 77, finer: int = 1) -> np.ndarray:
    """RMSE at T against the SDE's own drift, on paths that no calibration has seen."""
    batch, steps = numbers // sde.numel, sde.resolution * finer
    path, initial = mlem.BrownianPath(batch, sde.shape, steps, sde.horizon, seed), sde.initial(batch, seed)
    ends = [mlem.euler_maruyama(sde, f, steps=steps, path=path, initial=initial).final for f in (sde.drift, *drifts)]
    return np.array([mlem.strong_error(end, ends[0]).value for end in ends[1:]])


def drifts(levels: mlem.Hierarchy) -> list[Drift]:
    return [level.drift for level in levels]


def halves(count: int) -> np.ndarray:
    return 2.0 ** -np.arange(1, count + 1)


# ── synthetic hierarchies: the path error


@pytest.mark.parametrize(
    ("name", "residual"),
    [
        *((name, residual) for name in ("forced-ou", "mixture-diffusion") for residual in RESIDUALS),
        ("ornstein-uhlenbeck", "independent"),
        ("double-well", "nested"),
        ("muller-brown", "nested"),
        ("gaussian-diffusion", "independent"),
    ],
)
def test_the_path_error_of_level_k_is_two_to_the_minus_k(name: str, residual: str) -> None:
    sde = mlem.problems.get(name)
    levels = mlem.synthetic_hierarchy(sde, gamma=2.5, levels=8 if residual == "nested" else 4, residual=residual)
    errors = path_errors(sde, drifts(levels[:4]), numbers=2048 if name == "forced-ou" else 8192)
    np.testing.assert_allclose(errors, halves(4), rtol=0.06)


@pytest.mark.parametrize("name", ["forced-ou", "mixture-diffusion"])
def test_a_residual_that_is_not_calibrated_has_another_path_error(name: str) -> None:
    """Named wrong implementation: f^k = f + 2^−k g, an error of the drift."""
    sde = mlem.problems.get(name)
    g = synthetic.Residual(sde, 3, 0)
    naive: list[Drift] = [lambda x, t, a=a: sde.drift(x, t) + a * g(x, t) for a in halves(3)]  # type: ignore[misc]
    assert float(np.abs(path_errors(sde, naive, numbers=4096) / halves(3) - 1).min()) > 0.2


def test_the_path_error_does_not_depend_on_the_step() -> None:
    levels = mlem.synthetic_hierarchy(FORCED, gamma=2.5, levels=8)[:4]
    np.testing.assert_allclose(path_errors(FORCED, drifts(levels[::3]), numbers=512, finer=5), halves(4)[::3], rtol=0.03)


@pytest.mark.parametrize("seed", [3, 5])
def test_an_error_that_rises_steeply_is_calibrated_all_the_same(seed: int) -> None:
    """Steps on the ratio alone swing about the amplitude: here they ended 21 and 11 % off."""
    sde = mlem.problems.get("lorenz-ode")
    levels = mlem.synthetic_hierarchy(sde, gamma=2.5, levels=4, seed=seed)
    np.testing.assert_allclose(path_errors(sde, drifts(levels), numbers=3072), halves(4), rtol=0.06)


@pytest.mark.parametrize("residual", RESIDUALS)
def test_the_errors_of_drift_and_step_do_not_cancel(residual: str) -> None:
    """On fresh paths, over seeds of which some have residuals of the other sign: with those a coarse level would be right by
    accident at some number of steps."""
    path, initial = mlem.BrownianPath(1024, (1,), 4 * 60, 1.0, seed=77), OU.initial(1024, 77)
    rough, fine = (mlem.euler_maruyama(OU, OU.drift, steps=n, path=path, initial=initial).final for n in (60, 240))
    turned = set()
    for seed in range(6):
        levels = mlem.synthetic_hierarchy(OU, gamma=2.0, levels=2, residual=residual, seed=seed)
        for k, f in enumerate(drifts(levels), start=1):
            caused = mlem.euler_maruyama(OU, f, steps=60, path=path, initial=initial).final - rough
            assert float((caused * (rough - fine)).sum()) > 0
            g = synthetic.Residual(OU, seed, k if residual == "independent" else 0)
            turned.add(bool((g(initial, 0.0) * (f(initial, 0.0) - OU.drift(initial, 0.0))).sum() > 0))
    assert turned == {False, True}


def explosive() -> mlem.SDE:
    """dx = x² dt from 0 stays there; with a added, x = √a tan(√a t) leaves for infinity before T = 1 where √a > π/2."""
    return mlem.SDE("up", "Up", (1,), 1.0, lambda x, t: x * x, no_noise, lambda z, u: 0 * z, resolution=500)


@pytest.mark.parametrize("guess", [0.01, 0.4, 50.0, -50.0])
def test_a_guess_may_be_far_off(guess: float) -> None:
    sde = explosive()
    a = synthetic._Pilot(sde, 0).calibrate(lambda x, t: torch.full_like(x, np.sign(guess)), guess, target=0.5)
    assert np.sign(a) == np.sign(guess)
    root = abs(a) ** 0.5
    assert root * np.tan(root) == pytest.approx(0.5, rel=0.02)


class Known(synthetic._Pilot):
    """A pilot whose error is a known function of the amplitude, and which notes the amplitudes that it tries."""

    def __init__(self, error: Callable[[float], float]) -> None:
        self._error = error
        self.tried: list[float] = []

    def _misfit(self, g: Drift, amplitude: float, target: float) -> float:
        self.tried.append(amplitude)
        return math.log(min(4.0, max(0.25, self._error(amplitude) / target)))


def none(x: Tensor, t: float) -> Tensor:
    return torch.zeros_like(x)


@given(
    power=st.floats(0.3, 6.0),
    later=st.floats(0.3, 6.0),
    bend=st.floats(-2.0, 2.0),
    guess=st.floats(-3.0, 3.0),
    log_target=st.floats(-3.0, 3.0),
)
def test_the_search_finds_any_error_that_grows(
    power: float, later: float, bend: float, guess: float, log_target: float
) -> None:
    """A power of the amplitude, another one beyond a bend; sixteen tries are enough for all but the flattest."""

    def error(a: float) -> float:
        x = math.log(a) - bend
        return math.exp((power if x < 0 else later) * x)

    pilot, target = Known(error), math.exp(log_target)
    a = pilot.calibrate(none, math.exp(guess), target)
    assert len(pilot.tried) <= synthetic._CALIBRATION_PASSES
    assert a in pilot.tried
    if min(power, later) > 0.7:
        assert error(a) == pytest.approx(target, rel=0.01)


def test_a_linear_error_takes_two_tries() -> None:
    pilot = Known(lambda a: 0.7 * a)
    assert pilot.calibrate(none, 0.3, 0.5) == pytest.approx(0.5 / 0.7)
    assert len(pilot.tried) == 2


def test_an_error_that_saturates_ends_at_the_nearest_that_was_tried() -> None:
    """It grows to 0.97 of the target, and falls again: the last try is not the best."""
    pilot = Known(lambda a: 0.97 * math.exp(-(math.log(a) ** 2)))
    a = pilot.calibrate(none, 0.7, 1.0)
    assert a == min(pilot.tried, key=lambda x: abs(math.log(x)))
    assert a != pilot.tried[-1]
    assert a == pytest.approx(1.0, rel=0.05)


# ── synthetic hierarchies: cost and corrections


@given(gamma=st.floats(0.25, 8.0), levels=st.integers(1, 3))
def test_the_cost_of_level_k_is_two_to_the_gamma_k(gamma: float, levels: int) -> None:
    hierarchy = mlem.synthetic_hierarchy(OU, gamma=gamma, levels=levels)
    assert len(hierarchy) == levels
    assert hierarchy.sde is OU
    np.testing.assert_allclose(hierarchy.costs, 2.0 ** (gamma * np.arange(1, levels + 1)), rtol=1e-12)


def test_drifts_do_not_depend_on_gamma() -> None:
    """So that γ can be dragged without simulating again."""
    low, high = (mlem.synthetic_hierarchy(OU, gamma=gamma, levels=3) for gamma in (0.25, 8))
    assert drifts(low) == drifts(high)


def variances(sde: mlem.SDE, levels: mlem.Hierarchy) -> tuple[np.ndarray, np.ndarray]:
    """E‖f^k − f‖² for k = 1..K and E‖f^k − f^{k−1}‖² for k = 2..K, on states of order one."""
    x = torch.randn(256, *sde.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    values = [f(x, 0.3) for f in drifts(levels)]
    errors = [float((f - sde.drift(x, 0.3)).square().mean()) for f in values]
    return np.array(errors), np.array([float((b - a).square().mean()) for a, b in pairwise(values)])


def test_nested_corrections_are_as_small_as_the_error_and_independent_ones_five_times() -> None:
    """f^k = f + a 2^−k g_k: one g gives v_k = 4^−k, independent ones 4^−k + 4^−(k−1) = 5·4^−k, in units of a²E‖g‖². In many
    dimensions independent residuals are nearly orthogonal."""
    sde = mlem.problems.ornstein_uhlenbeck(dim=128)
    errors, corrections = variances(sde, mlem.synthetic_hierarchy(sde, gamma=2.0, levels=4, residual="nested"))
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4.0, rtol=0.05)
    np.testing.assert_allclose(corrections / errors[1:], 1.0, rtol=0.1)
    errors, corrections = variances(sde, mlem.synthetic_hierarchy(sde, gamma=2.0, levels=4, residual="independent"))
    np.testing.assert_allclose(errors[:-1] / errors[1:], 4.0, rtol=0.25)
    np.testing.assert_allclose(corrections / errors[1:], 5.0, rtol=0.25)
    assert float((corrections / errors[1:]).mean()) == pytest.approx(5.0, rel=0.08)


@pytest.mark.parametrize("name", mlem.problems.names())
def test_nested_levels_have_one_residual_with_one_sign(name: str) -> None:
    """f^k − f = a_k g with a_1, a_2, … of one sign, also where the step's error is too small to tell which."""
    sde = mlem.problems.get(name)
    x = sde.initial(4, 0) + 0.3
    gaps = torch.stack([f(x, 0.3) - sde.drift(x, 0.3) for f in drifts(mlem.synthetic_hierarchy(sde, gamma=1.0, levels=8))])
    ratios = gaps[1:] / gaps[:-1]
    assert 0.0 < float(ratios.min()) <= float(ratios.max()) < 1.0


# ── synthetic hierarchies: randomness, shapes, dtypes


@pytest.fixture
def few_paths(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Rough calibrations, which are forgotten afterwards."""
    caches = (synthetic._calibrated_drifts, synthetic._spectral_tails)
    monkeypatch.setattr(synthetic, "_CALIBRATION_NUMBERS", 64)
    monkeypatch.setattr(synthetic, "_CALIBRATION_PATHS", 64)
    for cached in caches:
        cached.cache_clear()
    yield
    for cached in caches:
        cached.cache_clear()


def made_up() -> mlem.SDE:
    """A new object at each call, which no cache knows."""
    return mlem.SDE("made-up", "Made up", (2, 3), 1.0, lambda x, t: torch.sin(t + x) - x, lambda t: 0.3, lambda z, u: 0.5 * z)


def test_states_of_any_shape_have_residuals() -> None:
    sde = made_up()
    levels = mlem.synthetic_hierarchy(sde, gamma=2.0, levels=4, seed=1)
    np.testing.assert_allclose(path_errors(sde, drifts(levels)), halves(4), rtol=0.06)


@pytest.mark.parametrize("name", mlem.problems.names())
def test_a_residual_is_smooth_on_the_scale_of_the_state(name: str) -> None:
    """Its values are of order one, and waves no shorter than 2π/1.3 bound how fast it varies."""
    sde = mlem.problems.get(name)
    g = synthetic.Residual(sde, 3, 0)
    x = torch.randn(4096, *sde.shape, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    assert 0.8 < float(g(x, 0.0).square().mean()) < 2.5
    assert torch.equal(g(x, 0.0), g(x, 0.7))
    step = 1e-3 * torch.randn(x.shape, generator=torch.Generator().manual_seed(6), dtype=torch.float64)
    moved = (g(x + step, 0.0) - g(x, 0.0)).flatten(1).norm(dim=1) / step.flatten(1).norm(dim=1)
    assert 1e-3 < float(moved.max()) < 1.3 * float(g._out.norm(dim=1).sum())


def test_drifts_keep_the_dtype_and_leave_the_state_alone() -> None:
    spectral = mlem.spectral_hierarchy(gamma=1.0, levels=4)
    for levels in (mlem.synthetic_hierarchy(OU, gamma=2.0, levels=3), spectral):
        for f in (*drifts(levels), levels.sde.drift):
            x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
            before = x.clone()
            torch.testing.assert_close(f(x.float(), 0.3), f(x, 0.3).float(), rtol=1e-5, atol=1e-5)
            assert f(x.float(), 0.3).dtype == torch.float32
            assert torch.equal(x, before)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"gamma": 0.2}, "gamma takes a number ≥ 0.25 and ≤ 8, got 0.2"),
        ({"gamma": 8.1}, "gamma takes a number ≥ 0.25 and ≤ 8, got 8.1"),
        ({"gamma": float("nan")}, "gamma takes a number ≥ 0.25 and ≤ 8, got nan"),
        ({"levels": 0}, "levels takes an integer from 1 to 10, got 0"),
        ({"levels": 11}, "levels takes an integer from 1 to 10, got 11"),
        ({"levels": True}, "levels takes an integer from 1 to 10, got True"),
        ({"seed": -1}, "seed takes an integer ≥ 0, got -1"),
    ],
)
def test_hierarchies_refuse_bad_numbers(options: dict[str, float], words: str) -> None:
    good: dict[str, float] = {"gamma": 2.0, "levels": 2, "seed": 0}
    with pytest.raises(ValueError, match=re.escape(words)):
        mlem.synthetic_hierarchy(FORCED, **{**good, **options})  # type: ignore[arg-type]
    with pytest.raises(ValueError, match=re.escape(words)):
        mlem.spectral_hierarchy(**{**good, **options})  # type: ignore[arg-type]


def test_residuals_have_names() -> None:
    with pytest.raises(ValueError, match="residual takes one of nested, independent, got 'random'"):
        mlem.synthetic_hierarchy(FORCED, gamma=2.0, residual="random")


# ── spectral hierarchies


class Work(TorchDispatchMode):
    """Counts the cosines that are evaluated."""

    cosines = 0

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):  # type: ignore[no-untyped-def]
        if func.overloadpacket in (torch.ops.aten.cos, torch.ops.aten.cos_):
            self.cosines += args[0].numel()
        return func(*args, **(kwargs or {}))


def modes_evaluated(f: Drift, batch: int = 8) -> float:
    x = torch.zeros(batch, 1, dtype=torch.float64)
    with Work() as work:
        f(x, 0.0)
    return work.cosines / batch


@pytest.fixture
def no_calibration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Modes of about the right size, for tests that count them."""
    monkeypatch.setattr(synthetic, "_corrected_tails", lambda counts, *_: tuple(2.5 * 2.0**-k for k in range(len(counts) + 1)))
    monkeypatch.setattr(synthetic, "_stored_tails", lambda *_: None)


@pytest.mark.parametrize(
    ("gamma", "levels"), [(0.25, 10), (0.5, 10), (1.0, 10), (1.7, 8), (2.0, 8), (2.5, 7), (4.0, 5), (8.0, 3)]
)
@pytest.mark.usefixtures("no_calibration")
def test_the_work_of_level_k_is_two_to_the_gamma_k(gamma: float, levels: int) -> None:
    """Cosines are counted, not declared; numbers of modes are whole, hence the tolerance."""
    hierarchy = mlem.spectral_hierarchy(gamma=gamma, levels=levels)
    work = np.array([modes_evaluated(f) for f in drifts(hierarchy)])
    ideal = 2.0 ** (gamma * np.arange(1, levels + 1))
    np.testing.assert_allclose(hierarchy.costs, ideal, rtol=0.01)
    np.testing.assert_allclose(work / work[0], hierarchy.costs / hierarchy.costs[0], rtol=1e-12)
    assert work[0] >= 8
    assert float(np.diff(work).min()) >= 31  # levels can be told apart
    assert modes_evaluated(hierarchy.sde.drift) > 1.2 * work[-1]


@pytest.mark.parametrize("gamma", [1.95, 2.0, 2.5, 17 / 4, 17 / 3, 8.0])
@pytest.mark.usefixtures("no_calibration")
def test_too_many_modes_are_refused_and_the_most_levels_named(gamma: float) -> None:
    words = (
        r"levels takes an integer from 1 to (\d+) with gamma [\d.]+, got {}: a spectral hierarchy has at most 1,048,576 modes"
    )
    with pytest.raises(ValueError, match=words.format(10)) as refused:
        mlem.spectral_hierarchy(gamma=gamma, levels=10)
    named = re.search(words.format(10), str(refused.value))
    assert named is not None
    most = int(named[1])
    assert len(mlem.spectral_hierarchy(gamma=gamma, levels=most)) == most
    with pytest.raises(ValueError, match=words.format(most + 1)):
        mlem.spectral_hierarchy(gamma=gamma, levels=most + 1)


@pytest.mark.parametrize(("gamma", "seed"), [(0.25, 0), (1.0, 3), (2.0, 0)])
def test_the_path_error_of_a_spectral_level_is_two_to_the_minus_k(gamma: float, seed: int) -> None:
    levels = mlem.spectral_hierarchy(gamma=gamma, levels=4, seed=seed)
    assert levels.sde.name == "spectral"
    assert levels.sde.shape == (1,)
    np.testing.assert_allclose(path_errors(levels.sde, drifts(levels), numbers=2048), halves(4), rtol=0.06)


def test_bands_that_are_not_corrected_for_are_not_calibrated(monkeypatch: pytest.MonkeyPatch) -> None:
    """Named wrong implementation: the tails of a few modes for bands that are another function: a_j ~ j^(−1/γ − 1) from the
    first mode on, which at γ = 1/4 is all of f."""

    def power(counts: list[int], tails: tuple[float, ...], gamma: float) -> Tensor:
        amplitudes = bands(counts, tails, gamma)
        shape = torch.arange(1, counts[0] + 1, dtype=torch.float64) ** (-1 / gamma - 1)
        amplitudes[: counts[0]] = shape * (float(amplitudes[: counts[0]].sum()) / float(shape.sum()))
        return amplitudes

    bands = synthetic._band_amplitudes
    monkeypatch.setattr(synthetic, "_band_amplitudes", power)

    def misfit() -> np.ndarray:
        levels = mlem.spectral_hierarchy(gamma=0.25, levels=4, seed=3)
        return np.abs(path_errors(levels.sde, drifts(levels), numbers=2048) / halves(4) - 1)

    assert float(misfit().max()) < 0.03
    monkeypatch.setattr(synthetic, "_CORRECTIONS", 0)
    assert float(misfit().min()) > 0.1


@pytest.mark.parametrize("gamma", [1.0, 5.0])
def test_a_spectral_hierarchy_has_the_gamma_that_was_asked_for(gamma: float) -> None:
    """The slope of log cost against log(1/error), to 0.15 %: a third of the interval of a measurement on 256 paths."""
    levels = mlem.spectral_hierarchy(gamma=gamma, levels=4)
    twins = synthetic.spectral_twins(levels)
    errors = path_errors(twins.sde, drifts(twins))
    slope = float(np.polyfit(-np.log(errors), np.log(levels.costs), 1)[0])
    assert slope == pytest.approx(gamma, rel=1.5e-3)


def test_the_series_of_a_spectral_drift_is_that_drift() -> None:
    levels = mlem.spectral_hierarchy(gamma=1.0, levels=4)
    x = torch.linspace(-7.9, 7.9, 301, dtype=torch.float64)[:, None]
    for f in (*drifts(levels), levels.sde.drift):
        torch.testing.assert_close(synthetic.as_series(f)(x, 0.7), f(x, 0.7), rtol=0, atol=1e-12)
    assert bool(synthetic.as_series(f)(x + 1, 0.0).isnan().any())


def test_a_spectral_level_is_the_sum_of_its_first_modes() -> None:
    """f^k(x) = −x + Σ_{j<M_k} a_j cos(w_j x + φ_j), with |f − f^k| halved from level to level."""
    levels = mlem.spectral_hierarchy(gamma=2.0, levels=4, seed=3)
    x = torch.linspace(-1, 1, 21, dtype=torch.float64)[:, None]
    full, parts = levels.sde.drift(x, 0.3), [f(x, 0.3) for f in drifts(levels)]
    for f in (full, *parts):
        assert not torch.equal(f, -x)
    gaps = np.array([float((full - f).square().mean().sqrt()) for f in parts])
    np.testing.assert_allclose(gaps[:-1] / gaps[1:], 2.0, rtol=0.15)
    amplitudes = torch.tensor([0.5, 0.3, 0.2, 0.1], dtype=torch.float64)
    shift = torch.rand(2, generator=generator(3, "spectral"), dtype=torch.float64).tolist()
    for count in (1, 3, 4):
        by_hand = torch.zeros_like(x)
        for j in range(count):
            wave = 0.7 + 0.6 * ((j * (5**0.5 - 1) / 2 + shift[0]) % 1)
            phase = (2 * ((j * 2**0.5 + shift[1]) % 1) - 1) * math.pi / 3
            by_hand += amplitudes[j] * torch.cos(wave * x + phase)
        torch.testing.assert_close(synthetic._modes(amplitudes, 3, count)(x), by_hand, rtol=0, atol=1e-12)


def test_bands_hold_what_each_level_leaves_out() -> None:
    a = synthetic._band_amplitudes([8, 32, 128, 160], (2.5, 0.6, 0.3, 0.1), 2.0)
    assert len(a) == 160
    assert bool((a > 0).all())
    assert [float(a[i:].sum()) for i in (0, 8, 32, 128)] == pytest.approx([2.5, 0.6, 0.3, 0.1])
    for part, power in ((a[:8], 0.0), (a[8:32], -1.5), (a[32:128], -1.5), (a[128:], -1.5)):
        start = {8: 1, 24: 9, 96: 33, 32: 129}[len(part)]
        j = torch.arange(start, start + len(part), dtype=torch.float64)
        torch.testing.assert_close(part / part[0], (j / j[0]) ** power)


@pytest.mark.usefixtures("no_calibration")
def test_blocks_of_modes_do_not_show(monkeypatch: pytest.MonkeyPatch) -> None:
    f = mlem.spectral_hierarchy(gamma=2.0, levels=3).sde.drift
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]
    whole = f(x, 0.0)
    for numbers in (1, 100):
        monkeypatch.setattr(synthetic, "_NUMBERS_AT_ONCE", numbers)
        torch.testing.assert_close(f(x, 0.0), whole, rtol=0, atol=1e-12)


@pytest.mark.usefixtures("few_paths")
def test_spectral_hierarchies_are_functions_of_their_seed() -> None:
    x = torch.linspace(-1, 1, 7, dtype=torch.float64)[:, None]

    def values(seed: int) -> list[Tensor]:
        levels = mlem.spectral_hierarchy(gamma=1.0, levels=1, seed=seed)
        return [f(x, 0.0) for f in (*drifts(levels), levels.sde.drift)]

    first = values(3)
    synthetic._spectral_tails.cache_clear()
    assert all(torch.equal(a, b) for a, b in zip(first, values(3), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, values(4), strict=True))


@pytest.mark.parametrize("residual", RESIDUALS)
@pytest.mark.usefixtures("few_paths")
def test_the_same_seed_gives_the_same_drifts(residual: str) -> None:
    def values(seed: int) -> list[Tensor]:
        levels = mlem.synthetic_hierarchy(made_up(), gamma=2.0, levels=3, residual=residual, seed=seed)
        return [f(torch.linspace(-1, 1, 24, dtype=torch.float64).view(4, 2, 3), 0.4) for f in drifts(levels)]

    torch.manual_seed(1)
    before = torch.get_rng_state()
    first = values(3)
    assert torch.equal(torch.get_rng_state(), before)  # the global generator is neither used nor moved
    torch.manual_seed(2)
    assert all(torch.equal(a, b) for a, b in zip(first, values(3), strict=True))
    assert not any(torch.equal(a, b) for a, b in zip(first, values(4), strict=True))


class Operations(TorchDispatchMode):
    """Counts floating-point operations: one for each number that an operation makes, two where it multiplies and adds."""

    each: ClassVar = {"addcmul": 2, "cos_": 1, "add": 1, "sub": 1}
    done = 0

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        name = func.overloadpacket.__name__
        self.done += 2 * args[0].numel() if name in ("mv", "mm") else self.each.get(name, 0) * made.numel()
        return made


def test_flops_of_spectral_levels_are_counted() -> None:
    """Beside those of the modes and of −x there is the sum of blocks of modes, of which there is one here."""
    levels = mlem.spectral_hierarchy(gamma=2.0, levels=4)
    said = spectral_flops(2.0, 4)
    for level, flops in zip(levels, said, strict=True):
        with Operations() as counted:
            level.drift(torch.zeros(1, 1, dtype=torch.float64), 0.0)
        assert counted.done - 1 == flops
    np.testing.assert_allclose(said / said[0], levels.costs / levels.costs[0], rtol=0.02)
