"""The presets of every page, by the page's name: each a state that is worth a look, with its title."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from mlem.experiments.coin import CoinParams
from mlem.experiments.convergence import SEPARATING, ConvergenceParams
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.experiment import Experiment, get
from mlem.experiments.fields import GAMMAS
from mlem.experiments.hierarchy import HierarchyParams
from mlem.experiments.params import Params
from mlem.experiments.race import RaceParams
from mlem.experiments.steps import StepsParams
from mlem.ui.faces_view import FacesView

PRESETS: Mapping[str, Mapping[str, Params]] = {
    "race": {
        "Paper-like γ = 2.5": RaceParams(),
        "Easy γ = 1": RaceParams(gamma=1.0),
        "Deep γ = 4": RaceParams(gamma=4.0),
        "Even firing": RaceParams(firing="systematic"),
        "A diffusion": RaceParams(sde="mixture-diffusion"),
        "ML-EM loses": RaceParams(sde="double-well", gamma=0.5, epsilon=0.1),
    },
    "hierarchy": {
        "Paper-like γ = 2.5": HierarchyParams(),
        "Easy γ = 1": HierarchyParams(gamma=1.0),
        "At the kink γ = 2": HierarchyParams(gamma=2.0),
        "Deep γ = 4": HierarchyParams(gamma=4.0),
        "Work really done": HierarchyParams(kind="spectral", gamma=1.0),
        "A diffusion": HierarchyParams(sde="mixture-diffusion"),
        "The trap": HierarchyParams(sde="lorenz"),
    },
    "coin": {
        "Fair shares": CoinParams(),
        "One draw": CoinParams(draws=1),
        "The paper’s rule": CoinParams(rule="power-law"),
        "Wrong $p_k$: too flat": CoinParams(rule="too-flat"),
        "Wrong $p_k$: too steep": CoinParams(rule="too-steep"),
        "Even firing": CoinParams(firing="systematic"),
        "Easy γ = 1": CoinParams(gamma=1.0),
    },
    "convergence": {
        "Paper-like γ = 2.5": ConvergenceParams(),
        "Easy γ = 1": ConvergenceParams(gamma=1.0),
        "At the kink": ConvergenceParams(gamma=2.0),
        "Deep γ = 4": ConvergenceParams(gamma=4.0),
        "Even firing": ConvergenceParams(firing="systematic"),
        "Paths that separate": SEPARATING,
        "ML-EM loses": ConvergenceParams(sde="double-well", gamma=0.5, epsilon=0.1, levels=6),
    },
    "steps": {
        "Forced OU": StepsParams(),
        "Ornstein–Uhlenbeck": StepsParams(sde="ornstein-uhlenbeck"),
        "Even firing": StepsParams(firing="systematic"),
    },
    "crossover": {
        "Paper-like γ = 2.5": CrossoverParams(),
        "Easy γ = 1": CrossoverParams(gamma=1.0),
        "At the kink": CrossoverParams(gamma=2.0),
        "Deep γ = 4": CrossoverParams(gamma=4.0),
        "Even firing": CrossoverParams(firing="systematic"),
    },
    "faces": {
        "Even calls": FacesView(),
        "The paper’s coins": FacesView(firing="bernoulli"),
        "Tight budget": FacesView(budget=7.5),
        "SDE": FacesView(process="sde"),
        "ML-EM loses": FacesView(process="sde", firing="bernoulli", steps=384, budget=120.0, em_steps=32),
    },
}


def asked_first() -> Iterator[tuple[Experiment, Params]]:
    """What a class asks for first of the pages that compute while one waits, and take more than a moment: their presets at
    every stop of γ, each once."""
    seen = set[Params]()
    for page in ("race", "hierarchy"):
        for preset in PRESETS[page].values():
            values = {name: getattr(preset, name) for name in preset.specs()}
            for gamma in GAMMAS:
                params = type(preset)(**preset.mend(values | {"gamma": gamma})[0])
                if params not in seen:
                    seen.add(params)
                    yield get(page), params
