"""Training of a ladder: each level is a denoiser of its own, trained on the same pictures with the same loss.

A level's state is one file, written whole and then renamed, so that a training that is killed at any moment goes on where it
was last saved; batch n depends on the seed, the level and n only, so that it also goes on as if nothing had happened.
"""

from __future__ import annotations

import json
import math
import os
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import torch
from diffusers import UNet2DModel
from jaxtyping import Float, UInt8
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from mlem.images import devices
from mlem.images.data import digest, to_unit
from mlem.images.diffusion import Schedule
from mlem.images.manifest import TrainingRecord
from mlem.images.network import Denoiser, Shape
from mlem.streams import generator

STATE = "training.safetensors"

SAVE_EVERY = 60.0  # seconds: what a training that is killed loses at most
CURVE_EVERY = 50  # steps in a point of the loss curve

_SIGMA_MEAN, _SIGMA_SPREAD = -1.2, 1.2  # of log σ in training (Karras et al. 2022, table 1)
_ANYWHERE = 0.15  # of a batch is spread over the whole range of σ, where solvers begin
_WARM_UP = 300  # steps
_DECAY = 0.3  # of the pictures: the rate falls to nothing over the last ones
_HALF_LIFE = 0.05  # of the pictures seen so far, in which a weight's share in the average halves (Karras et al. 2024)
_EVALUATED_AT = 12  # noise levels of the held-out loss
_EVALUATED = (math.log(0.02), math.log(40.0))  # from log σ to log σ
_EVALUATED_PICTURES = 512  # at most: the standard error is then well below what levels differ by
_CHUNK = 64  # pictures evaluated at once

_UNKNOWN = "a device not recorded"


@dataclass(frozen=True)
class Recipe:
    """How one level is trained: ``images`` seen in all, ``batch`` at a step, at most with learning rate ``rate``."""

    shape: Shape
    images: int
    batch: int
    rate: float
    precision: str = "float32"
    parametrisation: str = "wiener"


LADDER = (
    Recipe(Shape(8, (8, 16), groups=4), images=200_000, batch=128, rate=2e-3),
    Recipe(Shape(4, (16, 24, 32)), images=160_000, batch=128, rate=2e-3),
    Recipe(Shape(4, (32, 64, 64)), images=120_000, batch=64, rate=1e-3, precision="bfloat16"),
    Recipe(Shape(4, (64, 128, 192)), images=300_000, batch=64, rate=7e-4, precision="bfloat16"),
    Recipe(Shape(2, (64, 128, 192, 256)), images=100_000, batch=64, rate=5e-4, precision="bfloat16"),
)
"""Five levels, each four to six times the work of the one before; what a processor of two cores trains in three hours."""

Tell: TypeAlias = Callable[["Training", float], None]
"""Called after each step with the training and its pictures per second; may raise to stop."""


