from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Callable
from itertools import pairwise

import pytest
import torch
from torch import Tensor

import mlem

KINDS = ("bernoulli", "systematic", "nested", "held", "poisson")
DRAWS = ("shared", "per-path")
SCHEMES = ["em", *(f"{kind} {draws}" for kind in KINDS for draws in DRAWS)]

Drift = Callable[[Tensor, float], Tensor]


def still(x: Tensor, t: float) -> Tensor:
    return torch.zeros_like(x)


def problem(drift: Drift = still, shape: tuple[int, ...] = (2,), noise: float = 0.0, horizon: float = 1.0) -> mlem.SDE:
    return mlem.SDE(
        name="made-up",
        title="Made up",
        shape=shape,
        horizon=horizon,
        drift=drift,
        noise=lambda t: noise,
        start=lambda z, u: z,
    )


def solve(
    scheme: str,
    drifts: list[Drift],
    initial: Tensor,
    *,
    p: list[float] | None = None,
    steps: int = 64,
    ratio: int = 2,
    noise: float = 0.0,
    horizon: float = 1.0,
    first: int = 0,
    **options: object,
) -> mlem.Solution:
    """The finest drift by Euler–Maruyama, or all by the kind and draws that ``scheme`` names."""
    sde = problem(drifts[-1], tuple(initial.shape[1:]), noise, horizon)
    path = mlem.BrownianPath(len(initial), sde.shape, steps * ratio, sde.horizon, seed=1, first=first, dtype=initial.dtype)
    if scheme == "em":
        return mlem.euler_maruyama(sde, drifts[-1], steps=steps, path=path, initial=initial, **options)  # type: ignore[arg-type]
    kind, draws = scheme.split()
    levels = mlem.Hierarchy([mlem.Level(f, float(k)) for k, f in enumerate(drifts, start=1)], sde=sde)
    q = p or [1.0] + [0.5] * (len(drifts) - 1)
    return mlem.multilevel_euler_maruyama(
        sde, levels, q, steps=steps, path=path, initial=initial, firing=kind, draws=draws, seed=3, **options
    )


def marked(batch: int, mark: int, value: float, dtype: torch.dtype = torch.float64) -> Tensor:
    """States 0, but for path ``mark``, which is at ``value``."""
    x = torch.zeros(batch, 2, dtype=dtype)
    x[mark] = value
    return x


@pytest.mark.parametrize("steps", [1, 31, 32, 33, 64, 100])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_blow_up_names_step_time_and_path(scheme: str, steps: int) -> None:
    """x' = −x³ with a step so large that |x| is cubed at each step; the other paths rest at 0."""

    def cube(x: Tensor, t: float) -> Tensor:
        return -x * x * x

    horizon, y, n = 10.0 * steps, 1e150 if steps == 1 else 50.0, 0
    while math.isfinite(y):
        cubed = y * y * y
        y, n = y - 10.0 * cubed, n + 1
    assert n <= steps or steps == 1
    with pytest.raises(mlem.NonFiniteStep) as caught:
        solve(
            scheme,
            [cube, cube],
            marked(5, 3, 1e150 if steps == 1 else 50.0),
            p=[1.0, 1.0],
            steps=steps,
            horizon=horizon,
            first=40,
        )
    error = caught.value
    assert (error.step, error.path, error.time) == (n, 43, 10.0 * (n - 1))
    assert error.level == (None if math.isfinite(cubed) else 1 if scheme == "em" else 2)
    assert f"step {n} (t = {10.0 * (n - 1):.4g}) is not finite" in str(error)
    assert "path 43" in str(error)
    assert "take more steps" in str(error)


@pytest.mark.parametrize("steps", [33, 64])
@pytest.mark.parametrize("start", [0.0, 0.53, 0.9])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_level_that_returns_nan_is_named(scheme: str, start: float, steps: int) -> None:
    """Level 2 of 3 is wrong on path 3, which alone is at 30, from ``start`` on."""

    def broken(x: Tensor, t: float) -> Tensor:
        return torch.where((x > 20) & (t >= start), math.nan, 0.0).to(x)

    drifts: list[Drift] = [still, broken] if scheme == "em" else [still, broken, still]
    p = [1.0, 0.999, 0.9]  # level 2 is evaluated at once, or soon
    with pytest.raises(mlem.NonFiniteStep) as caught:
        solve(scheme, drifts, marked(5, 3, 30.0), p=p, steps=steps)
    error = caught.value
    h = 1 / steps
    assert error.level == (1 if scheme == "em" else 2)
    assert error.path == 3
    assert error.time == pytest.approx((error.step - 1) * h)
    assert error.time >= start - (h if "poisson" in scheme else 0)  # events happen within a step
    if "poisson" not in scheme:
        assert error.time < start + 3 * h
    assert f"level {error.level} returned a non-finite drift on path 3" in str(error)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_level_is_not_blamed_for_what_it_was_not_asked(scheme: str) -> None:
    """Level 1 of the deterministic prefix is never evaluated; that it is wrong too does not matter."""

    def broken(x: Tensor, t: float) -> Tensor:
        return torch.where((x > 20) & (t >= 0.5), math.nan, 0.0).to(x)

    with pytest.raises(mlem.NonFiniteStep) as caught:
        solve(scheme, [broken, broken], marked(5, 3, 30.0), p=[1.0, 1.0])
    assert (caught.value.level, caught.value.step, caught.value.path) == (1 if scheme == "em" else 2, 33, 3)
    if scheme != "em":
        solve(scheme, [broken, still], marked(5, 3, 30.0), p=[1.0, 1.0])


