"""Ladders from the Hugging Face Hub, where a deployment allows it."""

from __future__ import annotations

import os
import re
from pathlib import Path

from mlem import demo

ALLOWED = "MLEM_HUB"
"""The environment variable that is 1 where ladders may be fetched from the Hub."""

_NAME = re.compile(r"[\w-][\w.-]*/[\w-][\w.-]*", re.ASCII)
_FILES = ["*.json", "*.safetensors", "README.md"]
_MOST_BYTES = 2 << 30  # of a ladder


def is_name(source: str) -> bool:
    """Whether ``source`` can be the name of a repository, owner/name."""
    return _NAME.fullmatch(source) is not None


def fetch(name: str) -> Path:
    """The folder with the configs and weights of a public repository, which come from the Hub's cache or from the Hub.

    Raises ValueError where this is not allowed, where the repository cannot be had, or where it is larger than 2 GiB.
    """
    if os.environ.get(ALLOWED) != "1" or demo.on():
        raise ValueError(
            f"there is no folder {name}, and ladders are fetched from the Hub only where the environment variable "
            f"{ALLOWED} is 1, and never in a demo; set it, or give a folder"
        )
    from huggingface_hub import snapshot_download  # not loaded where it is not allowed
    from huggingface_hub.errors import HfHubHTTPError, HFValidationError

    try:  # without a token: who asks may not see what the server's owner may
        files = snapshot_download(name, allow_patterns=_FILES, token=False, dry_run=True)
        if not files:
            raise ValueError(f"{name} on the Hub has no file named {', '.join(_FILES)}; is it a ladder?")
        sizes = [file.file_size for file in files]
        if None in sizes or (total := sum(size or 0 for size in sizes)) > _MOST_BYTES:
            got = "files of unknown size" if None in sizes else f"{total >> 20:,} MiB"
            raise ValueError(f"{name} on the Hub takes at most {_MOST_BYTES >> 20:,} MiB, got {got}")
        return Path(snapshot_download(name, allow_patterns=_FILES, token=False, revision=files[0].commit_hash))
    except (HfHubHTTPError, HFValidationError, OSError) as error:
        raise ValueError(f"{name} could not be fetched from the Hub: {str(error).splitlines()[0]}") from error
