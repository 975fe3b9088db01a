"""The usual samplers of the probability-flow ODE, from diffusers' schedulers, on the same network and from the same noise.

DDIM (Song et al. 2021), Heun's method (Karras et al. 2022) and DPM-Solver++(2M) (Lu et al. 2022): what ML-EM has to stand
beside. All end at the lowest noise level of DDPM's schedule, σ = 0.01. There diffusers' schedulers would evaluate once more,
to get to σ = 0; that last step is left out, so that all methods end at the same noise level and no evaluation is wasted.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from mlem.checks import check_choice, check_integer
from mlem.errors import NonFiniteStep, first_bad_path
from mlem.images.diffusion import TIMESTEPS, Denoise, Schedule, alpha_of
from mlem.march import Report

SAMPLERS = {"ddim": "DDIM", "heun": "Heun", "dpm++": "DPM-Solver++(2M)"}


@torch.no_grad()
def sample(
    name: str,
    denoise: Denoise,
    schedule: Schedule,
    initial: Float[Tensor, "batch *shape"],
    *,
    evaluations: int,
    report: Report | None = None,
) -> Float[Tensor, "batch *shape"]:
    """y at σ = 0.01 from ``initial`` noise, with exactly ``evaluations`` of the network.

    DDIM takes a divisor of 1000, as its scheduler's steps are whole numbers of DDPM's; Heun's method takes an even number, as
    it evaluates twice a step. Raises ValueError for other numbers and unknown samplers, NonFiniteStep where the state leaves
    the finite numbers.
    """
    check_integer("evaluations", evaluations, low=2, high=TIMESTEPS)
    scheduler = _scheduler(check_choice("sampler", name, tuple(SAMPLERS)), schedule, evaluations)
    x = initial * float(scheduler.init_noise_sigma)
    for n, timestep in enumerate(scheduler.timesteps[:evaluations]):
        y = scheduler.scale_model_input(x, timestep)
        sigma = _sigma(scheduler, n)
        epsilon = (y - alpha_of(sigma) * denoise(y, sigma)) / (sigma * alpha_of(sigma))
        x = scheduler.step(epsilon, timestep, x, return_dict=False)[0].to(initial.dtype)
        if (path := first_bad_path(x)) is not None:
            raise NonFiniteStep(step=n + 1, time=(n + 1) / evaluations, level=None, path=path, weight=1.0)
        if report:
            report((n + 1) / evaluations)
    return x * alpha_of(float(scheduler.sigmas[-2])) if name == "heun" else x  # Heun's scheduler works on y/α


def _scheduler(name: str, schedule: Schedule, evaluations: int) -> Any:
    """The scheduler, set for its steps: the first ``evaluations`` of its timesteps are to be taken."""
    from diffusers import DDIMScheduler, DPMSolverMultistepScheduler, HeunDiscreteScheduler  # takes seconds

    noise = {
        "num_train_timesteps": TIMESTEPS,
        "beta_start": schedule.beta_low / TIMESTEPS,
        "beta_end": schedule.beta_high / TIMESTEPS,
        "beta_schedule": "linear",
    }
    if name == "ddim":
        if TIMESTEPS % evaluations:
            raise ValueError(f"evaluations takes a divisor of {TIMESTEPS} for DDIM, got {evaluations}")
        scheduler = DDIMScheduler(**noise, timestep_spacing="trailing", clip_sample=False, set_alpha_to_one=False)
        scheduler.set_timesteps(evaluations)
    elif name == "heun":
        if evaluations % 2:
            raise ValueError(f"evaluations takes an even number for Heun's method, got {evaluations}")
        scheduler = HeunDiscreteScheduler(**noise, use_karras_sigmas=True)
        scheduler.set_timesteps(evaluations // 2 + 1)
    else:
        scheduler = DPMSolverMultistepScheduler(
            **noise, use_karras_sigmas=True, algorithm_type="dpmsolver++", solver_order=2, final_sigmas_type="sigma_min"
        )
        scheduler.set_timesteps(evaluations + 1)
    return scheduler


def _sigma(scheduler: Any, n: int) -> float:
    """σ at which the scheduler wants evaluation ``n`` of the network."""
    if not hasattr(scheduler, "sigmas"):  # DDIM's, which keeps α² instead
        kept = float(scheduler.alphas_cumprod[int(scheduler.timesteps[n])])
        return ((1.0 - kept) / kept) ** 0.5
    return float(scheduler.sigmas[n])
