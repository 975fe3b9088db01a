"""Networks that need no training: the best denoiser of pictures whose pixels are independent normals, which is linear."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from mlem.images.diffusion import Denoise, alpha_of


def denoiser(variance: float | Tensor, error: float = 0.0) -> Denoise:
    """E[x_0 | y] for pixels of mean 0 and ``variance``, off by ``error`` everywhere."""

    def denoise(y: Tensor, sigma: float) -> Tensor:
        alpha = alpha_of(sigma)
        kept = alpha**2 * torch.as_tensor(variance, dtype=y.dtype)
        return alpha * torch.as_tensor(variance, dtype=y.dtype) / (kept + 1 - alpha**2) * y + error

    return denoise


def exact_end(y: Tensor, variance: float | Tensor, sigma_begin: float, sigma_end: float) -> Tensor:
    """Where the probability-flow ODE takes y: y/α grows and shrinks with its own standard deviation √(variance + σ²)."""

    def spread(sigma: float) -> Tensor:
        return torch.sqrt(torch.as_tensor(variance, dtype=y.dtype) + sigma**2)

    return y * alpha_of(sigma_end) / alpha_of(sigma_begin) * spread(sigma_end) / spread(sigma_begin)


def rms(x: Tensor) -> float:
    """Root mean square."""
    return math.sqrt(float(x.square().mean()))
