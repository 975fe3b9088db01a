import numpy as np
import pytest
import torch
from PIL import Image

from mlem.images.card import SAMPLES
from mlem.images.checkpoint import SHIPPED
from mlem.images.manifest import read_manifest
from mlem.images.quality import distances, draw, features, frechet, samples, sheet
from tests.images.tiny import ladder


def normals(count: int, mean: float, std: float, seed: int) -> np.ndarray:
    return mean + std * np.random.default_rng(seed).standard_normal((count, 4))


def test_the_frechet_distance_of_normals_is_known() -> None:
    """|μ_a − μ_b|² + d (s_a − s_b)² for d independent coordinates."""
    found = frechet(normals(200_000, 0.0, 1.0, 0), normals(200_000, 0.5, 2.0, 1))
    assert found == pytest.approx(4 * 0.25 + 4 * 1.0, rel=0.02)


def test_the_distance_of_a_sample_to_itself_is_nothing() -> None:
    a = normals(100, 0.0, 1.0, 2)
    assert abs(frechet(a, a)) < 1e-6


def test_a_drawn_picture_does_not_depend_on_how_many_are_drawn() -> None:
    level = ladder().levels[0]
    assert torch.equal(draw(level, ladder(), 5, seed=3)[:2], draw(level, ladder(), 2, seed=3))
    assert not torch.equal(draw(level, ladder(), 1, seed=4)[0], draw(level, ladder(), 1, seed=3)[0])


def test_what_is_closer_to_the_training_pictures_has_the_smaller_distance() -> None:
    source = torch.Generator().manual_seed(0)
    grey = torch.randint(100, 156, (120, 3, 16, 16), generator=source, dtype=torch.uint8)
    wild = torch.randint(0, 256, (60, 3, 16, 16), generator=source, dtype=torch.uint8)
    (near, far), floor = distances([grey[60:90], wild], grey[90:], grey[:60], ladder())
    assert near.low <= near.value <= near.high
    assert floor.low < near.value < 3 * floor.value
    assert far.low > near.high


def test_features_are_one_row_a_picture() -> None:
    pictures = torch.zeros(3, 3, 16, 16, dtype=torch.uint8)
    assert features(pictures, ladder()).shape == (3, 32)


def test_a_sheet_has_rows() -> None:
    assert sheet(torch.zeros(16, 3, 5, 5, dtype=torch.uint8), 8).shape == (10, 40, 3)


def test_samples_are_a_row_by_each_level_and_four_by_the_finest() -> None:
    found = samples(ladder())
    assert found.shape == ((2 + 4) * 16, 16 * 16, 3)
    first = draw(ladder().levels[0], ladder(), 1, seed=7)[0]
    finest = draw(ladder().levels[-1], ladder(), 1, seed=7)[0]
    np.testing.assert_array_equal(found[:16, :16], first.permute(1, 2, 0))
    np.testing.assert_array_equal(found[32:48, :16], finest.permute(1, 2, 0))


def test_the_shipped_sheet_is_of_the_shipped_ladder_and_small() -> None:
    told, file = read_manifest(SHIPPED / "ladder.json"), SHIPPED / SAMPLES
    assert file.stat().st_size <= 150_000
    with Image.open(file) as picture:
        assert picture.size == (16 * told.size, (len(told.levels) - 1 + 4) * told.size)
