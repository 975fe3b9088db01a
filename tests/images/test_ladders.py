"""The ladders on offer: the shipped one, and one that the deployment names."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

from mlem.images import ladders
from mlem.images.ladders import VARIABLE, ladder, own
from tests.made_faces import made_ladder


def test_none_of_ones_own_unless_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(VARIABLE, raising=False)
    assert own() is None
    with pytest.raises(ValueError, match="takes own where the environment variable MLEM_LADDERS names a folder or owner/name"):
        ladder("own")
    monkeypatch.setenv(VARIABLE, "")
    assert own() is None


def test_the_named_one_is_loaded_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved = made_ladder(tmp_path)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    assert [level.sha256 for level in ladder("own").levels] == [level.sha256 for level in saved.levels]
    assert ladder("own") is ladder("own")
    assert ladder("own") is ladder("own", torch.device("cpu"))


def test_the_shipped_one_is_that_of_the_package(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    saved = made_ladder(tmp_path)
    monkeypatch.setattr(ladders, "SHIPPED", tmp_path)
    assert [level.sha256 for level in ladder("shipped").levels] == [level.sha256 for level in saved.levels]


def test_what_is_wrong_with_it_is_said(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv(VARIABLE, str(tmp_path / "nowhere"))
    with pytest.raises(ValueError, match="there is no folder"):
        ladder("own")
    with pytest.raises(ValueError, match="ladder takes one of shipped, own"):
        ladder("/etc")
