"""Training: what is saved goes on as if nothing had happened, and what does not fit is refused."""

from __future__ import annotations

import dataclasses
import json
import math
import os
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from torch import Tensor

import mlem
from mlem.images import train
from mlem.images.data import to_unit
from mlem.images.network import Denoiser, Shape, flops, spectrum
from mlem.images.train import LADDER, Training, rate_at, state_path, trainings, weighted_loss
from tests.images.tiny_training import RECIPE, STEPS, begun, pictures

ROOT = Path(mlem.__file__).parent.parent


@pytest.fixture(autouse=True)
def _short_curve(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(train, "CURVE_EVERY", 5)


def finished(path: Path, **options: object) -> Training:
    """A training run to its end."""
    training = begun(**options)
    training.run(pictures(), path)
    return training


def same(a: Training, b: Training) -> bool:
    """Whether two trainings are equal to the last bit: weights, averages, optimiser, curve."""
    pairs = list(zip(a.body.parameters(), b.body.parameters(), strict=True))
    states = [(a.optimiser.state[p], b.optimiser.state[q]) for p, q in pairs]
    tensors = pairs + list(zip(a.average.values(), b.average.values(), strict=True))
    tensors += [(s[name], t[name]) for s, t in states for name in ("step", "exp_avg", "exp_avg_sq")]
    return all(torch.equal(x, y) for x, y in tensors) and (a.curve, a.step) == (b.curve, b.step)


# ── what is learned


def test_it_learns(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, images=8 * 250)
    training = begun(recipe)
    before = training.held_out_loss(pictures(seed=1))
    training.run(pictures(), tmp_path / "state")
    after = training.held_out_loss(pictures(seed=1))
    middle = [n for n, (sigma, _, _) in enumerate(before) if 0.2 < sigma < 3.0]
    assert all(after[n][1] < 0.8 * before[n][1] for n in middle)
    assert training.curve[-1][1] < 0.8 * training.curve[0][1]


def test_levels_learn_of_the_same_pictures_with_noise_of_their_own(tmp_path: Path) -> None:
    first, second = finished(tmp_path / "a", level=1), finished(tmp_path / "b", level=2)
    assert first.curve != second.curve
    assert not torch.equal(first.body.conv_in.weight, second.body.conv_in.weight)


def test_the_global_generator_is_left_alone() -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    begun().advance(pictures())
    assert torch.equal(torch.rand(3), expected)


def test_a_curve_has_a_point_for_each_few_steps_and_for_the_end(tmp_path: Path) -> None:
    training = finished(tmp_path / "state")
    assert [images for images, _ in training.curve] == [40, 80, 120, 160, 192]
    assert training.loss == training.curve[-1][1]
    assert begun().loss is None


def test_the_average_forgets_the_beginning() -> None:
    """Weights n half-lives ago, 5 % of the pictures seen each, count 2^-n: a weight that stands still is its own average."""
    training = begun()
    for p in training.body.parameters():
        p.requires_grad_(False)
    training.average = {name: torch.zeros_like(p) for name, p in training.average.items()}
    kept = 1.0
    for step in range(1, 6):
        kept *= 0.5 ** (1.0 / (0.05 * step))
    p = training.body.conv_in.weight
    p.requires_grad_(True)
    p.register_hook(torch.zeros_like)  # nothing is learned
    for _ in range(5):
        training.advance(pictures())
    torch.testing.assert_close(training.average["conv_in.weight"], (1.0 - kept) * p.detach())


def test_the_rate_warms_up_stays_and_falls_to_nothing() -> None:
    assert rate_at(0, 0.0) == 1 / 300
    assert rate_at(299, 0.1) == rate_at(5000, 0.7) == 1.0
    assert rate_at(5000, 0.85) == pytest.approx(0.5)
    assert rate_at(5000, 1.0) == rate_at(5000, 1.01) == 0.0


@pytest.mark.parametrize("parametrisation", ["edm", "wiener"])
@pytest.mark.parametrize("sigma", [0.02, 0.5, 40.0])
def test_the_loss_of_a_body_that_says_nothing_is_one(parametrisation: str, sigma: float) -> None:
    body = Shape(1, (4, 8), groups=2).body(16)
    torch.nn.init.zeros_(body.conv_out.weight)
    torch.nn.init.zeros_(body.conv_out.bias)
    denoiser = Denoiser(body, begun().schedule, parametrisation).requires_grad_(False)
    source = torch.Generator().manual_seed(0)
    power = spectrum(16) if parametrisation == "wiener" else torch.full((16, 16), 0.25)
    white, noise = (torch.randn(400, 3, 16, 16, generator=source) for _ in range(2))
    x = torch.fft.irfft2(torch.fft.rfft2(white) * power.sqrt()[:, :9], s=(16, 16))
    assert float(weighted_loss(denoiser, x, torch.full((400,), sigma), noise).mean()) == pytest.approx(1.0, rel=0.05)


def test_held_out_loss_is_the_mean_over_pictures(monkeypatch: pytest.MonkeyPatch) -> None:
    """In one piece or many; the standard error is that of a mean."""
    training, held_out = begun(), pictures(11)
    whole = training.held_out_loss(held_out)
    monkeypatch.setattr(train, "_CHUNK", 4)
    told = list[float]()
    torch.testing.assert_close(torch.tensor(training.held_out_loss(held_out, told.append)), torch.tensor(whole))
    assert told == pytest.approx([n / 12 for n in range(1, 13)])
    noise = torch.randn(11, 3, 8, 8, generator=mlem.streams.generator(0, "held-out"))
    sigma, mean, error = whole[3]
    losses = weighted_loss(training.result(), to_unit(held_out), torch.full((11,), sigma), noise)
    assert (mean, error) == pytest.approx((float(losses.mean()), float(losses.std()) / math.sqrt(11)), rel=1e-5)
    assert [whole[0][0], whole[-1][0]] == pytest.approx([0.02, 40.0], rel=1e-5)


def test_what_is_kept_is_in_half_precision_already(tmp_path: Path) -> None:
    """So that the loss in the model card is that of the weights beside it."""
    result = finished(tmp_path / "state").result()
    assert all(torch.equal(p, p.half().float()) for p in result.body.parameters())
    assert not result.training
    assert not any(p.requires_grad for p in result.parameters())


def test_half_precision_in_training_keeps_weights_in_single(tmp_path: Path) -> None:
    recipe = dataclasses.replace(RECIPE, precision="bfloat16")
    training = finished(tmp_path / "state", recipe=recipe)
    assert {p.dtype for p in training.body.parameters()} == {torch.float32}
    assert training.curve != finished(tmp_path / "single").curve


# ── what is saved goes on


def test_a_state_goes_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    """Cut at a point of the curve, between two, and before the first step."""
    whole = finished(tmp_path / "whole")
    for cut in (0, 3, 10, 17):
        path = tmp_path / f"cut-{cut}"
        part = begun()
        for _ in range(cut):
            part.advance(pictures())
        part.save(path)
        again = begun()
        again.load(path)
        assert again.step == cut
        again.run(pictures(), path)
        assert same(again, whole)


def test_a_training_that_is_killed_goes_on(tmp_path: Path) -> None:
    """SIGKILL at any moment, while it saves after every step: weights and curve are those of a whole run to the last bit."""
    path = tmp_path / "level-1" / "training.safetensors"
    command = [sys.executable, "-m", "tests.images.tiny_training", str(path)]
    with subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if int(line) == 7:
                process.kill()
                break
    assert process.returncode == -9
    again = begun()
    again.load(path)
    assert 7 <= again.step < STEPS
    again.run(pictures(), path)
    assert same(again, finished(tmp_path / "whole"))


def test_a_stop_keeps_what_was_done(tmp_path: Path) -> None:
    def stop(training: Training, rate: float) -> None:
        assert rate > 0.0
        if training.step == 9:
            raise KeyboardInterrupt

    training = begun()
    with pytest.raises(KeyboardInterrupt):
        training.run(pictures(), tmp_path / "state", stop)
    again = begun()
    again.load(tmp_path / "state")
    assert again.step == 9
    again.run(pictures(), tmp_path / "state")
    assert same(again, finished(tmp_path / "whole"))


def test_half_a_step_is_never_saved(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An exception within a step leaves the state as it was last saved."""
    path = tmp_path / "state"
    training = begun()
    for _ in range(4):
        training.advance(pictures())
    training.save(path)
    before = path.read_bytes()
    monkeypatch.setattr(training.optimiser, "step", lambda: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        training.run(pictures(), path)
    assert path.read_bytes() == before


def test_a_save_that_is_killed_leaves_the_one_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "state"
    training = begun()
    training.save(path)
    before = path.read_bytes()

    def killed(*_: object) -> None:
        raise OSError("no space left")

    training.advance(pictures())
    monkeypatch.setattr(os, "replace", killed)
    with pytest.raises(OSError, match="no space left"):
        training.save(path)
    assert path.read_bytes() == before


def test_a_finished_training_has_nothing_left_to_do(tmp_path: Path) -> None:
    whole = finished(tmp_path / "state")
    again = begun()
    again.load(tmp_path / "state")
    again.run(pictures(), tmp_path / "state")
    assert again.done
    assert same(again, whole)
    assert again.record == whole.record


def test_a_state_from_before_it_told_so_much_is_read(tmp_path: Path) -> None:
    """Seed, step, seconds, curve and losses are all that the first states told."""
    whole = finished(tmp_path / "state")
    with safe_open(tmp_path / "state", "pt") as file:
        told = json.loads(file.metadata()["told"])
    kept = {name: told[name] for name in ("seed", "step", "seconds", "curve", "losses")}
    save_file(load_file(tmp_path / "state"), tmp_path / "old", {"told": json.dumps(kept)})
    again = begun()
    again.load(tmp_path / "old")
    assert same(again, whole)
    assert again.record.device == "a device not recorded"
    assert again.held_out == []


def test_every_device_that_trained_is_told(tmp_path: Path) -> None:
    training = begun()
    here, training.trained_on = training.trained_on, "another device"
    training.advance(pictures())
    training.save(tmp_path / "state")
    again = begun()
    again.load(tmp_path / "state")
    assert again.trained_on == f"another device, then {here}"
    again.run(pictures(), tmp_path / "state")
    last = begun()
    last.load(tmp_path / "state")
    assert last.trained_on == f"another device, then {here}"


def test_evaluation_is_kept_with_the_state(tmp_path: Path) -> None:
    whole = finished(tmp_path / "state")
    whole.held_out = whole.held_out_loss(pictures(6))
    whole.save(tmp_path / "state")
    again = begun()
    again.load(tmp_path / "state")
    assert again.record.held_out == whole.record.held_out != ()


def test_a_longer_training_forgets_the_evaluation_of_the_shorter_one(tmp_path: Path) -> None:
    short = begun(dataclasses.replace(RECIPE, images=4 * 8))
    short.run(pictures(), tmp_path / "state")
    short.held_out = short.held_out_loss(pictures(6))
    short.save(tmp_path / "state")
    longer = begun(dataclasses.replace(RECIPE, images=8 * 8))
    longer.load(tmp_path / "state")
    assert longer.held_out == short.held_out  # until it goes on
    longer.run(pictures(), tmp_path / "state")
    assert longer.done
    assert longer.held_out == []


def test_each_level_goes_on_where_it_stood(tmp_path: Path) -> None:
    recipes = (RECIPE, dataclasses.replace(RECIPE, images=16))
    first, second = trainings(tmp_path, seed=0, device=torch.device("cpu"), recipes=recipes, size=8)
    second.run(pictures(), state_path(tmp_path, 2))
    first, second = trainings(tmp_path, seed=0, device=torch.device("cpu"), recipes=recipes, size=8)
    assert (first.done, second.done) == (False, True)


# ── what is refused


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"seed": 1}, "was trained with seed 0, not 1: give that seed or another folder"),
        ({"recipe": dataclasses.replace(RECIPE, batch=4)}, "was trained with batch 8, not 4"),
        ({"recipe": dataclasses.replace(RECIPE, parametrisation="edm")}, "was trained with parametrisation wiener, not edm"),
        ({"recipe": dataclasses.replace(RECIPE, shape=Shape(1, (8, 8), groups=2))}, "holds another network than the recipe's"),
        (
            {"recipe": dataclasses.replace(RECIPE, shape=Shape(1, (4, 8, 8), groups=2))},
            "holds another network than the recipe's",
        ),
    ],
)
def test_a_state_of_another_training_is_refused(options: dict[str, object], words: str, tmp_path: Path) -> None:
    finished(tmp_path / "state")
    with pytest.raises(ValueError, match=words):
        begun(**options).load(tmp_path / "state")


def test_other_pictures_are_refused(tmp_path: Path) -> None:
    begun().run(pictures(), tmp_path / "state")
    again = begun(dataclasses.replace(RECIPE, images=8 * STEPS * 2))
    again.load(tmp_path / "state")
    with pytest.raises(ValueError, match="level 1 was begun with other pictures than these"):
        again.run(pictures(seed=1), tmp_path / "state")


@pytest.mark.parametrize("content", [b"", b"no state", None], ids=["empty", "text", "weights without a state"])
def test_a_file_that_is_no_state_is_refused(content: bytes | None, tmp_path: Path) -> None:
    if content is None:
        save_file({"x": torch.zeros(1)}, tmp_path / "state")
    else:
        (tmp_path / "state").write_bytes(content)
    with pytest.raises(ValueError, match=r"is no state of a training .*: take it away, or give another folder"):
        begun().load(tmp_path / "state")


def test_a_loss_that_is_not_finite_stops_with_the_last_good_state(tmp_path: Path) -> None:
    training = begun()

    def spoil(one: Training, _: float) -> None:
        if one.step == 6:
            one.save(tmp_path / "state")
            one.body.conv_in.weight.data.fill_(math.nan)

    with pytest.raises(ArithmeticError, match="level 1: the loss is nan after 48 pictures; lower the rate"):
        training.run(pictures(), tmp_path / "state", spoil)
    again = begun()
    again.load(tmp_path / "state")
    assert again.step == 6


# ── the shipped recipes


def test_the_ladders_levels_grow_four_to_six_fold() -> None:
    costs = [flops(Denoiser(r.shape.body(64), begun().schedule, r.parametrisation, r.shape.patch)) for r in LADDER]
    assert len(costs) >= 5
    assert costs[0] < 0.02e9
    assert all(4.0 <= more / less <= 6.0 for less, more in pairwise(costs)), costs


def test_a_batch_depends_on_seed_level_and_step_only() -> None:
    def batch(seed: int = 0, level: int = 1, step: int = 0) -> Tensor:
        training = begun(level=level, seed=seed)
        training.step = step
        return torch.cat([z.flatten() for z in training._batch(pictures())])

    assert torch.equal(batch(), batch())
    assert not torch.equal(batch(), batch(step=1))
    assert not torch.equal(batch(), batch(seed=1))
    assert not torch.equal(batch(), batch(level=2))
