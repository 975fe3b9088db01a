"""Measurements that are kept: they come back whole, for the ladder that gave them, and for no other."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path

import numpy as np
import pytest

from mlem.experiments import faces_store
from mlem.experiments.faces import FacesParams, judge
from mlem.experiments.faces_store import load, measure, rebuild
from mlem.images import sweep as sweeps
from tests.images.tiny import ladder
from tests.made_faces import HASHES, made_manifest, made_measured

PARAMS = FacesParams(process="ode")


@pytest.fixture
def stored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(faces_store, "manifest", made_manifest)
    faces_store._write(tmp_path / "ode-8-bfloat16-0.npz", made_measured("ode", pictures=8))
    return tmp_path


def test_what_is_stored_comes_back(stored: Path) -> None:
    was, back = made_measured("ode", pictures=8), load(PARAMS, stored)
    assert back is not None
    for field in fields(back):
        if field.name not in ("effects", "squared"):
            np.testing.assert_array_equal(np.asarray(getattr(back, field.name)), np.asarray(getattr(was, field.name)))
    np.testing.assert_allclose(back.squared, was.squared, rtol=1e-6)
    np.testing.assert_array_equal(back.effects.products, was.effects.products)
    assert judge(back).gamma == judge(was).gamma


def test_other_parameters_have_none(stored: Path) -> None:
    assert load(replace(PARAMS, seed=1), stored) is None
    assert load(FacesParams(process="sde"), stored) is None


def test_a_ladder_whose_weights_have_changed_has_none(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_store, "manifest", lambda: made_manifest((*HASHES[:-1], "f" * 64)))
    assert load(PARAMS, stored) is None
    monkeypatch.setattr(faces_store, "manifest", lambda: None)
    assert load(PARAMS, stored) is None


def test_half_a_measurement_is_none(stored: Path) -> None:
    faces_store._write(stored / "ode-16-bfloat16-0.npz", made_measured("ode", pictures=8))
    assert load(replace(PARAMS, pictures=16), stored) is None


def test_seconds_can_be_taken_anew_alone(stored: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    was = load(PARAMS, stored)
    assert was is not None
    asked = list[str]()

    def seconds(networks: object, precision: str) -> np.ndarray:
        asked.append(precision)
        return 2 * was.seconds

    monkeypatch.setattr(faces_store, "ladder", lambda choice: ladder())
    monkeypatch.setattr(faces_store, "seconds_of", seconds)
    faces_store.retime(stored)
    again = load(PARAMS, stored)
    assert again is not None
    assert asked == ["bfloat16"]
    assert again.device != was.device
    np.testing.assert_array_equal(again.seconds, 2 * was.seconds)
    np.testing.assert_array_equal(again.squared, was.squared)
    assert again.pieces == was.pieces
    monkeypatch.setattr(faces_store, "manifest", lambda: made_manifest((*HASHES[:-1], "f" * 64)))
    faces_store.retime(stored)
    assert asked == ["bfloat16"], "another ladder's are left alone"


def test_what_is_there_is_not_made_again(stored: Path) -> None:
    assert list(rebuild([PARAMS], stored)) == [1.0]


def test_a_measurement_tells_how_far_it_is_and_is_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(faces_store, "ladder", lambda choice, device: ladder())
    monkeypatch.setattr(sweeps, "FINE", 24)
    monkeypatch.setattr(sweeps, "_EM_STEPS", (4, 12))
    monkeypatch.setattr(sweeps, "_MLEM_STEPS", (12,))
    monkeypatch.setattr(sweeps, "_BUDGETS", (3.0,))
    params, told = FacesParams(precision="float32"), list[float]()
    measured = measure(params, told.append)
    assert measured.squared.shape == (8, len(measured.pieces))
    assert told == sorted(told)
    assert told[-1] == pytest.approx(1.0)
    assert len(told) > len(measured.pieces), "the pilot tells too"
    hashes = tuple(level.sha256 for level in ladder().levels)
    names = made_manifest().levels
    shipped = replace(made_manifest(), levels=tuple(replace(one, sha256=h) for one, h in zip(names, hashes, strict=False)))
    monkeypatch.setattr(faces_store, "manifest", lambda: shipped)
    assert load(params, tmp_path) is None
    assert list(rebuild([params], tmp_path))[-1] == 1.0
    again = load(params, tmp_path)
    assert again is not None
    np.testing.assert_allclose(again.squared, measured.squared, rtol=1e-6)
