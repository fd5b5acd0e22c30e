"""Where one scene of a clip ends and another begins."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from emotion_model.clips.frame import VideoFrame

CUT_SIZE = (64, 36)  # pixels; frames are compared at this size
CUT_CHANGE = 27.0  # mean change of hue, saturation and value, 0..255; the usual threshold of PySceneDetect
CUT_RATIO = 3.0  # times the recent mean: fast motion is no cut
BACK_SHARE = 0.5  # of a cut's change: a frame nearer than that to the one before the cut shows the same scene again
FLASH_SECONDS = 0.201  # a scene that is back so soon was never left: a camera's flash, a strobe, a fault of the picture
FLASH_FRAMES = 64  # that wait at most until it is known


class Scenes:
    """Finds cuts by how much hue, saturation and value change from frame to frame, as PySceneDetect does."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._now: np.ndarray | None = None
        self._left: np.ndarray | None = None
        self._near = 0.0
        self._usual = 0.0

    def changes(self, small_rgb: np.ndarray) -> bool:
        """Whether a new scene seems to begin with this frame, uint8 RGB `(height, width, 3)`, always of one size."""
        self._before, self._now = self._now, cv2.cvtColor(small_rgb, cv2.COLOR_RGB2HSV)
        change = _change(self._before, self._now)
        cut = change > CUT_CHANGE and change > CUT_RATIO * self._usual
        if not cut:
            self._usual += 0.1 * (change - self._usual)
        return cut

    def leave(self) -> None:
        """Remember the scene that ends with the last frame."""
        self._left = self._before
        self._near = BACK_SHARE * _change(self._before, self._now)

    def back(self) -> bool:
        """Whether the last frame shows the remembered scene again."""
        return _change(self._left, self._now) < self._near


def _change(before: np.ndarray | None, after: np.ndarray | None) -> float:
    return 0.0 if before is None or after is None else cv2.norm(before, after, cv2.NORM_L1) / before.size


def with_cuts(frames: Iterable[tuple[VideoFrame, bool]]) -> Iterator[tuple[VideoFrame, bool, bool]]:
    """Frames, each with what came with it and whether a scene begins with it; flashes of light begin none."""
    scenes = Scenes()
    held: list[tuple[VideoFrame, bool, bool]] = []  # since a cut that may be a flash
    for frame, chosen in frames:
        cut = scenes.changes(frame.at_size(*CUT_SIZE))
        if held and (frame.time - held[0][0].time > FLASH_SECONDS or len(held) == FLASH_FRAMES):
            yield from held
            held = []
        elif held and scenes.back():
            yield from ((one, its, False) for one, its, _ in held)
            held, cut = [], False
        if cut and not held:
            scenes.leave()
        if cut or held:
            held.append((frame, chosen, cut))
        else:
            yield frame, chosen, False
    yield from held
