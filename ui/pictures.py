"""Pictures for the page: as data URLs, or as the files that travel by themselves."""

from __future__ import annotations

import base64
from collections.abc import Sequence
from functools import lru_cache
from html import escape
from typing import Any
from urllib.parse import quote

import cv2
import numpy as np

from emotion_model import LABELS, Label, draw_emoji
from emotion_model.labels import KNOWN

LOSSLESS = 101  # as a quality of WebP, in OpenCV; emoji take half the bytes of PNG then


def emoji_url(emotion: str, labels: Sequence[Label] = LABELS, size: int = 88) -> str:
    """The emoji of an emotion, `size` pixels wide and high, as a data URL.

    It is our drawing; where the model's config names another emoji than the one that we drew, the browser's picture of
    that one.
    """
    wanted = _wanted(emotion, labels)
    if _is_ours(emotion, wanted):
        return _url(".webp", _drawing(emotion, size))
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{size}" height="{size}" viewBox="0 0 10 10">'
        f'<text x="5" y="8.2" font-size="8" text-anchor="middle">{escape(wanted)}</text></svg>'
    )
    return f"data:image/svg+xml,{quote(svg)}"


def emoji_file(emotion: str, labels: Sequence[Label], size: int) -> bytes | None:
    """The emoji of an emotion as a WebP, `size` pixels wide and high; None where it is not our drawing."""
    return _drawing(emotion, size) if _is_ours(emotion, _wanted(emotion, labels)) else None


def _wanted(emotion: str, labels: Sequence[Label]) -> str:
    return next((label.emoji for label in labels if label.name == emotion), Label.emoji)


def _is_ours(emotion: str, emoji: str) -> bool:
    return emoji == Label.emoji or (emotion in KNOWN and emoji == KNOWN[emotion].emoji)


@lru_cache(maxsize=64)
def _drawing(emotion: str, size: int) -> bytes:
    pixels = cv2.cvtColor(draw_emoji(emotion, size), cv2.COLOR_RGBA2BGRA)
    return encoded(".webp", pixels, cv2.IMWRITE_WEBP_QUALITY, LOSSLESS)


def picture_url(image_rgb: np.ndarray, quality: int = 95) -> str:
    """A picture, uint8 RGB, as a data URL: a JPEG of such quality, 0 to 100."""
    return data_url(".jpg", image_rgb[..., ::-1], cv2.IMWRITE_JPEG_QUALITY, quality)


def data_url(suffix: str, image: Any, *how: int) -> str:
    """A picture, uint8 grey, BGR or BGRA, as a data URL of that format: `.png`, `.jpg` or `.webp`; `how`: of OpenCV."""
    return _url(suffix, encoded(suffix, image, *how))


def encoded(suffix: str, image: Any, *how: int) -> bytes:
    """A picture, uint8 grey, BGR or BGRA, in that format, as for `data_url`."""
    return cv2.imencode(suffix, image, how)[1].tobytes()


def _url(suffix: str, data: bytes) -> str:
    kind = {".jpg": "jpeg"}.get(suffix, suffix[1:])
    return f"data:image/{kind};base64,{base64.b64encode(data).decode()}"
