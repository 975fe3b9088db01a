"""What the Hierarchy page says, made from the state that it shows."""

from __future__ import annotations

import math

import mlem
from mlem.experiments.diagnostics import DiagnosticsResult
from mlem.experiments.hierarchy import HierarchyParams, HierarchyResult
from mlem.experiments.result import Row
from mlem.words import SURE, digits, estimate, fold, level_name, whole

_CLOSE = 0.15  # difference of exponents that is not worth a word


def lead(params: HierarchyParams, result: HierarchyResult) -> str:
    """Under the question: what is seen, and what to do."""
    first, last = result.levels[0], result.levels[-1]
    start = f"The drift of “{result.sde}” is never known exactly. "
    if last is first:
        return f"{start}One level alone, :violet[**f¹**], stands for it here, with the path error {digits(first.error.value)}."
    best, fall = f":violet[**{level_name(last.level)}**]", digits(first.error.value / last.error.value)
    dearer = fold(last.cost / first.cost)
    return (
        f"{start}Levels come near it: :violet[**f¹**] is rough and cheap, {best} close and dear. From one to the other the "
        f"error falls {fall}-fold, and an evaluation gets {dearer} dearer. **Drag γ** and watch the slope."
    )


def curves_alt(result: HierarchyResult) -> str:
    """The text alternative of the levels over x."""
    missed = [float(abs(residual).max()) for residual in result.curves.residuals]
    return (
        f"{result.sde}: the drift f and its levels over x at t = {digits(result.curves.t)}. Level 1 is off by up to "
        f"{digits(missed[0])}, level {len(missed)} by up to {digits(missed[-1])}."
    )


def lesson(params: HierarchyParams, result: HierarchyResult) -> str:
    """What is to be learnt from these very levels."""
    if result.gamma is None:
        return "One point has no slope. **Now change one thing:** ask for more levels."
    g = result.gamma.value
    return (
        f"**γ is the slope: {estimate(result.gamma)}.** Halving the error costs {fold(2**g)} as much, since "
        f":violet[$c_k \\propto e_k^{{-\\gamma}}$]. {_regime(g)} {_drift(result, g)} {_next(params)}"
    )


def _regime(gamma: float) -> str:
    if abs(gamma - 2) < 0.05:
        return "γ = 2 is the kink, *Monte Carlo*: from here on ML-EM pays no more than one evaluation of the drift would."
    if gamma > 2:
        return "γ above 2 is *harder than Monte Carlo*: the dearest levels make the bill, and ML-EM saves the most."
    return "γ below 2 is *easier than Monte Carlo*: accuracy is cheap, and ML-EM has less to save."


def _drift(result: HierarchyResult, gamma: float) -> str:
    """How the error of the drift compares with that of the paths."""
    first, last = result.levels[0], result.levels[-1]
    fall = first.drift_error.value / last.drift_error.value
    by_drift = math.log(last.cost / first.cost) / math.log(fall)
    if abs(by_drift / gamma - 1) < _CLOSE:
        return (
            f"The error of the drift ({digits(first.drift_error.value)} for f¹) is another number than that of the paths "
            f"({digits(first.error.value)}), but it falls with the same slope."
        )
    return (
        f"**A trap:** the error of the drift itself falls only {digits(fall)}-fold, which would read γ ≈ {digits(by_drift)}. "
        "What a level misses may cancel along a path: what counts is the error of the paths."
    )


def _next(params: HierarchyParams) -> str:
    if params.gamma >= 2:
        return "**Now change one thing:** drag γ to 1. Which points move, which way?"
    return "**Now change one thing:** drag γ to 4. What does the last halving of the error cost?"


def numbers(params: HierarchyParams, result: HierarchyResult) -> str:
    """How the numbers were got."""
    paths = f"Errors over {whole(params.paths)} paths of {whole(result.steps)} steps, $f$ and $f^k$ on the same noise; {SURE} "
    paths += (
        "intervals from resampled paths. The path error is the RMSE at T, the drift error that of $f^k - f$ along the paths."
    )
    if params.kind == "spectral":
        return f"{paths} Cost counts modes of the sum, which are really evaluated."
    shown = mlem.problems.get(params.sde).shape
    along = " The curves follow one coordinate, the others at their mean." if math.prod(shown) > 1 else ""
    return f"{paths} Cost in model units, $2^{{\\gamma k}}$ for level k: γ prices the levels and changes no path.{along}"


def diagnosis(result: DiagnosticsResult) -> str:
    """Whether anything is off, and which levels make ML-EM's bill."""
    count = len(result.cautions)
    verdict = f"**{'One thing is' if count == 1 else f'{count} things are'} off.**" if count else "**Nothing is off.**"
    if result.beta is None or result.gamma is None:
        return f"{verdict} Exponents take three levels or more."
    beta, gamma = result.beta.value, result.gamma.value
    fits = (
        "From level to level the mean square of the correction $f^k - f^{k-1}$ falls by $2^\\beta$, β = "
        f"{estimate(result.beta)}, and the cost grows by $2^\\gamma$, γ = {estimate(result.gamma)}."
    )
    if abs(beta - gamma) < _CLOSE:
        return f"{verdict} {fits} The two are nearly alike: every level has a like share in ML-EM’s bill."
    if beta > gamma:
        return f"{verdict} {fits} β is the larger one: the cheap levels make ML-EM’s bill."
    return f"{verdict} {fits} γ is the larger one: the dear levels make ML-EM’s bill."


def diagnostics_alt(result: DiagnosticsResult) -> str:
    """The text alternative of the diagnostics by level."""
    first, last = result.levels[0], result.levels[-1]
    return (
        f"By level, on a logarithmic axis: from f¹ to {level_name(last.level)} the mean square of the correction goes from "
        f"{digits(first.variance.value)} to {digits(last.variance.value)}, and the cost grows "
        f"{digits(last.cost / first.cost)}-fold."
    )


def diagnostics_rows(result: DiagnosticsResult) -> list[Row]:
    """The table of the diagnostics, in words."""
    return [
        {
            "level": level_name(d.level),
            "mean": estimate(d.mean),
            "mean square v": estimate(d.variance),
            "kurtosis": "all alike" if math.isnan(d.kurtosis) else digits(d.kurtosis),
            "cost c": digits(d.cost),
            "v × c": digits(d.product),
            "consistency": f"{digits(d.consistency)}, {'fine' if d.consistency <= 1 else 'too large'}",
        }
        for d in result.levels
    ]


def diagnostics_numbers(result: DiagnosticsResult) -> str:
    """How the diagnostics were got, and what is right."""
    return (
        "After Giles: what the correction $f^k - f^{k-1}$ of each level is along paths, of f¹ itself; from three independent "
        f"sets of {whole(result.paths)} paths, with {SURE} intervals. **Mean**: what is left of it on average over paths. "
        "**Kurtosis**: 3 for a normal law; above 100 a few rare values decide. **Consistency**: whether $f^k$ and $f^{k-1}$, "
        "each measured alone, differ by what their correction says; less than 1 is right."
    )
