"""What the Faces page says, made from the state that it shows."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import pairwise

import numpy as np
from jaxtyping import Float

from mlem.errors import Estimate
from mlem.experiments.faces import FacesResult, MethodFacts, Saving, called
from mlem.experiments.sample import GRID, SampleParams, SampleResult
from mlem.experiments.sample_store import Film
from mlem.images.checkpoint import SHIPPED
from mlem.images.pilot import Effects, Plan
from mlem.images.quality import EVALUATIONS, SAMPLER
from mlem.images.samplers import SAMPLERS
from mlem.words import SURE, digits, estimate, fold, level_name, level_names, measure, times, whole

LICENCE = "Trained on CelebA, which is for **non-commercial research only**; so are these networks and what they draw."
UNMEASURED = "What an error costs is measured for the shipped networks, by `python -m mlem store-faces`; it takes a while."
OWN = (
    f"{LICENCE} Networks of your own stand beside these where the environment variable `MLEM_LADDERS` names their folder, "
    "`MLEM_LADDERS=path/to/ladder streamlit run app.py`, or owner/name on the Hub, if `MLEM_HUB=1` allows that."
)

_RULES = {"paper": "coins by the paper’s rule", "mlem": "even calls of the levels and with the pₖ(t) that the pilot chose"}
_LEAST = 1e-30  # of an effect
_NO_BETTER = 0.97  # of an error: a level with more is no step of the ladder
_SHORT = {"flops": "GFLOP", "seconds": "seconds"}

Calls = Float[np.ndarray, "steps levels"]


def lead(params: SampleParams, costs: Float[np.ndarray, " levels"] | None, planned: Calls | None) -> str:
    """Under the question: what is drawn, and who calls which network."""
    what = "Faces form out of noise, the same noise for all three rows."
    if costs is None:
        return f"{what} :orange[**EM**] calls the largest network at each step, :blue[**ML-EM**] only now and then."
    top, step = level_name(len(costs)), float((costs[-1] / costs[0]) ** (1 / max(1, len(costs) - 1)))
    said = (
        f"{what} {len(costs)} networks can draw them, each about {fold(step)} dearer than the one before. "
        f":orange[**EM**] calls the largest, {top}, at each of {params.em_steps} steps."
    )
    if planned is None:
        return f"{said} :blue[**ML-EM**] takes {params.steps} steps with small ones, and calls {top} only now and then."
    idle = int((planned.sum(1) == 0).sum())
    small = f"calls no network at {idle} of them," if idle else "mostly with small networks,"
    used = called(planned.sum(0))
    which = f" It uses {level_names(used)} of the {len(costs)}." if len(used) < len(costs) else ""
    return f"{said} :blue[**ML-EM**] takes {params.steps} steps, {small} and {top} {_times(planned)}.{which}"


def _times(calls: Calls) -> str:
    n = int(calls[:, -1].sum())
    return {0: "not once", 1: "once", 2: "twice"}.get(n, f"{n} times")


def about(params: SampleParams, method: str, calls: Calls | None, levels: int) -> str:
    """How a method makes its pictures, beside its name; ``levels`` is 0 where no network is known yet."""
    top = level_name(levels) if levels else "the largest network"
    if method == "reference":
        return f"{GRID} steps of {top}"
    if method == "em":
        return f"{params.em_steps} steps of {top}"
    return f"{params.steps} steps" if calls is None else f"{params.steps} steps, {top} {_times(calls)}"


def verdict(method: str, films: Mapping[str, Film], result: SampleResult | None) -> str:
    """What is said of a method's pictures at the end."""
    if method not in films:
        return ""
    drawn = films[method].drawn
    spent = f"{measure(drawn.cost, 'GFLOP')} · {measure(drawn.seconds, 's')} each"
    if method == "reference":
        return spent
    return f"MSE {estimate(getattr(result, method).mse)} · {spent}" if result else f"{spent} · error to come"


def summary(params: SampleParams, films: Mapping[str, Film], result: SampleResult | None) -> str:
    """The stage in a sentence, for those who do not see it."""
    if result:
        return f"{params.pictures} faces form out of noise under the reference, EM and ML-EM. {result.summary()}"
    there = [name for method, name in (("mlem", "ML-EM"), ("em", "EM"), ("reference", "the reference")) if method in films]
    return f"{params.pictures} faces form out of noise; drawn so far: {', '.join(there) or 'none'}."


