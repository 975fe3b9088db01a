"""``python -m mlem train``: a ladder with its curves and its card, whatever interrupts it."""

from __future__ import annotations

import csv
import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

import mlem
from mlem import __main__ as command
from mlem.experiments import train
from mlem.images.card import CELEBA_TERMS, NO_TERMS
from mlem.images.checkpoint import load_ladder
from mlem.images.network import Shape
from mlem.images.train import LADDER, Recipe, Training, state_path

ROOT = Path(mlem.__file__).parent.parent
Capture = pytest.CaptureFixture[str]

TINY = (
    Recipe(Shape(4, (4, 8), groups=2), images=64, batch=8, rate=2e-3),
    Recipe(Shape(2, (8, 16), groups=2), images=48, batch=8, rate=2e-3),
)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of pictures of one colour each."""
    folder = tmp_path_factory.mktemp("data") / "squares"
    folder.mkdir()
    for n in range(24):
        Image.fromarray(np.full((20, 20, 3), 10 * n, dtype=np.uint8)).save(folder / f"{n:02}.png")
    return folder


@pytest.fixture(autouse=True)
def _tiny(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "LADDER", TINY)


def told(capfd: Capture, *arguments: str | Path) -> tuple[int, str, str]:
    """Exit status, standard output and standard error; handlers of signals are as before."""
    handlers = [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)]
    try:
        status = command.main(["train", "--threads", "1", "--size", "16", *map(str, arguments)])
    except SystemExit as stop:
        status = int(stop.code or 0)
    assert [signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)] == handlers
    captured = capfd.readouterr()
    return status, captured.out, captured.err


def files(folder: Path) -> dict[str, bytes]:
    """All files but the states, by name."""
    found = [path for path in folder.rglob("*") if path.is_file() and path.name != "training.safetensors"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in found}


@pytest.fixture(scope="module")
def trained(pictures: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A ladder that was trained; not to be changed."""
    folder = tmp_path_factory.mktemp("trained") / "ladder"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(train, "LADDER", TINY)
        assert train.main(["--data", str(pictures), "--out", str(folder), "--size", "16", "--threads", "1"]) == 0
    return folder


@pytest.fixture
def out(trained: Path, tmp_path: Path) -> Path:
    """The same, to be changed."""
    return shutil.copytree(trained, tmp_path / "ladder")


# ── what it makes


def test_it_makes_a_ladder_with_curves_and_card(pictures: Path, tmp_path: Path, capfd: Capture) -> None:
    status, out, err = told(capfd, "--data", pictures, "--out", tmp_path / "ladder")
    assert status == 0
    assert [line.split("  ")[0] for line in err.splitlines()] == ["level 1", "level 2"]
    table, summary = out.rstrip("\n").split("\n\n")
    assert [line.split()[0] for line in table.splitlines()] == ["level", "level-1", "level-2"]
    assert summary == f"The ladder is in {tmp_path / 'ladder'}, with README.md and loss.csv."

    ladder = load_ladder(tmp_path / "ladder")
    assert (ladder.name, ladder.size) == ("squares 16 × 16", 16)
    for level, recipe in zip(ladder.levels, TINY, strict=True):
        assert level.training is not None
        assert (level.training.images, level.denoiser.patch) == (recipe.images, recipe.shape.patch)
        assert len(level.training.held_out) == 12
        assert level.training.device.endswith("CPU, 1 thread") or torch.cuda.is_available()
    with (tmp_path / "ladder" / "loss.csv").open() as file:
        curve = list(csv.DictReader(file))
    assert [(row["level"], row["images"]) for row in curve] == [("level-1", "64"), ("level-2", "48")]
    assert all(float(row["loss"]) > 0.0 for row in curve)


def test_the_card_tells_what_the_training_told(out: Path) -> None:
    card, ladder = (out / "README.md").read_text(encoding="utf-8"), load_ladder(out)
    assert card.startswith("---\nlicense: other\n")
    for level in ladder.levels:
        assert level.training is not None
        assert f"| {level.name} | {level.parameters:,} | {level.flops:,} | {level.training.images:,} |" in card
    row = [
        f"{mean:.4f} ± {error:.4f}"
        for _, mean, error in (level.training.held_out[0] for level in ladder.levels if level.training)
    ]
    assert f"| 0.02 | {' | '.join(row)} |" in card
    assert "Trained on squares: 22 pictures; 2 more were held out." in card
    assert f"mlem {mlem.__version__}, PyTorch {torch.__version__}, diffusers " in card
    assert NO_TERMS in card
    assert str(ROOT) not in card
    assert str(out.parent) not in card


