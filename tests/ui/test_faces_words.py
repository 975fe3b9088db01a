"""What the Faces page says: every sentence follows its numbers, and says where the method loses."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch

from mlem.errors import Estimate
from mlem.experiments import faces
from mlem.experiments.faces import FacesResult, Saving
from mlem.experiments.sample import SampleParams, SampleResult
from mlem.experiments.sample_store import judged
from mlem.images.pilot import Plan
from mlem.ui import faces_words
from mlem.words import digits, times
from tests.made_faces import FLOPS, made_effects, made_films, made_measured

FEW = SampleParams(pictures=3)


@pytest.fixture(scope="module")
def result() -> FacesResult:
    return faces.judge(made_measured())


def test_the_lead_counts_calls() -> None:
    calls = np.zeros((192, 5))
    calls[[3, 70], -1] = 1
    said = faces_words.lead(SampleParams(), FLOPS / 1e9, calls)
    assert "5 networks" in said
    assert times(1 / 3.3) in said, "(2.5e9/2.1e7)^(1/4)"
    assert "takes 192 steps, calls no network at 190 of them, and f⁵ twice" in said
    calls[:, 0] = 1
    assert "mostly with small networks, and f⁵ twice" in faces_words.lead(SampleParams(), FLOPS / 1e9, calls)
    assert "only now and then" in faces_words.lead(SampleParams(), FLOPS / 1e9, None)
    assert "f⁵" not in faces_words.lead(SampleParams(), None, None)


@pytest.mark.parametrize(("n", "words"), [(0, "not once"), (1, "once"), (2, "twice"), (7, "7 times")])
def test_how_a_row_is_made(n: int, words: str) -> None:
    calls = np.zeros((192, 5))
    calls[:n, -1] = 1
    assert faces_words.about(SampleParams(), "mlem", calls, 5) == f"192 steps, f⁵ {words}"
    assert faces_words.about(SampleParams(), "em", None, 5) == "48 steps of f⁵"
    assert faces_words.about(SampleParams(), "reference", None, 0) == "768 steps of the largest network"
    assert faces_words.about(SampleParams(), "mlem", None, 5) == "192 steps"


def test_a_verdict_waits_for_the_reference() -> None:
    films = made_films(FEW)
    drawn = {"mlem": films["mlem"]}
    assert "error to come" in faces_words.verdict("mlem", drawn, None)
    assert faces_words.verdict("em", drawn, None) == ""
    done = faces_words.verdict("mlem", films, judged(films))
    assert done.startswith("MSE 0.0")
    assert "to come" not in done
    assert "MSE" not in faces_words.verdict("reference", films, judged(films))


def test_the_summary_says_what_is_there() -> None:
    films = made_films(FEW)
    assert "drawn so far: none" in faces_words.summary(FEW, {}, None)
    assert "drawn so far: ML-EM, EM" in faces_words.summary(FEW, {m: films[m] for m in ("em", "mlem")}, None)
    assert "MSE" in faces_words.summary(FEW, films, judged(films))


@pytest.mark.parametrize(
    ("saving", "em", "mlem", "words"),
    [
        (2.5, 0.02, 0.01, "and its pictures are closer"),
        (2.5, 0.01, 0.02, "but its pictures are further"),
        (2.5, 0.01, 0.0101, "cannot be told apart"),
        (0.5, 0.01, 0.02, "Here the method loses"),
        (0.5, 0.01, 0.0101, "Here the method loses"),
        (0.5, 0.02, 0.01, "but its pictures are closer"),
    ],
)
def test_the_lesson_weighs_both(saving: float, em: float, mlem: float, words: str) -> None:
    shown: SampleResult = judged(made_films(FEW))

    def of(value: float) -> Estimate:
        return Estimate(value, 0.9 * value, 1.1 * value)

    turned = replace(
        shown, em=replace(shown.em, mse=of(em)), mlem=replace(shown.mlem, mse=of(mlem)), saving=saving, saving_in_seconds=saving
    )
    assert words in (said := faces_words.lesson(turned, timed=True))
    assert ("loses" in words) == ("loses" in said)
    assert "measured seconds" in said
    assert "seconds" not in faces_words.lesson(turned, timed=False)


def test_where_it_loses_is_said(result: FacesResult) -> None:
    one = Estimate(2.0, 1.8, 2.2)
    worse = Estimate(0.5, 0.4, 0.6)
    savings = tuple(
        Saving(target, ratio, None)
        for target, ratio in ((0.01, None), (0.02, worse), (0.04, one), (0.08, worse), (0.16, worse))
    )
    facts = replace(result.methods["mlem"], savings=savings)
    said = faces_words.measured(replace(result, methods={"mlem": facts}), "flops")
    assert f"at best **{times(2.0)}** (1.80 to 2.20) in GFLOP" in said
    assert "at RMSE 0.0400 (MSE 0.00160)" in said
    assert "**loses** at RMSE 0.0200 and 0.0800 to 0.160" in said
    assert "does not reach RMSE 0.0100 " in said
    assert "reaches no error" in faces_words.measured(replace(result, methods={"mlem": facts}), "seconds")


def test_the_interval_of_a_loss_is_that_of_what_is_said(result: FacesResult) -> None:
    only = Saving(0.1, Estimate(0.8, 0.5, 1.25), None)
    facts = replace(result.methods["mlem"], savings=(only,))
    said = faces_words.measured(replace(result, methods={"mlem": facts}), "flops")
    assert f"**{times(0.8)}** (0.800 to 2.00) in GFLOP" in said


def test_the_usual_samplers_are_named_for_the_ode_alone(result: FacesResult) -> None:
    assert faces_words.samplers(result, "flops") == ""
    said = faces_words.samplers(faces.judge(made_measured("ode")), "flops")
    assert all(name in said for name in ("DDIM", "Heun", "DPM-Solver++(2M)"))


def test_where_a_usual_sampler_beats_ml_em_is_said_plainly() -> None:
    result = faces.judge(made_measured("ode"))
    ours = result.methods["mlem"].savings

    def said(ratios: Sequence[float | None]) -> str:
        """Of Heun's method, with these savings."""
        estimates = [None if r is None else Estimate(r, r, r) for r in ratios]
        heun = replace(
            result.methods["heun"],
            savings=tuple(replace(one, flops=e) for one, e in zip(ours, estimates, strict=True)),
        )
        return faces_words.samplers(replace(result, methods={**result.methods, "heun": heun}), "flops")

    first, second = (digits(one.target) for one in ours[:2])
    assert f"**Heun beats ML-EM** at RMSE {first} to {second}." in said([99.0, 99.0, *[None] * (len(ours) - 2)])
    assert "Heun beats" not in said([0.5 * one.flops.value if one.flops else None for one in ours])


