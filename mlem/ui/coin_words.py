"""What the Coin page says, made from the state that it shows."""

from __future__ import annotations

from mlem.experiments.coin import RULES, CoinLevel, CoinParams, CoinResult
from mlem.words import digits, fold, level_name, percent, whole

WEIGHTS = (
    "The same sum, sorted by levels: $f^k$ has the weight $w_k = B_k/p_k - B_{k+1}/p_{k+1}$, where $B_k$ is 1 for heads and 0 "
    "for tails. What has no weight is not computed."
)
_EQUAL = 1.005  # ratio of variances from which one is worse


def lead(params: CoinParams, result: CoinResult) -> str:
    """Under the question: what is seen, and what it gave."""
    top = f":violet[**{level_name(params.levels)}**]"
    gave = f"One draw gave {digits(result.glass.estimates[-1])}"
    if params.draws > 1:
        gave = f"{whole(params.draws)} draws average :blue[**{digits(result.mean.measured)}**]"
    return (
        f"A step needs {top}, the dear network. ML-EM throws coins instead: a level’s correction is computed only on heads, "
        f"and then divided by its chance. {gave}; {top} itself says **{digits(result.mean.exact)}**. A draw costs "
        f"{percent(result.cost)} of one {top} on average."
    )


def equation(result: CoinResult) -> str:
    """The last draw as the sum that was evaluated. Levels have the colour of their names in the text, which is the theme's;
    each term is a formula of its own, since lines end between formulas, and none is to end before what it multiplies."""
    glass, terms = result.glass, list[str]()
    for k, w in enumerate(glass.weights[-1], start=1):
        if w:
            size = "" if abs(w) == 1 else rf"{_tex(abs(w))}\,"
            sign = r"-\," if w < 0 else r"+\," if terms else ""
            terms.append(f":violet[${sign}{size}f^{{{k}}}(x)$]")
    total = f"{' '.join(terms)} $\\;= {_tex(glass.estimates[-1])}$" if terms else "$0$"
    return rf"**Draw {whole(len(glass.estimates))}** is $\hat f(x) =\;$ {total}"


def called(params: CoinParams, result: CoinResult) -> str:
    """Whether the last draw called f^K, and how often one does; that the page opens on one that did."""
    top, fired = level_name(params.levels), result.glass.fired[:, -1]
    if result.levels[-1].p == 1:
        return ""
    often = f"of {whole(len(fired))} {'draws' if len(fired) > 1 else 'draw'} {whole(int(fired.sum()))} did"
    if not fired[-1]:
        return f"It did not call {top}; {often}."
    chosen = " The page opens on one of these; “Throw once” goes on." if params == CoinParams() else ""
    return f"It called {top}; {often}.{chosen}"


def _tex(value: float) -> str:
    return digits(float(value)).replace("−", "-").replace(",", "{,}")


def telescope_alt(result: CoinResult) -> str:
    """The text alternative of the step under the glass."""
    heads = [str(k) for k, fired in enumerate(result.glass.fired[-1], start=1) if fired]
    came = f"heads at level {', '.join(heads)}" if heads else "tails at every level"
    return (
        f"The corrections of {len(result.levels)} levels add up to {digits(result.mean.exact)}. Draw "
        f"{whole(len(result.glass.estimates))}: {came}, which gives {digits(result.glass.estimates[-1])}."
    )


def mean_alt(result: CoinResult) -> str:
    """The text alternative of the running mean."""
    draws, due = whole(len(result.glass.running)), f"{digits(result.mean.exact)} plus or minus {digits(result.glass.band[-1])}"
    return f"The mean of the first n draws against n: after {draws} it is {digits(result.mean.measured)}, and {due} was due."


def shares_alt(result: CoinResult) -> str:
    """The text alternative of the shares."""
    each = (
        f"level {c.level} {percent(c.cost_share)} of the cost, {percent(c.variance_share)} of the variance"
        for c in result.levels
    )
    return f"Shares: {'; '.join(each)}."


def lesson(params: CoinParams, result: CoinResult) -> str:
    """What is to be learnt from these very coins."""
    unbiased = "**The mean is right whatever the chances** $p_k$**.**"
    return f"{unbiased} {_noise(params, result)} {_firing(params)}{_next(params, result)}"


def _noise(params: CoinParams, result: CoinResult) -> str:
    """What the p_k decide."""
    if result.typical == 0:
        return "Here every level fires always, so that nothing is left to chance, and nothing is saved."
    ratio, always = result.typical / result.optimal, [c for c in result.levels if c.p == 1]
    if ratio < _EQUAL:
        sure = f"Levels up to {level_name(len(always))} always fire, cheaply and without noise. " if always else ""
        return (
            f"They decide the noise, and these are the best for their price. {sure}Where coins are thrown, "
            r"$p_k \propto \sqrt{v_k/c_k}$ gives each level about as large a part of the variance as of the cost."
        )
    worst = max(result.levels, key=lambda c: c.variance_share - c.cost_share)
    idle = max(result.levels, key=lambda c: (c.cost_share - c.variance_share) * (c.p < 1))
    return (
        f"They decide the noise: this rule has **{fold(ratio)} the variance** of the optimal one at the same price. "
        f"{_share(worst)}: its coin should come up more often. {_share(idle)}: less often would do."
    )


def _share(c: CoinLevel) -> str:
    name = f":violet[**{level_name(c.level)}**]"
    return f"{name} takes {percent(c.cost_share)} of the cost and brings {percent(c.variance_share)} of the variance"


def _firing(params: CoinParams) -> str:
    if params.firing == "systematic":
        return "Evenly spread calls come when they are due, so that the band shrinks like 1/n and not like 1/√n. "
    if params.firing == "nested":
        return (
            "With one coin for all, a correction never needs a level that is not called anyway; but the kicks come together. "
        )
    return ""


def _next(params: CoinParams, result: CoinResult) -> str:
    if result.typical == 0:
        return "**Now change one thing:** lower the budget."
    if params.rule == "optimal":
        return "**Now change one thing:** make the $p_k$ wrong, at the same budget."
    return f"**Now change one thing:** choose “{RULES['optimal'].split(':')[0]}”, at the same budget."


def numbers(result: CoinResult) -> str:
    """How the numbers were got."""
    worst = max(abs(c.z) for c in result.levels)
    spread = "" if result.variance.z is None else f", that of their variance z = {digits(result.variance.z)}"
    return (
        f"Exact moments are sums over all outcomes of the coins. The mean of the draws has z = {digits(result.mean.z or 0.0)}"
        f"{spread}. Evaluations against their expectation by formula: largest |z| = {digits(worst)}. $v_k$ is the mean square "
        f"of a correction along paths. A draw costs {digits(result.cost)} of one {level_name(len(result.levels))}; these cost "
        f"{digits(result.spent)} each."
    )
