"""Results of the faces' experiments without any network: smooth random pictures, and errors as theory has them. And a ladder of
networks so small that they take no time, with random weights."""

from __future__ import annotations

from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from mlem.experiments import faces_store, sample, sample_store
from mlem.experiments.faces import FacesParams
from mlem.experiments.faces_store import Measured
from mlem.experiments.sample import FRAMES, GRID, METHODS, Drawn, SampleParams
from mlem.experiments.sample_store import Film
from mlem.images.checkpoint import Ladder, save_ladder
from mlem.images.diffusion import Schedule
from mlem.images.manifest import LevelEntry, Manifest, TrainingRecord
from mlem.images.network import Denoiser, Shape
from mlem.images.pilot import Effects
from mlem.images.process import PROCESSES
from mlem.images.sheet import to_sheet
from mlem.images.sweep import Piece, pieces

FLOPS = np.array([2.1e7, 7.4e7, 2.2e8, 7.1e8, 2.5e9])
HASHES = tuple(f"{k:064x}" for k in range(len(FLOPS)))
LOSSES = np.array([0.110, 0.081, 0.063, 0.052, 0.047])

_ERRORS = 0.5 * FLOPS ** (-1 / 2.5) / FLOPS[0] ** (-1 / 2.5)  # at the end, by level: γ = 2.5
_STEP = 3.0  # EM errs by _STEP / steps


def offer(monkeypatch: pytest.MonkeyPatch, folder: Path) -> None:
    """Has the package ship made-up networks: of its default sample and both measurements there are made-up results."""
    sample_store._write(folder / "sample.npz", HASHES, made_films())
    monkeypatch.setattr(faces_store, "manifest", made_manifest)
    monkeypatch.setattr(sample_store, "load", partial(sample_store.load, file=folder / "sample.npz"))
    for process in PROCESSES:
        faces_store._write(
            folder / f"{faces_store._name(FacesParams(process=process))}.npz", made_measured(process, pictures=8)
        )
    load = partial(faces_store.load, folder=folder)
    for module in (faces_store, sample):
        monkeypatch.setattr(module, "load", load)


def made_manifest(hashes: tuple[str, ...] = HASHES) -> Manifest:
    """What such a ladder says of itself."""
    levels = [
        LevelEntry(f"level-{k}", "wiener", 1, int(work), 1, sha256, None)
        for k, (work, sha256) in enumerate(zip(FLOPS, hashes, strict=True), start=1)
    ]
    return Manifest("made up", 64, Schedule(), tuple(levels))


def made_films(params: SampleParams = SampleParams()) -> dict[str, Film]:  # noqa: B008  # frozen
    """The films of what :func:`made_drawn` gives."""
    return {
        method: Film(to_sheet(drawn.frames), replace(drawn, frames=drawn.frames[:0]), FLOPS / 1e9)
        for method, drawn in made_drawn(params).items()
    }


def made_drawn(params: SampleParams = SampleParams()) -> dict[str, Drawn]:  # noqa: B008  # frozen
    """What all methods would have drawn: the same pictures, a little off where the method is."""
    generator = np.random.default_rng(params.seed)
    target = _smooth(generator, params.pictures)
    noise = generator.standard_normal(target.shape)
    off = {"reference": 0.0, "em": 0.08, "mlem": 0.06}
    calls = {method: _calls(params, method, generator) for method in METHODS}
    return {
        method: _drawn(method, target + off[method] * _smooth(generator, params.pictures), noise, calls[method])
        for method in METHODS
    }


def _drawn(method: str, final: np.ndarray, noise: np.ndarray, calls: np.ndarray) -> Drawn:
    share = np.linspace(0, 1, FRAMES + 1).reshape(-1, 1, 1, 1, 1) ** 2
    frames = np.clip(share * final + (1 - share) * noise, -1, 1)
    counts = calls.sum(0)
    cost = float(counts @ FLOPS / 1e9)
    return Drawn(
        method=method,
        steps=len(calls),
        frames=((frames + 1) * 127.5).round().astype(np.uint8),
        final=torch.from_numpy(final.transpose(0, 3, 1, 2).astype(np.float32)),
        calls=calls,
        evaluations=tuple(counts.tolist()),
        expected=tuple(counts.tolist()),
        z=(0.0,) * len(FLOPS),
        cost=cost,
        seconds=0.02 * cost,
    )


