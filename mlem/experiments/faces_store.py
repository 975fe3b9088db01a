"""The measurement of a ladder of networks: made in groups of pictures, kept in one file with the package.

``python -m mlem store-faces`` makes what the Faces page shows. What the shipped ladder's weights have already given is kept.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import Float

from mlem.experiments.result import write_arrays
from mlem.images.checkpoint import SHIPPED, Ladder, NetworkLevel, device_of_ladder
from mlem.images.devices import device_of, in_words
from mlem.images.ladders import ladder
from mlem.images.manifest import FILE, Manifest, read_manifest
from mlem.images.pilot import Effects, measure_effects
from mlem.images.process import levels_of
from mlem.images.sweep import GROUP, Group, Piece, seconds_of, sweep
from mlem.jobs import sliced
from mlem.march import Report, stretch

if TYPE_CHECKING:
    from mlem.experiments.faces import FacesParams

FOLDER = Path(__file__).with_name("faces")

_PILOT_SHARE = 0.1  # of the work, about


@dataclass(frozen=True, eq=False)
class Measured:
    """All runs of one process on one ladder, known by the hashes of its weights: per piece distinct evaluations (P, K) and
    squared errors (pictures, P); the ``bias`` (pictures, K) of each level; FLOPs, parameters, pictures seen in training,
    held-out loss with its standard error and seconds of one evaluation by level; and what the pilot found."""

    process: str
    hashes: tuple[str, ...]
    device: str
    pieces: tuple[Piece, ...]
    evaluations: Float[np.ndarray, "pieces levels"]
    squared: Float[np.ndarray, "pictures pieces"]
    bias: Float[np.ndarray, "pictures levels"]
    flops: Float[np.ndarray, " levels"]
    parameters: Float[np.ndarray, " levels"]
    images: Float[np.ndarray, " levels"]
    held_out: Float[np.ndarray, "levels 2"]
    seconds: Float[np.ndarray, " levels"]
    effects: Effects


def manifest() -> Manifest | None:
    """What the shipped ladder says of itself; None where there is none. No network is loaded."""
    path = SHIPPED / FILE
    return read_manifest(path) if path.is_file() else None


def load(params: FacesParams, folder: Path = FOLDER) -> Measured | None:
    """The stored measurement for ``params``: the whole of it, and of the ladder that is there, or none."""
    file, told = folder / f"{_name(params)}.npz", manifest()
    if told is None or not file.is_file():
        return None
    found = _load(file)
    same = found.hashes == tuple(level.sha256 for level in told.levels)
    return found if same and len(found.squared) == params.pictures else None


def measure(params: FacesParams, report: Report | None = None) -> Measured:
    """The whole measurement of the shipped ladder. ``report`` is told the fraction done after each run, and may raise to
    cancel."""
    networks = ladder("shipped", device := device_of(params.device))
    levels = levels_of(networks, params.process, precision=params.precision)
    effects = measure_effects(levels, device=device, report=stretch(report, 0.0, _PILOT_SHARE))
    count, groups = params.pictures // GROUP, list[Group]()
    ends = np.linspace(_PILOT_SHARE, 1.0, count + 1).tolist()
    for n, (begin, end) in enumerate(pairwise(ends)):
        groups.append(
            sweep(
                networks,
                params.process,
                effects,
                first=n * GROUP,
                seed=params.seed,
                precision=params.precision,
                report=stretch(report, begin, end),
            )
        )
    return _joined(params, networks, effects, groups)


def retime(folder: Path = FOLDER) -> None:
    """Takes the seconds of all networks anew, for what is stored of the ladder that is there: on a machine that does nothing
    else they are of use. Errors and calls stay."""
    networks, told = ladder("shipped"), manifest()
    for file in sorted(folder.glob("*-*.npz")):
        measured = _load(file)
        if told and measured.hashes == tuple(level.sha256 for level in told.levels):
            precision = file.stem.split("-")[2]
            seconds = seconds_of(networks, precision=precision)
            _write(file, replace(measured, seconds=seconds, device=in_words(device_of_ladder(networks))))
    _load.cache_clear()


def rebuild(all_params: Sequence[FacesParams], folder: Path = FOLDER) -> Iterator[float]:
    """Makes and writes what is not stored, telling the fraction done."""
    folder.mkdir(exist_ok=True)
    for n, params in enumerate(all_params):
        if load(params, folder) is None:
            yield from ((n + done) / len(all_params) for done in _remade(params, folder))
    yield 1.0


def _remade(params: FacesParams, folder: Path) -> Iterator[float]:
    def work(report: Report) -> None:
        _write(folder / f"{_name(params)}.npz", measure(params, report))

    yield from (done for done, _ in sliced(work))


def _joined(params: FacesParams, networks: Ladder, effects: Effects, groups: Sequence[Group]) -> Measured:
    """Only pieces that every group finished."""
    levels = networks.levels
    everywhere = set.intersection(*({run.piece for run in group.runs} for group in groups))
    by_group = [[run for run in group.runs if run.piece in everywhere] for group in groups]
    return Measured(
        process=params.process,
        hashes=tuple(level.sha256 for level in levels),
        device=in_words(device_of_ladder(networks)),
        pieces=tuple(run.piece for run in by_group[0]),
        evaluations=np.mean([[run.evaluations for run in runs] for runs in by_group], axis=0),
        squared=np.concatenate([np.stack([run.squared for run in runs], axis=1) for runs in by_group]),
        bias=np.concatenate([group.bias for group in groups]),
        flops=np.array([float(level.flops) for level in levels]),
        parameters=np.array([float(level.parameters) for level in levels]),
        images=np.array([float(level.training.images) if level.training else 0.0 for level in levels]),
        held_out=np.array([_mean_loss(level) for level in levels]),
        seconds=seconds_of(networks, precision=params.precision),
        effects=effects,
    )


def _mean_loss(level: NetworkLevel) -> tuple[float, float]:
    """Mean over noise levels of the held-out loss, and its standard error; NaN where the training told none."""
    if level.training is None or not level.training.held_out:
        return math.nan, math.nan
    losses = np.array(level.training.held_out)
    return float(losses[:, 1].mean()), float(np.sqrt(np.square(losses[:, 2]).sum()) / len(losses))


def _name(params: FacesParams) -> str:
    return f"{params.process}-{params.pictures}-{params.precision}-{params.seed}"


def _write(file: Path, measured: Measured) -> None:
    """All at once or not at all."""
    arrays: dict[str, Any] = {
        field.name: np.asarray(getattr(measured, field.name))
        for field in fields(Measured)
        if field.name not in ("pieces", "effects", "squared")
    }
    arrays |= {f"effects.{field.name}": getattr(measured.effects, field.name) for field in fields(Effects)}
    arrays |= {
        f"pieces.{field.name}": np.array([getattr(piece, field.name) for piece in measured.pieces]) for field in fields(Piece)
    }
    arrays["squared"] = measured.squared.astype(np.float32)
    write_arrays(file, arrays)


@lru_cache(maxsize=4)
def _load(file: Path) -> Measured:
    with np.load(file, allow_pickle=False) as stored:
        data: dict[str, Any] = {name: stored[name] for name in stored.files}
    columns = [data[f"pieces.{field.name}"].tolist() for field in fields(Piece)]
    special = {
        "process": str(data["process"]),
        "hashes": tuple(data["hashes"].tolist()),
        "device": str(data["device"]),
        "pieces": tuple(Piece(*values) for values in zip(*columns, strict=True)),
        "squared": data["squared"].astype(np.float64),
        "effects": Effects(*(data[f"effects.{field.name}"] for field in fields(Effects))),
    }
    plain = {field.name: data[field.name] for field in fields(Measured) if field.name not in special}
    return Measured(**special, **plain)
