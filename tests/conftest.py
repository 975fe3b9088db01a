"""Settings of all tests: one thread, examples that do not change from run to run, and helpers that several files share."""

from __future__ import annotations

import gc
import os
from collections.abc import Callable

import pytest
import torch
from hypothesis import settings
from xdist.scheduler import LoadScopeScheduling

settings.register_profile("fixed", derandomize=True, deadline=None, max_examples=20, database=None)
settings.load_profile("fixed")
os.environ["OMP_NUM_THREADS"] = "1"  # of processes that tests start
torch.set_num_threads(1)
gc.freeze()

DEVICES = ("cpu", "cuda") if torch.cuda.is_available() else ("cpu",)

ZScore = Callable[[torch.Tensor, float], float]


class Clock:
    """Goes on when told to."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


_BROWSER = "tests/e2e/"


class BesideTheBrowser(LoadScopeScheduling):
    """Files whole to each worker, and all tests with a browser to one: it waits much, and leaves the others their cores."""

    def _split_scope(self, nodeid: str) -> str:
        return _BROWSER if nodeid.startswith(_BROWSER) else nodeid.split("::")[0]


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """For ``pytest -n``, in the order of collection."""
    config.option.loadscopereorder = False
    return BesideTheBrowser(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: not item.nodeid.startswith(_BROWSER))


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


@pytest.fixture
def computed_here(monkeypatch: pytest.MonkeyPatch) -> None:
    """What pages have computed in the worker, this process computes: there is none to be started."""
    from mlem.experiments import steps, store
    from mlem.experiments.worker import WORKER

    monkeypatch.setattr(WORKER, "start", lambda: None)
    monkeypatch.setattr(WORKER, "result", lambda chosen, params: chosen.run(params, None))
    jobs = {"sweep": store.steps, "steps": steps.steps}
    monkeypatch.setattr(WORKER, "steps", lambda kind, params, start=0: jobs[kind](params, start))
