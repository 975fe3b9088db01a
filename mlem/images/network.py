"""Networks that denoise: diffusers' UNet2DModel as the body, in a thin wrapper that says what its output means.

Preconditioned networks (Karras et al. 2022, table 1) see patches of the picture as channels, so that small ones are cheap, and
let the noise pass round the network: without that a narrow one cannot even return its input.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from jaxtyping import Float
from torch import Tensor, nn
from torch.nn.functional import pixel_shuffle, pixel_unshuffle
from torch.utils.flop_counter import FlopCounterMode

from mlem.checks import check_choice
from mlem.images.diffusion import TIMESTEPS, Schedule

if TYPE_CHECKING:
    from diffusers import UNet2DModel

SIGMA_DATA = 0.5
"""Standard deviation of a pixel of the data, in [−1, 1]."""

SPECTRUM = (130.0, 2.8)
"""S(f) = 130 (1 + f²)^−1.4: power at f cycles per picture of 64 × 64 pixels, as measured on faces, and much alike on all
natural pictures. The transform is orthonormal."""

PARAMETRISATIONS = ("wiener", "edm", "epsilon")


@dataclass(frozen=True)
class Shape:
    """The shape of a preconditioned network: ``patch`` × ``patch`` pixels become channels, then ``channels`` at each depth."""

    patch: int
    channels: tuple[int, ...]
    blocks: int = 1
    groups: int = 8

    def body(self, size: int) -> UNet2DModel:
        """The network for pictures of ``size`` × ``size`` pixels, its weights drawn at random.

        Raises ValueError where patches and halvings do not divide the picture.
        """
        depth = len(self.channels)
        if size % (self.patch << (depth - 1)):
            takes = f"a multiple of {self.patch << (depth - 1)}: patches of {self.patch}, halved {depth - 1} times"
            raise ValueError(f"size takes {takes}, got {size}")
        from diffusers import UNet2DModel  # takes seconds: for those who need a network

        colours = 3 * self.patch**2
        return UNet2DModel(
            sample_size=size // self.patch,
            in_channels=colours,
            out_channels=colours,
            layers_per_block=self.blocks,
            block_out_channels=self.channels,
            down_block_types=("DownBlock2D",) * depth,
            up_block_types=("UpBlock2D",) * depth,
            norm_num_groups=self.groups,
            attention_head_dim=min(16, self.channels[-1]),
        )


class Denoiser(nn.Module):
    """D(y, σ) = E[x_0 | y] by a UNet, y = α x_0 + s ε.

    "edm": D = c_skip x̂ + c_out F(c_in x̂) with x̂ = y/α = x_0 + σ ε. "wiener": the same, but c_skip is the Wiener filter
    S/(S + σ²) for pictures of spectrum S, instead of its mean over frequencies: noise that is finer than anything in a picture
    is gone before a narrow body, which could not carry it, has to say so. "epsilon": the body predicts ε, as in DDPM.
    """

    _grown: Tensor
    _power: Tensor

    def __init__(self, body: UNet2DModel, schedule: Schedule, parametrisation: str = "wiener", patch: int = 1) -> None:
        super().__init__()
        self.body = body.to(memory_format=torch.channels_last)
        self.schedule = schedule
        self.parametrisation = check_choice("parametrisation", parametrisation, PARAMETRISATIONS)
        self.patch = patch
        self.register_buffer("_grown", _grown(schedule), persistent=False)
        self.register_buffer("_power", spectrum(self.size), persistent=False)

    @property
    def size(self) -> int:
        """Pixels along an edge of a picture."""
        return int(self.body.config["sample_size"]) * self.patch

    def forward(
        self, y: Float[Tensor, "batch 3 size size"], sigma: float | Float[Tensor, " batch"]
    ) -> Float[Tensor, "batch 3 size size"]:
        """E[x_0 | y], of the dtype of y; ``sigma`` one for all or one each. The body computes in its own precision."""
        sigma = torch.as_tensor(sigma, dtype=y.dtype, device=y.device).expand(len(y)).view(-1, 1, 1, 1)
        alpha = (1.0 + sigma.square()).rsqrt()
        if self.parametrisation == "epsilon":
            return (y - sigma * alpha * self._body(y, self._index(sigma.flatten()))) / alpha
        noisy, c_in = y / alpha, (sigma.square() + SIGMA_DATA**2).rsqrt()
        out = self._body(c_in * noisy, torch.as_tensor(self.schedule.timestep(sigma.flatten())))
        return self.skip(noisy, sigma) + self.c_out(sigma) * out

    def skip(
        self, noisy: Float[Tensor, "batch 3 size size"], sigma: Float[Tensor, "batch 1 1 1"]
    ) -> Float[Tensor, "batch 3 size size"]:
        """What passes round the body: the best guess at x_0 that is linear in x̂."""
        if self.parametrisation == "edm":
            return SIGMA_DATA**2 / (sigma.square() + SIGMA_DATA**2) * noisy
        kept = self._kept(sigma)[..., : self.size // 2 + 1]
        return torch.fft.irfft2(kept * torch.fft.rfft2(noisy), s=noisy.shape[-2:])

    def c_out(self, sigma: Float[Tensor, "batch 1 1 1"]) -> Float[Tensor, "batch 1 1 1"]:
        """RMS, over pixels, of what the skip leaves of a picture; σ_data σ/√(σ² + σ_data²) for "edm"."""
        if self.parametrisation == "edm":
            return SIGMA_DATA * sigma * (sigma.square() + SIGMA_DATA**2).rsqrt()
        return (sigma.square() * self._kept(sigma)).mean((-2, -1), keepdim=True).sqrt()

    def _kept(self, sigma: Float[Tensor, "batch 1 1 1"]) -> Float[Tensor, "batch 1 size size"]:
        """The Wiener filter S/(S + σ²) at each frequency."""
        return self._power / (self._power + sigma.square())

    def _body(self, x: Tensor, time: Tensor) -> Tensor:
        patches = pixel_unshuffle(x.to(self.body.conv_in.weight.dtype), self.patch)
        out = self.body(patches.contiguous(memory_format=torch.channels_last), time, return_dict=False)[0]
        return pixel_shuffle(out.to(x.dtype), self.patch)

    def _index(self, sigma: Float[Tensor, " batch"]) -> Float[Tensor, " batch"]:
        """The step of DDPM, 0 to 999 and anything between, at which the noise is σ: what a network trained by DDPM was told.

        The sum over DDPM's steps lags behind the integral that :meth:`Schedule.timestep` inverts, by up to 4 steps.
        """
        grown = (1.0 + sigma.double().square()).log()
        above = torch.searchsorted(self._grown, grown).clamp(1, TIMESTEPS - 1)
        low, high = self._grown[above - 1], self._grown[above]
        return (above - 1 + (grown - low) / (high - low)).clamp(0, TIMESTEPS - 1).to(sigma.dtype)


def _grown(schedule: Schedule) -> Float[Tensor, " steps"]:
    """log(1 + σ²) after each of DDPM's steps: −Σ log(1 − β), β from 1e-4 to 0.02 (Ho et al. 2020, section 4)."""
    betas = torch.linspace(schedule.beta_low, schedule.beta_high, TIMESTEPS, dtype=torch.float64) / TIMESTEPS
    return -torch.log1p(-betas).cumsum(0)


