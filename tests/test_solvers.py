from __future__ import annotations

import math
import re
from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import Tensor

import mlem
from mlem.firing import as_probabilities, fires, poisson_counts

KINDS = ("bernoulli", "systematic", "nested", "held", "poisson")
UNBIASED = ("bernoulli", "systematic", "nested", "poisson")
DRAWS = ("shared", "per-path")
DTYPES = (torch.float32, torch.float64)

Drift = Callable[[Tensor, float], Tensor]
ZScore = Callable[[Tensor, float], float]


def pull(x: Tensor, t: float) -> Tensor:
    return torch.cos(2 * x + t) - x


def approximate(k: int) -> Drift:
    """Elementwise, so that a path's drift does not depend on the batch to the last bit."""
    return lambda x, t: pull(x, t) + 2.0**-k * torch.sin(3 * x + k + t)


def problem(shape: tuple[int, ...] = (2,), noise: float = 0.5, drift: Drift = pull) -> mlem.SDE:
    return mlem.SDE(
        name="made-up",
        title="Made up",
        shape=shape,
        horizon=1.0,
        drift=drift,
        noise=lambda t: noise * (1 + t) if noise else 0.0,
        start=lambda z, u: z,
    )


def hierarchy(sde: mlem.SDE, levels: int) -> mlem.Hierarchy:
    return mlem.Hierarchy([mlem.Level(approximate(k), 4.0**k) for k in range(1, levels + 1)], sde=sde)


def bits(x: Tensor) -> Tensor:
    return x.view(torch.int32 if x.dtype == torch.float32 else torch.int64)


class Setting:
    """One problem, path and initial state, and both solvers on it."""

    def __init__(
        self,
        *,
        shape: tuple[int, ...] = (2,),
        levels: int = 3,
        steps: int = 32,
        ratio: int = 2,
        batch: int = 5,
        seed: int = 1,
        noise: float = 0.5,
        first: int = 0,
        dtype: torch.dtype = torch.float64,
        device: str = "cpu",
    ) -> None:
        self.sde, self.steps = problem(shape, noise), steps
        self.levels = hierarchy(self.sde, levels)
        self.path = mlem.BrownianPath(batch, shape, steps * ratio, 1.0, seed, first=first, dtype=dtype, device=device)
        self.initial = self.sde.initial(batch, seed, first=first, dtype=dtype, device=device)

    def em(self, level: int = -1) -> mlem.Solution:
        return mlem.euler_maruyama(self.sde, self.levels[level], steps=self.steps, path=self.path, initial=self.initial)

    def mlem(self, p: object, kind: str = "bernoulli", draws: str = "shared", seed: int = 2) -> mlem.Solution:
        return mlem.multilevel_euler_maruyama(
            self.sde,
            self.levels,
            p,  # type: ignore[arg-type]
            steps=self.steps,
            path=self.path,
            initial=self.initial,
            firing=kind,
            draws=draws,
            seed=seed,
        )


def test_euler_maruyama_is_its_formula() -> None:
    s = Setting()
    y, h = s.initial.clone(), 1 / 32
    for n, dW in enumerate(s.path.increments(32)):
        y = y + h * approximate(3)(y, n * h) + 0.5 * (1 + n * h) * dW
    torch.testing.assert_close(s.em().final, y, rtol=0, atol=1e-14)


