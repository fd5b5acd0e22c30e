"""Our own emoji, the same on every platform."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from emotion_model.drawing.fonts import font

KEPT_SIDE = 128  # pixels; smaller ones are kept, as labels of clips need them again and again
_SUPERSAMPLING = 4
_INK = (58, 42, 24, 255)
_SKIN = (255, 204, 77, 255)
WHITE = (255, 255, 255, 255)
_TEAR = (70, 160, 240, 255)


def draw_emoji(emotion: str, size: int) -> np.ndarray:
    """Our own emoji of an emotion, uint8 RGBA `(size, size, 4)`, transparent around the head; treat as read-only.

    An emotion without a picture of its own gets a plain face with its first letter.

    Raises:
        ValueError: `size`, in pixels, is less than 1.
    """
    if size < 1:
        raise ValueError(f"size={size}: an emoji is at least 1 pixel wide")
    return _kept(emotion, size) if size <= KEPT_SIDE else _drawn(emotion, size)


def _drawn(emotion: str, size: int) -> np.ndarray:
    side = size * _SUPERSAMPLING
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = _Pen(ImageDraw.Draw(image), side)
    _EMOJI.get(emotion, lambda p: _plain(p, emotion))(pen)
    array = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    array.setflags(write=False)
    return array


_kept = lru_cache(maxsize=256)(_drawn)


class _Pen:
    """Draws in units of the emoji's side, 0..1."""

    def __init__(self, draw: ImageDraw.ImageDraw, side: int) -> None:
        self.draw, self.side = draw, side

    def _box(self, x: float, y: float, rx: float, ry: float) -> tuple[float, float, float, float]:
        s = self.side
        return (x - rx) * s, (y - ry) * s, (x + rx) * s, (y + ry) * s

    def ellipse(self, x: float, y: float, rx: float, ry: float, fill: tuple[int, ...]) -> None:
        self.draw.ellipse(self._box(x, y, rx, ry), fill=fill)

    def chord(self, x: float, y: float, rx: float, ry: float, start: int, end: int, fill: tuple[int, ...]) -> None:
        self.draw.chord(self._box(x, y, rx, ry), start, end, fill=fill)

    def arc(self, x: float, y: float, rx: float, ry: float, start: int, end: int, width: float = 0.05) -> None:
        self.draw.arc(self._box(x, y, rx, ry), start, end, fill=_INK, width=max(1, round(width * self.side)))

    def line(self, *points: tuple[float, float], width: float = 0.05, fill: tuple[int, ...] = _INK) -> None:
        pixels = [(x * self.side, y * self.side) for x, y in points]
        self.draw.line(pixels, fill=fill, width=max(1, round(width * self.side)), joint="curve")

    def head(self, fill: tuple[int, ...] = _SKIN) -> None:
        self.ellipse(0.5, 0.5, 0.49, 0.49, (*(round(c * 0.82) for c in fill[:3]), 255))
        self.ellipse(0.5, 0.49, 0.465, 0.465, fill)

    def eyes(self, y: float = 0.42) -> None:
        for x in (0.33, 0.67):
            self.ellipse(x, y, 0.055, 0.08, _INK)

    def letter(self, text: str) -> None:
        lettering = font(text, self.side * 0.55)
        self.draw.text((0.5 * self.side, 0.5 * self.side), text, fill=_INK, font=lettering, anchor="mm")


def _angry(pen: _Pen) -> None:
    pen.head((244, 130, 88, 255))
    pen.eyes(0.47)
    pen.line((0.20, 0.30), (0.43, 0.40), width=0.06)
    pen.line((0.80, 0.30), (0.57, 0.40), width=0.06)
    pen.arc(0.5, 0.80, 0.20, 0.14, 200, 340, 0.06)


def _disgust(pen: _Pen) -> None:
    pen.head((157, 196, 92, 255))
    for x, inward in ((0.33, 1), (0.67, -1)):
        pen.line((x - 0.08, 0.37), (x + 0.08, 0.37 + 0.02 * inward), width=0.045)
        pen.ellipse(x, 0.44, 0.05, 0.05, _INK)
    pen.line((0.28, 0.70), (0.39, 0.65), (0.50, 0.70), (0.61, 0.65), (0.72, 0.70), width=0.055)
    pen.chord(0.55, 0.70, 0.09, 0.16, 0, 180, (224, 96, 120, 255))


