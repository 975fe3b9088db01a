"""What is measured once, for all who ask: the terms of the error of synthetic levels, and where the references of sweeps end.

``python -m mlem store`` rebuilds what ships with the package: for every problem as its name gives it, the numbers of levels and
the firings that the controls of sweeps offer. So a sweep of these begins at once; all else is measured when it is asked for.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from functools import cache, lru_cache
from itertools import product
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from mlem import problems
from mlem.hierarchy import Hierarchy
from mlem.planning import ErrorModel, measure
from mlem.probabilities import error_order
from mlem.sde import SDE
from mlem.sweeps import FIRINGS, reference_end
from mlem.synthetic import MAX_LEVELS, RESIDUALS, STORED_SEED, is_stock, store_amplitudes, synthetic_hierarchy

LEAST_LEVELS = 4  # of a sweep
PATHS, SEED = 128, 0  # of a sweep's reference that is stored

_STORE = Path(__file__).with_name("measured.json")


@lru_cache(maxsize=64)
def unpriced(sde: SDE, levels: int, residual: str) -> Hierarchy:
    """Synthetic levels for what does not depend on γ, such as the terms of the error. Equal calls return the same object."""
    return synthetic_hierarchy(sde, gamma=1.0, levels=levels, residual=residual, seed=STORED_SEED)


def terms(sde: SDE, levels: int, residual: str, firing: str) -> ErrorModel:
    """The terms of the error of :func:`unpriced` levels."""
    stored = _stored()["terms"].get(f"{sde.name} {residual} {levels}") if is_stock(sde) else None
    if stored is None or firing not in stored["kicks"]:
        return measure(sde, unpriced(sde, levels, residual), firing)
    steps, errors = (np.array(numbers) for numbers in _stored()["steps"][sde.name])
    bias, kicks = np.array(stored["bias"]), np.array(stored["kicks"][firing])
    return ErrorModel(bias, stored["correlation"], steps, errors, kicks, error_order(firing))


def stored_end(sde: SDE, paths: int, seed: int) -> Float[Tensor, "paths *state"] | None:
    """Where the reference of a sweep ends, if that is stored."""
    if (paths, seed) != (PATHS, SEED) or not is_stock(sde) or sde.name not in _stored()["ends"]:
        return None
    return torch.tensor(_stored()["ends"][sde.name], dtype=torch.float64)


def rebuild() -> Iterator[float]:
    """Makes and writes what is stored, the amplitudes of the levels too, telling the fraction done."""
    yield from (0.3 * done for done in store_amplitudes())
    unpriced.cache_clear()
    found: dict[str, dict[str, Any]] = {"steps": {}, "ends": {}, "terms": {}}
    names = problems.names()
    for n, name in enumerate(names):
        sde = problems.get(name)
        if sde.exact is None:
            found["ends"][name] = reference_end(sde, PATHS, SEED).tolist()
        for residual, levels in product(RESIDUALS, range(LEAST_LEVELS, MAX_LEVELS + 1)):
            models = {firing: measure(sde, unpriced(sde, levels, residual), firing) for firing in FIRINGS}
            one = models[FIRINGS[0]]
            found["steps"][name] = [one.steps.tolist(), one.step_error.tolist()]
            kicks = {firing: model.kicks.tolist() for firing, model in models.items()}
            found["terms"][f"{name} {residual} {levels}"] = {
                "bias": one.bias.tolist(),
                "correlation": one.correlation,
                "kicks": kicks,
            }
        yield 0.3 + 0.7 * (n + 1) / len(names)
    _STORE.write_text(json.dumps(found), encoding="utf-8")
    _stored.cache_clear()


@cache
def _stored() -> dict[str, dict[str, Any]]:
    return json.loads(_STORE.read_text(encoding="utf-8")) if _STORE.exists() else {"steps": {}, "ends": {}, "terms": {}}
