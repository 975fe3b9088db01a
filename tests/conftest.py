"""Settings of all tests: one thread, examples that do not change from run to run, and helpers that several files share."""

from __future__ import annotations

import gc
from collections.abc import Callable

import pytest
import torch
from hypothesis import settings

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=20, database=None)
settings.load_profile("fixed")
torch.set_num_threads(1)
gc.freeze()

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)

ZScore = Callable[[torch.Tensor, float], float]


@pytest.fixture(params=DEVICES)
def device(request: pytest.FixtureRequest) -> str:
    """Every device that this machine has."""
    return str(request.param)


@pytest.fixture
def z_score() -> ZScore:
    """z of the hypothesis that independent samples (all entries) have the given mean, their variance being estimated."""

    def score(samples: torch.Tensor, mean: float) -> float:
        flat = samples.double().flatten()
        return float((flat.mean() - mean) / (flat.std() / len(flat) ** 0.5))

    return score