def test_euler_maruyama_takes_a_level_or_a_drift() -> None:
    s = Setting()
    bare = mlem.euler_maruyama(s.sde, approximate(3), steps=32, path=s.path, initial=s.initial)
    assert torch.equal(bare.final, s.em().final)
    assert bare.cost == 32.0
    assert s.em().cost == 32.0 * 64


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", [k for k in KINDS if k not in ("held", "poisson")])
def test_multilevel_euler_maruyama_is_its_formula(kind: str, draws: str) -> None:
    """The telescope as the paper writes it, path by path, f^0 = 0."""
    s, p = Setting(), [0.9, 0.6, 0.3]
    coins = 5 if draws == "per-path" else 1
    b = torch.cat(list(fires(kind, as_probabilities(p, 3, 32, coins), steps=32, coins=coins, seed=2))).expand(32, 3, 5)
    y, h = s.initial.clone(), 1 / 32
    for n, dW in enumerate(s.path.increments(32)):
        below, total = torch.zeros_like(y), torch.zeros_like(y)
        for k in range(3):
            f = approximate(k + 1)(y, n * h)
            total, below = total + (b[n, k].double() / p[k])[:, None] * (f - below), f
        y = y + h * total + 0.5 * (1 + n * h) * dW
    torch.testing.assert_close(s.mlem(p, kind, draws).final, y, rtol=0, atol=1e-12)


def test_held_corrections_are_their_formula() -> None:
    s, y, h = Setting(), Setting().initial.clone(), 1 / 32
    held = [torch.zeros_like(y)] * 3
    for n, dW in enumerate(s.path.increments(32)):
        for k, every in enumerate((1, 2, 8)):
            if n % every == 0:
                held[k] = approximate(k + 1)(y, n * h) - (approximate(k)(y, n * h) if k else 0)
        y = y + h * sum(held) + 0.5 * (1 + n * h) * dW
    torch.testing.assert_close(s.mlem([1.0, 0.5, 0.125], "held").final, y, rtol=0, atol=1e-13)


@pytest.mark.parametrize("draws", DRAWS)
def test_poisson_kicks_are_their_formula(draws: str) -> None:
    """Between grid points the state is where drift, noise and kicks so far have brought it."""
    s, p, h, dt = Setting(ratio=4), [1.0, 0.6, 0.3], 1 / 32, 1 / 128
    coins = 5 if draws == "per-path" else 1
    plan = poisson_counts(as_probabilities(p, 3, 32, coins), steps=32, fine=128, coins=coins, seed=2)
    fine, y = s.path.increments(128), s.initial.clone()
    for n, counts in enumerate(plan):
        f, t = approximate(1)(y, n * h), n * h
        kicks, noise = torch.zeros_like(y), torch.zeros_like(y)
        for m in range(4):
            noise = noise + fine[4 * n + m]
            at = y + (m + 1) * dt * f + 0.5 * (1 + t) * noise + kicks
            for k in (1, 2):
                rate = p[k] / h
                gap = approximate(k + 1)(at, t + (m + 1) * dt) - approximate(k)(at, t + (m + 1) * dt)
                kicks = kicks + (counts[m, k].double().expand(5) / rate)[:, None] * gap
        y = y + h * f + 0.5 * (1 + t) * noise + kicks
    torch.testing.assert_close(s.mlem(p, "poisson", draws).final, y, rtol=0, atol=1e-12)


@pytest.mark.parametrize("dtype", DTYPES, ids=str)
@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_certain_levels_give_euler_maruyama_bit_for_bit(kind: str, draws: str, dtype: torch.dtype) -> None:
    @given(
        steps=st.integers(1, 40),
        ratio=st.integers(1, 3),
        levels=st.integers(1, 5),
        dim=st.integers(1, 5),
        batch=st.integers(1, 9),
        seed=st.integers(0, 2**40),
        by_step=st.booleans(),
    )
    def same_bits(steps: int, ratio: int, levels: int, dim: int, batch: int, seed: int, by_step: bool) -> None:
        s = Setting(shape=(dim,), levels=levels, steps=steps, ratio=ratio, batch=batch, seed=seed, dtype=dtype)
        ones = torch.ones((steps, levels) if by_step else (levels,))
        solution = s.mlem(ones, kind, draws, seed=seed)
        assert solution.final.dtype == dtype
        assert torch.equal(bits(solution.final), bits(s.em().final))
        assert solution.evaluations.tolist() == [0.0] * (levels - 1) + [steps]

    same_bits()


