"""Ladders on disk: one diffusers-style folder per level, and ladder.json, which says how they belong together.

What is loaded may come from anywhere, so nothing in it is believed: sizes and shapes are checked before memory is taken, work
is counted and not read, and every way of being wrong has a sentence of its own. Nothing that could run code is ever opened.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path, PurePosixPath
from typing import Any

import torch

from mlem.images import config, hub, manifest, weights
from mlem.images.diffusion import TIMESTEPS, Schedule
from mlem.images.files import read_object, short, write_whole
from mlem.images.manifest import LevelEntry, Manifest, TrainingRecord, read_manifest
from mlem.images.network import Denoiser, flops, parameters

SHIPPED = Path(__file__).parent / "ladder"
"""The ladder that ships with the package."""


@dataclass(frozen=True, eq=False)
class NetworkLevel:
    """A network of a ladder: its work in floating-point operations for one picture, counted, and the hash of its weights.

    The denoiser is in evaluation mode, in single precision, and takes no gradients.
    """

    name: str
    denoiser: Denoiser
    flops: int
    parameters: int
    sha256: str
    training: TrainingRecord | None


@dataclass(frozen=True, eq=False)
class Ladder:
    """Networks for one task, coarse to fine, for pictures of ``size`` × ``size`` pixels."""

    name: str
    size: int
    schedule: Schedule
    levels: tuple[NetworkLevel, ...]


def device_of_ladder(ladder: Ladder) -> torch.device:
    """Where its networks are."""
    return next(ladder.levels[0].denoiser.parameters()).device


def load_ladder(source: Path | str, *, device: torch.device | str = "cpu") -> Ladder:
    """The ladder in a folder; or on the Hub, as "owner/name", where the environment variable MLEM_HUB is 1.

    A folder without ladder.json is taken as plain diffusers DDPM checkpoints: one network (config.json and weights, or both in
    unet/), or one a subfolder, ordered by work. DDPM's noise is assumed where no scheduler_config.json says otherwise.

    Raises ValueError, in one sentence, for whatever is wrong with it.
    """
    folder = inside = Path(source)
    if not folder.is_dir():
        if not isinstance(source, str) or not hub.is_name(source):
            raise ValueError(f"a ladder is a folder, or owner/name on the Hub; there is no folder {source}")
        folder = hub.fetch(source)
        inside = folder.parent.parent  # the Hub's cache: a snapshot is made of links to files that lie beside it
    opened = _Opened(folder.resolve(), inside.resolve())
    ladder = _own(opened) if opened.has(manifest.FILE) else _plain(opened)
    for level in ladder.levels:
        level.denoiser.to(device)
    return ladder


def save_ladder(folder: Path, name: str, levels: Sequence[tuple[str, Denoiser, TrainingRecord | None]]) -> Ladder:
    """Writes a ladder of (folder's name, network, what its training told), coarse to fine; returns it as loaded from there.

    Weights are kept in half precision. Each file is there whole or not at all, and ladder.json comes last: where the writer is
    killed in between, the hashes tell, and writing again mends it. Raises ValueError for levels that make no ladder.
    """
    if not levels or any(denoiser.schedule != levels[0][1].schedule for _, denoiser, _ in levels):
        raise ValueError("a ladder takes one level or more, all of one schedule, got none or several schedules")
    _check_order([(level, denoiser.size, flops(denoiser)) for level, denoiser, _ in levels])
    files = {level: weights.to_bytes(denoiser.body) for level, denoiser, _ in levels}
    entries = [
        LevelEntry(
            folder=level,
            parametrisation=denoiser.parametrisation,
            patch=denoiser.patch,
            flops=flops(denoiser),
            parameters=parameters(denoiser.body),
            sha256=hashlib.sha256(files[level]).hexdigest(),
            training=training,
        )
        for level, denoiser, training in levels
    ]
    told = manifest.to_json(Manifest(name, levels[0][1].size, levels[0][1].schedule, tuple(entries)))
    for level, denoiser, _ in levels:
        write_whole(folder / level / weights.FILE, files[level])
        write_whole(folder / level / config.FILE, config.to_json(denoiser.body))
    write_whole(folder / manifest.FILE, told)
    return load_ladder(folder)


@dataclass(frozen=True)
class _Opened:
    """A folder that is read. Wherever links in it lead, all its files must lie inside ``inside``."""

    folder: Path
    inside: Path

    def has(self, name: str) -> bool:
        return (self.folder / name).is_file()

    def path(self, name: str) -> Path:
        """A file in it. Raises ValueError for a link that leads out."""
        path = self.folder / name
        if not path.resolve().is_relative_to(self.inside):
            raise ValueError(f"{name} is a link that leads out of the ladder, {self.folder.name}; put the file itself there")
        return path

    def read(self, name: str) -> dict[str, Any]:
        if not self.has(name):
            raise ValueError(f"{name} is not there")
        return read_object(self.path(name), name)

    def subfolders(self) -> list[str]:
        return sorted(path.name for path in self.folder.iterdir() if path.is_dir())


def _own(opened: _Opened) -> Ladder:
    """A ladder that ladder.json describes."""
    told = read_manifest(opened.path(manifest.FILE))
    levels = [_level(opened, entry.folder, told.schedule, entry) for entry in told.levels]
    if levels[0].denoiser.size != told.size:
        raise ValueError(f"{manifest.FILE} takes networks for {told.size} pixels along an edge, got {levels[0].denoiser.size}")
    return _ladder(told.name, told.schedule, levels)


def _plain(opened: _Opened) -> Ladder:
    """A ladder of plain DDPM checkpoints, which say neither order nor schedule."""
    alone = _network(opened, "")
    found = [alone] if alone is not None else [_network(opened, name) for name in opened.subfolders()]
    places = [place for place in found if place is not None]
    if not places:
        for name in ("", *opened.subfolders()):
            weights.refuse_pickles(opened.folder / name, name or opened.folder.name)
        raise ValueError(f"{opened.folder.name} is no ladder: it has neither {manifest.FILE} nor folders with a {config.FILE}")
    if len(places) > manifest.MOST_LEVELS:
        raise ValueError(f"a ladder takes 1 to {manifest.MOST_LEVELS} levels, got {len(places)} folders with a {config.FILE}")
    levels = []
    for place in places:
        _check_scheduler(opened, place)
        levels.append(_level(opened, place, Schedule(), None))
    return _ladder(opened.folder.name, Schedule(), sorted(levels, key=lambda level: level.flops))


def _network(opened: _Opened, checkpoint: str) -> str | None:
    """The folder with a plain checkpoint's network: its own, or unet/ in it; None where there is none."""
    places = (checkpoint, _join(checkpoint, "unet"))
    return next((place for place in places if opened.has(_join(place, config.FILE))), None)


def _check_scheduler(opened: _Opened, place: str) -> None:
    """Raises ValueError where a plain checkpoint's scheduler says that it was trained otherwise than DDPM."""
    beside = place.removesuffix("unet").removesuffix("/")
    expected = {
        "num_train_timesteps": TIMESTEPS,
        "beta_start": Schedule.beta_low / TIMESTEPS,
        "beta_end": Schedule.beta_high / TIMESTEPS,
        "beta_schedule": "linear",
        "trained_betas": None,
        "prediction_type": "epsilon",
        "rescale_betas_zero_snr": False,
    }
    for name in (_join(beside, "scheduler", "scheduler_config.json"), _join(beside, "scheduler_config.json")):
        told = opened.read(name) if opened.has(name) else {}
        for key, value in expected.items():
            if (got := told.get(key, value)) != value:
                raise ValueError(f"{name} takes {key} {value}, DDPM's, which is all that can be sampled here, got {short(got)}")


def _level(opened: _Opened, folder: str, schedule: Schedule, told: LevelEntry | None) -> NetworkLevel:
    """One level: its config, its file and what is told of it are checked against each other before memory is taken."""
    parametrisation, patch = (told.parametrisation, told.patch) if told else ("epsilon", 1)
    label = _join(folder, config.FILE)
    body = config.to_body(opened.read(label), label)
    if (ends := (body.config["in_channels"], body.config["out_channels"])) != (3 * patch**2, 3 * patch**2):
        takes = f"{3 * patch**2} channels in and out, three colours of {patch} × {patch} pixels"
        raise ValueError(f"{label} takes {takes}, got {ends[0]} in and {ends[1]} out")
    count = parameters(body)
    if told and told.parameters != count:
        raise ValueError(f"{label} takes a network of {told.parameters:,} parameters by {manifest.FILE}, got {count:,}")
    label = _join(folder, weights.FILE)
    weights.check_there(opened.folder / folder, folder or opened.folder.name)
    file = opened.path(label)
    expected = {name: tuple(w.shape) for name, w in body.state_dict().items()}
    weights.check_shapes(weights.read_shapes(file, label), expected, label)
    found = weights.digest(file)
    if told and told.sha256 != found:
        raise ValueError(
            f"{label} takes the SHA-256 {told.sha256} by {manifest.FILE}, got {found}; it is damaged or another one"
        )
    body.load_state_dict(weights.read_weights(file, label), assign=True)
    denoiser = Denoiser(body, schedule, parametrisation, patch).eval().requires_grad_(False)
    name = folder.removesuffix("unet").removesuffix("/") or opened.folder.name
    return NetworkLevel(name, denoiser, flops(denoiser), count, found, told.training if told else None)


def _ladder(name: str, schedule: Schedule, levels: Sequence[NetworkLevel]) -> Ladder:
    _check_order([(level.name, level.denoiser.size, level.flops) for level in levels])
    return Ladder(name, levels[0].denoiser.size, schedule, tuple(levels))


def _check_order(levels: Sequence[tuple[str, int, int]]) -> None:
    """Raises ValueError unless (name, pixels, FLOPs) are of one size, and each is dearer than the one before."""
    for (coarse, pixels, less), (fine, others, more) in pairwise(levels):
        if pixels != others:
            raise ValueError(f"a ladder takes levels of one picture size, got {pixels} in {coarse} and {others} in {fine}")
        if less >= more:
            takes = "levels from coarse to fine, each with more FLOPs than the one before"
            raise ValueError(f"a ladder takes {takes}, got {less:,} in {coarse} and {more:,} in {fine}")


def _join(*parts: str) -> str:
    """A path inside the ladder, as errors spell it."""
    return PurePosixPath(*parts).as_posix()
