"""Face crops to the network's input, for `transformers`; published beside the weights.

It needs numpy, Pillow and transformers alone, and gives the same pixels as the Keras side does with OpenCV.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from PIL import Image
from transformers import BatchFeature
from transformers.image_processing_utils import BaseImageProcessor

LEAST_CONTRAST = 40.0  # standard deviation of a face's pixels, in grey levels
MEAN_BRIGHTNESS = (90.0, 170.0)  # in grey levels
MOST_GAIN = 30.0  # of contrast
STRIP = 256  # rows that are made grey, or resized, at a time: the whole picture at once takes many times its memory


class EmotionCNNImageProcessor(BaseImageProcessor):
    """Pictures of single faces, already cropped, as grey pixels of the network's size."""

    model_input_names = ("pixel_values",)

    def __init__(self, size: dict[str, int] | None = None, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.size = size or {"height": 48, "width": 48}

    def preprocess(self, images: Any, return_tensors: str | None = None, **_: Any) -> BatchFeature:
        """One picture or a list: PIL images, or arrays `(h, w)` grey, `(h, w, 3)` RGB or `(h, w, 4)` RGBA, uint8 or
        uint16.

        Returns:
            `pixel_values`, float32 `(n, 1, height, width)` in 0..255.

        Raises:
            ValueError: not a picture, or one of 16 bits that holds values of 8.
        """
        if not isinstance(images, (list, tuple)):
            images = list(images) if isinstance(images, np.ndarray) and images.ndim == 4 else [images]
        size = (self.size["height"], self.size["width"])
        pixels = [level(resize(to_grey(image), size))[np.newaxis] for image in images]
        return BatchFeature({"pixel_values": np.stack(pixels)}, tensor_type=return_tensors)


def to_grey(image: Any) -> np.ndarray:
    """Grey pixels, uint8 `(h, w)`, weighted as ITU-R BT.601 does; what is transparent lies over white.

    Of Pillow's modes `I` and `F` the darkest value is black and the brightest white.
    """
    if isinstance(image, Image.Image) and image.mode in ("I", "F"):
        image = _stretched(np.asarray(image))
    if isinstance(image, np.ndarray) and image.dtype.newbyteorder("=") == np.uint16 and 0 < image.max(initial=0) < 256:
        raise ValueError(  # it would be black
            f"expected values of 0..65,535 in a uint16 array, got {image.max()} at most: convert values of 0..255 "
            "with image.astype(np.uint8)"
        )
    if isinstance(image, Image.Image):
        strips = [(0, top, image.width, min(top + STRIP, image.height)) for top in range(0, image.height, STRIP)]
        if len(strips) > 1:
            return np.concatenate([to_grey(image.crop(strip)) for strip in strips])
        if not image.mode.startswith("I;16"):
            clear = image.mode in ("LA", "PA", "RGBA", "RGBa") or "transparency" in image.info
            image = image.convert("RGBA" if clear else "RGB")
    image = np.asarray(image)
    if image.dtype.kind == "u" and image.dtype.itemsize == 2:
        image = (image >> 8).astype(np.uint8)
    if image.dtype != np.uint8 or image.ndim not in (2, 3) or not image.size:
        raise ValueError(
            f"expected a PIL image or a uint8 or uint16 array (h, w[, 3 or 4]), got {image.dtype} {image.shape}"
        )
    if image.ndim == 2:
        return image
    channels = image.shape[2]
    if channels not in (1, 3, 4):
        raise ValueError(f"expected 1, 3 or 4 channels last, got an array of shape {image.shape}")
    if channels == 1:
        return image[..., 0]
    if len(image) > STRIP:
        return np.concatenate([to_grey(image[top : top + STRIP]) for top in range(0, len(image), STRIP)])
    if channels == 4:
        picture = Image.fromarray(image)
        white = Image.new("RGB", picture.size, "white")
        white.paste(picture, mask=picture)
        image = np.asarray(white)
    red, green, blue = np.moveaxis(image.astype(np.int32), 2, 0)
    # Whole numbers, rounded as OpenCV does it.
    return ((9798 * red + 19235 * green + 3735 * blue + 2**14) >> 15).astype(np.uint8)


def level(face: np.ndarray) -> np.ndarray:
    """Give a face the contrast and brightness that it lacks: float32 `(h, w)` in 0..255; most faces have both."""
    mean, deviation = float(face.mean(dtype=np.float64)), float(face.std(dtype=np.float64))
    gain = min(max(LEAST_CONTRAST / max(deviation, 1e-6), 1.0), MOST_GAIN)
    target = min(max(mean, MEAN_BRIGHTNESS[0]), MEAN_BRIGHTNESS[1])
    return face if gain == 1 and target == mean else np.clip((face - mean) * gain + target, 0, 255).astype(np.float32)


def _stretched(values: np.ndarray) -> np.ndarray:
    """Grey of 32 bits, which has no fixed white, from its darkest to its brightest value: uint8, of the same shape.

    Values that are no numbers are black; infinite ones count as the darkest or the brightest.
    """
    grey = np.empty(values.shape, np.uint8)
    strips = [slice(top, top + STRIP) for top in range(0, len(values), STRIP)]
    finite = (values[rows][np.isfinite(values[rows])] for rows in strips)
    bounds = [(float(known.min()), float(known.max())) for known in finite if known.size]
    low, high = min((low for low, _ in bounds), default=0.0), max((high for _, high in bounds), default=0.0)
    for rows in strips:
        shades = (values[rows].astype(np.float64) - low) * (255 / max(high - low, 1e-9))
        grey[rows] = np.nan_to_num(shades, nan=0, posinf=255, neginf=0)
    return grey


def resize(grey: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Resize grey pixels to float32 `size`: averaged over areas where both sides shrink, else interpolated."""
    if grey.shape == size:
        return grey.astype(np.float32)
    shrinking = min(grey.shape) >= max(size)
    down, across = ((_areas if shrinking else _lines)(old, new) for old, new in zip(grey.shape, size, strict=True))
    strips = [grey[top : top + STRIP] @ across.T for top in range(0, len(grey), STRIP)]
    return (down @ np.concatenate(strips)).astype(np.float32)


def _areas(old: int, new: int) -> np.ndarray:
    """Weights `(new, old)`: each new pixel is the mean of the old ones under it."""
    edges = np.arange(new + 1) * (old / new)
    pixels = np.arange(old)
    covered = np.minimum(edges[1:, np.newaxis], pixels + 1) - np.maximum(edges[:-1, np.newaxis], pixels)
    covered = np.maximum(covered, 0)
    return covered / covered.sum(axis=1, keepdims=True)


def _lines(old: int, new: int) -> np.ndarray:
    """Weights `(new, old)`: each new pixel lies on the line between its two neighbours; edges are repeated."""
    centres = np.clip((np.arange(new) + 0.5) * (old / new) - 0.5, 0, old - 1)
    left = np.minimum(centres.astype(int), old - 1)
    share = centres - left
    weights = np.zeros((new, old))
    weights[np.arange(new), left] = 1 - share
    weights[np.arange(new), np.minimum(left + 1, old - 1)] += share
    return weights
