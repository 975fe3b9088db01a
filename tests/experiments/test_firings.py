"""Firings: even calls against coins, at equal error."""

from __future__ import annotations

import mlem
from mlem.experiments.firings import FiringsParams, run


def test_even_calls_are_cheaper_on_every_toy_problem() -> None:
    result = run(FiringsParams(epsilon=0.05, paths=64))
    assert {p.sde for p in result.problems} == set(mlem.problems.names())
    for p in result.problems:
        assert 1.0 < p.ratio.low <= p.ratio.value <= p.ratio.high
    assert "equal error" in result.summary()
    assert len(result.rows()) == len(result.problems)
