"""The model card of a ladder, and its loss curves as a table: both made from what the training told."""

from __future__ import annotations

import platform
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import version

import torch

import mlem
from mlem.images.checkpoint import Ladder, NetworkLevel
from mlem.images.manifest import TrainingRecord

CELEBA = "CelebA"
CELEBA_TERMS = (
    "CelebA is available for non-commercial research purposes only, and so are networks trained on it and what they draw. "
    "Its pictures may not be passed on. Source: Ziwei Liu, Ping Luo, Xiaogang Wang, Xiaoou Tang, *Deep Learning Face "
    "Attributes in the Wild*, ICCV 2015."
)
SAMPLES = "samples.webp"
"""A sheet of pictures that the networks of a ladder drew, beside its card."""

NO_TERMS = "The terms of the training data were not stated; ask whoever has them before you pass the networks on."


@dataclass(frozen=True)
class Data:
    """What a ladder was trained on: the name, the numbers of pictures, and the terms under which they are used."""

    name: str
    train: int
    held_out: int
    terms: str


def card(ladder: Ladder, data: Data) -> str:
    """README.md as the Hub shows it. All levels must have a training record."""
    sizes = f"{ladder.size} × {ladder.size}"
    return f"""---
license: other
library_name: diffusers
tags: [unconditional-image-generation, multilevel-euler-maruyama]
---

# {ladder.name}: {len(ladder.levels)} denoisers of growing size for pictures of {sizes} pixels

A ladder of networks for the multilevel Euler–Maruyama method (arXiv 2603.24594): the small ones are called at every step,
the large ones now and then. Each is a UNet of diffusers in half precision; what its output means is told in `ladder.json` and
done by `mlem.images.network.Denoiser`.

```python
from mlem.images.checkpoint import load_ladder

ladder = load_ladder("path/to/this/folder")
clean = ladder.levels[-1].denoiser(noisy, sigma)  # E[x_0 | y = (x_0 + sigma * noise) / sqrt(1 + sigma ** 2)], x_0 in [-1, 1]
```

## Levels

FLOPs are counted for one evaluation on one picture. Seconds are those of the training, on the device named.

{_table(["level", "parameters", "FLOPs", "pictures seen", "seconds", "trained on"], [_row(level) for level in ladder.levels])}

## Loss on held-out pictures

Mean square of D(y, σ) − x_0 over that of what the skip alone leaves, by noise level σ, ± its standard error, with the averaged
weights that are kept. Below 1 the network knows more than the skip. The curve of the loss in training is in `loss.csv`.

{_table(["σ", *(level.name for level in ladder.levels)], _losses(ladder.levels))}

## Pictures

`{SAMPLES}`, if it is there, shows what the networks draw: a row of 16 by each level but the finest, all from the same noise,
then 64 by the finest, of which the first 16 are from that noise too. `python -m mlem.images.quality` draws it for the ladder
that ships with mlem.

## Data and terms

Trained on {data.name}: {data.train:,} pictures; {data.held_out:,} more were held out. {data.terms}

## Limits

The networks draw pictures like those they were trained on, with their biases. They are meant for the study of solvers, and
are no benchmark of picture quality.

## Versions

mlem {mlem.__version__}, PyTorch {torch.__version__}, diffusers {version("diffusers")}, Python {platform.python_version()}.
"""


def loss_csv(curves: Mapping[str, Sequence[tuple[int, float]]]) -> str:
    """Loss curves by level: a row for each point, with the pictures seen and the mean loss since the point before."""
    rows = [f"{level},{images},{loss:.6g}" for level, curve in curves.items() for images, loss in curve]
    return "\n".join(["level,images,loss", *rows]) + "\n"


def _row(level: NetworkLevel) -> list[str]:
    record = _record(level)
    counts = (level.parameters, level.flops, record.images, round(record.seconds))
    return [level.name, *(f"{count:,}" for count in counts), record.device]


def _losses(levels: Sequence[NetworkLevel]) -> list[list[str]]:
    columns = [_record(level).held_out for level in levels]
    rows = zip(*columns, strict=True)
    return [[f"{row[0][0]:.3g}", *(f"{mean:.4f} ± {error:.4f}" for _, mean, error in row)] for row in rows]


def _record(level: NetworkLevel) -> TrainingRecord:
    assert level.training is not None  # a level of a training has one
    return level.training


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    rule = ["---", *["---:"] * (len(head) - 1)]
    return "\n".join("| " + " | ".join(cells) + " |" for cells in (head, rule, *rows))
