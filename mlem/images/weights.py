"""Weights in safetensors files, read so that a file of any origin can do no harm.

A safetensors file is 8 bytes with the length of its header, the header, a JSON object of names, dtypes, shapes and offsets, and
the numbers. Everything that the header claims is checked against the file before memory is taken for a single number. Pickles,
which run code when they are opened, are told by their first bytes and never opened.
"""

from __future__ import annotations

import hashlib
import math
from itertools import pairwise
from pathlib import Path
from typing import TypeAlias

import torch
from safetensors.torch import load_file, save
from torch import Tensor, nn

from mlem.images.files import parse_object, short

FILE = "diffusion_pytorch_model.safetensors"
"""The name of a network's weights, as diffusers writes it."""

Shapes: TypeAlias = dict[str, tuple[int, ...]]

_BYTES = {"F16": 2, "BF16": 2, "F32": 4}  # of a number of each dtype that is taken
_MOST_HEADER = 1 << 20  # bytes: a network of 600 tensors takes 70,000
_PICKLED = (".bin", ".pt", ".pth", ".ckpt", ".pkl", ".pickle")
_RENAMED = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}
_KINDS = {  # first bytes
    b"PK": "a zip archive, which is how PyTorch keeps pickles",
    b"\x80": "a pickle",
    b"\x1f\x8b": "a gzip archive",
    b"\x89HDF": "an HDF5 file",
    b"version https://git-lfs": "a pointer of Git LFS, without the file it stands for",
    b"<": "a web page",
}


def check_there(folder: Path, name: str) -> None:
    """Raises ValueError where a folder, which errors call ``name``, has no weights, or only pickled ones."""
    if not (folder / FILE).is_file():
        refuse_pickles(folder, name)
        raise ValueError(f"{name} takes its weights as {FILE}, and has no such file")


def refuse_pickles(folder: Path, name: str) -> None:
    """Raises ValueError where a folder has a file that is named like a pickle."""
    if pickled := sorted(file.name for file in folder.iterdir() if file.suffix.lower() in _PICKLED):
        raise ValueError(
            f"{name} takes its weights as {FILE}, got the pickle {short(pickled[0])}, which could run code and is never "
            "opened; where you trust it, save it anew as safetensors"
        )


def read_shapes(path: Path, name: str) -> Shapes:
    """Shape of each tensor in a safetensors file that errors call ``name``, from its header alone.

    Raises ValueError where the file is something else, is cut or has bytes too many, or holds other dtypes than F16, BF16, F32.
    """
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(32)
        length = int.from_bytes(start[:8], "little")
        if start[8:9] != b"{":
            kind = next((kind for begin, kind in _KINDS.items() if start.startswith(begin)), "something else")
            raise ValueError(f"{name} takes a safetensors file, got {kind} by its first bytes; nothing of it was opened")
        if length > _MOST_HEADER:
            raise ValueError(f"{name} takes a header of at most {_MOST_HEADER} bytes, got one that claims {length}")
        if 8 + length > size:
            raise ValueError(f"{name} is cut short: its header takes {length} bytes, and {size - 8} are there; fetch it again")
        file.seek(8)
        header = parse_object(file.read(length), f"the header of {name}")
    header.pop("__metadata__", None)
    shapes, spans = Shapes(), list[tuple[int, int]]()
    for tensor, entry in header.items():
        shapes[_modern(tensor)], span = _entry(f"{short(tensor)} in {name}", entry)
        spans.append(span)
    _check_spans(name, sorted(spans), size - 8 - length)
    return shapes


def _modern(tensor: str) -> str:
    """The name that diffusers gives a tensor today; it renamed those of attention once."""
    for old, new in _RENAMED.items():
        tensor = tensor.replace(f".{old}.", f".{new}.")
    return tensor


def _entry(name: str, entry: object) -> tuple[tuple[int, ...], tuple[int, int]]:
    """Shape and span of a tensor, from its entry in the header."""
    if not isinstance(entry, dict) or entry.keys() != {"dtype", "shape", "data_offsets"}:
        raise ValueError(f"{name} takes dtype, shape and data_offsets, got {short(entry)}")
    dtype, shape, span = entry["dtype"], entry["shape"], entry["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _BYTES:
        raise ValueError(f"{name} takes numbers of {', '.join(_BYTES)}, got {short(dtype)}")
    if not _are_sizes(shape) or not _are_sizes(span) or len(span) != 2:
        raise ValueError(f"{name} takes whole numbers ≥ 0 as shape and offsets, got {short(shape)} and {short(span)}")
    claimed = math.prod(shape) * _BYTES[dtype]
    if span[1] - span[0] != claimed:
        raise ValueError(f"{name} takes {claimed} bytes by its shape, got offsets of {span[1] - span[0]}")
    return tuple(shape), (span[0], span[1])


def _are_sizes(value: object) -> bool:
    return isinstance(value, list) and len(value) <= 8 and all(type(n) is int and 0 <= n < 1 << 63 for n in value)


def _check_spans(name: str, spans: list[tuple[int, int]], there: int) -> None:
    """Tensors lie one after the other and fill the ``there`` bytes after the header exactly."""
    if any(end != begin for (_, end), (begin, _) in pairwise([(0, 0), *spans])):
        raise ValueError(f"{name} takes tensors that lie one after the other, got offsets with a gap or an overlap")
    claimed = spans[-1][1] if spans else 0
    if claimed > there:
        raise ValueError(f"{name} is cut short: its tensors take {claimed} bytes, and {there} are there; fetch it again")
    if claimed < there:
        raise ValueError(f"{name} has {there - claimed} bytes after its last tensor, which belong to nothing; fetch it again")


def check_shapes(found: Shapes, expected: Shapes, name: str) -> None:
    """Raises ValueError unless the tensors are those of the network that the config describes."""
    if missing := sorted(expected.keys() - found.keys()):
        raise ValueError(f"{name} takes the {len(expected)} tensors of its config.json; {missing[0]} is missing")
    if surplus := sorted(found.keys() - expected.keys()):
        raise ValueError(f"{name} takes the {len(expected)} tensors of its config.json; {short(surplus[0])} is none of them")
    for tensor, shape in expected.items():
        if found[tensor] != shape:
            raise ValueError(f"{tensor} in {name} takes the shape {shape} by its config.json, got {found[tensor]}")


def digest(path: Path) -> str:
    """SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def read_weights(path: Path, name: str) -> dict[str, Tensor]:
    """The tensors of a file that :func:`read_shapes` has passed, in single precision. Raises ValueError for one not finite."""
    weights = {_modern(tensor): w.to(torch.float32, copy=True) for tensor, w in load_file(path).items()}
    for tensor, w in weights.items():
        if not bool(torch.isfinite(w).all()):
            raise ValueError(f"{tensor} in {name} takes finite numbers, got infinite ones or NaN; the training has diverged")
    return weights


def to_bytes(body: nn.Module) -> bytes:
    """A network's weights as a file, in half precision. Raises ValueError for weights beyond its range, 65,504."""
    halved = {name: w.detach().cpu().half().contiguous() for name, w in body.state_dict().items()}
    for name, w in halved.items():
        if not bool(torch.isfinite(w).all()):
            raise ValueError(f"{name} takes weights within ±65,504, the range of half precision, got others; train it anew")
    return save(halved, {"format": "pt"})