class Training:
    """One level of a ladder in training: the network, its moving average and the optimiser."""

    def __init__(
        self, recipe: Recipe, level: int, *, size: int = 64, seed: int = 0, device: torch.device | str = "cpu"
    ) -> None:
        self.recipe, self.level, self.seed, self.device = recipe, level, seed, torch.device(device)
        self.schedule = Schedule()
        with torch.random.fork_rng(devices=[]):  # diffusers draws weights from the global generator
            torch.manual_seed(generator(seed, "weights", level).initial_seed())
            body = recipe.shape.body(size)
        self.denoiser = self._denoiser(body)
        self.average = {name: p.detach().clone() for name, p in self.body.named_parameters()}
        self.optimiser = torch.optim.AdamW(self.body.parameters(), lr=recipe.rate, betas=(0.9, 0.99), weight_decay=0.0)
        self.step = 0
        self.seconds = 0.0
        self.trained_on = devices.in_words(self.device)
        self.curve: list[tuple[int, float]] = []  # pictures seen, mean loss since the last point
        self.held_out: list[tuple[float, float, float]] = []  # σ, mean and standard error of the loss; empty until evaluated
        self._losses: list[float] = []
        self._pictures = ""  # digest of those that are trained on

    @property
    def body(self) -> UNet2DModel:
        """The network that learns."""
        return self.denoiser.body

    @property
    def seen(self) -> int:
        """Pictures seen so far."""
        return self.step * self.recipe.batch

    @property
    def done(self) -> bool:
        """Whether all pictures of the recipe were seen."""
        return self.seen >= self.recipe.images

    @property
    def loss(self) -> float | None:
        """The last point of the loss curve, the mean of all steps before there is one; None before the first step."""
        if self.curve:
            return self.curve[-1][1]
        return sum(self._losses) / len(self._losses) if self._losses else None

    @property
    def record(self) -> TrainingRecord:
        """What goes into ladder.json."""
        return TrainingRecord(self.seen, self.seconds, self.trained_on, tuple(self.held_out))

    def run(self, pictures: UInt8[Tensor, "n 3 size size"], path: Path, tell: Tell | None = None) -> None:
        """Trains to the end of the recipe, saving to ``path`` every minute, at the end, and when ``tell`` raises.

        An exception within a step loses what came after the last save: half a step is nothing to go on from. Raises ValueError
        for other pictures than those that the training began with.
        """
        if self._pictures not in ("", found := digest(pictures)):
            raise ValueError(f"level {self.level} was begun with other pictures than these: give those, or another folder")
        self._pictures = found
        if not self.done:
            self.held_out = []  # of a shorter training, if there is one
        saved = time.monotonic()
        while not self.done:
            began = time.monotonic()
            self.advance(pictures)
            now = time.monotonic()
            self.seconds += now - began
            if now - saved > SAVE_EVERY:
                self.save(path)
                saved = now
            if tell:
                try:
                    tell(self, self.recipe.batch / (now - began))
                except BaseException:
                    self.save(path)
                    raise
        self.save(path)

    def advance(self, pictures: UInt8[Tensor, "n 3 size size"]) -> None:
        """One step of the optimiser. Raises ArithmeticError where the loss is not finite."""
        x, sigma, noise = (z.to(self.device) for z in self._batch(pictures))
        for group in self.optimiser.param_groups:
            group["lr"] = self.recipe.rate * rate_at(self.step, self.seen / self.recipe.images)
        with torch.autocast(self.device.type, torch.bfloat16, enabled=self.recipe.precision == "bfloat16"):
            loss = weighted_loss(self.denoiser, x, sigma, noise).mean()
        if not math.isfinite(value := float(loss.detach())):
            raise ArithmeticError(f"level {self.level}: the loss is {value} after {self.seen} pictures; lower the rate")
        self.optimiser.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.body.parameters(), 1.0)
        self.optimiser.step()
        self.step += 1
        keep = 0.5 ** (self.recipe.batch / (_HALF_LIFE * self.seen))
        with torch.no_grad():
            for name, p in self.body.named_parameters():
                self.average[name].lerp_(p, 1.0 - keep)
        self._losses.append(value)
        if len(self._losses) == CURVE_EVERY or self.done:
            self.curve.append((self.seen, sum(self._losses) / len(self._losses)))
            self._losses.clear()

    def _batch(self, pictures: UInt8[Tensor, "n 3 size size"]) -> tuple[Tensor, Tensor, Tensor]:
        """Pictures in [−1, 1], half of them mirrored; their σ and their noise."""
        source, n = generator(self.seed, f"train-{self.level}", self.step), self.recipe.batch
        x = to_unit(pictures[torch.randint(len(pictures), (n,), generator=source)])
        mirrored = torch.rand(n, generator=source) < 0.5
        x[mirrored] = x[mirrored].flip(-1)
        log_sigma = _SIGMA_MEAN + _SIGMA_SPREAD * torch.randn(n, generator=source)
        low, high = math.log(self.schedule.sigma_low), math.log(self.schedule.sigma_high)
        anywhere = low + (high - low) * torch.rand(n, generator=source)
        log_sigma = torch.where(torch.rand(n, generator=source) < _ANYWHERE, anywhere, log_sigma.clamp(low, high))
        return x, log_sigma.exp(), torch.randn(x.shape, generator=source)

    def averaged(self) -> UNet2DModel:
        """The network with averaged weights, the one to use; they are rounded to the half precision that is kept of them."""
        body = UNet2DModel.from_config(self.body.config)
        body.load_state_dict({name: p.half().float() for name, p in self.average.items()})
        return body

    def result(self) -> Denoiser:
        """The denoiser with averaged weights."""
        return self._denoiser(self.averaged()).eval().requires_grad_(False)

    def _denoiser(self, body: UNet2DModel) -> Denoiser:
        return Denoiser(body, self.schedule, self.recipe.parametrisation, self.recipe.shape.patch).to(self.device)

    @torch.no_grad()
    def held_out_loss(
        self, pictures: UInt8[Tensor, "m 3 size size"], tell: Callable[[float], None] | None = None
    ) -> list[tuple[float, float, float]]:
        """σ, mean and standard error of the weighted loss on held-out pictures, 512 at most, with the averaged weights.

        The same noise for every level. ``tell`` is called with the fraction that is done; may raise to stop.
        """
        denoiser, pictures = self.result(), pictures[:_EVALUATED_PICTURES]
        source = generator(self.seed, "held-out")
        noise = torch.randn(pictures.shape, generator=source)
        found = []
        for n, log_sigma in enumerate(torch.linspace(*_EVALUATED, _EVALUATED_AT).tolist(), start=1):
            sigma = math.exp(log_sigma)
            losses = []
            for x, z in zip(torch.split(pictures, _CHUNK), torch.split(noise, _CHUNK), strict=True):
                sigmas = torch.full((len(x),), sigma, device=self.device)
                losses.append(weighted_loss(denoiser, to_unit(x).to(self.device), sigmas, z.to(self.device)))
            loss = torch.cat(losses)
            found.append((sigma, float(loss.mean()), float(loss.std() / len(loss) ** 0.5)))
            if tell:
                tell(n / _EVALUATED_AT)
        return found

    def save(self, path: Path) -> None:
        """Everything that is needed to go on, in one file that is there whole or not at all; makes its folder."""
        tensors = {f"body.{name}": p.detach() for name, p in self.body.named_parameters()}
        tensors |= {f"average.{name}": p for name, p in self.average.items()}
        for name, p in self.body.named_parameters():
            if state := self.optimiser.state.get(p):
                tensors |= {f"first.{name}": state["exp_avg"], f"second.{name}": state["exp_avg_sq"]}
        told = {
            "seed": self.seed,
            "batch": self.recipe.batch,
            "parametrisation": self.recipe.parametrisation,
            "pictures": self._pictures,
            "step": self.step,
            "seconds": self.seconds,
            "device": self.trained_on,
            "curve": self.curve,
            "losses": self._losses,
            "held_out": self.held_out,
        }
        path.parent.mkdir(parents=True, exist_ok=True)
        beside = path.with_suffix(".new")
        save_file({name: t.contiguous() for name, t in tensors.items()}, beside, {"told": json.dumps(told)})
        os.replace(beside, path)

    def load(self, path: Path) -> None:
        """Goes on from what was saved. Raises ValueError for a state of another network, seed, batch or parametrisation."""
        try:
            with safe_open(path, "pt", device=str(self.device)) as file:
                told: dict[str, Any] = json.loads(file.metadata()["told"])
                saved = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118  # no mapping
        except (SafetensorError, TypeError, KeyError, json.JSONDecodeError) as error:
            raise ValueError(f"{path} is no state of a training ({error}): take it away, or give another folder") from error
        recipe = self.recipe
        for name, wanted in {"seed": self.seed, "batch": recipe.batch, "parametrisation": recipe.parametrisation}.items():
            if (got := told.get(name, wanted)) != wanted:
                raise ValueError(f"{path} was trained with {name} {got}, not {wanted}: give that {name} or another folder")
        for name, p in self.body.named_parameters():
            if (found := saved.get(f"body.{name}")) is None or found.shape != p.shape:
                raise ValueError(f"{path} holds another network than the recipe's, {name} differs: give another folder")
            p.data.copy_(found)
            self.average[name].copy_(saved[f"average.{name}"])
            if f"first.{name}" in saved:
                self.optimiser.state[p] = {
                    "step": torch.tensor(float(told["step"])),
                    "exp_avg": saved[f"first.{name}"].contiguous(memory_format=_format(p)),
                    "exp_avg_sq": saved[f"second.{name}"].contiguous(memory_format=_format(p)),
                }
        self.step, self.seconds = int(told["step"]), float(told["seconds"])
        self.curve = [(int(n), float(loss)) for n, loss in told["curve"]]
        self.held_out = [(float(sigma), float(mean), float(error)) for sigma, mean, error in told.get("held_out", [])]
        begun_on = str(told.get("device", _UNKNOWN))
        same = self.done or self.trained_on in begun_on
        self.trained_on = begun_on if same else f"{begun_on}, then {self.trained_on}"
        self._losses, self._pictures = list(told["losses"]), str(told.get("pictures", ""))