@pytest.mark.parametrize("scheme", [s for s in SCHEMES if s != "em" and "held" not in s])
def test_a_rare_large_kick_is_named_as_such(scheme: str) -> None:
    def huge(x: Tensor, t: float) -> Tensor:
        return torch.zeros_like(x).masked_fill(x > 20, 1e307)

    with pytest.raises(mlem.NonFiniteStep, match=r"larger probabilities: the largest weight there was -?\d") as caught:
        solve(scheme, [still, huge], marked(5, 3, 30.0), p=[1.0, 0.01], steps=512, horizon=512.0)
    assert abs(caught.value.weight) >= 99
    assert caught.value.level is None


@pytest.mark.parametrize("steps", [1, 33, 64])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_sums_that_overflow_do_not_raise_where_states_are_finite(scheme: str, steps: int) -> None:
    initial = torch.full((40, 2), 1e38, dtype=torch.float32)
    assert not math.isfinite(float(initial.sum()))
    solution = solve(scheme, [still, still], initial, steps=steps)
    assert torch.equal(solution.final, initial)
    assert solution.evaluations.max() <= 2 * steps


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_non_finite_initial_state_is_found_at_the_first_step(scheme: str) -> None:
    with pytest.raises(mlem.NonFiniteStep) as caught:
        solve(scheme, [still, still], marked(5, 2, math.inf))
    assert (caught.value.step, caught.value.path, caught.value.level) == (1, 2, None)


def pull(x: Tensor, t: float) -> Tensor:
    return -x + torch.cos(3 * x + t)


def finer_pull(x: Tensor, t: float) -> Tensor:
    return pull(x, t) + 0.1 * torch.sin(5 * x)


START = torch.linspace(-1, 1, 12, dtype=torch.float64).view(6, 2)


@pytest.mark.parametrize("scheme", SCHEMES)
def test_states_are_kept_only_when_asked(scheme: str) -> None:
    solution = solve(scheme, [pull, finer_pull], START, noise=0.5)
    assert solution.states is None
    assert solution.saved == ()
    assert solution.final.shape == START.shape


@pytest.mark.parametrize("scheme", SCHEMES)
def test_saved_states_are_those_of_shorter_solves(scheme: str) -> None:
    """Half of the horizon with half of the steps is the first half of the whole: paths and coins are streams."""
    every = solve(scheme, [pull, finer_pull], START, noise=0.5, save="all")
    some = solve(scheme, [pull, finer_pull], START, noise=0.5, save=[64, 7, 0, 7, 33])
    plain = solve(scheme, [pull, finer_pull], START, noise=0.5)
    assert every.states is not None
    assert some.states is not None
    assert every.saved == tuple(range(65))
    assert every.states.shape == (65, 6, 2)
    assert some.saved == (0, 7, 33, 64)
    assert torch.equal(some.states, every.states[[0, 7, 33, 64]])
    assert torch.equal(every.states[0], START)
    assert torch.equal(every.states[-1], every.final)
    assert torch.equal(every.final, plain.final)
    assert (every.evaluations == plain.evaluations).all()
    for steps in (1, 16, 32):
        shorter = solve(scheme, [pull, finer_pull], START, noise=0.5, steps=steps, horizon=steps / 64)
        assert torch.equal(shorter.final, every.states[steps])


@pytest.mark.parametrize("scheme", SCHEMES)
def test_the_initial_state_is_left_as_it_was(scheme: str) -> None:
    initial = START.clone()
    solve(scheme, [pull, finer_pull], initial, noise=0.5, save="all")
    assert torch.equal(initial, START)


@pytest.mark.parametrize("steps", [1, 31, 32, 33, 100])
@pytest.mark.parametrize("scheme", SCHEMES)
def test_progress_grows_to_one(scheme: str, steps: int) -> None:
    said: list[float] = []
    solve(scheme, [pull, finer_pull], START, steps=steps, report=said.append)
    assert said[-1] == 1.0
    assert said[0] > 0
    assert all(a < b for a, b in pairwise(said))
    assert len(said) >= steps // 32


