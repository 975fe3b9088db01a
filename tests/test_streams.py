from __future__ import annotations

from typing import Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlem.streams import PathStream, generator

LAWS: tuple[Literal["normal", "uniform"], ...] = ("normal", "uniform")


def take(
    steps: list[int], batch: int, numel: int, law: Literal["normal", "uniform"], first: int = 0, seed: int = 7
) -> torch.Tensor:
    source = PathStream(seed, "test", batch, numel, law=law, first=first)
    return torch.cat([source.take(n) for n in steps])


@pytest.mark.parametrize("law", LAWS)
@given(
    numel=st.integers(1, 300),
    batch=st.integers(1, 300),
    first=st.integers(0, 700),
    cuts=st.lists(st.integers(1, 5), min_size=1, max_size=4),
)
def test_numbers_depend_on_path_and_step_only(
    law: Literal["normal", "uniform"], numel: int, batch: int, first: int, cuts: list[int]
) -> None:
    whole = take([sum(cuts)], first + batch, numel, law)
    part = take(cuts, batch, numel, law, first=first)
    assert part.shape == (sum(cuts), batch, numel)
    assert torch.equal(part, whole[:, first:])


@given(numel=st.integers(1, 300), batch=st.integers(1, 10_000))
def test_what_is_drawn_beyond_the_batch_is_bounded(numel: int, batch: int) -> None:
    assert batch * numel <= PathStream(7, "test", batch, numel, law="normal").numbers < 2 * batch * numel + 256 + 16 * numel


@pytest.mark.parametrize("law", LAWS)
def test_numbers_have_their_law(law: Literal["normal", "uniform"]) -> None:
    x = take([64], 1024, 3, law).double().flatten()
    n = len(x)
    mean, variance, fourth = (0.0, 1.0, 3.0) if law == "normal" else (0.5, 1 / 12, 1 / 80)
    centred = x - mean
    assert abs(float(centred.mean())) < 5 * (variance / n) ** 0.5
    assert abs(float(centred.square().mean()) - variance) < 5 * ((fourth - variance**2) / n) ** 0.5
    if law == "uniform":
        assert float(x.min()) >= 0.0
        assert float(x.max()) < 1.0


def test_paths_blocks_and_steps_are_uncorrelated() -> None:
    x = take([256], 512, 2, "normal").double()
    n = x[1:].numel()
    for name, product in {
        "steps": x[1:] * x[:-1],
        "paths": x[1:] * x[1:].roll(1, dims=1),
        "blocks": x[1:] * x[1:].roll(128, dims=1),
        "coordinates": x[1:] * x[1:].flip(2),
    }.items():
        pairs = n / 2 if name == "coordinates" else n  # flip and coordinates: each product occurs twice
        assert abs(float(product.mean())) * pairs**0.5 < 5, name
    reused = x[1:] * x[1:]  # named wrong implementation: the same generator for neighbouring blocks
    assert float(reused.mean()) * n**0.5 > 10


def test_streams_differ_by_seed_name_and_index() -> None:
    keys = [(seed, name, index) for seed in (0, 1, 2**40) for name in ("a", "b") for index in range(200)]
    seeds = {generator(*key).initial_seed() for key in keys}
    assert len(seeds) == len(keys)


def test_a_name_and_index_give_the_same_numbers_in_every_process() -> None:
    """Stored results stay reproducible: changing the streams must be a decision."""
    assert generator(0, "brownian", 0).initial_seed() == 1266212693
    numbers = PathStream(1, "brownian", 1, 1, law="uniform").take(3).flatten()
    assert numbers.tolist() == pytest.approx([0.63990766, 0.82046300, 0.43672341], abs=1e-7)
