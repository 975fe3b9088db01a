"""What the Hierarchy page says, made from the state that it shows."""

from __future__ import annotations

import math

import mlem
from mlem.experiments.hierarchy import HierarchyParams, HierarchyResult
from mlem.ui.words import digits, estimate, level_name, whole

_CLOSE = 0.15  # difference of exponents that is not worth a word


def lead(params: HierarchyParams, result: HierarchyResult) -> str:
    """Under the question: what is seen, and what to do."""
    first, last = result.levels[0], result.levels[-1]
    start = f"The drift of “{result.sde}” is never known exactly. "
    if last is first:
        return f"{start}One level alone, :violet[**f¹**], stands for it here, with the path error {digits(first.error.value)}."
    best, fall = f":violet[**{level_name(last.level)}**]", digits(first.error.value / last.error.value)
    dearer = digits(last.cost / first.cost)
    return (
        f"{start}Levels come near it: :violet[**f¹**] is rough and cheap, {best} close and dear. From one to the other the "
        f"error falls {fall}-fold, and an evaluation gets {dearer} × dearer. **Drag γ** and watch the slope."
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
        f"**γ is the slope: {estimate(result.gamma)}.** Halving the error costs {digits(2**g)} × as much, since "
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
    paths = (
        f"Errors over {whole(params.paths)} paths of {whole(result.steps)} steps, f and f^k on the same noise; 95 % intervals "
    )
    paths += "from resampled paths. The path error is the RMSE at T, the drift error that of f^k − f along the paths."
    if params.kind == "spectral":
        return f"{paths} Cost counts modes of the sum, which are really evaluated."
    shown = mlem.problems.get(params.sde).shape
    along = " The curves follow one coordinate, the others at their mean." if math.prod(shown) > 1 else ""
    return f"{paths} Cost in model units, 2^(γk) for level k: γ prices the levels and changes no path.{along}"
