"""Results that ship with the package, by their parameters: what a class asks for first, so that nobody waits for it.

``python -m mlem answers`` makes them: the presets of pages that compute while one waits, at every stop of γ. All numbers are
kept as they are; positions that are only drawn, in half precision.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np

from mlem.experiments.experiment import Experiment, get
from mlem.experiments.params import Params
from mlem.experiments.result import Result, write_arrays

STORED = Path(__file__).with_name("answers.npz")

_INDEX, _ARRAY = "index", "array"  # names of the array that holds the texts, and of the key by which a text names an array

Arrays: TypeAlias = dict[str, np.ndarray]


def load(experiment: str, params: Params, file: Path = STORED) -> Result | None:
    """The stored result, None where there is none."""
    found = _index(file).get(_key(experiment, params))
    if found is None:
        return None
    with np.load(file, allow_pickle=False) as arrays:
        result: Result = _read(_result_of(experiment), found, arrays)
    return result


def rebuild(wanted: Sequence[tuple[Experiment, Params]], file: Path = STORED) -> Iterator[float]:
    """Makes and writes them, telling the fraction done."""
    index, arrays = dict[str, Any](), Arrays()
    for n, (experiment, params) in enumerate(wanted, start=1):
        index[_key(experiment.name, params)] = _written(experiment.run(params, None), arrays)
        yield n / len(wanted)
    text = np.frombuffer(json.dumps(index).encode(), np.uint8)
    write_arrays(file, {_INDEX: text, **arrays})
    _index.cache_clear()


def _key(experiment: str, params: Params) -> str:
    return " ".join([experiment, *(f"{name}={text}" for name, text in params.to_query().items())])


def _result_of(experiment: str) -> type[Result]:
    """What its ``run`` returns."""
    found: type[Result] = get_type_hints(get(experiment).run)["return"]
    return found


@cache
def _index(file: Path) -> dict[str, Any]:
    if not file.is_file():
        return {}
    with np.load(file, allow_pickle=False) as stored:
        texts: dict[str, Any] = json.loads(stored[_INDEX].tobytes())
    return texts


def _written(value: Any, arrays: Arrays) -> Any:
    """``value`` as JSON knows it. Its arrays go to ``arrays``, each once, by names made of what is in them."""
    if isinstance(value, np.ndarray):
        small = value.astype(np.float16) if value.dtype == np.float32 else value
        name = hashlib.sha256(repr(small.shape).encode() + small.tobytes()).hexdigest()[:16]
        arrays[name] = small
        return {_ARRAY: name}
    if dataclasses.is_dataclass(value):
        return {field.name: _written(getattr(value, field.name), arrays) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: _written(item, arrays) for key, item in value.items()}
    if isinstance(value, tuple):
        return [_written(item, arrays) for item in value]
    return value


def _read(kind: Any, value: Any, arrays: Mapping[str, np.ndarray]) -> Any:
    """A value of the type ``kind``, from what :func:`_written` made of it."""
    if isinstance(value, dict) and set(value) == {_ARRAY}:
        array = arrays[value[_ARRAY]]
        return array.astype(np.float32) if array.dtype == np.float16 else array
    if dataclasses.is_dataclass(kind):
        hints = get_type_hints(kind)
        return kind(**{name: _read(hints[name], item, arrays) for name, item in value.items()})  # type: ignore[operator]
    of = get_args(kind)
    if get_origin(kind) in (UnionType, Union):
        return None if value is None else _read(of[0], value, arrays)
    if get_origin(kind) is tuple:
        return tuple(_read(of[0], item, arrays) for item in value)
    if get_origin(kind) is dict:
        return {key: _read(of[1], item, arrays) for key, item in value.items()}
    return value
