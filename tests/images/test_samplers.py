import math

import pytest
import torch

from mlem.errors import NonFiniteStep
from mlem.images.diffusion import Schedule
from mlem.images.samplers import SAMPLERS, sample
from tests.images.gaussian import denoiser, exact_end, rms

SCHEDULE = Schedule()
HIGHEST = {"ddim": 157.407, "heun": 157.407, "dpm++": 157.407}  # σ of DDPM's last step, where schedulers begin
VARIANCE = torch.tensor([0.04, 0.25, 1.0], dtype=torch.float64)


def error(name: str, evaluations: int) -> float:
    y = torch.randn(32, 3, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    end = sample(name, denoiser(VARIANCE), SCHEDULE, y, evaluations=evaluations)
    return rms(end - exact_end(y, VARIANCE, HIGHEST[name], SCHEDULE.sigma_low))


@pytest.mark.parametrize(("name", "order"), [("ddim", 1), ("heun", 2), ("dpm++", 2)])
def test_samplers_end_where_the_flow_does_at_their_order(name: str, order: int) -> None:
    coarse, fine = error(name, 100), error(name, 200)
    assert fine < 0.01
    assert order - 0.25 < math.log2(coarse / fine) < order + 0.35


@pytest.mark.parametrize("name", SAMPLERS)
def test_the_network_is_called_as_often_as_said(name: str) -> None:
    calls, told = [], []
    best = denoiser(0.25)

    def counted(y: torch.Tensor, sigma: float) -> torch.Tensor:
        calls.append(sigma)
        return best(y, sigma)

    sample(name, counted, SCHEDULE, torch.zeros(1, 3), evaluations=20, report=told.append)
    assert len(calls) == len(told) == 20
    assert told[-1] == 1.0
    assert calls[0] == pytest.approx(157.4, rel=1e-3)
    assert min(calls) > 0


@pytest.mark.parametrize(
    ("name", "evaluations", "takes"),
    [("ddim", 7, "divisor of 1000"), ("heun", 5, "even number"), ("dpm++", 1, "from 2 to"), ("euler", 10, "ddim, heun")],
)
def test_what_a_sampler_cannot_do_is_said(name: str, evaluations: int, takes: str) -> None:
    with pytest.raises(ValueError, match=takes):
        sample(name, denoiser(0.25), SCHEDULE, torch.zeros(1, 3), evaluations=evaluations)


def test_a_network_that_leaves_the_finite_numbers_is_caught_at_its_step() -> None:
    def broken(y: torch.Tensor, sigma: float) -> torch.Tensor:
        return torch.full_like(y, math.nan) if sigma < 1 else torch.zeros_like(y)

    with pytest.raises(NonFiniteStep):
        sample("dpm++", broken, SCHEDULE, torch.zeros(1, 3), evaluations=10)
