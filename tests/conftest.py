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
_OWN_SERVER = {f"{_BROWSER}test_{name}.py" for name in ("chart", "faces", "offline", "workprecision")}


def _scope(nodeid: str) -> str:
    """What one worker does as a whole: a file, or all tests with a browser, but for those that need not the shared server."""
    file = nodeid.split("::")[0]
    if file in _OWN_SERVER:
        return "browser, and a server of its own"
    return _BROWSER if file.startswith(_BROWSER) else file


class LongestFirst(LoadScopeScheduling):
    """The tests with a browser in two parts, one to each worker; then other files, one by one, to whoever has ended."""

    def _split_scope(self, nodeid: str) -> str:
        return _scope(nodeid)


def pytest_xdist_make_scheduler(config: pytest.Config, log: object) -> LoadScopeScheduling:
    """For ``pytest -n``, in the order of collection."""
    config.option.loadscopereorder = False
    return LongestFirst(config, log)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """What takes longest begins first."""
    items.sort(key=lambda item: (_scope(item.nodeid) != _BROWSER, not item.nodeid.startswith(_BROWSER)))


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
