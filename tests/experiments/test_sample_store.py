"""Samples kept and made: what is stored comes back for the ladder that made it; what was drawn once is not drawn again."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch

from mlem.experiments import faces_store, sample_store
from mlem.experiments.sample import METHODS, Drawn, SampleParams
from mlem.experiments.sample_store import judged, load, matters, steps
from mlem.images.sheet import from_sheet
from tests.made_faces import FLOPS, HASHES, made_drawn, made_films, made_ladder, made_manifest

FEW = SampleParams(pictures=2)


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A file with the default's sample, of the ladder that ships."""
    file = tmp_path / "sample.npz"
    monkeypatch.setattr(faces_store, "manifest", made_manifest)
    sample_store._write(file, HASHES, made_films(FEW))
    return file


def test_what_is_stored_comes_back(stored: Path) -> None:
    back = load(SampleParams(), stored)
    assert list(back) == list(METHODS)
    for method, was in made_films(FEW).items():
        np.testing.assert_array_equal(from_sheet(back[method].sheet), from_sheet(was.sheet))
        np.testing.assert_array_equal(back[method].drawn.calls, was.drawn.calls)
        np.testing.assert_allclose(back[method].drawn.final, was.drawn.final, atol=2e-3)
        assert back[method].drawn.evaluations == was.drawn.evaluations
    assert judged(back).em.mse.value == pytest.approx(judged(made_films(FEW)).em.mse.value, rel=1e-3)
    assert judged(back).mlem.cost == judged(made_films(FEW)).mlem.cost


@pytest.mark.parametrize(
    ("params", "methods"),
    [
        (SampleParams(budget=10.0), ["em", "reference"]),
        (SampleParams(firing="bernoulli"), ["em", "reference"]),
        (SampleParams(em_steps=32), ["mlem", "reference"]),
        (SampleParams(seed=1), []),
        (SampleParams(process="sde"), []),
        (SampleParams(ladder="own"), []),
    ],
)
def test_what_does_not_change_is_taken_from_the_store(stored: Path, params: SampleParams, methods: list[str]) -> None:
    assert list(load(params, stored)) == methods


