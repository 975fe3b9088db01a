"""The devices that networks run on."""

from __future__ import annotations

import platform
from pathlib import Path

import torch

from mlem.checks import check_choice

DEVICES = {"auto": "Automatic: CUDA where there is one", "cpu": "Processor", "cuda": "CUDA"}


def device_of(choice: str) -> torch.device:
    """The device of a choice among :data:`DEVICES`; "auto" is CUDA where there is one. Raises ValueError where there is not."""
    check_choice("device", choice, tuple(DEVICES))
    there = torch.cuda.is_available()
    if choice == "cuda" and not there:
        raise ValueError("device takes auto or cpu where PyTorch sees no CUDA device, got cuda")
    return torch.device("cuda" if there and choice != "cpu" else "cpu")


def in_words(device: torch.device) -> str:
    """A device as tables name it: the card, or the kind of processor and its threads."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    threads = torch.get_num_threads()
    return f"{_processor()} CPU, {threads} thread{'s' if threads > 1 else ''}"


def _processor() -> str:
    """The model where Linux tells it, else the kind."""
    told = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").is_file() else ""
    models = [line.partition(":")[2].strip() for line in told.splitlines() if line.startswith("model name")]
    return models[0] if models else platform.machine()
