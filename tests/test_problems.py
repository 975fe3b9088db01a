from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import pytest
import torch
from scipy.integrate import solve_ivp
from torch import Tensor

import mlem
from mlem.diffusion import VariancePreserving
from mlem.problems import MAX_DIMENSION

NAMES = mlem.problems.names()
VP = VariancePreserving()
ZScore = Callable[[Tensor, float], float]


def euler(sde: mlem.SDE, steps: int, batch: int, seed: int = 1, fine: int | None = None) -> Tensor:
    path = mlem.BrownianPath(batch, sde.shape, fine or steps, sde.horizon, seed)
    return mlem.euler_maruyama(sde, sde.drift, steps=steps, path=path, initial=sde.initial(batch, seed)).final


def moments_z(sde: mlem.SDE, samples: Tensor, t: float) -> tuple[float, float]:
    """The largest |z| of the means and of the variances; fourth moments are estimated."""
    assert sde.moments is not None
    mean, variance = sde.moments(t)
    root_n = len(samples) ** 0.5
    centred = samples - mean
    squares = centred.square()
    z_mean = (centred.mean(0) / (variance.sqrt() / root_n)).abs().max()
    return float(z_mean), float(((squares.mean(0) - variance) / (squares.std(0) / root_n)).abs().max())


def test_the_newcomers_order_begins_with_one_that_shows_the_gain() -> None:
    assert NAMES[:3] == ["forced-ou", "ornstein-uhlenbeck", "double-well"]
    assert len(set(NAMES)) == len(NAMES) == 10


@pytest.mark.parametrize("name", NAMES)
def test_problems_are_what_they_say(name: str) -> None:
    sde = mlem.problems.get(name)
    assert sde.name == name
    assert mlem.problems.get(name) is sde
    assert sde.title
    assert sde.horizon > 0
    x = sde.initial(7, 0)
    before = x.clone()
    for dtype in (torch.float32, torch.float64):
        for t in (0.0, 0.3 * sde.horizon, sde.horizon):
            f = sde.drift(x.to(dtype), t)
            assert f.shape == x.shape
            assert f.dtype == dtype
            assert bool(torch.isfinite(f).all())
            torch.testing.assert_close(f.double(), sde.drift(x, t), rtol=1e-4, atol=1e-4)
            assert sde.noise(t) >= 0
    assert torch.equal(x, before)
    assert len(sde.view) == len(sde.axes)
    assert all(0 <= i < sde.numel for i in sde.view)
    assert ("ode" in name or "flow" in name) == all(sde.noise(t) == 0 for t in np.linspace(0, sde.horizon, 9))


