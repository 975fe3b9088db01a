"""Colours: contrast by the formula of WCAG 2.2, and levels whose ink grows with their price."""

from __future__ import annotations

from itertools import pairwise

import pytest

from mlem.ui.palette import (
    DARK,
    DARK_STARK,
    DASHES,
    LIGHT,
    LIGHT_STARK,
    MARKERS,
    Palette,
    contrast,
    levels,
    luminance,
    palette,
    text_on,
)

ALL = {"light": LIGHT, "dark": DARK, "light on a projector": LIGHT_STARK, "dark on a projector": DARK_STARK}
EACH = pytest.mark.parametrize("colours", ALL.values(), ids=ALL)


def test_contrast_of_known_pairs() -> None:
    assert contrast("#000000", "#FFFFFF") == pytest.approx(21)
    assert contrast("#777777", "#FFFFFF") == pytest.approx(4.48, abs=0.01)
    assert contrast("#0072B2", "#0072B2") == 1


def test_palette_by_the_name_of_the_theme() -> None:
    assert palette("light") is palette(None) is LIGHT
    assert palette("dark") is DARK
    with pytest.raises(ValueError, match="theme_type takes one of light, dark, None, got 'sepia'"):
        palette("sepia")


@EACH
def test_marks_reach_three_to_one(colours: Palette) -> None:
    for colour in (colours.em, colours.mlem, colours.reference, colours.theory, *colours.ladder):
        assert contrast(colour, colours.background) >= 3, colour


@EACH
def test_words_reach_four_and_a_half_to_one(colours: Palette) -> None:
    for colour in (colours.ink, colours.muted, colours.em_text, colours.mlem_text, colours.theory_text):
        for ground in (colours.background, colours.panel):
            assert contrast(colour, ground) >= 4.5, (colour, ground)


@EACH
def test_words_on_the_button_of_the_chosen_preset(colours: Palette) -> None:
    assert contrast(text_on(colours.mlem), colours.mlem) >= 4.5


@pytest.mark.parametrize("theme", ["light", "dark"])
@pytest.mark.parametrize("count", range(1, 11))
def test_dearer_levels_have_more_ink(count: int, theme: str) -> None:
    colours = levels(count, theme)
    ground = luminance(palette(theme).background)
    ink = [abs(luminance(colour) - ground) for colour in colours]
    assert len(colours) == count
    assert all(low < high for low, high in pairwise(ink))
    assert colours[-1] == palette(theme).ladder[-1]
    assert all(contrast(colour, palette(theme).background) >= 3 for colour in colours)
    assert all(contrast(text_on(colour), colour) >= 4.5 for colour in colours)


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_five_levels_are_the_ladder(theme: str) -> None:
    assert levels(5, theme) == palette(theme).ladder


@pytest.mark.parametrize("count", [0, 11])
def test_levels_refuses_other_counts(count: int) -> None:
    with pytest.raises(ValueError, match=f"count takes an integer from 1 to 10, got {count}"):
        levels(count)


def test_colour_is_never_alone() -> None:
    assert MARKERS["em"] != MARKERS["mlem"]
    assert len({DASHES[method] for method in ("mlem", "reference", "theory")}) == 3


@pytest.mark.parametrize("theme", ["light", "dark"])
def test_a_projector_gets_more_contrast(theme: str) -> None:
    usual, stark = palette(theme), palette(theme, stark=True)
    for name in ("em", "mlem", "theory", "em_text", "mlem_text", "theory_text", "muted", "grid"):
        assert contrast(getattr(stark, name), stark.background) > contrast(getattr(usual, name), usual.background), name
    for name in ("em", "mlem", "theory", "muted"):
        assert contrast(getattr(stark, name), stark.background) >= 4.5, name
