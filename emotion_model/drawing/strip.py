"""The timeline along the bottom of an annotated clip."""

from __future__ import annotations

import cv2
import numpy as np

from emotion_model.face import Face
from emotion_model.labels import Label, label_of, person_colour, rgb

STRIP_ROWS = 4  # people at a time in the strip along the bottom
GROUND = (20, 21, 26)  # so dark that each emotion's and each person's colour has three times its brightness


class Strip:
    """The timeline along the bottom: a row per person, filled with the colours of their emotions as time goes on."""

    def __init__(self, size: tuple[int, int], start: float, end: float, labels: tuple[Label, ...]) -> None:
        self._width, height = size
        self._height = min(max(round(height / 12), 12), height)
        self._start, self._seconds = start, max(end - start, 1e-9)
        self._labels = labels
        self._rows = np.full((STRIP_ROWS, self._width, 3), GROUND, np.uint8)
        self._slots: dict[int, int] = {}  # person -> row
        self._column = 0
        self._shown: dict[int, tuple[int, int, int]] = {}  # row -> its colour from `_column` on
        self._used = 1

    def draw(self, image_rgb: np.ndarray, time: float, faces: list[Face]) -> None:
        """Draw the strip over the lowest part of a picture, as far as the clip has come.

        `image_rgb` is uint8 `(height, width, 3)` and changed in place, `time` in seconds and never decreasing.
        """
        here = [face.track_id or 0 for face in faces]
        self._slots = {person: row for person, row in self._slots.items() if person in here}
        column = min(int((time - self._start) / self._seconds * self._width), self._width - 1)
        for filled, colour in self._shown.items():
            self._rows[filled, self._column : column] = colour
        self._column, self._shown = column, {}
        for face in faces:
            free = [row for row in range(STRIP_ROWS) if row not in self._slots.values()]
            if face.track_id not in self._slots and free:
                self._slots[face.track_id or 0] = free[0]
            row = self._slots.get(face.track_id or 0)
            if row is not None:
                self._rows[row, column] = self._shown[row] = label_of(face.word, self._labels).rgb
                self._used = max(self._used, row + 1)
        size = (self._width, self._height)
        strip = cv2.resize(self._rows[: self._used], size, interpolation=cv2.INTER_NEAREST)
        for person, row in self._slots.items():
            top = row * self._height // self._used
            mark = rgb(person_colour(person))
            strip[top : top + self._height // self._used, max(column - 6, 0) : column] = mark
        strip[:, max(column - 1, 0) : column + 1] = 255
        strip[:2] = GROUND
        image_rgb[-self._height :] = strip
