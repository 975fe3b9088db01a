"""What a demo (``mlem/demo.py``) gives one visitor at most. Anywhere else nothing of this has any effect.

A link that asks for more is mended to the nearest that is given, with a notice; controls end there, and say so in their help;
results that are stored cost no work, and are shown as they are.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeVar

from mlem import demo
from mlem.experiments import sample_store, store
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.crossover import CrossoverParams
from mlem.experiments.params import Params, Spec, in_words
from mlem.experiments.sample import METHODS, SampleParams

P = TypeVar("P", bound=Params)

MOST = {"paths": 512, "dim": 16, "levels": 9, "doublings": 7, "pictures": 8, "em_steps": 128, "budget": 120.0}
"""By parameter. All presets are within. Steps of toys are as many as their error asks for: see ``LEAST``."""

LEAST = {"epsilon": 0.005}

UNLIMITED = "There are none on a computer of your own: README.md tells how to start the app there."

JOBS = 2
"""Of one session that wait or are at work at the same time."""


def limited(name: str, spec: Spec) -> Spec:
    """What the parameter ``name`` takes here."""
    if not demo.on() or spec.kind == "choice":
        return spec
    low, high = max(spec.low, LEAST.get(name, spec.low)), min(spec.high, MOST.get(name, spec.high))
    if (low, high) == (spec.low, spec.high):
        return spec
    end = f"at most {high:g}" if high < spec.high else f"at least {low:g}"
    offered = tuple(stop for stop in spec.offered if low <= stop <= high)
    return replace(spec, low=low, high=high, offered=offered, help=f"{spec.help} In this demo {end}.")


def nearest(kind: type[P], link: Mapping[str, str]) -> tuple[P, list[str]]:
    """The nearest parameters to those of a link that a visitor gets, with notices for all that was mended."""
    params, notices = kind.nearest(link)
    given, caps = capped(params)
    if caps:  # what a cap has mended is told once, by the cap
        _, notices = kind.nearest({**link, **dict(given.to_query().items() - params.to_query().items())})
    return given, notices + caps


def capped(params: P) -> tuple[P, list[str]]:
    """The nearest parameters that a visitor gets, and notices of what was more."""
    if not demo.on() or _stored(params):
        return params, []
    values, told = {name: getattr(params, name) for name in params.specs()}, list[str]()
    for name, spec in params.specs().items():
        value, here = values[name], limited(name, spec)
        if spec.kind == "choice" or value is None or here.low <= value <= here.high:
            continue
        values[name] = min(max(value, here.low), here.high)
        told.append(f"{spec.label}: {'at most' if value > here.high else 'at least'} {in_words(values[name])}")
    if not told:
        return params, []
    values, more = params.mend(values)
    return type(params)(**values), [f"This demo is shared, and has limits. {'; '.join(told)}. {UNLIMITED}", *more]


def _stored(params: Params) -> bool:
    """Whether the result ships with the package."""
    if isinstance(params, CrossoverParams):
        params = params.swept()
    if isinstance(params, ConvergenceParams):
        return store.load(params) is not None
    if isinstance(params, SampleParams):
        drawn = SampleParams(**{name: getattr(params, name) for name in SampleParams.specs()})
        return set(METHODS) <= set(sample_store.load(drawn))
    return False
