"""Networks: identities of the preconditioning, the work that is counted, and states in both precisions."""

from __future__ import annotations

import math

import pytest
import torch
from diffusers import DDPMScheduler, UNet2DModel
from torch import Tensor
from torch.utils.flop_counter import FlopCounterMode

from mlem.images.diffusion import Schedule, alpha_of
from mlem.images.network import PARAMETRISATIONS, SIGMA_DATA, Denoiser, Shape, flops, parameters, spectrum

SIGMAS = (0.01, 0.3, 2.0, 150.0)
SHAPE = Shape(2, (4, 8), groups=2)
preconditioned = pytest.mark.parametrize("parametrisation", ["edm", "wiener"])


def denoiser(parametrisation: str = "wiener", shape: Shape = SHAPE, size: int = 16) -> Denoiser:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        body = shape.body(size)
    patch = shape.patch
    return Denoiser(body, Schedule(), parametrisation, patch).eval().requires_grad_(False)


def silent(network: Denoiser) -> Denoiser:
    """The same, with a body that says nothing."""
    network.body.conv_out.weight.zero_()
    network.body.conv_out.bias.zero_()
    return network


def noise(*shape: int, seed: int = 1) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def drawn(power: Tensor, count: int) -> Tensor:
    """Pictures whose expected power at each frequency is ``power``."""
    white = noise(count, 3, *power.shape, seed=2)
    return torch.fft.irfft2(torch.fft.rfft2(white) * power.sqrt()[:, : power.shape[1] // 2 + 1], s=power.shape)


# ── what passes round the body


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_silent_edm_body_leaves_c_skip(sigma: float) -> None:
    y = noise(3, 3, 16, 16)
    c_skip = SIGMA_DATA**2 / (sigma**2 + SIGMA_DATA**2)
    torch.testing.assert_close(silent(denoiser("edm"))(y, sigma), c_skip * y / alpha_of(sigma), rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_a_silent_wiener_body_leaves_the_wiener_filter(sigma: float) -> None:
    y = noise(3, 3, 16, 16)
    power = spectrum(16)
    filtered = torch.fft.ifft2(torch.fft.fft2(y / alpha_of(sigma)) * power / (power + sigma**2)).real
    torch.testing.assert_close(silent(denoiser("wiener"))(y, sigma), filtered, rtol=1e-4, atol=1e-5)


@preconditioned
@pytest.mark.parametrize("sigma", SIGMAS)
def test_c_out_is_the_rms_of_what_the_skip_leaves(parametrisation: str, sigma: float) -> None:
    """For pictures of the spectrum that is assumed; the loss of a body that says nothing is then one at every σ."""
    network = denoiser(parametrisation)
    power = spectrum(16) if parametrisation == "wiener" else torch.full((16, 16), SIGMA_DATA**2)
    x, each = drawn(power, 500), torch.full((500, 1, 1, 1), sigma)
    left = network.skip(x + sigma * noise(*x.shape, seed=3), each) - x
    torch.testing.assert_close(left.square().mean().sqrt(), network.c_out(each)[0, 0, 0, 0], rtol=0.02, atol=0.0)


@pytest.mark.parametrize("sigma", SIGMAS)
def test_edm_feeds_the_body_with_variance_one_and_c_out_squared_is_what_is_left(sigma: float) -> None:
    """Karras et al. 2022, appendix B.6: c_in² (σ_data² + σ²) = 1 and c_out² = (1 − c_skip)² σ_data² + c_skip² σ²."""
    network, each = denoiser("edm"), torch.full((1, 1, 1, 1), sigma)
    c_skip = SIGMA_DATA**2 / (sigma**2 + SIGMA_DATA**2)
    left = ((1 - c_skip) ** 2 * SIGMA_DATA**2 + c_skip**2 * sigma**2) ** 0.5
    torch.testing.assert_close(float(network.c_out(each)), left, rtol=1e-5, atol=0.0)
    fed: list[Tensor] = []
    hook = network.body.register_forward_pre_hook(lambda _, inputs: fed.append(inputs[0]))
    x = SIGMA_DATA * noise(200, 3, 16, 16, seed=4)
    network(alpha_of(sigma) * (x + sigma * noise(*x.shape, seed=5)), sigma)
    hook.remove()
    torch.testing.assert_close(float(fed[0].square().mean()), 1.0, rtol=0.02, atol=0.0)


def test_epsilon_is_the_noise_that_is_predicted() -> None:
    """Where the body predicts the noise exactly, the picture is exact: here a body that says nothing, and no noise."""
    x = noise(2, 3, 16, 16)
    network = silent(denoiser("epsilon", Shape(1, (4, 8), groups=2)))
    torch.testing.assert_close(network(x * alpha_of(0.3), 0.3), x)


def test_epsilon_tells_the_body_the_step_of_ddpm() -> None:
    """At the noise of step n the network is told n, which the continuous time misses by up to four."""
    network = denoiser("epsilon", Shape(1, (4, 8), groups=2))
    kept = DDPMScheduler().alphas_cumprod.double()
    steps = torch.tensor([0, 1, 10, 500, 998, 999])
    sigma = ((1.0 - kept[steps]) / kept[steps]).sqrt()
    told: list[Tensor] = []
    hook = network.body.register_forward_pre_hook(lambda _, inputs: told.append(inputs[1]))
    network(noise(6, 3, 16, 16).double(), sigma)
    hook.remove()
    torch.testing.assert_close(told[0], steps.double(), rtol=1e-3, atol=2e-3)
    continuous = network.schedule.timestep(sigma)
    assert float((torch.as_tensor(continuous) - steps).max()) > 4.0
    network(noise(2, 3, 16, 16), torch.tensor([0.001, 400.0]))  # beyond DDPM's range its ends are told


# ── what it takes and gives


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_double_states_give_double_pictures(parametrisation: str) -> None:
    network = denoiser(parametrisation, SHAPE if parametrisation != "epsilon" else Shape(1, (4, 8), groups=2))
    y = noise(2, 3, 16, 16)
    once = network(y.double(), 0.5)
    assert once.dtype == torch.float64
    torch.testing.assert_close(once.float(), network(y, 0.5), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("parametrisation", PARAMETRISATIONS)
def test_one_sigma_for_all_is_that_sigma_for_each(parametrisation: str) -> None:
    network = denoiser(parametrisation, SHAPE if parametrisation != "epsilon" else Shape(1, (4, 8), groups=2))
    y = noise(3, 3, 16, 16)
    torch.testing.assert_close(network(y, 0.7), network(y, torch.full((3,), 0.7)))


def test_patches_are_undone() -> None:
    """A body that returns its input makes D = skip + c_out c_in x̂: patches out are patches in."""

    network = denoiser("edm")
    network.body.forward = lambda x, time, return_dict: (x,)
    y, sigma = noise(2, 3, 16, 16), 0.5
    c_skip, c_in = SIGMA_DATA**2 / (sigma**2 + SIGMA_DATA**2), (sigma**2 + SIGMA_DATA**2) ** -0.5
    c_out = sigma * SIGMA_DATA * c_in
    torch.testing.assert_close(network(y, sigma), (c_skip + c_out * c_in) * y / alpha_of(sigma))


def test_bad_shapes_and_names_are_refused() -> None:
    with pytest.raises(ValueError, match="size takes a multiple of 16: patches of 4, halved 2 times, got 24"):
        Shape(4, (4, 8, 8), groups=2).body(24)
    with pytest.raises(ValueError, match="parametrisation takes one of wiener, edm, epsilon, got 'v'"):
        Denoiser(SHAPE.body(16), Schedule(), "v")


# ── what it costs


def bare(**options: object) -> UNet2DModel:
    """One depth, no middle: few enough layers to count by hand."""
    return UNet2DModel(
        sample_size=8,
        in_channels=3,
        out_channels=3,
        layers_per_block=1,
        block_out_channels=(4,),
        down_block_types=("DownBlock2D",),
        up_block_types=("UpBlock2D",),
        norm_num_groups=2,
        **{"mid_block_type": None, **options},
    )


def by_hand() -> int:
    """FLOPs of :func:`bare` on 8 × 8 pixels, two for each multiply–add."""

    def conv(before: int, after: int, kernel: int = 3) -> int:
        return 2 * 64 * before * after * kernel**2

    def dense(before: int, after: int) -> int:
        return 2 * before * after

    time = dense(4, 16) + dense(16, 16)
    down = conv(4, 4) + dense(16, 4) + conv(4, 4)
    up = 2 * (conv(8, 4) + dense(16, 4) + conv(4, 4) + conv(8, 4, kernel=1))  # each takes one of the two states kept
    return conv(3, 4) + time + down + up + conv(4, 3)


def test_flops_are_those_counted_by_hand() -> None:
    assert flops(Denoiser(bare(), Schedule(), "edm")) == by_hand()


def test_the_wiener_filter_is_counted() -> None:
    transforms = 2 * 3 * 2.5 * 64 * math.log2(64)
    assert flops(Denoiser(bare(), Schedule(), "wiener")) == by_hand() + transforms


def test_attention_is_counted_where_the_processor_misses_it() -> None:
    """The trap: counted on the CPU, attention between 64 pixels costs nothing."""
    body = bare(mid_block_type="UNetMidBlock2D", attention_head_dim=4)
    with FlopCounterMode(display=False) as counter, torch.no_grad():
        body(torch.zeros(1, 3, 8, 8), torch.zeros(1))
    attention = 2 * (2 * 64 * 64 * 4)  # queries with keys, weights with values
    assert flops(Denoiser(body, Schedule(), "edm")) - counter.get_total_flops() == attention


def test_parameters_are_counted_without_buffers() -> None:
    assert parameters(torch.nn.BatchNorm2d(3)) == 6
    network = denoiser()
    assert parameters(network) == parameters(network.body)
