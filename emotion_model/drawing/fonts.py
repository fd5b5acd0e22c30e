"""The font of drawn text."""

from __future__ import annotations

from PIL import ImageFont


def font(text: str, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font; it has English letters only, so other names get DejaVu Sans, which matplotlib brings along."""
    if text.isascii():
        return ImageFont.load_default(size)
    import matplotlib  # here, because most models do without

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
