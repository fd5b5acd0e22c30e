"""A picture to share: its faces named, or hidden, and a line with what made it."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from PIL import Image, ImageDraw

from emotion_model.drawing.faces import draw_faces
from emotion_model.drawing.fonts import font
from emotion_model.face import Face
from emotion_model.labels import LABELS, Label

BLOCKS = 6  # that a hidden face is wide: too few to know anybody by
AROUND = 0.15  # of a face's box that is hidden to each side of it, hair and chin
LONGEST_SIDE = 2048  # pixels; nobody shares a larger one
_GROUND, _INK = (18, 20, 26), (236, 236, 241)


def share_picture(
    image_rgb: np.ndarray,
    faces: Sequence[Face],
    caption: str,
    labels: Sequence[Label] = LABELS,
    hide_faces: bool = False,
) -> np.ndarray:
    """A picture with its faces boxed and labelled, and a line of text below.

    Args:
        image_rgb: uint8 RGB `(height, width, 3)`.
        faces: what was found in it.
        caption: the line, such as the date and the model's name; left out at its end where there is no room for it.
        labels: gives each emotion its colour.
        hide_faces: the faces become coarse blocks; the labels stay.

    Returns:
        uint8 RGB, higher by the line, its longest side at most 2048 pixels and the line.
    """
    hidden = _hidden(image_rgb, faces) if hide_faces else image_rgb
    drawn = draw_faces(hidden, faces, labels)
    scale = LONGEST_SIDE / max(drawn.shape[:2])
    if scale < 1:
        drawn = cv2.resize(drawn, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    return np.concatenate([drawn, _line(caption, drawn.shape[1])])


def _hidden(image_rgb: np.ndarray, faces: Sequence[Face]) -> np.ndarray:
    picture = image_rgb.copy()
    for face in faces:
        x, y, width, height = face.box
        left, top = max(0, round(x - AROUND * width)), max(0, round(y - AROUND * height))
        part = picture[top : round(y + (1 + AROUND) * height), left : round(x + (1 + AROUND) * width)]
        size = BLOCKS, max(1, round(BLOCKS * part.shape[0] / part.shape[1]))
        blocks = cv2.resize(part, size, interpolation=cv2.INTER_AREA)
        part[:] = cv2.resize(blocks, part.shape[1::-1], interpolation=cv2.INTER_NEAREST)
    return picture


def _line(caption: str, width: int) -> np.ndarray:
    size = min(28, max(12, round(width / 40)))
    line = Image.new("RGB", (width, 2 * size), _GROUND)
    ImageDraw.Draw(line).text((size, size), caption, _INK, font(caption, size), anchor="lm")
    return np.asarray(line)
