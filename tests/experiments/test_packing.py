"""What is packed as texts and arrays is read back as it was."""

from __future__ import annotations

import json
from dataclasses import dataclass

import numpy as np
import pytest
import safetensors.numpy

from mlem.experiments.packing import Arrays, pack, unpack


@dataclass(frozen=True)
class Inner:
    name: str
    values: np.ndarray


@dataclass(frozen=True)
class Outer:
    """One of each kind of field."""

    number: float
    none: Inner | None
    some: Inner | None
    pairs: tuple[tuple[int, str], ...]
    many: tuple[Inner, ...]
    mixed: tuple[str, Inner]
    by_name: dict[str, np.ndarray]
    flag: bool


def test_every_kind_of_field_comes_back() -> None:
    values = np.arange(6.0).reshape(2, 3)
    inner = Inner("a", values)
    whole = Outer(0.1, None, inner, ((1, "one"),), (inner, inner), ("b", inner), {"x": values, "y": values.astype(int)}, True)
    back = there_and_back(whole)
    assert (back.number, back.none, back.flag) == (0.1, None, True)
    assert back.some is not None
    assert (back.some.name, back.many[1].name, back.mixed[0], back.mixed[1].name) == ("a", "a", "b", "a")
    for one, other in ((back.some.values, values), (back.by_name["x"], values), (back.by_name["y"], values.astype(int))):
        assert one.dtype == other.dtype
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("other", [np.zeros(4), np.zeros((2, 2)), np.zeros(2, int), np.zeros(4, np.float32)])
def test_arrays_that_differ_have_names_that_differ(other: np.ndarray) -> None:
    """Also those with the same bytes, in another shape or of another type."""
    arrays = Arrays()
    texts = pack((np.zeros(2), np.zeros(2), other), arrays)
    assert texts[0] == texts[1] != texts[2]
    assert len(arrays) == 2


def test_arrays_may_be_squeezed() -> None:
    arrays = Arrays()
    pack(Inner("a", np.ones(3)), arrays, squeeze=lambda array: array.astype(np.float16))
    assert [array.dtype for array in arrays.values()] == [np.float16]


@pytest.mark.parametrize("array", [np.arange(12.0)[::3], np.arange(6.0).reshape(2, 3).T, np.array(1.5)])
def test_arrays_lie_in_order_as_safetensors_wants_them(array: np.ndarray) -> None:
    arrays = Arrays()
    pack(array, arrays)
    (back,) = safetensors.numpy.load(safetensors.numpy.save(arrays)).values()
    np.testing.assert_array_equal(back, array, strict=True)


def there_and_back(value: Outer) -> Outer:
    arrays = Arrays()
    text = json.dumps(pack(value, arrays))
    back: Outer = unpack(Outer, json.loads(text), arrays.__getitem__)
    return back
