"""Questions that the app itself can answer: what is asked on a page, and what the page's result says to it."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlem import theory
from mlem.errors import Estimate
from mlem.experiments.coin import CoinParams, CoinResult
from mlem.experiments.convergence import ConvergenceParams, ConvergenceResult, fallen
from mlem.experiments.crossover import CrossoverParams, CrossoverResult
from mlem.experiments.faces import FacesResult
from mlem.experiments.hierarchy import HierarchyParams, HierarchyResult
from mlem.experiments.race import RaceParams, RaceResult
from mlem.experiments.steps import StepsParams, StepsResult
from mlem.lessons.lesson import Question
from mlem.words import digits, estimate, fold, level_name, percent, times


@dataclass(frozen=True)
class Truth:
    """What was found: a number with its 95 % interval, where it has one, or one of the options; and why, in a sentence."""

    value: float | str
    sentence: str
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True)
class Points:
    """Points on logarithmic axes, through the first of which a slope is drawn. ``known`` are shown while it is chosen, by name:
    [x, y]; ``asked`` only afterwards."""

    x: str
    y: str
    known: dict[str, list[tuple[float, float]]]
    asked: tuple[str, list[tuple[float, float]]]


@dataclass(frozen=True)
class Standing:
    """A question on a page; ``truth`` takes the page's params and result, None where these have no answer."""

    page: str
    question: Question
    truth: Callable[[Any, Any], Truth | None]
    points: Callable[[Any], Points] | None = None


def of_page(page: str) -> str:
    """The name of the question that a page asks outside of lessons."""
    return next(name for name, standing in QUESTIONS.items() if standing.page == page)


def _found(value: Estimate, sentence: str) -> Truth:
    return Truth(value.value, sentence, value.low, value.high)


def _race(params: RaceParams, result: RaceResult) -> Truth:
    em, ml = result.em, result.mlem
    if result.speedup.value < 1:
        why = (
            f"Here the method loses, it is {times(result.speedup.value)}: even the best network is cheap at γ = "
            f"{params.gamma:g}, and the kicks of rare calls have to be paid for with more steps."
        )
    else:
        why = (
            f"EM calls {level_name(em.levels[0])} on all of its {digits(em.steps)} steps; ML-EM calls "
            f"{level_name(ml.levels[-1])} {digits(ml.evaluations[-1])} times a path, and small networks do the rest."
        )
    return _found(result.speedup, why)


def _gamma(params: HierarchyParams, result: HierarchyResult) -> Truth | None:
    if result.gamma is None:
        return None
    first, last = result.levels[0], result.levels[-1]
    return _found(
        result.gamma,
        f"The error falls {digits(first.error.value / last.error.value)}-fold while the price grows "
        f"{digits(last.cost / first.cost)}-fold: each halving of the error costs {fold(2**result.gamma.value)} as much.",
    )


def _ladder(result: HierarchyResult) -> Points:
    base = result.levels[0].cost
    points = [(1 / level.error.value, level.cost / base) for level in result.levels]
    return Points("1 / error", "price of one evaluation, × f¹", {"f¹, f²": points[:2]}, ("all levels", points))


def _halving(params: HierarchyParams, result: HierarchyResult) -> Truth | None:
    if result.gamma is None:
        return None
    price = Estimate(*(2**g for g in (result.gamma.value, result.gamma.low, result.gamma.high)))
    return _found(price, f"It is 2^γ, and γ is measured to be {estimate(result.gamma)}.")


_MEANS = ("below it", "the same, within its noise", "above it")


def _mean(params: CoinParams, result: CoinResult) -> Truth:
    z = result.mean.z or 0.0
    found = _MEANS[1] if abs(z) < 3 else _MEANS[2 if z > 0 else 0]
    return Truth(
        found,
        f"{digits(params.draws)} draws average {digits(result.mean.measured)}, and the dear network says "
        f"{digits(result.mean.exact)}: {digits(abs(z))} standard deviations apart. Heads come with chance p, and then "
        "count 1/p: on average each correction counts once.",
    )


def _variance(params: CoinParams, result: CoinResult) -> Truth | None:
    if not result.optimal:
        return None
    worst = max(result.levels, key=lambda c: c.variance_share)
    return Truth(
        result.typical / result.optimal,
        f"At the same price: {level_name(worst.level)} alone brings {percent(worst.variance_share)} of this "
        f"rule’s variance for {percent(worst.cost_share)} of its cost. The best rule shares both alike, by √(v/c).",
    )


