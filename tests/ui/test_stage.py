"""The stage's payload: read back here as the browser reads it; and the checks of a scene."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlem.images.sheet import Sheet, from_sheet, to_sheet
from mlem.ui.chart import charts
from mlem.ui.stage import GAP, HEIGHT, MAGIC, Pictures, Scene, stage
from tests.ui.payloads import unpack

FRAMES, PATHS, BINS, LEVELS = 12, 7, 9, 3


def make_scene(dim: int = 1, **changes: Any) -> Scene:
    """A small scene of all three methods, with 3 levels."""
    rng = np.random.default_rng(0)
    shape = (FRAMES + 1, PATHS, dim)
    share = rng.integers(0, 256, (BINS, LEVELS)) / 255
    parts: dict[str, Any] = {
        "summary": "EM and ML-EM end near the reference.",
        "paths": {method: rng.normal(size=shape).cumsum(axis=0) for method in ("reference", "em", "mlem")},
        "raster": {"em": np.ones((BINS, 1)), "mlem": share},
        "bills": {
            "em": np.linspace(0, 640, FRAMES + 1)[:, None],
            "mlem": rng.random((FRAMES + 1, LEVELS)).cumsum(axis=0),
        },
        "verdict": {"em": "RMSE 0.0213 ± 0.0012"},
    }
    return Scene(**(parts | changes))


def make_sheet(seed: int = 0, pictures: int = 2) -> Sheet:
    return to_sheet(np.random.default_rng(seed).integers(0, 256, (5, pictures, 8, 8, 3), dtype=np.uint8))


def with_pictures(**changes: Any) -> Scene:
    """The same scene with pictures in the place of paths; those of the reference are still to come."""
    rows = {
        "reference": Pictures(2, about="16 steps"),
        "em": Pictures(2, make_sheet(0), notes=("0.01", "0.02")),
        "mlem": Pictures(2, make_sheet(1)),
    }
    return make_scene(**({"paths": {}, "pictures": rows} | changes))


def restored(header: dict[str, Any], stored: np.ndarray) -> np.ndarray:
    """Coordinates from what was stored of them."""
    values = np.array(header["centre"]) + stored * np.array(header["step"])
    return np.where(stored == GAP, np.nan, values)


@pytest.mark.parametrize("dim", [1, 2])
def test_round_trip(dim: int) -> None:
    scene = make_scene(dim)
    header, arrays = unpack(MAGIC, scene.pack())
    for method, path in scene.paths.items():
        worst = np.abs(restored(header, arrays[f"paths.{method}"]) - path).max(axis=(0, 1))
        assert (worst <= 0.5001 * np.array(header["step"])).all()
    for method, share in scene.raster.items():
        np.testing.assert_allclose(arrays[f"raster.{method}"] / 255, share, atol=1 / 255)
    for method, bill in scene.bills.items():
        np.testing.assert_allclose(arrays[f"bills.{method}"], bill, rtol=1e-6)


def test_header() -> None:
    header, _ = unpack(MAGIC, make_scene(2, horizon=3.0, projector=True, labels={"reference": "exact"}).pack(height=500))
    assert (header["frames"], header["count"], header["dim"], header["horizon"]) == (FRAMES, PATHS, 2, 3.0)
    assert header["levels"] == ["f¹", "f²", "f³"]
    assert header["labels"] == {"reference": "exact", "em": "EM", "mlem": "ML-EM"}
    assert header["axes"] == ["x", "y"]
    assert header["projector"] is True
    assert header["height"] == 500
    assert header["verdict"] == {"em": "RMSE 0.0213 ± 0.0012"}
    for theme in ("light", "dark"):
        assert len(header["themes"][theme]["ladder"]) == len(header["themes"][theme]["on_ladder"]) == LEVELS


def test_pictures_go_as_files_and_are_told_apart() -> None:
    scene = with_pictures()
    header, arrays = unpack(MAGIC, scene.pack())
    assert list(header["pictures"]) == ["reference", "em", "mlem"], "in the order of the rows"
    assert header["pictures"]["reference"]["sheet"] is None
    assert header["pictures"]["em"]["notes"] == ["0.01", "0.02"]
    for method in ("em", "mlem"):
        told, sent = header["pictures"][method], scene.pictures[method].sheet
        assert sent is not None
        assert (told["count"], told["sheet"]["frames"], told["sheet"]["size"]) == (2, 5, 8)
        back = Sheet(5, 2, 8, arrays[f"way.{method}"].tobytes(), arrays[f"end.{method}"].tobytes())
        np.testing.assert_array_equal(from_sheet(back), from_sheet(sent))
    assert "way.reference" not in arrays
    names = [header["pictures"][method]["sheet"]["name"] for method in ("em", "mlem")]
    assert names[0] != names[1]
    assert header["frames"] == FRAMES, "the bills keep the clock: pictures have frames of their own"


def test_one_step_of_the_grid_is_below_a_pixel() -> None:
    header, _ = unpack(MAGIC, make_scene().pack())
    (low, high), step = header["view"][0], header["step"][0]
    assert step / (high - low) < 1 / 4000


def test_gaps_and_clamps() -> None:
    scene = make_scene()
    path = scene.paths["em"].copy()
    path[3, 1, 0], path[4, 1, 0], path[5, 1, 0] = np.nan, np.inf, 1e30
    header, arrays = unpack(MAGIC, replace(scene, paths={**scene.paths, "em": path}).pack())
    stored = arrays["paths.em"][:, 1, 0]
    assert (stored[[3, 4]] == GAP).all()
    assert stored[5] == 32767
    assert restored(header, arrays["paths.em"])[5, 1, 0] > header["view"][0][1]


def test_a_rare_call_does_not_vanish() -> None:
    _, arrays = unpack(MAGIC, make_scene(raster={"mlem": np.full((BINS, LEVELS), 1e-6)}).pack())
    assert (arrays["raster.mlem"] == 1).all()


def test_a_wild_path_does_not_squash_the_rest() -> None:
    rng = np.random.default_rng(1)
    calm = rng.normal(size=(FRAMES + 1, 200, 1))
    wild = calm.copy()
    wild[5:7, 3] = 1e9
    (low, high) = Scene(summary="", paths={"em": wild, "reference": calm}).view()[0]
    assert -5 < low < high < 5
    (low, high) = Scene(summary="", paths={"em": wild, "reference": calm}, highlight=3).view()[0]
    assert high < 15, "the highlighted path widens the view by no more than one width"


@pytest.mark.parametrize("value", [0.0, 3.0, np.nan])
def test_view_of_paths_that_stand_still(value: float) -> None:
    (low, high) = Scene(summary="", paths={"em": np.full((3, 2, 1), value)}).view()[0]
    assert low < high


def test_parts_may_be_left_out() -> None:
    header, arrays = unpack(MAGIC, Scene(summary="Calls alone.", raster={"mlem": np.ones((4, 10))}).pack())
    assert header["dim"] == 0
    assert header["frames"] == 240
    assert list(arrays) == ["raster.mlem"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"paths": {"em": np.zeros((4, 3))}}, r"paths\['em'\] takes \(frames \+ 1, paths, dim\).*got shape \(4, 3\)"),
        ({"paths": {"em": np.zeros((4, 3, 3))}}, r"dim 1 or 2, got shape \(4, 3, 3\)"),
        ({"paths": {"em": np.zeros((FRAMES + 1, 201, 1))}}, r"1 to 200 paths, got shape \(13, 201, 1\)"),
        ({"paths": {"em": np.zeros((242, 3, 1))}, "bills": {}}, r"1 to 240 frames.*got shape \(242, 3, 1\)"),
        ({"paths": {"em": np.zeros((4, 3, 1)), "mlem": np.zeros((4, 2, 1))}}, "paths takes one shape for all methods, got"),
        ({"paths": {"heun": np.zeros((4, 3, 1))}}, "paths takes the keys reference, em, mlem, got 'heun'"),
        ({"raster": {"mlem": np.zeros((4, 11))}}, r"raster\['mlem'\] takes \(bins, levels\).*10 levels, got shape \(4, 11\)"),
        ({"raster": {"mlem": np.full((4, 3), 1.5)}}, r"raster\['mlem'\] takes shares from 0 to 1, got 1.5 to 1.5"),
        ({"raster": {"em": np.full((4, 1), np.nan)}}, r"raster\['em'\] takes shares from 0 to 1"),
        ({"bills": {"em": np.zeros(FRAMES + 1)}}, r"bills\['em'\] takes \(frames \+ 1, levels\).*got shape \(13,\)"),
        ({"bills": {"em": np.full((FRAMES + 1, 1), -1.0)}}, r"bills\['em'\] takes finite costs ≥ 0, got -1 to -1"),
        ({"bills": {"em": np.zeros((FRAMES, 1))}}, "paths and bills take one number of frames, got .*12 rows"),
        ({"bills": {"em": np.zeros((1, 1))}, "paths": {}}, "at least 1 frame"),
        ({"highlight": PATHS}, "highlight takes an integer from 0 to 6, got 7"),
        ({"horizon": 0.0}, "horizon takes a number > 0, got 0"),
        ({"axes": ("x", "y")}, "axes takes 1 names, one per dimension of the paths, got 2"),
        ({"level_names": ("small",)}, "level_names takes 3 names, one per level, got 1"),
        ({"paths": {}, "raster": {}, "bills": {}}, "at least one of paths, pictures, raster and bills, got none"),
    ],
)
def test_a_bad_scene_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make_scene(**changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pictures": {"heun": Pictures(2)}}, "pictures takes the keys reference, em, mlem, got 'heun'"),
        ({"pictures": {"em": Pictures(2), "mlem": Pictures(3)}}, "pictures takes one count for all, got"),
        ({"paths": {"em": np.zeros((FRAMES + 1, 3, 1))}}, "either paths or pictures, got both"),
    ],
)
def test_a_bad_scene_of_pictures_is_refused_in_words(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        with_pictures(**changes)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"count": 0}, "count takes an integer from 1 to 32, got 0"),
        ({"count": 33}, "count takes an integer from 1 to 32, got 33"),
        ({"count": 3, "sheet": make_sheet()}, "sheet takes 3 pictures, as count says, got 2"),
        ({"count": 2, "notes": ("one",)}, "notes takes 2, one for each picture, got 1"),
    ],
)
def test_a_bad_row_of_pictures_is_refused_in_words(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Pictures(**arguments)


def test_stage_sends_the_payload(monkeypatch: pytest.MonkeyPatch) -> None:
    sent: dict[str, Any] = {}
    monkeypatch.setattr("mlem.ui.stage._component", lambda **arguments: sent.update(arguments))
    scene = make_scene()
    stage(scene, key="race")
    assert sent == {"data": scene.pack(HEIGHT, "race", charts()), "key": "race"}
    assert {Path(address).name for address in charts().values()} == {"plot.js", "plotly.min.js"}