def spectrum(size: int) -> Float[Tensor, "size size"]:
    """S at each frequency of the orthonormal transform of a picture of ``size`` × ``size`` pixels."""
    scale, decay = SPECTRUM
    f = torch.fft.fftfreq(size, 1.0 / size)
    return scale * (size / 64) ** 2 * (1.0 + f.square().unsqueeze(1) + f.square()) ** (-decay / 2)


def flops(denoiser: Denoiser) -> int:
    """Floating-point operations of one evaluation for one picture, two for each multiply–add.

    The body is counted on the meta device, where attention is counted too: on the CPU it is missed. The Wiener filter adds two
    real transforms of each colour, 2.5 n log2 n for n pixels. What is done once a number (norms, activations) is left out.
    """
    from diffusers import UNet2DModel  # takes seconds: for those who need a network

    config = denoiser.body.config
    size, colours = int(config["sample_size"]), int(config["in_channels"])
    with torch.device("meta"):
        twin = UNet2DModel.from_config(config)
        with FlopCounterMode(display=False) as counter, torch.no_grad():
            twin(torch.empty(1, colours, size, size), torch.zeros(1))
    pixels = denoiser.size**2
    transforms = 3 * 2 * round(2.5 * pixels * math.log2(pixels)) if denoiser.parametrisation == "wiener" else 0
    return counter.get_total_flops() + transforms


def parameters(body: nn.Module) -> int:
    """Numbers that were learned."""
    return sum(p.numel() for p in body.parameters())
