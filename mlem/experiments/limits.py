"""What a demo (``mlem/demo.py``) gives one visitor at most. Anywhere else nothing of this has any effect.

What asks for more, a link or a preset, is mended to the nearest that is given, with a notice; results that are stored cost no
work, and are shown as they are.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeVar

from mlem import demo
from mlem.experiments import sample_store, store
from mlem.experiments.convergence import ConvergenceParams
from mlem.experiments.params import Params, Spec, in_words, to_key
from mlem.experiments.sample import METHODS, SampleParams

P = TypeVar("P", bound=Params)

MOST = {"paths": 512, "dim": 16, "levels": 9, "doublings": 7, "pictures": 8, "steps": 192, "em_steps": 128, "budget": 60.0}
"""By parameter. Steps of toys are as many as their error asks for: see ``LEAST``."""

LEAST = {"epsilon": 0.005}

JOBS = 2
"""Of one session that wait or are at work at the same time."""


def limited(name: str, spec: Spec) -> Spec:
    """What the parameter ``name`` takes here."""
    if not demo.on() or spec.kind == "choice":
        return spec
    low, high = max(spec.low, LEAST.get(name, spec.low)), min(spec.high, MOST.get(name, spec.high))
    return replace(spec, low=low, high=high, offered=tuple(stop for stop in spec.offered if low <= stop <= high))


def capped(params: P) -> tuple[P, list[str]]:
    """The nearest parameters that a visitor gets, and a notice for each that was more."""
    if not demo.on() or _stored(params):
        return params, []
    values, notices = {name: getattr(params, name) for name in params.specs()}, list[str]()
    for name, spec in params.specs().items():
        value, here = values[name], limited(name, spec)
        if spec.kind == "choice" or value is None or here.low <= value <= here.high:
            continue
        values[name] = min(max(value, here.low), here.high)
        bound = f"at most {here.high:g}" if value > here.high else f"at least {here.low:g}"
        notices.append(f"{to_key(name)} takes {bound} in this demo, got {in_words(value)}. It is now {in_words(values[name])}.")
    if not notices:
        return params, []
    values, more = params.mend(values)
    return type(params)(**values), notices + more


def _stored(params: Params) -> bool:
    """Whether the result ships with the package."""
    if isinstance(params, ConvergenceParams):
        return store.load(params) is not None
    if isinstance(params, SampleParams):
        drawn = SampleParams(**{name: getattr(params, name) for name in SampleParams.specs()})
        return set(METHODS) <= set(sample_store.load(drawn))
    return False
