from __future__ import annotations

import dataclasses
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mlem
from mlem.sde import constant

NAMES = mlem.problems.names()


def made_up(shape: tuple[int, ...] = (3, 4, 4)) -> mlem.SDE:
    return mlem.SDE(
        name="made-up",
        title="Made up",
        shape=shape,
        horizon=1.0,
        drift=lambda x, t: -x,
        noise=constant(1.0),
        start=lambda z, u: z + u.view(-1, *(1,) * (z.ndim - 1)),
    )


@pytest.mark.parametrize("name", NAMES)
@given(first=st.integers(0, 600), batch=st.integers(1, 300), seed=st.integers(0, 2**40))
def test_a_path_begins_at_the_same_state_in_every_batch(name: str, first: int, batch: int, seed: int) -> None:
    sde = mlem.problems.get(name)
    whole = sde.initial(first + batch, seed)
    assert whole.shape == (first + batch, *sde.shape)
    assert torch.equal(sde.initial(batch, seed, first=first), whole[first:])


@pytest.mark.parametrize("name", NAMES)
def test_single_and_double_precision_begin_at_the_same_state(name: str) -> None:
    sde = mlem.problems.get(name)
    single, double = sde.initial(500, 3, dtype=torch.float32), sde.initial(500, 3)
    assert single.dtype == torch.float32
    assert double.dtype == torch.float64
    torch.testing.assert_close(single.double(), double, rtol=0, atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_every_device_begins_at_the_same_state(name: str, device: str) -> None:
    there = mlem.problems.get(name).initial(50, 3, device=device)
    assert there.device.type == device
    assert torch.equal(there.cpu(), mlem.problems.get(name).initial(50, 3))


def test_states_of_any_shape() -> None:
    sde = made_up()
    assert sde.numel == 48
    assert sde.initial(5, 0).shape == (5, 3, 4, 4)
    assert made_up(()).numel == 1
    assert made_up(()).initial(5, 0).shape == (5,)


def test_a_start_is_made_of_normals_and_a_uniform_that_are_independent() -> None:
    sde = dataclasses.replace(made_up((2,)), start=lambda z, u: torch.stack((z[:, 0], u), dim=1))
    n = 20_000
    z, u = sde.initial(n, 3).unbind(1)
    assert abs(float(z.mean())) * n**0.5 < 5
    assert abs(float(z.square().mean()) - 1) * (n / 2) ** 0.5 < 5
    assert abs(float(u.mean()) - 0.5) * (12 * n) ** 0.5 < 5
    correlated = torch.special.ndtr(z)  # named wrong implementation: the uniform made of the normal
    assert abs(float((z * (u - 0.5)).mean())) * (12 * n) ** 0.5 < 5
    assert abs(float((z * (correlated - 0.5)).mean())) * (12 * n) ** 0.5 > 10


def test_seeds_are_independent() -> None:
    sde, n = made_up((2,)), 20_000
    a, b = (sde.initial(n, seed) - 0.5 for seed in (1, 2))
    assert not torch.equal(a, b)
    assert abs(float((a * b).mean()) / (13 / 12)) * (2 * n) ** 0.5 < 5


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch takes an integer ≥ 1, got 0"),
        ({"batch": True}, "batch takes an integer ≥ 1, got True"),
        ({"seed": -1}, "seed takes an integer ≥ 0, got -1"),
        ({"seed": True}, "seed takes an integer ≥ 0, got True"),
        ({"first": -1}, "first takes an integer ≥ 0, got -1"),
        ({"dtype": torch.int64}, "dtype takes one of torch.float32, torch.float64, got torch.int64"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, int], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        made_up().initial(**{"batch": 2, "seed": 0, **options})  # type: ignore[arg-type]


def test_a_constant_noise() -> None:
    assert constant(0.5)(0.0) == constant(0.5)(math.pi) == 0.5