@pytest.mark.parametrize("name", NAMES)
def test_problems_run_on_every_device(name: str, device: str) -> None:
    sde = mlem.problems.get(name)

    def end(where: str) -> Tensor:
        path = mlem.BrownianPath(6, sde.shape, 252 * 10, sde.horizon, 1, device=where)
        return mlem.euler_maruyama(sde, sde.drift, steps=252, path=path, initial=sde.initial(6, 1, device=where)).final

    assert end(device).device.type == device
    torch.testing.assert_close(end(device).cpu(), end("cpu"), rtol=1e-6, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_states_stay_of_order_one_at_the_resolution_for_pilots(name: str) -> None:
    sde = mlem.problems.get(name)
    rough, fine = (euler(sde, steps, 256, fine=4 * sde.resolution) for steps in (sde.resolution, 4 * sde.resolution))
    assert 0.05 < float(fine.square().mean().sqrt()) < 3
    assert mlem.strong_error(rough, fine).value < 0.5


LINEAR = {
    "ou": mlem.problems.ornstein_uhlenbeck(dim=2, rate=4.0, noise=0.7, start=-0.5),
    "forced-ou": mlem.problems.forced_ou(dim=2, rate=4.0, noise=0.7, start=0.5),
    "forced-ou-default": mlem.problems.forced_ou(),
}


@pytest.mark.parametrize("name", LINEAR)
def test_exact_solutions_have_the_exact_moments(name: str) -> None:
    """On two fine steps: what ΔW leaves open of ∫ e^(−λs) dW is drawn as well."""
    sde, n = LINEAR[name], 20_000
    assert sde.exact is not None
    path, x0 = mlem.BrownianPath(n, sde.shape, 2, sde.horizon, seed=9), sde.initial(n, 9)
    start, middle, end = sde.exact(path, x0, [0, 1, 2])
    assert torch.equal(start, x0)
    assert max(moments_z(sde, middle, 0.5)) < 5
    assert max(moments_z(sde, end, 1.0)) < 5
    rate = 4.0 if name != "forced-ou-default" else 1.0
    noise, h = (0.7, 0.5) if rate == 4.0 else (0.3, 0.5)
    a = -math.expm1(-rate * h) / (rate * h)
    b = (-math.expm1(-2 * rate * h) / (2 * rate) - a * a * h) ** 0.5
    first = next(mlem.BrownianPath(n, sde.shape, 2, sde.horizon, seed=9).bridge_normals())
    if rate == 4.0:  # at rate 1 the bridge has but 2 % of the variance
        assert moments_z(sde, middle - noise * b * first, 0.5)[1] > 10  # named wrong implementation: ΔW alone
    late = sde.exact(path, x0, [1])[0]
    assert max(moments_z(sde, late, 1.0)) > 10  # named wrong implementation: a step early


def test_the_exact_moments_of_ou_are_the_textbook_ones() -> None:
    sde = mlem.problems.ornstein_uhlenbeck(dim=2, rate=2.0, noise=0.6, horizon=3.0, start=1.5)
    assert sde.moments is not None
    mean, variance = sde.moments(0.7)
    assert mean.tolist() == pytest.approx([1.5 * math.exp(-1.4)] * 2)
    assert variance.tolist() == pytest.approx([0.36 / 4 * (1 - math.exp(-2.8))] * 2)


@pytest.mark.parametrize("name", LINEAR)
def test_exact_moments_obey_their_equations(name: str) -> None:
    """m' = f(m, t), v' = −2λv + σ²."""
    sde = LINEAR[name]
    assert sde.moments is not None
    rate, noise = (1.0, 0.3) if name == "forced-ou-default" else (4.0, 0.7)
    for t in (0.1, 0.35, 0.8):
        (m0, v0), (m1, v1), (m, v) = sde.moments(t - 1e-5), sde.moments(t + 1e-5), sde.moments(t)
        torch.testing.assert_close((m1 - m0) / 2e-5, sde.drift(m[None], t)[0], rtol=1e-5, atol=1e-6)
        torch.testing.assert_close((v1 - v0) / 2e-5, noise**2 - 2 * rate * v, rtol=1e-5, atol=1e-8)


@pytest.mark.parametrize("name", LINEAR)
def test_exact_solutions_are_the_limit_of_euler_maruyama(name: str) -> None:
    """On the same path, of order h: halving the step halves the distance."""
    sde = LINEAR[name]
    assert sde.exact is not None
    path, x0 = mlem.BrownianPath(200, sde.shape, 2048, sde.horizon, seed=2), sde.initial(200, 2)
    exact = sde.exact(path, x0, [1024, 2048])
    for index, t in enumerate((0.5, 1.0)):
        errors = []
        for steps in (1024, 2048):
            run = mlem.euler_maruyama(sde, sde.drift, steps=steps, path=path, initial=x0, save=[round(steps * t)])
            assert run.states is not None
            errors.append(mlem.strong_error(run.states[0], exact[index]).value)
        assert errors[1] < 0.01
        assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.15)


