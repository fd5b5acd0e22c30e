"""From pictures to network input; training and serving share this code."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import cv2
import numpy as np

from emotion_model.images import to_grey


@dataclass(frozen=True)
class Framing:
    """Where a detector's box lies in a FER2013 picture: the crop that looks to the network like what it learned from.

    All values are in box heights, along the face's own axes. `train.framing` measures them.
    """

    side: float = 1.0  # side of the square crop
    dx: float = 0.0  # crop centre minus box centre, towards the picture's right for an upright face
    dy: float = 0.0  # likewise, downwards

    def __post_init__(self) -> None:
        if not 0.2 <= self.side <= 5:
            raise ValueError(f"side={self.side}: a crop is 0.2 to 5 box heights wide")
        if max(abs(self.dx), abs(self.dy)) > 1:
            raise ValueError(f"dx={self.dx}, dy={self.dy}: a crop lies within one box height of its box")


def crop_face(
    image: np.ndarray,
    box: tuple[float, float, float, float],
    landmarks: np.ndarray | None,
    framing: Framing,
    image_size: int,
) -> np.ndarray:
    """Cut out one face as FER2013 frames it, its eyes level where they are known.

    Args:
        image: uint8 grey `(height, width)`.
        box: the detector's (x, y, w, h) in pixels, not clipped to the image.
        landmarks: float32 `(5, 2)` pixel positions, the eye at the picture's left first, then the other; or None.
        framing: the geometry measured for that detector.
        image_size: side of the result in pixels.

    Returns:
        uint8 grey `(image_size, image_size)`; beyond the image its edge pixels are repeated.
    """
    x, y, width, height = box
    angle = 0.0
    if landmarks is not None:
        across, down = landmarks[1] - landmarks[0]
        angle = math.atan2(down, across)
    cos, sin = math.cos(angle), math.sin(angle)
    centre_x = x + width / 2 + height * (framing.dx * cos - framing.dy * sin)
    centre_y = y + height / 2 + height * (framing.dx * sin + framing.dy * cos)
    step = max(framing.side * height, 1.0) / image_size  # source pixels per crop pixel
    if step > 2:  # shrink smoothly first: sampling every few pixels of a sharp photo gives noise, not a face
        image, centre_x, centre_y, step = _shrunk(image, centre_x, centre_y, step, image_size)
    half = (image_size - 1) / 2
    # Maps crop pixels to image pixels (WARP_INVERSE_MAP).
    matrix = np.array(
        [
            [step * cos, -step * sin, centre_x - 0.5 - step * half * (cos - sin)],
            [step * sin, step * cos, centre_y - 0.5 - step * half * (sin + cos)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cv2.warpAffine(image, matrix, (image_size, image_size), flags=flags, borderMode=cv2.BORDER_REPLICATE)


def _shrunk(
    image: np.ndarray, centre_x: float, centre_y: float, step: float, image_size: int
) -> tuple[np.ndarray, float, float, float]:
    """The surroundings of a crop, averaged down so that one crop pixel is about one picture pixel."""
    reach = step * image_size  # over half the crop's diagonal, whatever its rotation
    left, right = (int(np.clip(centre_x + sign * reach, 0, image.shape[1])) for sign in (-1, 1))
    top, bottom = (int(np.clip(centre_y + sign * reach, 0, image.shape[0])) for sign in (-1, 1))
    if right - left < 2 or bottom - top < 2:  # the box lies outside the picture: only its edge can be repeated
        return image, centre_x, centre_y, step
    size = (max(1, round((right - left) / step)), max(1, round((bottom - top) / step)))
    scale_x, scale_y = size[0] / (right - left), size[1] / (bottom - top)
    small = cv2.resize(image[top:bottom, left:right], size, interpolation=cv2.INTER_AREA)
    return small, (centre_x - left) * scale_x, (centre_y - top) * scale_y, step * (scale_x + scale_y) / 2


def network_input(faces: Sequence[np.ndarray] | np.ndarray, image_size: int) -> np.ndarray:
    """Cropped faces, uint8 grey, RGB or RGBA of any sizes -> float32 `(n, image_size, image_size, 1)` in 0..255.

    Raises:
        ValueError: a face is not a uint8 image.
    """
    batch = np.empty((len(faces), image_size, image_size, 1), dtype=np.float32)
    for i, face in enumerate(faces):
        grey = to_grey(face)
        if grey.shape != (image_size, image_size):
            shrinking = min(grey.shape) >= image_size
            size = (image_size, image_size)
            grey = cv2.resize(grey, size, interpolation=cv2.INTER_AREA if shrinking else cv2.INTER_LINEAR)
        batch[i, ..., 0] = grey
    return batch