def _slope_of(method: str) -> Callable[[ConvergenceParams, ConvergenceResult], Truth | None]:
    name = {"em": "EM", "mlem": "ML-EM"}[method]

    def truth(params: ConvergenceParams, result: ConvergenceResult) -> Truth | None:
        slope, theory = getattr(result, method).slope, result.theory[method]
        if slope is None:
            return None
        why = f"Ten times the accuracy costs {name} {fold(10**slope.value)} as much. Theory says {theory:g}: " + (
            "γ for a better network, and 1 for the finer steps, each of which calls it."
            if method == "em"
            else "the larger of γ and 1 + γ/2, and near γ = 2 a logarithm more."
        )
        return _found(slope, why)

    return truth


def _curve_of(method: str) -> Callable[[ConvergenceResult], Points]:
    def points(result: ConvergenceResult) -> Points:
        lines = {
            name: [(1 / error, cost) for error, cost in reversed(curve.frontier) if np.isfinite(cost)]
            for name, curve in (("EM", result.em), ("ML-EM", result.mlem))
        }
        if method == "em":
            return Points("1 / error", "cost", {"EM’s cheapest rough run": lines["EM"][:1]}, ("EM", lines["EM"]))
        known = {"EM": lines["EM"], "ML-EM’s cheapest rough run": lines["ML-EM"][:1]}
        return Points("1 / error", "cost", known, ("ML-EM", lines["ML-EM"]))

    return points


_PARTING = 0.2  # of two slopes, beyond which curves part for all to see


def _finest(params: ConvergenceParams, result: ConvergenceResult) -> Truth | None:
    if not result.speedup:
        return None
    (fine, ratio), (coarse, before) = result.speedup[0], result.speedup[-1]
    said = f"That is at ε = {digits(fine)}; at ε = {digits(coarse)} ML-EM is {times(before.value)}."
    if params.unit == "evaluations" and ratio.value < 1:
        said += " It makes more calls, and most are of small networks, which count here as much as the dear ones."
    em, ml = result.em.slope, result.mlem.slope
    if em and ml and em.value - ml.value > _PARTING:
        said += " The slopes differ, so the gap has no end: one number without its error says nothing."
    elif em and ml:
        said += f" The slopes, {digits(em.value)} and {digits(ml.value)}, are nearly the same, and so the gap hardly grows."
    return _found(ratio, said)


_LAW = ("the strong error falls more", "both fall alike", "the error of the law falls more")


def _law(params: ConvergenceParams, result: ConvergenceResult) -> Truth | None:
    fall = fallen(result.mlem)
    if fall is None:
        return None
    by_law, by_path = fall.coarse / fall.fine, fall.coarse_strong / fall.fine_strong
    found = _LAW[1] if 0.8 < by_law / by_path < 1.25 else _LAW[2 if by_law > by_path else 0]
    return Truth(
        found,
        f"Along ML-EM’s cheapest runs the error of the law falls {fold(by_law)}, the strong error {fold(by_path)}, "
        f"from {digits(fall.coarse_strong)} to {digits(fall.fine_strong)}. A path that is kicked into the other well "
        "stays there; the law hardly sees it, since as many are kicked the other way. Say which error an axis shows.",
    )


def _half_step(gamma: str) -> Callable[[StepsParams, StepsResult], Truth | None]:
    def truth(params: StepsParams, result: StepsResult) -> Truth | None:
        if gamma not in result.slopes:
            return None
        slope = result.slopes[gamma]
        points = [p for p in result.points if p.gamma == float(gamma)]
        coarsest, finest = (pick(points, key=lambda p: p.steps) for pick in (min, max))
        prices = 2.0 ** (float(gamma) * np.arange(len(finest.calls)))
        grown = Estimate(*(2**s for s in (slope.value, slope.low, slope.high)))
        if grown.high < 1.2:
            why = (
                "ML-EM’s does not: a call is as rare per unit of time as before, since pₖ shrinks with the step. At the "
                f"smallest step a **whole path** costs what {digits(finest.cost.value / prices[-1])} evaluations of "
                f"{level_name(len(prices))} do, the best network that it calls."
            )
        else:
            shares = prices * finest.calls / finest.cost.value
            most = int(shares.argmax())
            why = (
                f"ML-EM’s grows less, but it does: {level_name(most + 1)} makes {percent(shares[most])} of it at the "
                f"smallest step, and is called {digits(finest.calls[most])} times a path there, {digits(coarsest.calls[most])} "
                "times at the largest."
            )
        return _found(grown, f"EM’s bill doubles. {why} The exponent in 1/h is {estimate(slope)}.")

    return truth