@pytest.mark.parametrize("sde", [LINEAR["forced-ou"], mlem.problems.get("gaussian-flow")], ids=["forced-ou", "gaussian-flow"])
def test_exact_solutions_are_given_where_asked(sde: mlem.SDE) -> None:
    assert sde.exact is not None
    path, x0 = mlem.BrownianPath(5, sde.shape, 16, sde.horizon, seed=9), sde.initial(5, 9)
    every = sde.exact(path, x0, range(17))
    assert every.shape == (17, 5, *sde.shape)
    torch.testing.assert_close(every[0], x0, rtol=1e-14, atol=0)
    some = sde.exact(path, x0, [16, 3, 3])
    assert torch.equal(some, every[[3, 16]])
    for index in (-1, 17, True):
        with pytest.raises(ValueError, match=f"indices takes an integer from 0 to 16, got {index}"):
            sde.exact(path, x0, [index])


def test_exact_solutions_take_single_precision() -> None:
    sde = LINEAR["forced-ou"]
    assert sde.exact is not None
    ends = []
    for dtype in (torch.float32, torch.float64):
        path = mlem.BrownianPath(5, sde.shape, 16, sde.horizon, seed=9, dtype=dtype)
        ends.append(sde.exact(path, sde.initial(5, 9, dtype=dtype), [16]))
        assert ends[-1].dtype == dtype
    torch.testing.assert_close(ends[0].double(), ends[1], rtol=0, atol=1e-5)


@pytest.mark.parametrize("name", ["gaussian-diffusion", "gaussian-flow", "mixture-diffusion", "mixture-flow"])
def test_diffusions_begin_and_end_with_their_moments(name: str) -> None:
    """By simulation. Euler–Maruyama's weak error is of order h; 2φ(X_{h/2}) − φ(X_h) on the same path leaves h² of it, which at
    h/2 = 1/800 is some 10⁻⁴, below the deviation of a mean of 4000 paths."""
    options = {"dim": 4} if "gaussian" in name else {}
    sde, n = mlem.problems.get(name, **options), 4000
    assert sde.moments is not None
    assert max(moments_z(sde, sde.initial(20_000, 3), 0.0)) < 5
    rough, fine = euler(sde, 400, n, fine=800), euler(sde, 800, n)
    mean, variance = sde.moments(1.0)

    def z(powers: int) -> float:
        samples = 2 * (fine - mean) ** powers - (rough - mean) ** powers
        expected = variance if powers == 2 else torch.zeros_like(mean)
        return float(((samples.mean(0) - expected) / (samples.std(0) / n**0.5)).abs().max())

    assert z(1) < 5
    assert z(2) < 5
    start = sde.initial(n, 1)  # named wrong implementation: a drift that leaves the noise as it is
    assert moments_z(sde, start, 1.0)[1] > 10


@pytest.mark.parametrize("dim", [2, 16])
def test_the_gaussian_flow_has_its_exact_solution(dim: int) -> None:
    sde = mlem.problems.gaussian_diffusion(dim=dim, ode=True)
    assert sde.exact is not None
    path, x0 = mlem.BrownianPath(20, sde.shape, 2000, sde.horizon, seed=2), sde.initial(20, 2)
    exact = sde.exact(path, x0, [2000])[0]
    errors = [mlem.strong_error(euler(sde, steps, 20, seed=2), exact).value for steps in (1000, 2000)]
    assert errors[1] < 2e-3
    assert errors[0] / errors[1] == pytest.approx(2.0, abs=0.05)


def test_the_gaussian_spectrum_falls_with_its_decay() -> None:
    sde = mlem.problems.gaussian_diffusion(dim=3, decay=2.0)
    assert sde.moments is not None
    mean, variance = sde.moments(1.0)
    assert mean.tolist() == [0.0] * 3
    assert variance.tolist() == pytest.approx([1.0, 1 / 4, 1 / 9])
    assert sde.exact is None


