"""Files that are read with care, since others may have made them, and written whole or not at all."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

_MOST_JSON = 1 << 20  # bytes


def write_whole(path: Path, content: bytes | str) -> None:
    """Writes a file that is there whole or not at all, whenever the writer is killed; makes its folder."""
    path.parent.mkdir(parents=True, exist_ok=True)
    beside = path.with_name(path.name + ".new")
    beside.write_bytes(content.encode() if isinstance(content, str) else content)
    os.replace(beside, path)


def read_object(path: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file. Raises ValueError, which calls the file ``name``, for anything else."""
    if (size := path.stat().st_size) > _MOST_JSON:
        raise ValueError(f"{name} takes at most {_MOST_JSON} bytes, got {size}")
    return parse_object(path.read_bytes(), name)


def parse_object(content: bytes, name: str) -> dict[str, Any]:
    """The JSON object that ``content`` spells. Raises ValueError, which calls it ``name``, for anything else."""
    try:
        value = json.loads(content, parse_constant=_refuse_constant, object_pairs_hook=_without_doubles)
    except RecursionError:
        raise ValueError(f"{name} takes a JSON object, got one nested too deeply") from None
    except UnicodeDecodeError as error:
        raise ValueError(f"{name} takes a JSON object in UTF-8, got other bytes at {error.start}") from None
    except ValueError as error:
        raise ValueError(f"{name} takes a JSON object, got text that is none: {error}") from None
    if not isinstance(value, dict):
        raise ValueError(f"{name} takes a JSON object, got {short(value)}")
    return value


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is no finite number")


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Two readers may disagree which of two entries of one name counts."""
    found = dict(pairs)
    if len(found) < len(pairs):
        raise ValueError(f"one of {short(sorted(found))} stands there twice")
    return found


def short(value: object) -> str:
    """A value of any origin, short enough for a sentence."""
    return repr(value)[:80]
