"""Sweeps on a page: parts joined, judged once, and told in words."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import streamlit as st

from mlem.experiments import convergence, crossover
from mlem.experiments.convergence import ConvergenceParams, ConvergenceResult, fallen, is_told
from mlem.experiments.crossover import CrossoverParams, CrossoverResult
from mlem.experiments.steps import StepsResult
from mlem.experiments.store import swept
from mlem.planning import ErrorModel
from mlem.sweeps import Part
from mlem.synthetic import GAMMA_HIGH, GAMMA_LOW
from mlem.ui.turns import aside
from mlem.ui.workprecision import GAMMA_STEP
from mlem.words import digits, estimate, fold, level_name, percent, times


def joined(parts: Sequence[Part], error: str = "strong") -> Part | None:
    """All runs so far, None before both methods have one whose ``error`` can be judged."""
    runs = tuple(run for part in parts for run in part.runs)
    if len({run.piece.method for run in runs if is_told(run, error)}) < 2:
        return None
    return replace(parts[0], runs=runs)


@st.cache_resource(max_entries=64, show_spinner=False)
def judged(params: ConvergenceParams, count: int, _part: Part) -> ConvergenceResult:
    """The curves of the first ``count`` runs."""
    with aside():
        return convergence.judge(params, _part)


def predicted(params: ConvergenceParams, model: ErrorModel) -> dict[str, Any]:
    """Theory's costs wherever the slider of γ may stop, for the chart. Spectral levels have their own γ."""
    gammas = np.arange(GAMMA_LOW, GAMMA_HIGH + GAMMA_STEP / 2, GAMMA_STEP).round(3).tolist()
    return _predicted(swept(params), params.error, tuple(gammas if params.kind == "synthetic" else [params.gamma]), model)


@st.cache_resource(max_entries=64, show_spinner=False)
def _predicted(sweep: ConvergenceParams, error: str, gammas: tuple[float, ...], _model: ErrorModel) -> dict[str, Any]:
    with aside():
        predicted = convergence.predicted(replace(sweep, error=error), _model, gammas)
    return {"predicted": predicted, "predicted_for": gammas if predicted else ()}


def crossed(params: CrossoverParams, part: Part) -> CrossoverResult:
    """Exponents, shares and map. They are of every γ, so that looking at another one takes no computing."""
    return _crossed(replace(params, gamma=CrossoverParams.gamma), len(part.runs), part)


@st.cache_resource(max_entries=64, show_spinner=False)
def _crossed(params: CrossoverParams, count: int, _part: Part) -> CrossoverResult:
    with aside():
        return crossover.judge(params, _part)


def convergence_lesson(params: ConvergenceParams, result: ConvergenceResult) -> str:
    """What the curves say at this γ."""
    em, ml = result.em.slope, result.mlem.slope
    said = [_law_lesson(result)] if result.chance else []
    if em and ml:
        said.append(
            f"At γ = {params.gamma:g} one more digit costs :orange[**EM**] {fold(10**em.value)} as much, and :blue[**ML-EM**] "
            f"{fold(10**ml.value)}."
        )
    if result.breakeven:
        said.append(f"ML-EM is the cheaper one below ε = {estimate(result.breakeven)}, and dearer above.")
    elif result.speedup:
        finest = result.speedup[0]
        said.append(f"At ε = {digits(finest[0])} ML-EM is {times(finest[1].value)}.")
    if abs(params.gamma - 2.0) < 0.3 and not result.chance:
        said.append("Near γ = 2 theory has a factor log²(1/ε), which adds about 2/log(1/ε) to the exponent seen here.")
    return " ".join(said)


def _law_lesson(result: ConvergenceResult) -> str:
    """What the error of the law does, and the strong error of the same runs does not."""
    said = [
        "Here the error is that of the law: how far all ends together are from where they should be, whichever path is where."
    ]
    separated = False
    for name, curve in ((":orange[**EM’s**]", result.em), (":blue[**ML-EM’s**]", result.mlem)):
        if fall := fallen(curve):
            by_law, by_path = fall.coarse / fall.fine, fall.coarse_strong / fall.fine_strong
            separated |= by_path < 0.7 * by_law
            said.append(
                f"Over {name} curve it falls {fold(by_law)}, the strong error of the same runs {fold(by_path)}, from "
                f"{digits(fall.coarse_strong)} to {digits(fall.fine_strong)}."
            )
    said.append("A kick moves its path in full; the law hardly sees it, as others are kicked the other way.")
    if separated:
        said.append("Paths that were kicked apart stay apart: the strong error is stuck while that of the law still falls.")
    return " ".join(said) + "\n\n"


def crossover_lesson(params: CrossoverParams, result: CrossoverResult) -> str:
    """What γ does to the exponents and to the bill."""
    point = min(result.points, key=lambda p: abs(p.gamma - params.gamma))
    said = (
        f"At γ = {point.gamma:g} EM’s exponent is {estimate(point.em)} and ML-EM’s {estimate(point.mlem)}; theory says "
        f"{point.em_theory:g} and {point.mlem_theory:g}."
    )
    if point.shares:
        dearest = max(range(len(point.shares)), key=lambda k: point.shares[k])
        said += f" The largest part of ML-EM’s bill, {percent(point.shares[dearest])}, goes to {level_name(dearest + 1)}."
    regime = (
        "Below γ = 2 the small networks make the bill, and steps cost."
        if point.gamma < 2
        else "Above γ = 2 the best network makes the bill: its price is that of a few evaluations, whatever the step."
    )
    kink = "The kink at γ = 2 is not break-even: that is the white line, which constants decide."
    return f"{said} {regime}{breakeven(result)} {kink}"


def breakeven(result: CrossoverResult) -> str:
    """From which γ on ML-EM wins; nothing where it does so at every γ, or at none."""
    if result.breakeven is None:
        return ""
    return f" At ε = {digits(result.epsilon)} ML-EM is the cheaper one from γ = {estimate(result.breakeven)} on."


def steps_lesson(result: StepsResult) -> str:
    """What halving the step does to both bills."""
    said = ", ".join(f"{digits(2**slope.value)} at γ = {gamma}" for gamma, slope in result.slopes.items())
    return (
        f"Halving the step doubles :orange[**EM’s**] bill, at any γ. It multiplies :blue[**ML-EM’s**] by {said}, at the same "
        "error. Deep above γ = 2 the step is free: a level is called at a fixed rate $\\lambda_k = p_k/h$ per unit time, and "
        "in the limit h → 0 the calls are the events of a Poisson process (◇)."
    )
