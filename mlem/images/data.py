"""Pictures to train on, from a folder, a tar or a zip: cropped, scaled and kept in memory as bytes."""

from __future__ import annotations

import hashlib
import io
import tarfile
import warnings
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path, PurePosixPath
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Tensor

from mlem.checks import check_integer, check_number

CROP = 148 / 178
"""Edge of the square cut from the centre, in widths of the picture: the usual 148 of CelebA's 178 pixels."""

PARTITION = "list_eval_partition.txt"
"""CelebA's own list of what is for training (0), for validation (1) and for testing (2)."""

_TRAINING, _VALIDATION = 0, 1
_ENDINGS = (".jpg", ".jpeg", ".png", ".webp")
_FORMATS = ("JPEG", "PNG", "WEBP")
_HELD_OUT = 0.05
_LEAST = 2  # pictures of each part, so that a loss has a standard error
_MOST_BYTES = 64 << 20  # of one picture's file

_Entry: TypeAlias = tuple[str, int, Callable[[], bytes]]
"""Name, size in bytes and reader of a file; to be read before the next one is asked for."""


@dataclass(frozen=True, eq=False)
class Pictures:
    """Pictures as bytes: what is trained on, and what is held out."""

    train: UInt8[Tensor, "n 3 size size"]
    held_out: UInt8[Tensor, "m 3 size size"]


def load(source: Path | str, *, size: int = 64, crop: float = CROP) -> Pictures:
    """All pictures of ``source``, each cropped to a square of ``crop`` widths at its centre and scaled to ``size`` pixels.

    Held out are CelebA's validation pictures where its partition list is found, in the folder or where the dataset has it
    beside an archive; its test pictures are left out. Without a list the last 5 % by name are held out.
    Raises ValueError for a source that holds no pictures, or a file that is none.
    """
    check_integer("size", size, low=8, high=1024)
    check_number("crop", crop, low=0.0, high=1.0, open_low=True)
    source = Path(source)
    names = sorted({name for name, _, _ in _entries(source)})
    if len(names) < 4:
        raise ValueError(f"data takes a folder, tar or zip of four pictures or more ({', '.join(_ENDINGS)}), got {len(names)}")
    train, held_out = _split(names, _partition(source))
    where = {name: (group, n) for group, part in enumerate((train, held_out)) for n, name in enumerate(part)}
    groups = [torch.empty(len(part), 3, size, size, dtype=torch.uint8) for part in (train, held_out)]
    with warnings.catch_warnings():
        warnings.simplefilter("error", Image.DecompressionBombWarning)
        for name, length, read in _entries(source):  # in the archive's order: sorted, a compressed one would be wound back
            if name in where:
                group, n = where[name]
                groups[group][n] = _picture(name, length, read, size, crop)
    return Pictures(*groups)


def digest(pictures: UInt8[Tensor, "n 3 size size"]) -> str:
    """SHA-256 of the pictures: tells whether a training goes on with those that it began with."""
    return hashlib.sha256(pictures.cpu().contiguous().numpy().data).hexdigest()


def to_unit(pictures: UInt8[Tensor, "*batch 3 size size"]) -> Float[Tensor, "*batch 3 size size"]:
    """Bytes as numbers in [−1, 1]."""
    return pictures.float().div_(127.5).sub_(1.0)


def to_bytes(pictures: Float[Tensor, "*batch 3 size size"]) -> UInt8[Tensor, "*batch 3 size size"]:
    """Numbers in [−1, 1] as bytes; what lies outside is clipped."""
    return pictures.clamp(-1.0, 1.0).add(1.0).mul(127.5).round().to(torch.uint8)


def _entries(source: Path) -> Iterator[_Entry]:
    """The pictures' files, in the order of the archive."""
    if source.is_dir():
        files = (path for path in source.rglob("*") if path.is_file())
        found: Iterator[_Entry] = ((f.relative_to(source).as_posix(), f.stat().st_size, f.read_bytes) for f in files)
    elif not source.is_file():
        raise ValueError(f"data takes a folder, tar or zip of pictures; there is no {source}")
    elif tarfile.is_tarfile(source):
        found = _in_tar(source)
    elif zipfile.is_zipfile(source):
        found = _in_zip(source)
    else:
        raise ValueError(f"data takes a folder, tar or zip of pictures; {source} is none of these")
    try:
        yield from (entry for entry in found if _is_picture(entry[0]))
    except (tarfile.TarError, zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"data takes a folder, tar or zip of pictures; {source} cannot be read to its end: {error}") from error


def _is_picture(name: str) -> bool:
    return name.lower().endswith(_ENDINGS) and not PurePosixPath(name).name.startswith(".")


def _in_tar(source: Path) -> Iterator[_Entry]:
    with tarfile.open(source) as archive:
        for member in archive:
            if (stream := archive.extractfile(member) if member.isfile() else None) is not None:
                yield member.name, member.size, stream.read


def _in_zip(source: Path) -> Iterator[_Entry]:
    with zipfile.ZipFile(source) as archive:
        for info in archive.infolist():
            yield info.filename, info.file_size, partial(archive.read, info)


def _split(names: Sequence[str], partition: dict[str, int]) -> tuple[list[str], list[str]]:
    """Names to train on and to hold out."""
    roles = [partition.get(PurePosixPath(name).stem) for name in names]
    if all(role is None for role in roles):  # there is no list, or it is that of other pictures
        cut = len(names) - max(_LEAST, round(_HELD_OUT * len(names)))
        return list(names[:cut]), list(names[cut:])
    train = [name for name, role in zip(names, roles, strict=True) if role in (None, _TRAINING)]
    held_out = [name for name, role in zip(names, roles, strict=True) if role == _VALIDATION]
    if min(len(train), len(held_out)) < _LEAST:
        found = f"{len(train)} to train on and {len(held_out)} to hold out"
        raise ValueError(f"{PARTITION} leaves {found} of {len(names)} pictures, and {_LEAST} of each are needed; take it away")
    return train, held_out


def _partition(source: Path) -> dict[str, int]:
    """CelebA's partition by file name without ending; empty where there is no list."""
    places = sorted(source.rglob(PARTITION)) if source.is_dir() else []
    places += [source.parent / PARTITION, source.parent.parent / "Eval" / PARTITION]
    for path in places:
        if path.is_file():
            lines = (line.split() for line in path.read_text(encoding="utf-8", errors="replace").splitlines())
            return {PurePosixPath(words[0]).stem: int(words[1]) for words in lines if len(words) == 2 and words[1].isdecimal()}
    return {}


def _picture(name: str, length: int, read: Callable[[], bytes], size: int, crop: float) -> UInt8[Tensor, "3 size size"]:
    if length > _MOST_BYTES:
        raise ValueError(f"{name} takes at most {_MOST_BYTES >> 20} MiB, got {length >> 20}; leave it out")
    try:
        picture = Image.open(io.BytesIO(read()), formats=_FORMATS).convert("RGB")
    except Exception as error:  # archives and decoders raise whatever they like on a broken file
        raise ValueError(f"{name} is no picture that can be read: {error}; leave it out") from error
    edge = max(1, min(round(crop * picture.width), picture.width, picture.height))
    left, top = (picture.width - edge) // 2, (picture.height - edge) // 2
    box = (left, top, left + edge, top + edge)
    scaled = picture.resize((size, size), Image.Resampling.LANCZOS, box=box)
    return torch.from_numpy(np.asarray(scaled).copy()).permute(2, 0, 1)