def test_gamma_is_placed_beside_the_kink(result: FacesResult) -> None:
    assert "above the kink" in faces_words.gamma(result)
    low = replace(result, gamma={**result.gamma, "flops": Estimate(1.5, 1.2, 1.8)}, gamma_held_out=None)
    assert "below the kink" in faces_words.gamma(low)
    assert "held-out" not in faces_words.gamma(low)
    unsure = replace(result, gamma={**result.gamma, "flops": Estimate(2.1, 1.8, 2.4)})
    assert "not told apart from the kink" in faces_words.gamma(unsure)


def test_a_level_that_is_no_step_of_the_ladder_is_named(result: FacesResult) -> None:
    assert "no clean power law" not in faces_words.gamma(result)
    levels = [*result.levels]
    levels[2] = replace(levels[2], error=levels[1].error)
    said = faces_words.gamma(replace(result, levels=tuple(levels)))
    assert "f³ is hardly better in the end than f²" in said


def test_where_calls_go() -> None:
    p = np.full((10, 5), 0.1)
    p[:, -1] = np.linspace(0.5, 0.02, 10)
    plan = Plan((1, 2, 3, 4, 5), torch.from_numpy(p))
    said = faces_words.along_time(made_effects(), plan, "systematic", 5)
    assert "one step in 2 at most and on one in 50 at least" in said
    assert "t = 0.792" in said
    assert "left out" not in said
    assert "the same at all times" in faces_words.along_time(made_effects(), plan, "bernoulli", 5)


@pytest.mark.parametrize(
    ("levels", "words"),
    [((1, 2, 5), "**f¹, f² and f⁵** are used and f³ and f⁴ are left out"), ((2, 3, 4, 5), "f¹ is left out")],
)
def test_levels_that_are_left_out_are_told(levels: tuple[int, ...], words: str) -> None:
    plan = Plan(levels, torch.full((10, len(levels)), 0.1))
    assert words in faces_words.along_time(made_effects(), plan, "systematic", 5)


def test_tables_tell_where_they_come_from(result: FacesResult) -> None:
    assert "made up, 1 thread" in faces_words.networks(result)
    assert "non-commercial" in faces_words.networks(result)
    assert f"{len(result.runs)} runs on the same {result.pictures} pictures" in faces_words.runs(result, "sde")
    assert "f¹ 0.110" in faces_words.losses(result)


def test_the_sheet_of_samples_is_explained() -> None:
    assert faces_words.samples(3).startswith(
        "Rows from above: f¹ and f², 16 faces each from the same noise; then 64 by f³. All"
    )
    assert faces_words.samples(1).startswith("All are drawn by the networks alone, with 20 evaluations of DPM-Solver++(2M)")


def test_the_card_is_shown_without_the_hubs_header(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:  # type: ignore[no-untyped-def]
    monkeypatch.setattr(faces_words, "SHIPPED", tmp_path)
    assert "No card" in faces_words.card()
    (tmp_path / "README.md").write_text("---\nlicense: other\n---\n\n# Title\n\n## Levels\n\ntext\n")
    assert faces_words.card() == "\n#### Title\n\n##### Levels\n\ntext\n"
