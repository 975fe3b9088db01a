"""Firings: is it better to spread calls evenly than to throw coins? The price of coins at equal error, on every toy SDE."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import partial

import mlem
from mlem.errors import Estimate
from mlem.experiments import fields, race
from mlem.experiments.experiment import Experiment
from mlem.experiments.params import Params, integer
from mlem.experiments.race import RaceParams, Runner
from mlem.experiments.result import Result, Row
from mlem.march import Report
from mlem.planning import Unreachable
from mlem.probabilities import error_order


@dataclass(frozen=True)
class FiringsParams(Params):
    """At which price and error both firings are compared."""

    gamma: float = fields.gamma()
    epsilon: float = fields.epsilon(0.02, "The RMSE that both firings are planned for.")
    paths: int = integer(
        256, low=64, high=4096, offered=(256, 1024), label="Paths", help="Number of paths over which the error is measured."
    )
    seed: int = fields.seed("Of the initial states, the noise and the coins.")


@dataclass(frozen=True)
class OnProblem:
    """One SDE: what each firing did, and ``ratio``, the cost of coins over that of even calls, at equal error. ``top_calls``
    are the calls of the dearest level that even firing made."""

    sde: str
    bernoulli: Runner
    systematic: Runner
    ratio: Estimate
    top_calls: float


@dataclass(frozen=True)
class FiringsResult(Result):
    """Every SDE whose target can be met."""

    problems: tuple[OnProblem, ...]

    def rows(self) -> list[Row]:
        """One line per SDE."""
        return [
            {
                "sde": p.sde,
                "RMSE coins": p.bernoulli.rmse.value,
                "RMSE even": p.systematic.rmse.value,
                "cost coins": p.bernoulli.cost,
                "cost even": p.systematic.cost,
                "coins / even": p.ratio.value,
                "low": p.ratio.low,
                "high": p.ratio.high,
                "top calls": p.top_calls,
            }
            for p in self.problems
        ]

    def summary(self) -> str:
        """The range of gains, and the reason for it."""
        least, most = (pick(self.problems, key=lambda p: p.ratio.value) for pick in (min, max))
        return (
            f"Coins cost {least.ratio.value:.3g} × ({least.sde}) to {most.ratio.value:.3g} × ({most.sde}) what even calls cost "
            "at equal error. The gain is large where corrections vary slowly along the path beside the spacing of their calls, "
            "and small where few calls are left: half a call cannot be spread."
        )


def run(params: FiringsParams, report: Report | None = None) -> FiringsResult:
    """A race with each firing on each SDE."""
    names, found = mlem.problems.names(), list[OnProblem]()
    for n, sde in enumerate(names, start=1):
        raced = partial(RaceParams, sde=sde, gamma=params.gamma, epsilon=params.epsilon, paths=params.paths, seed=params.seed)
        try:
            coins, even = (race.run(raced(firing=firing)).mlem for firing in ("bernoulli", "systematic"))
        except Unreachable:
            continue
        found.append(OnProblem(sde, coins, even, _ratio(coins, even), even.evaluations[-1]))
        if report:
            report(n / len(names))
    return FiringsResult(tuple(found))


def _ratio(coins: Runner, even: Runner) -> Estimate:
    """The ratio of costs, corrected to equal error by each firing's local exponent 2/r, with the errors' intervals."""
    log, spread = math.log(coins.cost / even.cost), 0.0
    for runner, firing, sign in ((coins, "bernoulli", 1.0), (even, "systematic", -1.0)):
        power = 2.0 / error_order(firing)
        log += sign * power * math.log(runner.rmse.value / math.sqrt(coins.rmse.value * even.rmse.value))
        spread += (power * math.log(runner.rmse.high / runner.rmse.low) / 2) ** 2
    spread = math.sqrt(spread)
    return Estimate(math.exp(log), math.exp(log - spread), math.exp(log + spread))


EXPERIMENT = Experiment("firings", "Coins or even calls? Their costs at equal error on every SDE.", FiringsParams, run)
