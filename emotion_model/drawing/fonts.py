"""The font of drawn text."""

from __future__ import annotations

from functools import lru_cache

from PIL import ImageFont


def font(text: str, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """Pillow's own font; it has English letters only, so other names get DejaVu Sans, which matplotlib brings along."""
    return _loaded(text.isascii(), size)


@lru_cache(maxsize=64)  # each remembers the shapes of its letters, which take longer than all else
def _loaded(english: bool, size: float) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    if english:
        return ImageFont.load_default(size)
    import matplotlib  # here, because most models do without

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)
