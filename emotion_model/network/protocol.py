"""What the pipeline and the evaluation need of a model."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from emotion_model.faces.images import Picture
from emotion_model.network.config import ModelConfig


class Classifier(Protocol):
    """What the pipeline and the evaluation need of a model."""

    config: ModelConfig
    source: str
    notice: str
    fallback_reason: str

    @property
    def emotions(self) -> tuple[str, ...]:
        """Names of the classes, in the order of the probabilities."""

    def predict(self, images: Sequence[Picture] | np.ndarray, flip: bool = False) -> np.ndarray:
        """Cropped faces, uint8 of any sizes -> float32 `(n, classes)` in the order of `config.labels`."""

    def warm_up(self) -> None:
        """Get ready, so that nobody waits for it later."""


def require_classifier(value: object) -> None:
    """Refuse what names no emotions, such as the path of a model.

    Raises:
        TypeError: it does not.
    """
    if not hasattr(value, "emotions"):
        raise TypeError(
            f"Expected a classifier, got {type(value).__name__}: for a path use EmotionDetector.load(path) or "
            "EmotionClassifier.load(path)."
        )
