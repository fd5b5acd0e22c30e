"""From pictures to network input; training and serving share this code."""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass

import cv2
import numpy as np
from PIL import Image

from emotion_model.face import Face
from emotion_model.faces.images import ImageError, Picture, to_grey, told_of
from emotion_model.faces.turning import turned

_MAX_SUPERSAMPLING = 32  # times the crop's side; enough for a face of 1,500 pixels, and a bound on the work beyond

# What the network knows from its training, in grey levels; chosen on FER2013's validation split, whole and damaged.
LEAST_CONTRAST = 40.0  # standard deviation of a face's pixels
MEAN_BRIGHTNESS = (90.0, 170.0)
MOST_GAIN = 30.0  # of contrast: beyond it there is more noise than face


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
        if not (abs(self.dx) <= 1 and abs(self.dy) <= 1):  # so that NaN is refused too
            raise ValueError(f"dx={self.dx}, dy={self.dy}: a crop lies within one box height of its box")


def crop_face(
    image: np.ndarray,
    box: tuple[float, float, float, float],
    landmarks: np.ndarray | None,
    framing: Framing,
    image_size: int,
    turn: int = 0,
) -> np.ndarray:
    """Cut out one face as FER2013 frames it, its eyes level where they are known.

    Args:
        image: uint8 grey `(height, width)`.
        box: the detector's (x, y, w, h) in pixels, not clipped to the image.
        landmarks: float32 `(5, 2)` pixel positions, the eye at an upright face's left first, then the other; or None.
        framing: the geometry measured for that detector.
        image_size: side of the result in pixels.
        turn: quarters by which the picture has to be turned clockwise until the face is upright.

    Returns:
        uint8 grey `(image_size, image_size)`; beyond the image its edge pixels are repeated.
    """
    x, y, width, height = box
    angle = -turn * math.pi / 2
    if landmarks is not None:
        across, down = landmarks[1] - landmarks[0]
        angle = math.atan2(down, across)
    cos, sin = math.cos(angle), math.sin(angle)
    centre_x, centre_y = x + width / 2, y + height / 2
    if turn % 2:
        height = width
    centre_x += height * (framing.dx * cos - framing.dy * sin)
    centre_y += height * (framing.dx * sin + framing.dy * cos)
    side = max(framing.side * height, 1.0)  # of the crop, in picture pixels
    # Sampled finely, then averaged down: picking every few pixels of a sharp photo would give noise, not a face.
    samples = image_size * min(math.ceil(side / image_size), _MAX_SUPERSAMPLING)
    step = side / samples  # picture pixels per sample
    half = (samples - 1) / 2
    # Maps samples to picture pixels (WARP_INVERSE_MAP); the centre of the first pixel is (0, 0).
    matrix = np.array(
        [
            [step * cos, -step * sin, centre_x - 0.5 - step * half * (cos - sin)],
            [step * sin, step * cos, centre_y - 0.5 - step * half * (sin + cos)],
        ]
    )
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    crop = cv2.warpAffine(image, matrix, (samples, samples), flags=flags, borderMode=cv2.BORDER_REPLICATE)
    return cv2.resize(crop, (image_size, image_size), interpolation=cv2.INTER_AREA)


def network_input(faces: Iterable[Picture], image_size: int) -> np.ndarray:
    """Cropped faces of any sizes, as `as_rgb` takes them -> float32 `(n, image_size, image_size, 1)` in 0..255.

    Raises:
        ImageError: an item is not an image, and a note of the error says which; or a single image was given instead of
            a list.
    """
    require_several(faces)
    faces = list(faces)
    batch = np.empty((len(faces), image_size, image_size, 1), dtype=np.float32)
    for i, face in enumerate(faces):
        with told_of(i, face):
            grey = to_grey(face)
        if grey.shape != (image_size, image_size):
            interpolation = cv2.INTER_AREA if min(grey.shape) >= image_size else cv2.INTER_LINEAR
            # Not rounded to whole grey levels: other runtimes must be able to give the same pixels.
            grey = cv2.resize(grey.astype(np.float32), (image_size, image_size), interpolation=interpolation)
        batch[i, ..., 0] = grey
    return batch


def served_input(faces: Iterable[Picture], image_size: int) -> np.ndarray:
    """What a network is given that serves, or is measured for that: `network_input` with usual levels.

    Raises:
        ImageError: as `network_input`.
    """
    inputs = network_input(faces, image_size)
    level(inputs)
    return inputs


def level(faces: np.ndarray) -> None:
    """Give dark, pale and flat faces the brightness and contrast that they lack, in place.

    What is left of a face in the dark or in haze the network would take for anger. How much is changed has no steps, so
    that a face does not flicker from frame to frame. A third of FER2013's faces lack some; those keep them in training,
    unless that is told to give them what they lack.

    Args:
        faces: float32 grey `(n, height, width, 1)` in 0..255.
    """
    for face in faces:
        means, deviations = cv2.meanStdDev(face)
        mean, deviation = float(means[0, 0]), float(deviations[0, 0])
        gain = min(max(LEAST_CONTRAST / max(deviation, 1e-6), 1.0), MOST_GAIN)
        target = min(max(mean, MEAN_BRIGHTNESS[0]), MEAN_BRIGHTNESS[1])
        if gain != 1 or target != mean:
            np.clip((face - mean) * gain + target, 0, 255, out=face)


def require_several(images: Iterable[Picture], what: str = "faces") -> None:
    """Refuse one image in the place of a list of faces, or of whatever else: its rows would be taken for them.

    Raises:
        ImageError: it is one, or no list at all.
    """
    if isinstance(images, str | bytes | os.PathLike | Image.Image):
        raise ImageError("bad_array", f"Expected a list of {what}, got one {type(images).__name__}: put it in a list.")
    if isinstance(images, np.ndarray) and images.ndim == 3 and images.shape[2] in (1, 3, 4):
        raise ImageError(
            "bad_array", f"Expected a list of {what}, got one image of shape {images.shape}: put it in a list."
        )
    if not isinstance(images, Iterable):
        raise ImageError("bad_array", f"Expected a list of {what}, got {type(images).__name__}.")


def square_crop(image_rgb: np.ndarray, face: Face, side: int, around: float = 1.2) -> np.ndarray:
    """A face with what is around it, upright, uint8 RGB `(side, side, 3)`, moved inside at the picture's edges.

    What is shown is `around` times as wide as the face's box.
    """
    x, y, width, height = face.box
    edge = min(round(max(width, height) * around), *image_rgb.shape[:2])
    left = min(max(0, x + (width - edge) // 2), image_rgb.shape[1] - edge)
    top = min(max(0, y + (height - edge) // 2), image_rgb.shape[0] - edge)
    crop = turned(image_rgb[top : top + edge, left : left + edge], face.turn)
    return cv2.resize(crop, (side, side), interpolation=cv2.INTER_AREA)
