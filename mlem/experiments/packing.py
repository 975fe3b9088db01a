"""Results as texts and arrays, for files and for other processes: nothing that is read back can run code."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Callable, Mapping
from functools import cache
from itertools import repeat
from types import UnionType
from typing import Any, TypeAlias, Union, get_args, get_origin, get_type_hints

import numpy as np

Arrays: TypeAlias = dict[str, np.ndarray]

_ARRAY = "array"  # the key by which a text names an array


def pack(value: Any, arrays: Arrays, squeeze: Callable[[np.ndarray], np.ndarray] = lambda array: array) -> Any:
    """``value``, of dataclasses, mappings, tuples and numbers, as JSON knows it. Its arrays go to ``arrays``, as ``squeeze``
    makes them, each once, by names made of what is in them."""
    if isinstance(value, np.ndarray):
        small = np.asarray(squeeze(value), order="C")  # safetensors takes the memory as it lies, strided or not
        name = hashlib.sha256(f"{small.dtype}{small.shape}".encode() + small.tobytes()).hexdigest()[:16]
        arrays[name] = small
        return {_ARRAY: name}
    if dataclasses.is_dataclass(value):
        return {field.name: pack(getattr(value, field.name), arrays, squeeze) for field in dataclasses.fields(value)}
    if isinstance(value, Mapping):
        return {key: pack(item, arrays, squeeze) for key, item in value.items()}
    if isinstance(value, tuple):
        return [pack(item, arrays, squeeze) for item in value]
    return value


def unpack(kind: Any, value: Any, array: Callable[[str], np.ndarray]) -> Any:
    """A value of the type ``kind``, from what :func:`pack` made of it; ``array`` gives an array by its name."""
    if isinstance(value, dict) and set(value) == {_ARRAY}:
        return array(value[_ARRAY])
    if dataclasses.is_dataclass(kind):
        hints = _hints(kind)  # type: ignore[arg-type]  # that dataclasses can be hashed is not known
        return kind(**{name: unpack(hints[name], item, array) for name, item in value.items()})  # type: ignore[operator]
    of = get_args(kind)
    if get_origin(kind) in (UnionType, Union):
        return None if value is None else unpack(of[0], value, array)
    if get_origin(kind) is tuple:
        kinds = repeat(of[0], len(value)) if of[1:] == (Ellipsis,) else of
        return tuple(unpack(each, item, array) for each, item in zip(kinds, value, strict=True))
    if get_origin(kind) is dict:
        return {key: unpack(of[1], item, array) for key, item in value.items()}
    return value


@cache
def _hints(kind: Any) -> dict[str, Any]:
    """Of the fields of a dataclass; to find them takes longer than all else here."""
    return get_type_hints(kind)