@pytest.mark.parametrize("kind", KINDS)
def test_certain_levels_give_euler_maruyama_on_every_device(kind: str, device: str) -> None:
    for draws in DRAWS:
        s = Setting(device=device)
        solution = s.mlem([1.0] * 3, kind, draws)
        assert solution.final.device.type == device
        assert torch.equal(solution.final, s.em().final)
        there, here = s.mlem([1.0, 0.6, 0.3], kind, draws), Setting().mlem([1.0, 0.6, 0.3], kind, draws)
        assert np.array_equal(there.evaluations, here.evaluations)
        torch.testing.assert_close(there.final.cpu(), here.final, rtol=0, atol=1e-9)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_one_level_is_euler_maruyama_at_that_level(kind: str, draws: str) -> None:
    for k in range(3):
        s = Setting()
        s.levels = s.levels[k : k + 1]
        assert torch.equal(s.mlem([1.0], kind, draws).final, Setting().em(k).final)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("prefix", [1, 2, 3, 4])
def test_a_prefix_of_certain_levels_is_its_last_level(prefix: int, kind: str, draws: str) -> None:
    """Levels 1..j with p = 1 are f^j alone: leaving the inner ones out changes nothing."""
    s, short = Setting(levels=4), Setting(levels=4)
    short.levels = short.levels[prefix - 1 :]
    tail = [0.5, 0.25, 0.2][: 4 - prefix]
    whole = s.mlem([1.0] * prefix + tail, kind, draws)
    assert (whole.evaluations[: prefix - 1] == 0).all()
    assert whole.evaluations[prefix - 1] >= 32
    if kind == "nested" or prefix == 1:  # the other kinds give each level coins of its own, and a level less shifts them
        assert torch.equal(whole.final, short.mlem([1.0, *tail], kind, draws).final)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_without_noise_the_brownian_path_does_not_matter(kind: str, draws: str) -> None:
    a, b = Setting(noise=0.0), Setting(noise=0.0)
    b.path = mlem.BrownianPath(5, (2,), 64, 1.0, seed=99)
    p = [1.0, 0.5, 0.25]
    assert torch.equal(a.mlem(p, kind, draws).final, b.mlem(p, kind, draws).final)
    y, h = a.initial.clone(), 1 / 32
    for n in range(32):
        y = y + h * approximate(3)(y, n * h)
    assert torch.equal(a.em().final, b.em().final)
    torch.testing.assert_close(a.em().final, y, rtol=0, atol=1e-14)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_evaluations_are_the_calls(kind: str, draws: str) -> None:
    s, rows = Setting(levels=4, batch=16), np.zeros(4)

    def counted(k: int) -> Drift:
        def drift(x: Tensor, t: float) -> Tensor:
            rows[k] += len(x)
            return approximate(k + 1)(x, t)

        return drift

    s.levels = mlem.Hierarchy([mlem.Level(counted(k), 4.0**k) for k in range(4)], sde=s.sde)
    rows[:] = 0
    solution = s.mlem([1.0, 1.0, 0.5, 0.2], kind, draws)
    assert (solution.evaluations * 16).tolist() == rows.tolist()
    assert rows[0] == 0
    assert 0 < rows[3] < 16 * 32


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("dtype", DTYPES, ids=str)
def test_a_path_with_its_own_coins_does_not_depend_on_the_batch(kind: str, dtype: torch.dtype) -> None:
    p = [0.9, 0.5, 0.25]
    whole = Setting(batch=40, dtype=dtype).mlem(p, kind, "per-path").final
    for first, batch in ((0, 1), (0, 39), (17, 5), (39, 1)):
        part = Setting(batch=batch, first=first, dtype=dtype).mlem(p, kind, "per-path").final
        assert torch.equal(part, whole[first : first + batch])


