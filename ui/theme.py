"""The page's theme: quiet paper and ink, one violet accent, system fonts (nothing is fetched from a font server)."""

from __future__ import annotations

from pathlib import Path

import gradio as gr

STYLE_SHEET = Path(__file__).with_name("style.css")

_SANS = ("ui-sans-serif", "system-ui", "-apple-system", "Segoe UI", "Roboto", "Noto Sans", "sans-serif")
_MONO = ("ui-monospace", "SFMono-Regular", "Menlo", "Consolas", "monospace")

_VIOLET = gr.themes.Color(
    "#f3f1fe", "#e8e4fd", "#d3cbfb", "#b4a6f6", "#917bef", "#6f54e4",
    "#5b3fd1", "#4a32ad", "#3d2b8b", "#33266f", "#1f1648",
)  # fmt: skip
_INK = gr.themes.Color(
    "#faf9f7", "#f2f0ec", "#e3e0da", "#cbc7bf", "#9a968e", "#716d66",
    "#54514c", "#3b3a3a", "#24262c", "#1b1d23", "#14161b",
)  # fmt: skip


def page_theme() -> gr.themes.Base:
    """The theme, for `launch(theme=...)`."""
    theme = gr.themes.Base(
        primary_hue=_VIOLET,
        secondary_hue=_VIOLET,
        neutral_hue=_INK,
        radius_size=gr.themes.sizes.radius_lg,
        font=_SANS,
        font_mono=_MONO,
    )
    return theme.set(
        body_background_fill="*neutral_50",
        body_background_fill_dark="*neutral_950",
        body_text_color="*neutral_800",
        body_text_color_dark="*neutral_100",
        body_text_color_subdued="*neutral_600",
        body_text_color_subdued_dark="*neutral_400",
        block_background_fill="white",
        block_background_fill_dark="*neutral_900",
        block_border_color="*neutral_200",
        block_border_color_dark="*neutral_700",
        block_border_width="1px",
        block_radius="14px",
        block_shadow="0 1px 2px rgb(20 22 27 / 5%)",
        block_shadow_dark="none",
        block_label_background_fill="white",
        block_label_background_fill_dark="*neutral_900",
        block_label_border_width="0px",
        block_label_border_width_dark="0px",
        block_label_text_color="*neutral_600",
        block_label_text_color_dark="*neutral_400",
        button_primary_background_fill="*primary_600",
        button_primary_background_fill_hover="*primary_700",
        button_primary_background_fill_dark="*primary_500",
        button_primary_text_color="white",
        input_background_fill="white",
        input_background_fill_dark="*neutral_900",
        # A box can be told from its card, 3:1 or more.
        checkbox_border_color="*neutral_500",
        checkbox_border_color_dark="*neutral_400",
        checkbox_border_color_hover="*neutral_600",
        checkbox_border_color_hover_dark="*neutral_300",
        link_text_color="*primary_600",
        link_text_color_dark="*primary_300",
    )