_BILL = ("the cheaper half of the networks", "the dearer half of the networks")


def _bill(params: CrossoverParams, result: CrossoverResult) -> Truth | None:
    point = min(result.points, key=lambda p: abs(p.gamma - params.gamma))
    if not point.shares:
        return None
    half = len(point.shares) // 2
    dear = sum(point.shares[half:])
    dearest = int(np.argmax(point.shares))
    return Truth(
        _BILL[int(dear > 0.5)],
        f"At γ = {point.gamma:g} the dearer half of {len(point.shares)} networks takes {percent(dear)} of ML-EM’s "
        f"bill, the largest part goes to {level_name(dearest + 1)}. Above γ = 2 prices grow faster than calls get rare; "
        "below, the other way round. That is the kink; it is not where ML-EM begins to pay.",
    )


def _ladder_gamma(params: Any, result: FacesResult) -> Truth:
    flops, seconds = result.gamma["flops"], result.gamma["seconds"]
    return _found(
        flops,
        f"Halving the error makes a network {fold(2**flops.value)} dearer in FLOPs. In seconds γ = "
        f"{estimate(seconds)}: small networks waste more of the machine. Which of the two you quote decides what you "
        "promise.",
    )


def _networks(result: FacesResult) -> Points:
    known = [(1 / level.error.value, float(level.flops)) for level in result.levels if level.error]
    base = known[0][1]
    points = [(x, y / base) for x, y in known]
    return Points("1 / error", "FLOPs, × f¹", {"f¹, f²": points[:2]}, ("all levels", points))


def _best_saving(params: Any, result: FacesResult) -> Truth | None:
    best = result.methods["mlem"].best
    if best is None or best.flops is None:
        return None
    reached = [saving for saving in result.methods["mlem"].savings if saving.flops]
    losing = [saving.target for saving in reached if saving.flops and saving.flops.value < 1]
    loses = f" It loses at RMSE {_list(losing)}." if losing else " It loses at no error that was tried."
    in_seconds = f", and {times(best.seconds.value)} in measured seconds" if best.seconds else ""
    return _found(
        best.flops,
        f"That is the best, at RMSE {digits(best.target)}{in_seconds}; it is so large only there.{loses} A best case "
        "without its error is an advertisement.",
    )


_SAMPLERS = ("ML-EM everywhere", "a usual sampler somewhere", "plain EM somewhere, and no usual sampler")


def _sampler(params: Any, result: FacesResult) -> Truth | None:
    usual = [facts for name, facts in result.methods.items() if name not in ("em", "mlem", "paper")]
    if not usual:
        return None
    ours = result.methods["mlem"].savings
    beaten = {
        facts.title: [
            own.target
            for own, other in zip(ours, facts.savings, strict=True)
            if other.flops and (own.flops is None or other.flops.value > own.flops.value)
        ]
        for facts in usual
    }
    told = [f"{title} is cheaper than ML-EM at RMSE {_list(where)}" for title, where in beaten.items() if where]
    if told:
        return Truth(
            _SAMPLERS[1],
            f"{'; '.join(told)}. These use that the ODE’s path is smooth; ML-EM here takes EM’s plain step, and saves on the "
            "networks. On the SDE, which they do not solve, it has no such rival.",
        )
    loses = any(saving.flops and saving.flops.value < 1 for saving in ours)
    return Truth(_SAMPLERS[2 if loses else 0], "No usual sampler was cheaper than ML-EM at any error that both reach.")


def _list(values: Sequence[float]) -> str:
    return digits(values[0]) if len(values) == 1 else f"between {digits(min(values))} and {digits(max(values))}"


