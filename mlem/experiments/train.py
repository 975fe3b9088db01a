"""``python -m mlem train``: trains the levels of a ladder, and writes it with its loss curves and its model card.

A training goes on where it stood: Ctrl-C and SIGTERM end it after the step in progress, a kill loses a minute at most. On a
finished folder only the ladder, the curves and the card are written anew.
"""

from __future__ import annotations

import argparse
import math
import os
import signal
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from types import FrameType

import torch

from mlem import terminal
from mlem.checks import check_integer, check_number
from mlem.experiments.result import Row, to_text
from mlem.images import data
from mlem.images.card import CELEBA, CELEBA_TERMS, NO_TERMS, Data, card, loss_csv
from mlem.images.checkpoint import Ladder, save_ladder
from mlem.images.devices import DEVICES, device_of
from mlem.images.files import write_whole
from mlem.images.train import LADDER, Training, state_path, trainings

CARD, CURVES = "README.md", "loss.csv"

_SMOOTH = 0.98  # of the mean time of a step, from one to the next
_STDERR = 2
_LINE_EVERY = 60.0  # seconds, where standard error is no terminal
_QUESTION = "Trains the levels of a ladder of denoisers, and writes it with its loss curves and its model card."


def main(arguments: Sequence[str]) -> int:
    """Runs the command; returns the exit status. Raises ValueError for bad input, KeyboardInterrupt when interrupted."""
    given = _parser().parse_args(arguments)
    levels = _levels(given.levels)
    scale = check_number("images_scale", given.images_scale, low=0.0, high=1000.0, open_low=True)
    recipes = tuple(replace(r, images=max(r.batch, round(scale * r.images))) for r in LADDER)
    torch.set_num_threads(check_integer("threads", given.threads, high=1024))
    all_levels = list(
        trainings(
            given.out,
            seed=check_integer("seed", given.seed, low=0, high=999_999),
            device=device_of(given.device),
            recipes=recipes,
            size=check_integer("size", given.size, low=8, high=1024),
        )
    )
    pictures = data.load(given.data, size=given.size)
    name = given.data_name or (CELEBA if CELEBA.lower() in given.data.name.lower() else given.data.stem)
    terms = given.terms or (CELEBA_TERMS if name == CELEBA else NO_TERMS)
    told = Data(name, len(pictures.train), len(pictures.held_out), terms)
    ladder = None
    with _stoppable() as check:
        for training in all_levels:
            if training.level in levels and not training.done:
                _train(training, pictures.train, given.out, check)
            if training.done and not training.held_out:
                _evaluate(training, pictures.held_out, given.out, check)
                ladder = _write(given.out, [one for one in all_levels if one.held_out], told)
    ladder = ladder or _write(given.out, [one for one in all_levels if one.done], told)
    print(f"{to_text(_rows(ladder))}\n\nThe ladder is in {given.out}, with {CARD} and {CURVES}.")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = terminal.Parser(
        prog="python -m mlem train", description=_QUESTION, formatter_class=terminal.Help, allow_abbrev=False
    )
    add = parser.add_argument
    add("--data", type=Path, required=True, metavar="PATH", help="folder, tar or zip of pictures; CelebA's layout is known")
    add("--out", type=Path, required=True, metavar="FOLDER", help="where the ladder and the states of its training are kept")
    every = ",".join(str(n) for n in range(1, len(LADDER) + 1))
    add("--levels", default=every, metavar="1,2,…", help=f"which levels to train, coarse to fine. Default: {every}")
    add("--images-scale", type=float, default=1.0, metavar="X", help="times as many pictures seen as the recipe says")
    add("--seed", type=int, default=0, metavar="N", help="of weights, batches and noise. Default: 0")
    add("--device", default="auto", choices=DEVICES, help="auto is CUDA where there is one. Default: auto")
    cores = os.cpu_count() or 1
    add(
        "--threads",
        type=int,
        default=cores,
        metavar="N",
        help=f"on the processor; the same number gives the same bits. Default: {cores}",
    )
    add("--size", type=int, default=64, metavar="PIXELS", help="along an edge of a picture. Default: 64")
    add("--data-name", metavar="NAME", help=f"of the data, for the model card. Default: {CELEBA}, or the file's name")
    add("--terms", metavar="TEXT", help=f"of the data's licence, for the model card. Default: those of {CELEBA} for {CELEBA}")
    return parser


