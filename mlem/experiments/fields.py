"""Parameters that several experiments have, so that they are called, limited and explained the same everywhere."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import mlem
from mlem.experiments.params import choice, integer, number
from mlem.synthetic import GAMMA_HIGH, GAMMA_LOW, MAX_LEVELS, RESIDUALS, STORED_GAMMAS, most_spectral_levels

GAMMAS = STORED_GAMMAS
"""The stops of a control for γ."""

MAX_SEED = 999_999

KINDS = {"synthetic": "Synthetic: price declared", "spectral": "Spectral: work really done"}

FIRINGS = {
    "bernoulli": "Bernoulli: a coin each step",
    "systematic": "Systematic: evenly spread",
    "nested": "Nested: one coin for all",
    "held": "Held: reuse the last",
    "poisson": "Poisson: the limit h → 0",
}


def sde(
    default: str,
    help: str = "The equation dX = f(X, t) dt + s(t) dW whose paths are wanted.",
    more: Mapping[str, str] | None = None,
) -> Any:
    """The problem, by name; ``more`` are names and titles of what is no problem of its own."""
    titles = {name: mlem.problems.get(name).title for name in mlem.problems.names()}
    return choice(default, choices=titles | dict(more or {}), label="SDE", help=help)


def check_spectral_levels(gamma: float, levels: int) -> None:
    """Raises ValueError for more levels than a spectral hierarchy can have."""
    most = most_spectral_levels(gamma)
    if levels > most:
        raise ValueError(f"levels takes an integer from 1 to {most} for spectral levels with gamma {gamma:g}, got {levels}")


def mend_spectral_levels(values: Mapping[str, Any], gamma: float, levels: int) -> tuple[dict[str, Any], list[str]]:
    """Leaves out levels that a spectral hierarchy cannot have; ``gamma`` and ``levels`` stand in where ``values`` has none."""
    gamma, levels = values.get("gamma", gamma), values.get("levels", levels)
    most = most_spectral_levels(gamma)
    if levels <= most:
        return dict(values), []
    notice = f"levels takes an integer from 1 to {most} for spectral levels with gamma {gamma:g}. It is now {most}."
    return {**values, "levels": most}, [notice]


def gamma(default: float = 2.5) -> Any:
    """The cost exponent."""
    return number(
        default,
        low=GAMMA_LOW,
        high=GAMMA_HIGH,
        offered=GAMMAS,
        label="Cost exponent γ",
        help="Halving the error of the drift makes one evaluation 2^γ times dearer. About 2.5 for image networks.",
    )


def epsilon(default: float, help: str) -> Any:
    """An error at which something is read off a curve."""
    return number(default, low=0.002, high=0.2, offered=(0.005, 0.01, 0.02, 0.05, 0.1), label="Error ε", help=help)


def levels(default: int, help: str, *, low: int = 1) -> Any:
    """The number of levels K."""
    return integer(default, low=low, high=MAX_LEVELS, label="Levels K", help=help)


def firing(kinds: Sequence[str] = tuple(FIRINGS)) -> Any:
    """How levels fire: one of ``kinds``."""
    return choice(
        "bernoulli",
        choices={kind: FIRINGS[kind] for kind in kinds},
        label="Firing",
        help="How ML-EM decides at which steps a level's correction is computed.",
    )


def swept_paths() -> Any:
    """The number of paths of a sweep."""
    return integer(
        128,
        low=32,
        high=4096,
        offered=(64, 128, 256, 512),
        label="Paths",
        help="Shared by all runs; more make bands narrower.",
    )


def residual(help: str = "Whether the errors of all levels have one shape, or each level its own.") -> Any:
    """How the levels' errors are related."""
    titles = ("Nested: one residual, halved", "Independent: a new one each")
    return choice("nested", choices=dict(zip(RESIDUALS, titles, strict=True)), label="Residuals", help=help)


def seed(help: str) -> Any:
    """The seed of everything that is random in a run."""
    return integer(0, low=0, high=MAX_SEED, label="Seed", help=help)
