"""Crossover of part of a sweep, as a page meets it: too few runs are told as such, and all others have exponents."""

from __future__ import annotations

import math
import warnings

import pytest

from mlem.experiments.crossover import CrossoverParams, TooFewRuns, judge

PARAMS = CrossoverParams(sde="ornstein-uhlenbeck", levels=5, paths=32, seed=3)


def test_any_part_of_a_sweep_is_judged_or_told_to_be_too_small() -> None:
    sweep = PARAMS.swept().sweep()
    runs, judged = list(sweep.run(sweep.pieces[0])), list[bool]()
    for piece in sweep.pieces[1:]:
        runs += sweep.run(piece)
        if len({run.piece.method for run in runs}) < 2:
            continue
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("error")
                result = judge(PARAMS, sweep.part(runs))
        except TooFewRuns:
            judged.append(False)
        else:
            judged.append(True)
            assert all(math.isfinite(p.em.value) and math.isfinite(p.mlem.value) for p in result.points)
    assert judged == sorted(judged)
    assert not judged[0]
    assert judged[-1]


def test_what_is_too_small_is_counted() -> None:
    sweep = PARAMS.swept().sweep()
    first = {piece.method: piece for piece in reversed(sweep.pieces)}
    runs = [run for piece in first.values() for run in sweep.run(piece)]
    with pytest.raises(TooFewRuns, match=f"^the {len(runs)} runs so far reach fewer than two errors$"):
        judge(PARAMS, sweep.part(runs))
