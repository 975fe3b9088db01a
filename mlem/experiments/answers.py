"""Results that ship with the package, by their parameters: what a class asks for first, so that nobody waits for it.

``python -m mlem answers`` makes them: the presets of pages that compute while one waits, at every stop of γ. All numbers are
kept as they are; positions that are only drawn, in half precision.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from mlem.experiments.experiment import Experiment, get
from mlem.experiments.packing import Arrays, pack, unpack
from mlem.experiments.params import Params
from mlem.experiments.result import Result, write_arrays

STORED = Path(__file__).with_name("answers.npz")

_INDEX = "index"  # name of the array that holds the texts


def load(experiment: str, params: Params, file: Path = STORED) -> Result | None:
    """The stored result, None where there is none."""
    found = _index(file).get(_key(experiment, params))
    if found is None:
        return None
    with np.load(file, allow_pickle=False) as arrays:
        result: Result = unpack(get(experiment).returns, found, lambda name: _whole(arrays[name]))
    return result


def rebuild(wanted: Sequence[tuple[Experiment, Params]], file: Path = STORED) -> Iterator[float]:
    """Makes and writes them, telling the fraction done."""
    index, arrays = dict[str, Any](), Arrays()
    for n, (experiment, params) in enumerate(wanted, start=1):
        index[_key(experiment.name, params)] = pack(experiment.run(params, None), arrays, _half)
        yield n / len(wanted)
    text = np.frombuffer(json.dumps(index).encode(), np.uint8)
    write_arrays(file, {_INDEX: text, **arrays})
    _index.cache_clear()


def _key(experiment: str, params: Params) -> str:
    return " ".join([experiment, *(f"{name}={text}" for name, text in params.to_query().items())])


@cache
def _index(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    with np.load(file, allow_pickle=False) as stored:
        texts: dict[str, Any] = json.loads(stored[_INDEX].tobytes())
    return texts


def _half(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float16) if array.dtype == np.float32 else array


def _whole(array: np.ndarray) -> np.ndarray:
    return array.astype(np.float32) if array.dtype == np.float16 else array