@pytest.mark.parametrize(
    ("name", "options", "words"),
    [
        ("my-celeba-64", [], ["Trained on CelebA: 22 pictures", CELEBA_TERMS, "# CelebA 16 × 16"]),
        ("squares", ["--terms", "CC BY 4.0, from here."], ["Trained on squares: 22", "CC BY 4.0, from here."]),
        ("squares", ["--data-name", "Squares"], ["Trained on Squares: 22", NO_TERMS]),
    ],
)
def test_the_card_names_data_and_terms(
    name: str, options: list[str], words: list[str], out: Path, pictures: Path, tmp_path: Path, capfd: Capture
) -> None:
    source = shutil.copytree(pictures, tmp_path / name)
    assert told(capfd, "--data", source, "--out", out, *options)[0] == 0
    card = (out / "README.md").read_text(encoding="utf-8")
    assert all(one in card for one in words)


def test_celebas_terms_name_the_paper_and_the_purpose() -> None:
    assert "non-commercial research purposes only" in CELEBA_TERMS
    assert "*Deep Learning Face Attributes in the Wild*, ICCV 2015" in CELEBA_TERMS


# ── what goes on


def test_on_a_finished_folder_only_the_ladder_is_written_anew(out: Path, pictures: Path, capfd: Capture) -> None:
    before = files(out)
    states = [state_path(out, n).stat().st_mtime_ns for n in (1, 2)]
    for name in before:
        (out / name).unlink()
    status, _, err = told(capfd, "--data", pictures, "--out", out)
    assert (status, err) == (0, "")
    assert files(out) == before
    assert [state_path(out, n).stat().st_mtime_ns for n in (1, 2)] == states


def test_states_of_another_program_are_evaluated_and_shipped(out: Path, pictures: Path, tmp_path: Path, capfd: Capture) -> None:
    """What a script left behind that only trained."""
    for n, recipe in enumerate(TINY, start=1):
        training = Training(recipe, n, size=16)
        training.load(state_path(out, n))
        training.held_out = []
        training.save(state_path(tmp_path / "script", n))
    assert told(capfd, "--data", pictures, "--out", tmp_path / "script")[0] == 0
    assert files(tmp_path / "script") == files(out)


def test_levels_are_trained_one_by_one(out: Path, pictures: Path, tmp_path: Path, capfd: Capture) -> None:
    """The finer first; the ladder holds those that are finished, and is the same in the end."""
    other = tmp_path / "other"
    assert told(capfd, "--data", pictures, "--out", other, "--levels", "2")[0] == 0
    assert [level.name for level in load_ladder(other).levels] == ["level-2"]
    assert told(capfd, "--data", pictures, "--out", other, "--levels", "1")[0] == 0
    assert [level.sha256 for level in load_ladder(other).levels] == [level.sha256 for level in load_ladder(out).levels]


def test_more_pictures_by_a_factor(pictures: Path, tmp_path: Path, capfd: Capture) -> None:
    told(capfd, "--data", pictures, "--out", tmp_path / "short", "--images-scale", "0.5", "--seed", "3")
    assert [level.training.images for level in load_ladder(tmp_path / "short").levels if level.training] == [32, 24]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_waits_for_the_step_and_keeps_what_was_done(
    number: signal.Signals, out: Path, pictures: Path, tmp_path: Path, capfd: Capture, monkeypatch: pytest.MonkeyPatch
) -> None:
    advance, cut = Training.advance, tmp_path / "cut"

    def interrupted(self: Training, x: torch.Tensor) -> None:
        if self.step == 3:
            os.kill(os.getpid(), number)  # arrives within the step
        advance(self, x)

    with monkeypatch.context() as patch:
        patch.setattr(Training, "advance", interrupted)
        status, printed, err = told(capfd, "--data", pictures, "--out", cut)
    assert (status, printed) == (130, "")
    assert err.endswith("stopping after this step\ninterrupted\n")
    training = Training(TINY[0], 1, size=16)
    training.load(state_path(cut, 1))
    assert training.step == 4
    assert told(capfd, "--data", pictures, "--out", cut)[0] == 0
    assert [level.sha256 for level in load_ladder(cut).levels] == [level.sha256 for level in load_ladder(out).levels]