@pytest.mark.parametrize("kind", KINDS)
def test_shared_coins_do_not_depend_on_the_batch(kind: str) -> None:
    p = [0.9, 0.5, 0.25]
    whole = Setting(batch=40).mlem(p, kind).final
    assert torch.equal(Setting(batch=5, first=17).mlem(p, kind).final, whole[17:22])


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_of_the_coins_is_one_of_its_own(kind: str, draws: str) -> None:
    s, p = Setting(), [0.9, 0.5, 0.25]
    again, other = s.mlem(p, kind, draws), s.mlem(p, kind, draws, seed=3)
    assert torch.equal(again.final, s.mlem(p, kind, draws).final)
    assert torch.equal(again.final, other.final) == (kind == "held")  # held corrections are not drawn: a biased baseline


@pytest.mark.parametrize("kind", UNBIASED)
def test_the_drift_of_a_step_is_unbiased(kind: str, z_score: ZScore) -> None:
    """One step from one state with 20 000 sets of coins: its mean drift is f^K. Poisson kicks are spread over the step, so that
    there the levels are constant in x and t."""
    n, h, p = 20_000, 1.0, [0.8, 0.5, 0.1]
    x0 = torch.full((n, 1), 0.3, dtype=torch.float64)
    values = [float(approximate(k)(x0[:1], 0.0)) for k in (1, 2, 3)]
    drifts: list[Drift] = [approximate(k) for k in (1, 2, 3)]
    if kind == "poisson":
        drifts = [lambda x, t, c=c: torch.full_like(x, c) for c in values]  # type: ignore[misc]
    sde = problem((1,), noise=0.0)
    levels = mlem.Hierarchy([mlem.Level(f, 4.0**k) for k, f in enumerate(drifts)], sde=sde)
    path = mlem.BrownianPath(n, (1,), 4, 1.0, seed=0)
    for row in (p, [1.0, 0.5, 0.1], [1.0, 1.0, 0.1]):
        options = {"steps": 1, "path": path, "initial": x0, "firing": kind, "draws": "per-path", "seed": 8}
        end = mlem.multilevel_euler_maruyama(sde, levels, row, **options).final  # type: ignore[arg-type]
        assert abs(z_score((end - x0) / h, values[2])) < 5
        q = as_probabilities(row, 3, 1, n)
        if kind == "poisson":
            fired = torch.cat(list(poisson_counts(q, steps=1, fine=4, coins=n, seed=8))).sum(0).double()
            fired[: row.count(1.0)] = 1.0  # the deterministic prefix
        else:
            fired = torch.cat(list(fires(kind, q, steps=1, coins=n, seed=8)))[0].double()
        gaps = torch.tensor([values[0], values[1] - values[0], values[2] - values[1]], dtype=torch.float64)
        assert abs(z_score(gaps @ (fired / q[0]), values[2])) < 5
        assert abs(z_score(gaps @ fired, values[2])) > 10  # named wrong implementation: without 1/p_k


@pytest.mark.parametrize("kind", ["bernoulli", "systematic", "nested"])
def test_every_step_is_unbiased(kind: str, z_score: ZScore) -> None:
    """With drifts that depend on the time alone the end is Σ h f^K(t_n) in the mean, with probabilities that change too."""
    n, steps = 20_000, 8
    drifts: list[Drift] = [lambda x, t, k=k: torch.full_like(x, math.cos(5 * t) + 2.0**-k * (1 + t)) for k in (1, 2)]  # type: ignore[misc]
    sde = problem((1,), noise=0.0)
    levels = mlem.Hierarchy([mlem.Level(f, 4.0**k) for k, f in enumerate(drifts)], sde=sde)
    path, x0 = mlem.BrownianPath(n, (1,), steps, 1.0, seed=0), torch.zeros(n, 1, dtype=torch.float64)
    p = torch.stack([torch.linspace(0.9, 0.4, steps), torch.linspace(0.2, 0.7, steps)], dim=1)
    options = {"steps": steps, "path": path, "initial": x0, "draws": "per-path", "save": "all"}
    solution = mlem.multilevel_euler_maruyama(sde, levels, p, firing=kind, seed=8, **options)  # type: ignore[arg-type]
    assert solution.states is not None
    slopes = (solution.states[1:] - solution.states[:-1]) * steps
    for m, slope in enumerate(slopes):
        t = m / steps
        exact = math.cos(5 * t) + 0.25 * (1 + t)
        assert abs(z_score(slope, exact)) < 5
        assert abs(z_score(slope, exact + 0.25 * (1 + t))) > 10  # named wrong implementation: stops at level K − 1


