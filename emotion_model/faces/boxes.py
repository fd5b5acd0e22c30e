"""Boxes (x, y, w, h) and how they lie to each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Detection:
    """A face as the detector gives it: not clipped to the picture.

    Attributes:
        box: (x, y, w, h) in pixels.
        landmarks: float32 `(5, 2)` pixel positions, the eye at an upright face's left first, or None.
        score: 0..1.
        turn: quarters by which the picture has to be turned clockwise until the face is upright, 0..3.
    """

    box: tuple[float, float, float, float]
    landmarks: np.ndarray | None
    score: float
    turn: int = 0


def overlap(one: tuple[float, ...], other: tuple[float, ...]) -> float:
    """Intersection over union of two boxes (x, y, w, h), 0..1."""
    width = min(one[0] + one[2], other[0] + other[2]) - max(one[0], other[0])
    height = min(one[1] + one[3], other[1] + other[3]) - max(one[1], other[1])
    shared = max(width, 0.0) * max(height, 0.0)
    return shared / (one[2] * one[3] + other[2] * other[3] - shared)
