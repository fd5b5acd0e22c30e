"""Which way is up: pictures that lie on their side or stand on their head, without a word of it in the file.

YuNet finds turned faces too, but is less sure of them and gives them the landmarks of upright ones. So how sure it is
tells the right way: a picture whose faces are not convincing is looked at turned, and the way with the best evidence is
taken. A turn counts quarters, clockwise: so often the picture has to be turned until it is upright.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import cv2
import numpy as np

from emotion_model.faces.boxes import Detection

TURNS = (0, 1, 2, 3)
CONVINCING = 0.9  # mean score of upright faces, mostly 0.91 to 0.94; the same ones turned have 0.76 to 0.89
SUREST = 5  # faces whose mean that is: those far behind are blurred, whichever way they are turned
DOUBT = 0.5  # a score that is no evidence
MARGIN = 1.1  # so much more evidence it takes to turn a picture; a blurred upright face varies by less
FRAMES = 3  # of a clip, with faces, that decide its turn
PATIENCE = 20  # frames without a face after which a clip is looked at turned now and then only
SELDOM = 10  # frames between two such looks

_ROTATIONS = {1: cv2.ROTATE_90_CLOCKWISE, 2: cv2.ROTATE_180, 3: cv2.ROTATE_90_COUNTERCLOCKWISE}


def turned(image: np.ndarray, turn: int) -> np.ndarray:
    """A picture, uint8 `(height, width[, 3])`, turned clockwise by so many quarters."""
    return cv2.rotate(image, _ROTATIONS[turn]) if turn else image


def turned_back(found: Detection, turn: int, width: int, height: int) -> Detection:
    """A face of the turned picture in the pixels of the picture as it was given, which is so wide and so high."""
    if not turn:
        return found
    x, y, w, h = found.box
    corners = _points_back(np.array([[x, y], [x + w, y + h]], dtype=np.float32), turn, width, height)
    (left, top), (right, bottom) = corners.min(axis=0).tolist(), corners.max(axis=0).tolist()
    points = None if found.landmarks is None else _points_back(found.landmarks, turn, width, height)
    return Detection((left, top, right - left, bottom - top), points, found.score, turn)


def _points_back(points: np.ndarray, turn: int, width: int, height: int) -> np.ndarray:
    x, y = points[:, 0], points[:, 1]
    across, down = {1: (y, height - x), 2: (width - x, height - y), 3: (width - y, x)}[turn]
    return np.stack([across, down], axis=1)


def is_convincing(found: Sequence[Detection]) -> bool:
    """Whether faces are as sure as only upright ones are."""
    surest = sorted((one.score for one in found), reverse=True)[:SUREST]
    return bool(surest) and sum(surest) / len(surest) >= CONVINCING


def evidence(found: Sequence[Detection]) -> float:
    """How much speaks for a way: more faces, and surer ones."""
    return sum(max(one.score - DOUBT, 0.0) for one in found)


def way_up(
    look: Callable[[int], list[Detection]], glance: Callable[[int], list[Detection]]
) -> tuple[int, list[Detection]]:
    """The turn of a picture, and its faces in the turned picture.

    Args:
        look: finds the faces of the picture turned by so many quarters.
        glance: likewise, less thoroughly but quickly.
    """
    found = look(0)
    if is_convincing(found):
        return 0, found
    glimpsed = [evidence(glance(turn)) for turn in TURNS]
    turn = glimpsed.index(max(glimpsed))  # the first of equals: upright
    if turn:
        other = look(turn)
        if evidence(other) > MARGIN * evidence(found):
            return turn, other
    return 0, found


class HeldTurn:
    """The turn of a clip: decided once, from several frames with faces, and held.

    Attributes:
        turn: the turn that is held, None before it is decided.
    """

    def __init__(self, look: Callable[[np.ndarray, int], list[Detection]]) -> None:
        """Begin a clip; `look` finds the faces of a frame turned so often, in pixels of the frame as given."""
        self._look = look
        self.turn: int | None = None
        self._evidence = [0.0] * len(TURNS)
        self._decisive = self._empty = 0

    def detect(self, image_rgb: np.ndarray) -> list[Detection]:
        """The faces of the next frame, uint8 RGB `(height, width, 3)`."""
        if self.turn is not None:
            return self._look(image_rgb, self.turn)
        if self._empty >= PATIENCE and self._empty % SELDOM:
            self._empty += 1
            return self._look(image_rgb, 0)
        upright = self._look(image_rgb, 0)
        plain = is_convincing(upright)
        ways = [upright, *([] if plain else self._look(image_rgb, turn) for turn in TURNS[1:])]
        if not any(ways):
            self._empty += 1
            return []
        self._evidence = [sum(pair) for pair in zip(self._evidence, map(evidence, ways), strict=True)]
        likeliest = max(TURNS, key=lambda turn: self._evidence[turn])  # the first of equals: upright
        self._decisive += 1
        if self._decisive >= FRAMES:
            self.turn = likeliest
        return ways[likeliest]
