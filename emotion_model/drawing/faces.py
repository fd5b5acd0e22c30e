"""Drawing results: boxes, labels and our own emoji, the same on every platform."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from emotion_model.face import Face
from emotion_model.labels import LABELS, Label, person_colour

_SUPERSAMPLING = 4
_INK = (58, 42, 24, 255)
_SKIN = (255, 204, 77, 255)
_WHITE = (255, 255, 255, 255)
_TEAR = (70, 160, 240, 255)
_PILL = (18, 20, 26)


def draw_faces(image_rgb: np.ndarray, faces: Sequence[Face], labels: Sequence[Label] = LABELS) -> np.ndarray:
    """A copy of a picture with every face boxed and labelled by number, emoji, emotion and confidence.

    Args:
        image_rgb: uint8 RGB `(height, width, 3)`.
        faces: what was found in it. Tracked ones have the number and the colour of their person, others are numbered
            in this order.
        labels: gives each emotion its colour.

    Returns:
        uint8 RGB, of the same shape.
    """
    canvas = Image.fromarray(np.ascontiguousarray(image_rgb))
    draw = ImageDraw.Draw(canvas)
    known = {label.name: label.rgb for label in labels}
    colours = [known.get(face.emotion, Label(face.emotion).rgb) for face in faces]
    line = max(2, round(min(canvas.size) / 180))
    taken: list[tuple[int, int, int, int]] = []
    for face, emotion_colour in zip(faces, colours, strict=True):
        colour = emotion_colour if face.track_id is None else Label("", colour=person_colour(face.track_id)).rgb
        x, y, width, height = face.box
        # A dark rim keeps the colour visible on any picture.
        draw.rectangle((x - 1, y - 1, x + width, y + height), outline=_PILL, width=line + 2)
        draw.rectangle((x, y, x + width - 1, y + height - 1), outline=colour, width=line)
    for number, (face, colour) in enumerate(zip(faces, colours, strict=True), start=1):
        shown = (number if len(faces) > 1 else "") if face.track_id is None else face.track_id
        prefix = f"{shown}  " if shown else ""
        sprite = _label_sprite(
            f"{prefix}{face.emotion} {face.confidence:.0%}",
            face.emotion,
            colour,
            _text_size(canvas.size, face.box[2]),
        )
        place = _label_place(sprite.size, face.box, canvas.size, taken)
        taken.append((*place, *sprite.size))
        canvas.paste(sprite, place, sprite)
    return np.asarray(canvas)


@lru_cache(maxsize=256)
def draw_emoji(emotion: str, size: int) -> np.ndarray:
    """Our own emoji of an emotion, uint8 RGBA `(size, size, 4)`, transparent around the head; treat as read-only.

    An emotion without a picture of its own gets a plain face with its first letter.
    """
    if size < 1:
        raise ValueError(f"size={size}: an emoji is at least 1 pixel wide")
    side = size * _SUPERSAMPLING
    image = Image.new("RGBA", (side, side), (0, 0, 0, 0))
    pen = _Pen(ImageDraw.Draw(image), side)
    _EMOJI.get(emotion, lambda p: _plain(p, emotion))(pen)
    array = np.asarray(image.resize((size, size), Image.Resampling.LANCZOS))
    array.setflags(write=False)
    return array


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
        font = _font(text, self.side * 0.55)
        self.draw.text((0.5 * self.side, 0.5 * self.side), text, fill=_INK, font=font, anchor="mm")


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
        pen.ellipse(x, 0.46, 0.10, 0.12, _WHITE)
        pen.ellipse(x, 0.47, 0.04, 0.05, _INK)
    pen.arc(0.31, 0.30, 0.11, 0.06, 190, 300, 0.04)
    pen.arc(0.69, 0.30, 0.11, 0.06, 240, 350, 0.04)
    pen.ellipse(0.5, 0.77, 0.17, 0.085, _INK)
    pen.ellipse(0.5, 0.77, 0.13, 0.045, _WHITE)


def _happy(pen: _Pen) -> None:
    pen.head()
    for x in (0.32, 0.68):
        pen.arc(x, 0.44, 0.10, 0.11, 195, 345, 0.06)
    pen.chord(0.5, 0.55, 0.29, 0.30, 0, 180, _INK)
    pen.chord(0.5, 0.565, 0.25, 0.10, 0, 180, _WHITE)
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
        pen.ellipse(x, 0.42, 0.095, 0.11, _WHITE)
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
}


def _text_size(canvas: tuple[int, int], face_width: int) -> int:
    """Readable at the picture's usual size on screen, smaller on small faces in a crowd."""
    usual = max(canvas) / 42
    return round(min(max(face_width / 6, usual * 0.85, 10), max(usual * 1.4, 12)))


def _font(text: str, size: float) -> ImageFont.FreeTypeFont:
    """Pillow's own font; it has English letters only, so other names get DejaVu Sans, which matplotlib brings along."""
    if text.isascii():
        return ImageFont.load_default(size)
    import matplotlib  # here, because most models do without

    return ImageFont.truetype(f"{matplotlib.get_data_path()}/fonts/ttf/DejaVuSans.ttf", size)


@lru_cache(maxsize=256)
def _label_sprite(text: str, emotion: str, colour: tuple[int, int, int], size: int) -> Image.Image:
    """A dark pill with emoji and white text, readable on any picture; its rim has the emotion's colour."""
    font = _font(text, size)
    left, top, right, bottom = font.getbbox(text)
    padding, emoji = max(3, size // 3), round(size * 1.35)
    height = max(emoji, bottom - top) + 2 * (padding // 2 + 1)
    width = padding + emoji + padding + round(right - left) + padding + padding // 2
    sprite = Image.new("RGBA", (round(width), round(height)), (0, 0, 0, 0))
    draw = ImageDraw.Draw(sprite)
    edge = max(1, size // 9)
    draw.rounded_rectangle(
        (0, 0, sprite.width - 1, sprite.height - 1), radius=height / 2, fill=(*_PILL, 225), outline=colour, width=edge
    )
    face = Image.fromarray(draw_emoji(emotion, emoji))
    sprite.alpha_composite(face, (padding, (sprite.height - emoji) // 2))
    draw.text((padding + emoji + padding * 0.8, sprite.height / 2), text, fill=_WHITE, font=font, anchor="lm")
    return sprite


def _label_place(
    size: tuple[int, int],
    box: tuple[int, int, int, int],
    canvas: tuple[int, int],
    taken: Sequence[tuple[int, int, int, int]],
) -> tuple[int, int]:
    """Above the face, else below, else inside it; within the picture and, if there is room, on no other label."""
    x, y, width, height = box
    centred = x + (width - size[0]) // 2
    tops = (y - size[1] - 2, y + height + 2, y + 2, y + height - size[1] - 2)
    places = []
    for top in tops:
        place = (min(max(centred, 0), max(canvas[0] - size[0], 0)), min(max(top, 0), max(canvas[1] - size[1], 0)))
        places.append(place)
        inside = place[1] == top
        if inside and not any(_overlap((*place, *size), other) for other in taken):
            return place
    return places[0]


def _overlap(a: tuple[int, int, int, int], b: tuple[int, int, int, int]) -> bool:
    return a[0] < b[0] + b[2] and b[0] < a[0] + a[2] and a[1] < b[1] + b[3] and b[1] < a[1] + a[3]