def test_the_command_itself_is_stopped_by_sigterm(pictures: Path, tmp_path: Path) -> None:
    """In a process of its own, as a service would end it."""
    arguments = ["--data", str(pictures), "--out", str(tmp_path / "ladder"), "--levels", "1", "--size", "16", "--threads", "1"]
    command = [sys.executable, "-W", "error", "-m", "mlem", "train", *arguments]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        line = process.stderr.readline()
        process.terminate()
        out, err = process.communicate()
    assert re.fullmatch(r"level 1 +\d+%  loss \d\.\d+  [\d,]+ pictures/s  .* left\n", line)
    assert (process.returncode, out) == (130, "")
    assert err.endswith("stopping after this step\ninterrupted\n")
    training = Training(LADDER[0], 1, size=16)
    training.load(state_path(tmp_path / "ladder", 1))
    assert training.step >= 1


# ── what is refused


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--levels", "3"], "levels takes numbers from 1 to 2 with commas between, got '3'"),
        (["--levels", "1,x"], "levels takes numbers from 1 to 2 with commas between, got '1,x'"),
        (["--images-scale", "0"], "images_scale takes a number > 0 and ≤ 1000, got 0"),
        (["--images-scale", "nan"], "images_scale takes a number > 0 and ≤ 1000, got nan"),
        (["--seed", "-1"], "seed takes an integer from 0 to 999999, got -1"),
        (["--threads", "0"], "threads takes an integer from 1 to 1024, got 0"),
        (["--size", "18"], "size takes a multiple of 8: patches of 4, halved 1 times, got 18"),
        (["--data", "nowhere"], "data takes a folder, tar or zip of pictures; there is no nowhere"),
        (["--device", "tpu"], "argument --device: invalid choice: 'tpu' (choose from 'auto', 'cpu', 'cuda')"),
        (["--seed", "x"], "argument --seed: invalid int value: 'x'"),
        (["--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_bad_input_is_told_in_one_line(
    arguments: list[str], words: str, pictures: Path, tmp_path: Path, capfd: Capture
) -> None:
    status, out, err = told(capfd, "--data", pictures, "--out", tmp_path / "ladder", *arguments)
    assert (status, out, err) == (2, "", f"python -m mlem train: {words}\n")


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a CUDA device")
def test_a_device_that_is_not_there_is_refused(pictures: Path, tmp_path: Path, capfd: Capture) -> None:
    status, _, err = told(capfd, "--data", pictures, "--out", tmp_path / "ladder", "--device", "cuda")
    assert (status, err) == (2, "python -m mlem train: device takes auto or cpu where PyTorch sees no CUDA device, got cuda\n")


def test_data_and_out_are_required(capfd: Capture) -> None:
    status, _, err = told(capfd)
    assert (status, err) == (2, "python -m mlem train: the following arguments are required: --data, --out\n")


def test_a_state_of_another_seed_is_refused(out: Path, pictures: Path, capfd: Capture) -> None:
    status, _, err = told(capfd, "--data", pictures, "--out", out, "--seed", "1")
    assert status == 2
    assert "was trained with seed 0, not 1: give that seed or another folder" in err
    assert err.count("\n") == 1


def test_help_explains_every_option(capfd: Capture) -> None:
    status, out, err = told(capfd, "--help")
    assert (status, err) == (0, "")
    for option in ("data", "out", "levels", "images-scale", "seed", "device", "threads", "size", "data-name", "terms"):
        assert f"--{option}" in out


def test_what_it_says_of_time() -> None:
    assert [train._duration(s) for s in (0.4, 59.6, 61, 3599, 3660, 7385)] == [
        "0 s",
        "1 min 0 s",
        "1 min 1 s",
        "59 min 59 s",
        "1 h 1 min",
        "2 h 3 min",
    ]