def test_held_corrections_are_biased_and_deterministic() -> None:
    """What sets the baseline apart. With drifts f^1 = 1, f^2 = 1 + t, the correction t is held at 0, then at 1/2."""
    sde = problem((1,), noise=0.0)
    drifts: list[Drift] = [lambda x, t: torch.ones_like(x), lambda x, t: torch.full_like(x, 1 + t)]
    levels = mlem.Hierarchy([mlem.Level(f, float(k)) for k, f in enumerate(drifts, start=1)], sde=sde)
    path, x0 = mlem.BrownianPath(3, (1,), 4, 1.0, seed=0), torch.zeros(3, 1, dtype=torch.float64)
    for seed in range(5):
        for draws in DRAWS:
            options = {"firing": "held", "draws": draws, "seed": seed, "save": "all"}
            solution = mlem.multilevel_euler_maruyama(
                sde,
                levels,
                [1.0, 0.5],
                steps=4,
                path=path,
                initial=x0,
                **options,  # type: ignore[arg-type]
            )
            assert solution.states is not None
            assert solution.states[:, 0, 0].tolist() == [0.0, 0.25, 0.5, 0.5 + 0.375, 0.5 + 0.75]  # f^2 would end at 1.375
            assert solution.evaluations.tolist() == [4.0, 2.0]


def test_euler_maruyama_has_the_exact_moments_of_its_scheme(z_score: ZScore) -> None:
    """On an OU process X_n is normal with mean (1 − λh)^n x_0 and variance σ²h Σ (1 − λh)^2j, far from the SDE's at h = 1/4."""
    n, steps, rate, noise = 20_000, 4, 1.5, 0.5
    h = 1 / steps
    sde = mlem.problems.ornstein_uhlenbeck(rate=rate, noise=noise)
    path, x0 = mlem.BrownianPath(n, (1,), steps, 1.0, seed=4), sde.initial(n, 4)
    end = mlem.euler_maruyama(sde, sde.drift, steps=steps, path=path, initial=x0).final
    mean = (1 - rate * h) ** steps
    variance = noise**2 * h * sum((1 - rate * h) ** (2 * j) for j in range(steps))

    def z(x: Tensor) -> float:
        return (float((x - mean).square().mean()) - variance) / (variance * (2 / n) ** 0.5)

    assert abs(z_score(end, mean)) < 5
    assert abs(z(end)) < 5
    assert abs(z_score(end, float(sde.moments(1.0)[0]))) > 10  # type: ignore[misc]  # the SDE's own mean is another
    y = x0
    for dW in path.increments(steps):
        y = y - h * rate * y + noise * h * (dW / h**0.5)
    assert abs(z(y)) > 10  # named wrong implementation: σh in place of σ√h


@pytest.mark.parametrize(
    ("sde", "steps"),
    [
        (mlem.problems.ornstein_uhlenbeck(), [16, 32, 64, 128, 256]),
        (mlem.problems.ornstein_uhlenbeck(dim=3, rate=2.0), [32, 64, 128, 256]),
        (mlem.problems.forced_ou(), [128, 256, 512, 1024]),
    ],
    ids=["ou", "ou-3", "forced-ou"],
)
def test_the_strong_order_is_one(sde: mlem.SDE, steps: list[int]) -> None:
    """Additive noise: against the exact solution on the same path."""
    assert sde.exact is not None
    path, x0 = mlem.BrownianPath(512, sde.shape, steps[-1], sde.horizon, seed=6), sde.initial(512, 6)
    exact = sde.exact(path, x0, [path.steps])[-1]
    errors = [
        mlem.strong_error(mlem.euler_maruyama(sde, sde.drift, steps=n, path=path, initial=x0).final, exact).value for n in steps
    ]
    order = -np.polyfit(np.log(steps), np.log(errors), 1)[0]
    assert order == pytest.approx(1.0, abs=0.05)


