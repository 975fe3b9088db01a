"""Samples as pages want them: with the frames on sheets, the default's stored with the package, all others as jobs.

``python -m mlem store-faces`` makes the stored one, after the measurements that it needs. It is known by the hashes of the
ladder's weights, and is not shown for another ladder. What a method draws does not depend on all parameters: another budget,
say, needs neither EM's pictures nor the reference's anew.
"""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float

from mlem.experiments import faces_store
from mlem.experiments.faces import FacesParams
from mlem.experiments.result import write_arrays
from mlem.experiments.sample import GRID, METHODS, Drawn, SampleParams, SampleResult, draw, judge
from mlem.images.devices import device_of
from mlem.images.ladders import ladder
from mlem.images.process import GFLOP, PROCESSES
from mlem.images.sheet import Sheet, to_sheet
from mlem.jobs import Step, sliced
from mlem.march import Report

STORED = Path(__file__).with_name("faces") / "sample.npz"

_KEPT = 24  # films in memory, about a megabyte each


@dataclass(frozen=True, eq=False)
class Film:
    """What one method drew, with its frames on a sheet: ``drawn`` has none. ``costs``: GFLOP of one evaluation by level."""

    sheet: Sheet
    drawn: Drawn
    costs: Float[np.ndarray, " levels"]


def matters(params: SampleParams, method: str) -> SampleParams:
    """``params`` as far as the pictures of ``method`` depend on them: all else is at its default."""
    own = {"mlem": ("steps", "budget", "firing"), "em": ("em_steps",), "reference": ()}[method]
    named = (*own, "process", "pictures", "precision", "device", "seed", "ladder")
    return SampleParams(**{name: getattr(params, name) for name in named})


def load(params: SampleParams, file: Path = STORED) -> dict[str, Film]:
    """The stored films that are what ``params`` asks for, by method."""
    told = faces_store.manifest()
    if params.ladder != "shipped" or told is None or not file.is_file():
        return {}
    stored, films = _load(file)
    if stored != tuple(level.sha256 for level in told.levels):
        return {}
    return {method: film for method, film in films.items() if matters(params, method) == matters(SampleParams(), method)}


def judged(films: Mapping[str, Film]) -> SampleResult:
    """The result of the films of all methods."""
    return judge({method: film.drawn for method, film in films.items()})


def steps(params: SampleParams, methods: Sequence[str] = METHODS, start: int = 0) -> Iterator[Step[Film]]:
    """The films of ``methods`` as a job: a part for each, from number ``start`` on."""
    yield 0.0, None  # a first step that takes no time, so that whoever looks on sees the job at once
    top = float(_costs(params)[-1])
    work = {"mlem": params.budget / top, "em": float(params.em_steps), "reference": float(GRID)}
    ends = np.cumsum([work[method] for method in methods]) / sum(work[method] for method in methods)
    begins = np.concatenate([[0.0], ends[:-1]])
    for method, begin, end in list(zip(methods, begins.tolist(), ends.tolist(), strict=True))[start:]:
        film = _films.get(method, params)
        if film is None:
            film = yield from sliced(partial(_filmed, params, method), begin=begin, end=end)
            _films.keep(method, params, film)
        yield end, film


def rebuild(file: Path = STORED) -> Iterator[float]:
    """Makes and writes the measurements and the default's sample, telling the fraction done. What the same weights have made is
    kept."""
    for done in faces_store.rebuild([FacesParams(process=process) for process in PROCESSES], file.parent):
        yield 0.95 * done
    if len(load(SampleParams(), file)) < len(METHODS):
        for done in _made(file):
            yield 0.95 + 0.05 * done
    yield 1.0


def retime(file: Path = STORED) -> Iterator[float]:
    """Takes all seconds of what is stored anew, on a machine that does nothing else: those of the networks, and those of the
    default's sample, which is drawn again."""
    faces_store.retime(file.parent)
    yield from _made(file)


def _made(file: Path) -> Iterator[float]:
    """Draws the default's sample and writes it."""
    films = list[Film]()
    for done, film in steps(SampleParams()):
        films += [film] if film else []
        yield done
    hashes = [level.sha256 for level in ladder("shipped").levels]
    _write(file, hashes, dict(zip(METHODS, films, strict=True)))


def _costs(params: SampleParams) -> Float[np.ndarray, " levels"]:
    return np.array([level.flops / GFLOP for level in ladder(params.ladder, device_of(params.device)).levels])


def _filmed(params: SampleParams, method: str, report: Report) -> Film:
    """``report`` may take its time: a job stands still in it. That is no time of the method's."""
    stood = 0.0

    def told(done: float) -> None:
        nonlocal stood
        began = time.perf_counter()
        report(done)
        stood += time.perf_counter() - began

    drawn = draw(params, method, told)
    drawn = replace(drawn, seconds=drawn.seconds - stood / params.pictures)
    return Film(to_sheet(drawn.frames), replace(drawn, frames=drawn.frames[:0]), _costs(params))


class _Films:
    """The films that were made last."""

    def __init__(self) -> None:
        self._kept = OrderedDict[tuple[str, SampleParams], Film]()

    def get(self, method: str, params: SampleParams) -> Film | None:
        return self._kept.get((method, matters(params, method)))

    def keep(self, method: str, params: SampleParams, film: Film) -> None:
        self._kept[method, matters(params, method)] = film
        while len(self._kept) > _KEPT:
            self._kept.popitem(last=False)


_films = _Films()


def _write(file: Path, hashes: Sequence[str], films: Mapping[str, Film]) -> None:
    """All at once or not at all."""
    arrays: dict[str, Any] = {"hashes": np.array(hashes), "costs": films[METHODS[0]].costs}
    for method, film in films.items():
        arrays |= {f"{method}.sheet.{name}": _flat(value) for name, value in vars(film.sheet).items()}
        arrays |= {f"{method}.drawn.{name}": _flat(value) for name, value in vars(film.drawn).items()}
    write_arrays(file, arrays)


def _flat(value: Any) -> np.ndarray:
    if isinstance(value, bytes):
        return np.frombuffer(value, np.uint8)
    return value.numpy().astype(np.float16) if isinstance(value, torch.Tensor) else np.asarray(value)


@lru_cache(maxsize=2)
def _load(file: Path) -> tuple[tuple[str, ...], dict[str, Film]]:
    """Hashes and films."""
    with np.load(file, allow_pickle=False) as stored:
        data: dict[str, Any] = {name: stored[name] for name in stored.files}
    films = {}
    for method in METHODS:
        sheet, drawn = (
            {field.name: _unflat(field.name, data[f"{method}.{part}.{field.name}"]) for field in fields(kind)}
            for part, kind in (("sheet", Sheet), ("drawn", Drawn))
        )
        films[method] = Film(Sheet(**sheet), Drawn(**drawn), data["costs"])
    return tuple(data["hashes"].tolist()), films


def _unflat(name: str, value: np.ndarray) -> Any:
    if name == "final":
        return torch.from_numpy(value.astype(np.float32))
    if name in ("way", "end"):
        return value.tobytes()
    if value.ndim > 1:
        return value
    return value.item() if value.ndim == 0 else tuple(value.tolist())