def _levels(text: str) -> set[int]:
    numbers = [int(part) if part.strip().isdecimal() else 0 for part in text.split(",")]
    if not all(1 <= n <= len(LADDER) for n in numbers):
        raise ValueError(f"levels takes numbers from 1 to {len(LADDER)} with commas between, got {text!r}")
    return set(numbers)


@contextmanager
def _stoppable() -> Iterator[Callable[[], None]]:
    """Lets Ctrl-C and SIGTERM wait until what is given back is called, which raises KeyboardInterrupt; a second one does not
    wait. A step of an optimiser that is cut in two is nothing to go on from."""
    asked = list[int]()

    def ask(number: int, _: FrameType | None) -> None:
        if asked:
            raise KeyboardInterrupt
        asked.append(number)
        os.write(_STDERR, b"\nstopping after this step\n")  # a print may be under way, which must not be entered twice

    def check() -> None:
        if asked:
            raise KeyboardInterrupt

    before = {number: signal.signal(number, ask) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield check
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


class _Progress:
    """Tells how a training goes: on a terminal by a bar at each step, elsewhere by a line a minute."""

    def __init__(self, check: Callable[[], None]) -> None:
        self._check = check
        self._seconds = 0.0  # of a picture, smoothed
        self._told = -math.inf

    def __call__(self, training: Training, rate: float) -> None:
        self._seconds = _SMOOTH * self._seconds + (1.0 - _SMOOTH) / rate if self._seconds else 1.0 / rate
        left = (training.recipe.images - training.seen) * self._seconds
        loss = f"loss {training.loss:.3f}  " if training.loss is not None else ""
        words = f"{loss}{1.0 / self._seconds:,.0f} pictures/s  {_duration(left)} left"
        done = min(1.0, training.seen / training.recipe.images)
        terminal.show(done, f"level {training.level}  ", f"  {words}")
        if not sys.stderr.isatty() and (now := time.monotonic()) - self._told > _LINE_EVERY:
            self._told = now
            print(f"level {training.level}  {done:4.0%}  {words}", file=sys.stderr, flush=True)
        self._check()


def _train(training: Training, pictures: torch.Tensor, out: Path, check: Callable[[], None]) -> None:
    try:
        with terminal.whole_line():
            training.run(pictures, state_path(out, training.level), _Progress(check))
    except ArithmeticError as error:
        raise ValueError(str(error)) from error


def _evaluate(training: Training, pictures: torch.Tensor, out: Path, check: Callable[[], None]) -> None:
    def tell(done: float) -> None:
        terminal.show(done, f"level {training.level}  ", "  loss on held-out pictures")
        check()

    with terminal.whole_line():
        training.held_out = training.held_out_loss(pictures, tell)
    training.save(state_path(out, training.level))


def _write(out: Path, finished: Sequence[Training], told: Data) -> Ladder:
    """The ladder of the levels that are finished, its loss curves and its model card."""
    levels = [(state_path(out, one.level).parent.name, one.result(), one.record) for one in finished]
    ladder = save_ladder(out, f"{told.name} {levels[0][1].size} × {levels[0][1].size}", levels)
    curves = {level.name: one.curve for level, one in zip(ladder.levels, finished, strict=True)}
    write_whole(out / CURVES, loss_csv(curves))
    write_whole(out / CARD, card(ladder, told))
    return ladder


def _rows(ladder: Ladder) -> list[Row]:
    """The ladder as a table."""
    rows = list[Row]()
    for level in ladder.levels:
        assert level.training is not None  # a level of a training has one
        losses = [mean for _, mean, _ in level.training.held_out]
        rows.append(
            {
                "level": level.name,
                "parameters": level.parameters,
                "MFLOP": level.flops / 1e6,
                "pictures": level.training.images,
                "seconds": round(level.training.seconds),
                "held-out loss": sum(losses) / len(losses),
            }
        )
    return rows


def _duration(seconds: float) -> str:
    """A duration in the two largest units that it has."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours else f"{minutes} min {rest} s" if minutes else f"{rest} s"
