"""The work–precision chart's payload, read back as the browser reads it; and what is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from streamlit.testing.v1 import AppTest

from mlem.experiments.convergence import Chance
from mlem.frontier import Runs, prices
from mlem.ui.workprecision import HEIGHT, MAGIC, Chosen, WorkPrecision, _Talk
from tests.made_runs import LEVELS, made_runs, part
from tests.ui.payloads import unpack

EM, MLEM = made_runs()
TARGETS = np.geomspace(0.02, 0.3, 12)


def make_shown(**changes: Any) -> WorkPrecision:
    """All runs, at γ = 2.5."""
    return replace(WorkPrecision(EM, MLEM, TARGETS, Chosen(2.5, "cost", 0.05)), **changes)


def read(shown: WorkPrecision) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
    return unpack(MAGIC, shown.pack("here"))


def without(runs: Runs, name: str, value: float) -> Runs:
    return replace(runs, **{name: np.full_like(getattr(runs, name), value)})


@pytest.mark.parametrize("method", ["em", "mlem"])
def test_errors_resamples_and_prices_come_back(method: str) -> None:
    runs = {"em": EM, "mlem": MLEM}[method]
    header, arrays = read(make_shown())
    x, ratio = arrays[f"{method}.x"], arrays[f"{method}.ratio"]
    np.testing.assert_allclose(np.exp(x), runs.errors, rtol=1e-6)
    np.testing.assert_allclose(np.exp(x + header["steps"][method] * ratio), runs.resampled, rtol=1e-4)
    costs = arrays[f"{method}.evaluations"] @ 2.0 ** (2.5 * np.arange(LEVELS))
    np.testing.assert_allclose(costs, prices(runs, "cost", 2.5), rtol=1e-6)
    np.testing.assert_allclose(arrays[f"{method}.seconds"], runs.seconds, rtol=1e-6)
    assert (np.diff(arrays[f"{method}.family"])[np.diff(runs.family) == 0] == 0).all()


def test_header() -> None:
    header, _ = read(make_shown(about="forced-ou", names={"em": [f"run {i}" for i in range(len(EM.family))]}))
    assert header["chosen"] == {"gamma": 2.5, "unit": "cost", "target": 0.05}
    assert header["paths"] == 64
    assert header["about"] == "forced-ou"
    assert header["units"] == ["cost", "evaluations", "seconds"]
    assert header["height"] == HEIGHT
    assert header["names"]["em"][3] == "run 3"
    np.testing.assert_allclose(np.exp(header["targets"]), TARGETS)
    assert header["themes"]["dark"]["em"] != header["themes"]["light"]["em"]


def test_runs_that_still_arrive_go_without_resamples() -> None:
    _, arrays = read(make_shown(intervals=False))
    assert arrays["em.ratio"].size == 0
    whole, slim = (len(make_shown(intervals=chosen).pack("here")) for chosen in (True, False))
    assert slim < whole / 4


def test_what_theory_predicts_goes_along() -> None:
    costs = np.outer([1.0, 2.0], TARGETS**-3)
    header, arrays = read(make_shown(predicted={"em": costs}, predicted_for=(1.0, 2.0)))
    assert header["predicted_for"] == [1.0, 2.0]
    np.testing.assert_allclose(np.exp(arrays["em.predicted"]), costs, rtol=1e-5)


def test_what_chance_hides_goes_along_without_resamples() -> None:
    hidden = part(MLEM, 0.5)
    header, arrays = read(make_shown(chance=Chance(0.07, None, hidden), paths=4096))
    assert header["independent"] == pytest.approx(np.log(0.07))
    assert header["paths"] == 4096
    assert "em.hidden.x" not in arrays
    np.testing.assert_allclose(np.exp(arrays["mlem.hidden.x"]), hidden.errors, rtol=1e-6)
    assert arrays["mlem.hidden.ratio"].size == 0
    assert read(make_shown())[0]["independent"] is None


def test_the_slider_reaches_the_gamma_that_is_asked_for() -> None:
    assert read(make_shown())[0]["gammas"] == [0.25, 5.0, 0.05]
    assert read(make_shown(chosen=Chosen(8.0, "cost", 0.05)))[0]["gammas"] == [0.25, 8.0, 0.05]


def test_a_unit_in_which_a_run_is_free_is_not_offered() -> None:
    assert read(make_shown(em=without(EM, "seconds", 0.0)))[0]["units"] == ["cost", "evaluations"]


def test_flops_are_offered_where_levels_have_them() -> None:
    flops = 41.0 * 4.0 ** np.arange(LEVELS)
    header, _ = read(make_shown(em=replace(EM, flops=flops), mlem=replace(MLEM, flops=flops)))
    assert header["units"] == ["cost", "evaluations", "flops", "seconds"]
    assert header["flops"] == flops.tolist()
    assert read(make_shown())[0]["flops"] == []


def test_an_error_of_zero_is_finite() -> None:
    squared = EM.squared.copy()
    squared[:, 0] = 0.0
    _, arrays = read(make_shown(em=replace(EM, squared=squared)))
    assert np.isfinite(arrays["em.x"]).all()


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"em": replace(EM, squared=EM.squared[:32])}, "em and mlem take the same paths, got 32 and 64"),
        ({"em": replace(EM, evaluations=EM.evaluations[:, :3])}, "em and mlem take the same levels"),
        ({"targets": TARGETS[::-1].copy()}, "targets takes at least two ascending errors > 0"),
        ({"targets": TARGETS[:1]}, "targets takes at least two"),
        ({"chosen": Chosen(0.0, "cost", 0.1)}, "gamma takes a number > 0"),
        ({"chosen": Chosen(1.0, "euro", 0.1)}, "unit takes one of cost, evaluations, seconds, got 'euro'"),
        ({"chosen": Chosen(1.0, "cost", -1.0)}, "target takes a number > 0"),
        ({"names": {"em": ["one"]}}, "names takes one name per run, 84 for em, got 1"),
        (
            {"predicted": {"em": np.ones((2, 12))}},
            r"predicted takes costs \(gammas, targets\), \(0, 12\) here, got \(2, 12\) for em",
        ),
        ({"names": {"heun": []}}, "names takes one of em, mlem, got 'heun'"),
    ],
)
def test_what_cannot_be_shown_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        make_shown(**changes)


def test_the_chart_sends_the_payload() -> None:
    def page() -> None:
        from mlem.ui.workprecision import work_precision
        from tests.ui.test_workprecision import make_shown

        work_precision(make_shown(), key="here")

    at = AppTest.from_function(page).run()
    assert not at.exception
    assert at.get("bidi_component")[0].proto.bytes == make_shown().pack("here")


def test_python_repeats_nothing_that_it_was_told() -> None:
    first, dragged, preset = (Chosen(gamma, "cost", 0.05) for gamma in (2.5, 3.0, 4.0))
    talk = _Talk(first)
    talk.hear(first)
    talk.there = dragged
    talk.hear(first)  # a part of the page that does not know yet
    assert (talk.sent, talk.serial) == (first, 0)
    talk.hear(dragged)
    assert (talk.sent, talk.serial) == (first, 0), "the browser shows it already"
    talk.hear(preset)
    assert (talk.sent, talk.serial) == (preset, 1)
    talk.hear(first)
    assert (talk.sent, talk.serial) == (first, 2)
