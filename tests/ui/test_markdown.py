"""Text out of a link cannot become a picture, a link, HTML, a formula or a heading."""

from __future__ import annotations

import pytest

from mlem.ui.markdown import plain


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("![](x)", r"\!\[\](x)"),
        ("<b>", r"\<b\>"),
        ("$x$ _y_ :red[z]", r"\$x\$ \_y\_ \:red\[z\]"),
        ("# h", r"\# h"),
        ("100. It is now 96.", "100. It is now 96."),
    ],
)
def test_marks_are_shown_as_they_are(text: str, shown: str) -> None:
    assert plain(text) == shown


@pytest.mark.parametrize("address", ["https://a.example", "www.a.example"])
def test_addresses_are_no_links(address: str) -> None:
    assert address[:4] not in plain(address)


def test_lines_stay_lines() -> None:
    assert plain("a\nb") == "a  \nb"
