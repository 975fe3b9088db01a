"""Words and symbols: one plain definition each, and the formula with the numbers of the page that shows it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import Any

from mlem.experiments.coin import CoinResult
from mlem.experiments.params import Params
from mlem.experiments.race import RaceResult
from mlem.words import digits


@dataclass(frozen=True)
class Today:
    """What a page shows now, as far as it has it. ``p``: p_1, p_2, …; ``rule``: the name of their rule; ``w``: the weights of
    the last draw; ``steps`` and ``rmse``: ML-EM's."""

    gamma: float | None = None
    levels: int | None = None
    epsilon: float | None = None
    horizon: float | None = None
    steps: int | None = None
    rmse: float | None = None
    rule: str | None = None
    p: tuple[float, ...] = ()
    w: tuple[float, ...] = ()


@dataclass(frozen=True)
class Term:
    """``name`` as the pages have it, ``meaning`` in a sentence or two, ``formula`` in KaTeX, with the page's numbers if it has
    them."""

    name: str
    meaning: str
    formula: Callable[[Today], str] = lambda now: ""


def today(params: Params, result: object = None) -> Today:
    """The numbers of a page, from its parameters and, where there is one, its result."""
    known = {f.name for f in fields(Today)}
    found: dict[str, Any] = {name: getattr(params, name) for name in params.specs() if name in known}
    if not isinstance(result, RaceResult | CoinResult):
        return Today(**{name: found[name] for name in ("gamma", "levels", "epsilon") if name in found})
    if isinstance(result, RaceResult):
        run = result.mlem
        found |= {"steps": run.steps, "rmse": run.rmse.value, "p": run.probabilities, "horizon": result.playback.horizon}
    else:
        found |= {"p": tuple(level.p for level in result.levels), "w": tuple(map(float, result.glass.weights[-1]))}
    return Today(**found)


def on_page(page: str, now: Today) -> str:
    """The words of a page, in Markdown."""
    return "\n\n".join(_written(TERMS[name], now) for name in PAGES[page])


def _written(term: Term, now: Today) -> str:
    formula = term.formula(now).replace(r"\quad ", r"\quad \allowbreak ").replace(r",\; ", r",\; \allowbreak ")  # on a phone
    return f"**{term.name}**: {term.meaning}" + (f"  \n${formula}$" if formula else "")


def _number(value: float) -> str:
    return digits(value).replace("−", "-").replace(",", "{,}")


def _price(now: Today) -> str:
    if now.gamma is None:
        return r"c_k = 2^{\gamma k}"
    g = _number(now.gamma)
    return rf"c_k = 2^{{\gamma k}} = 2^{{{g}\,k}}, \qquad c_{{k+1}}/c_k = {_number(2**now.gamma)}"


def _probability(now: Today) -> str:
    values = r",\; ".join(_number(p) for p in now.p)
    if now.rule not in (None, "optimal", "power-law"):
        return rf"p_k = {values}"  # a wrong rule, to be learnt from
    rule = r"p_k = \min(1,\, C \cdot 2^{-(1+\gamma/2)k})"
    if now.rule == "optimal":
        rule = r"p_k = \min(1,\, C \sqrt{v_k/c_k})"
    elif now.gamma is not None and now.p and now.p[-1] < 1:
        constant = now.p[-1] * 2 ** ((1 + now.gamma / 2) * len(now.p))
        rule += rf" = \min(1,\, {_number(constant)} \cdot 2^{{-{_number(1 + now.gamma / 2)}\,k}})"
    return rule + (rf", \quad \text{{here }} {values}" if now.p else "")


def _weight(now: Today) -> str:
    values = r",\; ".join(_number(w) for w in now.w)
    return r"w_k = \frac{B_k}{p_k} - \frac{B_{k+1}}{p_{k+1}}" + (rf", \quad \text{{last draw }} {values}" if now.w else "")


def _step(now: Today) -> str:
    if now.horizon is None or now.steps is None:
        return r"h = T/N"
    return rf"h = T/N = {_number(now.horizon)}/{_number(now.steps)} = {_number(now.horizon / now.steps)}"


def _epsilon(now: Today) -> str:
    return "" if now.epsilon is None else rf"\varepsilon = {_number(now.epsilon)}"


def _gamma(now: Today) -> str:
    if now.gamma is None:
        return r"\text{error} \div 2 \;\Rightarrow\; \text{price} \times 2^{\gamma}"
    g = _number(now.gamma)
    return rf"\text{{error}} \div 2 \;\Rightarrow\; \text{{price}} \times 2^{{{g}}} = {_number(2**now.gamma)}"


def _exponents(now: Today) -> str:
    em, mlem = r"\varepsilon^{-(\gamma+1)}", r"\varepsilon^{-\max(\gamma,\,1+\gamma/2)}"
    if now.gamma is None:
        return rf"\text{{EM }} {em}, \quad \text{{ML-EM }} {mlem}"
    g = now.gamma
    best = _number(max(g, 1 + g / 2))
    return rf"\text{{EM }} {em} = \varepsilon^{{-{_number(g + 1)}}}, \quad \text{{ML-EM }} {mlem} = \varepsilon^{{-{best}}}"


def _ladder(now: Today) -> str:
    return r"f^1, f^2, \ldots, f^K" + ("" if now.levels is None else rf", \quad K = {now.levels}")


def _telescope(now: Today) -> str:
    top = "K" if now.levels is None else str(now.levels)
    return rf"f^{{{top}}} = f^1 + (f^2 - f^1) + \cdots + (f^{{{top}}} - f^{{{top}-1}})".replace(
        f"{top}-1", "K-1" if now.levels is None else str(now.levels - 1)
    )


