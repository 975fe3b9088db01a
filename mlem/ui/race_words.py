"""What the Race page says, made from the state that it shows."""

from __future__ import annotations

import math
from dataclasses import replace

from mlem.experiments.fields import FIRINGS
from mlem.experiments.plans import SPECTRAL
from mlem.experiments.race import RaceParams, RaceResult
from mlem.planning import Unreachable
from mlem.words import SURE, digits, estimate, fold, level_name, measure, times, whole

HIDDEN = "The paths of both methods, and which network is called when. What they cost is shown after your prediction."


def lead(params: RaceParams, result: RaceResult) -> str:
    """Under the question: what the two methods do here."""
    em, mlem = result.em, result.mlem
    top = mlem.levels[-1]
    rare = mlem.evaluations[-1]
    return (
        f"Both sample the same equation on the same noise, as exactly as each other: RMSE {digits(result.target)}. "
        f":orange[**EM**] calls the network {level_name(em.levels[0])} at each of {whole(em.steps)} steps. "
        f":blue[**ML-EM**] takes {whole(mlem.steps)} steps with small networks and calls its best one, {level_name(top)}, "
        f"{how_often(rare)} on average."
    )


def how_often(calls: float) -> str:
    """Calls a path, in words."""
    if calls >= 0.95:
        return f"{digits(calls)} times a path"
    return f"on one path in {max(2, round(1 / calls))}" if calls > 0 else "on no path"


def verdict(result: RaceResult) -> dict[str, str]:
    """The line of each method under the stage."""
    return {
        "em": f"RMSE {estimate(result.em.rmse)}",
        "mlem": f"RMSE {estimate(result.mlem.rmse)}",
        "reference": result.reference,
    }


def captions(params: RaceParams) -> dict[str, str]:
    """Headings of the stage's parts."""
    return {"raster": "Which network is called, and when: one path’s calls"}


def lesson(params: RaceParams, result: RaceResult) -> str:
    """What is to be learnt from this very race."""
    ratio, way = result.speedup.value, "cheaper" if result.speedup.value >= 1 else "dearer"
    low, high = sorted(bound if ratio >= 1 else 1 / bound for bound in (result.speedup.low, result.speedup.high))
    outcome = (
        "That is at equal error, counting each network’s evaluations at its price; "
        f"{SURE} interval: {digits(low)} to {fold(high)} {way}."
    )
    if ratio < 1.0:
        why = (
            "Here the method loses: at a coarse target and a small γ even the best network is cheap, and the corrections’ "
            "noise has to be paid for with extra steps. Ask for a smaller ε or raise γ."
        )
    elif params.firing in ("systematic", "held"):
        why = (
            f"“{FIRINGS[params.firing].split(':')[0]}” spreads the calls evenly along the path. These corrections vary "
            "smoothly there, so that a few calls integrate them almost exactly; where they jump about, even firing gains less."
        )
    else:
        why = (
            "The corrections are unbiased whenever they fire, so what they miss on one step they make up on another. "
            "Rare calls cost little, and their noise averages out along the path."
        )
    if params.sde == SPECTRAL:
        why += (
            f" These networks do real work: ML-EM took {measure(1000 * result.mlem.seconds, 'ms')}, EM "
            f"{measure(1000 * result.em.seconds, 'ms')}, measured; that is {times(result.speedup_in_seconds)} in seconds."
        )
    if params.firing == "held":
        why += " Held corrections are biased, unlike the others."
    return f"{outcome} {why}"


def ledger(result: RaceResult) -> str:
    """How counted evaluations compare with the expected ones, and what the run took."""
    worst = max((abs(z) for z in (*result.em.z, *result.mlem.z)), default=0.0)
    em, mlem = (measure(1000 * side.seconds, "ms") for side in (result.em, result.mlem))
    return (
        f"Evaluations are counted, per path, and compared with their expectation by formula: largest |z| = {digits(worst)}. "
        f"Cost in model units, $2^{{\\gamma k}}$ for level k. When measured, the runs took {em} (EM) and {mlem} (ML-EM) for "
        "all paths. Networks whose price is only declared cost nothing to run, so such times show the solver’s own overhead. "
        f"Reference: {result.reference}."
    )


def within_reach(params: RaceParams, error: Unreachable) -> tuple[RaceParams, str]:
    """``params`` with an error that its levels can meet, or with one level more where no error on offer will do; and what
    to say of it. Raises ``error`` where there is neither."""
    specs, epsilon = params.specs(), _rounded_up(max(error.nearest, 1.1 * params.epsilon))
    if epsilon <= specs["epsilon"].high:
        return replace(params, epsilon=epsilon), f"{error}. ε is now {epsilon:g}."
    if params.levels < specs["levels"].high:
        return replace(params, levels=params.levels + 1), f"{error}. Levels are now {params.levels + 1}."
    raise error


def _rounded_up(value: float) -> float:
    """To 2 significant digits."""
    unit = 10.0 ** (math.floor(math.log10(value)) - 1)
    return round(math.ceil(value / unit) * unit, 12)
