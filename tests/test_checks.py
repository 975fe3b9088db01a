from __future__ import annotations

import json
import math
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from mlem.checks import check_choice, check_divides, check_integer, check_number, check_positive

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize("value", [1, np.int64(1), np.uint8(1)])
def test_integers_are_taken(value: object) -> None:
    checked = check_integer("n", value)
    assert type(checked) is int
    assert checked == 1


@pytest.mark.parametrize("value", [True, 1.0, np.float64(1), "1", None, 0, -1, math.nan, [1]])
def test_what_is_no_positive_integer_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^n takes an integer ≥ 1, got "):
        check_integer("n", value)


@pytest.mark.parametrize("value", [0, 11, 10**30])
def test_integers_outside_their_range_are_refused(value: int) -> None:
    with pytest.raises(ValueError, match=rf"^levels takes an integer from 1 to 10, got {value}$"):
        check_integer("levels", value, high=10)


@pytest.mark.parametrize("value", [0.5, 1, np.float32(0.5), np.int32(1), Fraction(1, 2)])
def test_numbers_are_taken(value: float) -> None:
    checked = check_positive("x", value)
    assert type(checked) is float
    assert checked == float(value)


@pytest.mark.parametrize("value", [True, "1", None, math.nan, math.inf, -math.inf, 1j, [1.0]])
def test_what_is_no_finite_number_is_refused(value: object) -> None:
    with pytest.raises(ValueError, match=r"^x takes a number, got "):
        check_number("x", value)


@pytest.mark.parametrize("value", [0, 0.0, -0.0, -1e-300])
def test_positive_is_more_than_zero(value: float) -> None:
    with pytest.raises(ValueError, match=r"^x takes a number > 0, got "):
        check_positive("x", value)
    assert check_number("x", abs(value), low=0.0) == abs(value)


def test_bounds_are_named() -> None:
    assert check_number("gamma", 8, low=0.25, high=8.0) == 8.0
    with pytest.raises(ValueError, match=r"^gamma takes a number ≥ 0.25 and ≤ 8, got 9$"):
        check_number("gamma", 9, low=0.25, high=8.0)


def test_choices_are_listed() -> None:
    assert check_choice("draws", "shared", ("shared", "per-path")) == "shared"
    with pytest.raises(ValueError, match=r"^draws takes one of shared, per-path, got 'both'$"):
        check_choice("draws", "both", ("shared", "per-path"))


@given(fine=st.integers(1, 400), steps=st.integers(1, 400))
def test_divisors(fine: int, steps: int) -> None:
    if steps > fine:
        with pytest.raises(ValueError, match=rf"^steps takes an integer from 1 to {fine}, got {steps}$"):
            check_divides("steps", steps, fine)
    elif fine % steps == 0:
        assert check_divides("steps", steps, fine) == fine // steps
    else:
        divisors = [n for n in range(1, fine + 1) if fine % n == 0]
        below, above = max(n for n in divisors if n < steps), min(n for n in divisors if n > steps)
        with pytest.raises(ValueError, match=rf"got {steps}: try {below} or {above}$"):
            check_divides("steps", steps, fine)


UNTYPED = """
import json
import torch
import mlem.synthetic

ou = mlem.problems.get("ornstein-uhlenbeck")
path = mlem.BrownianPath(4, (1,), 16, 1.0, 0)
x0 = ou.initial(4, 0)
levels = mlem.Hierarchy([mlem.Level(ou.drift, 1.0), mlem.Level(ou.drift, 2.0)], sde=ou)

def em(**options):
    return mlem.euler_maruyama(ou, ou.drift, **{"steps": 4, "path": path, "initial": x0, **options})

def mlem_(p=(1.0, 0.5), **options):
    return mlem.multilevel_euler_maruyama(ou, levels, p, **{"steps": 4, "path": path, "initial": x0, **options})

cases = {
    "batch takes": lambda: mlem.BrownianPath(4.0, (1,), 16, 1.0, 0),
    "steps takes": lambda: em(steps=4.0),
    "seed takes": lambda: mlem.BrownianPath(4, (1,), 16, 1.0, "0"),
    "horizon takes": lambda: mlem.BrownianPath(4, (1,), 16, "1", 0),
    "dim takes": lambda: mlem.problems.ornstein_uhlenbeck(dim=1.0),
    "rate takes": lambda: mlem.problems.ornstein_uhlenbeck(rate="1"),
    "seed takes an": lambda: ou.initial(4, seed=1.5),
    "save takes": lambda: em(save=3),
    'save takes "all" or': lambda: em(save="last"),
    "save takes an integer": lambda: em(save=[1.0]),
    "firing takes": lambda: mlem_(firing=None),
    "draws takes": lambda: mlem_(draws=1),
    "probabilities take numbers": lambda: mlem_(None),
    "probabilities take": lambda: mlem_(0.5),
    "probabilities take numbers or": lambda: mlem_("half"),
    "probabilities must": lambda: mlem_((1, 2)),
    "cost takes": lambda: mlem.Level(ou.drift, "1"),
    "drift takes a callable": lambda: mlem.Level(3, 1.0),
    "must return a tensor like x": lambda: mlem.Hierarchy([mlem.Level(lambda x, t: 0.0, 1.0)], sde=ou),
    "gamma takes": lambda: mlem.synthetic.synthetic_hierarchy(ou, gamma="2"),
    "levels takes": lambda: mlem.synthetic.synthetic_hierarchy(ou, gamma=2.0, levels=3.0),
    "seed takes an integer": lambda: mlem.synthetic.synthetic_hierarchy(ou, gamma=2.0, seed=0.5),
    "residual takes": lambda: mlem.synthetic.synthetic_hierarchy(ou, gamma=2.0, residual=None),
    "levels takes an integer": lambda: mlem.synthetic.spectral_hierarchy(gamma=2.0, levels=3.0),
    "sde takes": lambda: mlem.problems.get(3),
}
said = {}
for words, call in cases.items():
    try:
        call()
        said[words] = "accepted"
    except Exception as error:
        said[words] = f"{type(error).__name__}: {error}"
print(json.dumps(said))
"""


def test_values_of_the_wrong_type_are_refused_by_name_without_a_type_checker() -> None:
    """These tests run under a type checker, users do not: wrong types must raise ValueError all the same."""
    run = subprocess.run([sys.executable, "-c", UNTYPED], capture_output=True, text=True, check=True, timeout=120, cwd=ROOT)
    said = json.loads(run.stdout)
    assert len(said) == 25
    for words, answer in said.items():
        assert answer.startswith("ValueError: "), (words, answer)
        assert words in answer, (words, answer)
