"""ladder.json: what belongs to a ladder, in which order, and what its networks were trained for and on."""

from __future__ import annotations

import dataclasses
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeAlias, TypeVar

from mlem.checks import check_choice, check_integer, check_number
from mlem.images.diffusion import Schedule
from mlem.images.files import parse_object, read_object, short
from mlem.images.network import PARAMETRISATIONS

FILE = "ladder.json"
FORMAT = 1
MOST_LEVELS = 16

T = TypeVar("T")


_Check: TypeAlias = Callable[[str, Any], Any]
"""(name, value) -> the value, as :mod:`mlem.checks` has them."""


@dataclass(frozen=True)
class TrainingRecord:
    """What a level's training told: pictures seen, seconds of work and the device that did it, and the loss on held-out
    pictures as (σ, mean, standard error)."""

    images: int
    seconds: float
    device: str
    held_out: tuple[tuple[float, float, float], ...]


@dataclass(frozen=True)
class LevelEntry:
    """A level as ladder.json lists it. FLOPs are told for readers: who loads the level counts them."""

    folder: str
    parametrisation: str
    patch: int
    flops: int
    parameters: int
    sha256: str
    training: TrainingRecord | None


@dataclass(frozen=True)
class Manifest:
    """All that ladder.json says; ``levels`` from coarse to fine."""

    name: str
    size: int
    schedule: Schedule
    levels: tuple[LevelEntry, ...]


def to_json(manifest: Manifest) -> str:
    """The content of ladder.json. Raises ValueError for what could not be read back."""
    told = {"format": FORMAT} | dataclasses.asdict(manifest)
    content = json.dumps(told, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    _parse(parse_object(content.encode(), FILE))
    return content


def read_manifest(path: Path) -> Manifest:
    """What a ladder.json says. Raises ValueError that tells what is wrong, and in which level."""
    return _parse(read_object(path, FILE))


def _parse(told: dict[str, Any]) -> Manifest:
    if (found := told.pop("format", None)) != FORMAT:
        raise ValueError(f"{FILE} takes format {FORMAT}, got {short(found)}; a later version may read it")
    manifest = _made(Manifest, _MANIFEST, FILE, told)
    if len({level.folder for level in manifest.levels}) < len(manifest.levels):
        raise ValueError(f"{FILE} takes each folder once, got one twice")
    return manifest


def _made(kind: Callable[..., T], checks: Mapping[str, _Check], where: str, told: object) -> T:
    """A dataclass from a record of its fields, each of which is checked."""
    names = ", ".join(checks)
    if not isinstance(told, Mapping):
        raise ValueError(f"{where} takes an object with {names}, got {short(told)}")
    if odd := sorted(told.keys() ^ checks.keys()):
        raise ValueError(f"{where} takes {names}; {short(odd[0])} is {'unknown' if odd[0] in told else 'missing'}")
    try:
        return kind(**{name: check(name, told[name]) for name, check in checks.items()})
    except ValueError as error:
        raise ValueError(f"{where}: {error}") from error


def _text(name: str, value: object) -> str:
    if not isinstance(value, str) or not 1 <= len(value) <= 200:
        raise ValueError(f"{name} takes a text of 1 to 200 characters, got {short(value)}")
    return value


def _parametrisation(name: str, value: object) -> str:
    return check_choice(name, _text(name, value), PARAMETRISATIONS)


def _matching(pattern: str, takes: str) -> _Check:
    def check(name: str, value: object) -> str:
        if not isinstance(value, str) or not re.fullmatch(pattern, value):
            raise ValueError(f"{name} takes {takes}, got {short(value)}")
        return value

    return check


def _integer(low: int = 1, high: int | None = None) -> _Check:
    return partial(check_integer, low=low, high=high)


def _losses(name: str, value: object) -> tuple[tuple[float, float, float], ...]:
    if not isinstance(value, list) or not all(isinstance(row, list) and len(row) == 3 for row in value):
        raise ValueError(f"{name} takes a list of [σ, mean, standard error], got {short(value)}")
    rows = [[check_number(name, number, low=0.0) for number in row] for row in value]
    return tuple((sigma, mean, error) for sigma, mean, error in rows)


def _training(name: str, value: object) -> TrainingRecord | None:
    return None if value is None else _made(TrainingRecord, _RECORD, name, value)


def _schedule(name: str, value: object) -> Schedule:
    return _made(Schedule, {field.name: check_number for field in dataclasses.fields(Schedule)}, name, value)


def _levels(name: str, value: object) -> tuple[LevelEntry, ...]:
    if not isinstance(value, list) or not 1 <= len(value) <= MOST_LEVELS:
        got = f"{len(value)}" if isinstance(value, list) else short(value)
        raise ValueError(f"{name} takes a list of 1 to {MOST_LEVELS}, got {got}")
    return tuple(_made(LevelEntry, _ENTRY, f"level {n}", one) for n, one in enumerate(value, start=1))


_RECORD: dict[str, _Check] = {
    "images": _integer(low=0),
    "seconds": partial(check_number, low=0.0),
    "device": _text,
    "held_out": _losses,
}
_ENTRY: dict[str, _Check] = {
    "folder": _matching(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}", "a plain name of letters, digits, dots and hyphens"),
    "parametrisation": _parametrisation,
    "patch": _integer(high=16),
    "flops": _integer(),
    "parameters": _integer(),
    "sha256": _matching(r"[0-9a-f]{64}", "64 digits, 0 to f"),
    "training": _training,
}
_MANIFEST: dict[str, _Check] = {
    "name": _text,
    "size": _integer(low=4, high=1024),
    "schedule": _schedule,
    "levels": _levels,
}
