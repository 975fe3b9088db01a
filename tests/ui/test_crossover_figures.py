"""The pictures of Crossover say what they show."""

from __future__ import annotations

import pytest

from mlem.experiments import crossover, store
from mlem.experiments.crossover import CrossoverParams
from mlem.ui.crossover_figures import speedup_map


@pytest.mark.parametrize(("epsilon", "meets"), [(0.1, True), (0.01, False)])
def test_the_map_names_the_mark_of_break_even_where_it_is_drawn(epsilon: float, meets: bool) -> None:
    params = CrossoverParams(epsilon=epsilon)
    stored = store.load(params.swept())
    assert stored is not None
    result = crossover.judge(params, stored)
    assert (result.breakeven is not None) == meets
    figure = speedup_map(result, params.gamma)
    assert any(trace.name == "break-even at ε" for trace in figure.data) == meets
    assert any("◇ at your ε" in note.text for note in figure.layout.annotations) == meets
