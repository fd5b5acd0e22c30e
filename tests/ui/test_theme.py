"""The colours of Gradio's own components."""

import pytest

from emotion_model.labels import rgb
from support.pages import contrast
from ui.theme import page_theme


@pytest.mark.parametrize("part", ["checkbox_border_color", "checkbox_border_color_hover"])
@pytest.mark.parametrize(("scheme", "card"), [("", "#ffffff"), ("_dark", "#1b1d23")])
def test_a_checkbox_can_be_told_from_its_card(part, scheme, card):
    theme = page_theme()
    border = getattr(theme, getattr(theme, part + scheme).removeprefix("*"))
    assert contrast(f"rgb{rgb(border)}", f"rgb{rgb(card)}") >= 3
