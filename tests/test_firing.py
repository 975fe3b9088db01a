from __future__ import annotations

import re

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from mlem import firing
from mlem.firing import as_probabilities, fires, held_evaluations, held_fires, poisson_counts, prefix_length, weights

COINS = ("bernoulli", "systematic", "nested")
STEPS = 24


def thrown(kind: str, p: torch.Tensor, steps: int = STEPS, coins: int = 1, seed: int = 5, first: int = 0) -> torch.Tensor:
    """B as (steps, levels, coins)."""
    return torch.cat(list(fires(kind, p, steps=steps, coins=coins, seed=seed, first=first)))


def constant_p(*p: float) -> torch.Tensor:
    return as_probabilities(p, len(p), STEPS, 1)


def ramp_p() -> torch.Tensor:
    """Probabilities that change at every step, and pass 1."""
    t = torch.linspace(0, 1, STEPS, dtype=torch.float64)
    p = torch.stack([torch.ones_like(t), (0.4 + t).clamp(max=1.0), 0.9 - 0.8 * t, 0.05 + 0.1 * t], dim=1)
    return as_probabilities(p, 4, STEPS, 1)


def some_p(draw: st.DrawFn, levels: int, steps: int) -> torch.Tensor:
    """Constant or time-dependent, with ones and ties among them."""
    rows = draw(st.sampled_from([1, steps]))
    entry = st.one_of(st.sampled_from([1.0, 0.5, 0.25]), st.floats(0.01, 1.0))
    p = draw(st.lists(st.lists(entry, min_size=levels, max_size=levels), min_size=rows, max_size=rows))
    return as_probabilities(p if rows > 1 else p[0], levels, steps, 1)


@st.composite
def plans(draw: st.DrawFn) -> tuple[torch.Tensor, int]:
    levels, steps = draw(st.integers(1, 5)), draw(st.integers(2, 40))
    return some_p(draw, levels, steps), steps


@pytest.mark.parametrize("p", [constant_p(1.0, 0.7, 0.3, 0.05), ramp_p()], ids=["constant", "ramp"])
@pytest.mark.parametrize("kind", COINS)
def test_levels_fire_with_their_probabilities(kind: str, p: torch.Tensor) -> None:
    coins = 8192
    mean = thrown(kind, p, coins=coins).double().mean(2)
    expected = p[:, :, 0].expand(STEPS, 4)
    certain = expected == 1.0
    assert bool((mean[certain] == 1.0).all())

    def z(q: torch.Tensor) -> torch.Tensor:
        return ((mean - q) / (expected * (1 - expected) / coins).sqrt())[~certain].abs()

    assert float(z(expected).max()) < 5
    assert float(z(expected.roll(-1, dims=1)).max()) > 10  # named wrong implementation: level k takes level k + 1's coins
    if len(p) > 1:
        assert float(z(expected.roll(1, dims=0)).max()) > 10  # named wrong implementation: a step late


@pytest.mark.parametrize("kind", ["bernoulli", "nested"])
def test_coins_of_different_steps_are_independent(kind: str) -> None:
    b = thrown(kind, constant_p(0.5, 0.2), coins=8192).double()
    centred = (b - b.mean((0, 2), keepdim=True)) / b.std((0, 2), keepdim=True)
    n = centred[1:, 0].numel()
    product = (centred[1:] * centred[:-1]).mean((0, 2)) * n**0.5
    assert float(product.abs().max()) < 5
    evenly = thrown("systematic", constant_p(0.5, 0.2), coins=8192).double()
    centred = (evenly - evenly.mean((0, 2), keepdim=True)) / evenly.std((0, 2), keepdim=True)
    assert float(((centred[1:] * centred[:-1]).mean((0, 2)) * n**0.5).abs().min()) > 10  # named wrong: one phase for all steps


def test_bernoulli_and_systematic_levels_are_independent_and_nested_ones_are_not() -> None:
    p, n = constant_p(0.5, 0.2), 8192 * STEPS
    for kind in ("bernoulli", "systematic"):
        b = thrown(kind, p, coins=8192).double()
        # systematic: the steps of one phase are correlated, so that the sets of coins are the sample
        product = ((b[:, 0] - 0.5) * (b[:, 1] - 0.2)).mean(0)
        assert abs(float(product.mean() / (product.std() / 8192**0.5))) < 5, kind
    b = thrown("nested", p, coins=8192).double()
    assert float(((b[:, 0] - 0.5) * (b[:, 1] - 0.2)).mean()) / (0.5 * 0.4) * n**0.5 > 10


@given(plan=plans(), seed=st.integers(0, 2**31))
def test_systematic_counts_are_within_one_of_their_mean_at_every_step(plan: tuple[torch.Tensor, int], seed: int) -> None:
    p, steps = plan
    counts = thrown("systematic", p, steps, coins=8, seed=seed).cumsum(0)
    mean = p.expand(steps, -1, -1).cumsum(0)
    assert float((counts - mean).abs().max()) < 1.0 + 1e-9


