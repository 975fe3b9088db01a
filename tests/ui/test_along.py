"""What goes along from page to page."""

from __future__ import annotations

import pytest
import streamlit as st

from mlem.ui import along


class Changing:
    """A link that another run changes while this one reads it, as Streamlit tells that: twice."""

    def __init__(self) -> None:
        self.errors: list[Exception] = [KeyError("gamma"), RuntimeError("dictionary changed size during iteration")]

    def to_dict(self) -> dict[str, str]:
        if self.errors:
            raise self.errors.pop()
        return {"gamma": "2"}


def test_a_link_that_changes_while_it_is_read_is_read_again(monkeypatch: pytest.MonkeyPatch) -> None:
    changing = Changing()
    monkeypatch.setattr(st, "query_params", changing)
    assert along.link() == {"gamma": "2"}
    assert not changing.errors


def test_what_goes_wrong_each_time_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    changing = Changing()
    changing.errors *= 1000
    monkeypatch.setattr(st, "query_params", changing)
    with pytest.raises((KeyError, RuntimeError)):
        along.link()


def test_no_other_key_goes_along() -> None:
    with pytest.raises(KeyError, match="'gamma' does not go along"):
        along.put({"gamma": "2"})