def _calls(params: SampleParams, method: str, generator: np.random.Generator) -> np.ndarray:
    if method == "mlem":
        return (generator.random((params.steps, len(FLOPS))) < np.array([1.0, 0.6, 0.3, 0.12, 0.05])).astype(float)
    calls = np.zeros((GRID if method == "reference" else params.em_steps, len(FLOPS)))
    calls[:, -1] = 1.0
    return calls


def _smooth(generator: np.random.Generator, pictures: int, size: int = 64) -> np.ndarray:
    """Pictures (pictures, size, size, 3) with the spectrum of natural ones, in [−1, 1] but for the tails."""
    f = np.fft.fftfreq(size, 1 / size)
    falling = (1 + f[:, None] ** 2 + f**2) ** -0.9
    grey, colour = (generator.standard_normal((pictures, size, size, n)) for n in (1, 3))
    found = np.fft.ifft2(falling[None, :, :, None] * np.fft.fft2(grey + 0.4 * colour, axes=(1, 2)), axes=(1, 2)).real
    return np.asarray(0.45 * found / found.std())


def made_measured(process: str = "sde", *, pictures: int = 24, seed: int = 0) -> Measured:
    """A measurement: EM errs by its level's bias and its step, ML-EM by what its rare calls miss besides."""
    generator = np.random.default_rng(seed)
    costs = FLOPS / 1e9
    chosen = pieces(costs, process)
    evaluations = np.stack([_evaluations(piece, costs) for piece in chosen])
    mean = np.array([_error(piece, n) for piece, n in zip(chosen, evaluations, strict=True)])
    shared = generator.lognormal(0.0, 0.3, (pictures, 1))
    return Measured(
        process=process,
        hashes=HASHES,
        device="made up, 1 thread",
        pieces=tuple(chosen),
        evaluations=evaluations,
        squared=mean * shared * generator.lognormal(0.0, 0.05, (pictures, len(chosen))),
        bias=np.append(np.square(_ERRORS[:-1]), 0.0) * shared * generator.lognormal(0.0, 0.1, (pictures, len(FLOPS))),
        flops=FLOPS,
        parameters=FLOPS / 2_000,
        images=np.array([2e6, 2e6, 1e6, 6e5, 3e5]),
        held_out=np.stack([LOSSES, 0.01 * LOSSES], axis=1),
        seconds=0.004 + 0.02 * costs,
        effects=made_effects(),
    )


def made_effects() -> Effects:
    """Corrections that matter most towards the end, the finer the later."""
    times = (np.arange(12) + 0.5) / 12
    peak = np.linspace(0.5, 0.8, len(FLOPS))
    effect = np.square(np.append(1.0, _ERRORS[:-1])) * np.exp(-np.square((times[:, None] - peak) / 0.25))
    return Effects(times, effect[:, :, None] * np.eye(len(FLOPS)))


def _evaluations(piece: Piece, costs: np.ndarray) -> np.ndarray:
    """EM calls its level at each step; of ML-EM's budget every level gets an equal share."""
    found = np.zeros(len(costs))
    if piece.method in ("paper", "mlem"):
        found[: piece.levels] = np.minimum(piece.steps, piece.cost / piece.levels / costs[: piece.levels])
    else:
        found[piece.levels - 1] = piece.steps
    return found


def _error(piece: Piece, evaluations: np.ndarray) -> float:
    """Mean square, in squares of a pixel's range."""
    bias = 0.0 if piece.levels == len(FLOPS) else float(_ERRORS[piece.levels - 1]) ** 2
    if piece.method not in ("paper", "mlem"):
        return bias + (_STEP / piece.steps) ** (2 if piece.method in ("em", "ddim") else 4)
    corrections = np.square(_ERRORS[: piece.levels - 1])
    order = 1 if piece.method == "paper" else 2
    missed = corrections * (evaluations[1 : piece.levels] ** -order - float(piece.steps) ** -order)
    return bias + (_STEP / piece.steps) ** 2 + float(missed.sum())


def made_ladder(folder: Path, *, size: int = 16) -> Ladder:
    """Three networks of a few channels, saved in ``folder``."""
    torch.manual_seed(0)
    shapes = (Shape(4, (8,), groups=4), Shape(2, (8,), groups=4), Shape(1, (8,), groups=4))
    record: dict[str, Any] = {"images": 1000, "seconds": 1.0, "device": "made up"}
    levels = [
        (
            f"level-{k}",
            Denoiser(shape.body(size), Schedule(), patch=shape.patch),
            TrainingRecord(held_out=((0.5, 0.1, 0.01),), **record),
        )
        for k, shape in enumerate(shapes, start=1)
    ]
    return save_ladder(folder, "made up", levels)