def lesson(result: SampleResult, *, timed: bool) -> str:
    """What this very sample shows; ``timed``: whether both methods' seconds were measured in one go, so that they compare."""
    em, ml = result.em, result.mlem
    bills = "That is in GFLOP"
    if timed:
        bills += f"; in measured seconds it is {times(result.saving_in_seconds)}"
    errors = f"MSE {digits(ml.mse.value)} against EM’s {digits(em.mse.value)}"
    cheaper = result.saving > 1.005
    if ml.mse.high < em.mse.low:
        how = "and its pictures are closer to the reference" if cheaper else "but its pictures are closer to the reference"
        then = "" if cheaper else " What equal error costs is in the curves below."
    elif ml.mse.low > em.mse.high:
        how = (
            "but its pictures are further from the reference"
            if cheaper
            else "and its pictures are further from the reference too"
        )
        then = " What equal error costs is in the curves below." if cheaper else " Here the method loses."
    else:
        how, then = "and the errors cannot be told apart on these few pictures", "" if cheaper else " Here the method loses."
    return f"{bills}, {how}: {errors}.{then}"


def measured(result: FacesResult, unit: str) -> str:
    """Where each rule saves, and where it loses, against EM's cheapest way to the same error."""
    return "\n\n".join(_saved(_RULES[name], result.methods[name], unit) for name in ("mlem", "paper") if name in result.methods)


def _saved(rule: str, facts: MethodFacts, unit: str) -> str:
    reached = [(saving, ratio) for saving in facts.savings if (ratio := _ratio(saving, unit)) is not None]
    if not reached:
        return f"ML-EM with {rule} reaches no error that EM reaches."
    best, ratio = max(reached, key=lambda pair: pair[1].low)
    low, high = (1 / ratio.high, 1 / ratio.low) if ratio.value < 1 else (ratio.low, ratio.high)  # of what is said
    said = (
        f"ML-EM with {rule} is at best **{times(ratio.value)}** ({digits(low)} to {digits(high)}) in "
        f"{_SHORT[unit]} than EM’s cheapest way, at RMSE {digits(best.target)} (MSE {digits(best.target**2)})."
    )
    losing = [saving.target for saving, r in reached if r.value < 1.0]
    if losing:
        said += f" It **loses** at RMSE {_ranges([saving.target for saving, _ in reached], losing)}."
    beyond = [saving.target for saving in facts.savings if _ratio(saving, unit) is None]
    if beyond:
        everything = [saving.target for saving in facts.savings]
        said += f" It does not reach RMSE {_ranges(everything, beyond)} with what was tried; EM does."
    return said


def _ratio(saving: Saving, unit: str) -> Estimate | None:
    found: Estimate | None = getattr(saving, unit)
    return found


def _ranges(everything: Sequence[float], chosen: Sequence[float]) -> str:
    """Runs of neighbours among ascending numbers, in words: "0.01 to 0.02 and 0.3"."""
    runs = list[list[float]]()
    for before, value in zip([None, *everything], everything, strict=False):
        if value in chosen:
            if runs and before in runs[-1]:
                runs[-1].append(value)
            else:
                runs.append([value])
    words = [digits(run[0]) if len(run) == 1 else f"{digits(run[0])} to {digits(run[-1])}" for run in runs]
    return " and ".join(words)


def samplers(result: FacesResult, unit: str) -> str:
    """How the usual samplers of the ODE compare; nothing for the SDE, which they do not solve."""
    found = []
    for name, facts in result.methods.items():
        if name in ("em", *_RULES):
            continue
        reached = [(saving, ratio) for saving in facts.savings if (ratio := _ratio(saving, unit)) is not None]
        if reached:
            best, ratio = max(reached, key=lambda pair: pair[1].low)
            found.append(f"{facts.title} {times(ratio.value)} (at RMSE {digits(best.target)})")
    if not found:
        return ""
    return (
        f"The usual samplers on the largest network, against EM, at best: {', '.join(found)}. They use that the ODE’s path is "
        f"smooth; ML-EM uses that small networks are nearly right, with EM’s plain step.{_beaten(result, unit)}"
    )


def _beaten(result: FacesResult, unit: str) -> str:
    """Where a usual sampler is the cheaper one than ML-EM at its best."""
    ours, everything = result.methods["mlem"].savings, [saving.target for saving in result.methods["mlem"].savings]
    said = ""
    for name, facts in result.methods.items():
        both = [(_ratio(own, unit), _ratio(other, unit)) for own, other in zip(ours, facts.savings, strict=True)]
        worse = [
            t for t, (own, other) in zip(everything, both, strict=True) if other and (own is None or other.value > own.value)
        ]
        if name not in ("em", *_RULES) and worse:
            said += f" **{facts.title} beats ML-EM** at RMSE {_ranges(everything, worse)}."
    return said


