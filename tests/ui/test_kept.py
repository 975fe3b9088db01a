"""What is made of a result is made once."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np

from mlem.ui.kept import MOST, drawn_once, keep


@dataclass(frozen=True)
class Found:
    """A result, which cannot be hashed."""

    values: np.ndarray


def test_a_function_of_a_result_is_called_once_for_each_of_its_arguments() -> None:
    called = []

    @drawn_once
    def drawn(result: Found, factor: float, *, more: int = 0) -> list[float]:
        called.append(factor)
        return [factor * float(result.values.sum()) + more]

    one, other = Found(np.ones(3)), Found(np.ones(4))
    assert drawn(one, 2.0) is drawn(one, 2.0)
    assert drawn(one, 2.0) == [6.0]
    assert drawn(one, 3.0) == [9.0]
    assert drawn(one, 2.0, more=1) == [7.0]
    assert drawn(other, 2.0) == [8.0]
    assert called == [2.0, 3.0, 2.0, 2.0]


def test_two_functions_do_not_take_each_others_place() -> None:
    found = Found(np.ones(2))
    first, second = drawn_once(lambda result: "first"), drawn_once(lambda result: "second")
    assert (first(found), second(found), first(found)) == ("first", "second", "first")
    assert (keep(found, "third", lambda: "third"), keep(found, "third", lambda: "another")) == ("third", "third")


def test_only_the_last_ones_are_kept() -> None:
    found = Found(np.ones(2))
    for n in range(3 * MOST):
        assert keep(found, n, lambda n=n: [n]) == [n]  # type: ignore[misc]
    made = keep(found, 3 * MOST - 1, list)
    assert made == [3 * MOST - 1]
    assert keep(found, 0, list) == []
    assert [field.name for field in fields(found)] == ["values"]
