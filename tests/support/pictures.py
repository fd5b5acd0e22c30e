"""Pictures for the tests, and what is known of them."""

from __future__ import annotations

import cv2
import numpy as np

ASTRONAUT_FACE = (175, 70, 100, 125)  # x, y, w, h, read off the picture by eye


def scene_of(photo: np.ndarray, width: int, height: int, photo_width: int) -> np.ndarray:
    """A plain uint8 RGB `(height, width, 3)` with a photo, made so wide, at its top left."""
    scale = photo_width / photo.shape[1]
    small = cv2.resize(photo, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA)
    scene = np.full((height, width, 3), 100, np.uint8)
    scene[: len(small), :photo_width] = small[:height]
    return scene
