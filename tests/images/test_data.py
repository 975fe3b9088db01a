"""Pictures to train on: every source gives the same ones, and what is no picture is told by name."""

from __future__ import annotations

import io
import tarfile
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from mlem.images.data import CROP, PARTITION, digest, load, to_bytes, to_unit

COUNT = 40


def drawn(n: int, width: int = 36, height: int = 44) -> Image.Image:
    """A picture of one colour with a frame of another: picture ``n`` is as bright as n says."""
    pixels = np.full((height, width, 3), 4 * n, dtype=np.uint8)
    pixels[:2] = pixels[-2:] = 255
    return Image.fromarray(pixels)


def encoded(n: int) -> bytes:
    file = io.BytesIO()
    drawn(n).save(file, "PNG")
    return file.getvalue()


def name(n: int) -> str:
    return f"{n:06}.png"


def a_folder(at: Path) -> Path:
    (at / "pictures").mkdir()
    for n in range(COUNT):
        (at / "pictures" / name(n)).write_bytes(encoded(n))
    return at / "pictures"


def a_tar(at: Path, mode: str = "w", ending: str = "tar") -> Path:
    path = at / f"pictures.{ending}"
    with tarfile.open(path, mode) as archive:
        for n in reversed(range(COUNT)):  # the order of the archive does not matter
            entry = tarfile.TarInfo(f"inside/{name(n)}")
            entry.size = len(encoded(n))
            archive.addfile(entry, io.BytesIO(encoded(n)))
    return path


def a_compressed_tar(at: Path) -> Path:
    return a_tar(at, "w:gz", "tar.gz")


def a_zip(at: Path) -> Path:
    path = at / "pictures.zip"
    with zipfile.ZipFile(path, "w") as archive:
        for n in reversed(range(COUNT)):
            archive.writestr(f"inside/{name(n)}", encoded(n))
        archive.writestr("__MACOSX/._000001.png", b"what some systems add")
        archive.writestr("readme.txt", b"no picture")
    return path


def brightness(pictures: torch.Tensor) -> list[int]:
    """Which pictures these are."""
    return [int(p[0, 4, 4]) // 4 for p in pictures]


@pytest.mark.parametrize("make", [a_folder, a_tar, a_compressed_tar, a_zip])
def test_every_source_gives_the_same_pictures(make: Callable[[Path], Path], tmp_path: Path) -> None:
    pictures = load(make(tmp_path), size=8)
    assert brightness(pictures.train) == list(range(38))
    assert brightness(pictures.held_out) == [38, 39]  # the last 5 %
    assert pictures.train.shape == (38, 3, 8, 8)
    assert pictures.train.dtype == torch.uint8


def test_the_crop_is_centred_and_its_edge_is_a_share_of_the_width(tmp_path: Path) -> None:
    source = a_folder(tmp_path)
    cropped = load(source, size=30).train  # 30 of 36 pixels in width, the middle 30 of 44 in height: the frame is gone
    assert round(CROP * 36) == 30
    assert int(cropped[3].min()) == int(cropped[3].max()) == 12
    whole = load(source, size=36, crop=1.0).train
    assert int(whole[3].max()) == 12  # 36 of 44 rows: still without the frame
    for n in range(COUNT):
        drawn(n, width=44, height=44).save(source / name(n))
    assert int(load(source, size=44, crop=1.0).train[3].max()) == 255


def test_a_known_picture_scales_as_pillow_does(tmp_path: Path) -> None:
    noise = np.random.default_rng(0).integers(0, 256, (40, 40, 3), dtype=np.uint8)
    for n in range(4):
        Image.fromarray(noise).save(tmp_path / name(n))
    expected = Image.fromarray(noise).resize((16, 16), Image.Resampling.LANCZOS, box=(10, 10, 30, 30))
    found = load(tmp_path, size=16, crop=0.5).train[0]
    assert np.array_equal(found.permute(1, 2, 0).numpy(), np.asarray(expected))


@pytest.mark.parametrize("mode", ["L", "RGBA", "P", "CMYK"])
def test_other_modes_become_rgb(mode: str, tmp_path: Path) -> None:
    ending = "jpg" if mode == "CMYK" else "png"
    for n in range(4):
        drawn(30).convert(mode).save(tmp_path / f"{n}.{ending}")
    assert brightness(load(tmp_path, size=8).train)[0] in (29, 30, 31)


# ── CelebA


def partition(roles: list[int], ending: str = "jpg") -> str:
    return "".join(f"{n:06}.{ending} {role}\n" for n, role in enumerate(roles))


ROLES = [0] * 20 + [1] * 12 + [2] * 8


@pytest.mark.parametrize("place", ["in the folder", "under it", "beside it", "as the dataset has it"])
def test_celebas_own_partition_is_kept(place: str, tmp_path: Path) -> None:
    """Its names end in .jpg also where the pictures are PNGs."""
    root = tmp_path / "root"
    (root / "Img").mkdir(parents=True)
    source = a_folder(root / "Img")
    at = {
        "in the folder": source,
        "under it": source / "list",
        "beside it": source.parent,
        "as the dataset has it": root / "Eval",
    }
    at[place].mkdir(exist_ok=True)
    (at[place] / PARTITION).write_text(partition(ROLES))
    pictures = load(source, size=8)
    assert brightness(pictures.train) == list(range(20))
    assert brightness(pictures.held_out) == list(range(20, 32))


def test_torchvisions_layout_is_known(tmp_path: Path) -> None:
    (tmp_path / "celeba").mkdir()
    a_folder(tmp_path / "celeba").rename(tmp_path / "celeba" / "img_align_celeba")
    (tmp_path / "celeba" / PARTITION).write_text(partition(ROLES))
    assert len(load(tmp_path, size=8).held_out) == 12


def test_an_archive_takes_the_list_beside_it(tmp_path: Path) -> None:
    (tmp_path / PARTITION).write_text(partition(ROLES))
    assert len(load(a_zip(tmp_path), size=8).held_out) == 12


def test_the_list_of_other_pictures_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / PARTITION).write_text("someone.jpg 1\n")
    assert len(load(a_folder(tmp_path), size=8).held_out) == 2


