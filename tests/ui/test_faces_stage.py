"""The Faces page's scene: calls and bills are those of the films, and what is not there has its place."""

from __future__ import annotations

import numpy as np
import pytest

from mlem.experiments.sample import SampleParams
from mlem.experiments.sample_store import judged
from mlem.ui.faces_stage import FRAMES, scene
from tests.made_faces import FLOPS, made_films

FEW = SampleParams(pictures=3)
COSTS = FLOPS / 1e9


def test_bills_end_at_what_was_spent() -> None:
    films = made_films(FEW)
    shown = scene(FEW, films, judged(films), COSTS, None, "")
    for method in ("em", "mlem"):
        assert shown.bills[method].shape[0] == FRAMES + 1
        assert shown.bills[method][-1].sum() == pytest.approx(films[method].drawn.cost)
        assert (np.diff(shown.bills[method], axis=0) >= 0).all()
    np.testing.assert_array_equal(shown.raster["mlem"], films["mlem"].drawn.calls)
    assert shown.raster["em"].shape == (FEW.em_steps, 1)
    assert len(shown.pictures["em"].notes) == FEW.pictures
    assert shown.pictures["reference"].notes == ()
    shown.pack()


def test_what_is_not_there_waits() -> None:
    films = made_films(FEW)
    shown = scene(FEW, {"mlem": films["mlem"]}, None, COSTS, None, "on its way")
    assert shown.pictures["mlem"].sheet is films["mlem"].sheet
    assert shown.pictures["em"].sheet is None
    assert shown.pictures["em"].waiting == "on its way"
    assert shown.verdict["em"] == ""
    shown.pack()


def test_planned_calls_stand_in_until_the_film_is_there() -> None:
    planned = np.ones((FEW.steps, len(FLOPS)))
    shown = scene(FEW, {}, None, COSTS, planned, "")
    np.testing.assert_array_equal(shown.raster["mlem"], planned)
    assert shown.bills["mlem"][-1].sum() == pytest.approx(FEW.steps * COSTS.sum())
    films = made_films(FEW)
    np.testing.assert_array_equal(scene(FEW, films, None, COSTS, planned, "").raster["mlem"], films["mlem"].drawn.calls)


def test_before_any_network_is_known_there_are_only_places() -> None:
    shown = scene(FEW, {}, None, None, None, "on its way")
    assert not shown.raster
    assert not shown.bills
    assert [row.count for row in shown.pictures.values()] == [3, 3, 3]
    shown.pack()