@pytest.mark.parametrize("draws", DRAWS)
@pytest.mark.parametrize("kind", KINDS)
def test_states_of_any_shape(kind: str, draws: str) -> None:
    s = Setting(shape=(3, 4, 4), levels=3, batch=7)
    assert torch.equal(s.mlem([1.0] * 3, kind, draws).final, s.em().final)
    solution = s.mlem([1.0, 0.5, 0.25], kind, draws)
    assert solution.final.shape == (7, 3, 4, 4)
    flat = Setting(shape=(48,), levels=3, batch=7)
    assert torch.equal(solution.final.flatten(1), flat.mlem([1.0, 0.5, 0.25], kind, draws).final)


def test_an_sde_may_be_a_single_number_or_an_image() -> None:
    for shape in ((), (1,), (3, 4, 4)):
        s = Setting(shape=shape)
        assert s.em().final.shape == (5, *shape)
        assert s.mlem([1.0, 0.5, 0.25], draws="per-path").final.shape == (5, *shape)


def test_a_rule_makes_the_probabilities() -> None:
    s, asked = Setting(), list[tuple[int, int]]()

    def rule(levels: mlem.Hierarchy, steps: int) -> Tensor:
        asked.append((len(levels), steps))
        return torch.tensor([1.0, 0.5, 0.25])

    assert torch.equal(s.mlem(rule).final, s.mlem([1.0, 0.5, 0.25]).final)
    assert asked == [(3, 32)]


def test_learned_probabilities_are_taken_as_they_are() -> None:
    s, p = Setting(), torch.nn.Parameter(torch.tensor([1.0, 0.5, 0.25]))
    solution = s.mlem(p)
    assert torch.equal(solution.final, s.mlem([1.0, 0.5, 0.25]).final)
    assert not solution.final.requires_grad
    assert np.abs(solution.ledger.z).max() < 5


def test_probabilities_may_be_an_array_or_a_table() -> None:
    s = Setting()
    expected = s.mlem([1.0, 0.5, 0.25]).final
    table = [[1.0, 0.5, 0.25]] * 32
    for p in (np.array([1.0, 0.5, 0.25]), torch.tensor([1.0, 0.5, 0.25]), table, np.array(table), torch.tensor(table)):
        assert torch.equal(s.mlem(p).final, expected)


@pytest.mark.parametrize(
    ("p", "words"),
    [
        ([0.5, 0.5], "probabilities take the shape (3,) or (32, 3), for 3 levels and 32 steps; got (2,)"),
        ([[1.0, 0.5, 0.5]] * 31, "got (31, 3)"),
        ([1.0, 0.0, 0.5], "probabilities must lie in (0, 1], got 0 for level 2"),
        ([1.0, 0.5, 1.5], "probabilities must lie in (0, 1], got 1.5 for level 3"),
        ([1.0, 0.5, math.nan], "probabilities must lie in (0, 1], got nan for level 3"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_bad_probabilities_are_refused(p: object, words: str, kind: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        Setting().mlem(p, kind)


def test_unknown_names_and_seeds_are_refused() -> None:
    s, p = Setting(), [1.0, 0.5, 0.5]
    with pytest.raises(ValueError, match="firing takes one of bernoulli, systematic, nested, held, poisson, got 'coin'"):
        s.mlem(p, "coin")
    with pytest.raises(ValueError, match="draws takes one of shared, per-path, got 'own'"):
        s.mlem(p, draws="own")
    for seed in (-1, True):
        with pytest.raises(ValueError, match=f"seed takes an integer ≥ 0, got {seed}"):
            s.mlem(p, seed=seed)
    with pytest.raises(ValueError, match=re.escape("probabilities take the shape (3,) or (32, 3)")):
        s.mlem(torch.full((1, 3, 5), 0.5), "bernoulli", "shared")
