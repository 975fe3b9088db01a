"""Finished sweeps that ship with the package, so that no page opens empty, and sweeps as jobs, for all others.

``python -m mlem store`` rebuilds those in ``STORED``. Errors are kept as float32, path by path, so that all that is made of
them can be made again: envelopes, bands and exponents, in any unit and for any γ.
"""

from __future__ import annotations

import hashlib
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass, fields, replace
from functools import lru_cache, partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np

import mlem
from mlem.experiments import convergence
from mlem.experiments.convergence import SEPARATING, ConvergenceParams
from mlem.experiments.result import write_arrays
from mlem.jobs import Step, sliced
from mlem.march import Report, listening
from mlem.planning import ErrorModel
from mlem.sweeps import Part, Piece, Run, Sweep

STORED = {
    "forced-ou-bernoulli": ConvergenceParams(),
    "forced-ou-systematic": ConvergenceParams(firing="systematic"),
    "double-well-separating": SEPARATING,
}
"""Every sweep that is stored, by the name of its file."""

FOLDER = Path(__file__).with_name("sweeps")


def swept(params: ConvergenceParams) -> ConvergenceParams:
    """What the sweep of ``params`` is known by: all that only prices or judges is at its default."""
    defaults = ConvergenceParams()
    unpriced = replace(params, unit=defaults.unit, error=defaults.error, epsilon=defaults.epsilon)
    return replace(unpriced, gamma=defaults.gamma) if params.kind == "synthetic" else unpriced


def load(params: ConvergenceParams, folder: Path = FOLDER) -> Part | None:
    """The whole sweep of ``params``, if it is stored."""
    asked = swept(params)
    name = next((name for name, stored in STORED.items() if swept(stored) == asked), None)
    return _load(folder / f"{name}.npz", str(asked)) if name else None


@lru_cache(maxsize=len(STORED))
def _load(file: Path, params: str) -> Part | None:
    if not file.exists() or _origin(file).params != params:
        return None
    parts = _read(file)
    return replace(parts[0], runs=tuple(run for part in parts for run in part.runs))


def steps(params: ConvergenceParams, start: int = 0) -> Generator[Step[Part], None, None]:
    """The sweep of ``params`` as a job: a part for each piece, from number ``start`` on."""
    sweep = yield from sliced(partial(_made, params), end=0.0)  # how much there is to measure, nobody knows beforehand
    work = np.cumsum([sweep.preparation, *(sweep.work(piece) for piece in sweep.pieces)])
    done = (work / work[-1]).tolist()
    yield from sliced(sweep.prepare, end=done[0])
    for piece, (begin, end) in list(zip(sweep.pieces, pairwise(done), strict=True))[start:]:
        runs = yield from sliced(partial(sweep.run, piece), begin=begin, end=end)
        yield end, sweep.part(runs)


def _made(params: ConvergenceParams, report: Report) -> Sweep:
    """The sweep. Spectral levels are calibrated and their terms measured for it, in dozens of marches: ``report`` is called in
    each."""
    with listening(report):
        return params.sweep()


def rebuild(sweeps: Mapping[str, ConvergenceParams] = STORED, folder: Path = FOLDER) -> Iterator[float]:
    """Makes and writes the store, telling the fraction done. What the same code has made is kept, also the pieces of a sweep
    that was interrupted."""
    folder.mkdir(exist_ok=True)
    for n, (name, params) in enumerate(sweeps.items()):
        for done in _rebuild(folder / f"{name}.npz", params):
            yield (n + done) / len(sweeps)


def _rebuild(file: Path, params: ConvergenceParams) -> Iterator[float]:
    origin = _Origin(str(swept(params)), _code())
    if file.exists() and _origin(file) == origin:
        yield 1.0
        return
    unfinished = file.with_suffix(".unfinished")
    parts = _read(unfinished) if unfinished.exists() and _origin(unfinished) == origin else []
    for done, part in steps(params, len(parts)):
        if part is not None:
            parts.append(part)
            _write(unfinished, parts, origin)
        yield done
    unfinished.replace(file)


@dataclass(frozen=True)
class _Origin:
    """What a file was made from: parameters and code."""

    params: str
    code: str


def _code() -> str:
    """A digest of the code that the numbers come from."""
    sources = [*sorted(Path(mlem.__file__).parent.glob("*.py")), Path(convergence.__file__)]
    return hashlib.sha256(b"".join(source.read_bytes() for source in sources)).hexdigest()


def _origin(file: Path) -> _Origin:
    with np.load(file, allow_pickle=False) as stored:
        return _Origin(str(stored["params"]), str(stored["code"]))


def _write(file: Path, parts: Sequence[Part], origin: _Origin) -> None:
    """All at once or not at all; nothing while there are no runs."""
    runs = [run for part in parts for run in part.runs]
    if not runs:
        return
    most = max(len(run.probabilities) for run in runs)
    arrays: dict[str, Any] = {
        **{name: np.array(text) for name, text in vars(origin).items()},
        **{f"model.{name}": np.array(value) for name, value in vars(parts[0].model).items()},
        "exact": np.array(parts[0].exact),
        "independent": np.array(parts[0].independent),
        "counts": np.array([len(part.runs) for part in parts]),
        "method": np.array([run.piece.method for run in runs]),
        "levels": np.array([run.piece.levels for run in runs]),
        "steps": np.array([run.piece.steps for run in runs]),
        "shape": np.array([run.shape for run in runs]),
        "probabilities": np.array([np.pad(run.probabilities, (0, most - len(run.probabilities))) for run in runs]),
        "evaluations": np.stack([run.evaluations for run in runs]),
        "seconds": np.array([run.seconds for run in runs]),
        "squared": np.stack([run.squared for run in runs]).astype(np.float32),
        "transport": np.stack([run.transport for run in runs]).astype(np.float32),
        "chance": np.array([run.chance for run in runs]),
    }
    write_arrays(file, arrays)


def _read(file: Path) -> list[Part]:
    """A part for each piece."""
    with np.load(file, allow_pickle=False) as stored:
        data: dict[str, Any] = {name: stored[name] for name in stored.files}
    model = ErrorModel(**{name: _plain(data[f"model.{name}"]) for name in (field.name for field in fields(ErrorModel))})
    squared, transport = (data[name].astype(np.float64) for name in ("squared", "transport"))
    runs = []
    for n, method in enumerate(data["method"].tolist()):
        piece = Piece(method, int(data["levels"][n]), int(data["steps"][n]))
        p = tuple(data["probabilities"][n][: piece.levels if method == "mlem" else 1].tolist())
        shape, seconds = float(data["shape"][n]), float(data["seconds"][n])
        chance = float(data["chance"][n])
        runs.append(Run(piece, shape, p, data["evaluations"][n], seconds, squared[n], transport[n], chance))
    ends = np.cumsum(data["counts"]).tolist()
    exact, independent = bool(data["exact"]), float(data["independent"])
    return [Part(exact, model, independent, tuple(runs[begin:end])) for begin, end in pairwise([0, *ends])]


def _plain(value: np.ndarray) -> Any:
    """A number where one was written, else the array."""
    return value if value.ndim else value.item()
