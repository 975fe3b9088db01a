"""An experiment is a pure function from parameters to a result; pages, the command line and tests are views of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from typing import Any, get_type_hints

from mlem.checks import check_choice
from mlem.experiments.params import Params
from mlem.experiments.result import Result
from mlem.march import Report

NAMES = ("race", "hierarchy", "diagnostics", "coin", "convergence", "steps", "crossover", "faces", "sample", "firings", "bench")


@dataclass(frozen=True)
class Experiment:
    """``run(params, report)`` draws nothing and reads nothing global: its randomness comes from seeds in ``params``.
    ``report`` is told the fraction done, and may raise to cancel."""

    name: str
    question: str
    params: type[Params]
    run: Callable[[Any, Report | None], Result]

    @cached_property
    def returns(self) -> type[Result]:
        """The type that ``run`` says it returns: whoever reads a result that was written down has to know."""
        found: type[Result] = get_type_hints(self.run)["return"]
        return found


def get(name: str) -> Experiment:
    """The experiment ``name``. Only its own module is imported. Raises ValueError for an unknown name."""
    module = import_module(f"mlem.experiments.{check_choice('experiment', name, NAMES)}")
    experiment: Experiment = module.EXPERIMENT
    return experiment