def _fear(pen: _Pen) -> None:
    pen.head()
    pen.chord(0.5, 0.49, 0.465, 0.465, 195, 345, (126, 170, 226, 255))
    for x in (0.33, 0.67):
        pen.ellipse(x, 0.46, 0.10, 0.12, WHITE)
        pen.ellipse(x, 0.47, 0.04, 0.05, _INK)
    pen.arc(0.31, 0.30, 0.11, 0.06, 190, 300, 0.04)
    pen.arc(0.69, 0.30, 0.11, 0.06, 240, 350, 0.04)
    pen.ellipse(0.5, 0.77, 0.17, 0.085, _INK)
    pen.ellipse(0.5, 0.77, 0.13, 0.045, WHITE)


def _happy(pen: _Pen) -> None:
    pen.head()
    for x in (0.32, 0.68):
        pen.arc(x, 0.44, 0.10, 0.11, 195, 345, 0.06)
    pen.chord(0.5, 0.55, 0.29, 0.30, 0, 180, _INK)
    pen.chord(0.5, 0.565, 0.25, 0.10, 0, 180, WHITE)
    pen.chord(0.5, 0.78, 0.15, 0.07, 180, 360, (224, 96, 120, 255))


def _neutral(pen: _Pen) -> None:
    pen.head()
    pen.eyes()
    pen.line((0.31, 0.70), (0.69, 0.70), width=0.055)


def _sad(pen: _Pen) -> None:
    pen.head()
    pen.eyes(0.46)
    pen.line((0.21, 0.37), (0.41, 0.29), width=0.05)
    pen.line((0.79, 0.37), (0.59, 0.29), width=0.05)
    pen.arc(0.5, 0.82, 0.18, 0.13, 200, 340, 0.055)
    pen.ellipse(0.27, 0.70, 0.065, 0.09, _TEAR)
    pen.line((0.27, 0.56), (0.225, 0.68), width=0.03, fill=_TEAR)
    pen.line((0.27, 0.56), (0.315, 0.68), width=0.03, fill=_TEAR)
    pen.ellipse(0.27, 0.64, 0.035, 0.06, _TEAR)


def _surprise(pen: _Pen) -> None:
    pen.head()
    for x in (0.32, 0.68):
        pen.ellipse(x, 0.42, 0.095, 0.11, WHITE)
        pen.ellipse(x, 0.42, 0.055, 0.065, _INK)
        pen.arc(x, 0.24, 0.10, 0.07, 200, 340, 0.045)
    pen.ellipse(0.5, 0.76, 0.12, 0.145, _INK)
    pen.chord(0.5, 0.83, 0.085, 0.06, 180, 360, (224, 96, 120, 255))


def _contempt(pen: _Pen) -> None:
    pen.head()
    pen.line((0.24, 0.38), (0.42, 0.38), width=0.045)
    pen.line((0.58, 0.38), (0.76, 0.38), width=0.045)
    for x in (0.36, 0.70):
        pen.ellipse(x, 0.44, 0.05, 0.055, _INK)
    pen.arc(0.69, 0.27, 0.11, 0.06, 200, 340, 0.04)
    pen.line((0.34, 0.72), (0.56, 0.71), (0.70, 0.62), width=0.055)


def _plain(pen: _Pen, emotion: str) -> None:
    pen.head((190, 190, 200, 255))
    pen.letter(emotion[:1].upper() or "?")


_EMOJI: dict[str, Callable[[_Pen], None]] = {
    "angry": _angry,
    "contempt": _contempt,
    "disgust": _disgust,
    "fear": _fear,
    "happy": _happy,
    "neutral": _neutral,
    "sad": _sad,
    "surprise": _surprise,
    "unclear": lambda pen: _plain(pen, "?"),
}