def gamma(result: FacesResult) -> str:
    """The ladder's own exponent, and what it says."""
    flops, seconds = result.gamma["flops"], result.gamma["seconds"]
    kink = "above" if flops.low > 2 else "below" if flops.high < 2 else "not told apart from"
    said = (
        f"Halving the error makes a network **{fold(2**flops.value)}** dearer: γ = {estimate(flops)} in FLOPs, {kink} the "
        f"kink at γ = 2, and {estimate(seconds)} in seconds, where small networks waste more of the machine."
    )
    errors = [(level.level, level.error.value) for level in result.levels if level.error]
    for (coarse, before), (fine, after) in pairwise(errors):
        if after > _NO_BETTER * before:
            said += (
                f" {level_name(fine)} is hardly better in the end than {level_name(coarse)}: this ladder is no clean power "
                "law, and γ sums it up roughly."
            )
    if result.gamma_held_out:
        said += f" The held-out loss, with a floor fitted, says γ = {estimate(result.gamma_held_out)}."
    return said


def losses(result: FacesResult) -> str:
    """The held-out losses in a sentence."""
    found = ", ".join(f"{level_name(level.level)} {digits(level.held_out)}" for level in result.levels)
    return f"Loss on held-out pictures, falling with size: {found}."


def networks(result: FacesResult) -> str:
    """How the table of networks was got."""
    return (
        f"Error: what using a network in the place of {level_name(len(result.levels))} does to the picture in the end, RMSE "
        f"over {result.pictures} pictures; intervals of {SURE}. GFLOP: counted, of one evaluation for one picture; seconds: "
        f"measured on {result.device}, in batches. {LICENCE}"
    )


def runs(result: FacesResult, process: str) -> str:
    """How the measured runs were got."""
    return (
        f"{len(result.runs)} runs on the same {result.pictures} pictures. Reference: {result.reference}. Calls, GFLOP and "
        f"seconds are per picture. `python -m mlem faces --process {process} --json -` gives all of this."
    )


def samples(count: int) -> str:
    """What is on the sheet of sample pictures of ``count`` networks."""
    how = f"All are drawn by the networks alone, with {EVALUATIONS} evaluations of {SAMPLERS[SAMPLER]}; none is a photograph."
    if count < 2:
        return how
    small = level_names(range(1, count))
    return f"Rows from above: {small}, 16 faces each from the same noise; then 64 by {level_name(count)}. {how}"


def card() -> str:
    """The card that came with the networks, without the header that is for the Hub."""
    path = SHIPPED / "README.md"
    text = path.read_text(encoding="utf-8") if path.is_file() else f"No card came with them. {LICENCE}"
    return re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL).replace("\n# ", "\n#### ").replace("\n## ", "\n##### ")


def along_time(effects: Effects, plan: Plan, firing: str, count: int) -> str:
    """Which of ``count`` networks are called, and where along the path."""
    p, kicks, top = plan.probabilities, effects.between(plan.levels)[:, -1], level_name(plan.levels[-1])
    said = (
        f"{_chosen(plan, count)}A kick of {top}’s correction matters "
        f"{fold(float(kicks.max() / max(kicks.min(), _LEAST)))} more at "
        f"t = {digits(float(effects.times[int(kicks.argmax())]))} than where it matters least."
    )
    if firing == "bernoulli":
        return f"{said} The paper’s coins do not know that: their pₖ is the same at all times."
    often, rare = float(p[:, -1].max()), float(p[:, -1].min())
    return (
        f"{said} Calls go where they matter, though less unevenly: {top} is called on one step in {_one_in(often)} at most and "
        f"on one in {_one_in(rare)} at least."
    )


def _chosen(plan: Plan, count: int) -> str:
    """Which levels the pilot chose; nothing where all are used."""
    left_out = [k for k in range(1, count + 1) if k not in plan.levels]
    if not left_out:
        return ""
    calls = f"{level_names(left_out)} {'is' if len(left_out) == 1 else 'are'}"
    return (
        f"Of the {count} networks **{level_names(plan.levels)}** are used and {calls} left out: by what the pilot measured, "
        "this budget buys more with calls of the others. "
    )


def _one_in(p: float) -> str:
    return whole(max(1, round(1 / p))) if 1 / p < 1e6 else "very many"


def hardware(device: str, *, alone: bool) -> str:
    """What a live run is computed on; ``alone``: whether there is nothing else to choose."""
    said = f"Live runs are computed here on: {device}."
    return f"{said} There is no CUDA device on this machine to choose instead." if alone else said
