import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlem.brownian import BrownianPath
from mlem.diffusion import VariancePreserving
from mlem.images.diffusion import Schedule, alpha_of
from mlem.sde import SDE, no_noise
from mlem.solvers import euler_maruyama
from tests.images.gaussian import denoiser, exact_end, rms

TIMES = st.floats(min_value=0.01, max_value=0.99)


def sde_of(schedule: Schedule, variance: float, *, ode: bool) -> SDE:
    drift = schedule.drift(denoiser(variance), ode=ode)
    return SDE("gaussian", "", (4,), 1.0, drift, schedule.noise(ode=ode), start=lambda z, u: z)


def test_noise_falls_from_the_highest_to_the_lowest() -> None:
    schedule = Schedule()
    assert schedule.sigma(0.0) == pytest.approx(schedule.sigma_high)
    assert schedule.sigma(1.0) == pytest.approx(schedule.sigma_low)


@given(TIMES)
def test_the_rate_is_what_makes_the_noise_grow(t: float) -> None:
    schedule, d = Schedule(), 1e-5
    slope = (math.log1p(schedule.sigma(t + d) ** 2) - math.log1p(schedule.sigma(t - d) ** 2)) / (2 * d)
    assert schedule.rate(t) == pytest.approx(-slope, rel=1e-4)


@given(st.floats(min_value=0.0, max_value=1.0))
def test_timesteps_are_those_of_the_variance_preserving_diffusion(tau: float) -> None:
    schedule = Schedule()
    alpha = VariancePreserving(schedule.beta_low, schedule.beta_high).alpha(tau)
    sigma = math.sqrt(max(0.0, 1 / alpha**2 - 1))
    assert schedule.timestep(sigma) == pytest.approx(1000 * tau, abs=0.02)
    found = schedule.timestep(torch.tensor([sigma], dtype=torch.float64))
    assert float(found) == pytest.approx(schedule.timestep(sigma), abs=1e-6)


@pytest.mark.parametrize("variance", [0.05, 0.5, 3.0])
def test_the_flow_ends_where_mathematics_says_and_at_first_order(variance: float) -> None:
    schedule = Schedule()
    sde = sde_of(schedule, variance, ode=True)
    assert sde.noise is no_noise
    y = torch.randn(16, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    end = exact_end(y, variance, schedule.sigma_high, schedule.sigma_low)
    errors = []
    for steps in (64, 256):
        path = BrownianPath(16, (4,), steps, 1.0, 0)
        errors.append(rms(euler_maruyama(sde, sde.drift, steps=steps, path=path, initial=y).final - end))
    assert errors[1] < 0.01
    assert 3.0 < errors[0] / errors[1] < 5.0


def test_the_sde_draws_the_data_law_and_half_its_score_would_not() -> None:
    schedule, variance, paths = Schedule(), 0.3, 4000
    path = BrownianPath(paths, (4,), 256, 1.0, 1)
    sde = sde_of(schedule, variance, ode=False)
    wanted = alpha_of(schedule.sigma_low) ** 2 * (variance + schedule.sigma_low**2)

    def z(drift_of: SDE) -> float:
        end = euler_maruyama(sde, drift_of.drift, steps=256, path=path, initial=sde.initial(paths, 1)).final
        return (float(end.square().mean()) / wanted - 1.0) / math.sqrt(2.0 / end.numel())

    wrong = sde_of(schedule, variance, ode=True)  # the ODE's drift with the SDE's noise
    assert abs(z(sde)) < 5
    assert abs(z(wrong)) > 10


@pytest.mark.parametrize(("name", "value"), [("sigma_low", 0.0), ("sigma_high", 0.001), ("beta_low", -1.0), ("rho", 0.5)])
def test_bad_schedules_are_named(name: str, value: float) -> None:
    with pytest.raises(ValueError, match=name):
        Schedule(**{name: value})
