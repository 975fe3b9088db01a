"""Diagnostics: the levels of Hierarchy on paths of their own, and what is told of them."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import pytest

import mlem
from mlem.diagnostics import LevelDiagnostics, diagnose
from mlem.errors import Estimate
from mlem.experiments.diagnostics import DiagnosticsResult, run
from mlem.experiments.hierarchy import HierarchyParams, levels_of
from mlem.experiments.result import to_json

PARAMS = HierarchyParams(sde="ornstein-uhlenbeck", levels=4, paths=64)
KINDS: list[dict[str, Any]] = [{}, {"kind": "spectral", "gamma": 1.0}]


@pytest.mark.parametrize("kind", KINDS, ids=["synthetic", "spectral"])
def test_the_levels_are_those_of_hierarchy(kind: dict[str, Any]) -> None:
    params = replace(PARAMS, **kind, seed=7)
    found, levels = run(params), levels_of(params)
    assert isinstance(levels, mlem.Hierarchy)
    assert found.levels == diagnose(levels, paths=64, seed=1_000_007).levels
    assert [d.cost for d in found.levels] == levels.costs.tolist()
    assert found.sde == levels.sde.title


@pytest.mark.parametrize("sde", mlem.problems.names())
def test_nested_levels_are_consistent_and_straight(sde: str) -> None:
    """Corrections of one residual are multiples of each other: β is 2α, and the kurtosis of all is one."""
    found = run(HierarchyParams(sde=sde, levels=4))
    assert found.alpha
    assert found.beta
    assert found.beta.value == pytest.approx(2 * found.alpha.value, abs=1e-6)
    assert found.consistency < 1
    kurtoses = [d.kurtosis for d in found.levels[1:]]
    assert max(kurtoses) == pytest.approx(min(kurtoses), rel=1e-3)


@pytest.mark.parametrize("gamma", [0.5, 2.5, 5.0])
def test_gamma_is_that_of_the_price(gamma: float) -> None:
    found = run(replace(PARAMS, gamma=gamma)).gamma
    assert found
    assert (found.low, found.value, found.high) == pytest.approx((gamma, gamma, gamma))


def test_the_error_of_the_drift_that_does_not_fall_is_told() -> None:
    """Lorenz's levels are calibrated on the error of the path, for which its chaos has use of larger corrections."""
    found = run(HierarchyParams(sde="lorenz"))
    assert len(found.cautions) == 2
    assert all(caution in found.summary() for caution in found.cautions)
    assert "no smaller than that of level 2" in found.cautions[0]


def test_the_export_holds_every_level() -> None:
    content = json.loads(to_json("diagnostics", PARAMS, run(PARAMS)))["result"]
    assert list(content) == ["levels", "alpha", "beta", "gamma", "paths", "cautions", "sde"]
    assert list(content["levels"][0]) == ["level", "mean", "variance", "kurtosis", "cost", "consistency"]
    assert len(content["levels"]) == 4
    assert content == json.loads(to_json("diagnostics", PARAMS, run(PARAMS)))["result"]
    assert content != json.loads(to_json("diagnostics", PARAMS, run(replace(PARAMS, seed=1))))["result"]


def test_the_table_and_the_sentence() -> None:
    one = Estimate(0.5, 0.4, 0.6)
    level = LevelDiagnostics(level=1, mean=one, variance=one, kurtosis=3.0, cost=4.0, consistency=0.25)
    worse = replace(level, level=2, consistency=1.5)
    result = DiagnosticsResult((level, worse), None, Estimate(2.0, 1.5, 2.5), None, 64, ("Mind the gap.",), "Made up")
    assert [row["mean square × cost"] for row in result.rows()] == [2.0, 2.0]
    assert result.summary() == (
        "Made up: the mean squares of corrections fall like 2^(−βk) with β = 2 (1.5 to 2.5). Consistency is at most 1.5. "
        "Mind the gap."
    )
    assert replace(result, beta=None, cautions=()).summary().startswith("Made up: one level has no exponents. ")
    assert replace(result, cautions=()).summary().endswith("Nothing is off.")


def test_it_reports() -> None:
    told: list[float] = []
    run(PARAMS, told.append)
    assert told == sorted(told)
    assert told[-1] == 1.0
