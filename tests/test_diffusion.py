from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlem.diffusion import VariancePreserving

PROCESSES = [VariancePreserving(), VariancePreserving(0.1, 20.0), VariancePreserving(1.0, 1.0)]
taus = st.floats(0.01, 0.99)


def slope(f: object, tau: float, step: float = 1e-5) -> float:
    return (f(tau + step) - f(tau - step)) / (2 * step)  # type: ignore[operator]


@pytest.mark.parametrize("vp", PROCESSES, ids=str)
@given(tau=taus)
def test_alpha_decays_at_half_of_beta(vp: VariancePreserving, tau: float) -> None:
    assert slope(vp.alpha, tau) == pytest.approx(-0.5 * vp.beta(tau) * vp.alpha(tau), rel=1e-6)


@pytest.mark.parametrize("vp", PROCESSES, ids=str)
def test_ends(vp: VariancePreserving) -> None:
    assert vp.alpha(0.0) == 1.0
    assert vp.beta(0.0) == vp.beta_low
    assert vp.beta(1.0) == pytest.approx(vp.beta_high)
    assert vp.alpha(1.0) == pytest.approx(math.exp(-(vp.beta_low + vp.beta_high) / 4))
    assert vp.variance(0.0, 0.25) == 0.25


@pytest.mark.parametrize("vp", PROCESSES, ids=str)
@given(tau=taus, data=st.floats(0.0, 4.0))
def test_variance_follows_its_equation(vp: VariancePreserving, tau: float, data: float) -> None:
    """v' = β(1 − v); variance 1 is preserved."""
    v = vp.variance(tau, data)
    assert slope(lambda s: vp.variance(s, data), tau) == pytest.approx(vp.beta(tau) * (1 - v), rel=1e-5, abs=1e-8)
    assert v == pytest.approx(vp.alpha(tau) ** 2 * data + 1 - vp.alpha(tau) ** 2)
    assert vp.variance(tau, 1.0) == 1.0
    tensor = vp.variance(tau, torch.tensor([data, 1.0], dtype=torch.float64))
    assert tensor.tolist() == pytest.approx([v, 1.0])


@pytest.mark.parametrize("vp", PROCESSES, ids=str)
@given(t=taus, data=st.floats(0.1, 4.0))
def test_the_reversal_undoes_the_diffusion(vp: VariancePreserving, t: float, data: float) -> None:
    """For Gaussian data the score is −x/v, the reverse drift a factor a of x, and the variance must run back: for the SDE
    v' = 2av + β, for the ODE v' = 2av, with v' = −β(1 − v) in reverse time."""
    tau = 1 - t
    v = vp.variance(tau, data)
    x = torch.ones(1, 1, dtype=torch.float64)
    backwards = -vp.beta(tau) * (1 - v)
    a = float(vp.reverse_drift(lambda x, s: -x / vp.variance(s, data), ode=False)(x, t))
    s = vp.reverse_noise(ode=False)(t)
    assert 2 * a * v + s**2 == pytest.approx(backwards, abs=1e-9)
    a = float(vp.reverse_drift(lambda x, s: -x / vp.variance(s, data), ode=True)(x, t))
    assert 2 * a * v == pytest.approx(backwards, abs=1e-9)
    assert vp.reverse_noise(ode=True)(t) == 0.0


def test_the_state_is_left_as_it_was() -> None:
    x = torch.ones(2, 3, dtype=torch.float64)
    VariancePreserving().reverse_drift(lambda x, s: -x, ode=False)(x, 0.5)
    assert torch.equal(x, torch.ones(2, 3, dtype=torch.float64))