def test_a_list_that_leaves_nothing_is_refused(tmp_path: Path) -> None:
    (tmp_path / PARTITION).write_text(partition([0] * COUNT))
    with pytest.raises(ValueError, match=f"{PARTITION} leaves 40 to train on and 0 to hold out of 40 pictures"):
        load(a_folder(tmp_path), size=8)


# ── bytes and numbers


def test_bytes_and_numbers_are_each_others_inverse() -> None:
    every = torch.arange(256, dtype=torch.uint8).expand(3, 256).reshape(1, 3, 16, 16)
    assert torch.equal(to_bytes(to_unit(every)), every)
    assert (float(to_unit(every).min()), float(to_unit(every).max())) == (-1.0, 1.0)
    assert to_bytes(torch.tensor([-7.0, 7.0, 0.0]).view(3, 1, 1)).flatten().tolist() == [0, 255, 128]


def test_the_digest_tells_pictures_apart(tmp_path: Path) -> None:
    pictures = load(a_folder(tmp_path), size=8).train
    changed = pictures.clone()
    changed[3, 1, 2, 2] += 1
    assert digest(pictures) == digest(pictures.clone())
    assert digest(pictures) != digest(changed)


# ── what is refused


def refused(source: Path, **options: object) -> str:
    with pytest.raises(ValueError, match=r".") as error:
        load(source, **{"size": 8, **options})
    assert "\n" not in str(error.value)
    return str(error.value)


def test_sources_that_are_none(tmp_path: Path) -> None:
    assert "there is no" in refused(tmp_path / "nothing")
    (tmp_path / "text.txt").write_text("no archive")
    assert "text.txt is none of these" in refused(tmp_path / "text.txt")
    (tmp_path / "empty").mkdir()
    assert "four pictures or more (.jpg, .jpeg, .png, .webp), got 0" in refused(tmp_path / "empty")


def test_arguments_out_of_range(tmp_path: Path) -> None:
    assert refused(tmp_path, size=4) == "size takes an integer from 8 to 1024, got 4"
    assert refused(tmp_path, crop=0.0) == "crop takes a number > 0 and ≤ 1, got 0"


def cut(content: bytes) -> bytes:
    return content[: len(content) // 2]


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"no picture", "cannot identify"), (b"", "cannot identify"), (cut(encoded(3)), "broken|truncated|incomplete|error")],
    ids=["text", "empty", "cut"],
)
def test_a_file_that_is_no_picture_is_named(content: bytes, words: str, tmp_path: Path) -> None:
    source = a_folder(tmp_path)
    (source / "000007.png").write_bytes(content)
    with pytest.raises(ValueError, match=rf"000007\.png is no picture that can be read: .*({words}).*; leave it out"):
        load(source, size=8)


def test_other_formats_are_not_decoded_whatever_their_name(tmp_path: Path) -> None:
    source = a_folder(tmp_path)
    drawn(3).save(source / "000007.png", "GIF")
    assert "000007.png is no picture that can be read" in refused(source)


def test_a_picture_that_would_fill_the_memory_is_not_decoded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 1000)  # pictures here have 1,584
    assert "exceeds limit of 1000 pixels" in refused(a_folder(tmp_path))


@pytest.mark.parametrize("make", [a_tar, a_compressed_tar, a_zip])
def test_an_archive_that_is_cut_is_named(make: Callable[[Path], Path], tmp_path: Path) -> None:
    path = make(tmp_path)
    content = path.read_bytes()
    path.write_bytes(content[: len(content) // 2 + 600])  # within a picture
    words = refused(path)
    assert path.name in words
    assert "cannot be read to its end" in words or "is none of these" in words