def _rmse(now: Today) -> str:
    formula = r"\text{RMSE} = \sqrt{E\,\lVert X_T - Y_T \rVert^2}"
    return formula + ("" if now.rmse is None else rf" = {_number(now.rmse)} \text{{ for ML-EM}}")


def _fixed(formula: str) -> Callable[[Today], str]:
    return lambda now: formula


TERMS: Mapping[str, Term] = {
    "drift": Term(
        "Drift f",
        "Where the equation pulls the state at each time. In a diffusion model, a network computes it.",
        _fixed(r"dX = f(X,t)\,dt + s(t)\,dW"),
    ),
    "step": Term("Step h", "The stretch of time that a solver crosses with one look at the drift.", _step),
    "level": Term(
        "Level fᵏ", "One of the approximations of the drift, such as one network. A higher level is nearer and dearer.", _price
    ),
    "hierarchy": Term("Hierarchy", "All levels, from the roughest and cheapest to the finest. Also called a ladder.", _ladder),
    "gamma": Term("γ", "The cost exponent: how fast the price of an evaluation grows as its error shrinks.", _gamma),
    "epsilon": Term("ε", "The error that is asked for. Smaller is more exact, and dearer.", _epsilon),
    "evaluation": Term(
        "Evaluation",
        "One computation of a level at one state and time: one pass through a network. Bills count them at their prices.",
    ),
    "flops": Term(
        "FLOPs",
        "Additions and multiplications of numbers, counted one by one. 1 GFLOP is a billion of them. Seconds are another "
        "matter: small networks do not use a machine as well as large ones.",
    ),
    "telescope": Term(
        "Telescope", "The finest level, written as the coarsest plus all corrections. ML-EM computes few of them.", _telescope
    ),
    "firing": Term(
        "Firing",
        "Level k fires at a step when its correction is computed there. By a coin each step (Bernoulli), evenly spread "
        "(systematic), one coin for all levels (nested), or reusing the last correction (held, which is biased).",
        _fixed(r"B_k = 1 \text{ with chance } p_k, \text{ else } 0"),
    ),
    "p": Term("pₖ", "The chance that level k fires at a step.", _probability),
    "w": Term(
        "wₖ", "What level k counts for at a step, once the coins are thrown. Where it is 0, nothing is computed.", _weight
    ),
    "water-filling": Term(
        "Water-filling",
        "How chances are chosen that would exceed 1: these levels fire always, and the rest is shared out anew.",
        _fixed(r"\min \textstyle\sum_k p_k c_k \;\text{ subject to }\; \sum_k v_k/p_k \le \sigma^2,\; p_k \le 1"),
    ),
    "bias": Term("Bias", "What is wrong on average, and stays wrong however often one repeats.", _fixed(r"E[\hat f] - f")),
    "variance": Term(
        "Variance",
        "How much single results scatter around their mean. It falls with more draws; a bias does not.",
        _fixed(r"v_k = E\,\lVert f^k - f^{k-1} \rVert^2, \qquad \text{noise} = \textstyle\sum_k v_k (1/p_k - 1)"),
    ),
    "rmse": Term("RMSE", "The root of the mean square error at the end of the paths.", _rmse),
    "strong": Term(
        "Strong error",
        "Each path is compared with the right path for the same noise.",
        _fixed(r"\sqrt{E\,\lVert X_T - Y_T \rVert^2}"),
    ),
    "distribution": Term(
        "Distribution error",
        "The clouds of end points are compared, no matter which path ended where (sliced Wasserstein distance W₂).",
        _fixed(r"W_2(\text{law of } X_T,\, \text{law of } Y_T)"),
    ),
    "work-precision": Term(
        "Work–precision diagram",
        "Cost against error, both on logarithmic axes. A straight line means that each digit costs the same factor; its slope "
        "is the exponent.",
        _exponents,
    ),
    "envelope": Term(
        "Lower envelope", "The cheapest run that reaches each error, for a method at its best. Only such are compared."
    ),
    "break-even": Term("Break-even", "The error at which both methods cost the same. Constants decide where it is."),
    "kink": Term(
        "Kink",
        "At γ = 2 ML-EM’s exponent reaches γ, that of a single evaluation. It is not the break-even.",
        _fixed(r"\max(\gamma,\, 1+\gamma/2)"),
    ),
    "poisson": Term(
        "Poisson limit",
        "What ML-EM becomes as h → 0: level k fires at random times, at a rate of its own, and kicks the path.",
        _fixed(r"\lambda_k = p_k/h, \qquad \text{kick} = (f^k - f^{k-1})/\lambda_k"),
    ),
    "flow": Term(
        "Probability-flow ODE",
        "An equation without noise whose states have the same law as those of the diffusion at each time.",
        _fixed(r"dX = \bigl[f - \tfrac12 s^2 \nabla \log \rho_t\bigr]\,dt"),
    ),
}

PAGES: Mapping[str, tuple[str, ...]] = {
    "race": ("drift", "step", "level", "gamma", "epsilon", "firing", "p", "evaluation", "rmse", "strong"),
    "hierarchy": ("drift", "level", "hierarchy", "gamma", "evaluation", "rmse", "strong"),
    "coin": ("level", "telescope", "firing", "p", "w", "water-filling", "bias", "variance", "gamma"),
    "convergence": (
        "work-precision", "envelope", "gamma", "epsilon", "strong", "distribution", "break-even", "evaluation", "flops",
        "firing",
    ),
    "steps": ("step", "poisson", "firing", "gamma", "epsilon", "evaluation"),
    "crossover": ("work-precision", "gamma", "epsilon", "kink", "break-even", "level", "firing"),
    "faces": ("drift", "level", "hierarchy", "gamma", "firing", "flow", "rmse", "strong", "flops", "evaluation"),
}  # fmt: skip
"""The terms that each page uses, in the order in which it needs them."""
