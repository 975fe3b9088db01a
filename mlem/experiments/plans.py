"""Plans for the race, by name: computed when first asked for, or read from the store that ships with the package.

``python -m mlem plans`` rebuilds the store. It holds the plans for the values that the Race page's controls stop at, so that a
control moved there shows its race at once; any other value is planned in a second or a few.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from functools import cache, lru_cache
from pathlib import Path

import mlem
from mlem.experiments.fields import GAMMAS
from mlem.experiments.measured import terms
from mlem.hierarchy import Hierarchy
from mlem.planning import EulerPlan, MultilevelPlan, measure, plan_euler, plan_multilevel
from mlem.sde import SDE
from mlem.synthetic import spectral_hierarchy, spectral_twins, synthetic_hierarchy

RULES = {"optimal": "Optimal: measured √(v/c)", "power-law": "Power law: C·2^−(1+γ/2)k"}
LEVELS, RESIDUAL = 8, "nested"
SPECTRAL = "spectral"
EPSILONS = (0.1, 0.05, 0.02, 0.01)
GAMMA = 2.5
STORED_FOR_ALL = (("bernoulli", "optimal"), ("systematic", "optimal"))  # γ; planning Poisson events takes too long
STORED = (*STORED_FOR_ALL, ("nested", "optimal"), ("held", "optimal"), ("bernoulli", "power-law"))

_STORE = Path(__file__).with_name("plans.json")
_HIERARCHY_SEED = 0


@dataclass(frozen=True)
class Question:
    """What is to be planned: the cheapest way to an RMSE of ``epsilon``, on the problem ``sde`` with synthetic levels, or on
    ``SPECTRAL``, an equation whose levels do the work that they are priced at."""

    sde: str
    gamma: float
    epsilon: float
    firing: str = "bernoulli"
    rule: str = "optimal"
    levels: int = LEVELS
    residual: str = RESIDUAL
    options: tuple[tuple[str, float | int], ...] = ()

    def problem(self) -> SDE:
        """The SDE."""
        if self.sde == SPECTRAL:
            return self.quick_hierarchy().sde
        return mlem.problems.get(self.sde, **dict(self.options))

    def hierarchy(self) -> Hierarchy:
        """The levels."""
        return _spectral(self.gamma, self.levels)[0] if self.sde == SPECTRAL else self.quick_hierarchy()

    def quick_hierarchy(self) -> Hierarchy:
        """The levels, or twins of them that do no more work than they must: for plans and references."""
        if self.sde == SPECTRAL:
            return _spectral(self.gamma, self.levels)[1]
        return synthetic_hierarchy(
            self.problem(), gamma=self.gamma, levels=self.levels, residual=self.residual, seed=_HIERARCHY_SEED
        )

    @property
    def key(self) -> str:
        """Its name in the store."""
        return f"{self.sde} {self.firing} {self.rule} gamma={self.gamma:g} epsilon={self.epsilon:g}"

    @property
    def is_offered(self) -> bool:
        """Whether the store should hold it."""
        return (
            not self.options
            and (self.levels, self.residual) == (LEVELS, RESIDUAL)
            and self.gamma in (GAMMAS if (self.firing, self.rule) in STORED_FOR_ALL else [GAMMA])
            and (self.firing, self.rule) in STORED
            and self.epsilon in EPSILONS
        )


@dataclass(frozen=True)
class Plans:
    """The two ways to the target."""

    em: EulerPlan
    mlem: MultilevelPlan


def plans(question: Question) -> Plans:
    """From the store where it has them, else made. Raises Unreachable, as making them does."""
    stored = _stored().get(question.key) if question.is_offered else None
    return stored or make_plans(question)


@lru_cache(maxsize=512)
def make_plans(question: Question) -> Plans:
    """Plans by pilot and trial. Raises Unreachable where the levels cannot meet the target."""
    sde, levels = question.problem(), question.quick_hierarchy()
    if question.sde == SPECTRAL:
        model = measure(sde, levels, question.firing)
    else:
        model = terms(sde, question.levels, question.residual, question.firing)
    em = plan_euler(sde, levels, model, question.epsilon)
    paper = question.gamma if question.rule == "power-law" else None
    multilevel = plan_multilevel(sde, levels, model, question.epsilon, firing=question.firing, beside=em.steps, gamma=paper)
    return Plans(em, multilevel)


@lru_cache(maxsize=4)
def _spectral(gamma: float, levels: int) -> tuple[Hierarchy, Hierarchy]:
    """The levels and their twins."""
    real = spectral_hierarchy(gamma=gamma, levels=levels, seed=_HIERARCHY_SEED)
    return real, spectral_twins(real)


def offered() -> Iterator[Question]:
    """Every question that the store answers."""
    for sde in mlem.problems.names():
        for firing, rule in STORED:
            for gamma in GAMMAS if (firing, rule) in STORED_FOR_ALL else [GAMMA]:
                for epsilon in EPSILONS:
                    yield Question(sde, gamma, epsilon, firing, rule)


def rebuild() -> Iterator[float]:
    """Makes and writes the store, telling the fraction done. Targets that cannot be met are left out."""
    questions, made = list(offered()), dict[str, object]()
    for n, question in enumerate(questions, start=1):
        try:
            made[question.key] = asdict(make_plans(question))
        except ValueError:
            continue
        finally:
            yield n / len(questions)
    lines = ",\n".join(f"{json.dumps(key)}: {json.dumps(plan)}" for key, plan in made.items())
    _STORE.write_text("{\n" + lines + "\n}\n", encoding="utf-8")


@cache
def _stored() -> dict[str, Plans]:
    if not _STORE.exists():
        return {}
    stored = json.loads(_STORE.read_text(encoding="utf-8"))
    return {
        key: Plans(
            EulerPlan(**plan["em"]),
            MultilevelPlan(plan["mlem"]["steps"], tuple(plan["mlem"]["probabilities"])),
        )
        for key, plan in stored.items()
    }
