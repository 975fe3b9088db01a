from __future__ import annotations

import re

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

import mlem
from mlem import brownian

FINE = 64
DIVISORS = [n for n in range(1, FINE + 1) if FINE % n == 0]


def path(batch: int = 8, shape: tuple[int, ...] = (2,), steps: int = FINE, **options: object) -> mlem.BrownianPath:
    return mlem.BrownianPath(batch, shape, steps, 1.5, **{"seed": 3, **options})  # type: ignore[arg-type]


@given(coarse=st.sampled_from(DIVISORS), shape=st.sampled_from([(1,), (3,), (3, 4, 4)]), seed=st.integers(0, 2**40))
def test_coarse_increments_are_sums_of_fine_ones(coarse: int, shape: tuple[int, ...], seed: int) -> None:
    w = path(5, shape, seed=seed)
    fine = w.increments(FINE).view(coarse, FINE // coarse, 5, *shape)
    assert w.increments(coarse).shape == (coarse, 5, *shape)
    torch.testing.assert_close(w.increments(coarse), fine.sum(1), rtol=0, atol=1e-13)


@given(coarse=st.sampled_from(DIVISORS), cut=st.integers(1, 299), numel=st.sampled_from([1, 2, 3, 48]))
def test_a_path_has_the_same_bits_in_every_batch(coarse: int, cut: int, numel: int) -> None:
    whole = path(300, (numel,)).increments(coarse)
    assert torch.equal(path(cut, (numel,)).increments(coarse), whole[:, :cut])
    assert torch.equal(path(300 - cut, (numel,), first=cut).increments(coarse), whole[:, cut:])


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("coarse", DIVISORS)
def test_chunks_do_not_show(coarse: int, dtype: torch.dtype, monkeypatch: pytest.MonkeyPatch) -> None:
    w = path(dtype=dtype)
    whole, bridge = w.increments(coarse), torch.stack(list(w.bridge_normals()))
    for numbers in (1, 256 * 5, 256 * 24):  # from less than one step to several
        monkeypatch.setattr(brownian, "_NUMBERS_PER_CHUNK", numbers)
        assert torch.equal(w.increments(coarse), whole)
        assert torch.equal(torch.stack(list(w.bridge_normals())), bridge)


@pytest.mark.parametrize("coarse", DIVISORS)
def test_single_and_double_precision_see_the_same_path(coarse: int) -> None:
    double, single = path(64).increments(coarse), path(64, dtype=torch.float32).increments(coarse)
    assert single.dtype == torch.float32
    torch.testing.assert_close(single.double(), double, rtol=0, atol=4e-6)  # 64 sums, each rounded at 2^-24 of a few


def test_devices_see_the_same_path(device: str) -> None:
    there = path(device=device).increments(16)
    assert there.device.type == device
    assert torch.equal(there.cpu(), path().increments(16))


def test_every_call_begins_again() -> None:
    w = path()
    assert torch.equal(w.increments(8), w.increments(8))
    assert torch.equal(torch.stack(list(w.stream(8))), w.increments(8))


@pytest.mark.parametrize("coarse", [1, 16, FINE])
def test_increments_have_variance_h(coarse: int) -> None:
    w = path(4096, (2,)).increments(coarse)
    h, n = 1.5 / coarse, w.numel()
    assert abs(float(w.mean())) < 5 * (h / n) ** 0.5

    def z(variance: float) -> float:
        return (float(w.square().mean()) - variance) / (variance * (2 / n) ** 0.5)

    assert abs(z(h)) < 5
    assert abs(z(h**2)) > 10 or h == 1  # named wrong implementation: h in place of √h
    assert abs(z(1.5 / FINE)) > 10 or coarse == FINE  # named wrong implementation: a fine increment in place of the sum


def test_increments_are_independent() -> None:
    w = path(4096, (2,)).increments(16) / (1.5 / 16) ** 0.5
    bridge = torch.stack(list(path(4096, (2,), steps=16).bridge_normals()))
    pairs = {
        "steps": (w[1:], w[:-1]),
        "paths": (w[:, 1:], w[:, :-1]),
        "coordinates": (w[..., 0], w[..., 1]),
        "seeds": (w, path(4096, (2,), seed=4).increments(16) / (1.5 / 16) ** 0.5),
        "bridge": (path(4096, (2,), steps=16).increments(16) / (1.5 / 16) ** 0.5, bridge),
    }
    for name, (a, b) in pairs.items():
        assert abs(float((a * b).mean())) * a.numel() ** 0.5 < 5, name
    assert float((bridge * bridge).mean()) * bridge.numel() ** 0.5 > 10  # named wrong implementation: one stream for both


def test_noise_initial_states_and_coins_are_independent_streams() -> None:
    """The same seed everywhere must not make the noise repeat the initial state or the coins."""
    from mlem.streams import PathStream

    n = 4096
    noise = path(n, (1,), steps=1).increments(1).flatten() / 1.5**0.5
    start = mlem.problems.double_well().initial(n, seed=3).flatten() / 0.1
    coins = (PathStream(3, "levels", n, 1, law="uniform").take(1).flatten().double() - 0.5) * 12**0.5
    for a, b in ((noise, start), (noise, coins), (start, coins)):
        assert abs(float((a * b).mean())) * n**0.5 < 5
    same = PathStream(3, "initial", n, 1, law="normal").take(1).flatten().double()
    assert float((same * start).mean()) * n**0.5 > 10  # named wrong implementation: one stream for all


@pytest.mark.parametrize(("steps", "words"), [(24, "16 or 32"), (63, "32 or 64"), (5, "4 or 8")])
def test_steps_that_do_not_divide_name_the_nearest(steps: int, words: str) -> None:
    with pytest.raises(ValueError, match=f"steps must divide the 64 fine steps.*got {steps}: try {words}"):
        path().increments(steps)


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"batch": 0}, "batch takes an integer ≥ 1, got 0"),
        ({"batch": True}, "batch takes an integer ≥ 1, got True"),
        ({"shape": (3, 0)}, "shape takes an integer ≥ 1, got 0"),
        ({"steps": -4}, "steps takes an integer ≥ 1, got -4"),
        ({"seed": -1}, "seed takes an integer ≥ 0, got -1"),
        ({"first": -1}, "first takes an integer ≥ 0, got -1"),
        ({"dtype": torch.float16}, "dtype takes one of torch.float32, torch.float64, got torch.float16"),
    ],
)
def test_bad_arguments_are_named(options: dict[str, object], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)):
        path(**options)  # type: ignore[arg-type]


@pytest.mark.parametrize("horizon", [0.0, -1.0, float("nan"), float("inf")])
def test_a_horizon_is_positive(horizon: float) -> None:
    with pytest.raises(ValueError, match="horizon takes a number > 0, got"):
        mlem.BrownianPath(1, (1,), 4, horizon, seed=0)


@pytest.mark.parametrize("steps", [0, -1, 65, True])
def test_increments_refuse_numbers_of_steps_out_of_range(steps: int) -> None:
    with pytest.raises(ValueError, match="steps takes an integer from 1 to 64, got"):
        path().increments(steps)
