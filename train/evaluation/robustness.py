"""How accuracy falls as pictures get worse: one curve per kind of damage, in natural units."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cv2
import numpy as np

from emotion_model.network.protocol import Classifier
from train.data.variations import add_noise, blur, compress, cover, lower_resolution


@dataclass(frozen=True)
class Corruption:
    """One kind of damage.

    Attributes:
        unit: what the values are, for people to read.
        clean: the value that leaves a face as it is.
        values: from mild to severe.
        apply: `(uint8 grey face, value, random generator) -> uint8 grey face` of the same size.
    """

    unit: str
    clean: float
    values: tuple[float, ...]
    apply: Callable[[np.ndarray, float, np.random.Generator], np.ndarray]


def _warp(face: np.ndarray, angle: float = 0, scale: float = 1, shift: tuple[float, float] = (0, 0)) -> np.ndarray:
    height, width = face.shape
    matrix = cv2.getRotationMatrix2D(((width - 1) / 2, (height - 1) / 2), angle, scale)
    matrix[:, 2] += shift[0] * width, shift[1] * height
    return cv2.warpAffine(face, matrix, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)


def _rotate(face: np.ndarray, degrees: float, rng: np.random.Generator) -> np.ndarray:
    return _warp(face, angle=degrees * rng.choice((-1, 1)))


def _shift(face: np.ndarray, share: float, rng: np.random.Generator) -> np.ndarray:
    direction = rng.uniform(0, 2 * np.pi)
    return _warp(face, shift=(share * np.cos(direction), share * np.sin(direction)))


def _reframe(face: np.ndarray, side: float, _: np.random.Generator) -> np.ndarray:
    return _warp(face, scale=1 / side)


def _scale_levels(face: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    return cv2.convertScaleAbs(face, alpha=factor)


def _scale_contrast(face: np.ndarray, factor: float, _: np.random.Generator) -> np.ndarray:
    return cv2.convertScaleAbs(face, alpha=factor, beta=float(face.mean()) * (1 - factor))


CORRUPTIONS: dict[str, Corruption] = {
    "low_resolution": Corruption("width in pixels", 48, (32, 24, 16, 12), lambda f, v, _: lower_resolution(f, int(v))),
    "blur": Corruption("standard deviation in pixels", 0, (0.5, 1, 1.5, 2), lambda f, v, _: blur(f, v)),
    "noise": Corruption("standard deviation in grey levels", 0, (5, 10, 20, 30), add_noise),
    "jpeg": Corruption("JPEG quality", 100, (50, 30, 15, 5), lambda f, v, _: compress(f, int(v))),
    "darkness": Corruption("brightness, share of the original", 1, (0.75, 0.5, 0.25, 0.1), _scale_levels),
    "contrast": Corruption("contrast, share of the original", 1, (0.7, 0.5, 0.3, 0.15), _scale_contrast),
    "rotation": Corruption("degrees", 0, (10, 20, 30, 45), _rotate),
    "shift": Corruption("share of the side", 0, (0.05, 0.1, 0.15, 0.2), _shift),
    "tight_crop": Corruption("side of the crop, share of the original", 1, (0.9, 0.8, 0.7, 0.6), _reframe),
    "wide_crop": Corruption("side of the crop, share of the original", 1, (1.15, 1.3, 1.5, 1.8), _reframe),
    "cover": Corruption("covered share of the face", 0, (0.1, 0.2, 0.3, 0.5), cover),
}  # fmt: skip


def robustness_curves(
    classifier: Classifier,
    images: np.ndarray,
    labels: np.ndarray,
    progress: Callable[[str], None] = lambda _: None,
) -> dict[str, dict[str, Any]]:
    """Accuracy under each kind of damage, after Hendrycks & Dietterich, "Benchmarking robustness", 2019.

    Args:
        classifier: the model.
        images: uint8 grey `(n, height, width)`.
        labels: int `(n,)`, indices into the model's classes.
        progress: is told what is measured next.

    Returns:
        `{name: {"unit": str, "points": [{"value": float, "accuracy": float}, ...]}}`, JSON-ready; the first point of
        each curve is the undamaged faces'.
    """
    clean = _accuracy(classifier, images, labels)
    curves = {}
    for number, (name, corruption) in enumerate(CORRUPTIONS.items(), start=1):
        progress(f"damaged pictures, {number} of {len(CORRUPTIONS)}: {name.replace('_', ' ')}")
        points = [{"value": float(corruption.clean), "accuracy": clean}]
        for value in corruption.values:
            rng = np.random.default_rng(0)  # the same directions, noise and places every time
            damaged = np.stack([corruption.apply(image, value, rng) for image in images])
            points.append({"value": float(value), "accuracy": _accuracy(classifier, damaged, labels)})
        curves[name] = {"unit": corruption.unit, "points": points}
    return curves


def _accuracy(classifier: Classifier, images: np.ndarray, labels: np.ndarray) -> float:
    return round(float((classifier.predict(images).argmax(axis=1) == labels).mean()), 4)