def rate_at(step: int, done: float) -> float:
    """The learning rate's share of its peak: warm-up, constant, then a straight fall to nothing at the end."""
    return min(1.0, (step + 1) / _WARM_UP, max(0.0, 1.0 - done) / _DECAY)


def weighted_loss(
    denoiser: Denoiser,
    x: Float[Tensor, "batch 3 size size"],
    sigma: Float[Tensor, " batch"],
    noise: Float[Tensor, "batch 3 size size"],
) -> Float[Tensor, " batch"]:
    """Mean square of D − x_0 over a picture, over c_out²: one where the body says nothing (Karras et al. 2022, equation 8)."""
    s = sigma.view(-1, 1, 1, 1)
    alpha = (1.0 + s.square()).rsqrt()
    residual = (denoiser(alpha * (x + s * noise), sigma) - x) / denoiser.c_out(s)
    return residual.square().mean((1, 2, 3))


def _format(p: Tensor) -> torch.memory_format:
    last = p.dim() == 4 and p.is_contiguous(memory_format=torch.channels_last)
    return torch.channels_last if last else torch.contiguous_format


def trainings(
    out: Path, *, seed: int, device: torch.device, recipes: tuple[Recipe, ...] = LADDER, size: int = 64
) -> Iterator[Training]:
    """Each level's training, gone on with where there is a state in ``out``."""
    for level, recipe in enumerate(recipes, start=1):
        training = Training(recipe, level, size=size, seed=seed, device=device)
        if (path := state_path(out, level)).is_file():
            training.load(path)
        yield training


def state_path(out: Path, level: int) -> Path:
    """Where the state of a level is kept."""
    return out / f"level-{level}" / STATE
