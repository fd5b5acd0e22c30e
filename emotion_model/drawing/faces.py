"""Boxes and labels on a picture."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from PIL import Image, ImageDraw

from emotion_model.drawing.emoji import WHITE, draw_emoji
from emotion_model.drawing.fonts import font
from emotion_model.face import Face
from emotion_model.faces.boxes import overlap
from emotion_model.faces.images import Picture, as_rgb
from emotion_model.labels import LABELS, UNCLEAR, Label, label_of, person_colour, rgb

_PILL = (18, 20, 26)
LONG = 2.5  # longest side over shortest; what is longer still is shown small, and its labels would hide its height
KEPT_TEXT = 64  # pixels; labels of clips come again from frame to frame, those of large photos would only fill memory
CROWD = 40  # faces; more have no room for words, only for their number and emoji


def draw_faces(image_rgb: Picture, faces: Sequence[Face], labels: Sequence[Label] = LABELS) -> np.ndarray:
    """A copy of a picture with every face boxed and labelled by number, emoji, emotion and confidence, or as unclear.

    Args:
        image_rgb: uint8 RGB `(height, width, 3)`, or whatever else `detect` takes.
        faces: what was found in it. Tracked ones have the number and the colour of their person, others are numbered
            in this order.
        labels: gives each emotion its colour.

    Returns:
        uint8 RGB `(height, width, 3)`, as large as the picture.

    Raises:
        ImageError: not a picture.
    """
    canvas = as_rgb(image_rgb).copy()
    size = (canvas.shape[1], canvas.shape[0])
    colours = [label_of(face.word, labels).rgb for face in faces]
    taken: list[tuple[int, int, int, int]] = []
    crowded = len(faces) > CROWD
    for face, emotion_colour in zip(faces, colours, strict=True):
        colour = emotion_colour if face.track_id is None else rgb(person_colour(face.track_id))
        x, y, width, height = face.box
        line = max(2, round(min(min(size) / 180, width / 14)))  # never so thick that it hides the face
        # A dark rim keeps the colour visible on any picture.
        _outline(canvas, (x - 1, y - 1, width + 2, height + 2), _PILL, line + 2)
        _outline(canvas, face.box, colour, line)
    for number, (face, colour) in enumerate(zip(faces, colours, strict=True), start=1):
        shown = (number if len(faces) > 1 else "") if face.track_id is None else face.track_id
        prefix = f"{shown}  " if shown else ""
        word = f"{face.emotion} {face.confidence:.0%}" if face.clear else UNCLEAR.name
        text_size = _text_size(size, face.box[2], crowded)
        label = _kept_label if text_size <= KEPT_TEXT else _label
        sprite = label(str(shown) if crowded else prefix + word, face.word, colour, text_size)
        room = (sprite.over.shape[1], sprite.over.shape[0])
        place = _label_place(room, face.box, size, taken)
        taken.append((*place, *room))
        _paste(canvas, sprite, place)
    return canvas


def _outline(canvas: np.ndarray, box: tuple[int, int, int, int], colour: tuple[int, int, int], line: int) -> None:
    """Draw a rectangle's edge, so many pixels thick, along the inside of the box."""
    x, y, width, height = box
    across, down = min(line, width), min(line, height)
    for left, top, wide, high in (
        (x, y, width, down),
        (x, y + height - down, width, down),
        (x, y, across, height),
        (x + width - across, y, across, height),
    ):
        canvas[max(top, 0) : max(top + high, 0), max(left, 0) : max(left + wide, 0)] = colour


def _paste(canvas: np.ndarray, sprite: _Sprite, place: tuple[int, int]) -> None:
    """Lay a label over the picture; what reaches over its right or lower edge is left out."""
    x, y = place
    under = canvas[y : y + sprite.over.shape[0], x : x + sprite.over.shape[1]]
    height, width = under.shape[:2]
    shining = np.multiply(under, sprite.through[:height, :width], dtype=np.uint16)
    under[:] = (sprite.over[:height, :width] + shining) // 255


def _text_size(canvas: tuple[int, int], face_width: int, crowded: bool) -> int:
    """Readable at the picture's usual size on screen, smaller on small faces; in a crowd no wider than the face."""
    if crowded:
        return round(max(face_width / 2.5, 8))
    usual = min(max(canvas), LONG * min(canvas)) / 42
    return round(min(max(face_width / 6, usual * 0.85, 10), max(usual * 1.4, 12)))


@dataclass(frozen=True, eq=False)
class _Sprite:
    """A picture to lay over another one, as far as it can be worked out before; `(height, width, 3)` each.

    Attributes:
        over: uint16, its colours times their opacity, 0..65,025, and what rounds the result.
        through: uint8, 255 times the share of what lies below.
    """

    over: np.ndarray
    through: np.ndarray

    @classmethod
    def of(cls, rgba: Image.Image) -> _Sprite:
        pixels = np.asarray(rgba)
        opacity = np.repeat(pixels[..., 3:], 3, axis=2)
        return cls(np.multiply(pixels[..., :3], opacity, dtype=np.uint16) + np.uint16(127), 255 - opacity)


def _label(text: str, emotion: str, colour: tuple[int, int, int], size: int) -> _Sprite:
    """A dark pill with emoji and white text, readable on any picture; its rim has the emotion's colour."""
    lettering = font(text, size)
    left, top, right, bottom = lettering.getbbox(text)
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
    draw.text((padding + emoji + padding * 0.8, sprite.height / 2), text, fill=WHITE, font=lettering, anchor="lm")
    return _Sprite.of(sprite)


_kept_label = lru_cache(maxsize=96)(_label)  # half a megabyte each at most


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
        if inside and not any(overlap((*place, *size), other) > 0 for other in taken):
            return place
    return places[0]
