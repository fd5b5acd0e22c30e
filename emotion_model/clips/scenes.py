"""Where one scene of a clip ends and another begins."""

from __future__ import annotations

import cv2
import numpy as np

CUT_SIZE = (64, 36)  # pixels; frames are compared at this size
CUT_CHANGE = 27.0  # mean change of hue, saturation and value, 0..255; the usual threshold of PySceneDetect
CUT_RATIO = 3.0  # times the recent mean: fast motion is no cut


class Scenes:
    """Finds cuts by how much hue, saturation and value change from frame to frame, as PySceneDetect does."""

    def __init__(self) -> None:
        self._before: np.ndarray | None = None
        self._usual = 0.0

    def changes(self, small_rgb: np.ndarray) -> bool:
        """Whether a new scene begins with this frame, uint8 RGB `(height, width, 3)`; always of the same small size."""
        values = cv2.cvtColor(small_rgb, cv2.COLOR_RGB2HSV)
        before, self._before = self._before, values
        if before is None:
            return False
        change = float(cv2.absdiff(values, before).mean())
        cut = change > CUT_CHANGE and change > CUT_RATIO * self._usual
        if not cut:
            self._usual += 0.1 * (change - self._usual)
        return cut