def test_another_ladder_has_no_stored_sample(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = (*HASHES[:-1], "f" * 64)
    monkeypatch.setattr(faces_store, "manifest", lambda: made_manifest(other))
    assert load(SampleParams(), stored) == {}
    monkeypatch.setattr(faces_store, "manifest", lambda: None)
    assert load(SampleParams(), stored) == {}


def test_nothing_is_stored_where_there_is_no_file(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(faces_store, "manifest", made_manifest)
    assert load(SampleParams(), tmp_path / "sample.npz") == {}


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The methods that were drawn, by a stand-in for the solvers; nothing has been made before."""
    said = list[str]()

    def draw(params: SampleParams, method: str, report: Callable[[float], None]) -> Drawn:
        said.append(method)
        report(0.5)
        return made_drawn(params)[method]

    monkeypatch.setattr(sample_store, "draw", draw)
    monkeypatch.setattr(sample_store, "_costs", lambda params: FLOPS / 1e9)
    monkeypatch.setattr(sample_store, "_films", sample_store._Films())
    return said


def test_a_job_gives_one_film_after_the_other(drawn: list[str]) -> None:
    made = list(steps(FEW))
    parts = [part for _, part in made if part]
    assert [part.drawn.method for part in parts] == drawn == list(METHODS)
    assert [part.drawn.frames.shape[0] for part in parts] == [0, 0, 0], "the frames are on the sheets"
    done = [fraction for fraction, _ in made]
    assert done == sorted(done)
    assert done[-1] == pytest.approx(1.0)


def test_a_job_is_taken_up_where_it_stood_and_draws_nothing_twice(drawn: list[str]) -> None:
    first = [part for _, part in steps(FEW) if part]
    rest = [part for _, part in steps(FEW, start=1) if part]
    assert rest == first[1:]
    dearer = [part for _, part in steps(replace(FEW, budget=80.0)) if part]
    assert dearer[1:] == first[1:], "another budget is no matter for EM and the reference"
    assert drawn == [*METHODS, "mlem"]


def test_only_what_is_missing_is_drawn(drawn: list[str]) -> None:
    list(steps(FEW, ("reference",)))
    assert drawn == ["reference"]


def test_standing_still_is_no_time_of_the_method(drawn: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    clock = [0.0]
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])

    def waits(done: float) -> None:
        clock[0] += 3.0

    made = sample_store._filmed(FEW, "em", waits)
    assert made.drawn.seconds == pytest.approx(made_drawn(FEW)["em"].seconds - 3.0 / FEW.pictures)


def test_films_are_forgotten_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sample_store, "_KEPT", 2)
    kept, made = sample_store._Films(), made_films(FEW)["em"]
    for seed in range(3):
        kept.keep("em", replace(FEW, seed=seed), made)
    assert [kept.get("em", replace(FEW, seed=seed)) is made for seed in range(3)] == [False, True, True]


def test_real_networks_draw_what_is_stored_of_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLEM_LADDERS", str(tmp_path))
    ladder = made_ladder(tmp_path)
    params = SampleParams(ladder="own", firing="bernoulli", steps=24, em_steps=16, pictures=2, budget=1.0, precision="float32")
    made = [part for _, part in steps(params, ("mlem", "em")) if part]
    assert [part.sheet.size for part in made] == [16, 16]
    assert made[0].drawn.calls.shape == (24, len(ladder.levels))
    np.testing.assert_array_equal(made[0].drawn.calls.sum(0), made[0].drawn.evaluations)
    assert made[0].drawn.cost == pytest.approx(float(made[0].drawn.calls.sum(0) @ made[0].costs))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="takes a CUDA device: there is none, so it was not run")
def test_cuda_draws_what_the_processor_draws(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLEM_LADDERS", str(tmp_path))
    made_ladder(tmp_path)
    params = SampleParams(ladder="own", process="sde", steps=24, em_steps=16, pictures=2, budget=1.0, precision="float32")
    drawn = [[part for _, part in steps(replace(params, device=device)) if part] for device in ("cpu", "cuda")]
    for cpu, cuda in zip(*drawn, strict=True):
        assert cuda.drawn.final.device.type == "cpu", "what is kept needs no CUDA"
        np.testing.assert_array_equal(cpu.drawn.calls, cuda.drawn.calls)
        torch.testing.assert_close(cpu.drawn.final, cuda.drawn.final, atol=5e-3, rtol=0)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused_and_mended_in_a_link() -> None:
    with pytest.raises(ValueError, match="device takes auto or cpu where PyTorch sees no CUDA device, got cuda"):
        SampleParams(device="cuda")
    values, notices = SampleParams.mend({"device": "cuda"})
    assert SampleParams(**values).device == "auto"
    assert notices == ["There is no CUDA device here. Device is now auto."]


def test_what_is_drawn_again_for_its_seconds_is_written_over_the_old(
    stored: Path, drawn: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[Path]()
    monkeypatch.setattr(faces_store, "retime", asked.append)
    monkeypatch.setattr(sample_store, "ladder", lambda choice: made_manifest())
    before = stored.stat().st_mtime_ns
    assert list(sample_store.retime(stored))[-1] == 1.0
    assert asked == [stored.parent]
    assert drawn == [*METHODS]
    assert stored.stat().st_mtime_ns > before


def test_what_matters_is_complete() -> None:
    """Every parameter matters to some method."""
    changed = SampleParams(
        process="sde",
        steps=96,
        budget=10.0,
        firing="bernoulli",
        em_steps=32,
        pictures=4,
        precision="float32",
        device="cpu",
        seed=3,
        ladder="own",
    )
    seen = [matters(changed, method) for method in METHODS]
    for name in SampleParams.specs():
        assert getattr(changed, name) != getattr(SampleParams(), name)
        assert any(getattr(one, name) == getattr(changed, name) for one in seen), name
