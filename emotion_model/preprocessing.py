"""From pictures to network input; training and serving share this code."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np


def to_grey(image: np.ndarray) -> np.ndarray:
    """Grey version of a uint8 image: `(h, w)`, `(h, w, 1)`, RGB `(h, w, 3)` or RGBA `(h, w, 4)` -> uint8 `(h, w)`.

    Raises:
        ValueError: another dtype or shape, or no pixels.
    """
    if not isinstance(image, np.ndarray) or image.dtype != np.uint8:
        kind = image.dtype if isinstance(image, np.ndarray) else type(image).__name__
        raise ValueError(f"expected a uint8 array, got {kind}; scale pixel values to 0..255 and convert")
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[..., 0]
    if image.ndim not in (2, 3) or image.size == 0 or (image.ndim == 3 and image.shape[2] not in (3, 4)):
        raise ValueError(f"expected an image of shape (height, width[, 1, 3 or 4]), got {image.shape}")
    if image.ndim == 2:
        return image
    return cv2.cvtColor(image, cv2.COLOR_RGB2GRAY if image.shape[2] == 3 else cv2.COLOR_RGBA2GRAY)


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