@pytest.mark.parametrize("scheme", SCHEMES)
def test_slow_steps_report_each(scheme: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("mlem.march._SILENCE", 0.0)
    said: list[float] = []
    solve(scheme, [pull, finer_pull], START, steps=40, report=said.append)
    assert said == [n / 40 for n in range(1, 41)]


@pytest.mark.parametrize("scheme", SCHEMES)
def test_a_report_that_raises_cancels(scheme: str) -> None:
    class Cancelled(Exception):
        pass

    latest = 0.0

    def watched(x: Tensor, t: float) -> Tensor:
        nonlocal latest
        latest = max(latest, t)
        return pull(x, t)

    def report(done: float) -> None:
        if done >= 0.25:
            raise Cancelled

    with pytest.raises(Cancelled):
        solve(scheme, [watched, watched], START, steps=640, report=report)
    assert 0.2 < latest <= 0.31


@pytest.mark.parametrize(
    ("save", "words"),
    [
        ([65], "save takes an integer from 0 to 64, got 65"),
        ([-1], "save takes an integer from 0 to 64, got -1"),
        ([True], "save takes an integer from 0 to 64, got True"),
    ],
)
@pytest.mark.parametrize("scheme", ["em", "bernoulli shared"])
def test_what_to_save_is_checked(scheme: str, save: list[int], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        solve(scheme, [still, still], START, save=save)
    assert solve(scheme, [still, still], START, save=[]).states is None


@pytest.mark.parametrize("steps", [0, -1, True, 129])
def test_steps_are_checked(steps: int) -> None:
    path = mlem.BrownianPath(6, (2,), 128, 1.0, seed=0)
    with pytest.raises(ValueError, match="steps takes an integer from 1 to 128, got"):
        mlem.euler_maruyama(problem(), still, steps=steps, path=path, initial=START)


def test_steps_divide_those_of_the_path() -> None:
    path = mlem.BrownianPath(6, (2,), 128, 1.0, seed=0)
    with pytest.raises(ValueError, match="steps must divide the 128 fine steps of the Brownian path, got 48: try 32 or 64"):
        mlem.euler_maruyama(problem(), still, steps=48, path=path, initial=START)


def test_path_and_initial_state_fit_the_problem() -> None:
    sde = problem()

    def attempt(path: mlem.BrownianPath, initial: Tensor) -> mlem.Solution:
        return mlem.euler_maruyama(sde, still, steps=4, path=path, initial=initial)

    path = mlem.BrownianPath(6, (2,), 4, 1.0, seed=0)
    with pytest.raises(ValueError, match=re.escape("path has shape (3,), the state of made-up has (2,)")):
        attempt(mlem.BrownianPath(6, (3,), 4, 1.0, seed=0), START)
    with pytest.raises(ValueError, match="path runs to 2, the horizon of made-up is 1"):
        attempt(mlem.BrownianPath(6, (2,), 4, 2.0, seed=0), START)
    with pytest.raises(
        ValueError, match=re.escape("initial takes (6, 2) torch.float64, like the path, got (5, 2) torch.float64")
    ):
        attempt(path, START[:5])
    with pytest.raises(ValueError, match=re.escape("got (6, 2) torch.float32")):
        attempt(path, START.float())


@pytest.mark.parametrize(
    ("wrong", "got"),
    [
        (lambda x, t: x.float(), "(6, 2) torch.float32"),
        (lambda x, t: x[:, :1], "(6, 1) torch.float64"),
        (lambda x, t: x[:, 0], "(6,) torch.float64"),
        (lambda x, t: x[:1], "(1, 2) torch.float64"),
        (lambda x, t: x.sum(), "() torch.float64"),
    ],
)
def test_a_drift_must_be_like_the_state(wrong: Drift, got: str) -> None:
    """Even where broadcasting would make a state of the right shape of it."""
    path = mlem.BrownianPath(6, (2,), 4, 1.0, seed=0)
    words = f"the drift must return a tensor like x, (6, 2) torch.float64, got {got} at t = 0"
    with pytest.raises(ValueError, match=re.escape(words)):
        mlem.euler_maruyama(problem(), wrong, steps=4, path=path, initial=START)


@pytest.mark.parametrize("scheme", SCHEMES[1:])
def test_a_level_that_changes_its_mind_is_caught(scheme: str) -> None:
    """Levels are tried once, in float64 at t = 0; what they return later is looked at as well."""
    double: Drift = lambda x, t: x.double()  # noqa: E731
    late: Drift = lambda x, t: x if t < 0.5 else x.float()  # noqa: E731
    with pytest.raises(ValueError, match=r"must return a tensor like x, \(\d, 2\) torch.float32, got \(\d, 2\) torch.float64"):
        solve(scheme, [still, double], START.float())
    with pytest.raises(ValueError, match=r"must return a tensor like x, \(\d, 2\) torch.float64, got \(\d, 2\) torch.float32"):
        solve(scheme, [still, late], START)


def test_a_solution_says_what_it_cost() -> None:
    solution = solve("em", [pull], START)
    assert solution.cost == 64.0
    assert solution.evaluations.tolist() == [64.0]
    assert solution.seconds == solution.ledger.seconds > 0
    assert dataclasses.is_dataclass(solution)