@pytest.mark.parametrize("ode", [False, True])
@pytest.mark.parametrize("modes", [1, 2, 5])
@pytest.mark.parametrize("t", [0.0, 0.4, 0.9, 1.0])
def test_the_score_of_the_mixture_is_the_gradient_of_its_log_density(modes: int, ode: bool, t: float) -> None:
    sde, spread = mlem.problems.mixture_diffusion(modes=modes, spread=0.3, ode=ode), 0.3
    x = (2 * torch.randn(50, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)).requires_grad_()
    tau = 1 - t
    variance, beta = VP.variance(tau, spread**2), VP.beta(tau)
    angles = torch.arange(modes, dtype=torch.float64) * 2 * math.pi / modes
    centres = VP.alpha(tau) * torch.stack((angles.cos(), angles.sin()), dim=1)
    density = torch.logsumexp(-(x[:, None] - centres).square().sum(2) / (2 * variance), dim=1)
    (score,) = torch.autograd.grad(density.sum(), x)
    share = 0.5 if ode else 1.0
    torch.testing.assert_close(sde.drift(x.detach(), t), (0.5 * beta * x + share * beta * score).detach(), rtol=1e-9, atol=1e-9)


def test_the_mixture_ends_on_its_ring() -> None:
    sde = mlem.problems.mixture_diffusion(modes=4, spread=0.1)
    end = euler(sde, 800, 2000)
    angles = torch.arange(4, dtype=torch.float64) * math.pi / 2
    centres = torch.stack((angles.cos(), angles.sin()), dim=1)
    distance, mode = torch.cdist(end, centres).min(1)
    assert float((distance < 0.5).double().mean()) > 0.995
    share = torch.bincount(mode, minlength=4) / 2000
    assert float(((share - 0.25) / (0.25 * 0.75 / 2000) ** 0.5).abs().max()) < 5


@pytest.mark.parametrize("scale", [0.005, 1.0])
def test_muller_browns_drift_is_minus_the_gradient(scale: float) -> None:
    sde = mlem.problems.muller_brown(scale=scale)
    x = torch.stack(torch.meshgrid(torch.linspace(-1.5, 1.2, 9), torch.linspace(-0.3, 2.0, 9), indexing="ij"), dim=-1)
    x = x.double().flatten(0, 1).requires_grad_()
    total = torch.zeros(len(x), dtype=torch.float64)
    for height, a, b, c, x0, y0 in (
        (-200, -1, 0, -10, 1, 0),
        (-100, -1, 0, -10, 0, 0.5),
        (-170, -6.5, 11, -6.5, -0.5, 1.5),
        (15, 0.7, 0.6, 0.7, -1, 1),
    ):
        dx, dy = x[:, 0] - x0, x[:, 1] - y0
        total = total + height * torch.exp(a * dx**2 + b * dx * dy + c * dy**2)
    (gradient,) = torch.autograd.grad(total.sum(), x)
    torch.testing.assert_close(sde.drift(x.detach(), 0.0), -scale * gradient, rtol=1e-10, atol=1e-12)
    minimum = torch.tensor([[0.6235, 0.0280]], dtype=torch.float64)  # the lower right well, as published
    assert float(sde.drift(minimum, 0.0).abs().max()) < 0.5 * scale


def test_the_double_well_falls_to_plus_or_minus_one() -> None:
    sde = mlem.problems.double_well(dim=3, noise=0.0, horizon=20.0)
    assert sde.shape == (3,)
    x = torch.linspace(-2, 2, 9, dtype=torch.float64)[:, None]
    torch.testing.assert_close(sde.drift(x, 0.0), x - x**3)
    end = euler(sde, 2000, 100)
    torch.testing.assert_close(end, torch.sign(sde.initial(100, 1)), rtol=0, atol=1e-6)


def test_lorenz_is_the_system_of_1963_in_units_of_20() -> None:
    def lorenz(t: float, s: np.ndarray) -> np.ndarray:
        x, y, z = s
        return np.array([10 * (y - x), x * (28 - z) - y, x * y - 8 / 3 * z])

    ode = mlem.problems.get("lorenz-ode")
    x = torch.linspace(-1.5, 1.5, 30, dtype=torch.float64).view(10, 3)
    expected = torch.tensor(np.array([lorenz(0.0, 20 * row) / 20 for row in x.numpy()]))
    torch.testing.assert_close(ode.drift(x, 0.0), expected)
    x0 = ode.initial(1, 0)
    exact = solve_ivp(lorenz, (0, ode.horizon), 20 * x0[0].numpy(), rtol=1e-10, atol=1e-10).y[:, -1] / 20
    ends = []
    for steps in (5000, 10_000):
        path = mlem.BrownianPath(1, (3,), steps, ode.horizon, seed=0)
        ends.append(mlem.euler_maruyama(ode, ode.drift, steps=steps, path=path, initial=x0).final[0].numpy())
    np.testing.assert_allclose(2 * ends[1] - ends[0], exact, atol=1e-4)