def _breakeven(params: CrossoverParams, result: CrossoverResult) -> Truth | None:
    even = result.breakeven
    if even is None:
        return None
    at_kink = min(result.points, key=lambda p: abs(p.gamma - theory.KINK))
    gain = result.map[result.points.index(at_kink)][_nearest(result.epsilons, result.epsilon)]
    later = f" At the kink, γ = {at_kink.gamma:g}, ML-EM is {times(gain)} already." if gain and gain > 1 else ""
    return _found(
        even,
        f"That is at ε = {digits(result.epsilon)}. Below it even the best network is cheap, and the kicks of rare calls cost "
        f"more than they save.{later} Break-even is a matter of constants, and moves with the error.",
    )


def _nearest(values: Sequence[float], wanted: float) -> int:
    """The place of the value that is nearest to ``wanted`` in its logarithm."""
    return int(np.argmin(np.abs(np.log(values) - np.log(wanted))))


_TIMES = "×"
_DEARER = "(Below 1 it is dearer.)"

QUESTIONS: dict[str, Standing] = {
    "race-speedup": Standing(
        "race",
        Question(f"At the same error: how many times cheaper is ML-EM? {_DEARER}", low=0.1, high=1000.0, log=True, unit=_TIMES),
        _race,
    ),
    "hierarchy-gamma": Standing(
        "hierarchy",
        Question("With which slope does the price of a network grow in 1/error? Draw the line.", "slope", 0.0, 6.0),
        _gamma,
        _ladder,
    ),
    "hierarchy-halving": Standing(
        "hierarchy",
        Question("Half the error: how many times dearer is one evaluation?", low=1.0, high=100.0, log=True, unit=_TIMES),
        _halving,
    ),
    "coin-mean": Standing(
        "coin",
        Question(
            "Most draws leave the dear networks out. Where is their average, next to what the dearest one says?",
            "choice",
            options=_MEANS,
        ),
        _mean,
    ),
    "coin-variance": Standing(
        "coin",
        Question(
            "How many times the variance of the best rule has this one, at the same price?",
            low=1.0,
            high=1000.0,
            log=True,
            unit=_TIMES,
        ),
        _variance,
    ),
    "convergence-slope": Standing(
        "convergence",
        Question("With which slope does ML-EM’s cost grow in 1/error? Draw the line.", "slope", 0.0, 6.0),
        _slope_of("mlem"),
        _curve_of("mlem"),
    ),
    "convergence-em": Standing(
        "convergence",
        Question("With which slope does EM’s cost grow in 1/error? Draw the line.", "slope", 0.0, 6.0),
        _slope_of("em"),
        _curve_of("em"),
    ),
    "convergence-gain": Standing(
        "convergence",
        Question(
            f"How many times cheaper is ML-EM at the smallest error that both reach? {_DEARER}",
            low=0.1,
            high=10_000.0,
            log=True,
            unit=_TIMES,
        ),
        _finest,
    ),
    "convergence-law": Standing(
        "convergence",
        Question("Along ML-EM’s curve, which error falls more?", "choice", options=_LAW),
        _law,
    ),
    "steps-deep": Standing(
        "steps",
        Question("γ = 4, same error, half the step: ML-EM’s bill is multiplied by …", low=0.0, high=3.0, unit=_TIMES),
        _half_step("4"),
    ),
    "steps-easy": Standing(
        "steps",
        Question("γ = 1, same error, half the step: ML-EM’s bill is multiplied by …", low=0.0, high=3.0, unit=_TIMES),
        _half_step("1"),
    ),
    "crossover-bill": Standing(
        "crossover",
        Question("At this γ, who takes the larger part of ML-EM’s bill?", "choice", options=_BILL),
        _bill,
    ),
    "crossover-breakeven": Standing(
        "crossover",
        Question("From which γ on is ML-EM the cheaper one, at the error that the page is set to?", low=0.5, high=5.0),
        _breakeven,
    ),
    "faces-saving": Standing(
        "faces",
        Question(
            f"Real networks, equal error: how many times cheaper is ML-EM at best, in FLOPs? {_DEARER}",
            low=0.1,
            high=100.0,
            log=True,
            unit=_TIMES,
        ),
        _best_saving,
    ),
    "faces-gamma": Standing(
        "faces",
        Question("With which slope do the networks’ FLOPs grow in 1/error? Draw the line.", "slope", 0.0, 10.0),
        _ladder_gamma,
        _networks,
    ),
    "faces-sampler": Standing(
        "faces",
        Question("The ODE, all methods on the same networks: who is the cheapest?", "choice", options=_SAMPLERS),
        _sampler,
    ),
}
