"""The toy SDEs. Each is a function of its options that returns an :class:`mlem.SDE`; ``get`` finds one by name.

Every problem has additive noise, states of order one, and its exact solution or moments where mathematics gives them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import lru_cache
from inspect import signature
from itertools import islice

import torch
from jaxtyping import Float
from torch import Tensor

from mlem.brownian import BrownianPath
from mlem.checks import check_choice, check_integer, check_number, check_positive
from mlem.diffusion import VariancePreserving
from mlem.sde import SDE, Exact, Moments, constant

MAX_DIMENSION = 1024


def names() -> list[str]:
    """The names that ``get`` knows, in the order in which a newcomer should meet them."""
    return list(_PROBLEMS)


def options(name: str) -> tuple[str, ...]:
    """The options that ``get`` takes for the problem ``name``. Raises ValueError for an unknown name."""
    return tuple(signature(_PROBLEMS[check_choice("sde", name, names())]).parameters)


def get(name: str, **given: float | int | bool) -> SDE:
    """The problem ``name``. Equal calls return the same object. Raises ValueError for an unknown name or option."""
    known = options(name)
    for option in given:
        if option not in known:
            raise ValueError(f"{option} is not an option of {name}, which takes {', '.join(known)}")
    return _make(name, **given)


@lru_cache(maxsize=256, typed=True)  # typed: True is not a dimension, though it equals 1
def _make(name: str, **given: float | int | bool) -> SDE:
    return _PROBLEMS[name](**given)


def ornstein_uhlenbeck(dim: int = 1, rate: float = 1.0, noise: float = 0.5, horizon: float = 1.0, start: float = 1.0) -> SDE:
    """dX = −rate·X dt + noise·dW from X_0 = start. Exact solution and moments."""
    return _linear("ornstein-uhlenbeck", "Ornstein–Uhlenbeck", dim, rate, noise, horizon, start, 0.0, 1.0, resolution=60)


def forced_ou(
    dim: int = 1,
    rate: float = 1.0,
    noise: float = 0.3,
    horizon: float = 1.0,
    start: float = 0.0,
    amplitude: float = 10.0,
    frequency: float = 7.0 * math.pi,
) -> SDE:
    """dX = (−rate·X + amplitude·cos(frequency·t)) dt + noise·dW: a fast oscillation, on which Euler–Maruyama needs many
    steps. With the default frequency the horizon falls half-way through a swing, so that the error at T does not cancel over
    whole periods. Exact solution and moments."""
    return _linear(
        "forced-ou", "Forced, fast-oscillating OU", dim, rate, noise, horizon, start, amplitude, frequency, resolution=252
    )


def _linear(
    name: str,
    title: str,
    dim: int,
    rate: float,
    noise: float,
    horizon: float,
    start: float,
    amplitude: float,
    frequency: float,
    *,
    resolution: int,
) -> SDE:
    """dX = (−λX + A cos ωt) dt + σ dW with λ = rate, A = amplitude, ω = frequency, σ = noise."""
    check_integer("dim", dim, high=MAX_DIMENSION)
    check_positive("rate", rate)
    check_number("noise", noise, low=0.0)
    check_positive("horizon", horizon)
    check_number("start", start)
    check_number("amplitude", amplitude)
    check_positive("frequency", frequency)

    def forced(t: float) -> float:  # the solution from 0 without noise
        decay = math.exp(-rate * t)
        swing = rate * (math.cos(frequency * t) - decay) + frequency * math.sin(frequency * t)
        return amplitude * swing / (rate**2 + frequency**2)

    def drift(x: Tensor, t: float) -> Tensor:
        if amplitude == 0.0:
            return x * -rate
        return torch.add(torch.scalar_tensor(amplitude * math.cos(frequency * t), dtype=x.dtype), x, alpha=-rate)

    def moments(t: float) -> tuple[Tensor, Tensor]:
        mean = math.exp(-rate * t) * start + forced(t)
        variance = noise**2 * -math.expm1(-2 * rate * t) / (2 * rate)
        return torch.full((dim,), mean, dtype=torch.float64), torch.full((dim,), variance, dtype=torch.float64)

    return SDE(
        name=name,
        title=title,
        shape=(dim,),
        horizon=horizon,
        drift=drift,
        noise=constant(noise),
        start=lambda z, u: torch.full_like(z, start),
        resolution=resolution,
        exact=_linear_solution(rate, noise, forced),
        moments=moments,
    )


def _linear_solution(rate: float, noise: float, forced: Callable[[float], float]) -> Exact:
    """X_t = e^(−λt) x_0 + forced(t) + σ ∫ e^(−λ(t−s)) dW_s on the given Brownian path.

    Over one fine step the integral and ΔW are jointly normal: ∫ e^(−λ(h−s)) dW = a ΔW + b ξ with a = (1 − e^(−λh))/(λh),
    b² = (1 − e^(−2λh))/(2λ) − a² h, and ξ independent of the path.
    """

    def exact(path: BrownianPath, x0: Tensor, indices: Sequence[int]) -> Float[Tensor, "times batch *shape"]:
        h = path.horizon / path.steps
        a = -math.expm1(-rate * h) / (rate * h)
        b = math.sqrt(max(0.0, -math.expm1(-2 * rate * h) / (2 * rate) - a * a * h))
        increments = zip(path.stream(path.steps), path.bridge_normals(), strict=True)
        states, integral, n, decay = [], torch.zeros_like(x0), 0, math.exp(-rate * h)
        for index in _in_order(indices, path.steps):
            for dW, xi in islice(increments, index - n):
                integral.mul_(decay).add_(dW, alpha=noise * a).add_(xi, alpha=noise * b)
            n = index
            t = n * h
            states.append(math.exp(-rate * t) * x0 + forced(t) + integral)
        return torch.stack(states)

    return exact


def _in_order(indices: Sequence[int], steps: int) -> list[int]:
    """The fine steps asked of an exact solution, in order and each once."""
    return sorted({check_integer("indices", index, low=0, high=steps) for index in indices})


def double_well(dim: int = 1, noise: float = 0.5, horizon: float = 2.0) -> SDE:
    """dX = (X − X³) dt + noise·dW in each coordinate, from near the hill top at 0: small differences decide which well a path
    falls into, so the strong error is amplified. The drift grows like x³: rare large kicks can blow it up."""
    check_integer("dim", dim, high=MAX_DIMENSION)
    return SDE(
        name="double-well",
        title="Double well",
        shape=(dim,),
        horizon=check_positive("horizon", horizon),
        drift=lambda x, t: x - x * x * x,
        noise=constant(check_number("noise", noise, low=0.0)),
        start=lambda z, u: 0.1 * z,
    )


def muller_brown(noise: float = 0.5, horizon: float = 1.0, scale: float = 0.005) -> SDE:
    """dX = −scale·∇V(X) dt + noise·dW in the plane with the Müller–Brown potential V (Theor. Chim. Acta 53, 1979):
    three wells joined by a curved valley. Starts in the lower right well; a start on a saddle would make the strong error a
    matter of the few paths that fall to the other side."""
    depth = torch.tensor([-200.0, -100.0, -170.0, 15.0], dtype=torch.float64)
    a = torch.tensor([-1.0, -1.0, -6.5, 0.7], dtype=torch.float64)
    b = torch.tensor([0.0, 0.0, 11.0, 0.6], dtype=torch.float64)
    c = torch.tensor([-10.0, -10.0, -6.5, 0.7], dtype=torch.float64)
    centre = torch.tensor([[1.0, 0.0, -0.5, -1.0], [0.0, 0.5, 1.5, 1.0]], dtype=torch.float64)
    check_positive("scale", scale)

    def drift(x: Tensor, t: float) -> Tensor:
        d = x.unsqueeze(-1) - centre.to(x)  # (batch, 2, 4)
        dx, dy = d.unbind(1)
        a_, b_, c_ = a.to(x), b.to(x), c.to(x)
        wells = (-scale * depth).to(x) * torch.exp(a_ * dx * dx + b_ * dx * dy + c_ * dy * dy)
        return torch.stack(((wells * (2 * a_ * dx + b_ * dy)).sum(-1), (wells * (b_ * dx + 2 * c_ * dy)).sum(-1)), dim=1)

    return SDE(
        name="muller-brown",
        title="Müller–Brown potential",
        shape=(2,),
        horizon=check_positive("horizon", horizon),
        drift=drift,
        noise=constant(check_number("noise", noise, low=0.0)),
        start=lambda z, u: 0.1 * z + torch.tensor([0.62, 0.03], dtype=z.dtype),
        resolution=126,
        view=(0, 1),
        axes=("x", "y"),
    )


def lorenz(noise: float = 0.2, horizon: float = 0.7) -> SDE:
    """The Lorenz system (σ = 10, ρ = 28, β = 8/3) in units of 20, with noise·dW in each coordinate; noise 0 is the ODE."""
    check_number("noise", noise, low=0.0)

    def drift(x: Tensor, t: float) -> Tensor:
        a, b, c = x.unbind(-1)
        return torch.stack((10.0 * (b - a), a * (28.0 - 20.0 * c) - b, 20.0 * a * b - (8.0 / 3.0) * c), dim=-1)

    return SDE(
        name="lorenz" if noise else "lorenz-ode",
        title="Lorenz with noise" if noise else "Lorenz (ODE)",
        shape=(3,),
        horizon=check_positive("horizon", horizon),
        drift=drift,
        noise=constant(noise),
        start=lambda z, u: 0.05 * z + torch.tensor([-0.4, -0.4, 1.2], dtype=z.dtype),
        resolution=252,
        view=(0, 2),
        axes=("x/20", "z/20"),
    )


def mixture_diffusion(modes: int = 5, spread: float = 0.3, ode: bool = False) -> SDE:
    """A generative diffusion: noise at t = 0 becomes a ring of ``modes`` Gaussians in the plane at t = 1.

    Reverse-time variance-preserving diffusion with the exact score of the mixture, as an SDE, or with ``ode`` as the
    probability-flow ODE. Moments are exact at every t, since the start is drawn from the exact law.
    """
    check_integer("modes", modes, high=64)
    check_positive("spread", spread)
    vp = VariancePreserving()
    angles = torch.arange(modes, dtype=torch.float64) * (2 * math.pi / modes)
    centres = torch.stack((angles.cos(), angles.sin()), dim=1)  # (modes, 2)

    def score(x: Tensor, tau: float) -> Tensor:
        alpha, variance = vp.alpha(tau), vp.variance(tau, spread**2)
        m = alpha * centres.to(x)
        # softmax of −|x − m|²/2v over the modes; |x|² is common to all, and so is |m|²
        weight = torch.softmax((x @ m.T) / variance, dim=-1)
        return (weight @ m - x) / variance

    def start(z: Tensor, u: Tensor) -> Tensor:
        mode = (u * modes).long().clamp(max=modes - 1)
        return vp.alpha(1.0) * centres.to(z)[mode] + math.sqrt(vp.variance(1.0, spread**2)) * z

    def moments(t: float) -> tuple[Tensor, Tensor]:
        alpha = vp.alpha(1.0 - t)
        return alpha * centres.mean(0), vp.variance(1.0 - t, spread**2) + alpha**2 * centres.var(0, correction=0)

    return SDE(
        name="mixture-flow" if ode else "mixture-diffusion",
        title="Mixture diffusion (ODE)" if ode else "Mixture diffusion",
        shape=(2,),
        horizon=1.0,
        drift=vp.reverse_drift(score, ode),
        noise=vp.reverse_noise(ode),
        start=start,
        resolution=126,
        moments=moments,
        view=(0, 1),
        axes=("x", "y"),
    )


def gaussian_diffusion(dim: int = 16, decay: float = 1.0, ode: bool = False) -> SDE:
    """Reverse-time variance-preserving diffusion towards N(0, C) in R^dim, C diagonal with C_i = i^(−decay), like the
    spectrum of natural images. Moments are exact; the probability-flow ODE has an exact solution."""
    check_integer("dim", dim, high=MAX_DIMENSION)
    check_number("decay", decay, low=0.0)
    vp = VariancePreserving()
    spectrum = torch.arange(1, dim + 1, dtype=torch.float64) ** -decay

    def variance(tau: float) -> Tensor:
        return vp.variance(tau, spectrum)

    def score(x: Tensor, tau: float) -> Tensor:
        return x * (-1.0 / variance(tau)).to(x)

    def flow(path: BrownianPath, x0: Tensor, indices: Sequence[int]) -> Tensor:
        times = [n * path.horizon / path.steps for n in _in_order(indices, path.steps)]
        return torch.stack([x0 * (variance(1.0 - t) / variance(1.0)).sqrt().to(x0) for t in times])

    moments: Moments = lambda t: (torch.zeros(dim, dtype=torch.float64), variance(1.0 - t))  # noqa: E731
    return SDE(
        name="gaussian-flow" if ode else "gaussian-diffusion",
        title="Gaussian diffusion (ODE)" if ode else "Gaussian diffusion",
        shape=(dim,),
        horizon=1.0,
        drift=vp.reverse_drift(score, ode),
        noise=vp.reverse_noise(ode),
        start=lambda z, u: z * variance(1.0).sqrt().to(z),
        resolution=126,
        exact=flow if ode else None,
        moments=moments,
        axes=("X₁",),
    )


def mixture_flow(modes: int = 5, spread: float = 0.3) -> SDE:
    """:func:`mixture_diffusion` as probability-flow ODE."""
    return mixture_diffusion(modes, spread, ode=True)


def gaussian_flow(dim: int = 16, decay: float = 1.0) -> SDE:
    """:func:`gaussian_diffusion` as probability-flow ODE."""
    return gaussian_diffusion(dim, decay, ode=True)


def lorenz_ode(horizon: float = 0.7) -> SDE:
    """:func:`lorenz` without noise."""
    return lorenz(0.0, horizon)


_PROBLEMS: dict[str, Callable[..., SDE]] = {
    "forced-ou": forced_ou,
    "ornstein-uhlenbeck": ornstein_uhlenbeck,
    "double-well": double_well,
    "muller-brown": muller_brown,
    "mixture-diffusion": mixture_diffusion,
    "mixture-flow": mixture_flow,
    "gaussian-diffusion": gaussian_diffusion,
    "gaussian-flow": gaussian_flow,
    "lorenz": lorenz,
    "lorenz-ode": lorenz_ode,
}