def test_lorenz_without_noise_is_the_ode() -> None:
    ode, quiet = mlem.problems.get("lorenz-ode"), mlem.problems.lorenz(noise=0.0)
    assert quiet.name == ode.name == "lorenz-ode"
    assert torch.equal(euler(ode, 500, 10), euler(quiet, 500, 10))
    x0 = ode.initial(4, 0)
    ends = [
        mlem.euler_maruyama(
            ode, ode.drift, steps=100, path=mlem.BrownianPath(4, (3,), 100, ode.horizon, seed), initial=x0
        ).final
        for seed in (0, 1)
    ]
    assert torch.equal(*ends)
    assert mlem.problems.get("lorenz").noise(0.0) == 0.2


def test_options_change_a_problem() -> None:
    sde = mlem.problems.get("ornstein-uhlenbeck", dim=3, rate=2.0)
    assert sde.shape == (3,)
    assert sde is mlem.problems.get("ornstein-uhlenbeck", dim=3, rate=2.0)
    x = torch.ones(1, 3, dtype=torch.float64)
    assert sde.drift(x, 0.0).tolist() == [[-2.0] * 3]
    assert mlem.problems.get("mixture-flow", modes=3).noise(0.5) == 0.0


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("brownian", {}, "sde takes one of forced-ou, ornstein-uhlenbeck, .*, got 'brownian'"),
        ("double-well", {"rate": 1.0}, "rate is not an option of double-well, which takes dim, noise, horizon"),
        ("mixture-flow", {"ode": False}, "ode is not an option of mixture-flow, which takes modes, spread"),
        ("ornstein-uhlenbeck", {"dim": 0}, f"dim takes an integer from 1 to {MAX_DIMENSION}, got 0"),
        ("ornstein-uhlenbeck", {"dim": True}, f"dim takes an integer from 1 to {MAX_DIMENSION}, got True"),
        ("gaussian-diffusion", {"dim": MAX_DIMENSION + 1}, f"dim takes an integer from 1 to {MAX_DIMENSION}, got 1025"),
        ("ornstein-uhlenbeck", {"rate": 0.0}, "rate takes a number > 0, got 0"),
        ("ornstein-uhlenbeck", {"noise": -0.1}, "noise takes a number ≥ 0, got -0.1"),
        ("ornstein-uhlenbeck", {"start": math.inf}, "start takes a number, got inf"),
        ("forced-ou", {"horizon": -1.0}, "horizon takes a number > 0, got -1"),
        ("forced-ou", {"amplitude": math.nan}, "amplitude takes a number, got nan"),
        ("forced-ou", {"frequency": 0.0}, "frequency takes a number > 0, got 0"),
        ("double-well", {"noise": -1.0}, "noise takes a number ≥ 0, got -1"),
        ("muller-brown", {"scale": 0.0}, "scale takes a number > 0, got 0"),
        ("lorenz", {"noise": -1.0}, "noise takes a number ≥ 0, got -1"),
        ("mixture-diffusion", {"modes": 65}, "modes takes an integer from 1 to 64, got 65"),
        ("mixture-diffusion", {"spread": 0.0}, "spread takes a number > 0, got 0"),
        ("gaussian-diffusion", {"decay": -1.0}, "decay takes a number ≥ 0, got -1"),
    ],
)
def test_bad_options_are_named(name: str, options: dict[str, float], words: str) -> None:
    if options == {"dim": True}:
        mlem.problems.get(name, dim=1)  # equal to True, and remembered
    with pytest.raises(ValueError, match=words):
        mlem.problems.get(name, **options)