def test_bernoulli_counts_are_not() -> None:
    counts = thrown("bernoulli", constant_p(0.5), coins=64).sum(0)
    assert int((counts - 12).abs().max()) > 1


@pytest.mark.parametrize("coins", [1, 7])
@pytest.mark.parametrize("p", [constant_p(1.0, 0.7, 0.3, 0.05), ramp_p()], ids=["constant", "ramp"])
@pytest.mark.parametrize("kind", COINS)
def test_chunks_do_not_show(kind: str, p: torch.Tensor, coins: int, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = list(fires(kind, p, steps=STEPS, coins=coins, seed=5))
    assert len(whole) == 1
    for numbers in (1, 5 * 4 * 64):
        monkeypatch.setattr(firing, "_COINS_PER_CHUNK", numbers)
        parts = list(fires(kind, p, steps=STEPS, coins=coins, seed=5))
        assert len(parts) > 1
        assert torch.equal(torch.cat(parts), whole[0])


@pytest.mark.parametrize("kind", COINS)
@given(first=st.integers(0, 300), coins=st.integers(1, 300))
def test_coins_of_a_path_do_not_depend_on_the_batch(kind: str, first: int, coins: int) -> None:
    whole = thrown(kind, ramp_p(), coins=first + coins)
    assert torch.equal(thrown(kind, ramp_p(), coins=coins, first=first), whole[:, :, first:])


@given(first=st.integers(0, 300), coins=st.integers(1, 300))
def test_poisson_events_of_a_path_do_not_depend_on_the_batch(first: int, coins: int) -> None:
    def counts(coins: int, first: int) -> torch.Tensor:
        return torch.cat(list(poisson_counts(ramp_p(), steps=STEPS, fine=2 * STEPS, coins=coins, seed=1, first=first)))

    assert torch.equal(counts(coins, first), counts(first + coins, 0)[:, :, first:])


@given(steps=st.integers(1, 30), seed=st.integers(0, 2**31), p=st.lists(st.floats(0.01, 1.0), min_size=2, max_size=6))
def test_nested_levels_fire_only_with_the_coarser_ones(steps: int, seed: int, p: list[float]) -> None:
    decreasing = as_probabilities(sorted(p, reverse=True), len(p), steps, 1)
    b = thrown("nested", decreasing, steps, coins=16, seed=seed)
    assert bool((b[:, 1:] <= b[:, :-1]).all())


@pytest.mark.parametrize("kind", COINS)
@given(plan=plans(), seed=st.integers(0, 2**31))
def test_weights_telescope(kind: str, plan: tuple[torch.Tensor, int], seed: int) -> None:
    """Σ_{j ≥ k} w_j = B_k/p_k for every k; for k = 1 it is the weight of f in f^k = f + anything."""
    p, steps = plan
    b = thrown(kind, p, steps, coins=4, seed=seed)
    w = weights(b, p)
    torch.testing.assert_close(w.flip(1).cumsum(1).flip(1), b / p, rtol=1e-12, atol=1e-10)
    halves = 2.0 ** p.log2().round()  # 1/p is exact, so that the sum is
    w = weights(b, halves)
    assert torch.equal(w.sum(1), (b / halves)[:, 0])
    after = torch.cat([b[:, 1:], torch.zeros_like(b[:, :1])], dim=1)
    assert bool((w[~b & ~after] == 0).all())
    tied = torch.cat([halves[:, 1:] == halves[:, :-1], torch.zeros_like(halves[:, :1], dtype=torch.bool)], dim=1)
    assert bool((w[b & after & tied] == 0).all())


@given(levels=st.integers(1, 6), prefix=st.integers(0, 6))
def test_the_prefix_of_certain_levels_collapses_to_its_last(levels: int, prefix: int) -> None:
    prefix = min(prefix, levels)
    p = as_probabilities([1.0] * prefix + [0.5] * (levels - prefix), levels, STEPS, 1)
    assert prefix_length(p) == prefix
    w = weights(thrown("bernoulli", p, coins=8), p)
    assert bool((w[:, : max(0, prefix - 1)] == 0).all())
    if prefix == levels:
        assert bool((w[:, -1] == 1).all())


def test_a_level_that_is_not_always_certain_ends_the_prefix() -> None:
    assert prefix_length(ramp_p()) == 1
    assert prefix_length(as_probabilities([0.5, 1.0], 2, 4, 1)) == 0


@given(plan=plans())
def test_held_firing_begins_with_every_level_and_is_even(plan: tuple[torch.Tensor, int]) -> None:
    p, steps = plan
    b = held_fires(p, steps)
    assert b.shape == (steps, p.shape[1])
    assert bool(b[0].all())
    assert torch.equal(b, held_fires(p, steps))
    mean = p[:, :, 0].expand(steps, -1).cumsum(0)
    counts = b.cumsum(0)
    assert float((counts - mean).min()) > -1e-9
    assert float((counts - mean).max()) < 1 + 1e-9


@pytest.mark.parametrize("every", [1, 2, 3, 4, 8, 12])
def test_held_firing_with_p_one_over_m_fires_each_mth_step(every: int) -> None:
    b = held_fires(constant_p(1 / every), STEPS)[:, 0]
    assert b.nonzero().flatten().tolist() == list(range(0, STEPS, every))


@given(plan=plans())
def test_held_evaluations_are_those_of_the_levels_fired_and_the_ones_below(plan: tuple[torch.Tensor, int]) -> None:
    p, steps = plan
    b, prefix = held_fires(p, steps), prefix_length(p)
    for n, row in enumerate(held_evaluations(p, steps)[:, :, 0].tolist()):
        needed = {prefix - 1} if prefix else set()
        for k in range(prefix, p.shape[1]):
            needed |= {k, k - 1} if b[n, k] else set()
        assert {k for k, yes in enumerate(row) if yes} == needed - {-1}


@pytest.mark.parametrize("fine", [STEPS, 4 * STEPS])
def test_poisson_events_have_their_mean_and_variance(fine: int) -> None:
    p, coins = ramp_p(), 8192
    counts = torch.stack(list(poisson_counts(p, steps=STEPS, fine=fine, coins=coins, seed=3))).double()
    assert counts.shape == (STEPS, fine // STEPS, 4, coins)
    assert bool((counts[:, :, 0] == 0).all())  # the deterministic prefix
    counts, mu = counts[:, :, 1:].flatten(0, 1), (p[:, 1:] * STEPS / fine).repeat_interleave(fine // STEPS, dim=0)[:, :, 0]
    n = coins
    assert float(((counts.mean(2) - mu) / (mu / n).sqrt()).abs().max()) < 5
    spread = (counts - mu[:, :, None]).square().mean((0, 2))  # over all steps: level by level

    def z(variance: torch.Tensor) -> torch.Tensor:
        return (spread - variance.mean(0)) / ((mu + 2 * mu**2).mean(0) / (n * fine)).sqrt()

    assert float(z(mu).abs().max()) < 5
    assert float(z(mu * (1 - mu)).abs().max()) > 10  # named wrong implementation: at most one event, a coin


def test_poisson_events_are_poisson() -> None:
    p, n = as_probabilities([0.9], 1, 64, 1), 64 * 4096
    counts = torch.stack(list(poisson_counts(p, steps=64, fine=64, coins=4096, seed=3)))
    for k in range(5):
        q = float(np.exp(-0.9) * 0.9**k / np.prod(range(1, k + 1)))
        assert abs(float((counts == k).double().mean()) - q) < 5 * (q * (1 - q) / n) ** 0.5


@pytest.mark.parametrize(
    "given_p",
    [
        [0.5, 0.25],
        (0.5, 0.25),
        np.array([0.5, 0.25]),
        torch.tensor([0.5, 0.25]),
        torch.nn.Parameter(torch.tensor([0.5, 0.25], dtype=torch.float64)),
    ],
    ids=["list", "tuple", "numpy", "float32", "parameter"],
)
def test_probabilities_are_taken_from_what_holds_numbers(given_p: object) -> None:
    p = as_probabilities(given_p, 2, 8, 1)
    assert p.shape == (1, 2, 1)
    assert p.dtype == torch.float64
    assert not p.requires_grad
    assert p.flatten().tolist() == [0.5, 0.25]


@pytest.mark.parametrize("shape", [(8, 2), (8, 2, 1), (1, 2, 5), (8, 2, 5), (1, 2)])
def test_probabilities_may_depend_on_time_and_path(shape: tuple[int, ...]) -> None:
    p = as_probabilities(torch.full(shape, 0.5), 2, 8, 5)
    assert p.shape == (*shape, 1)[:3]


@pytest.mark.parametrize("shape", [(), (3,), (7, 2), (8, 3), (2, 8), (8, 2, 4), (8, 2, 5, 1)])
def test_probabilities_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    words = f"probabilities take the shape (2,) or (8, 2), for 2 levels and 8 steps; got {shape}"
    with pytest.raises(ValueError, match=re.escape(words)):
        as_probabilities(torch.full(shape, 0.5), 2, 8, 5)


@pytest.mark.parametrize("value", [0.0, -0.5, 1.0000001, 2.0, float("nan"), float("inf")])
def test_probabilities_outside_their_range_are_refused(value: float) -> None:
    with pytest.raises(ValueError, match=re.escape(f"probabilities must lie in (0, 1], got {value:g} for level 2")):
        as_probabilities([1.0, value], 2, 8, 1)


def test_the_probability_that_is_refused_is_the_one_named() -> None:
    p = torch.full((2, 2), 0.5)
    p[0, 1], p[1, 0] = 3.0, -1.0
    with pytest.raises(ValueError, match=r"got 3 for level 2"):
        as_probabilities(p, 2, 2, 1)


@pytest.mark.parametrize("kind", ["coin", "", "Bernoulli", "held", "poisson"])
def test_only_coins_are_thrown(kind: str) -> None:
    with pytest.raises(ValueError, match=f"firing takes one of bernoulli, systematic, nested, got '{kind}'"):
        thrown(kind, constant_p(0.5))
