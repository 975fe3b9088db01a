from __future__ import annotations

import re
from collections.abc import Callable

import pytest
import torch
from torch import Tensor

import mlem

SDE = mlem.problems.double_well(dim=2)
Drift = Callable[[Tensor, float], Tensor]


def hierarchy(*costs: float) -> mlem.Hierarchy:
    return mlem.Hierarchy([mlem.Level(lambda x, t, k=k: x * k, cost) for k, cost in enumerate(costs)], sde=SDE)


def test_a_hierarchy_is_a_sequence_of_levels() -> None:
    levels = hierarchy(1.0, 4.0, 16.0)
    assert len(levels) == 3
    assert levels.costs.tolist() == [1.0, 4.0, 16.0]
    assert levels.sde is SDE
    assert [level.cost for level in levels] == [1.0, 4.0, 16.0]
    assert levels[-1] is levels[2]
    x = torch.ones(1, 2, dtype=torch.float64)
    assert levels[2].drift(x, 0.0).tolist() == [[2.0, 2.0]]
    with pytest.raises(IndexError):
        levels[3]


def test_a_slice_is_a_hierarchy() -> None:
    part = hierarchy(1.0, 4.0, 16.0)[1:]
    assert isinstance(part, mlem.Hierarchy)
    assert part.costs.tolist() == [4.0, 16.0]
    assert part.sde is SDE
    with pytest.raises(ValueError, match="levels takes at least one level, got none"):
        part[2:]


def test_levels_are_needed() -> None:
    with pytest.raises(ValueError, match="levels takes at least one level, got none"):
        mlem.Hierarchy([], sde=SDE)


@pytest.mark.parametrize("costs", [(1.0, 1.0), (2.0, 1.0), (1.0, 4.0, 3.0)])
def test_costs_grow(costs: tuple[float, ...]) -> None:
    last = len(costs)
    words = f"level {last} costs {costs[-1]:g}, level {last - 1} costs {costs[-2]:g}"
    with pytest.raises(ValueError, match=f"levels go from cheap to dear: {words}"):
        hierarchy(*costs)


@pytest.mark.parametrize("cost", [0.0, -1.0, float("nan"), float("inf")])
def test_costs_are_positive(cost: float) -> None:
    with pytest.raises(ValueError, match="cost takes a number > 0, got"):
        mlem.Level(lambda x, t: x, cost)


@pytest.mark.parametrize(
    ("drift", "words"),
    [
        (lambda x, t: x.float(), "like x, (2, 2) torch.float64, got (2, 2) torch.float32"),
        (lambda x, t: x[:, :1], "like x, (2, 2) torch.float64, got (2, 1) torch.float64"),
        (lambda x, t: x.sum(), "like x, (2, 2) torch.float64, got () torch.float64"),
        (lambda x, t: x.numpy(), "like x, got ndarray"),
        (lambda x, t: None, "like x, got NoneType"),
    ],
)
def test_drifts_are_like_the_state(drift: Drift, words: str) -> None:
    good = mlem.Level(lambda x, t: x, 1.0)
    with pytest.raises(ValueError, match=re.escape(f"the drift of level 2 must return a tensor {words}")):
        mlem.Hierarchy([good, mlem.Level(drift, 2.0)], sde=SDE)


@pytest.mark.parametrize("bad", [float("nan"), float("inf")])
def test_drifts_are_finite_where_paths_begin(bad: float) -> None:
    with pytest.raises(ValueError, match="the drift of level 1 is not finite at the initial state"):
        mlem.Hierarchy([mlem.Level(lambda x, t: x * bad, 1.0)], sde=SDE)
